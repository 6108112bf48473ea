"""Why an actor ended: OTP's exit reasons as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Normal:
    """The actor was done, or was asked to stop."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The actor was told to end by its supervisor, or ended on purpose.

    *detail* is OTP's ``{shutdown, Detail}``: anything the actor wants to leave with those who
    watch it.

    >>> Shutdown(), Shutdown("lunch")
    (Shutdown(), Shutdown(detail='lunch'))
    """

    detail: Any = None

    def __repr__(self) -> str:
        """Return this exit reason as code, without the detail if there is none."""
        return "Shutdown()" if self.detail is None else f"Shutdown(detail={self.detail!r})"


@dataclass(frozen=True, slots=True)
class Killed:
    """The actor was killed: declared dead at once, without a word of its own."""


@dataclass(frozen=True, slots=True)
class NoProc:
    """There was no such actor (any more)."""


@dataclass(frozen=True, slots=True)
class Crash:
    """The actor raised *exception* and nothing caught it."""

    exception: BaseException

    def __post_init__(self) -> None:
        if not isinstance(self.exception, BaseException):
            raise TypeError(f"a Crash has an exception, got {self.exception!r}")

    def __str__(self) -> str:
        """Return the exception's class and text, for log lines."""
        try:
            text = str(self.exception)
        except Exception:  # noqa: BLE001 - whoever waits for this actor's end must hear of it
            text = "its text cannot be had"
        return f"Crash({type(self.exception).__name__}: {text})"


ExitReason: TypeAlias = Normal | Shutdown | Killed | NoProc | Crash
"""Every way an actor may end."""


def check_reason(reason: object) -> None:
    """Raise TypeError unless *reason* is an exit reason, and no class in place of its value."""
    if not isinstance(reason, ExitReason):
        hint = f"; write {reason.__name__}()" if isinstance(reason, type) else ""
        raise TypeError(f"a reason is Normal(), Shutdown(), Killed(), …, got {reason!r}{hint}")


ORDERLY: Final = (Normal, Shutdown)
"""The reasons that OTP counts as an ordinary end."""


def is_orderly(reason: ExitReason) -> bool:
    """Return whether OTP counts an actor's exit *reason* as an ordinary end: normal or shutdown."""
    return isinstance(reason, ORDERLY)
