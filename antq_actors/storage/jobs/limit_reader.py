"""The verbs that look at limits."""

from __future__ import annotations

from heapq import nsmallest
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

from antq_actors.errors import DamagedRecord, UnknownLimit
from antq_actors.flow import gates
from antq_actors.flow.limits import GateStatus, LimitInfo, gate_id, limit_digest
from antq_actors.jobs import instant
from antq_actors.jobs.state import Status
from antq_actors.storage.format import encoding
from antq_actors.storage.jobs.gates import GateTable
from antq_actors.storage.jobs.waiting_jobs import gates_in
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import keys_with

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import lmdb

    from antq_actors.flow.gates import Gate, Limit
    from antq_actors.flow.limits import LimitKind, QueueLimit
    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.jobs.meta import Meta
    from antq_actors.storage.jobs.table import JobEntries
    from antq_actors.storage.lmdb.tables import Tables

_MICROSECONDS = 1_000_000


def known_limit(table: GateTable, name: str) -> Limit:
    """Return a limit of a store. Raises UnknownLimit."""
    limit = table.limit(limit_digest(name))
    if limit is None:
        known = ", ".join(sorted(repr(each.rule.name) for each in table.limits().values()))
        raise UnknownLimit(
            f"no limit has the name {name!r}; "
            + (
                f"those that there are: {known}"
                if known
                else "there is none yet: a limit is known"
                " once a node that defines it has started, or a job of it was enqueued"
            )
        )
    return limit


class GateInUse(NamedTuple):
    """A limit at one of its keys."""

    gate: bytes
    """Its `gate_id`."""
    key: str | None
    """The key as people read it; None: the limit has none."""
    is_paused: bool
    status: GateStatus


