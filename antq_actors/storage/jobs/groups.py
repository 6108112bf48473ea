"""The records of groups and their members in one transaction.

A group is read when a member of it changes, and kept until :meth:`GroupTable.flush` writes what
has changed; so a group of which a thousand members end in a transaction is written once.

    groups     id        what changes of it: a Group
               id, NUL   what does not: a GroupSpec
               id, 1     what else was said of a workflow
               id, 2     names of its nodes: see :mod:`~.node_names`
               255, digest of its name and key: the id of the last workflow that has them
               255, NUL  which have not ended: see :mod:`~.open_groups`
    members    group, id nothing for a job; ``g`` for a group; ``a`` for what is no member, but
                         belongs to it: a callback

The ids of groups and jobs are numbers of one sequence.
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from antq_actors.errors import DamagedRecord, StorageError
from antq_actors.jobs.instant import Instant  # msgspec reads annotations
from antq_actors.jobs.state import ENDED, JobState, Status
from antq_actors.storage.format import encoding
from antq_actors.storage.format.encoding import DAMAGES
from antq_actors.storage.jobs.open_groups import OpenGroups
from antq_actors.storage.jobs.table import put_all, row_of
from antq_actors.storage.jobs.tasks import SettleEdges, TaskTable
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import items_from, keys_from, keys_with, value_of
from antq_actors.workflows.counters import End, Ends, Event, Group, has_ended, old_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import lmdb

    from antq_actors.storage.format.encoding import Signer
    from antq_actors.storage.lmdb.tables import Tables

BATCH: Final = 0
WORKFLOW: Final = 1
PART: Final = 2
"""What a node of a workflow expanded into."""

JOB: Final = b""
GROUP: Final = b"g"
APART: Final = b"a"

_SPEC: Final = b"\0"
"""What the key of a group's spec ends with."""


class Callback(msgspec.Struct, frozen=True, array_like=True):
    """A job to be stored when an event of a group happens."""

    event: int
    state: JobState
    spec: bytes
    """As its record holds it: behind a signature or checksum."""


class GroupSpec(msgspec.Struct, frozen=True, array_like=True):
    """The part of a group that never changes."""

    kind: int
    name: str
    created_at: Instant
    callbacks: tuple[Callback, ...] = ()
    cancel_abandoned: bool = False
    """Whether it is cancelled when the node that adds its members has died."""
    key: str | None = None
    """While a workflow of its name with this key is open there is no other one."""


_encode = msgspec.msgpack.Encoder().encode
_decode_group = msgspec.msgpack.Decoder(Group).decode
_decode_spec = msgspec.msgpack.Decoder(GroupSpec).decode


def end_of(state: JobState) -> End:
    """Return how a job that has ended counts in its group."""
    if state.status is Status.COMPLETED:
        return End.COMPLETED
    if state.status is Status.FAILED:
        return End.FAILED
    is_unneeded = state.composed is not None and state.composed.is_unneeded
    return End.UNNEEDED if is_unneeded else End.CANCELLED


def member_key(group: int, id_: int) -> bytes:
    """Return the key of a member in the table ``members``."""
    return keys.job_key(group) + keys.job_key(id_)


def digest_key(name: str, key: str) -> bytes:
    """Return the key of the last workflow of a name and a key."""
    text = name.encode(errors="surrogatepass") + b"\0" + key.encode(errors="surrogatepass")
    return b"\xff" + blake2b(text, digest_size=16).digest()


