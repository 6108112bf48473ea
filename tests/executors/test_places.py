"""Where an attempt is, read from outside: threads, coroutines, and dumps of a process."""

import asyncio
import sys
import threading

import pytest
from support.apps import settled, until

from antq_actors import AntQ, QueueConfig, Worker
from antq_actors.executors import places


async def innermost(event):
    await event.wait()


async def outer(event):
    await innermost(event)


def place_of(wait, tasks=1):
    """Return where the first of the tasks is that wait; the others are of the same attempt."""

    async def main():
        event = asyncio.Event()
        waiting = [asyncio.create_task(wait(event), name=f"part {n}") for n in range(tasks)]
        await asyncio.sleep(0)
        place = places.of_coroutine(waiting[0].get_coro(), waiting[1:])
        event.set()
        await asyncio.gather(*waiting)
        return place

    return asyncio.run(main())


def functions_in(place):
    return [line.rpartition(" in ")[2] for line in place.splitlines() if line.startswith("  File")]


def test_a_coroutine_is_where_its_awaits_lead_to():
    place = place_of(outer)

    assert place.startswith("Traceback (most recent call last):\n")
    assert functions_in(place) == ["outer", "innermost", "wait"]
    assert "await event.wait()" in place


def test_other_tasks_of_an_attempt_are_told_as_well_but_not_all_of_many():
    place = place_of(outer, tasks=50)

    assert "Task 'part 1' of the job waits at (most recent call last):\n" in place
    assert place.count("of the job waits at") == 10


def test_a_coroutine_that_has_ended_is_nowhere():
    coroutine = outer(None)
    coroutine.close()

    assert places.of_coroutine(coroutine, []) == "Traceback (most recent call last):\n"


def test_a_generator_that_a_coroutine_awaits_is_on_the_way():
    class Awaitable:
        def __init__(self, event):
            self.event = event

        def __await__(self):
            yield from innermost(self.event).__await__()

    async def waits(event):
        await Awaitable(event)

    assert functions_in(place_of(waits))[:2] == ["waits", "__await__"]


def test_of_an_endless_recursion_the_innermost_frames_are_read():
    def deeper(number):
        return deeper(number - 1) if number else places.of_frames(sys._getframe())

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        place = deeper(10_000)
    finally:
        sys.setrecursionlimit(limit)

    assert "[Previous line repeated 99" in place


def test_a_dump_of_a_process_is_shown_outermost_first_with_its_lines():
    line = innermost.__code__.co_firstlineno + 1

    dump = f"""Stack (most recent call first):
  File "old.py", line 1 in stale
Stack (most recent call first):
  File "{__file__}", line {line} in innermost
  File "/tmp/\\xe9\\u4e2d.py", line 20 in outer
"""

    place = places.of_dump(dump.encode())

    assert functions_in(place) == ["outer", "innermost"]
    assert 'File "/tmp/\u00e9\u4e2d.py", line 20' in place
    assert "await event.wait()" in place


@pytest.mark.parametrize("dump", [b"", b"Stack (most recent call first):\n  <no Python frame>\n"])
def test_a_dump_without_frames_tells_no_place(dump):
    assert places.of_dump(dump) is None


# ---- of jobs that time out ----------------------------------------------------------------------

ended = threading.Event()


def waits_in_a_lock():
    ended.wait()


class Waits(Worker, timeout=0.2):
    def perform(self, job):
        waits_in_a_lock()


class WaitsForTasks(Worker, timeout=0.2):
    async def perform(self, job):
        await asyncio.gather(outer(asyncio.Event()), outer(asyncio.Event()))


class Blocks(Worker, timeout=0.2):
    async def perform(self, job):
        threading.Event().wait(1)


class WaitsInAThread(WaitsForTasks, executor="thread"): ...


@pytest.fixture
def app(monkeypatch):
    monkeypatch.setattr("antq_actors.queues.running_attempts.INTERRUPTION_TIMEOUT_SECONDS", 0.1)
    ended.clear()
    with AntQ(queues={"default": QueueConfig(check_interval=3600)}) as app:
        yield app
        ended.set()


def test_a_thread_that_times_out_is_where_it_hangs(app):
    (entry,) = settled(app, app.enqueue(Waits)).errors

    assert (entry.error, entry.error_type) == ("timed out after 0.2 s", "TimeoutError")
    assert functions_in(entry.stack_trace)[:2] == ["perform", "waits_in_a_lock"]
    assert entry.stack_trace.startswith("Traceback (most recent call last):\n")
    assert entry.stack_trace.endswith("\nTimeoutError: timed out after 0.2 s\n")


@pytest.mark.parametrize("worker", [WaitsForTasks, WaitsInAThread])
def test_a_coroutine_that_times_out_is_where_it_and_its_tasks_wait(app, worker):
    (entry,) = settled(app, app.enqueue(worker)).errors

    *tasks, own = entry.stack_trace.split("\n\n")
    assert functions_in(own) == ["perform"]
    assert "await asyncio.gather(" in own
    assert [functions_in(each) for each in tasks] == [["outer", "innermost", "wait"]] * 2


def test_a_coroutine_that_blocks_its_loop_is_where_it_does(app):
    (entry,) = settled(app, app.enqueue(Blocks)).errors

    assert functions_in(entry.stack_trace)[:2] == ["perform", "wait"]


def test_the_record_of_a_timeout_tells_where_it_struck(app, caplog):
    job = settled(app, app.enqueue(Waits))

    (record,) = [each for each in caplog.records if each.name == "antq_actors.jobs"]
    assert record.getMessage().endswith(": TimeoutError: timed out after 0.2 s")
    assert record.stack_info == job.errors[0].stack_trace.rstrip()
    assert (record.job_id, record.queue) == (job.id, "default")


def test_a_job_that_is_abandoned_has_one_warning_of_that(app, caplog):
    settled(app, app.enqueue(Waits))
    until(lambda: app.queue("default").status().abandoned, "the thread to be abandoned")

    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 1
    assert warnings[0].startswith("job #1 of queue 'default' was interrupted and does not end")
