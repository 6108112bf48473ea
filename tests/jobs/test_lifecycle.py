"""What a job becomes, as plain values."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from antq_actors.errors import NotCancellable, NotRetryable
from antq_actors.jobs import instant, lifecycle
from antq_actors.jobs.attempt_error import TEXT_LIMIT, TRACE_LIMIT
from antq_actors.jobs.outcome import (
    Cancelled,
    Completed,
    Failed,
    GivenBack,
    Interrupted,
    Refused,
    Snoozed,
)
from antq_actors.jobs.state import ENDED, WAITING, JobState, Status

NOW = 1_000 * instant.SECOND
LATER = NOW + 60 * instant.SECOND


def a_waiting_job(**options):
    return lifecycle.create(queue_name="mail", now=NOW, **options)


def a_running_job(**options):
    return lifecycle.claim(a_waiting_job(**options), node=7, now=NOW)


def test_a_new_job_without_a_schedule_is_enqueued_and_due_at_once():
    job = a_waiting_job()

    assert (job.status, job.scheduled_at, job.attempts) == (Status.ENQUEUED, NOW, 0)


def test_a_new_job_has_what_it_was_given_and_defaults():
    given = a_waiting_job(due=LATER, priority=5, max_attempts=3)

    assert given == JobState(Status.SCHEDULED, "mail", 5, 3, NOW, LATER)
    assert a_waiting_job() == JobState(Status.ENQUEUED, "mail", 0, 1, NOW, NOW)


def test_a_new_job_due_in_a_microsecond_is_scheduled():
    job = a_waiting_job(due=NOW + 1)

    assert (job.status, job.scheduled_at) == (Status.SCHEDULED, NOW + 1)


@pytest.mark.parametrize("due", [NOW, NOW - 1])
def test_a_new_job_due_now_or_before_is_enqueued(due):
    assert a_waiting_job(due=due).status is Status.ENQUEUED


@pytest.mark.parametrize(
    ("due", "delay", "expected"),
    [
        (None, None, (Status.ENQUEUED, LATER)),
        (LATER, None, (Status.ENQUEUED, LATER)),
        (LATER + 1, None, (Status.SCHEDULED, LATER + 1)),
        (NOW + 5, 5, (Status.SCHEDULED, LATER + 5)),
        (NOW, 0, (Status.ENQUEUED, LATER)),
    ],
)
def test_a_job_that_is_stored_later_than_it_was_built_is_new_then(due, delay, expected):
    stored = lifecycle.made_later(a_waiting_job(due=due), now=LATER, delay=delay)

    assert (stored.status, stored.scheduled_at) == expected
    assert stored.updated_at == LATER


def test_a_claimed_job_runs_on_its_node_and_counts_the_attempt():
    job = a_running_job()

    assert (job.status, job.node, job.attempts, job.execution) == (Status.RUNNING, 7, 1, 1)
    assert job.scheduled_at is None


def test_a_claim_changes_what_concerns_the_execution_alone():
    job = a_waiting_job(max_attempts=3, priority=5)

    claimed = lifecycle.claim(job, node=7, now=LATER)

    assert claimed == replace(
        job,
        status=Status.RUNNING,
        node=7,
        attempts=1,
        execution=1,
        scheduled_at=None,
        updated_at=LATER,
        started_at=LATER,
    )


@pytest.mark.parametrize(
    ("outcome", "status", "attempts", "scheduled_at"),
    [
        (Completed(), Status.COMPLETED, 1, None),
        (Failed("no", None, 10.0), Status.RETRYING, 1, LATER + 10 * instant.SECOND),
        (Refused("no worker"), Status.FAILED, 1, None),
        (Cancelled("enough"), Status.CANCELLED, 1, None),
        (Snoozed(5.0), Status.SCHEDULED, 0, LATER + 5 * instant.SECOND),
        (Snoozed(0.0), Status.ENQUEUED, 0, LATER),
        (GivenBack(), Status.ENQUEUED, 0, LATER),
        (GivenBack(5.0), Status.SCHEDULED, 0, LATER + 5 * instant.SECOND),
        (Interrupted("node 7 died", 3), Status.ENQUEUED, 0, LATER),
        (Interrupted("node 7 died", 1), Status.FAILED, 0, None),
    ],
)
def test_an_outcome_decides_status_attempts_and_due_time(outcome, status, attempts, scheduled_at):
    after = lifecycle.settle(a_running_job(max_attempts=2), outcome, now=LATER)[0]

    assert (after.status, after.attempts, after.scheduled_at) == (status, attempts, scheduled_at)
    assert (after.node, after.updated_at) == (7 if status in ENDED else 0, LATER)


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Completed(), None),
        (Failed("no", "trace"), "no"),
        (Refused("no worker"), "no worker"),
        (Cancelled("enough"), "enough"),
        (Snoozed(5.0), None),
        (GivenBack(), None),
        (Interrupted("node 7 died", 3), "interrupted: node 7 died"),
    ],
)
def test_an_outcome_leaves_an_error_when_something_went_wrong(outcome, text):
    after, error = lifecycle.settle(a_running_job(), outcome, now=LATER)

    assert (error and error.error) == text
    assert after.errors == (0 if text is None else 1)


def test_an_error_names_the_attempt_that_failed_and_when():
    _, error = lifecycle.settle(a_running_job(), Failed("no", "trace"), now=LATER)

    assert error == lifecycle.ErrorEntry(1, "no", "trace", LATER, started_at=NOW, node=7)


@pytest.mark.parametrize(
    "outcome", [Failed("no"), Refused("no"), Cancelled("no"), Interrupted("no", 3)]
)
def test_every_error_names_the_attempt_and_when(outcome):
    first = lifecycle.settle(a_running_job(max_attempts=2), Failed("no"), now=NOW)[0]
    second = lifecycle.claim(first, node=7, now=NOW)

    error = lifecycle.settle(second, outcome, now=LATER)[1]

    assert (error.attempt, error.attempted_at) == (2, LATER)


@pytest.mark.parametrize(
    ("outcome", "error_type"),
    [
        (Failed("no", "trace", error_type="KeyError"), "KeyError"),
        (Failed("no"), None),
        (Refused("no worker", "NotAWorker"), "NotAWorker"),
        (Cancelled("enough"), None),
        (Interrupted("node 7 died", 3), None),
    ],
)
def test_an_error_has_the_type_of_its_exception(outcome, error_type):
    _, error = lifecycle.settle(a_running_job(), outcome, now=LATER)

    assert error.error_type == error_type


# ---- when it began and ended ------------------------------------------------------------------


def test_a_job_has_not_begun_before_it_was_claimed():
    assert (a_waiting_job().started_at, a_waiting_job().ended_at) == (None, None)
    assert a_running_job().started_at == NOW


@pytest.mark.parametrize(
    ("outcome", "ended_at"),
    [
        (Completed(), LATER),
        (Failed("no"), LATER),
        (Refused("no worker"), LATER),
        (Cancelled("enough"), LATER),
        (Interrupted("node 7 died", 1), LATER),
        (Interrupted("node 7 died", 3), None),
        (Snoozed(5.0), None),
        (GivenBack(), None),
    ],
)
def test_a_job_has_ended_when_its_last_execution_has(outcome, ended_at):
    after = lifecycle.settle(a_running_job(), outcome, now=LATER)[0]

    assert (after.started_at, after.ended_at) == (NOW, ended_at)


@pytest.mark.parametrize(
    "outcome",
    [
        Completed(),
        Failed("no"),
        Refused("no worker"),
        Cancelled("enough"),
        Interrupted("node 7 died", 1),
    ],
)
def test_a_job_has_not_ended_before_it_began_though_the_clock_was_turned_back(outcome):
    after = lifecycle.settle(a_running_job(max_attempts=1), outcome, now=NOW - 3600)[0]

    assert (after.started_at, after.ended_at) == (NOW, NOW)


def test_a_job_that_failed_while_its_cancellation_waited_was_not_cancelled_before_that():
    failed = lifecycle.settle(a_running_job(max_attempts=2), Failed("no"), now=LATER)[0]

    cancelled = lifecycle.cancel(failed, now=NOW - 1)

    assert (cancelled.started_at, cancelled.ended_at) == (NOW, LATER)


def test_a_job_that_is_retried_has_not_ended_any_more():
    failed = lifecycle.settle(a_running_job(), Failed("no"), now=LATER)[0]

    again = lifecycle.retry(failed, now=LATER + 1)

    assert (again.started_at, again.ended_at) == (NOW, None)
    assert lifecycle.claim(again, node=1, now=LATER + 2).started_at == LATER + 2


def test_a_job_that_is_cancelled_while_it_waits_has_ended_and_never_began():
    cancelled = lifecycle.cancel(a_waiting_job(), now=LATER)

    again = lifecycle.cancel(cancelled, now=LATER + 1)

    assert (again.started_at, again.ended_at) == (None, LATER)


def test_the_last_attempt_that_fails_fails_the_job():
    after = lifecycle.settle(a_running_job(max_attempts=1), Failed("no", None, 10.0), now=LATER)[0]

    assert (after.status, after.scheduled_at, after.attempts) == (Status.FAILED, None, 1)


def test_a_failure_without_a_delay_waits_ten_seconds_for_each_attempt():
    job, delays = a_waiting_job(max_attempts=4), []

    for _ in range(3):
        job, _ = step(job, Failed("no", retry_in=None), NOW)
        delays.append((job.scheduled_at - NOW) // instant.SECOND)

    assert delays == [10, 20, 30]


def test_an_interruption_is_counted_apart_from_attempts():
    after = lifecycle.settle(a_running_job(), Interrupted("gone", 3), now=LATER)[0]

    assert (after.interruptions, after.attempts) == (1, 0)


def test_a_delay_beyond_the_calendar_ends_at_its_last_instant():
    after = lifecycle.settle(a_running_job(max_attempts=2), Failed("no", None, 1e300), now=LATER)[0]

    assert after.scheduled_at == instant.LATEST


def test_a_waiting_job_can_be_cancelled_and_then_once_more():
    cancelled = lifecycle.cancel(a_waiting_job(), now=LATER)

    again = lifecycle.cancel(cancelled, now=LATER + 1)

    assert cancelled.status is Status.CANCELLED
    assert again is cancelled


def a_retrying_job():
    job = lifecycle.settle(a_running_job(max_attempts=3), Failed("no", None, 90.0), now=NOW)[0]
    assert job.status is Status.RETRYING
    return job


@pytest.mark.parametrize("job", [a_waiting_job(due=LATER), a_retrying_job()])
def test_a_job_that_is_run_now_is_due_and_else_as_it_was(job):
    assert lifecycle.run_now(job, now=NOW + 5) == replace(
        job, scheduled_at=NOW + 5, updated_at=NOW + 5, history=job.history + 1
    )


@pytest.mark.parametrize("job", [a_waiting_job(), a_waiting_job(due=LATER), a_retrying_job()])
def test_a_job_that_is_due_is_not_changed_by_running_it_now(job):
    assert lifecycle.run_now(job, now=10 * LATER) is job
    assert lifecycle.run_now(job, now=job.scheduled_at) is job


def test_an_enqueued_job_is_not_changed_by_running_it_before_it_was_enqueued():
    job = a_waiting_job()

    assert lifecycle.run_now(job, now=NOW - 5) is job


def test_a_scheduled_job_that_has_lost_its_time_is_due_now():
    job = replace(a_waiting_job(due=LATER), scheduled_at=None)

    assert lifecycle.run_now(job, now=NOW).scheduled_at == NOW


@pytest.mark.parametrize(
    ("job", "status"),
    [
        (a_waiting_job(), Status.SCHEDULED),
        (a_waiting_job(due=LATER), Status.SCHEDULED),
        (a_retrying_job(), Status.RETRYING),
    ],
)
@pytest.mark.parametrize("due", [NOW, NOW + 5, 3 * LATER])
def test_a_rescheduled_job_is_due_then_and_keeps_its_attempts(job, status, due):
    after = lifecycle.reschedule(job, due=due, now=NOW + 5)

    assert after == replace(
        job, status=status, scheduled_at=due, updated_at=NOW + 5, history=job.history + 1
    )
    assert lifecycle.claim(after, node=7, now=due).attempts == job.attempts + 1


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lifecycle.run_now, "can be made due"),
        (partial(lifecycle.reschedule, due=LATER), "can be rescheduled"),
    ],
)
@pytest.mark.parametrize("status", [Status.RUNNING, Status.SUSPENDED, *sorted(ENDED)])
def test_a_job_that_waits_for_no_time_and_no_turn_cannot_be_made_due(change, what, status):
    with pytest.raises(NotRetryable) as refused:
        change(replace(a_waiting_job(), status=status), now=NOW)

    assert refused.value.status is status
    assert str(refused.value) == (
        f"only scheduled, retrying and enqueued jobs {what}; this one is {status}"
    )


@pytest.mark.parametrize("job", [a_waiting_job(due=LATER), a_retrying_job()])
def test_a_due_job_that_has_to_wait_for_a_limit_is_enqueued_and_else_as_it_was(job):
    assert lifecycle.come_due(job, now=NOW + 5) == replace(
        job, status=Status.ENQUEUED, updated_at=NOW + 5, history=job.history + 1
    )


@pytest.mark.parametrize("job", [a_waiting_job(), a_waiting_job(due=LATER), a_retrying_job()])
def test_a_job_that_a_newer_one_replaces_is_cancelled_and_its_error_names_that(job):
    after, error = lifecycle.replaced(job, 4711, "account", now=NOW + 5)

    assert after == replace(lifecycle.cancel(job, now=NOW + 5), errors=job.errors + 1)
    assert error == lifecycle.ErrorEntry(
        job.attempts,
        "replaced by job 4711, which came while the limit 'account' was full",
        None,
        NOW + 5,
    )


def test_a_job_that_is_retried_later_is_scheduled_with_all_its_attempts():
    failed = lifecycle.settle(a_running_job(), Failed("no"), now=NOW)[0]

    again = lifecycle.retry(failed, now=NOW, due=LATER)

    assert again == replace(
        lifecycle.retry(failed, now=NOW), status=Status.SCHEDULED, scheduled_at=LATER
    )
    assert (again.attempts, again.status) == (0, Status.SCHEDULED)


def test_a_running_job_that_is_cancelled_runs_on_until_it_has_ended():
    cancelled = lifecycle.cancel(a_running_job(), now=LATER)

    assert cancelled.status is Status.RUNNING
    assert cancelled.cancelling
    assert cancelled.updated_at == LATER
    assert lifecycle.cancel(cancelled, now=LATER + 1) is cancelled


@pytest.mark.parametrize(
    "outcome",
    [
        Cancelled("by itself"),
        Failed("no"),
        Snoozed(5.0),
        GivenBack(),
        Interrupted("its node died", 9),
    ],
)
def test_a_job_that_was_cancelled_while_it_ran_is_cancelled_whatever_it_comes_to(outcome):
    cancelled = lifecycle.cancel(a_running_job(max_attempts=9), now=LATER)

    after, error = lifecycle.settle(cancelled, outcome, now=LATER + 1)

    assert after.status is Status.CANCELLED
    assert after.updated_at == LATER + 1
    assert after.errors == (error is not None)
    assert after.attempts == cancelled.attempts
    assert (after.node, after.scheduled_at) == (7, None)


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(Completed(), Status.COMPLETED), (Refused("no worker"), Status.FAILED)],
)
def test_a_job_that_was_cancelled_too_late_is_what_it_came_to(outcome, status):
    cancelled = lifecycle.cancel(a_running_job(), now=LATER)

    assert lifecycle.settle(cancelled, outcome, now=LATER)[0].status is status


def test_a_job_that_is_retried_after_it_was_cancelled_too_late_runs_as_any_other():
    completed = lifecycle.settle(
        lifecycle.cancel(a_running_job(), now=LATER), Completed(), now=LATER
    )[0]
    again = lifecycle.claim(lifecycle.retry(completed, now=LATER), node=2, now=LATER)

    assert lifecycle.settle(again, Failed("no"), now=LATER)[0].status is Status.FAILED


@pytest.mark.parametrize("outcome", [Completed(), Failed("no"), Refused("no worker")])
def test_a_job_that_has_ended_cannot_be_cancelled(outcome):
    job = lifecycle.settle(a_running_job(), outcome, now=LATER)[0]

    with pytest.raises(NotCancellable, match=str(job.status)) as refused:
        lifecycle.cancel(job, now=LATER)

    assert refused.value.status is job.status


def test_a_job_that_has_not_ended_cannot_be_retried():
    with pytest.raises(NotRetryable, match="running") as refused:
        lifecycle.retry(a_running_job(), now=LATER)

    assert refused.value.status is Status.RUNNING


def test_a_retried_job_has_all_its_attempts_before_it_and_keeps_its_errors():
    failed = lifecycle.settle(a_running_job(), Failed("no"), now=LATER)[0]

    again = lifecycle.retry(failed, now=LATER + 5)

    assert (again.status, again.attempts, again.interruptions) == (Status.ENQUEUED, 0, 0)
    assert (again.scheduled_at, again.errors) == (LATER + 5, 1)


def test_a_retried_job_is_as_new_but_for_its_history():
    job = a_waiting_job(max_attempts=3, priority=5)
    for tick in range(2):
        job, _ = step(job, Interrupted("node died", 3), NOW + tick)
    assert (job.interruptions, job.isolated) == (2, True)
    ended = lifecycle.cancel(job, now=LATER)

    again = lifecycle.retry(ended, now=LATER + 5)

    assert again == replace(
        ended,
        status=Status.ENQUEUED,
        attempts=0,
        interruptions=0,
        isolated=False,
        scheduled_at=LATER + 5,
        updated_at=LATER + 5,
        history=ended.history + 1,
    )


def test_a_job_whose_record_is_damaged_has_failed_and_says_why():
    job, error = lifecycle.mark_damaged(queue_name="mail", why="unreadable", errors=4, now=LATER)

    assert job == JobState(Status.FAILED, "mail", 0, 1, LATER, None, errors=5)
    assert error == lifecycle.ErrorEntry(0, "unreadable", None, LATER)


@given(count=st.integers(0, 10_000))
def test_of_a_jobs_errors_the_first_and_the_newest_are_kept(count):
    dropped = lifecycle.dropped_errors(count)

    kept = [number for number in range(count) if number not in dropped]

    newest = range(max(0, count - lifecycle.NEWEST_ERRORS), count)
    assert kept == sorted({*range(min(count, 1)), *newest})
    assert lifecycle.kept_errors(range(count)[::-1]) == tuple(kept[::-1])


@given(count=st.integers(1, 10_000))
def test_one_more_error_drops_one_that_was_kept_at_most(count):
    before, now = lifecycle.dropped_errors(count - 1), lifecycle.dropped_errors(count)

    assert set(before) <= set(now)
    assert len(now) - len(before) == (count > lifecycle.NEWEST_ERRORS + 1)


@given(text=st.text(), trace=st.none() | st.text(), times=st.sampled_from([1, 30_000]))
def test_an_error_can_be_stored_whatever_its_texts_are(text, trace, times):
    entry = lifecycle.error_entry(1, text * times, trace and trace * times, NOW)

    assert len(entry.error.encode()) <= TEXT_LIMIT
    assert (entry.stack_trace is None) == (trace is None)
    assert len((entry.stack_trace or "").encode()) <= TRACE_LIMIT
    if len((text * times).encode("utf-8", "backslashreplace")) > TEXT_LIMIT:
        assert f"cut to {TEXT_LIMIT}" in entry.error


def test_of_a_long_trace_the_end_is_kept():
    entry = lifecycle.error_entry(1, "no", "begin" + "x" * TRACE_LIMIT + "end", NOW)

    assert entry.stack_trace.endswith("end")


outcomes = st.one_of(
    st.just(Completed()),
    st.builds(Failed, st.just("no"), st.none(), st.floats(0, 1e6)),
    st.just(Refused("no worker")),
    st.just(Cancelled("enough")),
    st.builds(Snoozed, st.floats(0, 1e6)),
    st.builds(GivenBack, st.sampled_from([0.0, 5.0])),
    st.just(Interrupted("node died", 3)),
)
steps = st.lists(st.one_of(outcomes, st.sampled_from(["cancel", "retry"])), max_size=30)


def step(job, what, now):
    """Return what *job* becomes when *what* happens to it, and the error it left."""
    if what == "cancel":
        return (lifecycle.cancel(job, now=now) if job.status in WAITING else job), None
    if what == "retry":
        return (lifecycle.retry(job, now=now) if job.status in ENDED else job), None
    if job.status in WAITING:
        return lifecycle.settle(lifecycle.claim(job, node=7, now=now), what, now=now)
    return job, None


@given(max_attempts=st.integers(1, 4), history=steps)
def test_whatever_happens_to_a_job_its_counts_stay_true(max_attempts, history):
    job = a_waiting_job(max_attempts=max_attempts)
    entries = 0

    for tick, what in enumerate(history, start=1):
        before = job
        job, error = step(job, what, NOW + tick)
        entries += error is not None

        assert 0 <= job.attempts <= job.max_attempts
        assert 0 <= job.interruptions <= 3
        assert job.errors == entries
        assert job.execution - before.execution in {0, 1}
        assert (job.scheduled_at is None) == (job.status in ENDED)
        assert job.node in ({0, 7} if job.status in ENDED else {0})
        assert job.history - before.history in ({0} if job.status is Status.COMPLETED else {0, 1})
        assert (job.started_at is None) == (job.execution == 0)
        assert (job.ended_at is None) == (job.status not in ENDED)
        if job.ended_at is not None and before.ended_at is None:
            assert job.ended_at == NOW + tick
        if before.ended_at is not None and job.status in ENDED:
            assert job.ended_at == before.ended_at
        if job.status is Status.RETRYING:
            assert 0 < job.attempts < job.max_attempts
        assert (job.queue_name, job.priority) == (before.queue_name, before.priority)


@given(max_attempts=st.integers(1, 6))
def test_a_job_that_always_fails_runs_exactly_max_attempts_times(max_attempts):
    job = a_waiting_job(max_attempts=max_attempts)

    while job.status in WAITING:
        job, _ = step(job, Failed("no"), NOW)

    assert (job.status, job.execution, job.errors) == (Status.FAILED, max_attempts, max_attempts)


def test_a_job_that_kills_its_node_each_time_fails_at_the_third():
    job = a_waiting_job(max_attempts=10)
    errors = []

    while job.status in WAITING:
        job, error = step(job, Interrupted("node died", 3), NOW)
        errors.append(error.error)

    assert (job.status, job.interruptions, job.attempts) == (Status.FAILED, 3, 0)
    assert errors[-1] == "interrupted: node died; that was interruption 3 of at most 3"


@pytest.mark.parametrize(
    ("most", "isolated"),
    [(1, []), (2, [True]), (3, [False, True]), (5, [False, False, False, True])],
)
def test_a_job_runs_isolated_once_one_more_interruption_would_fail_it(most, isolated):
    job, found = a_waiting_job(), []

    while True:
        job, _ = step(job, Interrupted("node died", most), NOW)
        if job.status in ENDED:
            break
        found.append(job.isolated)

    assert found == isolated


# ---- snoozing -----------------------------------------------------------------------------------


@given(
    max_attempts=st.integers(2, 5),
    rounds=st.lists(
        st.lists(st.sampled_from([Failed("no"), GivenBack()]), max_size=8), max_size=20
    ),
)
def test_a_job_that_snoozes_as_its_schedule_ends_only_by_what_fails_in_a_row(max_attempts, rounds):
    job = a_waiting_job(max_attempts=max_attempts)

    for between_two_snoozes in rounds:
        for outcome in between_two_snoozes:
            job, _ = step(job, outcome, NOW)
        failed = sum(isinstance(each, Failed) for each in between_two_snoozes)
        assert (job.status in ENDED) == (failed >= max_attempts)
        if job.status in ENDED:
            return
        job, _ = step(job, Snoozed(1.0), NOW)
        assert (job.status, job.attempts) == (Status.SCHEDULED, 0)


def test_a_snooze_forgets_no_interruption_of_a_job_that_kills_its_node_now_and_then():
    job = a_waiting_job(max_attempts=9)

    killed = Interrupted("node died", 3)
    for outcome in (killed, Snoozed(0.0), killed, Snoozed(0.0), killed):
        job, _ = step(job, outcome, NOW)

    assert (job.status, job.interruptions) == (Status.FAILED, 3)


@given(failures=st.integers(1, 4))
def test_a_job_that_is_given_back_keeps_its_failed_attempts(failures):
    job = a_waiting_job(max_attempts=9)
    for _ in range(failures):
        job, _ = step(job, Failed("no"), NOW)

    for seconds in (0.0, 5.0):
        job, _ = step(job, GivenBack(seconds), NOW)
        assert job.attempts == failures


def test_a_snooze_keeps_the_errors_of_what_failed_before():
    job = a_waiting_job(max_attempts=2)

    for outcome in (Failed("no"), Snoozed(0.0), Failed("no"), Snoozed(0.0), Failed("no")):
        job, _ = step(job, outcome, NOW)

    assert (job.status, job.attempts, job.errors) == (Status.RETRYING, 1, 3)
