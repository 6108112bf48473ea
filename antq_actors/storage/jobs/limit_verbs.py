"""The verbs that change limits: what the code declares, and what is set at runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.flow.gates import Limit
from antq_actors.flow.limits import gate_id
from antq_actors.jobs import instant
from antq_actors.storage.jobs.gates import LIMIT_BYTES
from antq_actors.storage.jobs.writer import JobWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.flow.limits import LimitRule
    from antq_actors.jobs.instant import Instant


def limit_digest(name: str) -> bytes:
    """Return the key of a limit in the table ``limits``, with which those of its gates begin."""
    return gate_id(name, None)[:LIMIT_BYTES]


class LimitVerbs(JobWriter):
    """Changes limits, in one LMDB write transaction."""

    def declare_limits(
        self, rules: Sequence[LimitRule], *, replace: bool, now: Instant | None = None
    ) -> None:
        """Store what the code says of limits; unless *replace*, only of those not known yet.

        Numbers that were set at runtime stay beside it.
        """
        at = instant.now() if now is None else now
        table = self.limited.table
        for rule in rules:
            digest = limit_digest(rule.name)
            known = table.limit(digest)
            if known is None:
                self._change_limit(digest, Limit(rule), at)
            elif replace and known.rule != rule:
                changed = Limit(rule, known.numbers, known.closed_until, known.is_paused)
                self._change_limit(digest, changed, at)

    def _change_limit(self, digest: bytes, limit: Limit, now: Instant) -> None:
        """Write a limit, and let jobs come to the front where it lets them."""
        self.limited.table.put_limit(digest, limit)
        self.limited.look_again(digest, now)
        self.has_changed = True
