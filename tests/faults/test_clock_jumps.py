"""The system's clock jumps, under a queue whose clock the test turns: nothing stalls or is lost."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.apps import until
from support.clock import Clock
from support.findings import findings

from antq_actors import Job, Status, Worker
from antq_actors.app.config import check
from antq_actors.app.enqueue import Enqueuer
from antq_actors.app.waiting import IdleWait
from antq_actors.otp import DynamicSupervisor, Shutdown, stop
from antq_actors.otp.messaging import calls
from antq_actors.queues.messages import QueueSettings, Wake
from antq_actors.queues.node import QueueNode
from antq_actors.queues.queue_actor import QueueActor
from antq_actors.queues.services.housekeeping import Pruner, PrunerConfig
from antq_actors.queues.services.periodic import RunOnce
from antq_actors.storage.actor import StorageActor
from antq_actors.storage.client import StorageClient
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader

DAY = 86_400.0
CHECK = 0.1
STORAGE, WORKERS, QUEUE = "jumpy.storage", "jumpy.workers", "jumpy.queue"

_gate = threading.Event()


class Tick(Worker, max_attempts=2, name="clock_jumps:Tick"):
    def perform(self, job: Job):
        match job.args.get("how"):
            case "wait":
                _gate.wait(30)
            case "spin":
                end = time.monotonic() + 30
                while time.monotonic() < end and not _gate.is_set():
                    time.sleep(0.005)
            case "fail":
                if job.attempts == 1:
                    raise ValueError("once")

    def calculate_delay(self, job: Job):
        return 60.0


class Here:
    """A queue and all that it needs, by one clock; no tree above, which has the system's."""

    def __init__(self, path):
        self.path, self.clock = path, Clock()
        wake = lambda _queue: calls.cast(QUEUE, Wake())  # noqa: E731
        self.store = StorageClient(STORAGE, path)
        storage = StorageActor.start(
            path, wake=wake, idle=self.store.idle, clock=self.clock, name=STORAGE
        )
        settings = QueueSettings(
            name="default",
            concurrency=4,
            check_interval=CHECK,
            max_interruptions=3,
            node=QueueNode(self.store, ["default"]),
            workers=WORKERS,
        )
        workers = DynamicSupervisor.start(name=WORKERS)
        queue = QueueActor.start(self.store, settings, self.clock, name=QUEUE)
        self.actors = [storage, workers, queue]
        config = check(path, {"default": 4}, start_queues=True, retention=None, max_interruptions=3)
        self._enqueuer = Enqueuer(config, self.store, self.clock, served=None)

    def enqueue(self, how="", **options):
        return self._enqueuer.enqueue(Tick, {"how": how}, options).id

    def until(self, status, *ids):
        def there():
            return all(self.store.read(JobReader.get, id_).state.status is status for id_ in ids)

        until(there, f"{ids} {status}")

    def close(self):
        _gate.set()
        for actor in reversed(self.actors):
            stop(actor, Shutdown(), timeout=30)


@pytest.fixture
def here(tmp_path):
    _gate.clear()
    here = Here(tmp_path / "store")
    yield here
    here.close()
    assert findings(here.path) == []


@pytest.mark.parametrize("jump", [-3650 * DAY, -DAY, -1.0, 0.0, 1.0, DAY, 3650 * DAY])
def test_what_is_enqueued_and_what_runs_goes_on_over_any_jump(here, jump):
    running = [here.enqueue("wait") for _ in range(2)]
    here.until(Status.RUNNING, *running)

    here.clock.advance(jump)
    new = [here.enqueue() for _ in range(10)]
    here.until(Status.COMPLETED, *new)
    _gate.set()
    here.until(Status.COMPLETED, *running)

    assert [job.state.attempts for job in here.store.list()] == [1] * 12


def test_after_a_jump_forward_what_is_due_by_then_begins_within_a_check_interval(here):
    scheduled = here.enqueue(schedule_in=DAY)
    failed = here.enqueue("fail")
    here.until(Status.RETRYING, failed)

    here.clock.advance(DAY)

    here.until(Status.COMPLETED, scheduled, failed)


def test_after_a_jump_back_what_was_scheduled_waits_until_the_clock_is_there_again(here):
    due = here.enqueue(schedule_in=60.0)
    here.clock.advance(-DAY)
    sooner = here.enqueue(schedule_in=60.0)

    here.clock.advance(60.0)
    here.until(Status.COMPLETED, sooner)
    assert here.store.read(JobReader.get, due).state.status is Status.SCHEDULED
    here.clock.advance(DAY)

    here.until(Status.COMPLETED, due)


def test_a_wait_ends_when_a_jump_back_leaves_nothing_due(here, monkeypatch):
    looks = []
    look = JobReader.unfinished
    monkeypatch.setattr(
        JobReader, "unfinished", lambda *asked, **named: looks.append(1) or look(*asked, **named)
    )
    here.store.write(JobStore.set_paused, "default", paused=True)
    here.enqueue(schedule_in=60.0)
    here.clock.advance(61.0)

    with ThreadPoolExecutor() as threads:
        waits = threads.submit(IdleWait(here.store, ["default"], here.clock).wait, None, 30.0)
        until(lambda: len(looks) == 2, "the look of the thread, and the one of the storage actor")
        here.clock.advance(-DAY)

        assert waits.result() is True


def test_a_jump_that_is_put_right_again_repeats_nothing(here):
    ids = [here.enqueue("wait") for _ in range(4)]
    here.until(Status.RUNNING, *ids)
    for jump in (DAY, -DAY, -DAY, DAY) * 3:
        here.clock.advance(jump)
        ids.append(here.enqueue())
    _gate.set()

    here.until(Status.COMPLETED, *ids)

    assert {(job.state.attempts, job.state.interruptions) for job in here.store.list()} == {(1, 0)}


@pytest.mark.parametrize("jump", [-DAY, 0.0])
def test_a_timeout_is_kept_although_the_clock_stands_still_or_goes_back(here, jump):
    id_ = here.enqueue("spin", timeout=0.2, max_attempts=1)
    here.until(Status.RUNNING, id_)

    here.clock.advance(jump)

    here.until(Status.FAILED, id_)


def test_no_job_is_said_to_have_taken_less_than_no_time(here, caplog):
    caplog.set_level(logging.INFO, "antq_actors.jobs")
    id_ = here.enqueue("wait")
    here.until(Status.RUNNING, id_)

    here.clock.advance(-DAY)
    _gate.set()
    here.until(Status.COMPLETED, id_)

    until(lambda: "after 0.000 s" in caplog.text, "the line of the job")


def test_a_jump_forward_times_nobody_out(here):
    id_ = here.enqueue("spin", timeout=20.0)
    here.until(Status.RUNNING, id_)

    here.clock.advance(DAY)
    here.until(Status.COMPLETED, here.enqueue())
    _gate.set()

    here.until(Status.COMPLETED, id_)


def test_a_jump_back_lets_ended_jobs_be_kept_longer_and_one_forward_never_takes_active_ones(here):
    ended, running = here.enqueue(), here.enqueue("wait")
    waiting = here.enqueue(schedule_in=7300 * DAY)
    here.until(Status.COMPLETED, ended)
    here.until(Status.RUNNING, running)
    pruner = Pruner.start(here.store, PrunerConfig(retention=DAY), here.clock)
    here.actors.append(pruner)

    here.clock.advance(-3650 * DAY)
    assert calls.call(pruner, RunOnce()) == 0
    here.clock.advance(2 * 3650 * DAY)
    assert calls.call(pruner, RunOnce()) == 1

    assert [job.id for job in here.store.list()] == [running, waiting]
