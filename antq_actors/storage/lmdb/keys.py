"""The keys of a store's tables, as bytes whose order is the order of work.

LMDB sorts keys as bytes, so numbers are big-endian with a bias that puts negative ones first, and
names end in NUL, so that a queue's keys stand together and no queue's name is the beginning of
another's range.

    jobs       id
    payloads   id
    errors     id, number of the error from 0
    index      lane, order, id          what is next: the head of a lane
               HEADS, queue, order,
               ticket, id               enqueued jobs that are in front of all their limits
               HELD, place, queue,
               order, id                enqueued jobs that wait for a limit: its rooms
               CHAIN, gate, order, id   jobs with a strict limit that have not ended
               listing lane, id         the jobs of a lane whose order is not that of ids
               ENDS, time, id           the ids of jobs that ended at this time together
    unique     digest, status, id
    meta       name, or COUNT and a lane
    gates      digest of a limit and a key  the number of a gate
               NUMBERED, number             the gate
    openings   queue, time, gate
    limits     digest of a limit

A *lane* is (status, queue). Its order is the due time of scheduled and retrying jobs, the
priority of enqueued ones (largest first), the node of running ones, and the same of all suspended
ones. Ended jobs have none: nothing is to be done with them, so they are in their listing lane and
in the row of their time. Enqueued jobs with limits are in HEADS or HELD instead, and in the listing
lane of enqueued jobs.
"""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from struct import Struct, unpack
from typing import TYPE_CHECKING, Final, NamedTuple

from antq_actors.errors import StorageError
from antq_actors.jobs.state import ENDED, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from antq_actors.jobs.instant import Instant

# On disk: a byte is never given another meaning.
_BYTES: Final = {
    Status.ENQUEUED: b"\x01",
    Status.RUNNING: b"\x02",
    Status.SCHEDULED: b"\x03",
    Status.RETRYING: b"\x04",
    Status.COMPLETED: b"\x05",
    Status.FAILED: b"\x06",
    Status.CANCELLED: b"\x07",
    Status.SUSPENDED: b"\x09",
}
_STATUSES: Final = {byte[0]: status for status, byte in _BYTES.items()}
HELD: Final = b"\x08"
"""What the ``index`` keys of jobs that wait for a limit begin with."""
HEADS: Final = b"\x0a"
"""What those of enqueued jobs that are in front of all their limits begin with."""
NUMBERED: Final = b"\xff"
"""What the keys of gates by their numbers begin with, in ``gates`` and in `HELD`."""
CHAIN: Final = b"\x0b"
"""What those of the places of jobs in the strict order of a key begin with."""
ENDS: Final = b"\x40"
"""What the ``index`` keys of the rows of ended jobs begin with: behind all lanes."""
_LISTING: Final = 0x80
"""Added to the first byte of a lane, for its jobs by id: behind all else in ``index``."""

LISTED: Final = frozenset(Status) - {Status.ENQUEUED, Status.RUNNING, Status.SUSPENDED}
"""Statuses with listing lanes. The others are listed from their own: those have few orders
(priorities, nodes, 0 of all suspended ones), and ids ascend within each.
"""
_COUNTED_BY_LISTING: Final = ENDED | {Status.ENQUEUED}
COUNT: Final = b"count:"
"""What the ``meta`` keys of how many jobs a lane has begin with."""

LONGEST_QUEUE_NAME_BYTES: Final = 255
"""In bytes of UTF-8; LMDB allows 511 for a whole key."""

LARGEST_ID: Final = 2**64 - 1

LARGEST_NUMBER: Final = 2**32 - 1
"""Of an error."""

BIAS: Final = 2**63
"""Puts negative orders first."""
_ID: Final = Struct(">Q")
_ORDER_ID: Final = Struct(">QQ")
_ID_NUMBER: Final = Struct(">QL")
_THREE: Final = Struct(">QQQ")
_FOUR: Final = Struct(">QQQQ")
_ORDER_SIZE: Final = 8
_ID_SIZE: Final = 8


class WorkKey(NamedTuple):
    """A key of ``index``, taken apart."""

    status: Status
    queue_name: str
    order: int
    id: int


class ListingKey(NamedTuple):
    """A key of ``index`` in a listing lane, taken apart."""

    status: Status
    queue_name: str
    id: int


class UniqueKey(NamedTuple):
    """A key of ``unique``, taken apart."""

    digest: bytes
    status: Status
    id: int


job_key: Final[Callable[[int], bytes]] = _ID.pack
"""Return the LMDB key of a job's id in the tables ``jobs`` and ``payloads``."""


def ids_of(job_keys: Collection[bytes]) -> tuple[int, ...]:
    """Return the ids of these keys in ``jobs``, all at once: that takes a fifth of the time.

    >>> ids_of([job_key(7), job_key(8)])
    (7, 8)
    """
    return unpack(f">{len(job_keys)}Q", b"".join(job_keys))


