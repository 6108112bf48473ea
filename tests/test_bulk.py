"""All jobs that a filter finds are retried, cancelled or deleted, page by page."""

import asyncio
import itertools
import pickle
import signal
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.apps import Fails, Plain, settled, until

from antq_actors import (
    ACTIVE,
    AntQ,
    BulkOutcome,
    Concurrency,
    NotStarted,
    Status,
    Unique,
    Worker,
    maintenance,
)
from antq_actors.app import bulk
from antq_actors.jobs import instant
from antq_actors.storage.format.records import BulkResult

PAGE = 500


class Import(Worker, max_attempts=1):
    def perform(self, job):
        raise (TimeoutError if job.args["n"] % 2 else KeyError)(f"part {job.args['n']}")


def ids(jobs):
    return [job.id for job in jobs]


def statuses(app):
    return {id_: str(status) for id_, status in ((job.id, job.status) for job in app.list_jobs())}


@pytest.fixture
def stored(light):
    """Nine jobs: 1 to 3 cancelled, 4 to 6 scheduled, 7 to 9 enqueued, the last in mail."""
    light.enqueue_many(Plain, ({"n": n} for n in range(3)))
    for id_ in (1, 2, 3):
        light.cancel_job(id_)
    light.enqueue_many(Plain, ({"n": n} for n in range(3)), schedule_in=3600)
    light.enqueue_many(Plain, ({"n": n} for n in range(2)))
    light.enqueue(Plain, {"n": 2}, queue="mail")
    return light


@pytest.fixture
def failed(app):
    """An application with its queues paused and ten failed jobs, of which five timed out."""
    app.enqueue_many(Import, ({"n": n} for n in range(10)))
    assert app.wait_idle(timeout=60)
    app.queue("default").pause()
    return app


# ---- which jobs -------------------------------------------------------------------------------


def test_failed_jobs_are_retried_as_each_by_itself_would_be(failed):
    before = failed.get_job(1)

    assert failed.retry_jobs() == BulkOutcome(changed=10, skipped=0, refused=0)

    jobs = failed.list_jobs()
    assert {job.status for job in jobs} == {Status.ENQUEUED}
    assert {job.attempts for job in jobs} == {0}
    assert jobs[0].errors == before.errors
    assert jobs[0].scheduled_at == jobs[0].updated_at > before.updated_at
    assert failed.verify() == []


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"error": "part 3"}, [4]),
        ({"error": "TimeoutError"}, [2, 4, 6, 8, 10]),
        ({"error": "timeouterror"}, []),
        ({"error": "TimeoutError", "limit": 2}, [2, 4]),
        ({"error": ""}, list(range(1, 11))),
        ({"args": {"n": 4}}, [5]),
        ({"worker": Import}, list(range(1, 11))),
        ({"worker": Import.antq_name, "limit": 3}, [1, 2, 3]),
        ({"worker": Plain}, []),
        ({"queue": "mail"}, []),
        ({"limit": 4}, [1, 2, 3, 4]),
        ({"limit": 0}, []),
        ({"status": ["cancelled", "completed"]}, []),
        ({"status": None, "queue": "default", "limit": 1}, [1]),
        ({"inserted_after": datetime(2000, 1, 1, tzinfo=UTC)}, list(range(1, 11))),
        ({"inserted_before": datetime(2000, 1, 1, tzinfo=UTC)}, []),
        ({"failed_after": datetime(2000, 1, 1, tzinfo=UTC), "limit": 1}, [1]),
        ({"failed_before": datetime(2000, 1, 1, tzinfo=UTC)}, []),
    ],
)
def test_only_jobs_that_pass_all_filters_are_retried(failed, filters, found):
    counted = failed.retry_jobs(**filters, dry_run=True)
    unchanged = failed.count_jobs(status="failed")

    retried = failed.retry_jobs(**filters)

    assert counted == retried == BulkOutcome(len(found), 0, 0)
    assert unchanged == 10
    assert ids(failed.list_jobs(status="enqueued")) == found


