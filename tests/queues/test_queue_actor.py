"""A queue: how many at once, in which order, how soon, and what becomes of each outcome."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from support.apps import settled, until

from antq_actors import AlreadyExists, Cancel, Fail, JobNotFound, Snooze, Status, Unique
from antq_actors.queues import SetConcurrency, Wake


def paused(app):
    app.queue("default").pause()
    return app


# ---- how many at once -----------------------------------------------------------------------


def test_no_more_jobs_run_at_once_than_the_concurrency(run, controlled):
    app = controlled.app = run(concurrency=3)
    jobs = controlled.jobs(range(40))
    controlled.begun(3)
    assert len(controlled.running()) == 3

    controlled.release_all()

    for job in jobs:
        settled(app, job)
    assert controlled.most_at_once == 3
    assert sorted([*range(3), *controlled.begun(37)]) == list(range(40))
    assert not controlled.has_begun_more()


def test_raised_concurrency_starts_more_jobs_at_once(run, controlled):
    app = controlled.app = run(concurrency=1)
    controlled.jobs(range(5))
    controlled.begun(1)

    app.queue("default").set_concurrency(4)

    controlled.begun(3)
    assert controlled.running() == [0, 1, 2, 3]


def test_lowered_concurrency_stops_no_running_job_and_limits_later_ones(run, controlled):
    app = controlled.app = run(concurrency=4)
    jobs = controlled.jobs(range(12))
    controlled.begun(4)

    app.queue("default").set_concurrency(2)

    assert controlled.running() == [0, 1, 2, 3]
    controlled.release(0, 1)
    settled(app, jobs[0])
    settled(app, jobs[1])
    app.queue("default").ref.ask(Wake())
    assert app.queue("default").status().running == (jobs[2].id, jobs[3].id)
    controlled.most_at_once = 0
    controlled.release_all()
    for job in jobs:
        settled(app, job)
    # The two still on controlled, and never a third beside them.
    assert controlled.most_at_once <= 2


def test_claimed_jobs_beyond_a_limit_lowered_in_the_meantime_are_released(run, controlled):
    app = controlled.app = run(concurrency=5)
    store, begun, go_on = app._running.store, threading.Event(), threading.Event()
    paused(app)
    jobs = controlled.jobs(range(3))

    # The store has sent its wakes, the queue has heard them, and has its answer.
    app.count_workers()
    state = app.queue("default").ref._actor_weakref()._state
    app.queue("default").status()
    until(lambda: state.in_flight is None, "the answer")

    def resume_and_hold(store):
        store.set_paused("default", paused=False)
        begun.set()
        go_on.wait(30)

    threading.Thread(target=store.write, args=(resume_and_hold,)).start()
    begun.wait(30)
    # It asks for five jobs, and has one slot before it is answered.
    app.queue("default").ref.tell(Wake())
    app.queue("default").ref.tell(SetConcurrency(1))
    until(lambda: state.in_flight is not None and state.concurrency == 1, "the question")
    go_on.set()

    assert controlled.begun() == [0]
    status = until(lambda: has_given_back(app), "the others given back")
    assert status.counts[Status.ENQUEUED] == 2
    controlled.release_all()
    for job in jobs:
        assert settled(app, job).attempts == 1
    assert controlled.most_at_once == 1


def has_given_back(app):
    status = app.queue("default").status()
    return status if status.counts.get(Status.RUNNING) == 1 else None


def test_queues_do_not_wait_for_each_other(run, controlled):
    app = controlled.app = run(concurrency=1, queues=("default", "mail"))
    controlled.job("a")
    controlled.begun()

    there = controlled.job("b", queue="mail")

    assert controlled.begun() == ["b"]
    controlled.release("b")
    assert settled(app, there).status is Status.COMPLETED


# ---- in which order -------------------------------------------------------------------------


def test_jobs_are_picked_up_scheduled_first_then_retrying_then_by_priority_and_id(run, controlled):
    app = controlled.app = run(concurrency=2)
    controlled.delay = lambda job: 0.3
    retrying = {part: controlled.job(part, max_attempts=2) for part in ("retry 1", "retry 2")}
    controlled.begun(2)
    paused(app)
    for part, job in retrying.items():
        controlled.release(part, then=lambda job: Fail("once"))
        settled(app, job, Status.RETRYING)
    app.queue("default").set_concurrency(1)
    controlled.job("late", priority=0)
    controlled.job("urgent", priority=5)
    controlled.job("last", priority=-5)
    controlled.job("later", priority=0)
    due = datetime.now(UTC) + timedelta(seconds=0.2)
    controlled.job("scheduled 2", schedule_at=due)
    controlled.job("scheduled 1", schedule_at=due - timedelta(seconds=0.1), priority=-128)
    until(lambda: datetime.now(UTC) > due + timedelta(seconds=0.2), "the time all are due")

    app.queue("default").resume()
    controlled.release_all()

    assert controlled.begun(8) == [
        "scheduled 1",
        "scheduled 2",
        "retry 1",
        "retry 2",
        "urgent",
        "late",
        "later",
        "last",
    ]


def test_jobs_of_equal_rank_are_picked_up_in_the_order_of_their_ids(run, controlled):
    app = controlled.app = run(concurrency=1)
    paused(app)
    controlled.jobs(range(20))
    controlled.release_all()

    app.queue("default").resume()

    assert controlled.begun(20) == list(range(20))


# ---- how soon -------------------------------------------------------------------------------


def test_a_new_job_wakes_its_queue(run, controlled):
    app = controlled.app = run()
    controlled.release_all()
    settled(app, controlled.job("warm up"))
    controlled.begun()

    for part in range(10):  # without the wake, none would begin within an hour
        job = controlled.job(part)
        assert controlled.begun() == [part]
        settled(app, job)


def test_jobs_inserted_together_are_all_picked_up(run, controlled):
    app = controlled.app = run(concurrency=2)
    controlled.release_all()

    rows = [{"controller": controlled._name, "name": name, "wait": ""} for name in range(2500)]
    from support.controlled_jobs import ControlledJob  # noqa: PLC0415 - the worker itself, this once

    app.enqueue_many(ControlledJob, rows)

    assert sorted(controlled.begun(2500)) == list(range(2500))
    assert controlled.most_at_once <= 2


def test_a_scheduled_job_begins_when_it_is_due_and_not_before(run, controlled):
    app = controlled.app = run()
    before = datetime.now(UTC)
    job = controlled.job("a", schedule_in=0.3)
    assert job.status is Status.SCHEDULED

    controlled.begun()

    assert datetime.now(UTC) - before >= timedelta(seconds=0.3)
    controlled.release("a")
    assert settled(app, job).attempts == 1


def test_a_later_job_with_an_earlier_due_time_is_not_overlooked(run, controlled):
    controlled.app = run()
    controlled.job("far", schedule_in=3000)
    controlled.job("near", schedule_in=0.1)

    assert controlled.begun() == ["near"]


def test_a_job_due_while_all_slots_are_taken_begins_next(run, controlled):
    controlled.app = run(concurrency=1)
    controlled.job("a")
    assert controlled.begun() == ["a"]
    due = controlled.job("due", schedule_in=0.05).scheduled_at
    controlled.job("enqueued")
    until(lambda: datetime.now(UTC) > due + timedelta(seconds=0.1), "the due time")
    assert not controlled.has_begun_more()

    controlled.release("a")

    assert controlled.begun() == ["due"]


# ---- what becomes of it ---------------------------------------------------------------------


def test_a_failed_attempt_is_retried_after_the_delay_of_its_class(run, controlled):
    app = controlled.app = run()
    seen = []

    def delay(job):
        seen.append((job.attempts, job.errors[0].error))
        return 0.2

    controlled.delay = delay
    job = controlled.job("a", max_attempts=3)
    for text in ("first", "second"):
        controlled.begun()
        began = time.monotonic()
        controlled.release("a", then=lambda job, text=text: Fail(text))
    controlled.begun()
    assert time.monotonic() - began >= 0.2
    controlled.release("a")

    done = settled(app, job)
    assert (done.status, done.attempts) == (Status.COMPLETED, 3)
    assert [entry.error for entry in done.errors] == ["second", "first"]
    assert seen == [(1, "first"), (2, "second")]


def test_a_retry_that_is_due_before_its_failure_is_stored_is_not_overlooked(run, controlled):
    app = controlled.app = run(concurrency=2)
    store, reading, go_on = app._running.store, threading.Event(), threading.Event()
    state = app.queue("default").ref._actor_weakref()._state
    controlled.delay = lambda job: 0.02
    job = controlled.job("a", max_attempts=2)
    controlled.begun()
    until(lambda: state.in_flight is None, "an idle queue")

    def hold(_reader):
        reading.set()
        go_on.wait(30)

    threading.Thread(target=store.read, args=(hold,)).start()
    reading.wait(30)
    controlled.release("a", then=lambda job: Fail("once"))
    until(lambda: state.in_flight is not None, "the question that carries the failure")
    due = datetime.now(UTC) + timedelta(seconds=0.02)
    until(lambda: datetime.now(UTC) > due, "the time it is due")
    go_on.set()

    assert controlled.begun() == ["a"]
    controlled.release("a")
    assert settled(app, job).attempts == 2


def test_a_retry_survives_a_restart_with_its_due_time(run, controlled, tmp_path):
    app = controlled.app = run(tmp_path / "store")
    controlled.delay = lambda job: 3600.0
    job = controlled.job("a", max_attempts=2)
    controlled.begun()
    controlled.release("a", then=lambda job: Fail("once"))
    due = settled(app, job, Status.RETRYING).scheduled_at

    app.stop()
    app.start()

    again = app.get_worker(job.id)
    assert (again.status, again.scheduled_at) == (Status.RETRYING, due)
    assert not controlled.has_begun_more()


def test_after_the_last_attempt_a_job_is_failed(run, controlled):
    app = controlled.app = run()
    job = controlled.job("a", max_attempts=2)
    for _ in range(2):
        controlled.begun()
        controlled.release("a", then=lambda job: Fail({"code": 7}))

    failed = settled(app, job)

    assert (failed.status, failed.attempts, failed.scheduled_at) == (Status.FAILED, 2, None)
    assert [(e.attempt, e.error, e.stack_trace) for e in failed.errors] == [
        (2, "{'code': 7}", None),
        (1, "{'code': 7}", None),
    ]


def test_cancel_from_perform_counts_its_attempt(run, controlled):
    app = controlled.app = run()
    job = controlled.job("a", max_attempts=5)

    controlled.release("a", then=lambda job: Cancel("unsubscribed"))

    cancelled = settled(app, job)
    assert (cancelled.status, cancelled.attempts) == (Status.CANCELLED, 1)
    assert cancelled.errors[0].error == "unsubscribed"


def test_snooze_runs_the_job_again_later_and_counts_no_attempt(run, controlled):
    app = controlled.app = run()
    job = controlled.job("a")
    controlled.begun()
    began = time.monotonic()

    controlled.release("a", then=lambda job: Snooze(0.2))

    controlled.begun()
    assert time.monotonic() - began >= 0.2
    controlled.release("a")
    done = settled(app, job)
    assert (done.status, done.attempts, done.errors) == (Status.COMPLETED, 1, ())


def test_a_job_sees_the_attempt_it_is_in(run, controlled):
    app = controlled.app = run()
    seen = []
    job = controlled.job("a", max_attempts=2)
    controlled.begun()
    controlled.release("a", then=lambda job: seen.append((job.status, job.attempts)) or Fail("x"))
    controlled.begun()
    controlled.release("a", then=lambda job: seen.append((job.status, job.attempts)))

    settled(app, job)

    assert seen == [(Status.RUNNING, 1), (Status.RUNNING, 2)]


def test_the_outcome_of_a_deleted_job_is_dropped(run, controlled):
    app = controlled.app = run(concurrency=1)
    job, following = controlled.jobs(["a", "b"])
    controlled.begun()

    app.delete_worker(job)
    controlled.release("a", then=lambda job: Fail("too late"))

    assert controlled.begun() == ["b"]
    with pytest.raises(JobNotFound):
        app.get_worker(job.id)
    controlled.release("b")
    assert settled(app, following).status is Status.COMPLETED
    assert app.count_workers() == 1


def test_a_failed_job_that_is_retried_begins_at_once_with_all_its_attempts(run, controlled):
    app = controlled.app = run()
    job = controlled.job("a")
    controlled.begun()
    controlled.release("a", then=lambda job: Fail("once"))
    settled(app, job, Status.FAILED)

    again = app.retry_worker(job)

    assert (again.status, again.attempts, len(again.errors)) == (Status.ENQUEUED, 0, 1)
    controlled.begun()
    controlled.release("a")
    done = settled(app, job, Status.COMPLETED)
    assert (done.id, done.attempts) == (job.id, 1)


def test_of_many_equal_unique_jobs_at_once_one_is_stored(run, controlled):
    app = controlled.app = run()
    unique = Unique(args=["name"])
    stored, refused, start = [], [], threading.Barrier(10)

    def enqueue():
        start.wait()
        try:
            stored.append(controlled.job("only one", unique=unique))
        except AlreadyExists as error:
            refused.append(error.job)

    with ThreadPoolExecutor(10) as pool:
        for _ in range(10):
            pool.submit(enqueue)

    assert len(stored) == 1
    assert {job.id for job in refused} == {stored[0].id}
    assert len(refused) == 9
    assert controlled.begun() == ["only one"]
    assert app.count_workers() == 1
