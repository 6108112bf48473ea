"""The small facts of a store: counters that never go back, paused queues, nodes and the
commands for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, cast

import msgspec

from antq_actors.errors import DamagedRecord
from antq_actors.flow.limits import QueueLimit
from antq_actors.storage.format.records import PauseRecord
from antq_actors.storage.lmdb.scan import items_with, keys_with, value_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import lmdb
    from lmdb import _Database

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.format.records import Cancellation

NEXT_ID: Final = b"next:id"
NEXT_NODE: Final = b"next:node"
PAUSED: Final = b"paused:"
_ENCRYPTED: Final = b"encrypted"
_NODE: Final = b"node:"
_CONCURRENCY: Final = b"order:"
_ISOLATED: Final = b"alone:"
_LIMITED: Final = b"bound:"
_KNOWN: Final = b"known:"
_RELEASE: Final = b"release"
_CANCEL: Final = b"cancel:"
_STEPPING: Final = b"break:"
_SPECIAL: Final = ((_ISOLATED, _CANCEL + b"\xff"), (_CONCURRENCY, PAUSED + b"\xff"))
"""Between these keys are all that :meth:`Meta.is_quiet` is about, and no others."""


LETS_THROUGH: Final = b"t"
"""In the row of a queue: a step has let some of its jobs through, …"""
HAS_STARTED: Final = b"r"
"""… it has started some of these, …"""
STOPS_ON_CLAIM: Final = b"c"
"""… it has a breakpoint that stops it before a job starts, …"""
STOPS_ON_FAILURE: Final = b"f"
"""… or one that stops it after an attempt has failed."""


class QueueLimits(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What limits a queue as a whole, and whether it ever had jobs with limits."""

    has_jobs: bool = False
    declared: int | None = None
    """How many of its jobs may run at once on all nodes, as the code says; None: any number."""
    is_set: bool = False
    """Whether another number was set at runtime."""
    number: int | None = None
    """That number; None: any."""
    rate: str | None = None
    """The name of the limit that all its jobs start at the rate of."""
    passes: tuple[QueueLimit, ...] = ()
    """What each of its jobs passes, as the code says."""

    @property
    def concurrency(self) -> int | None:
        """How many of its jobs may run at once on all nodes; None: any number."""
        return self.number if self.is_set else self.declared


NO_LIMITS: Final = QueueLimits()
_encode = msgspec.msgpack.Encoder().encode
_decode_limits = msgspec.msgpack.Decoder(QueueLimits).decode
_decode_pause = msgspec.msgpack.Decoder(PauseRecord).decode


@lru_cache(maxsize=256)
def node_key(node: int) -> bytes:
    """Return the ``meta`` key of a node, which holds the queues it runs."""
    return b"%b%020d" % (_NODE, node)


@lru_cache(maxsize=256)
def isolated_key(node: int) -> bytes:
    """Return the ``meta`` key of the last isolated run on a node."""
    return _ISOLATED + b"%d" % node


@lru_cache(maxsize=256)
def paused_key(queue_name: str) -> bytes:
    """Return the ``meta`` key that a paused queue has."""
    return PAUSED + queue_name.encode()


@lru_cache(maxsize=256)
def stepping_key(queue_name: str) -> bytes:
    """Return the ``meta`` key of a queue that has breakpoints, or lets jobs through."""
    return _STEPPING + queue_name.encode()


@lru_cache(maxsize=256)
def concurrency_key(node: int, queue_name: str) -> bytes:
    """Return the ``meta`` key of a command to a node: the concurrency to use for a queue."""
    return b"%b%d:%b" % (_CONCURRENCY, node, queue_name.encode())


@lru_cache(maxsize=256)
def cancellations_prefix(node: int, queue_name: str) -> bytes:
    """Return what the ``meta`` keys of a node's cancelled executions in a queue begin with."""
    return b"%b%d:%b\0" % (_CANCEL, node, queue_name.encode())


@lru_cache(maxsize=256)
def limited_key(queue_name: str) -> bytes:
    """Return the ``meta`` key of what limits a queue; one that was never limited has none."""
    return _LIMITED + queue_name.encode()


