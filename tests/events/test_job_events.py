"""What happens to jobs is told as it is stored."""

import asyncio
import gc
import queue
import time
from collections import Counter
from datetime import timedelta

import pykka
import pytest
from support.apps import until
from support.controlled_jobs import ControlledJobs
from support.garbage import uncollected
from support.heard import Heard
from support.programs import in_a_fork
from support.raw_jobs import put_garbage_for_state, put_spec

from antq_actors import AntQ, Cancel, Fail, RateLimited, Snooze, Worker, otp, worker
from antq_actors.jobs import worker_registry
from antq_actors.queues import running_attempts
from antq_actors.storage.lmdb.open_stores import opened
from antq_actors.telemetry import (
    JobCancelled,
    JobEnded,
    JobEvent,
    JobInterrupted,
    JobRefused,
    JobsEnqueued,
    JobStarted,
    JobTimedOut,
)
from antq_actors.testing import drain, testing

NAME = f"{__name__}:Acts"


class Acts(Worker, max_attempts=2):
    """Does what its argument says."""

    def perform(self, job):
        if job.args["do"] == "raise":
            raise ValueError("no")
        return RETURNED.get(job.args["do"])


class Slow(Worker, timeout=0.1):
    def perform(self, job):
        while True:
            time.sleep(0.001)


class EnqueuesInChild(Worker, executor="process"):
    def perform(self, job):
        Acts.perform_async({"do": "nothing"})


class FollowedUp(Worker):
    def perform(self, job):
        job.follow_up(Acts, {"do": "nothing"})


@worker
async def on_loop():
    await asyncio.sleep(0)


RETURNED = {
    "fail": Fail("no"),
    "cancel": Cancel("no"),
    "snooze": Snooze(3_600),
    "limited": RateLimited(3_600),
}


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def app(heard):
    app = AntQ(queues={"default": 2, "mail": 1})
    with app.subscribe(heard):
        app.start()
        yield app
        app.stop()


@pytest.fixture
def jobs(app):
    jobs = ControlledJobs(app)
    yield jobs
    jobs.release_all()


def end_of(app, heard, do, **options):
    """Return a job and its first end."""
    job = app.enqueue(Acts, {"do": do}, **options)
    return job, heard.wait_one(JobEnded, id=job.id)


def of_job(heard, id_):
    return [type(each) for each in heard.of(JobEvent) if each.id == id_]


def test_one_event_tells_of_a_call_and_one_of_a_batch(app, heard):
    job = app.enqueue(Acts, {"do": "nothing"}, queue="mail")
    ids = app.enqueue_many(Acts, [{"do": "nothing"}] * 3)

    one, many = heard.wait(JobsEnqueued, 2)
    assert (one.worker, one.queue, one.ids, one.count) == (NAME, "mail", (job.id,), 1)
    assert (many.queue, many.ids, many.count) == ("default", tuple(ids), 3)
    assert one.node == many.node == app.node
    assert one.at.utcoffset() == timedelta(0)


def test_a_refused_enqueue_is_not_told(app, heard):
    with pytest.raises(TypeError):
        app.enqueue(Acts, "no mapping")
    job = app.enqueue(Acts, {"do": "nothing"})

    assert [each.ids for each in heard.wait(JobsEnqueued)] == [(job.id,)]


def test_start_and_end_have_what_is_stored(app, heard):
    job, ended = end_of(app, heard, "nothing")

    started = heard.wait_one(JobStarted, id=job.id)
    stored = app.get_job(job.id)
    assert started.at == stored.started_at
    assert ended.at == stored.ended_at
    assert (started.worker, started.queue, started.attempt) == (NAME, "default", 1)
    assert (started.executor, started.meta) == ("thread", {})
    assert ended.duration == (ended.at - started.at).total_seconds()
    assert started.queue_time == ended.queue_time >= 0
    assert of_job(heard, job.id) == [JobStarted, JobEnded]


