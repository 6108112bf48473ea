"""Thousands of coroutines at once: how near they come to the time that they alone would take."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from typing import TYPE_CHECKING, ClassVar, Final

from measure import Measure, application, interleaved, main, until
from memory import status

from antq_actors import Job, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

# Jobs, how many at once, rounds.
SHORT: Final = (50, 50, 1)
USUAL: Final = (10_000, 10_000, 5)
LEADS: Final = (400_000, 10_000, 1)
QUEUE: Final = "default"
LEAD_SECONDS: Final = 0.2


class Waits(Worker):
    """Waits for as long as its jobs say, and counts."""

    done: ClassVar[int] = 0
    wanted: ClassVar[int] = 0
    all_done: ClassVar[threading.Event] = threading.Event()

    async def perform(self, job: Job) -> None:
        """Wait, as for a network."""
        await asyncio.sleep(job.args["seconds"])
        cls = type(self)
        cls.done += 1
        if cls.done == cls.wanted:
            cls.all_done.set()


def bench(*, short: bool, full: bool) -> Iterator[Measure]:
    """Take the time from the queue's begin to the last job's end; all are stored before."""
    jobs, slots, rounds = SHORT if short else USUAL
    cases = {
        name: functools.partial(_beyond_ideal, jobs, slots, durable=name == "durable")
        for name in ("durable", "volatile")
    }
    for name, values in interleaved(rounds, cases).items():
        shown = f"{jobs:,} coroutines of 1 s at once, {name}: time beyond 1 s"
        yield Measure(shown, "s", values, "<= 1.5")
    yield Measure(f"  memory with {slots:,} of them, RssAnon", "MB", [_memory(jobs, slots)], "")
    if full:
        jobs, slots, _ = LEADS
        took = _took(jobs, slots, LEAD_SECONDS, durable=True)
        ideal = jobs * LEAD_SECONDS / slots
        name = f"{jobs:,} leads as coroutines, concurrency {slots:,}: time / ideal"
        yield Measure(name, "x", [took / ideal], "")


def _beyond_ideal(jobs: int, slots: int, *, durable: bool) -> float:
    return _took(jobs, slots, 1.0, durable=durable) - jobs / slots


def _took(jobs: int, slots: int, seconds: float, *, durable: bool) -> float:
    Waits.done, Waits.wanted = 0, jobs
    Waits.all_done.clear()
    with application(durable=durable, queues={QUEUE: slots}) as app:
        app.queue(QUEUE).pause()
        app.enqueue_many(Waits, ({"seconds": seconds} for _ in range(jobs)))
        began = time.monotonic()
        app.queue(QUEUE).resume()
        until(Waits.all_done.is_set)
        took = time.monotonic() - began
        until(lambda: app.count_jobs(status="completed") == jobs)
    return took


def _memory(jobs: int, slots: int) -> float:
    Waits.done, Waits.wanted = 0, 0
    with application(durable=False, queues={QUEUE: slots}) as app:
        app.enqueue_many(Waits, ({"seconds": 5.0} for _ in range(jobs)))
        until(lambda: len(app.queue(QUEUE).status().running) == min(jobs, slots))
        return status("RssAnon") / 1e6


if __name__ == "__main__":
    main(__doc__, bench, full="400,000 leads as well, which takes two minutes")
