"""Restarts and crowds: from a crash to a child that answers, and ten thousand idle actors."""

from __future__ import annotations

import logging
import queue
import time
from typing import TYPE_CHECKING, Any, Final

import psutil
from measure import Measure, at, main

from antq_actors import otp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BOOM: Final = ValueError("boom")
ENDLESS: Final = 10**9
"""As many restarts as anyone may count."""


class Child(otp.GenServer):
    """Crashes when told to, and says when it runs."""

    def __init__(self, ready: queue.SimpleQueue[float]) -> None:
        super().__init__()
        self._ready = ready

    def init(self) -> otp.Continue:
        """Let ``start`` return before anything is said."""
        return otp.Continue()

    def handle_continue(self, token: Any) -> None:  # noqa: ARG002 - there is only one
        """Note that it runs: next it takes messages."""
        self._ready.put(time.perf_counter())

    def handle_cast(self, request: Any) -> None:  # noqa: ARG002 - any will do
        """Crash."""
        raise BOOM.with_traceback(None)


class Idle(otp.GenServer):
    """Does nothing."""


def bench(*, short: bool) -> Iterator[Measure]:
    """Restarts under both kinds of supervisor, then the crowd."""
    crashes, actors, rounds = (10, 50, 1) if short else (500, 10_000, 3)
    for kind, supervised in (("Supervisor", _static), ("DynamicSupervisor", _dynamic)):
        yield from _restarts(kind, supervised, crashes, rounds)
    yield from _crowds(actors, rounds)


def _restarts(
    kind: str,
    supervised: Callable[[queue.SimpleQueue[float]], otp.ServerRef],
    crashes: int,
    rounds: int,
) -> Iterator[Measure]:
    medians, slowest = [], []
    for _ in range(rounds):
        ready: queue.SimpleQueue[float] = queue.SimpleQueue()
        sup = supervised(ready)
        ready.get()
        took = [_crash_to_ready(ready) for _ in range(crashes)]
        medians.append(1_000_000 * at(0.5, took))
        slowest.append(1_000_000 * at(0.99, took))
        otp.stop(sup)
    yield Measure(f"crash to ready under a {kind}, p50", "us", medians)
    yield Measure(f"crash to ready under a {kind}, p99", "us", slowest)


def _crash_to_ready(ready: queue.SimpleQueue[float]) -> float:
    began = time.perf_counter()
    otp.cast("child", None)
    return ready.get() - began


def _static(ready: queue.SimpleQueue[float]) -> otp.ServerRef:
    spec = Child.child_spec(ready, name="child")
    sup: otp.ServerRef = otp.Supervisor.start([spec], max_restarts=ENDLESS, max_seconds=0.001)
    return sup


def _dynamic(ready: queue.SimpleQueue[float]) -> otp.ServerRef:
    sup: otp.ServerRef = otp.DynamicSupervisor.start(max_restarts=ENDLESS, max_seconds=0.001)
    otp.DynamicSupervisor.start_child(sup, Child.child_spec(ready, name="child"))
    return sup


def _crowds(actors: int, rounds: int) -> Iterator[Measure]:
    starts, memory, stops = [], [], []
    for _ in range(rounds):
        used = psutil.Process().memory_info().rss
        sup = otp.DynamicSupervisor.start()
        began = time.perf_counter()
        otp.DynamicSupervisor.start_children(sup, [Idle] * actors)
        starts.append(time.perf_counter() - began)
        memory.append((psutil.Process().memory_info().rss - used) / 1024 / actors)
        began = time.perf_counter()
        otp.stop(sup)
        stops.append(time.perf_counter() - began)
    yield Measure(f"{actors:,} idle actors, start of all", "s", starts)
    yield Measure(f"{actors:,} idle actors, memory of each (first round)", "KiB", memory[:1])
    yield Measure(f"{actors:,} idle actors, shutdown of the tree", "s", stops)


if __name__ == "__main__":
    logging.disable()  # a crash a line would be measured as well
    main(__doc__, bench)
