"""The jobs of a queue share an event loop: what one does to it is its own failed attempt."""

import asyncio
import contextlib
import gc
import sys
import threading

import pytest
from support.apps import settled, until
from support.garbage import uncollected

from antq_actors import AntQ, Status, Worker
from antq_actors.jobs import current_app


class Innocent(Worker, queue="loop"):
    """Waits with a child task and a timer, as jobs do, until it is told to go on."""

    waiting = 0
    go_on = threading.Event()

    async def perform(self, job):
        cls = type(self)
        cls.waiting += 1
        async with asyncio.timeout(60):
            await asyncio.gather(self._wait(), asyncio.create_task(self._wait()))

    async def _wait(self):
        while not self.go_on.is_set():  # noqa: ASYNC110 - set by a thread
            await asyncio.sleep(0.005)


async def _raise(error):
    await asyncio.sleep(0)
    raise error


async def awaits_a_task_that_exits():
    await asyncio.create_task(_raise(SystemExit(3)))


async def gathers_a_task_that_interrupts():
    await asyncio.gather(asyncio.sleep(60), _raise(KeyboardInterrupt()))


async def has_a_task_group_with_one_that_exits():
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(60))
        group.create_task(_raise(SystemExit(3)))


async def has_a_task_that_exits_unawaited():
    task = asyncio.create_task(_raise(SystemExit(3)))
    await asyncio.sleep(60)
    del task


async def catches_what_cancels_it():
    task = asyncio.create_task(_raise(SystemExit(3)))
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(60)
    del task


async def exits_in_a_callback():
    asyncio.get_running_loop().call_soon(sys.exit, 3)
    await asyncio.sleep(60)


async def exits_in_a_timer():
    asyncio.get_running_loop().call_later(0.001, sys.exit, 3)
    await asyncio.sleep(60)


async def exits_in_a_done_callback():
    asyncio.create_task(asyncio.sleep(0)).add_done_callback(lambda _: sys.exit(3))
    await asyncio.sleep(60)


async def exits_in_a_thread():
    await asyncio.to_thread(sys.exit, 3)


async def exits_in_an_exception_handler():
    def handle(loop, context):
        loop.set_exception_handler(None)
        sys.exit(3)

    asyncio.get_running_loop().set_exception_handler(handle)
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(60)


async def stops_the_loop():
    asyncio.get_running_loop().stop()


async def stops_the_loop_in_a_callback():
    loop = asyncio.get_running_loop()
    loop.call_soon(loop.stop)
    await asyncio.sleep(60)


async def stops_the_loop_from_a_thread():
    await asyncio.to_thread(asyncio.get_running_loop().stop)


async def closes_the_loop():
    asyncio.get_running_loop().close()


async def closes_the_loop_in_a_callback():
    loop = asyncio.get_running_loop()
    loop.call_soon(loop.close)
    await asyncio.sleep(60)


async def shuts_down_the_executor():
    await asyncio.get_running_loop().shutdown_default_executor()


async def shuts_down_the_generators():
    await asyncio.get_running_loop().shutdown_asyncgens()


async def cancels_all_tasks():
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(60)


async def cancels_all_other_tasks_and_awaits_them():
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def cancels_all_tasks_in_a_callback():
    def cancel(tasks):
        for task in tasks:
            task.cancel()

    asyncio.get_running_loop().call_soon(cancel, asyncio.all_tasks())
    await asyncio.sleep(0.01)
    raise ValueError("so that each of these fails")


async def cancels_itself():
    asyncio.current_task().cancel()
    await asyncio.sleep(60)


async def raises_cancelled_error():
    raise asyncio.CancelledError


async def runs_the_loop():
    asyncio.get_running_loop().run_forever()


async def sets_a_task_factory_that_raises():
    def factory(loop, coroutine, **options):
        coroutine.close()
        raise ValueError("no tasks here")

    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    loop.set_task_factory(factory)
    try:
        loop.call_soon(Late.perform_async)
        await asyncio.sleep(0.05)
        raise ValueError("so that each of these fails")
    finally:
        loop.set_task_factory(before)


class Late(Worker, queue="loop"):
    async def perform(self, job): ...


DEEDS = {
    name: action
    for name, action in globals().items()
    if asyncio.iscoroutinefunction(action) and not name.startswith("_")
}


class Culprit(Worker, queue="loop"):
    async def perform(self, job):
        await DEEDS[job.args["action"]]()


@contextlib.contextmanager
def innocent_jobs(**options):
    """An application with ten innocent jobs that wait on the loop of one queue."""
    Innocent.waiting = 0
    Innocent.go_on.clear()
    with AntQ(queues={"loop": 50}, **options) as app:
        app.enqueue_many(Innocent, [{}] * 10)
        until(lambda: Innocent.waiting == 10, "all waiting")
        yield app
        Innocent.go_on.set()


@pytest.fixture
def shared():
    with innocent_jobs() as app:
        yield app