class GroupTable:
    """Reads and writes groups in one transaction; without :meth:`flush` no group is written."""

    def __init__(self, txn: lmdb.Transaction, tables: Tables) -> None:
        self._txn: Any = txn
        self._jobs = tables.jobs
        self._groups = tables.further(txn, "groups")
        self._members = tables.further(txn, "members")
        self._stored: dict[int, bytes | None] = {}
        self._were_open: dict[int, bool] = {}
        """Whether those that were read had not ended; without those whose record was damaged."""
        self.open = OpenGroups(txn, self._groups)
        self.found: dict[int, Group] = {}
        """The groups that were read, by their ids; what changes in them is written."""
        self.recounted: set[int] = set()
        """Those of them whose record was damaged, so that their members were counted."""

    # ---- groups ---------------------------------------------------------------------------

    def get(self, id_: int) -> Group | None:
        """Return a group, the same object each time; None: no group has this id."""
        group = self.found.get(id_)
        if group is None:
            stored = self._txn.get(_key(id_), db=self._groups)
            if stored is None:
                return None
            group = self._decoded(id_, stored)
            if id_ not in self.recounted:
                self._were_open[id_] = not group.ended_at
            self._stored[id_] = stored
            self.found[id_] = group
        return group

    def is_readable(self, id_: int) -> bool:
        """Read whether what changes of a group is not damaged."""
        try:
            _decode_group(self._txn.get(_key(id_), db=self._groups))
        except DAMAGES:
            return False
        return True

    def spec(self, id_: int) -> GroupSpec | None:
        """Return what never changes of a group; None: no group has this id, or it is damaged."""
        stored = self._txn.get(_key(id_) + _SPEC, db=self._groups)
        try:
            return None if stored is None else _decode_spec(stored)
        except DAMAGES:
            return None

    def ids(self, after: int = 0) -> Iterator[int]:
        """Yield the ids of all groups behind the id *after*, in order."""
        for key in keys_from(self._txn, self._groups, _key(after + 1)):
            if len(key) == len(_key(0)):
                yield int.from_bytes(key)

    def open_ids(self, after: int = 0) -> Iterator[int]:
        """Yield the ids of the groups behind the id *after* that have not ended, in order."""
        for id_ in self.open.ids(after) if self.open.has_all() else self.ids(after):
            group = self.get(id_)
            if group is not None and not group.ended_at:
                yield id_

    def add(self, id_: int, group: Group, spec: GroupSpec) -> None:
        """Write a new group, also in its parent if it has one."""
        self.put_spec(id_, spec)
        self._stored[id_] = None
        self.found[id_] = group
        if group.parent:
            self.add_members(group.parent, [id_], GROUP)

    def put_spec(self, id_: int, spec: GroupSpec) -> None:
        """Write what never changes of a group: when it is made, or its callbacks signed again."""
        self._txn.put(_key(id_) + _SPEC, _encode(spec), db=self._groups)

    def remove(self, id_: int) -> None:
        """Delete a group that has no members any more."""
        self.found.pop(id_, None)
        self.open.delete(id_)
        spec = self.spec(id_)
        if spec is not None and spec.key is not None:
            key = digest_key(spec.name, spec.key)
            if self._txn.get(key, db=self._groups) == _key(id_):
                self._txn.delete(key, db=self._groups)
        for of_it in list(keys_with(self._txn, self._groups, _key(id_))):
            self._txn.delete(of_it, db=self._groups)

    def _decoded(self, id_: int, stored: bytes) -> Group:
        try:
            return _decode_group(stored)
        except DAMAGES:
            group = Group(is_closed=True)
            group.total = sum(1 for _, kind in self.members(id_) if kind != APART)
            group.ends = self.count_anew(id_, group)
            group.callbacks_left = self.count_callbacks(id_)
            self.recounted.add(id_)
            return group

    # ---- members --------------------------------------------------------------------------

    def add_members(self, group: int, ids: Iterable[int], kind: bytes = JOB) -> None:
        """Write that jobs or groups with these *ids* belong to a group."""
        prefix = _key(group)
        put_all(self._txn, self._members, [(prefix + key, kind) for key in map(_key, ids)])

    def remove_member(self, group: int, id_: int) -> None:
        """Delete that a job belongs to a group."""
        self._txn.delete(member_key(group, id_), db=self._members)

    def members(self, group: int, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield the ids of what belongs to a group, in order, and of what kind each is."""
        prefix = _key(group)
        for key, kind in items_from(self._txn, self._members, prefix + _key(after + 1)):
            if not key.startswith(prefix):
                return
            yield keys.id_at_end(key), kind

    def kind_of_member(self, group: int, id_: int) -> bytes | None:
        """Read of what kind a job or group is in a group; None: it is not in that."""
        kind: bytes | None = self._txn.get(member_key(group, id_), db=self._members)
        return kind

    def some_members(self, group: int, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Read the first *limit* of what belongs to a group behind the id *after*."""
        return list(islice(self.members(group, after), limit))

    def group_of(self, id_: int) -> tuple[int, bytes] | None:
        """Search the group to which a job belongs whose record is damaged, one group at a time."""
        end, group = _key(id_), 0
        with self._txn.cursor(self._members) as cursor:
            while group <= keys.LARGEST_ID and cursor.set_range(_key(group) + end):
                key: bytes = cursor.key()
                found = int.from_bytes(key[: len(end)])
                if key == _key(found) + end:
                    return found, cursor.value()
                group = max(found, group + 1)
        return None

    def count_anew(self, id_: int, group: Group) -> Ends:
        """Count how the members of a group ended, by their records, and those that are gone."""
        gone = group.gone
        ends = Ends(gone.completed, gone.failed, gone.cancelled, gone.unneeded)
        for member, kind in self.members(id_):
            if kind == JOB:
                record = self._txn.get(_key(member), db=self._jobs)
                state = None if record is None else _state_in(record)
                if state is not None and state.status in ENDED:
                    ends.add(end_of(state))
            elif kind == GROUP:
                part = self.get(member)
                if part is not None and part.counted_as is not None:
                    ends.add(part.counted_as)
        return ends

    def count_callbacks(self, id_: int) -> int:
        """Count the callbacks of a group, and of those in it, that have not ended."""
        left = 0
        groups = [id_]
        while groups:
            for member, kind in self.members(groups.pop()):
                if kind == GROUP:
                    groups.append(member)
                elif kind == APART:
                    record = self._txn.get(_key(member), db=self._jobs)
                    state = None if record is None else _state_in(record)
                    left += state is not None and state.status not in ENDED
        return left

    def outermost(self, id_: int) -> tuple[int, Group] | None:
        """Return the group that is in no other one and has this one in it, or is this one."""
        group = self.get(id_)
        while group is not None and group.parent:
            containing = self.get(group.parent)
            if containing is None:
                break
            id_, group = group.parent, containing
        return None if group is None else (id_, group)

    def flush(self) -> bool:
        """Write the groups that have changed; return whether any has."""
        has_changed = False
        for id_, group in self.found.items():
            encoded = _encode(group)
            if encoded != self._stored[id_]:
                self._txn.put(_key(id_), encoded, db=self._groups)
                self._stored[id_] = encoded
                self._note_open(id_, is_open=not group.ended_at)
                has_changed = True
        return has_changed

    def _note_open(self, id_: int, *, is_open: bool) -> None:
        """Write whether a group has not ended, if it was otherwise or that is not known."""
        if self._were_open.get(id_) is is_open:
            return
        self._were_open[id_] = is_open
        if not self.open.has_all():
            self.open.put_all(list(map(int.from_bytes, self._open_records())))
        if is_open:
            self.open.put(id_)
        else:
            self.open.delete(id_)

    def _open_records(self) -> Iterator[bytes]:
        """Yield the keys of the groups whose record says that they have not ended."""
        for key, record in items_from(self._txn, self._groups, b""):
            with suppress(*DAMAGES):
                if len(key) == len(_key(0)) and not _decode_group(record).ended_at:
                    yield key


_key: Final = keys.job_key


def verify_groups(txn: lmdb.Transaction, tables: Tables, signer: Signer) -> Iterator[str]:
    """Yield what is wrong with the counters of groups, and with the rows of their members."""
    table = GroupTable(txn, tables)
    left = {each.upstream for each in TaskTable(txn, tables).all() if type(each) is SettleEdges}
    for id_ in table.ids():
        group = table.get(id_)
        if group is None or not table.is_readable(id_):
            yield f"groups: the record of {id_} is damaged on disk; its members are counted anew"
            continue
        if group.is_coming_in and not group.is_closed and not group.parent:
            yield (
                f"groups: {id_} has not come in whole: an import goes on, or was killed; import the"
                " same lines again to have it go on, or cancel the group"
            )
        since = old_from(group)
        if since and row_of(txn, tables.index, keys.ends_prefix(since), _key(id_)) is None:
            yield f"index: no row of ended jobs has group {id_}"
        yield from _wrong_spec(table, id_, signer)
        yield from _wrong_counters(table, id_, group)
        if has_ended(group) != bool(group.ended_at) and id_ not in left:
            yield f"groups: {id_} has {'' if group.ended_at else 'not '}ended, by its counters"
    yield from _wrong_rows(table)
    yield from _wrong_members(txn, tables, table)


def _wrong_spec(table: GroupTable, id_: int, signer: Signer) -> Iterator[str]:
    spec = table.spec(id_)
    if spec is None:
        yield f"groups: {id_} has no readable description"
    for callback in () if spec is None else spec.callbacks:
        try:
            encoding.decode_spec(signer.verify(callback.spec))
        except StorageError as error:
            yield f"groups: a callback of {id_}: {error}"


def _wrong_counters(table: GroupTable, id_: int, group: Group) -> Iterator[str]:
    if (ends := table.count_anew(id_, group)) != group.ends:
        yield f"groups: {id_} counts {group.ends}, and its members are {ends}"
    members = sum(1 for _, kind in table.members(id_) if kind != APART)
    if members + group.gone.total != group.total:
        yield (
            f"groups: {id_} has {members} members and {group.gone.total} deleted ones, but"
            f" counts {group.total}"
        )
    if not group.parent and group.callbacks_left > (left := table.count_callbacks(id_)):
        kept_for = group.callbacks_left
        yield f"groups: {id_} is kept for {kept_for} callbacks, and {left} have not ended"


def _wrong_rows(table: GroupTable) -> Iterator[str]:
    """Yield the groups of which it is not rightly known whether they have ended."""
    if not table.open.has_all():
        return
    groups = ((id_, table.get(id_)) for id_ in table.ids())
    are_open = {id_ for id_, group in groups if group is not None and not group.ended_at}
    for id_ in sorted(are_open.symmetric_difference(table.open.ids())):
        yield f"groups: the rows of those that have not ended are wrong about {id_}"


def _wrong_members(txn: lmdb.Transaction, tables: Tables, table: GroupTable) -> Iterator[str]:
    """Yield the rows of members that belong to no group, or name what is no member of it."""
    for key, kind in items_from(txn, tables.further(txn, "members"), b""):
        group, id_ = int.from_bytes(key[:8]), keys.id_at_end(key)
        if table.get(group) is None:
            yield f"members: {key!r} belongs to no group"
        elif kind == GROUP:
            part = table.get(id_)
            if part is None or part.parent != group:
                yield f"members: {id_} is no group in {group}"
        else:
            record = value_of(txn, tables.jobs, _key(id_))
            state = None if record is None else _state_in(record)
            composed = None if state is None else state.composed
            is_apart = composed is not None and composed.is_apart
            if composed is None or composed.group != group or is_apart != (kind == APART):
                yield f"members: the record of job {id_} does not say that it is of group {group}"


def _state_in(record: bytes) -> JobState | None:
    try:
        return encoding.decode_job(record).state
    except DamagedRecord:  # it is counted when it is met, and failed
        return None


def callbacks_for(spec: GroupSpec | None, event: Event) -> list[Callback]:
    """Return the callbacks of a group for an event."""
    return [] if spec is None else [each for each in spec.callbacks if each.event == event]
