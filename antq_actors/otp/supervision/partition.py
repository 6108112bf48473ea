"""PartitionSupervisor: the same child several times, so that one mailbox is not the bottleneck."""

from __future__ import annotations

import os
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from antq_actors.checks import check_whole
from antq_actors.otp.kernel.child_spec import ChildSpec, Strategy, to_spec
from antq_actors.otp.kernel.errors import CallExit
from antq_actors.otp.kernel.reasons import NoProc
from antq_actors.otp.messaging.names import find
from antq_actors.otp.supervision.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.backoff import Backoff
    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.messaging.names import Destination, Via


class PartitionSupervisor(Supervisor):
    """Runs *partitions* children made from one spec, with the ids 0, 1, 2, …

    ``Via(partition_supervisor, key)`` is one of them, always the same for the same *key* as long as
    *partitions* does not change: ``abs(key) % partitions`` for an int, else by its hash (which for
    a str is another one in each process). Messages with one key thus stay in order.
    """

    def __init__(
        self,
        child: object,
        partitions: int | None = None,
        *,
        with_arguments: Callable[[tuple[Any, ...], int], Any] | None = None,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        backoff: Backoff | None = None,
    ) -> None:
        """Make a supervisor of *partitions* children; None: as many as there are processors.

        *with_arguments* is called with the spec's args and the number of the partition, and returns
        the args of that partition, as a tuple.
        """
        number = (os.cpu_count() or 1) if partitions is None else partitions
        check_whole(number, "partitions", 1, none=" or None")
        if with_arguments is not None and not callable(with_arguments):
            raise TypeError(f"with_arguments must be a function, got {with_arguments!r}")
        spec = to_spec(child)
        super().__init__(
            [_partition(spec, index, with_arguments) for index in range(number)],
            strategy=strategy,
            max_restarts=max_restarts,
            max_seconds=max_seconds,
            backoff=backoff,
        )
        self._otp_cell.directory = _Partitions(self, number)

    @classmethod
    def child_spec(cls, *args: Any, **kwargs: Any) -> ChildSpec:
        """Return the spec of this supervisor; the spec of its partitions is checked now."""
        if args:
            args = (to_spec(args[0]), *args[1:])
        return super().child_spec(*args, **kwargs)

    @staticmethod
    def partitions(sup: Destination) -> int:
        """Return how many partitions a supervisor has, without a call to it.

        Raises CallExit(NoProc()) if it is not there, TypeError for what is no PartitionSupervisor.
        """
        cell = find(sup)
        if cell is None or cell.reason is not None:
            raise CallExit(NoProc(), f"no PartitionSupervisor runs as {sup!r}")
        if not isinstance(cell.directory, _Partitions):
            raise TypeError(f"{cell} is no PartitionSupervisor, so it has no partitions")
        return cell.directory.number


class _Partitions:
    """Finds a partition, without asking the supervisor."""

    def __init__(self, supervisor: PartitionSupervisor, number: int) -> None:
        self._supervisor = weakref.ref(supervisor)
        self.number = number

    def find(self, via: Via) -> ActorCell | None:
        """Return the actor of the partition that the key of *via* falls into, if it runs."""
        key = via.key
        index = (abs(key) if isinstance(key, int) else hash(key)) % self.number
        supervisor = self._supervisor()
        for child in () if supervisor is None else supervisor.published_children:
            if child.spec.id == index and child.is_running:
                cell: ActorCell = child.ref.cell
                # It may have ended a moment ago, and its supervisor not have seen that yet.
                return cell if cell.reason is None else None
        return None

    def take(self, via: Via, cell: ActorCell) -> ActorCell | None:
        """Refuse the name *via* to an actor: a partition cannot be given to an actor."""
        raise ValueError(
            f"{cell} cannot be named {via}: a PartitionSupervisor starts its partitions itself;"
            " a name needs a Registry"
        )


def _partition(spec: ChildSpec, index: int, with_arguments: Any) -> ChildSpec:
    args = spec.args if with_arguments is None else with_arguments(spec.args, index)
    return replace(spec, id=index, args=args)
