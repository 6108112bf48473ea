"""What was done by hand, page by page: who, when, what, to how many, and why.

The store is read once for a page: its entries, and whether there are others on either side.

An entry has no number of its own to show; its place among the others is what a cursor names, so
that entries that come in the meantime move no page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from antq_actors.checks import check_whole, is_whole, short_repr
from antq_actors.storage.jobs import audited
from antq_actors.storage.lmdb.keys import is_id

if TYPE_CHECKING:
    from antq_actors.insights.source import Source
    from antq_actors.jobs.audit import AuditEntry

PAGE_ENTRIES: Final = 100
MOST_ENTRIES: Final = 1_000
"""Entries on a page."""


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some entries of the audit, the newest first.

    >>> from antq_actors import AntQ
    >>> from antq_actors.insights import Insights
    >>> with AntQ() as app:
    ...     with app.antq_acting("ada", "pause", "queue default"):
    ...         app.queue("default").pause()
    ...     page = Insights(app).audit_page()
    >>> [(each.name, each.verb, each.target, each.count) for each in page.items]
    [('ada', 'pause', 'queue default', 1)]
    """

    items: tuple[AuditEntry, ...]
    next: int | None
    """The *after* of the page with older ones; None: there are none."""
    previous: int | None
    """The *before* of the page with newer ones; None: this is the first page."""


def read_audit(source: Source, after: int | None, before: int | None, limit: int) -> AuditPage:
    """Read a page of the audit. Raises TypeError and ValueError for what is no cursor or limit."""
    if after is not None and before is not None:
        raise ValueError("give after or before, not both")
    for name, cursor in (("after", after), ("before", before)):
        if cursor is not None and not is_whole(cursor):
            raise TypeError(f"{name} must be a whole number or None, got {short_repr(cursor)}")
        if cursor is not None and not (cursor == 0 or is_id(cursor)):
            raise ValueError(f"{name} must be the next or previous of a page, got {cursor}")
    if check_whole(limit, "limit", 1) > MOST_ENTRIES:
        raise ValueError(f"limit must be at most {MOST_ENTRIES:,}, got {limit}")
    found = source.store.read(audited.page, limit, after, before)
    return AuditPage(tuple(found.entries), found.next, found.previous)
