"""The threads that coroutines block in: as many as asyncio has, and no exit waits for them."""

import asyncio
import threading
from contextvars import ContextVar

import pytest
from support.apps import settled, until

from antq_actors import AntQ, Status, Worker
from antq_actors.executors.job_threads import JobThreads
from antq_actors.otp import orphans

LONGEST = 30.0


def test_everything_submitted_runs_in_no_more_threads_than_asyncio_has():
    executor = JobThreads()
    seen = set()

    def work(number):
        seen.add(threading.get_ident())
        return number

    results = list(executor.map(work, range(500)))

    assert results == list(range(500))
    assert len(seen) <= executor._max_workers
    assert executor.end().result(LONGEST) is None


def test_what_a_function_raises_is_raised_for_who_waits_for_it():
    executor = JobThreads()

    future = executor.submit(int, "x")

    with pytest.raises(ValueError, match="invalid literal"):
        future.result(LONGEST)
    assert executor.submit(int, "1").result(LONGEST) == 1


def test_each_function_has_a_context_of_its_own():
    tenant = ContextVar("tenant", default="nobody")
    executor = JobThreads()
    executor._max_workers = 1

    def work():
        before = tenant.get()
        tenant.set("alice")
        return before

    assert [executor.submit(work).result(LONGEST) for _ in range(3)] == ["nobody"] * 3


def test_after_its_end_it_takes_nothing_and_what_it_has_taken_runs():
    executor = JobThreads()
    executor._max_workers = 1
    go_on = threading.Event()
    blocked, waiting = executor.submit(go_on.wait), executor.submit(int, "1")

    ended = executor.end()

    with pytest.raises(RuntimeError, match="has ended"):
        executor.submit(int, "2")
    assert not ended.done()
    go_on.set()
    assert blocked.result(LONGEST)
    assert waiting.result(LONGEST) == 1
    assert ended.result(LONGEST) is None


def test_shut_down_without_waiting_it_cancels_what_has_not_begun_and_leaves_orphans():
    before = set(orphans())
    executor = JobThreads()
    executor._max_workers = 1
    begun, go_on = threading.Event(), threading.Event()
    executor.submit(lambda: (begun.set(), go_on.wait()))
    waiting = executor.submit(int, "1")
    assert begun.wait(LONGEST)

    executor.shutdown(wait=False)

    assert waiting.cancelled()
    (orphan,) = set(orphans()) - before
    assert orphan.name == "antq-job-thread"
    go_on.set()
    until(lambda: not set(orphans()) - before, "its end")


def test_a_thread_that_nobody_waits_for_leaves_its_place_to_another():
    executor = JobThreads()
    executor._max_workers = 2
    go_on = threading.Event()
    blocked = [executor.submit(go_on.wait) for _ in range(2)]
    until(lambda: all(each.running() for each in blocked), "their beginning")
    waiting = executor.submit(int, "1")

    assert not blocked[0].cancel()

    assert waiting.result(LONGEST) == 1
    ended = executor.end()
    assert not ended.done()
    go_on.set()
    assert ended.result(LONGEST) is None


def test_only_so_many_threads_are_replaced_that_nobody_waits_for(monkeypatch):
    monkeypatch.setattr("antq_actors.executors.job_threads._MOST_ABANDONED", 3)
    executor = JobThreads()
    executor._max_workers = 1
    go_on = threading.Event()
    for _ in range(4):
        blocked = executor.submit(go_on.wait)
        until(blocked.running, "its beginning")
        blocked.cancel()
    waiting = executor.submit(int, "1")

    assert not waiting.running()
    go_on.set()
    assert waiting.result(LONGEST) == 1
    assert executor.end().result(LONGEST) is None


class Blocks(Worker):
    begun = threading.Event()
    go_on = threading.Event()

    async def perform(self, job):
        await asyncio.to_thread(self._block)

    def _block(self):
        self.begun.set()
        self.go_on.wait()


def test_a_thread_that_a_coroutine_blocks_in_is_an_orphan_after_the_stop(tmp_path):
    before = set(orphans())
    Blocks.begun.clear()
    Blocks.go_on.clear()
    with AntQ(tmp_path / "store") as app:
        job = Blocks.perform_async()
        assert Blocks.begun.wait(LONGEST)
        app.stop(timeout=0)

    assert len(set(orphans()) - before) == 1
    Blocks.go_on.set()
    until(lambda: not set(orphans()) - before, "its end")
    with AntQ(tmp_path / "store") as app:
        assert settled(app, job).status is Status.COMPLETED


def test_jobs_that_time_out_in_threads_do_not_keep_others_out_of_them():
    before = set(orphans())
    Blocks.go_on.clear()
    with AntQ(queues={"default": 100}) as app:
        jobs = [Blocks.perform_async(timeout=0.05) for _ in range(15)]
        assert {settled(app, job).errors[0].error for job in jobs} == {"timed out after 0.05 s"}

        assert settled(app, Looks.perform_async(timeout=LONGEST)).status is Status.COMPLETED

        Blocks.go_on.set()
        until(lambda: not set(orphans()) - before, "their ends")


class Looks(Worker):
    async def perform(self, job):
        await asyncio.to_thread(int)


class LeavesBehind(Worker, executor="thread"):
    ended = threading.Event()

    async def perform(self, job):
        asyncio.get_running_loop().run_in_executor(None, self.ended.set)


def test_a_coroutine_in_a_thread_ends_after_the_threads_that_it_has_started(app):
    LeavesBehind.ended.clear()

    job = settled(app, LeavesBehind.perform_async())

    assert job.status is Status.COMPLETED
    assert LeavesBehind.ended.is_set()


class WaitsForNothing(Worker, executor="thread"):
    ended = threading.Event()

    async def perform(self, job):
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


def test_a_coroutine_that_waits_in_a_thread_ends_at_its_timeout(app):
    WaitsForNothing.ended.clear()

    job = settled(app, WaitsForNothing.perform_async(timeout=0.05))

    assert job.errors[0].error == "timed out after 0.05 s"
    assert WaitsForNothing.ended.is_set()
    assert app.queue("default").status().abandoned == ()
