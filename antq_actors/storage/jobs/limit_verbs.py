"""The verbs that change limits: what the code declares, and what is set at runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from antq_actors.errors import AntqError
from antq_actors.flow import gates
from antq_actors.flow.gates import NO_NUMBERS, Limit, Numbers
from antq_actors.flow.limits import check_numbers, gate_id, limit_digest
from antq_actors.jobs import instant
from antq_actors.storage.jobs.limit_reader import known_limit
from antq_actors.storage.jobs.undo_table import GlobalChange
from antq_actors.storage.jobs.writer import JobWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.flow.gates import Gate
    from antq_actors.flow.limits import GateKey, LimitKind, LimitRule, QueueLimit
    from antq_actors.jobs.instant import Instant


class LimitValueError(AntqError, ValueError):
    """Numbers that a limit cannot have."""


class LimitVerbs(JobWriter):
    """Changes limits, in one LMDB write transaction; what they let start may start at once."""

    # ---- what the code declares -----------------------------------------------------------

    def declare_limits(
        self, rules: Sequence[LimitRule], *, replace: bool, now: Instant | None = None
    ) -> None:
        """Store what the code says of limits; unless *replace*, only of those not known yet.

        What was set at runtime stays beside it.
        """
        at = instant.now() if now is None else now
        if replace and not self._meta.with_limited_jobs():
            for key in self.limited.table.keys_of(b""):
                self.limited.table.gate(key, at)  # so that it is deleted if nothing is left to know
        for rule in rules:
            digest = limit_digest(rule.name)
            known = self.limited.table.limit(digest)
            if known is None:
                self._put_limit(digest, Limit(rule), at)
            elif replace and known.rule != rule:
                self._put_limit(digest, gates.copy_of(known, rule), at)

    def declare_queue(
        self,
        queue_name: str,
        global_concurrency: int | None,
        rate: LimitRule | None,
        passes: tuple[QueueLimit, ...] = (),
        *,
        now: Instant | None = None,
    ) -> None:
        """Store what the code says of a queue: how many of its jobs may run at once on all nodes,
        at which rate they may start, and which limits each of them passes. What was set at runtime
        stays beside it.
        """
        if rate is not None:
            self.declare_limits([rate], replace=True, now=now)
        found = self._meta.queue_limits(queue_name)
        name = None if rate is None else rate.name
        changed = replace(found, declared=global_concurrency, rate=name, passes=passes)
        if changed != found:
            self._meta.set_queue_limits(queue_name, changed)
            self.due.add(queue_name)

    # ---- what is set at runtime -----------------------------------------------------------

    def set_global_concurrency(self, queue_name: str, n: int | None) -> None:
        """Store how many jobs of a queue may run at once on all nodes; None: any number."""
        found = self._meta.queue_limits(queue_name)
        if self.undo is not None:
            before = found.is_set, found.number
            self.undo.changes.append(GlobalChange(queue_name, before, n))
        self._meta.set_queue_limits(queue_name, replace(found, is_set=True, number=n))
        self.due.add(queue_name)

    def set_limit(
        self,
        name: str,
        key: GateKey | None,
        *,
        kind: LimitKind | None = None,
        limit: int | None = None,
        per: int | None = None,
        burst: int | None = None,
        now: Instant,
    ) -> None:
        """Set numbers of a limit, at one key or at all that have none of their own.

        Raises UnknownLimit, and a ValueError for numbers that it cannot have.
        """
        found = known_limit(self.limited.table, name)
        kind = _kind(found, kind, limit, per, burst)
        gate = None if key is None else self._gate_of(found, key, now)
        old = found.numbers if gate is None else gate.numbers
        if kind == "concurrency":
            numbers = replace(old, concurrency=limit)
        else:
            given = {"limit": limit, "per": per, "burst": burst}
            numbers = replace(old, **{key: n for key, n in given.items() if n is not None})
        self._set_numbers(found, key, numbers, now)

    def reset_limit(self, name: str, key: GateKey | None, now: Instant) -> None:
        """Forget the numbers that were set for a limit, at one key or for all. Raises UnknownLimit.

        For all, those that were set at keys stay.
        """
        self._set_numbers(known_limit(self.limited.table, name), key, NO_NUMBERS, now)

    def pause_limit(
        self, name: str, key: GateKey | None, until: Instant | None, now: Instant
    ) -> None:
        """Let no job of a limit start, at one key or at all, before an instant; None: for good.

        Raises UnknownLimit.
        """
        found = known_limit(self.limited.table, name)
        closed: Gate | Limit = found if key is None else self._gate_of(found, key, now)
        closed.is_paused = until is None
        closed.closed_until = until or 0
        self._apply(found, key, now)

    def resume_limit(self, name: str, key: GateKey | None, now: Instant) -> None:
        """End a pause of a limit, at one key or for all; so, too, what a job had closed.

        Raises UnknownLimit.
        """
        found = known_limit(self.limited.table, name)
        ends: list[Gate | Limit] = [found] if key is None else [self._gate_of(found, key, now)]
        if key is None and not found.rule.keyed:
            ends.append(self.limited.table.gate(gate_id(name, None), now))
        for each in ends:
            each.is_paused, each.closed_until = False, 0
            if isinstance(each, gates.Gate):
                each.refused_until = 0
        self._apply(found, key, now)

    def import_limit(self, limit: Limit, gates_set: Sequence[tuple[bytes, Gate]]) -> None:
        """Store a limit that another store exported, and what was set for keys of it.

        What this store knows of it already stays.
        """
        table, now = self.limited.table, instant.now()
        digest = limit_digest(limit.rule.name)
        known = table.limit(digest)
        if known is not None:
            imported = gates.copy_of(limit, known.rule)
            imported.passes_first = gates.passes_first(known)
            limit = known if gates.has_settings(known) else imported
        for key, given in gates_set:
            gate = table.gate(key, now)
            if not gates.has_settings(gate):
                gate.key, gate.numbers = given.key, given.numbers
                gate.closed_until, gate.is_paused = given.closed_until, given.is_paused
                gate.refused_until = given.refused_until
        self._put_limit(digest, limit, now)

    def import_queue_limit(self, queue_name: str, n: int | None) -> None:
        """Store how many jobs of a queue may run at once, as set elsewhere, unless it is set."""
        if not self._meta.queue_limits(queue_name).is_set:
            self.set_global_concurrency(queue_name, n)

    def _gate_of(self, limit: Limit, key: GateKey, now: Instant) -> Gate:
        if not limit.rule.keyed:
            raise LimitValueError(
                f"the limit {key.name!r} has no key, so there is nothing to change at"
                f" {key.text!r}; leave key out"
            )
        gate = self.limited.table.gate(key.gate, now)
        gate.key = key.text
        return gate

    def _set_numbers(
        self, found: Limit, key: GateKey | None, numbers: Numbers, now: Instant
    ) -> None:
        gate = gates.Gate() if key is None else self._gate_of(found, key, now)
        limit = gates.copy_of(found)
        if key is None:
            limit.numbers = numbers
            checked = gates.rate_of(limit, gate)
        else:
            checked = gates.rate_of(found, gates.Gate(numbers=numbers))
        if checked is not None:
            try:
                check_numbers(checked, f"the limit {found.rule.name!r}")
            except ValueError as error:
                raise LimitValueError(str(error)) from None
        if key is None:
            self._put_limit(limit_digest(found.rule.name), limit, now)
            return
        old = gates.rate_of(found, gate)
        gate.numbers = numbers
        gates.rescale(gate, old, checked, now)
        self._apply(found, key, now)

    def _put_limit(self, digest: bytes, limit: Limit, now: Instant) -> None:
        """Write a limit, keep what its gates have counted, and let jobs come to the front."""
        table = self.limited.table
        known = table.limit(digest)
        for key in table.keys_of(digest):
            gate = table.gate(key, now)
            old, new = gates.rate_of(known, gate), gates.rate_of(limit, gate)
            if old != new:
                gates.rescale(gate, old, new, now)
        table.put_limit(digest, limit)
        self._apply(limit, None, now)

    def _apply(self, limit: Limit, key: GateKey | None, now: Instant) -> None:
        """Write a limit that has changed, and let jobs come to the front where it lets them."""
        table, digest = self.limited.table, limit_digest(limit.rule.name)
        table.put_limit(digest, limit)
        if key is not None and not table.gate(key.gate, now).rooms:
            for queue_name in self._meta.with_limited_jobs()[:1]:
                table.gate(key.gate, now).room(queue_name)  # which forgets it when it is over
        self.limited.look_again(table.keys_of(digest) if key is None else [key.gate], now)
        self.due.update(self._meta.limited_by(limit.rule.name))
        self.has_changed = True

    # ---- the rate of a whole queue ----------------------------------------------------------

    def rate_left(self, name: str, now: Instant) -> tuple[int, Instant | None]:
        """Return how many jobs may start now at the rate of a limit, and when the next one may.

        None: now, or nobody knows.
        """
        return self.count_starts(name, 0, now)

    def count_starts(self, name: str, starts: int, now: Instant) -> tuple[int, Instant | None]:
        """Count that jobs start at the rate of a limit; return what :meth:`rate_left` does."""
        key = gate_id(name, None)
        gate, limit = self.limited.table.gate_as_of(key, now), self.limited.table.limit(key)
        rate = gates.rate_of(limit, gate)
        if rate is None:
            return 2**31, None
        if starts:
            gates.count_starts(rate, gate, now, starts)
        closed = gates.closed_by(limit, gate, now)
        if closed is not None:
            return 0, closed.opens_at
        return gates.starts_left(rate, gate, now), None


def _kind(
    found: Limit, kind: LimitKind | None, limit: int | None, per: int | None, burst: int | None
) -> LimitKind:
    """Return which of the two that a limit may have these numbers are of; else a ValueError."""
    name, rule = found.rule.name, found.rule
    if limit is None and per is None and burst is None:
        raise LimitValueError(f"nothing to set for the limit {name!r}: give limit, per or burst")
    if per is not None or burst is not None:
        if kind == "concurrency":
            raise LimitValueError("per and burst are numbers of a rate, and kind is 'concurrency'")
        kind = "rate"
    if kind is None and rule.concurrency is not None and rule.rate is not None:
        raise LimitValueError(
            f"the limit {name!r} has a concurrency and a rate: say which with kind='concurrency' or"
            " kind='rate'"
        )
    kind = kind or ("rate" if rule.concurrency is None else "concurrency")
    if (rule.rate if kind == "rate" else rule.concurrency) is None:
        other = "concurrency" if kind == "rate" else "rate"
        raise LimitValueError(f"the limit {name!r} has no {kind}, only a {other}")
    return kind
