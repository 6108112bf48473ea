"""The pages of what goes on between jobs: Crons, Limits, Batches, Workflows."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from antq_actors.jobs.state import Status
from antq_actors.web.flow_graph import counted, mermaid, vertices_of
from antq_actors.web.paging import Listed, listed
from antq_actors.web.rendering import duration
from antq_actors.web.routes import Page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from antq_actors.insights.composed import BatchDetail, WorkflowDetail
    from antq_actors.insights.crons import CronView
    from antq_actors.insights.limits import LimitView
    from antq_actors.web.routes import Route
    from antq_actors.web.view import View


def _place(view: View, _listed: Any) -> Mapping[str, Any]:
    """Return which part of a list is shown, so that it is this part that keeps up."""
    return {"place": view.place}


# ---- periodic entries ----------------------------------------------------------------------------

SHAPES: Final = {
    "on time": "up",
    "late": "late",
    "failed": "failed",
    "cancelled": "cancelled",
    "waiting": "enqueued",
}
"""The shape of each outcome of a run."""


def _crons(view: View) -> Listed:
    return listed(view, view.insights.crons(), lambda cron: cron.name)


def _cron(view: View) -> CronView:
    return view.insights.cron(view.needed("name"))


def _about_cron(view: View, cron: CronView) -> Mapping[str, Any]:
    changes = list(clock_changes(view.now, cron.next_times)) if cron.next_times else []
    return {"shapes": SHAPES, "changes": changes}


def clock_changes(now: datetime, times: Sequence[datetime]) -> Iterator[str]:
    """Yield a sentence for each change of the clocks before one of *times*, all of one zone.

    >>> from datetime import UTC, datetime
    >>> from zoneinfo import ZoneInfo
    >>> times = [datetime(2026, 3, day, 3, tzinfo=ZoneInfo("Europe/Berlin")) for day in (28, 29)]
    >>> [*clock_changes(datetime(2026, 3, 27, tzinfo=UTC), times)][0][:55]
    'The clocks go forward by 1 h before 2026-03-29 03:00. A'
    """
    for before, after in pairwise((now.astimezone(times[0].tzinfo), *times)):
        was, will_be = before.utcoffset(), after.utcoffset()
        if was is None or will_be is None or was == will_be:
            continue
        seconds = (will_be - was).total_seconds()
        if seconds > 0:
            way, what = "forward", "A time of day that they leave out fires at the end of the gap."
        else:
            way, what = "back", "A time of day that comes twice fires the first time alone."
        yield (
            f"The clocks go {way} by {duration(abs(seconds))} before"
            f" {after.strftime('%Y-%m-%d %H:%M')}. {what}"
        )


# ---- limits --------------------------------------------------------------------------------------


def _limits(view: View) -> Listed:
    # A name may have two kinds of limit.
    return listed(view, view.insights.limits(), lambda limit: f"{limit.name} {limit.kind}")


def _limit(view: View) -> LimitView:
    return view.insights.limit(view.needed("name"))


def _about_limit(_view: View, limit: LimitView) -> Mapping[str, Any]:
    return {"keyed": [each for each in limit.keys if each.key is not None]}


# ---- batches and workflows -----------------------------------------------------------------------


def _batches(view: View) -> Listed:
    return listed(view, view.insights.batches(), lambda batch: batch.id)


def _batch(view: View) -> BatchDetail:
    return view.insights.batch(view.params["id"])


def _workflows(view: View) -> Listed:
    return listed(view, view.insights.workflows(), lambda workflow: workflow.id)


def _with_counts(view: View, workflows: Listed) -> Mapping[str, Any]:
    return {
        "place": view.place,
        "counts": {each.id: counted(each.nodes) for each in workflows.items},
    }


def _workflow(view: View) -> WorkflowDetail:
    return view.insights.workflow(view.params["id"])


def _about_workflow(_view: View, workflow: WorkflowDetail) -> Mapping[str, Any]:
    vertices = vertices_of(workflow)
    return {
        "vertices": vertices,
        "counts": counted(workflow.nodes),
        "mermaid": mermaid(vertices),
        "has_failed": workflow.nodes.get(Status.FAILED, 0) > 0,
    }


ROUTES: Final[Sequence[Route]] = (
    Page(path="/crons", name="crons", read=_crons, more=_place),
    Page(path="/cron", name="cron", read=_cron, more=_about_cron),
    Page(path="/limits", name="limits", read=_limits, more=_place),
    Page(path="/limit", name="limit", read=_limit, more=_about_limit),
    Page(path="/batches", name="batches", read=_batches, more=_place),
    Page(path="/batches/{id:int}", name="batch", read=_batch),
    Page(path="/workflows", name="workflows", read=_workflows, more=_with_counts),
    Page(path="/workflows/{id:int}", name="workflow", read=_workflow, more=_about_workflow),
)
