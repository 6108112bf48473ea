"""The supervisor of a queue's worker actors."""

from __future__ import annotations

from antq_actors.otp.kernel import current
from antq_actors.otp.supervision.dynamic import DynamicSupervisor


class Workers(DynamicSupervisor):
    """Has one temporary child per running job. The queue's thread runs its turns, if it sleeps."""

    runs_inline = True

    def can_run_inline(self) -> bool:
        """Say yes to actors only: to start a child must not be cut short by a KeyboardInterrupt."""
        return current.cell() is not None