@pytest.mark.parametrize(
    ("do", "outcome", "error_type"),
    [
        ("nothing", "completed", None),
        ("raise", "retrying", "ValueError"),
        ("fail", "retrying", None),
        ("cancel", "cancelled", None),
        ("snooze", "snoozed", None),
        ("limited", "snoozed", None),
    ],
)
def test_the_end_says_what_came_of_it(app, heard, do, outcome, error_type):
    job, ended = end_of(app, heard, do)

    assert (ended.outcome, ended.error_type) == (outcome, error_type)
    due = app.get_job(job.id).scheduled_at
    assert ended.next_at == (due if outcome in {"retrying", "snoozed"} else None)
    assert of_job(heard, job.id) == [JobStarted, JobEnded]


def test_the_last_failure_is_told_as_failed(app, heard):
    _, ended = end_of(app, heard, "raise", max_attempts=1)

    assert (ended.outcome, ended.next_at) == ("failed", None)


def test_queue_time_counts_from_when_a_job_was_due(app, heard):
    job = app.enqueue(Acts, {"do": "nothing"}, schedule_in=0.05)

    started = heard.wait_one(JobStarted, id=job.id)

    assert started.queue_time == (started.at - job.scheduled_at).total_seconds()


def test_jobs_claimed_together_have_each_their_own_queue_time(app, heard):
    queue = app.queue("default")
    queue.pause()
    jobs = [app.enqueue(Acts, {"do": "nothing"}) for _ in range(6)]

    queue.resume()

    due = {job.id: job.inserted_at for job in jobs}
    for each in (*heard.wait(JobStarted, 6), *heard.wait(JobEnded, 6)):
        waited = each.queue_time
        began = each.at if isinstance(each, JobStarted) else app.get_job(each.id).started_at
        assert waited == (began - due[each.id]).total_seconds()
    assert app._running.store.tracker.queue_times == {}


def test_events_of_a_queue_are_in_order(app, heard):
    for _ in range(20):
        app.enqueue_many(Acts, [{"do": "nothing"}] * 10)
        app.enqueue(Acts, {"do": "raise"}, max_attempts=1)
    app.wait_idle(timeout=30)
    heard.wait(JobEnded, 220)

    told = heard.of(JobsEnqueued, JobStarted, JobEnded)
    assert [each.at for each in told] == sorted(each.at for each in told)
    seen = {}
    for each in told:
        for id_ in each.ids if isinstance(each, JobsEnqueued) else [each.id]:
            seen.setdefault(id_, []).append(type(each))
    assert set(map(tuple, seen.values())) == {(JobsEnqueued, JobStarted, JobEnded)}


def test_what_a_job_enqueues_in_a_child_process_is_told(app, heard):
    job = app.enqueue(EnqueuesInChild)

    assert heard.wait_one(JobStarted, id=job.id).executor == "process"
    assert heard.wait_one(JobsEnqueued, worker=NAME).count == 1


def test_a_coroutine_is_performed_by_async(app, heard):
    job = app.enqueue(on_loop)

    assert heard.wait_one(JobStarted, id=job.id).executor == "async"


def test_a_follow_up_is_told_after_the_end_that_brought_it(app, heard):
    job = app.enqueue(FollowedUp)
    enqueued = heard.wait_one(JobsEnqueued, worker=NAME)
    (id_,) = enqueued.ids
    heard.wait_one(JobEnded, id=id_)

    told = [each for each in heard.events if each == enqueued or getattr(each, "id", 0)]
    places = [
        told.index(heard.wait_one(JobEnded, id=job.id)),
        told.index(enqueued),
        told.index(heard.wait_one(JobStarted, id=id_)),
    ]
    assert places == sorted(places)


def test_a_job_that_is_cancelled_while_it_waits_is_told_once(app, heard):
    job = app.enqueue(Acts, {"do": "nothing"}, schedule_in=3_600)

    app.cancel_job(job)
    app.cancel_job(job)

    cancelled = heard.wait_one(JobCancelled)
    assert (cancelled.id, cancelled.attempt, cancelled.by) == (job.id, 0, None)
    app.stop()
    assert of_job(heard, job.id) == [JobCancelled]


def test_a_job_that_is_cancelled_while_it_runs_ends_as_well(app, heard, jobs):
    job = jobs.job("a")
    jobs.begun()

    app.cancel_job(job)

    assert heard.wait_one(JobEnded, id=job.id).outcome == "cancelled"
    assert of_job(heard, job.id) == [JobStarted, JobCancelled, JobEnded]


