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

TERMINATED: Final = "terminated child, start and end"
BY_ITSELF: Final = "child that ends by itself, start and end"
PYKKAS: Final = "pykka actor, start and stop"
FEW: Final = 10
"""Others that are alive when there are few."""


class Echo(otp.GenServer):
    """Replies with what it was asked."""

    def handle_call(self, request: Any) -> Any:
        """Return *request*."""
        return request


TEMPORARY: Final = Echo.child_spec(restart=otp.Restart.TEMPORARY)


class PykkaEcho(pykka.ThreadingActor):
    """The same, as pykka has it."""

    def on_receive(self, message: Any) -> Any:
        """Return *message*."""
        return message


def bench(*, short: bool) -> Iterator[Measure]:
    """Ours and pykka's in turn."""
    calls, children, crowd, rounds = (100, 10, 50, 1) if short else (10_000, 500, 5_000, 5)
    yield from _calls(calls, rounds)
    yield from _children(children, crowd, rounds)


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
    yield ratio("  call against ask", values[CALL], values[ASK], "<= 1.3")


def _children(children: int, crowd: int, rounds: int) -> Iterator[Measure]:
    """Few others and many in turn, so that both sides of a ratio had the same machine."""
    values: dict[str, list[float]] = {}
    for _ in range(rounds):
        for others in (FEW, crowd):
            for name, took in _round(children, others):
                values.setdefault(name, []).append(took)
    for name, rounded in values.items():
        yield Measure(name, "us", rounded)
    for what in (TERMINATED, BY_ITSELF):
        few, many = values[f"{what}, {FEW:,} others"], values[f"{what}, {crowd:,} others"]
        yield ratio(
            f"  {crowd:,} others against {FEW}, {what.partition(',')[0]}", many, few, "<= 1.25"
        )
    yield ratio(
        f"  child against pykka actor, {crowd:,} others",
        values[f"{TERMINATED}, {crowd:,} others"],
        values[f"{PYKKAS}, {crowd:,} others"],
    )


def _round(children: int, others: int) -> Iterator[tuple[str, float]]:
    with _supervisor_of(others) as sup:
        took = _microseconds(children, lambda: _start_and_terminate(sup))
        yield f"{TERMINATED}, {others:,} others", took
        took = _microseconds(children, lambda: _start_and_stop(sup))
        yield f"{BY_ITSELF}, {others:,} others", took
    with _pykka_actors(others):
        took = _microseconds(children, lambda: PykkaEcho.start().stop())
        yield f"{PYKKAS}, {others:,} others", took


def _start_and_terminate(sup: otp.ServerRef) -> None:
    child = otp.DynamicSupervisor.start_child(sup, Echo)
    otp.DynamicSupervisor.terminate_child(sup, child)


def _start_and_stop(sup: otp.ServerRef) -> None:
    otp.stop(otp.DynamicSupervisor.start_child(sup, TEMPORARY))


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
