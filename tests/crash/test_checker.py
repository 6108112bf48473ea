"""A checker that cannot fail proves nothing: each kind of violation, in a journal made by hand."""

import itertools
import math

import pytest
from checker import Final, Recovery, check, executions, late, recoveries, repeated, type_of
from journal import Row
from msgspec.structs import replace
from support.apps import Plain

from antq_actors import AntQ, Status
from antq_actors.jobs.job import AttemptError

DIED = "interrupted: its node 7 died"


def row(what, job=0, at=0.0, *, by="north", attempt=1, interruptions=0, unique=None):
    return Row(what, by, 1, at, job, attempt, interruptions, unique)


def completed(job, *errors, attempts=1, interruptions=0, timed_out=()):
    return Final(job, "completed", attempts, interruptions, errors, timed_out=frozenset(timed_out))


def told(started, ended):
    return completed(1)._replace(started=started, ended=ended)


def with_timeout(*rows):
    return [each._replace(has_timeout=True) for each in rows]


def of_call(call, job):
    return [row("begin", job, 1.0)._replace(call=call), row("end", job, 2.0)]


def run(begin, end, how="end", **what):
    """The rows of an execution of job 1: its begin, and the word with which it ended."""
    return [row("begin", 1, begin, **what), row(how, 1, end, **what)]


ONE_RUN = run(1.0, 2.0)

AGAIN_IN_SOUTH = run(3.0, 4.0, by="south", interruptions=1)

CUT_SHORT = [row("begin", 1, 1.0), *AGAIN_IN_SOUTH]

TIMED_OUT_ONCE = with_timeout(*run(1.0, 2.0, "timeout"), *run(3.0, 4.0, attempt=2))

LATE_ERROR = "timed out after 0.1 s"

FAILED_ONCE = [*run(1.0, 2.0, "fail"), *run(3.0, 4.0, attempt=2)]


@pytest.mark.parametrize(
    ("rows", "deaths", "job"),
    [
        pytest.param(ONE_RUN, {}, completed(1), id="one run"),
        pytest.param(
            CUT_SHORT, {"north": 2.0}, completed(1, DIED, interruptions=1), id="a run cut short"
        ),
        pytest.param(
            [*CUT_SHORT, row("died", at=2.0)],
            {},
            completed(1, DIED, interruptions=1),
            id="a death at a failpoint",
        ),
        pytest.param(
            FAILED_ONCE, {}, completed(1, "once", attempts=2), id="a failure and its retry"
        ),
        pytest.param(
            [*run(1.0, 1.5), *AGAIN_IN_SOUTH],
            {"north": 2.0},
            completed(1, DIED, interruptions=1),
            id="an end that the store did not hear of",
        ),
        pytest.param([*run(1.0, 2.0, "snooze"), *run(3.0, 4.0)], {}, completed(1), id="a snooze"),
        pytest.param(
            [row("stopping", at=1.0), *run(1.0, 2.0, "stop"), *run(3.0, 4.0, by="south")],
            {},
            completed(1),
            id="a job given back by a stop",
        ),
        pytest.param(
            [
                row("stopping", at=1.0),
                row("begin", 1, 1.0),
                row("stopped", at=2.0),
                *run(3.0, 4.0, by="south"),
            ],
            {},
            completed(1),
            id="one that was too late to say so",
        ),
        pytest.param(
            [row("begin", 1, 2.5), *AGAIN_IN_SOUTH],
            {"north": 2.0},
            completed(1, DIED, interruptions=1),
            id="a begin after the kill, before the death",
        ),
        pytest.param(
            TIMED_OUT_ONCE,
            {},
            completed(1, LATE_ERROR, attempts=2, timed_out=[1]),
            id="a timeout and its retry",
        ),
        pytest.param(
            [TIMED_OUT_ONCE[0], row("end", 1, 2.0), *TIMED_OUT_ONCE[1:]],
            {},
            completed(1, LATE_ERROR, attempts=2, timed_out=[1]),
            id="a timeout after the last word",
        ),
        pytest.param(
            TIMED_OUT_ONCE[2:],
            {},
            completed(1, LATE_ERROR, attempts=2, timed_out=[1]),
            id="a timeout before the first word",
        ),
        pytest.param(
            with_timeout(*run(1.0, 2.0, "timeout"), *AGAIN_IN_SOUTH),
            {"north": 2.5},
            completed(1, DIED, interruptions=1),
            id="a timeout that the store did not hear of",
        ),
    ],
)
def test_all_is_well(rows, deaths, job):
    assert check(rows, [1], deaths, [job]) == []


@pytest.fixture
def job_of_many_timeouts():
    """A job whose first 29 attempts timed out, and which kept the first and the newest errors."""
    with AntQ(start_queues=False) as app:
        job = app.enqueue(Plain)
    now = job.inserted_at
    errors = [AttemptError(n, LATE_ERROR, None, now, "TimeoutError") for n in range(29, 0, -1)]
    kept = (*errors[:24], errors[-1])
    return replace(
        job, status=Status.COMPLETED, attempts=30, errors=kept, error_count=29, started_at=now
    )


