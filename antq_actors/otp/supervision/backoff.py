"""How long a supervisor waits before a start that failed is tried again."""

from __future__ import annotations

from antq_actors.backoff import Backoff

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
