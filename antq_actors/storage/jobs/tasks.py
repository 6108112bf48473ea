"""What is still to be done of a change that is too large for one transaction.

The transaction that begins it stores the rest here as a row, and a service does it turn by turn
(:mod:`antq_actors.queues.services.flow`); so a crash in between loses nothing.

    tasks      number    a task
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from antq_actors.storage.format.encoding import DAMAGES
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import items_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import lmdb
    from lmdb import _Database

    from antq_actors.storage.lmdb.tables import Tables


class SettleEdges(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Have those that wait for a job or a group looked at, behind one of them.

    Of a group also whether it has ended, as groups in it have.
    """

    upstream: int
    after: int = 0
    stage: int | None = None
    """How far the upstream was, where its record is gone."""


class CancelGroup(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Cancel the members of a group behind one of them, and the groups among those."""

    group: int
    after: int = 0


class ChangeJobs(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Change the jobs that a bulk change has left."""

    bulk: int


Task: TypeAlias = SettleEdges | CancelGroup | ChangeJobs

TASKS: Final = ""
"""In place of a queue's name among those for which there are commands: there is a task."""

_encode = msgspec.msgpack.Encoder().encode
_decode: Final[Callable[[bytes], Task]] = msgspec.msgpack.Decoder(Task).decode


class TaskTable:
    """Reads and writes tasks in one transaction. LMDB opens the table with the first of these."""

    def __init__(self, txn: lmdb.Transaction, tables: Tables) -> None:
        self._txn: Any = txn
        self._tables = tables
        self.has_new = False
        """Whether a task was written in this transaction."""

    @cached_property
    def _tasks(self) -> _Database:
        return self._tables.further(self._txn, "tasks")

    def add(self, task: Task) -> None:
        """Write a task behind all others."""
        with self._txn.cursor(self._tasks) as cursor:
            number = int.from_bytes(cursor.key()) + 1 if cursor.last() else 1
        self._txn.put(keys.job_key(number), _encode(task), db=self._tasks)
        self.has_new = True

    def take(self) -> Task | None:
        """Delete the first task and return it; None: there is none. A damaged one is left out."""
        while (found := next(items_from(self._txn, self._tasks, b""), None)) is not None:
            self._txn.delete(found[0], db=self._tasks)
            try:
                return _decode(found[1])
            except DAMAGES:
                continue
        return None

    def is_empty(self) -> bool:
        """Read whether there is no task."""
        return not self._txn.stat(self._tasks)["entries"]

    def damaged(self) -> list[int]:
        """Read the numbers of the damaged tasks, which are left out when their turn comes."""
        found = []
        for key, stored in items_from(self._txn, self._tasks, b""):
            try:
                _decode(stored)
            except DAMAGES:
                found.append(int.from_bytes(key))
        return found

    def all(self) -> Iterator[Task]:
        """Yield all tasks that can be read, in order."""
        for _, stored in items_from(self._txn, self._tasks, b""):
            try:
                yield _decode(stored)
            except DAMAGES:
                continue