packed_order: Final[Callable[[int], bytes]] = _ID.pack
"""Return the bytes of an order, given plus `BIAS`: what follows the lane in a key of ``index``."""


id_part: Final[Callable[[bytes], bytes]] = itemgetter(slice(-_ID_SIZE, None))
"""Return the key in ``jobs`` of the job that a key of ``index`` ends with."""


def is_id(number: int) -> bool:
    """Return whether a job or a group may have this number."""
    return 0 < number <= LARGEST_ID


def id_at_end(key: bytes) -> int:
    """Return the job id that an LMDB key of any table but ``errors`` and ``meta`` ends with."""
    return int.from_bytes(key[-_ID_SIZE:], "big")


def without_id(key: bytes) -> bytes:
    """Return an LMDB key that ends in a job's id, without the bytes of this id."""
    return key[:-_ID_SIZE]


def error_key(id_: int, number: int) -> bytes:
    """Return the LMDB key of an error of a job; *number* counts from 0, oldest first."""
    return _ID_NUMBER.pack(id_, number)


def split_error_key(key: bytes) -> tuple[int, int]:
    """Return the job id and error number in a key of ``errors``. Raises StorageError for others."""
    if len(key) != _ID_NUMBER.size:
        raise _no_key(key, "of an error")
    id_, number = _ID_NUMBER.unpack(key)
    return id_, number


@lru_cache(maxsize=4096)
def lane(status: Status, queue_name: str) -> bytes:
    """Return the bytes that the LMDB keys of all jobs of a status and a queue begin with.

    Raises StorageError for a name that no key can hold.
    """
    name = queue_name.encode()
    if not name or len(name) > LONGEST_QUEUE_NAME_BYTES or b"\x00" in name:
        raise StorageError(
            f"a queue cannot be named {queue_name!r}: a name has 1 to"
            f" {LONGEST_QUEUE_NAME_BYTES} bytes and no NUL"
        )
    return b"%b%b\x00" % (_BYTES[status], name)


def split_lane(key: bytes) -> tuple[Status, str]:
    """Return the status and queue name that a lane's bytes stand for. Raises StorageError."""
    status = _STATUSES.get(key[0]) if key else None
    name = key[1:-1]
    if (
        status is None
        or not name
        or key[-1]
        or b"\x00" in name
        or len(name) > LONGEST_QUEUE_NAME_BYTES
    ):
        raise _no_key(key, "of a lane")
    try:
        return status, name.decode()
    except UnicodeDecodeError as error:
        raise _no_key(key, "of a lane") from error


def is_lane(key: bytes) -> bool:
    """Return whether these bytes are a lane: a status and a queue name, as keys begin with."""
    try:
        split_lane(key)
    except StorageError:
        return False
    return True


@lru_cache(maxsize=4096)
def lane_end(start: bytes) -> bytes:
    """Return the smallest LMDB key behind every key that begins with the lane *start*."""
    return start[:-1] + b"\x01"


def work_key(start: bytes, order: int, id_: int = 0) -> bytes:
    """Return the ``index`` key of a job: lane *start*, order of work, id; 0 is before all ids."""
    return start + _ORDER_ID.pack(order + BIAS, id_)


def lane_in(key: bytes) -> bytes:
    """Return the lane, so status and queue, that a key of the ``index`` table begins with."""
    return key[: -_ORDER_SIZE - _ID_SIZE]


def order_in(key: bytes) -> Instant:
    """Return the order of work, mostly a due time, that a key of the ``index`` table holds."""
    return int.from_bytes(key[-_ORDER_SIZE - _ID_SIZE : -_ID_SIZE], "big") - BIAS


def split_work_key(key: bytes) -> WorkKey:
    """Return status, queue, order and job id of an ``index`` key. Raises StorageError."""
    status, queue_name = split_lane(key[: -_ORDER_SIZE - _ID_SIZE])
    return WorkKey(status, queue_name, order_in(key), id_at_end(key))


def listing_lane(start: bytes) -> bytes:
    """Return what the ``index`` keys of the jobs of a lane, by id, begin with."""
    return bytes((start[0] | _LISTING,)) + start[1:]


def listing_key(start: bytes, id_: int) -> bytes:
    """Return the ``index`` key of a job in the listing lane of the lane *start*."""
    return listing_lane(start) + _ID.pack(id_)


def split_listing_key(key: bytes) -> ListingKey:
    """Return status, queue and job id of a key in a listing lane. Raises StorageError."""
    if not key or key[0] < _LISTING:
        raise _no_key(key, "of a listing lane")
    lane = bytes((key[0] ^ _LISTING,)) + key[1:-_ID_SIZE]
    return ListingKey(*split_lane(lane), id_at_end(key))