def test_an_attempt_that_was_ended_by_its_timeout_says_so(app, heard):
    job = app.enqueue(Slow)

    ended = heard.wait_one(JobEnded, id=job.id)

    assert (ended.outcome, ended.error_type) == ("failed", "TimeoutError")
    assert heard.wait_one(JobTimedOut, id=job.id).abandoned is False
    assert of_job(heard, job.id) == [JobStarted, JobTimedOut, JobEnded]


def test_a_thread_that_no_timeout_can_end_is_abandoned_and_that_is_told(
    app, heard, jobs, monkeypatch
):
    monkeypatch.setattr(running_attempts, "INTERRUPTION_TIMEOUT_SECONDS", 0.05)
    job = jobs.job("a", wait="deaf", timeout=0.05)

    assert heard.wait_one(JobTimedOut, id=job.id).abandoned is True
    assert heard.wait_one(JobEnded, id=job.id).outcome == "failed"


def test_a_job_that_a_stop_gives_back_was_interrupted(app, heard, jobs):
    job = jobs.job("a")
    jobs.begun()

    app.stop(timeout=0)

    interrupted = heard.wait_one(JobInterrupted, id=job.id)
    assert interrupted.attempt == 1
    assert interrupted.reason == "its queue was stopped"
    assert of_job(heard, job.id) == [JobStarted, JobInterrupted]


def refused(app, name):
    """Store a job under a name that no worker has, and let it be claimed."""

    class Stranger(Worker, name=name, max_attempts=2):
        def perform(self, job):
            raise AssertionError

    app.queue("default").pause()
    job = app.enqueue(Stranger)
    del worker_registry._defined[name]
    app.queue("default").resume()
    return job


def test_a_job_whose_worker_is_nowhere_is_refused_and_not_begun(app, heard):
    job = refused(app, "no_such_module:Mail")

    assert "No module named 'no_such_module'" in heard.wait_one(JobRefused, id=job.id).reason
    ended = heard.wait_one(JobEnded, id=job.id)
    assert (ended.outcome, ended.error_type) == ("retrying", "WorkerNotFound")
    assert of_job(heard, job.id) == [JobRefused, JobEnded]


def test_a_job_that_names_no_worker_is_refused_and_fails(app, heard):
    job = refused(app, "os:system")

    assert "os:system" in heard.wait_one(JobRefused, id=job.id).reason
    assert heard.wait_one(JobEnded, id=job.id).outcome == "failed"


def test_a_worker_that_has_to_be_found_is_told_when_it_begins(app, heard):
    app.queue("default").pause()
    job = app.enqueue(Acts, {"do": "nothing"})
    acts = worker_registry._defined.pop(NAME)
    try:
        app.queue("default").resume()

        assert heard.wait_one(JobStarted, id=job.id).executor == "thread"
        heard.wait_one(JobEnded, id=job.id)
    finally:
        worker_registry._defined[NAME] = acts
    assert of_job(heard, job.id) == [JobStarted, JobEnded]


def test_what_a_test_drains_is_told_as_if_a_queue_had_run_it(heard):
    with testing() as app:
        app.subscribe(heard, JobEvent)
        found = app.enqueue(Acts, {"do": "nothing"})
        missing = refused(app, "no_such_module:Mail")
        acts = worker_registry._defined.pop(NAME)
        try:
            drain(app, raise_errors=False)
        finally:
            worker_registry._defined[NAME] = acts
        heard.wait(JobEnded, 2)

    assert of_job(heard, found.id) == [JobStarted, JobEnded]
    assert of_job(heard, missing.id) == [JobRefused, JobEnded]


@pytest.mark.parametrize(("damage", "is_attempt"), [("spec", True), ("state", False)])
def test_a_job_whose_seal_is_broken_is_refused(app, heard, damage, is_attempt):
    app.queue("default").pause()
    job = app.enqueue(Acts, {"do": "nothing"})
    env = opened(app.path)
    if damage == "spec":
        env.write(lambda txn: put_spec(txn, env.tables, job.id, b"changed"))
    else:
        env.write(lambda txn: put_garbage_for_state(txn, env.tables, job.id))
    app.queue("default").resume()

    assert heard.wait_one(JobRefused, id=job.id).reason
    if is_attempt:
        assert heard.wait_one(JobEnded, id=job.id).outcome == "failed"
    app.stop()
    assert of_job(heard, job.id) == [JobRefused, JobEnded][: 1 + is_attempt]


