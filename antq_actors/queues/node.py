"""This process as a node of its path: a number, and a file lock that only death frees."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from antq_actors.storage.client import StorageClient


class Node:
    """Becomes a node when it is first asked for its number, and stops being one by ``close``."""

    def __init__(
        self, store: StorageClient, queues: Collection[str], metadata: bytes = b""
    ) -> None:
        self._store = store
        self._queues = tuple(queues)
        self._metadata = metadata
        self._lock = threading.RLock()
        self._number: int | None = None

    def number(self, before: Callable[[], object] = lambda: None) -> int:
        """Return the number under which jobs run here, of a new node after *before* is done.

        Raises StorageError, and what *before* raises.
        """
        with self._lock:
            if self._number is None:
                before()
                self._number = self._store.open_node(self._queues, self._metadata)
            return self._number

    def lost(self, number: int) -> None:
        """Note that this node was declared dead under *number*: it needs a new one."""
        with self._lock:
            if self._number == number:
                self._number = None
                self._store.lose_node(number)

    def close(self) -> None:
        """Be no node any more; its jobs were given back before. Raises StorageError."""
        with self._lock:
            if self._number is not None:
                self._store.close_node(self._number)
                self._number = None