@dataclass(slots=True)
class Meta:
    """Reads and writes the ``meta`` table in one LMDB transaction: counters, pauses, nodes."""

    _txn: lmdb.Transaction
    _db: _Database
    has_changed: bool = False
    """Whether anything was written here in this transaction."""

    def is_quiet(self) -> bool:
        """Read whether no queue is paused or limited, no node has a command or had an isolated run.

        Nor has any queue a breakpoint. So it is nearly always; else each of these has to be read by
        itself. No other rows come between those of a node's isolated run and its cancellations, nor
        between a command and a pause.
        """
        txn: lmdb.Transaction[bytes] = self._txn  # type: ignore[assignment] # as it has no buffers
        cursor = txn.cursor(self._db)
        for first, last in _SPECIAL:
            if cursor.set_range(first) and cursor.key() <= last:
                return False
        return True

    def counter(self, name: bytes) -> int:
        """Read the next number of a counter in ``meta``, from 1. Raises DamagedRecord."""
        stored = cast("bytes | None", self._txn.get(name, db=self._db)) or b"1"
        if not stored.isdigit():
            raise DamagedRecord(
                f"the counter {name.decode()} is damaged: it reads {stored!r}; restore a backup, or"
                " `antq export` what is there and import it into a new store"
            )
        return int(stored)

    def set_counter(self, name: bytes, number: int) -> None:
        """Store *number* as the next of a counter in the ``meta`` table."""
        self._put(name, b"%d" % number)

    def is_paused(self, queue_name: str) -> bool:
        """Read from the ``meta`` table whether a queue is paused, on every node."""
        return self._txn.get(paused_key(queue_name), db=self._db) is not None

    def paused(self) -> list[str]:
        """Read the names of the queues that are paused from the ``meta`` table."""
        keys = keys_with(self._txn, self._db, PAUSED)
        return [key[len(PAUSED) :].decode(errors="replace") for key in keys]

    def pause_of(self, queue_name: str) -> PauseRecord | None:
        """Read from the ``meta`` table who paused a queue, and when; None: it is not paused."""
        stored = value_of(self._txn, self._db, paused_key(queue_name))
        if stored is None:
            return None
        try:
            return _decode_pause(stored)
        except msgspec.MsgspecError:  # an earlier release stored nothing beside the name
            return PauseRecord()

    def set_paused(self, queue_name: str, pause: PauseRecord | None) -> None:
        """Store in the ``meta`` table that a queue is paused, or with None that it is not."""
        key = paused_key(queue_name)
        if pause is not None:
            self._put(key, _encode(pause))
        else:
            self._delete(key)

    def stepping(self, queue_name: str) -> bytes:
        """Read which of the marks `LETS_THROUGH` to `STOPS_ON_FAILURE` a queue has."""
        return value_of(self._txn, self._db, stepping_key(queue_name)) or b""

    def all_stepping(self) -> Iterator[tuple[str, bytes]]:
        """Yield the names of queues that have any of these, and which."""
        for key, marks in items_with(self._txn, self._db, _STEPPING):
            yield key[len(_STEPPING) :].decode(errors="replace"), marks

    def set_stepping(self, queue_name: str, marks: bytes) -> None:
        """Store in the ``meta`` table which of these a queue has."""
        if marks:
            self._put(stepping_key(queue_name), marks)
        else:
            self._delete(stepping_key(queue_name))
        self.has_changed = True  # what it is about has

    def known_errors(self) -> dict[str, str]:
        """Read until which version failures are known from ``meta``, by their fingerprints."""
        rows = items_with(self._txn, self._db, _KNOWN)
        return {
            key[len(_KNOWN) :].decode(errors="replace"): version.decode(errors="replace")
            for key, version in rows
        }

    def set_known_error(self, fingerprint: str, version: str | None) -> None:
        """Store in ``meta`` until which version a failure is known, or with None that it is not."""
        key = _KNOWN + fingerprint.encode(errors="replace")
        if version is None:
            self._delete(key)
        else:
            self._put(key, version.encode(errors="replace"))

    def take_release(self, version: str) -> str | None:
        """Store in ``meta`` which release a node runs; return that of the node before, if any."""
        before = self._txn.get(_RELEASE, db=self._db)
        if before != version.encode():
            self._put(_RELEASE, version.encode())
        return None if before is None else bytes(before).decode(errors="replace")

    def encrypts_all(self) -> bool:
        """Read from the ``meta`` table whether all jobs are to be encrypted."""
        return self._txn.get(_ENCRYPTED, db=self._db) is not None

    def set_encrypts_all(self, *, encrypts_all: bool) -> None:
        """Store in the ``meta`` table that all jobs are to be encrypted, or are not."""
        if encrypts_all:
            self._put(_ENCRYPTED, b"")
        else:
            self._delete(_ENCRYPTED)

    def queue_limits(self, queue_name: str) -> QueueLimits:
        """Read from the ``meta`` table what limits a queue, and whether its jobs have limits."""
        stored = value_of(self._txn, self._db, limited_key(queue_name))
        if stored is None:
            return NO_LIMITS
        try:
            return _decode_limits(stored)
        except msgspec.MsgspecError:  # damaged; until a node declares it again
            return QueueLimits(has_jobs=True)

    def limited(self) -> list[str]:
        """Read the names of the queues that are limited, or had such jobs, from ``meta``."""
        keys = keys_with(self._txn, self._db, _LIMITED)
        return [key[len(_LIMITED) :].decode(errors="replace") for key in keys]

    def with_limited_jobs(self) -> list[str]:
        """Read the names of the queues that have jobs with limits, or had some."""
        return [name for name in self.limited() if self.queue_limits(name).has_jobs]

    def limited_by(self, rate: str) -> list[str]:
        """Read the names of the queues of which all jobs start at a rate, passing no gate."""
        return [queue for queue in self.limited() if self.queue_limits(queue).rate == rate]

    def set_queue_limits(self, queue_name: str, limits: QueueLimits) -> None:
        """Store in the ``meta`` table what limits a queue."""
        if limits == NO_LIMITS:
            self._delete(limited_key(queue_name))
        else:
            self._put(limited_key(queue_name), _encode(limits))

    def nodes(self) -> list[int]:
        """Read the numbers of the recorded nodes, opened and not closed, from ``meta``."""
        return [node for node, _ in self._nodes()]

    def served(self) -> set[str]:
        """Read the names of the queues that recorded nodes run from the ``meta`` table."""
        return {name for _, queues in self._nodes() for name in queues if name}

    def nodes_of(self, queue_name: str) -> list[int]:
        """Read the numbers of the recorded nodes that run a queue from the ``meta`` table."""
        return [node for node, queues in self._nodes() if queue_name in queues]

    def served_by_node(self) -> list[tuple[int, list[str]]]:
        """Read the recorded nodes, and the names of the queues that each runs, from ``meta``."""
        return [(node, [name for name in queues if name]) for node, queues in self._nodes()]

    def _nodes(self) -> list[tuple[int, list[str]]]:
        """Read each node with its queues from the ``meta`` table; a damaged row is left out."""
        return [
            (int(key[len(_NODE) :]), queues.decode(errors="replace").split("\0"))
            for key, queues in items_with(self._txn, self._db, _NODE)
            if key[len(_NODE) :].isdigit()
        ]

    def set_concurrency_command(self, node: int, queue_name: str, n: int) -> None:
        """Store the command that a node perform up to *n* jobs of a queue at once from now on."""
        self._put(concurrency_key(node, queue_name), b"%d" % n)

    def concurrency_command(self, node: int, queue_name: str) -> int | None:
        """Read the concurrency command for a node's queue; None: there is none."""
        n = value_of(self._txn, self._db, concurrency_key(node, queue_name))
        return int(n) if n is not None and n.isdigit() else None

    def take_concurrency_command(self, node: int, queue_name: str) -> int | None:
        """Delete and return the concurrency command for a node's queue; None: there is none."""
        n = self.concurrency_command(node, queue_name)
        self._delete(concurrency_key(node, queue_name))
        return n

    def add_cancellation(self, node: int, queue_name: str, cancelled: Cancellation) -> None:
        """Store in ``meta`` the command that a node end this execution of a job."""
        self._put(cancellations_prefix(node, queue_name) + b"%d %d" % cancelled, b"")

    def take_cancellations(self, node: int, queue_name: str) -> tuple[Cancellation, ...]:
        """Take from a store the commands to end jobs of a node's queue; return the executions."""
        prefix = cancellations_prefix(node, queue_name)
        keys = list(keys_with(self._txn, self._db, prefix))
        for key in keys:
            self._delete(key)
        found = (key[len(prefix) :].split() for key in keys)
        return tuple(
            (int(id_), int(execution))
            for id_, execution in (each for each in found if len(each) == len(("id", "execution")))
            if id_.isdigit() and execution.isdigit()
        )

    def isolated(self, node: int) -> tuple[int, int, Instant] | None:
        """Read the last isolated run on a node from ``meta``: job, execution, since when."""
        stored = value_of(self._txn, self._db, isolated_key(node))
        if stored is None:
            return None
        try:
            id_, execution, since = map(int, stored.split())
        except ValueError:  # damaged; it is only about who goes first
            return None
        return id_, execution, since

    def set_isolated(self, node: int, id_: int, execution: int, since: Instant) -> None:
        """Store in the ``meta`` table that a job has begun an isolated run on a node."""
        self._put(isolated_key(node), b"%d %d %d" % (id_, execution, since))

    def add_node(self, node: int, queues: Collection[str]) -> None:
        """Store a node and the queues it runs in the ``meta`` table."""
        self._put(node_key(node), "\0".join(queues).encode())

    def remove_node(self, node: int) -> None:
        """Delete a node and its commands from the ``meta`` table; an unknown one is no error."""
        self._delete(node_key(node))
        self._delete(isolated_key(node))
        for prefix in (b"%b%d:" % (_CONCURRENCY, node), b"%b%d:" % (_CANCEL, node)):
            for key in list(keys_with(self._txn, self._db, prefix)):
                self._delete(key)

    def _put(self, key: bytes, value: bytes) -> None:
        self._txn.put(key, value, db=self._db)
        self.has_changed = True

    def _delete(self, key: bytes) -> None:
        if self._txn.delete(key, db=self._db):
            self.has_changed = True
