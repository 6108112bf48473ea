"""Doing harm on purpose: to see what a tree makes of it, in a test or on a slow afternoon.

Each function returns when the harm is done. They work on every actor here, supervisors too.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, NoReturn, Self

from antq_actors.checks import finite_seconds, timeout_seconds
from antq_actors.introspection import shown
from antq_actors.otp.kernel.errors import CallExit, OtpError
from antq_actors.otp.kernel.messages import NOREPLY, Call
from antq_actors.otp.kernel.reasons import Crash, ExitReason, Killed
from antq_actors.otp.messaging import links
from antq_actors.otp.messaging.calls import put_or_take_back
from antq_actors.otp.messaging.names import find_living

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.messaging.names import Destination

__all__ = [
    "ChaosError",
    "Hang",
    "Slowness",
    "crash",
    "hang",
    "kill",
    "slow",
]


class ChaosError(OtpError):
    """What `crash` raises in an actor unless it is given something else."""


class _Inject(Call):
    """Has the actor do *work*, a function of this call, in the place of a handler."""

    __slots__ = ("callback", "work")

    def __init__(self, callback: str, work: Callable[[Call], Any]) -> None:
        super().__init__(None)
        self.callback = callback
        self.work = work

    def put_to(self, actor: Any) -> Any:  # noqa: ARG002 - any actor will do
        if self.is_settled:  # the caller has given up
            self.forget()
            return NOREPLY
        return self.work(self)


class _Harm:
    """Harm that lasts until it is ended; usable as ``with``."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def end(self) -> None:
        """End the harm, so that the actor goes on. Calling it again does nothing."""
        self._over.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.end()


class Hang(_Harm):
    """An actor that hangs; returned by `hang`."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__()
        self._seconds = seconds

    def work(self, call: Call) -> Any:
        """Block the actor's thread, deaf to signals as in C code, until the harm ends."""
        is_wanted = call.answer(None)
        call.forget()
        if is_wanted:
            self._over.wait(self._seconds)
        return NOREPLY


class Slowness(_Harm):
    """An actor that is slow; returned by `slow`."""

    def __init__(self, cell: ActorCell, seconds: float) -> None:
        super().__init__()
        self._cell = cell
        self._seconds = seconds

    def end(self) -> None:
        """Stop slowing the actor down. Calling it again does nothing."""
        super().end()
        self._cell.remove_observer(self)

    def on_receive(self, what: object) -> None:  # noqa: ARG002 - whatever it is
        """Delay the actor's next message, by a wait in the actor's thread."""
        self._over.wait(self._seconds)

    def on_reply(self, request: object, value: object) -> None:
        """Do nothing: only the actor's receiving is slowed down."""

    def on_send(self, how: str, message: object, dest: object) -> None:
        """Do nothing: only the actor's receiving is slowed down."""


def crash(
    dest: Destination,
    error: BaseException | None = None,
    *,
    timeout: float | timedelta | None = 5.0,
) -> None:
    """Have *error* (None: a ChaosError) raised in the actor, as if by a handler of its own.

    Returns when the actor has ended. Raises CallExit(NoProc()) if it is not there, CallTimeout if
    it did not come to it within *timeout* seconds, being busy or suspended; then it never will.
    """
    wanted = ChaosError("crashed on purpose") if error is None else error
    if not isinstance(wanted, BaseException):
        raise TypeError(f"an actor crashes with an exception, got {error!r}")

    def fail(_call: Call) -> NoReturn:
        raise wanted

    try:
        _inject(dest, _Inject("chaos.crash", fail), timeout)
    except CallExit as end:
        if not (isinstance(end.reason, Crash) and end.reason.exception is wanted):
            raise


def exit(dest: Destination, reason: ExitReason) -> None:  # noqa: A001 - OTP's name
    """Send the actor an exit signal, as `antq_actors.otp.exit` does."""
    links.exit(dest, reason)


def kill(dest: Destination) -> None:
    """Cause chaos: declare the actor dead at once, as ``exit(dest, Killed())`` does."""
    links.exit(dest, Killed())


def hang(
    dest: Destination,
    seconds: float | timedelta | None = None,
    *,
    timeout: float | timedelta | None = 5.0,
) -> Hang:
    """Have the actor hang in a handler for *seconds* (None: until `Hang.end`), deaf to all.

    Returns when it hangs. A kill declares it dead, and then its thread is one of `orphans` until
    the harm ends. Raises what `crash` raises.
    """
    harm = Hang(timeout_seconds(seconds, "seconds"))
    _inject(dest, _Inject("chaos.hang", harm.work), timeout)
    return harm


def slow(dest: Destination, seconds: float | timedelta) -> Slowness:
    """Have the actor wait for *seconds* before each message, until `Slowness.end` or its own end.

    Raises CallExit(NoProc()) if it is not there.
    """
    if seconds is None or seconds == math.inf:
        raise ValueError(f"seconds must be 0 or more, and finite, got {seconds!r}; or use hang()")
    pause = min(finite_seconds(seconds, "seconds"), threading.TIMEOUT_MAX)
    cell = find_living(dest)
    harm = Slowness(cell, pause)
    cell.add_observer(harm)
    return harm


def _inject(dest: Destination, work: _Inject, timeout: float | timedelta | None) -> None:
    limit = timeout_seconds(timeout)
    put_or_take_back(find_living(dest), work, limit)


def __dir__() -> list[str]:
    return shown(globals(), "exit")