def test_errors_that_are_counted_and_not_kept_are_no_finding(job_of_many_timeouts):
    timeouts = [run(n, n + 0.5, "timeout", attempt=n) for n in range(1, 30) if n != 3]
    rows = with_timeout(*itertools.chain(*timeouts, run(30.0, 31.0, attempt=30)))

    final = Final.of(job_of_many_timeouts)._replace(id=1, started=None, ended=None)

    assert check(rows, [1], {}, [final]) == []
    assert check(rows, [1], {}, [final._replace(unkept=3)]) == [
        "job 1: 30 attempts, but 28 failures"
    ]


def test_a_job_that_tells_of_its_last_execution_is_no_finding():
    rows = [*run(0.5, 0.6, "snooze"), *ONE_RUN]

    assert check(rows, [1], {}, [told(0.99, 2.01)]) == []


def test_the_type_of_an_error_is_known_from_its_text():
    assert [type_of(error) for error in (DIED, LATE_ERROR, "once")] == [
        None,
        "TimeoutError",
        "ValueError",
    ]


def test_a_pruned_job_is_not_missed_if_it_came_to_its_end():
    assert check(ONE_RUN, [1], {}, [], pruned=True) == []
    assert check(TIMED_OUT_ONCE[2:], [1], {}, [], pruned=True) == []


def test_calls_that_each_stored_the_job_they_were_answered_are_no_finding():
    rows = [*of_call("a", 1), *of_call("b", 2), *of_call("unknown", 3)]

    assert check(rows, [1, 2, 3], {}, map(completed, (1, 2, 3)), calls={1: "a", 2: "b"}) == []


@pytest.mark.parametrize(
    ("second", "answered", "finding"),
    [
        ("a", "a", "job 2: stored twice, the call a has stored job 1"),
        ("b", "b", "job 1: of the call a, but it was answered to b"),
    ],
)
def test_it_finds_a_job_of_another_call_than_it_was_answered_to(second, answered, finding):
    rows = [*of_call("a", 1), *of_call(second, 2)]

    findings = check(rows, [1], {}, [completed(1), completed(2)], calls={1: answered})

    assert findings == [finding]


