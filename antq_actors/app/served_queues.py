"""Which queues the living nodes of a path run, for a process that enqueues and runs none of them.

A job for a queue that nobody runs waits for ever. That is said once for each queue, to whoever
enqueues there while nodes live: before the first one lives, it is only early.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Final

from antq_actors.checks import list_known
from antq_actors.errors import AntqError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.storage.client import StorageClient

log: Final = logging.getLogger("antq_actors.app")

_LOOK_SECONDS: Final = 1.0
"""Between two looks for what was enqueued; one costs some 100 µs, and as much for each node."""

DEFAULT_AGE_SECONDS: Final = 0.2
"""How old a look may be that chooses the queue of a job."""


class ServedQueues:
    """Looks at the nodes of *store*'s path, as seldom as will do."""

    def __init__(self, store: StorageClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._served: Sequence[str] = ()
        self._looked = -math.inf
        self._compared = -math.inf
        self._noted: set[str] = set()
        """The queues in which something was enqueued, and that were not warned about."""
        self._warned: set[str] = set()

    def first(self, max_age: float) -> str | None:
        """Return the first queue of the first node that lives; None when none does.

        What was seen *max_age* seconds ago will do. Raises StorageError.
        """
        served = self._look(max_age)
        return served[0] if served else None

    def note(self, queue: str, max_age: float = _LOOK_SECONDS) -> None:
        """Note that something waits in *queue*, and warn if nodes live and none of them runs it.

        A queue that was seen to be run *max_age* seconds ago is not looked at; those that were
        noted while no node lived are looked at again. Raises nothing that the store raises: what
        waits there is stored.
        """
        now = self._clock()
        if queue in self._noted:
            if now < self._compared + max_age:
                return
        elif queue in self._warned:
            return
        else:
            self._noted.add(queue)
        try:
            served = self._look(0.0)
        except AntqError:
            self._compared = -math.inf  # the next one looks again
            return
        self._compared = now
        if served:
            for name in self._noted.difference(served):
                self._warn(name, served)

    def _look(self, max_age: float) -> Sequence[str]:
        now = self._clock()
        if now >= self._looked + max_age:
            self._served = self._store.served_queues()
            self._looked = now
        return self._served

    def _warn(self, queue: str, served: Sequence[str]) -> None:
        self._warned.add(queue)
        try:
            self._noted.remove(queue)
        except KeyError:
            return  # another thread has just warned
        log.warning(
            "no living node runs queue %r, so what is enqueued there waits%s",
            queue,
            list_known(queue, served),
        )
