"""A queue: how many at once, in which order, how soon, and what becomes of each outcome."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from apps import settled, until

from antq_actors import AlreadyExists, Cancel, Fail, JobNotFound, Snooze, Status, Unique
from antq_actors.queues import SetConcurrency, Wake


def paused(app):
    app.queue("default").pause()
    return app


# ---- how many at once -----------------------------------------------------------------------


def test_no_more_jobs_run_at_once_than_the_concurrency(run, stage):
    app = stage.app = run(concurrency=3)
    jobs = stage.jobs(range(40))
    stage.begun(3)
    assert len(stage.on_stage()) == 3

    stage.open()

    for job in jobs:
        settled(app, job)
    assert stage.most_at_once == 3
    assert sorted([*range(3), *stage.begun(37)]) == list(range(40))
    assert not stage.has_begun_more()


def test_raised_concurrency_starts_more_jobs_at_once(run, stage):
    app = stage.app = run(concurrency=1)
    stage.jobs(range(5))
    stage.begun(1)

    app.queue("default").set_concurrency(4)

    stage.begun(3)
    assert stage.on_stage() == [0, 1, 2, 3]


def test_lowered_concurrency_stops_no_running_job_and_limits_later_ones(run, stage):
    app = stage.app = run(concurrency=4)
    jobs = stage.jobs(range(12))
    stage.begun(4)

    app.queue("default").set_concurrency(2)

    assert stage.on_stage() == [0, 1, 2, 3]
    stage.cue(0, 1)
    settled(app, jobs[0])
    settled(app, jobs[1])
    app.queue("default").ref.ask(Wake())
    assert app.queue("default").status().running == (jobs[2].id, jobs[3].id)
    stage.most_at_once = 0
    stage.open()
    for job in jobs:
        settled(app, job)
    # The two still on stage, and never a third beside them.
    assert stage.most_at_once <= 2


def test_claimed_jobs_beyond_a_limit_lowered_in_the_meantime_are_released(run, stage):
    app = stage.app = run(concurrency=5)
    store, begun, go_on = app._running.store, threading.Event(), threading.Event()
    paused(app)
    jobs = stage.jobs(range(3))

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

    assert stage.begun() == [0]
    status = until(lambda: has_given_back(app), "the others given back")
    assert status.counts[Status.ENQUEUED] == 2
    stage.open()
    for job in jobs:
        assert settled(app, job).attempts == 1
    assert stage.most_at_once == 1


def has_given_back(app):
    status = app.queue("default").status()
    return status if status.counts.get(Status.RUNNING) == 1 else None


def test_queues_do_not_wait_for_each_other(run, stage):
    app = stage.app = run(concurrency=1, queues=("default", "mail"))
    stage.job("a")
    stage.begun()

    there = stage.job("b", queue="mail")

    assert stage.begun() == ["b"]
    stage.cue("b")
    assert settled(app, there).status is Status.COMPLETED


# ---- in which order -------------------------------------------------------------------------


def test_jobs_are_picked_up_scheduled_first_then_retrying_then_by_priority_and_id(run, stage):
    app = stage.app = run(concurrency=2)
    stage.delay = lambda job: 0.3
    retrying = {part: stage.job(part, max_attempts=2) for part in ("retry 1", "retry 2")}
    stage.begun(2)
    paused(app)
    for part, job in retrying.items():
        stage.cue(part, then=lambda job: Fail("once"))
        settled(app, job, Status.RETRYING)
    app.queue("default").set_concurrency(1)
    stage.job("late", priority=0)
    stage.job("urgent", priority=5)
    stage.job("last", priority=-5)
    stage.job("later", priority=0)
    due = datetime.now(UTC) + timedelta(seconds=0.2)
    stage.job("scheduled 2", schedule_at=due)
    stage.job("scheduled 1", schedule_at=due - timedelta(seconds=0.1), priority=-128)
    until(lambda: datetime.now(UTC) > due + timedelta(seconds=0.2), "the time all are due")

    app.queue("default").resume()
    stage.open()

    assert stage.begun(8) == [
        "scheduled 1",
        "scheduled 2",
        "retry 1",
        "retry 2",
        "urgent",
        "late",
        "later",
        "last",
    ]


def test_jobs_of_equal_rank_are_picked_up_in_the_order_of_their_ids(run, stage):
    app = stage.app = run(concurrency=1)
    paused(app)
    stage.jobs(range(20))
    stage.open()

    app.queue("default").resume()

    assert stage.begun(20) == list(range(20))


# ---- how soon -------------------------------------------------------------------------------


def test_a_new_job_wakes_its_queue(run, stage):
    app = stage.app = run()
    stage.open()
    settled(app, stage.job("warm up"))
    stage.begun()

    for part in range(10):  # without the wake, none would begin within an hour
        job = stage.job(part)
        assert stage.begun() == [part]
        settled(app, job)


def test_jobs_inserted_together_are_all_picked_up(run, stage):
    app = stage.app = run(concurrency=2)
    stage.open()

    rows = [{"stage": stage._name, "part": part, "wait": ""} for part in range(2500)]
    from stage import Act  # noqa: PLC0415 - the worker itself, this once

    app.enqueue_many(Act, rows)

    assert sorted(stage.begun(2500)) == list(range(2500))
    assert stage.most_at_once <= 2


def test_a_scheduled_job_begins_when_it_is_due_and_not_before(run, stage):
    app = stage.app = run()
    before = datetime.now(UTC)
    job = stage.job("a", schedule_in=0.3)
    assert job.status is Status.SCHEDULED

    stage.begun()

    assert datetime.now(UTC) - before >= timedelta(seconds=0.3)
    stage.cue("a")
    assert settled(app, job).attempts == 1


def test_a_later_job_with_an_earlier_due_time_is_not_overlooked(run, stage):
    stage.app = run()
    stage.job("far", schedule_in=3000)
    stage.job("near", schedule_in=0.1)

    assert stage.begun() == ["near"]


def test_a_job_due_while_all_slots_are_taken_begins_next(run, stage):
    stage.app = run(concurrency=1)
    stage.job("a")
    assert stage.begun() == ["a"]
    due = stage.job("due", schedule_in=0.05).scheduled_at
    stage.job("enqueued")
    until(lambda: datetime.now(UTC) > due + timedelta(seconds=0.1), "the due time")
    assert not stage.has_begun_more()

    stage.cue("a")

    assert stage.begun() == ["due"]


# ---- what becomes of it ---------------------------------------------------------------------


def test_a_failed_attempt_is_retried_after_the_delay_of_its_class(run, stage):
    app = stage.app = run()
    seen = []

    def delay(job):
        seen.append((job.attempts, job.errors[0].error))
        return 0.2

    stage.delay = delay
    job = stage.job("a", max_attempts=3)
    for text in ("first", "second"):
        stage.begun()
        began = time.monotonic()
        stage.cue("a", then=lambda job, text=text: Fail(text))
    stage.begun()
    assert time.monotonic() - began >= 0.2
    stage.cue("a")

    done = settled(app, job)
    assert (done.status, done.attempts) == (Status.COMPLETED, 3)
    assert [entry.error for entry in done.errors] == ["second", "first"]
    assert seen == [(1, "first"), (2, "second")]


def test_a_retry_that_is_due_before_its_failure_is_stored_is_not_overlooked(run, stage):
    app = stage.app = run(concurrency=2)
    store, reading, go_on = app._running.store, threading.Event(), threading.Event()
    state = app.queue("default").ref._actor_weakref()._state
    stage.delay = lambda job: 0.02
    job = stage.job("a", max_attempts=2)
    stage.begun()
    until(lambda: state.in_flight is None, "an idle queue")

    def hold(_reader):
        reading.set()
        go_on.wait(30)

    threading.Thread(target=store.read, args=(hold,)).start()
    reading.wait(30)
    stage.cue("a", then=lambda job: Fail("once"))
    until(lambda: state.in_flight is not None, "the question that carries the failure")
    due = datetime.now(UTC) + timedelta(seconds=0.02)
    until(lambda: datetime.now(UTC) > due, "the time it is due")
    go_on.set()

    assert stage.begun() == ["a"]
    stage.cue("a")
    assert settled(app, job).attempts == 2


def test_a_retry_survives_a_restart_with_its_due_time(run, stage, tmp_path):
    app = stage.app = run(tmp_path / "store")
    stage.delay = lambda job: 3600.0
    job = stage.job("a", max_attempts=2)
    stage.begun()
    stage.cue("a", then=lambda job: Fail("once"))
    due = settled(app, job, Status.RETRYING).scheduled_at

    app.stop()
    app.start()

    again = app.get_worker(job.id)
    assert (again.status, again.scheduled_at) == (Status.RETRYING, due)
    assert not stage.has_begun_more()


def test_after_the_last_attempt_a_job_is_failed(run, stage):
    app = stage.app = run()
    job = stage.job("a", max_attempts=2)
    for _ in range(2):
        stage.begun()
        stage.cue("a", then=lambda job: Fail({"code": 7}))

    failed = settled(app, job)

    assert (failed.status, failed.attempts, failed.scheduled_at) == (Status.FAILED, 2, None)
    assert [(e.attempt, e.error, e.stack_trace) for e in failed.errors] == [
        (2, "{'code': 7}", None),
        (1, "{'code': 7}", None),
    ]


def test_cancel_from_perform_counts_its_attempt(run, stage):
    app = stage.app = run()
    job = stage.job("a", max_attempts=5)

    stage.cue("a", then=lambda job: Cancel("unsubscribed"))

    cancelled = settled(app, job)
    assert (cancelled.status, cancelled.attempts) == (Status.CANCELLED, 1)
    assert cancelled.errors[0].error == "unsubscribed"


def test_snooze_runs_the_job_again_later_and_counts_no_attempt(run, stage):
    app = stage.app = run()
    job = stage.job("a")
    stage.begun()
    began = time.monotonic()

    stage.cue("a", then=lambda job: Snooze(0.2))

    stage.begun()
    assert time.monotonic() - began >= 0.2
    stage.cue("a")
    done = settled(app, job)
    assert (done.status, done.attempts, done.errors) == (Status.COMPLETED, 1, ())


def test_a_job_sees_the_attempt_it_is_in(run, stage):
    app = stage.app = run()
    seen = []
    job = stage.job("a", max_attempts=2)
    stage.begun()
    stage.cue("a", then=lambda job: seen.append((job.status, job.attempts)) or Fail("x"))
    stage.begun()
    stage.cue("a", then=lambda job: seen.append((job.status, job.attempts)))

    settled(app, job)

    assert seen == [(Status.RUNNING, 1), (Status.RUNNING, 2)]


def test_the_outcome_of_a_deleted_job_is_dropped(run, stage):
    app = stage.app = run(concurrency=1)
    job, following = stage.jobs(["a", "b"])
    stage.begun()

    app.delete_worker(job)
    stage.cue("a", then=lambda job: Fail("too late"))

    assert stage.begun() == ["b"]
    with pytest.raises(JobNotFound):
        app.get_worker(job.id)
    stage.cue("b")
    assert settled(app, following).status is Status.COMPLETED
    assert app.count_workers() == 1


def test_a_failed_job_that_is_retried_begins_at_once_with_all_its_attempts(run, stage):
    app = stage.app = run()
    job = stage.job("a")
    stage.begun()
    stage.cue("a", then=lambda job: Fail("once"))
    settled(app, job, Status.FAILED)

    again = app.retry_worker(job)

    assert (again.status, again.attempts, len(again.errors)) == (Status.ENQUEUED, 0, 1)
    stage.begun()
    stage.cue("a")
    done = settled(app, job, Status.COMPLETED)
    assert (done.id, done.attempts) == (job.id, 1)


def test_of_many_equal_unique_jobs_at_once_one_is_stored(run, stage):
    app = stage.app = run()
    unique = Unique(args=["part"])
    stored, refused, start = [], [], threading.Barrier(10)

    def enqueue():
        start.wait()
        try:
            stored.append(stage.job("only one", unique=unique))
        except AlreadyExists as error:
            refused.append(error.job)

    threads = [threading.Thread(target=enqueue) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(stored) == 1
    assert {job.id for job in refused} == {stored[0].id}
    assert len(refused) == 9
    assert stage.begun() == ["only one"]
    assert app.count_workers() == 1
