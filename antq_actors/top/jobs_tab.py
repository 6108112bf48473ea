"""The tab of jobs: which of them are on the page, and how each is shown.

The list does not move by itself: the jobs on the page stay, at their places, and show what has
become of them. What came in since is counted, and comes to the page when that is asked for.
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from antq_actors.insights.as_json import shown_leaf
from antq_actors.jobs.state import ENDED, Status
from antq_actors.storage.format.cipher import SHOWN, Encrypted
from antq_actors.top.frame import Frame, Row
from antq_actors.top.look import QUIET, STRONG, WARN
from antq_actors.top.tabs import since
from antq_actors.top.texts import duration

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from rich.text import Text

    from antq_actors.insights.values import JobItem, JobPage
    from antq_actors.top.look import Look

PAGE_JOBS: Final = 50
MOST_ARGS: Final = 8
"""Arguments that a row shows."""
_ERROR_CHARACTERS: Final = 60
_EXPLAINED_BY_ERROR: Final = frozenset({Status.RETRYING, Status.FAILED, Status.CANCELLED})


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the list one is."""

    filter: str = ""
    after: int | None = None
    before: int | None = None

    @property
    def is_first(self) -> bool:
        """Whether the newest jobs are on the page."""
        return self.after is None and self.before is None


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of the list, as it was read and as its jobs stand by now."""

    place: Place
    page: JobPage
    new: int = 0
    """Jobs that came in since, of those that the filter finds."""

    def with_items(self, items: Sequence[JobItem], new: int) -> Listed:
        """Return the page with its jobs as they stand now; those that are gone are left out."""
        by_id = {item.id: item for item in items}
        kept = [by_id[item.id] for item in self.page.items if item.id in by_id]
        return replace(self, page=replace(self.page, items=tuple(kept)), new=new)


def jobs_frame(
    found: Listed, now: datetime, look: Look, ticked: Collection[int] = frozenset()
) -> Frame:
    """Return a page of jobs; *ticked*: the ids of those that a key is to change together."""
    page = found.page
    new = f"{found.new:,} new, press ." if found.new else ""
    more = "]: older ones" if page.next is not None and page.complete else ""
    newer = "[: newer ones" if page.previous is not None else ""
    head = look.joined(
        look.text(found.place.filter or "all jobs", STRONG),
        look.text(counted(page)),
        look.text(f"{len(ticked):,} ticked" if ticked else "", STRONG),
        look.text(new, WARN),
        look.text(newer, QUIET),
        look.text(more, QUIET),
    )
    return Frame(
        head=(head,),
        columns=(
            *("id", "", "state", "worker", "queue", "tries", "when", "ran", "node", "error"),
            "arguments",
        ),
        rows=tuple(_job_row(item, now, look, item.id in ticked) for item in page.items),
        empty=look.text(_nothing(found)),
    )


def counted(page: JobPage) -> str:
    """Return how many jobs a filter finds, as far as that is known."""
    if page.exact:
        return "1 job" if page.count == 1 else f"{page.count:,} jobs"
    goes_on = "; ] goes on" if page.next is not None else ""
    return f"at least {page.count:,}, as {page.searched:,} were looked at{goes_on}"


def _nothing(found: Listed) -> str:
    if not found.page.complete:
        return "None among those that were looked at."
    if found.place.filter:
        return "No job matches this filter."
    return "There are no jobs. `antq enqueue`, or perform_async() of a worker, adds one."


def _job_row(item: JobItem, now: datetime, look: Look, is_ticked: bool) -> Row:  # noqa: FBT001 - one fact of a row
    cells = (
        look.number(item.id),
        look.text("x" if is_ticked else "", STRONG),
        look.state(item.status),
        look.text(item.worker.rpartition(":")[2], STRONG),
        look.text(item.queue_name),
        look.number(f"{item.attempts}/{item.max_attempts}"),
        look.number(_when(item, now)),
        look.number(_ran(item, now)),
        look.number(item.node or "", QUIET),
        _error(item, look),
        look.text(brief_args(item.args), QUIET),
    )
    return Row(str(item.id), cells)


def _when(item: JobItem, now: datetime) -> str:
    """Return when a job ended or began; of a waiting one when it is due, or came in."""
    if item.status in ENDED:
        return since(item.ended_at or item.updated_at, now)
    if item.status is Status.RUNNING:
        return since(item.started_at, now)
    return since(item.scheduled_at or item.inserted_at, now)


def _ran(item: JobItem, now: datetime) -> str:
    if item.started_at is None:
        return ""
    if item.status is Status.RUNNING:
        return duration((now - item.started_at).total_seconds())
    if item.status in ENDED and item.ended_at is not None:
        return duration((item.ended_at - item.started_at).total_seconds())
    return ""


def _error(item: JobItem, look: Look) -> Text:
    if item.status not in _EXPLAINED_BY_ERROR or not item.errors:
        return look.text("")
    return look.text(item.errors[0].summary, WARN, longest=_ERROR_CHARACTERS)


# ---- arguments ------------------------------------------------------------------------------


class _Brief(reprlib.Repr):
    """Writes values of any size in few characters."""

    def repr_int(self, x: int, level: int) -> str:  # noqa: ARG002 - as reprlib calls it
        """Write a whole number; one that is too long for Python to write, by its size."""
        return str(shown_leaf(x))

    def repr_Encrypted(self, x: Any, level: int) -> str:  # noqa: ARG002, N802 - the same
        """Write arguments that are encrypted."""
        return repr(x)


_brief: Final = _Brief()
_brief.maxlevel, _brief.maxdict, _brief.maxlist, _brief.maxstring = 3, 4, 4, 40


def brief_args(args: Mapping[str, Any]) -> str:
    """Return the arguments of a job in few characters.

    >>> brief_args({"to": "ann@example.org", "ids": list(range(100))})
    "to='ann@example.org', ids=[0, 1, 2, 3, ...]"
    """
    if isinstance(args, Encrypted):
        return SHOWN
    parts = [f"{key}={_brief.repr(value)}" for key, value in islice(args.items(), MOST_ARGS)]
    return ", ".join(parts) + (", ..." if len(args) > MOST_ARGS else "")