def counted_lane(key: bytes) -> bytes | None:
    """Return the lane in whose count the job of an ``index`` key is; None for its other keys.

    Each job has one such key: in its lane, or in its listing lane if it has ended, or is enqueued
    with limits.
    """
    if key[0] < _LISTING:
        found = lane_in(key)
        return found if is_lane(found) else None
    found = bytes((key[0] ^ _LISTING,)) + key[1:-_ID_SIZE]
    return found if is_lane(found) and split_lane(found)[0] in _COUNTED_BY_LISTING else None


@lru_cache(maxsize=1024)
def heads_lane(queue_name: str) -> bytes:
    """Return what the ``index`` keys of a queue's jobs in front of their limits begin with."""
    return HEADS + lane(Status.ENQUEUED, queue_name)[1:]


def ticket_key(start: bytes, order: int, ticket: tuple[int, int]) -> bytes:
    """Return an ``index`` key of a job in front of its limits up to its id; *start*: its lane."""
    return start + _THREE.pack(order + BIAS, *ticket)


def split_ticket_key(key: bytes) -> tuple[int, int, int]:
    """Return the order, the first part of the ticket and the job id in a key of `HEADS`."""
    order, first, _, id_ = _FOUR.unpack(key[-_FOUR.size :])
    return order - BIAS, first, id_


def gate_place(gate: bytes, number: int) -> bytes:
    """Return the key in ``gates`` of a gate's record, by which its rooms are named as well.

    It is the gate's own if it has no number, as releases before format 6 have written it.
    """
    return NUMBERED + _ID.pack(number) if number else gate


def number_in(place: bytes) -> int:
    """Return the number of a gate in the key of its record, which has one."""
    return int.from_bytes(place[len(NUMBERED) :])


def room_prefix(place: bytes, queue_name: str) -> bytes:
    """Return what the ``index`` keys of a queue's jobs that wait for the gate of a place have."""
    return HELD + place + lane(Status.ENQUEUED, queue_name)[1:]


def room_key(place: bytes, enqueued: bytes, order: int, *, is_front: bool) -> bytes:
    """Return an ``index`` key of a job that waits for the gate of a place, up to its id.

    *enqueued*: the lane of the enqueued jobs of its queue.
    """
    front = b"\0" if is_front else b"\1"
    return HELD + place + enqueued[1:] + front + _ID.pack(order + BIAS)


def chain_key(gate: bytes, order: int, *, has_begun: bool) -> bytes:
    """Return an ``index`` key of a job's place in the strict order of a gate, up to its id."""
    return b"%b%b%c%b" % (CHAIN, gate, not has_begun, _ID.pack(order + BIAS))


def chain_prefix(gate: bytes, *, has_begun: bool | None = None) -> bytes:
    """Return what the ``index`` keys of the places in a gate's order begin with; None: of all."""
    return CHAIN + gate + (b"" if has_begun is None else b"%c" % (not has_begun))


def opening_key(queue_name: str, opens_at: Instant, gate: bytes = b"") -> bytes:
    """Return the key of a gate in ``openings``, or what those of an instant begin with."""
    return lane(Status.ENQUEUED, queue_name)[1:] + _ID.pack(opens_at) + gate


def ends_prefix(ended_at: Instant) -> bytes:
    """Return what the keys of the rows of jobs that ended at an instant begin with, in ``index``.

    The id of the first of them follows.
    """
    return ENDS + _ID.pack(ended_at + BIAS)


def ids_in(row: bytes) -> list[bytes]:
    """Return the keys in ``jobs`` of the jobs that a row of ended jobs names."""
    return [row[at : at + _ID_SIZE] for at in range(0, len(row), _ID_SIZE)]


def is_in_row(key: bytes, row: bytes) -> bool:
    """Return whether a row of ended jobs names the job with this *key* in ``jobs``.

    As `ids_in` would tell, without an object for each job of what may be thousands.
    """
    at = row.find(key)
    while at % _ID_SIZE and at > 0:  # it is the end of one id and the beginning of the next
        at = row.find(key, at + 1)
    return at >= 0


def unique_prefix(digest: bytes, status: Status) -> bytes:
    """Return what the ``unique`` keys of all unique jobs of a digest and status begin with."""
    return digest + _BYTES[status]


def unique_key(digest: bytes, status: Status, id_: int) -> bytes:
    """Return the key of a unique job in the table ``unique``."""
    return digest + _BYTES[status] + _ID.pack(id_)


def split_unique_key(key: bytes) -> UniqueKey:
    """Return digest, status and job id of a ``unique`` key. Raises StorageError for other bytes."""
    status = _STATUSES.get(key[-_ID_SIZE - 1]) if len(key) > _ID_SIZE else None
    if status is None:
        raise _no_key(key, "of a unique job")
    return UniqueKey(key[: -_ID_SIZE - 1], status, id_at_end(key))


def _no_key(key: bytes, what: str) -> StorageError:
    return StorageError(f"{key!r} is no key {what}: the store is damaged on disk")