@pytest.mark.parametrize(
    ("finding", "rows", "deaths", "jobs"),
    [
        ("job 1: lost, it was acknowledged and is not stored", [], {}, []),
        ("job 1: lost, it was acknowledged and is not stored", ONE_RUN, {}, []),
        ("job 1: lost, it was acknowledged and never came to its end", [], {}, [completed(1)]),
        ("job 1: it is running for ever", ONE_RUN, {}, [Final(1, "running")]),
        ("job 2: it is enqueued for ever", ONE_RUN, {}, [completed(1), Final(2, "enqueued")]),
        ("job 1: it is failed for ever", ONE_RUN, {}, [Final(1, "failed")]),
        (
            "twice at once: job 1 in north from 1.000 to 3.000, and job 1 in south from",
            [
                row("begin", 1, 1.0),
                row("begin", 1, 2.0, by="south"),
                row("end", 1, 3.0),
                row("end", 1, 4.0, by="south"),
            ],
            {},
            [completed(1)],
        ),
        (
            "twice at once: job 1 in north from 1.000 to 2.000, and job 1 in south from",
            [row("begin", 1, 1.0), *run(1.5, 2.5, by="south", interruptions=1)],
            {"north": 2.0},
            [completed(1, DIED, interruptions=1)],
        ),
        (
            "twice at once: job 1 in north from 1.000 to inf",
            [row("begin", 1, 1.0), *run(2.0, 3.0)],
            {},
            [completed(1)],
        ),
        (
            "two of the unique 'a' at once: job 1 in north",
            [
                row("begin", 1, 1.0, unique="a"),
                row("begin", 2, 2.0, unique="a"),
                row("end", 1, 3.0, unique="a"),
                row("end", 2, 4.0, unique="a"),
            ],
            {},
            [completed(1), completed(2)],
        ),
        (
            "job 1: 'end' in north, where it was not under way",
            [*ONE_RUN, row("end", 1, 3.0)],
            {},
            [completed(1)],
        ),
        (
            "job 1: 1 executions neither ended nor died",
            CUT_SHORT,
            {},
            [completed(1, DIED, interruptions=1)],
        ),
        (
            "job 1: it is completed, but its last execution is a death",
            [*ONE_RUN, row("begin", 1, 3.0, interruptions=1)],
            {"north": 4.0},
            [completed(1, DIED, interruptions=1)],
        ),
        (
            "it runs again, but nothing counts why after its end",
            [*ONE_RUN, *run(3.0, 4.0)],
            {},
            [completed(1)],
        ),
        (
            "it runs again, but nothing counts why after its fail",
            [*run(1.0, 2.0, "fail"), *run(3.0, 4.0)],
            {},
            [completed(1, "once", attempts=2)],
        ),
        (
            "it runs again, but nothing counts why after its death",
            [row("begin", 1, 1.0), *run(3.0, 4.0, by="south")],
            {"north": 2.0},
            [completed(1, DIED, interruptions=1)],
        ),
        (
            "it runs again, but nothing counts why after its stop",
            [*run(1.0, 2.0, "stop"), *FAILED_ONCE[2:]],
            {},
            [completed(1, "interrupted by another's timeout", attempts=2)],
        ),
        (
            "it runs again, but nothing counts why after its timeout",
            with_timeout(*run(1.0, 2.0, "timeout"), *run(3.0, 4.0)),
            {},
            [completed(1)],
        ),
        (
            "it runs again, but nothing counts why after its end",
            with_timeout(*ONE_RUN, row("begin", 1, 3.0, attempt=2)),
            {},
            [completed(1, "once", attempts=2)],
        ),
        (
            "job 1: 2 attempts are counted, 1 were seen",
            ONE_RUN,
            {},
            [completed(1, LATE_ERROR, attempts=2, timed_out=[1])],
        ),
        (
            "it counts less than the execution before",
            [*run(1.0, 2.0, "snooze", interruptions=1), *run(3.0, 4.0)],
            {},
            [completed(1, DIED, interruptions=1)],
        ),
        (
            "its attempt is 2, but 0 have failed",
            [*CUT_SHORT[:2], row("begin", 1, 5.0, attempt=2, by="west")],
            {"north": 2.0, "south": 4.0},
            [completed(1)],
        ),
        (
            "job 1: 2 attempts are counted, 1 were seen",
            ONE_RUN,
            {},
            [completed(1, "once", attempts=2)],
        ),
        (
            "job 1: 0 interruptions are counted, 1 executions were cut short",
            CUT_SHORT,
            {"north": 2.0},
            [completed(1)],
        ),
        (
            "job 1: 1 interruptions, but 0 such errors",
            CUT_SHORT,
            {"north": 2.0},
            [completed(1, interruptions=1)],
        ),
        (
            "job 1: 2 times 'interrupted: its node 7 died'",
            CUT_SHORT,
            {"north": 2.0},
            [completed(1, DIED, DIED, interruptions=2)],
        ),
        (
            "job 1: 'interrupted: its queue actor crashed', and no node died",
            CUT_SHORT,
            {"north": 2.0},
            [completed(1, "interrupted: its queue actor crashed", interruptions=1)],
        ),
        ("job 1: 1 attempts, but 1 failures", ONE_RUN, {}, [completed(1, "once")]),
        (
            "job 1 in north from 1.000 to 2.000: it began before the job started, at inf",
            ONE_RUN,
            {},
            [told(math.inf, 2.0)],
        ),
        (
            "job 1: it started at 1.000, before job 1 in north from 3.000 to 4.000",
            [*FAILED_ONCE, *run(5.0, 6.0, attempt=3)],
            {},
            [told(1.0, 6.0)],
        ),
        (
            "job 1 in north from 1.000 to 2.000: it ended after the job, which did at 1.500",
            ONE_RUN,
            {},
            [told(1.0, 1.5)],
        ),
        (
            "job 1: 'once' has the type None",
            ONE_RUN,
            {},
            [completed(1)._replace(mistyped=("'once' has the type None",))],
        ),
    ],
)
def test_it_finds(finding, rows, deaths, jobs):
    findings = check(rows, [1], deaths, jobs)

    assert any(finding in each for each in findings), findings


def test_it_finds_an_id_that_was_given_twice():
    assert check(ONE_RUN, [1, 1], {}, [completed(1)]) == ["job 1: its id was given to 2 jobs"]


def test_it_measures_how_long_an_interrupted_job_waits_with_another_node_and_without():
    one = [row("up", at=0.0), *CUT_SHORT]

    def measured(*rows, north=2.0, **deaths):
        return recoveries([*one, *rows], {"north": north, **deaths})

    other_there = row("up", at=0.5, by="south")
    restarted = [row("starting", at=2.3, by="south"), row("up", at=2.5, by="south")]
    was_there = row("up", at=0.5, by="west")
    assert measured(other_there) == [Recovery(1, "north", 1.0, "another")]
    assert measured(*restarted) == [Recovery(1, "north", 1.0, "restart")]
    assert measured(*restarted, was_there) == [Recovery(1, "north", 1.0, "either")]
    assert measured(was_there, west=2.2) == [Recovery(1, "north", 1.0, "either")]


def test_it_finds_a_rescue_that_is_late_although_another_node_was_there():
    again = run(13.0, 14.0, by="south", interruptions=1)
    rows = [row("up", at=0.5, by="south"), CUT_SHORT[0], *again]

    def rescued(at):
        job = completed(1, DIED, interruptions=1)._replace(rescued=(at,))
        return late(recoveries(rows, {"north": 2.0}, [job]))

    assert rescued(at=2.5) == []
    assert rescued(at=12.0) == ["job 1: given back 10.0 s after north had died"]


def test_it_counts_what_was_done_again():
    again = run(3.0, 4.0, interruptions=1)

    assert repeated(executions([*ONE_RUN, *again], {})) == 1
    assert repeated(executions([*CUT_SHORT, *FAILED_ONCE[4:]], {"north": 2.0})) == 0