@pytest.mark.parametrize(
    ("filters", "cancelled"),
    [
        ({"queue": "default"}, [4, 5, 6, 7, 8]),
        ({"queue": "mail"}, [9]),
        ({"status": ACTIVE}, [4, 5, 6, 7, 8, 9]),
        ({"status": "scheduled", "args": {"n": 1}}, [5]),
        ({"worker": Plain, "limit": 2}, [4, 5]),
        ({"error": ""}, []),
    ],
)
def test_jobs_that_have_not_ended_are_cancelled(stored, filters, cancelled):
    assert stored.cancel_jobs(**filters, dry_run=True).changed == len(cancelled)

    assert stored.cancel_jobs(**filters) == BulkOutcome(len(cancelled), 0, 0)

    assert ids(stored.list_jobs(status="cancelled")) == [1, 2, 3, *cancelled]
    assert stored.verify() == []


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({"status": "cancelled"}, [4, 5, 6, 7, 8, 9]),
        ({"queue": "default"}, [9]),
        ({"args": {"n": 2}}, [1, 2, 4, 5, 7, 8]),
        ({"status": Status}, []),
        ({"status": ()}, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ({"worker": Plain, "limit": 8}, [9]),
    ],
)
def test_jobs_of_any_status_are_deleted(stored, filters, left):
    assert stored.delete_jobs(**filters) == BulkOutcome(9 - len(left), 0, 0)

    assert ids(stored.list_jobs()) == left
    assert stored.verify() == []


def test_a_running_job_is_told_to_end_with_the_others(controlled, run):
    app = run()
    running = controlled.job("one", app=app)
    controlled.begun()
    app.queue("default").pause()
    waiting = app.enqueue(Plain)

    assert app.cancel_jobs(queue="default") == BulkOutcome(changed=2)

    assert app.get_job(waiting.id).status is Status.CANCELLED
    assert settled(app, running).status is Status.CANCELLED
    assert app.cancel_jobs(queue="default") == BulkOutcome()


def test_duplicates_and_no_others_are_refused(light):
    class Once(Worker, unique=Unique(args=["n"])):
        def perform(self, job): ...

    light.enqueue(Once, {"n": 1})
    light.cancel_job(1)
    light.enqueue(Once, {"n": 2})
    light.cancel_job(2)
    light.enqueue(Once, {"n": 1})

    outcome = light.retry_jobs(status="cancelled", limit=1)

    assert outcome == BulkOutcome(changed=1, skipped=0, refused=1)
    assert statuses(light) == {1: "cancelled", 2: "enqueued", 3: "enqueued"}


def test_jobs_of_a_full_limit_are_refused_and_left_as_they_were(app):
    begun, released = threading.Semaphore(0), threading.Event()

    class OnlyWhereFree(Worker, concurrency=Concurrency(1, key="n", when_full="discard")):
        def perform(self, job):
            begun.release()
            released.wait(60)

    released.set()
    app.enqueue_many(OnlyWhereFree, ({"n": n} for n in range(2)))
    assert app.wait_idle(timeout=60)
    released.clear()
    app.enqueue(OnlyWhereFree, {"n": 0})
    for _ in range(3):
        assert begun.acquire(timeout=60)
    app.queue("default").pause()

    outcome = app.retry_jobs(status="completed")

    assert outcome == BulkOutcome(changed=1, refused=1)
    assert statuses(app) == {1: "completed", 2: "enqueued", 3: "running"}
    assert app.verify() == []
    released.set()


# ---- what is refused --------------------------------------------------------------------------

