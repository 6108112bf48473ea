"""How a verb is done for a visitor: who may, what is noted in the audit, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from antq_actors.errors import AntqError
from antq_actors.insights import fields
from antq_actors.insights.access import Access

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antq_actors.insights.access import Visitor
    from antq_actors.insights.source import Source
    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.acting import Acting
    from antq_actors.storage.client import StorageClient


class NotPossible(AntqError):
    """What was asked for cannot be done, as things stand; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a verb has done."""

    changed: int
    """How many jobs, or other things, it has changed; 0: all was so already."""
    item: Any
    """What it was done to, as it is now; a value of insights, or None."""
    undo: str | None = None
    """The token that undoes it, for a while; None: it cannot be undone."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else is answered, such as the ``ids`` of a step."""

    def answer(self) -> dict[str, Any]:
        """Return what the JSON API answers; a token is for the page of whoever clicked."""
        return {"changed": self.changed, "item": self.item, **self.more}


class Doer:
    """Does verbs for a visitor; each of them checks the visitor's level before anything else."""

    def __init__(self, source: Source, visitor: Visitor) -> None:
        self._source = source
        self._visitor = visitor

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._source.app!r} for {self._visitor!r}>"

    @property
    def _store(self) -> StorageClient:
        return self._source.store

    def _now(self) -> Instant:
        return self._source.now()

    def _acting(
        self, verb: str, target: str, reason: object, level: Access = Access.OPERATE
    ) -> Acting:
        """Return the block in which a verb is done: what it changes is noted in the audit.

        Raises Forbidden for a visitor below the *level*, ValueError for a reason that is none.
        """
        self._visitor.check(level)
        why = fields.text(reason, "reason")
        return self._source.app.antq_acting(self._visitor.name, verb, target, why)


def done(acting: Acting, item: Any, **more: Any) -> Done:
    """Return what was done in a block, to what."""
    return Done(changed=acting.count, item=item, undo=acting.undo, more=more)