@pytest.mark.parametrize("action", DEEDS)
def test_what_a_job_does_to_the_loop_fails_that_job_alone(shared, action):
    culprit = settled(shared, Culprit.perform_async({"action": action}))
    Innocent.go_on.set()

    innocent = [settled(shared, job) for job in shared.list_workers(worker=Innocent)]
    assert (culprit.status, culprit.attempts) == (Status.FAILED, 1)
    assert (culprit.interruptions, len(culprit.errors)) == (0, 1)
    assert [(job.status, job.attempts, job.interruptions, job.errors) for job in innocent] == [
        (Status.COMPLETED, 1, 0, ())
    ] * 10


def test_an_exit_in_a_task_is_shown_with_its_code_and_its_place(shared):
    job = settled(shared, Culprit.perform_async({"action": "exits_in_a_callback"}))
    awaited = settled(shared, Culprit.perform_async({"action": "has_a_task_that_exits_unawaited"}))

    assert (job.errors[0].error, awaited.errors[0].error) == ("3", "3")
    assert "in _raise" in awaited.errors[0].stack_trace
    assert "SystemExit: 3" in awaited.errors[0].stack_trace
    assert "run_forever" not in awaited.errors[0].stack_trace


class BreaksTheLoop(Worker, queue="loop"):
    async def perform(self, job):
        asyncio.get_running_loop()._selector.close()
        if job.args.get("waits"):
            await asyncio.sleep(60)


def test_a_loop_that_is_broken_for_good_is_replaced_and_its_jobs_run_again(shared, caplog):
    broken = settled(shared, BreaksTheLoop.perform_async())
    Innocent.go_on.set()

    innocent = [settled(shared, job) for job in shared.list_workers(worker=Innocent)]
    assert (broken.status, broken.interruptions) == (Status.COMPLETED, 0)
    assert [(job.status, job.attempts, job.interruptions) for job in innocent] == [
        (Status.COMPLETED, 1, 1)
    ] * 10
    assert "failed" not in caplog.text


def test_a_job_that_breaks_the_loop_again_is_failed_and_the_others_are_interrupted_once():
    with innocent_jobs(max_interruptions=2) as app:
        job = BreaksTheLoop.perform_async({"waits": True})
        until(lambda: app.get_worker(job.id).interruptions, "the first interruption")
        Innocent.go_on.set()

        assert settled(app, job).status is Status.FAILED
        innocent = [settled(app, each) for each in app.list_workers(worker=Innocent)]
        assert [(each.status, each.interruptions) for each in innocent] == [
            (Status.COMPLETED, 1)
        ] * 10


class LeavesATask(Worker, queue="loop"):
    left = None
    go_on = threading.Event()

    async def perform(self, job):
        LeavesATask.left = asyncio.create_task(self._exit())

    async def _exit(self):
        while not self.go_on.is_set():  # noqa: ASYNC110 - set by a thread
            await asyncio.sleep(0.005)
        sys.exit(3)


def test_a_task_that_outlives_its_job_and_exits_is_logged_and_ends_nothing(shared, caplog):
    LeavesATask.go_on.clear()
    job = settled(shared, LeavesATask.perform_async())
    assert job.status is Status.COMPLETED

    LeavesATask.go_on.set()

    until(LeavesATask.left.done, "its end")
    Innocent.go_on.set()
    assert all(settled(shared, each).interruptions == 0 for each in shared.list_workers())
    (said,) = [each for each in caplog.records if each.name == "antq_actors.executors"]
    assert f"what job #{job.id} ({job.worker}) has left behind raised SystemExit" in said.message
    assert said.levelname == "ERROR"


class CancelsWhatIsLeft(Worker, queue="loop"):
    async def perform(self, job):
        LeavesATask.left.cancel()


def test_what_an_ended_job_left_behind_may_be_cancelled_by_any_job(shared):
    LeavesATask.go_on.clear()
    settled(shared, LeavesATask.perform_async())

    job = settled(shared, CancelsWhatIsLeft.perform_async())

    assert job.status is Status.COMPLETED
    until(LeavesATask.left.done, "its end")


class Nested(Worker, queue="loop"):
    """Is cancelled while it awaits a task of its own, which awaits others."""

    begun = threading.Event()
    ends = None

    async def perform(self, job):
        Nested.ends = []
        try:
            await asyncio.create_task(self._middle())
        finally:
            Nested.ends.append("outer")

    async def _middle(self):
        try:
            await asyncio.gather(self._inner(), self._inner())
        finally:
            Nested.ends.append("middle")

    async def _inner(self):
        self.begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            Nested.ends.append("inner")


class CancelsAJob(Worker, queue="loop"):
    async def perform(self, job):
        current_app.latest().cancel_worker(job.args["id"])


def test_a_coroutine_may_cancel_another_job_with_all_its_tasks(shared):
    Nested.begun.clear()
    job = Nested.perform_async()
    assert Nested.begun.wait(30)

    assert settled(shared, CancelsAJob.perform_async({"id": job.id})).status is Status.COMPLETED

    assert settled(shared, job).status is Status.CANCELLED
    assert sorted(Nested.ends) == ["inner", "inner", "middle", "outer"]


def test_an_attempt_leaves_nothing_for_the_collector(shared):
    settled(shared, Late.perform_async())
    gc.collect()

    with uncollected() as found:
        for _ in range(20):
            settled(shared, Late.perform_async())

    left = [type(each).__name__ for each in found]
    assert "Attempt" not in left
    assert "JobTask" not in left