VERBS = ("retry", "cancel", "delete")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("filters", [{}, {"args": {}}, {"limit": 5}, {"dry_run": True}])
def test_no_filter_at_all_is_refused(stored, verb, filters):
    if verb == "retry":
        filters = {**filters, "status": None}
    before = statuses(stored)

    with pytest.raises(ValueError, match=rf"{verb}_jobs\(\) without a filter would {verb} all"):
        getattr(stored, f"{verb}_jobs")(**filters)

    assert statuses(stored) == before


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("verb", "status"),
    [
        *(("retry", each) for each in sorted(ACTIVE)),
        ("retry", ["failed", "enqueued"]),
        *(("cancel", each) for each in ("completed", "failed", "cancelled")),
        ("cancel", ["enqueued", "failed"]),
        ("delete", "odd"),
    ],
)
def test_a_status_that_the_verb_cannot_change_is_refused(stored, verb, status, dry_run):
    odd = status if isinstance(status, str) else status[verb == "retry"]

    with pytest.raises(ValueError, match=odd if verb in {"delete", "retry"} else "only"):
        getattr(stored, f"{verb}_jobs")(status=status, dry_run=dry_run)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("filters", "error", "says"),
    [
        ({"limit": -1}, ValueError, "limit must be at least 0"),
        ({"limit": "5"}, TypeError, "limit must be a whole number"),
        ({"dry_run": 1}, TypeError, "dry_run"),
        ({"queue": 5}, TypeError, "queue must be a name"),
        ({"error": 5}, TypeError, "error must be a part"),
        ({"args": [1]}, TypeError, "args must be a mapping"),
        ({"worker": 5}, TypeError, "5"),
        ({"failed_after": datetime(2030, 1, 1)}, ValueError, "no time zone"),  # noqa: DTZ001
        ({"inserted_before": "2030"}, TypeError, "inserted_before must be a datetime"),
        ({"nonsense": 1}, TypeError, "unexpected keyword argument 'nonsense'"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(stored, verb, filters, error, says):
    with pytest.raises(error, match=says):
        getattr(stored, f"{verb}_jobs")(**{"queue": "default", **filters})


@pytest.mark.parametrize("spread", [-1, float("nan"), float("inf"), "60", None])
def test_a_spread_that_makes_no_sense_is_refused(stored, spread):
    with pytest.raises((TypeError, ValueError), match="spread"):
        stored.retry_jobs(status="cancelled", spread=spread)


def test_an_unknown_name_that_finds_nothing_is_a_warning(stored):
    with pytest.warns(UserWarning, match="did you mean 'default'") as warned:
        assert stored.cancel_jobs(queue="defualt") == BulkOutcome()
    with pytest.warns(UserWarning, match="no job has a worker 'Plian'"):
        stored.delete_workers(worker="Plian")

    assert warned[0].filename == __file__


def test_an_application_that_does_not_run_changes_nothing():
    with pytest.raises(NotStarted):
        AntQ().retry_jobs()


# ---- spread -----------------------------------------------------------------------------------


def test_retried_jobs_are_spread_evenly_over_a_time(failed):
    began = datetime.now(UTC)

    assert failed.retry_jobs(spread=timedelta(minutes=3)).changed == 10

    jobs = failed.list_jobs(status="scheduled")
    due = [job.scheduled_at for job in jobs]
    assert ids(jobs) == list(range(1, 11))
    assert {job.attempts for job in jobs} == {0}
    assert due[0] >= began
    assert due[-1] == due[0] + timedelta(minutes=3)
    assert {late - early for early, late in itertools.pairwise(due)} == {timedelta(seconds=20)}


def test_jobs_of_several_pages_are_spread_as_one(light):
    light.enqueue_many(Plain, [{}] * (2 * PAGE + 1))
    light.cancel_jobs(queue="default")

    assert light.retry_jobs(status="cancelled", spread=1000, limit=PAGE + 1).changed == PAGE + 1

    due = [job.scheduled_at for job in light.list_jobs(status="scheduled")]
    assert len(due) == PAGE + 1
    assert {late - early for early, late in itertools.pairwise(due)} == {timedelta(seconds=2)}


def test_jobs_that_are_spread_run_when_they_are_due(failed):
    failed.retry_jobs(spread=0.05)

    failed.queue("default").resume()

    until(lambda: all(len(job.errors) == 2 for job in failed.list_jobs()), "the last retry")


@given(
    total=st.integers(1, 3_000),
    spread=st.integers(0, 10**12),
    began=st.integers(0, 10**16),
)
def test_the_first_is_due_at_once_and_the_last_at_the_end(total, spread, began):
    due = [bulk.due_at(number, total, began, spread) for number in range(total)]

    assert due == sorted(due)
    assert due[0] == began
    assert due[-1] == (began + spread if total > 1 else began)
    steps = [late - early for early, late in itertools.pairwise(due)]
    assert not steps or max(steps) - min(steps) <= 1


def test_more_jobs_than_were_counted_are_due_at_the_end():
    assert bulk.due_at(7, 3, 100, 60) == 160
    assert bulk.due_at(1, 2, instant.LATEST, 60) == instant.LATEST


# ---- page by page -----------------------------------------------------------------------------


@pytest.fixture
def many(light):
    light.enqueue_many(Plain, ({"n": n} for n in range(2 * PAGE + 50)))
    return light


def test_pages_are_reported_one_after_the_other(many):
    reported = []
    with bulk.reported_to(reported.append):
        many.cancel_jobs(queue="default")

    assert [outcome.changed for outcome in reported] == [PAGE, 2 * PAGE, 2 * PAGE + 50]
    assert many.count_jobs(status="cancelled") == 2 * PAGE + 50


@pytest.mark.parametrize("filters", [{"queue": "default"}, {"worker": Plain}])
def test_what_is_enqueued_in_the_meantime_is_left(many, filters):
    with bulk.reported_to(lambda _: many.enqueue(Plain)):
        outcome = many.cancel_jobs(**filters)

    assert outcome == BulkOutcome(changed=2 * PAGE + 50)
    assert many.count_jobs(status="enqueued") == 3


def test_what_fails_again_in_the_meantime_is_not_retried_twice(app):
    app.enqueue_many(Fails, [{}] * (PAGE + 20))
    assert app.wait_idle(timeout=60)

    with bulk.reported_to(lambda _: app.wait_idle(timeout=60)):
        assert app.retry_jobs().changed == PAGE + 20

    assert app.wait_idle(timeout=60)
    assert {job.error_count for job in app.list_jobs()} == {2}


def test_what_comes_to_a_status_in_the_meantime_is_skipped(many):
    many.cancel_jobs(queue="default", limit=PAGE)
    cancelled = []

    def cancel(_):
        if not cancelled:
            cancelled.append(many.cancel_job(2 * PAGE))

    with bulk.reported_to(cancel):
        outcome = many.delete_jobs(status="cancelled")

    assert outcome == BulkOutcome(changed=PAGE, skipped=1)
    assert ids(many.list_jobs(status="cancelled")) == [2 * PAGE]


def test_a_job_that_is_gone_in_the_meantime_is_not_changed(many):
    def delete(outcome):
        if outcome.changed == PAGE:
            many.delete_job(2 * PAGE)

    with bulk.reported_to(delete):
        assert many.cancel_jobs(queue="default") == BulkOutcome(changed=2 * PAGE + 49)


def test_a_change_does_not_decode_arguments_that_no_filter_asks_for(many, monkeypatch):
    def decode(*_):
        raise AssertionError("arguments were decoded")

    monkeypatch.setattr("antq_actors.app.queries.display_args", decode)
    monkeypatch.setattr("antq_actors.storage.format.display.spec_for_display", decode)

    assert many.cancel_jobs(queue="default").changed == 2 * PAGE + 50
    assert many.retry_jobs(status="cancelled", spread=60).changed == 2 * PAGE + 50
    assert many.delete_jobs(status="scheduled").changed == 2 * PAGE + 50


def test_jobs_of_workers_that_are_not_here_are_changed(light):
    class Gone(Worker, name="shop.gone:Gone"):
        def perform(self, job): ...

    light.enqueue_many(Gone, [{}] * 3)
    names = light.cancel_jobs(worker="shop.gone:Gone", limit=1), light.cancel_jobs(worker=Gone)

    assert [outcome.changed for outcome in names] == [1, 2]


def test_a_process_that_is_killed_has_changed_whole_pages(program, tmp_path):
    path = tmp_path / "store"
    with AntQ(path, start_queues=False) as app:
        app.enqueue_many(Plain, ({"n": n} for n in range(4 * PAGE)))
        app.cancel_jobs(queue="default")
    code = f"""
import os, signal
from antq_actors import AntQ
from antq_actors.storage.jobs.job_store import JobStore

retry, left = JobStore._retry, 2 * {PAGE} + 100

def killed(*args, **options):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return retry(*args, **options)

JobStore._retry = killed
with AntQ({str(path)!r}, start_queues=False) as app:
    app.retry_jobs(status="cancelled")
"""

    status, _, errors = program("-c", code).end(60)

    assert status == -signal.SIGKILL, errors
    assert maintenance.verify(path) == []
    with AntQ(path, start_queues=False) as app:
        assert ids(app.list_jobs(status="enqueued")) == list(range(1, 2 * PAGE + 1))
        assert app.retry_jobs(status="cancelled") == BulkOutcome(changed=2 * PAGE)
        assert app.count_jobs(status="enqueued") == 4 * PAGE


def test_two_processes_change_each_job_once(program, tmp_path):
    path = tmp_path / "store"
    with AntQ(path, start_queues=False) as app:
        app.enqueue_many(Plain, ({"n": n} for n in range(4 * PAGE)))
        other = program(
            "-c",
            f"""
from antq_actors import AntQ
with AntQ({str(path)!r}, start_queues=False) as app:
    print("started", flush=True)
    print(app.cancel_jobs(queue="default").changed, flush=True)
""",
        )
        assert other.line() == "started"

        here = app.cancel_jobs(queue="default")

        assert here.changed + int(other.line()) == 4 * PAGE
        assert app.count_jobs(status="cancelled") == 4 * PAGE
        assert app.verify() == []


# ---- values and twins -------------------------------------------------------------------------


def test_an_outcome_is_a_value():
    outcome = BulkOutcome(3, 2, 1)

    assert outcome == BulkOutcome(changed=3, skipped=2, refused=1) != BulkOutcome()
    assert pickle.loads(pickle.dumps(outcome)) == outcome  # noqa: S301 - its own
    with pytest.raises(AttributeError):
        outcome.changed = 5


@given(st.lists(st.tuples(*[st.integers(0, 500)] * 3)))
def test_the_outcome_is_the_sum_of_all_pages(pages):
    change = bulk.checked("cancel", {"queue": "mail"})

    for page in pages:
        change = change.after(BulkResult(*page))

    assert change.outcome == tuple(map(sum, zip(*pages, strict=True))) or not pages


def test_twins_change_jobs_as_the_methods_do(stored):
    async def change():
        return (
            await stored.acancel_jobs(queue="mail"),
            await stored.aretry_jobs(status="cancelled", limit=2),
            await stored.adelete_jobs(status="cancelled", dry_run=True),
        )

    assert [outcome.changed for outcome in asyncio.run(change())] == [1, 2, 2]
    with pytest.raises(ValueError, match="without a filter"):
        asyncio.run(stored.adelete_jobs())


def test_jobs_are_changed_under_ants_names(stored):
    assert stored.cancel_workers(queue_name="mail").changed == 1
    assert stored.retry_workers(status="cancelled", queue_name="default", spread=5).changed == 3
    assert stored.retry_workers() == BulkOutcome()
    assert stored.delete_workers(worker=Plain, status="enqueued").changed == 2
    assert ids(stored.list_jobs()) == [1, 2, 3, 4, 5, 6, 9]
    for name in ("retry", "cancel", "delete"):
        with pytest.raises(TypeError, match=rf"{name}_workers.*'queue'; did you mean 'queue_name'"):
            getattr(stored, f"{name}_workers")(queue="mail")
