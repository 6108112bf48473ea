"""The price of supervision, beside plain pykka: a call, and an actor's start and end."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pykka
from measure import Measure, interleaved, main, rate, ratio

from antq_actors import otp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CALL: Final = "otp.call, round trip"
ASK: Final = "pykka's ask, round trip"


class Echo(otp.GenServer):
    """Answers what it was asked."""

    def handle_call(self, request: Any) -> Any:
        """Answer *request*."""
        return request


class PykkaEcho(pykka.ThreadingActor):
    """The same, as pykka has it."""

    def on_receive(self, message: Any) -> Any:
        """Answer *message*."""
        return message


def bench(*, short: bool) -> Iterator[Measure]:
    """Ours and pykka's in turn."""
    calls, children, crowd, rounds = (100, 10, 50, 1) if short else (10_000, 500, 5_000, 5)
    yield from _calls(calls, rounds)
    for others in (10, crowd):
        yield from _children(children, others, rounds)


def _calls(calls: int, rounds: int) -> Iterator[Measure]:
    echo, pykka_echo = Echo.start(), PykkaEcho.start()
    values = interleaved(
        rounds,
        {
            CALL: lambda: _microseconds(calls, lambda: otp.call(echo, 1)),
            ASK: lambda: _microseconds(calls, lambda: pykka_echo.ask(1)),
        },
    )
    otp.stop(echo)
    pykka_echo.stop()
    for name, rounded in values.items():
        yield Measure(name, "us", rounded)
    yield ratio("  call against ask", values[CALL], values[ASK])


def _children(children: int, others: int, rounds: int) -> Iterator[Measure]:
    ours = f"dynamic child, start and end, {others:,} others"
    theirs = f"pykka actor, start and stop, {others:,} others"
    values: dict[str, list[float]] = {ours: [], theirs: []}
    for _ in range(rounds):
        with _supervisor_of(others) as sup:
            values[ours].append(_microseconds(children, lambda: _start_and_end(sup)))
        with _pykka_actors(others):
            values[theirs].append(_microseconds(children, lambda: PykkaEcho.start().stop()))
    for name, rounded in values.items():
        yield Measure(name, "us", rounded)
    yield ratio("  child against pykka actor", values[ours], values[theirs])


def _start_and_end(sup: otp.ServerRef) -> None:
    child = otp.DynamicSupervisor.start_child(sup, Echo)
    otp.DynamicSupervisor.terminate_child(sup, child)


@contextmanager
def _supervisor_of(children: int) -> Iterator[otp.ServerRef]:
    sup = otp.DynamicSupervisor.start()
    try:
        for _ in range(children):
            otp.DynamicSupervisor.start_child(sup, Echo)
        yield sup
    finally:
        otp.stop(sup)


@contextmanager
def _pykka_actors(number: int) -> Iterator[None]:
    refs = [PykkaEcho.start() for _ in range(number)]
    try:
        yield
    finally:
        for ref in refs:
            ref.stop(block=False)
        for ref in refs:
            ref.stop()


def _microseconds(times: int, once: Callable[[], object]) -> float:
    def work() -> None:
        for _ in range(times):
            once()

    return 1_000_000 / rate(times, work)


if __name__ == "__main__":
    main(__doc__, bench)
