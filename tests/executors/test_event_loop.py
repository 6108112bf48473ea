"""The executor ``async``: what only an event loop has."""

import asyncio
import gc
import threading
import time

import pytest
from support.apps import settled, until
from support.trees import kill

from antq_actors import AntQ, Job, NotStarted, QueueConfig, Status, Worker, worker
from antq_actors.executors import event_loop
from antq_actors.otp import whereis

LONGEST = 30.0


class Waits(Worker):
    """Waits until it is told, and counts those that do."""

    begun = 0
    waiting = 0
    go_on = None

    async def perform(self, job):
        cls = type(self)
        loop = asyncio.get_running_loop()
        if cls.go_on is None or cls.go_on.of is not loop:
            cls.go_on = asyncio.Event()
            cls.go_on.of = loop
        cls.begun += 1
        cls.waiting += 1
        try:
            await cls.go_on.wait()
        finally:
            cls.waiting -= 1


@pytest.fixture(autouse=True)
def _afresh():
    Waits.begun = Waits.waiting = 0
    Waits.go_on = None


def go_on():
    Waits.go_on.of.call_soon_threadsafe(Waits.go_on.set)


def test_many_jobs_wait_at_once_in_one_thread(tmp_path):
    with AntQ(queues={"default": 2_000}) as app:
        threads = threading.active_count()
        app.enqueue_many(Waits, ({} for _ in range(2_000)))
        until(lambda: Waits.waiting == 2_000, "all waiting at once")

        assert threading.active_count() < threads + 20
        assert app.queue("default").status().executors == (("async", 2_000, "1 event loop"),)
        assert len(app.queue("default").status().running) == 2_000

        go_on()
        until(lambda: app.count_workers(status=Status.COMPLETED) == 2_000, "all completed")


def test_a_stop_cancels_and_gives_back(tmp_path):
    with AntQ(tmp_path / "store") as app:
        job = Waits.perform_async()
        until(lambda: Waits.waiting == 1, "its begin")
        app.stop(timeout=0)

    assert Waits.waiting == 0
    with AntQ(tmp_path / "store", start_queues=False) as app:
        again = app.get_worker(job.id)
        assert (again.status, again.attempts, again.errors) == (Status.ENQUEUED, 0, ())


@worker
async def blocks() -> None:
    time.sleep(0.3)  # noqa: ASYNC251 - that is what it is about


def test_a_job_that_blocks_the_loop_is_named_with_its_stack_and_no_other_queue_waits(
    monkeypatch, caplog
):
    monkeypatch.setattr(event_loop, "BLOCKED_AFTER_SECONDS", 0.05)
    with AntQ(queues={"default": 5, "other": 5}) as app:
        job = blocks.perform_async()
        until(lambda: app.get_worker(job.id).status is Status.RUNNING, "its begin")
        other = blocks.options(queue="other").perform_async()
        settled(app, job)
        settled(app, other)

    said = [each for each in caplog.messages if "has blocked the event loop" in each]
    assert any(f"job #{job.id} (" in each and "time.sleep(0.3)" in each for each in said)


def test_a_killed_loop_is_an_interruption_and_the_job_runs_again(app):
    job = Waits.perform_async()
    until(lambda: Waits.waiting == 1, "its begin")

    kill(whereis(f"{app.root.cell.name}.workers.default.async"))

    until(lambda: app.get_worker(job.id).interruptions == 1, "the interruption")
    until(lambda: Waits.begun == 2, "its second begin")
    go_on()
    completed = settled(app, job)
    assert (completed.status, completed.attempts) == (Status.COMPLETED, 1)


class Stubborn(Worker):
    """Goes on when it is cancelled."""

    began = threading.Event()
    over = threading.Event()

    async def perform(self, job):
        self.began.set()
        while not self.over.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                assert job.cancelled()


def test_a_task_that_goes_on_when_it_is_cancelled_is_given_up(app, monkeypatch):
    monkeypatch.setattr("antq_actors.queues.running_attempts.INTERRUPTION_TIMEOUT_SECONDS", 0.05)
    Stubborn.began.clear()
    Stubborn.over.clear()
    job = Stubborn.perform_async(timeout=0.2)

    failed = settled(app, job)

    assert failed.errors[0].error == "timed out after 0.2 s"
    Stubborn.over.set()


seen = []


@worker
async def look_as_a_coroutine() -> None:
    await asyncio.sleep(0)
    seen.append(threading.current_thread().name)


@worker
def look_as_a_function() -> None:
    seen.append(threading.current_thread().name)


@pytest.mark.parametrize(
    ("executor", "look"), [("thread", look_as_a_coroutine), ("async", look_as_a_function)]
)
def test_what_is_not_for_the_loop_of_its_queue_has_a_thread(executor, look):
    seen.clear()

    with AntQ(queues={"default": QueueConfig(1, executor=executor)}) as app:
        assert settled(app, look.perform_async()).status is Status.COMPLETED

    assert not seen[0].startswith("antq-loop")


def test_no_thread_and_no_task_is_left_when_it_has_stopped():
    with AntQ() as app:
        for _ in range(3):
            settled(app, blocks.perform_async())
    gc.collect()  # a task that is left says so when it is collected, and that is an error here

    assert not [each for each in threading.enumerate() if each.name.startswith("antq-loop")]


# ---- enqueueing from coroutines ---------------------------------------------------------------


@worker
def noop(number: int) -> None: ...


class Parent(Worker):
    """Enqueues others, and does not hold up its loop."""

    ids: list[int]

    async def perform(self, job):
        one = await Waits.aperform_async()
        two = await noop.aperform_async(number=2)
        type(self).ids = [one.id, two.id]


def test_a_coroutine_enqueues_without_stopping_its_loop(app):
    settled(app, Parent.perform_async())
    until(lambda: Waits.waiting == 1, "its begin")

    assert [type(app.get_worker(id_)) for id_ in Parent.ids] == [Job, Job]
    go_on()


def test_an_application_is_awaited(paused):
    async def run():
        job = await paused.aenqueue(noop, {"number": 1}, priority=5)
        ids = await paused.aenqueue_many(noop, ({"number": each} for each in range(3)))
        return job, ids

    job, ids = asyncio.run(run())

    assert paused.get_worker(job.id).priority == 5
    assert len(ids) == 3


def test_what_is_wrong_is_raised_where_it_is_awaited():
    async def run():
        await noop.aperform_async(number=1)

    with pytest.raises(NotStarted):
        asyncio.run(run())
