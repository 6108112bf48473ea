"""Faults on purpose, by the name that users import: :mod:`~antq_actors.otp.inspect.chaos`."""

from antq_actors.introspection import shown
from antq_actors.otp.inspect.chaos import ChaosError, Hang, Slowness, crash, hang, kill, slow

__all__ = ["ChaosError", "Hang", "Slowness", "crash", "hang", "kill", "slow"]


def __dir__() -> list[str]:
    return shown(globals(), "exit")
