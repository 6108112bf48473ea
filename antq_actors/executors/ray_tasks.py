"""The executor ``ray``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.executors.contract import NotReady

if TYPE_CHECKING:
    from antq_actors.executors.contract import Executor, Settings


def make(_settings: Settings) -> Executor:
    """Make it."""
    raise NotReady("executor='ray' is not there yet")