class LimitReader:
    """Reads limits and their gates in one LMDB transaction."""

    _txn: lmdb.Transaction
    _tables: Tables
    _jobs: JobEntries
    _meta: Meta

    def limit_infos(self, now: Instant) -> list[LimitInfo]:
        """Read all limits, by name; one with a concurrency and a rate is there twice.

        It reads each gate in use.
        """
        table = GateTable(self._txn, self._tables)
        limits = sorted(table.limits().values(), key=lambda limit: limit.rule.name)
        return [info for limit in limits for info in self._infos(table, limit, now)]

    def queue_passes(self, queue_name: str) -> tuple[QueueLimit, ...]:
        """Read which limits each job of a queue passes, as the node that started last has it."""
        return self._meta.queue_limits(queue_name).passes

    def gate_status(self, name: str, gate: bytes | None, now: Instant) -> GateStatus:
        """Read how a limit is doing at one gate; None: at all. Raises UnknownLimit."""
        table = GateTable(self._txn, self._tables)
        limit = known_limit(table, name)
        if gate is None and not limit.rule.keyed:
            gate = gate_id(name, None)
        wanted = table.keys_of(limit_digest(name)) if gate is None else [gate]
        found = [table.gate_as_of(key, now) for key in wanted]
        running, waiting = self._of_whole_queues(name)
        holders = (id_ for each in found for id_ in each.holders)
        if gates.is_strict(limit):
            places = (keys.chain_prefix(key, has_begun=True) for key in wanted)
            index = self._tables.index
            holders = (
                keys.id_at_end(key)
                for place in places
                for key in keys_with(self._txn, index, place)
            )
        return GateStatus(
            running=running + sum(each.running for each in found),
            waiting=waiting + sum(map(gates.waiting_in, found)),
            holders=tuple(
                islice(chain(holders, self._running_in_whole_queues(name)), gates.MOST_HOLDERS)
            ),
            opens_at=None if gate is None else _opens_at(limit, found[0], now),
        )

    def gate_keys(self, name: str, after: str | None, limit: int | None) -> list[str]:
        """Read the keys of a limit that are in use, as people read them, sorted.

        Those behind the key *after*, and no more than *limit*. Raises UnknownLimit.
        """
        table = GateTable(self._txn, self._tables)
        known_limit(table, name)
        found = {table.gate(key, 0).key for key in table.keys_of(limit_digest(name))}
        texts = sorted(text for text in found if text is not None)
        return [text for text in texts if after is None or text > after][:limit]

    def gates_in_use(self, name: str, most: int, now: Instant) -> tuple[bool, list[GateInUse]]:
        """Read whether a limit is paused as a whole, and its gates that are in use.

        Of more than *most* gates, those for which most jobs wait. Raises UnknownLimit.
        """
        table = GateTable(self._txn, self._tables)
        limit = known_limit(table, name)
        found = [(key, table.gate_as_of(key, now)) for key in table.keys_of(limit_digest(name))]
        in_use = [each for each in found if not _is_over(limit, each[1], now)]
        first = nsmallest(
            most,
            in_use,
            lambda each: (-gates.waiting_in(each[1]), -each[1].running, each[1].key or ""),
        )
        return _is_closed(limit, now), [
            GateInUse(
                key,
                gate.key,
                _is_closed(gate, now),
                GateStatus(
                    running=gate.running,
                    waiting=gates.waiting_in(gate),
                    holders=tuple(gate.holders),
                    opens_at=_opens_at(limit, gate, now),
                ),
            )
            for key, gate in first
        ]

    def same_place(
        self, running: int, started_at: Instant, other: int
    ) -> tuple[str, str | None] | None:
        """Read at which limit, and which key as text, two jobs both take a place; None: at none.

        Nor if the one that runs has started at another time: then it is a job of another store.
        """
        one, two = self._gates_of(running, started_at), self._gates_of(other)
        table = GateTable(self._txn, self._tables)
        for key in one.keys() & two.keys():
            limit = table.limit(key)
            if limit is not None and limit.rule.concurrency is not None:
                return limit.rule.name, one[key]
        return None

    def _gates_of(self, id_: int, started_at: Instant | None = None) -> dict[bytes, str | None]:
        """Read the gates of a job, with its keys as text; none if it started at another time."""
        record = self._jobs.raw(id_)
        try:
            state, _, spec = encoding.decode_job(record)
            if started_at not in (None, state.started_at):
                return {}
            return {ref.gate: ref.text for ref in gates_in(spec or self._jobs.large_spec(id_))}
        except DamagedRecord:  # or there is none
            return {}

    def limits_set(self) -> list[tuple[Limit, list[tuple[bytes, Gate]]]]:
        """Read the limits that are in use, or of which anything was set at runtime.

        With each come those of its gates of which anything was set.
        """
        table = GateTable(self._txn, self._tables)
        found = []
        for digest, limit in sorted(table.limits().items()):
            of_limit = [(key, table.gate(key, 0)) for key in table.keys_of(digest)]
            if of_limit or gates.has_settings(limit):
                found.append((limit, [each for each in of_limit if gates.has_settings(each[1])]))
        return found

    def global_concurrencies_set(self) -> dict[str, int | None]:
        """Read the numbers of queues' jobs that may run at once, where they were set."""
        found = {name: self._meta.queue_limits(name) for name in self._meta.limited()}
        return {name: limits.number for name, limits in found.items() if limits.is_set}

    def _of_whole_queues(self, name: str) -> tuple[int, int]:
        """Count the jobs that run in the queues with this rate, and those that wait."""
        queues = self._meta.limited_by(name)
        running, waiting = (
            sum(self._jobs.count(keys.lane(status, queue)) for queue in queues)
            for status in (Status.RUNNING, Status.ENQUEUED)
        )
        return running, waiting

    def _running_in_whole_queues(self, name: str) -> Iterator[int]:
        for queue in self._meta.limited_by(name):
            lane = keys.lane(Status.RUNNING, queue)
            yield from map(keys.id_at_end, keys_with(self._txn, self._tables.index, lane))

    def _infos(self, table: GateTable, limit: Limit, now: Instant) -> Iterator[LimitInfo]:
        rule, anywhere = limit.rule, gates.Gate()
        found = [table.gate_as_of(key, now) for key in table.keys_of(limit_digest(rule.name))]
        running, waiting = self._of_whole_queues(rule.name)
        running += sum(gate.running for gate in found)
        waiting += sum(map(gates.waiting_in, found))
        rate = gates.rate_of(limit, anywhere)
        most = gates.concurrency_of(limit, anywhere)
        kinds: list[tuple[LimitKind, int, float | None, int | None]] = []
        if most is not None:
            kinds.append(("concurrency", most, None, None))
        if rate is not None:
            kinds.append(("rate", rate.limit, rate.per / _MICROSECONDS, rate.burst))
        for kind, number, per, burst in kinds:
            yield LimitInfo(
                name=rule.name,
                kind=kind,
                limit=number,
                per=per,
                burst=burst,
                keys=sum(not _is_over(limit, gate, now) for gate in found),
                running=running,
                waiting=waiting,
                opens_at=_opens_at(limit, found[0] if found else anywhere, now)
                if not rule.keyed
                else None,
            )


def _is_over(limit: Limit, gate: Gate, now: Instant) -> bool:
    return gates.is_idle(gate) and gates.forgotten_at(limit, gate) <= now


def _is_closed(of: Limit | Gate, now: Instant) -> bool:
    """Return whether somebody has paused a limit, or one of its gates."""
    return of.is_paused or of.closed_until > now


def _opens_at(limit: Limit, gate: Gate, now: Instant) -> datetime | None:
    closed = gates.closed_by(limit, gate, now)
    if closed is None or closed.opens_at is None:
        return None
    return instant.datetime_for_display(closed.opens_at)
