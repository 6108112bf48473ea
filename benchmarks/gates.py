"""What limits cost: jobs with keys beside jobs without, many keys, closed ones, rates, fairness."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from measure import Measure, application, interleaved, kind, main, new_folder, ratio, until

from antq_actors import AntQ, Concurrency, Job, RateLimit, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLOTS: Final = 50


class Plain(Worker, name="gates:Plain"):
    """Does nothing, without a limit."""

    def perform(self, job: Job) -> None:
        """Do nothing."""


class Keyed(Worker, name="gates:Keyed", concurrency=Concurrency(2, key="key")):
    """Does nothing, two at a time for each key."""

    def perform(self, job: Job) -> None:
        """Do nothing."""


class Alone(Worker, name="gates:Alone", concurrency=Concurrency(1, key="key")):
    """Runs alone for its key, and reports when it begins."""

    begun: ClassVar[list[float]] = []
    order: ClassVar[list[str]] = []
    came: ClassVar[threading.Event] = threading.Event()

    def perform(self, job: Job) -> None:
        """Report."""
        self.begun.append(time.perf_counter())
        self.order.append(job.args["key"])
        self.came.set()


class Fast(Worker, name="gates:Fast", rate_limit=RateLimit(100, per=1, burst=5)):
    """Starts at most a hundred times a second."""

    starts: ClassVar[list[float]] = []

    def perform(self, job: Job) -> None:
        """Report when it was counted."""
        if job.started_at is not None:
            self.starts.append(job.started_at.timestamp())


def bench(*, short: bool) -> Iterator[Measure]:
    """Each comparison in turn with what it is compared with."""
    yield from _cost_of_a_key(short=short)
    yield from _many_keys(short=short)
    yield from _beside_closed(short=short)
    yield from _rate(short=short)
    yield from _fairness(short=short)


def _cost_of_a_key(*, short: bool) -> Iterator[Measure]:
    jobs, rounds = (50, 1) if short else (5_000, 7)
    for durable in (True, False):
        with (
            application(durable=durable, queues={"default": SLOTS}) as plain,
            application(durable=durable, queues={"default": SLOTS}) as keyed,
        ):
            keys = [{"key": n % 100} for n in range(jobs)]
            benches: dict[str, Callable[[], float]] = {
                "without a limit": partial(_drain, plain, Plain, [{"key": 0}] * jobs),
                "with a key": partial(_drain, keyed, Keyed, keys),
            }
            values = interleaved(rounds, benches)
        for name, rounded in values.items():
            yield Measure(f"drain {name}, {kind(durable=durable)}", "jobs/s", rounded)
        without, with_key = values.values()
        yield ratio("  with a key against without", with_key, without, ">= 0.6, or 80 us more")


def _drain(app: AntQ, worker: type[Worker], args: list[dict[str, Any]]) -> float:
    """Return the rate at which the jobs of a paused queue are performed once it is resumed."""
    queue = app.queue("default")
    queue.pause()
    app.enqueue_many(worker, args)
    began = time.perf_counter()
    queue.resume()
    app.wait_idle(timeout=300)
    return len(args) / (time.perf_counter() - began)


def _many_keys(*, short: bool) -> Iterator[Measure]:
    """Perform some of very many jobs in very many keys, and of few in few."""
    sizes = ((100, 10), (2_000, 200)) if short else ((1_000, 100), (1_000_000, 100_000))
    some, rounds = (50, 1) if short else (900, 9)
    with ExitStack() as opened:
        folder = opened.enter_context(new_folder())
        benches: dict[str, Callable[[], float]] = {}
        for jobs, keys in sizes:
            path = Path(folder, str(jobs))
            app = opened.enter_context(AntQ(path, queues={"default": SLOTS}, retention=None))
            app.queue("default").pause()
            app.enqueue_many(Keyed, ({"key": n % keys} for n in range(jobs)))
            benches[f"drain, {jobs:,} waiting in {keys:,} keys"] = partial(
                _drain_some, app, some, keys
            )
        values = interleaved(rounds, benches)
    for name, rounded in values.items():
        yield Measure(name, "jobs/s", rounded)
    few, many = values.values()
    yield ratio("  many against few", many, few, ">= 0.9")


def _drain_some(app: AntQ, some: int, keys: int) -> float:
    """Return the rate at which some of the jobs are performed; then fill up again."""
    queue = app.queue("default")
    before = app.count_jobs(status="completed")
    began = time.perf_counter()
    queue.resume()
    until(lambda: app.count_jobs(status="completed") >= before + some, interval=0.002)
    queue.pause()
    seconds = time.perf_counter() - began
    until(lambda: not app.count_jobs(status="running"))
    done = app.count_jobs(status="completed") - before
    app.enqueue_many(Keyed, ({"key": n % keys} for n in range(done)))
    return done / seconds


def _beside_closed(*, short: bool) -> Iterator[Measure]:
    """From enqueueing to performing, beside very many jobs of closed keys, and beside none."""
    closed, samples = (1_000, 5) if short else (999_999, 300)
    found: dict[str, list[float]] = {}
    with ExitStack() as opened:
        folder = opened.enter_context(new_folder())
        benches = {}
        for jobs in (0, closed):
            app = opened.enter_context(
                AntQ(Path(folder, str(jobs)), queues={"default": SLOTS}, retention=None)
            )
            limit = app.limit("gates:Alone")
            for key in range(100):
                limit.pause(key=f"closed {key}")
            app.enqueue_many(Alone, ({"key": f"closed {n % 100}"} for n in range(jobs)))
            benches[f"perform beside {jobs:,} of closed keys, p50"] = partial(_latency, app)
        found = interleaved(samples, benches)
    for name, values in found.items():
        yield Measure(name, "ms", [statistics.median(values)], "" if " 0 " in name else "2 more")


def _latency(app: AntQ) -> float:
    Alone.came.clear()
    Alone.begun.clear()
    began = time.perf_counter()
    app.enqueue(Alone, {"key": "open"})
    Alone.came.wait(60)
    app.wait_idle("default", timeout=0)
    until(lambda: not app.count_jobs(status="running"))
    return 1_000 * (Alone.begun[0] - began)


def _rate(*, short: bool) -> Iterator[Measure]:
    """Use a rate as fully as it allows, and never more."""
    jobs = 20 if short else 2_000
    with application(durable=True, queues={"default": SLOTS}) as app:
        Fast.starts.clear()
        app.enqueue_many(Fast, [{}] * jobs)
        app.wait_idle(timeout=300)
    starts = sorted(Fast.starts)
    seconds = starts[-1] - starts[0]
    allowed = 4 + 100 * seconds + 1
    most = max(
        sum(first <= each < first + 1 for each in starts[at_ : at_ + 120])
        for at_, first in enumerate(starts)
    )
    yield Measure("rate of 100/s, burst 5: share that is used", "", [jobs / allowed], ">= 0.98")
    yield Measure("  most starts in one second", "", [most], "<= 104")


def _fairness(*, short: bool) -> Iterator[Measure]:
    """One key with very many jobs, then a thousand keys with one each, ten slots."""
    many, keys = (500, 20) if short else (100_000, 1_000)
    with application(durable=False, queues={"default": 10}) as app:
        queue = app.queue("default")
        queue.pause()
        Alone.order.clear()
        app.enqueue_many(Alone, ({"key": "large"} for _ in range(many)))
        app.enqueue_many(Alone, ({"key": f"small {n}"} for n in range(keys)))
        queue.resume()
        until(lambda: sum(key != "large" for key in Alone.order) == keys, interval=0.05)
        queue.pause()
        last = max(n for n, key in enumerate(Alone.order, 1) if key != "large")
        app.stop(timeout=1)
    goal = f"<= {2 * keys + 10:,}"
    yield Measure(f"starts until {keys:,} keys with one job had theirs", "", [last], goal)
    yield _equal_keys(10 if short else 100, 20 if short else 200)


def _equal_keys(keys: int, each: int) -> Measure:
    """Return how equal the shares of keys with as many jobs are after a tenth of them (Jain)."""
    with application(durable=False, queues={"default": 10}) as app:
        queue = app.queue("default")
        queue.pause()
        Alone.order.clear()
        for key in range(keys):
            app.enqueue_many(Alone, [{"key": f"equal {key}"}] * each)
        queue.resume()
        until(lambda: len(Alone.order) >= keys * each // 10)
        queue.pause()
        shares = Counter(Alone.order[: keys * each // 10])
        app.stop(timeout=1)
    index = shares.total() ** 2 / (keys * sum(share**2 for share in shares.values()))
    return Measure(f"Jain's index of {keys} equal keys", "", [index], ">= 0.95")


if __name__ == "__main__":
    main(__doc__, bench)