def test_applications_do_not_hear_each_other(app, heard):
    with AntQ() as other:
        other.enqueue(Acts, {"do": "nothing"})
        other.wait_idle(timeout=30)
    mine = app.enqueue(Acts, {"do": "nothing"})
    heard.wait_one(JobEnded, id=mine.id)

    assert [each.ids for each in heard.of(JobsEnqueued)] == [(mine.id,)]


def test_a_subscription_outlives_a_stop(app, heard):
    app.stop()
    app.start()
    job, _ = end_of(app, heard, "nothing")

    assert of_job(heard, job.id)[-1] is JobEnded


def test_an_application_without_queues_is_node_0(heard, tmp_path):
    app = AntQ(tmp_path / "jobs", start_queues=False)
    with app.subscribe(heard), app:
        app.enqueue(Acts, {"do": "nothing"})

        assert heard.wait_one(JobsEnqueued).node == 0


class Collects(otp.GenServer):
    """Passes on the messages that it gets."""

    def __init__(self, messages):
        super().__init__()
        self._messages = messages

    def handle_info(self, message):
        self._messages.put(message)


class CollectsForPykka(pykka.ThreadingActor):
    def __init__(self, messages):
        super().__init__()
        self._messages = messages

    def on_receive(self, message):
        self._messages.put(message)


@pytest.mark.parametrize("actor", [Collects, CollectsForPykka])
def test_an_actor_gets_events_as_messages_until_it_ends(app, actor):
    messages = queue.SimpleQueue()
    ref = actor.start(messages)
    app.subscribe(ref, JobsEnqueued)

    job = app.enqueue(Acts, {"do": "nothing"})

    assert messages.get(timeout=30).ids == (job.id,)
    ref.stop()
    app.enqueue(Acts, {"do": "nothing"})
    until(lambda: len(app.antq_hub._subscriptions) == 1, "the end of the subscription")


def test_while_nobody_listens_nothing_is_noted():
    with AntQ() as app:
        app.enqueue(Acts, {"do": "nothing"})
        app.wait_idle(timeout=30)

        assert app._running.store.tracker.begun == {}


def test_what_ended_unheard_is_not_kept(app, heard, jobs):
    job = jobs.job("a")
    jobs.begun()
    heard.wait(JobStarted)
    tracker = app._running.store.tracker
    assert list(tracker.begun) == [job.id]
    app.antq_hub._subscriptions[0].cancel()
    jobs.release_all()
    app.wait_idle(timeout=30)

    app.subscribe(heard, JobsEnqueued)
    app.enqueue(Acts, {"do": "nothing"})
    heard.wait(JobsEnqueued, 2)

    assert tracker.begun == {}


def test_the_end_of_what_began_unheard_is_told(jobs, app, heard):
    app.antq_hub._subscriptions[0].cancel()
    job = jobs.job("a")
    jobs.begun()
    app.subscribe(heard, JobEnded)
    jobs.release_all()

    ended = heard.wait_one(JobEnded, id=job.id)
    assert (ended.worker, ended.outcome, ended.attempt) == (job.worker, "completed", 1)
    assert ended.duration >= 0


def test_listeners_make_no_work_for_the_garbage_collector(app, heard):
    app.enqueue_many(Acts, [{"do": "nothing"}] * 20)
    heard.wait(JobEnded, 20)
    gc.collect()

    with uncollected() as found:
        for _ in range(150):
            app.enqueue(Acts, {"do": "nothing"})
        heard.wait(JobEnded, 170)
        app.wait_idle(timeout=30)

    kinds = Counter(type(thing).__qualname__ for thing in found)
    assert [(kind, count) for kind, count in kinds.items() if count >= 100] == []


def test_a_fork_hears_nothing_of_its_parent_and_can_cancel(app, heard):
    app.enqueue(Acts, {"do": "nothing"})
    heard.wait(JobEnded)
    subscription = app.subscribe(print)

    assert in_a_fork(subscription.cancel) == "None"


@pytest.mark.parametrize("listener", ["a name", None, 7])
def test_a_listener_is_a_function_or_a_ref(listener):
    with pytest.raises(TypeError, match="listener"):
        AntQ().subscribe(listener)
