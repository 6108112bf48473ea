"""The settings of a supervisor, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from antq_actors.backoff import Backoff
from antq_actors.otp.kernel.child_spec import AutoShutdown, Strategy, member_hint
from antq_actors.otp.supervision.restart import RestartIntensity, State


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorOptions:
    """How a supervisor treats its children; checked when made."""

    strategy: Strategy = Strategy.ONE_FOR_ONE
    """Who is started again together with a child that is."""
    max_restarts: int = 3
    """Restarts allowed within `max_seconds`; at one more, the supervisor gives up."""
    max_seconds: float = 5.0
    """The window of `max_restarts`, in seconds."""
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    """Whether it stops when its significant children have ended."""

    backoff: Backoff | None = None
    """How long to wait between failing restarts; None: not at all, as in OTP."""

    def __post_init__(self) -> None:
        RestartIntensity(self.max_restarts, self.max_seconds)
        if not isinstance(self.strategy, Strategy):
            raise TypeError(
                f"strategy must be a Strategy, got {self.strategy!r}{member_hint(Strategy)}"
            )
        if not isinstance(self.auto_shutdown, AutoShutdown):
            raise TypeError(
                f"auto_shutdown must be an AutoShutdown, got {self.auto_shutdown!r}"
                f"{member_hint(AutoShutdown)}"
            )

        check_backoff(self.backoff)

    def initial_state(self) -> State:
        """Return the initial state of a supervisor with these settings, before it has children."""
        return State(
            strategy=self.strategy,
            auto_shutdown=self.auto_shutdown,
            intensity=RestartIntensity(self.max_restarts, self.max_seconds),
        )

    @classmethod
    def of(cls, options: object) -> SupervisorOptions:
        """Make options of a mapping; TypeError for a name that is none."""
        if not isinstance(options, Mapping):
            raise TypeError(f"the options of init_children are a mapping, got {options!r}")
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                close = get_close_matches(str(name), known, 1)
                hint = f"; did you mean {close[0]!r}?" if close else f"; there are {known}"
                raise TypeError(f"unknown supervisor option {name!r}{hint}")
        return cls(**options)


def check_pair(made: object) -> tuple[Any, Any]:
    """Return what ``init_children`` returned; TypeError unless it is children and options."""
    if not isinstance(made, tuple) or len(made) != 2:  # noqa: PLR2004 - a pair
        raise TypeError(
            "init_children returns (children, options) or IGNORE, with the options a mapping or"
            f" None, got {made!r}"
        )
    return made


__all__ = ["Backoff", "check_backoff", "delay_of"]


def check_backoff(backoff: object) -> None:
    """Raise TypeError unless *backoff* is one, or None."""
    if backoff is not None and not isinstance(backoff, Backoff):
        raise TypeError(
            f"backoff must be a Backoff or None, got {backoff!r}; write Backoff(first=0.1)"
        )


def delay_of(backoff: Backoff | None, failures: int, chance: float) -> float:
    """Return the seconds to wait after *failures* failed starts; without a *backoff* none.

    *chance* is a random number from 0 to 1, for its jitter.
    """
    return 0.0 if backoff is None else backoff.delay(failures, chance=chance)
