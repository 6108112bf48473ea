"""The pages of those who keep it running: Errors, Metrics, Store, Audit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from starlette.responses import Response

from antq_actors.insights.charts import BEFORE, RUN_BOUNDS, RUN_NAMES, WINDOWS, as_csv
from antq_actors.insights.filters import FilterError
from antq_actors.insights.search import BUDGET_SECONDS
from antq_actors.insights.values import ErrorPage
from antq_actors.storage.jobs.charts import DEPLOYED
from antq_actors.web.drawing import Picture, picture, sparkline
from antq_actors.web.paging import DEFAULT, MOST, cursor_in, node_in, number_in, part_of
from antq_actors.web.refusals import bad_field
from antq_actors.web.rendering import duration, quoted, render
from antq_actors.web.routes import Download, Page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from antq_actors.insights.charts import Charts, Series
    from antq_actors.insights.store import StoreView
    from antq_actors.insights.values import ErrorGroup
    from antq_actors.web.routes import Route
    from antq_actors.web.view import View

# ---- errors --------------------------------------------------------------------------------------

BARS_WIDTH: Final = 480
BARS_HEIGHT: Final = 90
_NOTHING: Final = ErrorPage(items=(), next=None, previous=None, searched=0, complete=True)


FIRST_SECONDS: Final = 0.015
"""For which failures are looked for when the list is opened; further on, for as long as usual."""


@dataclass(frozen=True, slots=True)
class ErrorsPart:
    """A part of the groups that were found, or those that are found further on."""

    items: Sequence[ErrorGroup]
    next: str | int | None
    previous: str | None
    searched: int
    complete: bool


def _errors(view: View) -> Any:
    typed = view.one("q", "") or ""
    limit = number_in(view, "limit", DEFAULT, MOST)
    after, before = _cursor(view, "after"), _cursor(view, "before")
    if after is not None and before is not None:
        raise bad_field("give after or before, not both")
    start = (after or before or _START).scan
    is_opened = not (typed or after or before or view.is_api)
    try:
        budget = FIRST_SECONDS if is_opened else BUDGET_SECONDS
        page = view.insights.errors(typed, after=start, budget=budget)
    except FilterError as error:
        if view.is_api:
            raise
        wrong = {"typed": typed, "wrong": str(error), "spark": sparkline}
        return render(view, "errors", _NOTHING, 400, **wrong)
    part = part_of(
        page.items,
        [group.fingerprint for group in page.items],
        limit,
        after and after.group,
        before and before.group,
    )
    return ErrorsPart(
        items=part.items,
        next=page.next if part.next is None else _Cursor(start, part.next).text(),
        previous=None if part.previous is None else _Cursor(start, part.previous).text(),
        searched=page.searched,
        complete=page.complete,
    )


class _Cursor(NamedTuple):
    """Behind or in front of which group one is, and behind which job those were looked for."""

    scan: int | None
    group: str | None

    def text(self) -> str:
        return f"{'' if self.scan is None else self.scan}-{self.group}"


_START: Final = _Cursor(None, None)
_CURSOR: Final = re.compile(r"(\d{1,20})?(?:-([0-9a-f]{16}))?", re.ASCII)


def _cursor(view: View, name: str) -> _Cursor | None:
    given = view.one(name)
    if given is None or given == "":
        return None
    found = _CURSOR.fullmatch(given)
    if found is None:
        raise bad_field(f"{name} must be one that a page has led to, got {given!r}")
    return _Cursor(None if found[1] is None else int(found[1]), found[2])


def _typed(view: View, _errors: Any) -> dict[str, Any]:
    return {"typed": view.one("q", "") or "", "wrong": None, "spark": sparkline}


def _error(view: View) -> Any:
    return view.insights.error(view.needed("fingerprint"))


@dataclass(frozen=True, slots=True)
class Bar:
    """An hour, drawn."""

    x: float
    y: float
    width: float
    height: float
    title: str


def _about_error(view: View, group: ErrorGroup) -> dict[str, Any]:
    frames = "\n".join(f"  {frame}" for frame in group.frames)
    report = (
        f"{group.error_type or 'Failed'}: {group.text}\n{frames}\n{group.count} failures of"
        f" {', '.join(group.workers)}, first {group.first.isoformat()}, last"
        f" {group.last.isoformat()}, fingerprint {group.fingerprint}"
    )
    return {
        "report": report,
        "failed": view.insights.count_failed(group.fingerprint),
        "bars": list(_bars(group.hours)),
        "deploy": _deploy(view),
        "filter": f"error:{quoted(group.text[:100])}" if group.text else "status:failed",
    }


def _bars(hours: Sequence[int]) -> Iterator[Bar]:
    most, width = max(hours, default=0) or 1, BARS_WIDTH / max(1, len(hours))
    for number, count in enumerate(hours):
        height = round((BARS_HEIGHT - 4) * count / most, 1)
        when = len(hours) - 1 - number
        title = f"{count} {'in the last hour' if not when else f'{when} h ago'}"
        left = round(number * width + 1, 1)
        yield Bar(left, BARS_HEIGHT - height, round(width - 2, 1), height, title)


def _deploy(view: View) -> float | None:
    """Return where in the picture of a day the last deploy is; None: there was none."""
    charts = view.insights.charts("24h")
    start, end = charts.at[0], charts.at[-1]
    for mark in reversed(charts.marks):
        if mark.kind == DEPLOYED:
            return round(BARS_WIDTH * ((mark.at - start) / (end - start)), 1)
    return None


# ---- metrics -------------------------------------------------------------------------------------

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "Jobs": ("enqueued", "completed", "failures"),
    "Ends that were not planned": ("failed", "retrying", "cancelled"),
    "Interrupted and snoozed": ("interrupted", "snoozed"),
    "Waited (s)": ("wait_p50", "wait_p95"),
    "Ran (s)": ("run_p50", "run_p95"),
}
"""The charts, each with the series that it shows."""
HEAT_LEFT: Final = 116
HEAT_WIDTH: Final = 720
HEAT_ROW: Final = 18


@dataclass(frozen=True, slots=True)
class Group:
    """A chart."""

    name: str
    series: Sequence[Series]
    drawn: Picture


@dataclass(frozen=True, slots=True)
class Cell:
    """A step of a row of the heat map; darker for more jobs."""

    x: float
    y: float
    width: float
    opacity: float
    title: str


@dataclass(frozen=True, slots=True)
class HeatRow:
    """Jobs that ran about as long, by step."""

    name: str
    values: Sequence[float | None]
    cells: Sequence[Cell]


def _charts(view: View) -> Any:
    return view.insights.charts(
        view.one("window", "1h") or "1h",
        queue=view.one("queue") or None,
        worker=view.one("worker") or None,
        node=node_in(view),
        compare=view.one("compare") or None,
    )


def _csv(view: View) -> Response:
    headers = {"content-disposition": 'attachment; filename="charts.csv"'}
    return Response(as_csv(_charts(view)), media_type="text/csv", headers=headers)


def _drawn(view: View, charts: Charts) -> dict[str, Any]:
    queue, insights = view.one("queue") or None, view.insights
    series = {each.name: each for each in charts.series if each.queue == queue}
    groups = []
    for name, names in GROUPS.items():
        shown = [series[each] for each in names]
        shown += [series[each + BEFORE] for each in names if each + BEFORE in series]
        groups.append(Group(name, shown, picture(charts, shown)))
    given = {name: view.one(name) for name in ("queue", "worker", "node", "compare")}
    return {
        "groups": groups,
        "heat": list(_heat(series)),
        "windows": list(WINDOWS),
        "queues": [each.name for each in insights.queues()],
        "nodes": [each.node for each in insights.nodes()],
        "about": {"window": charts.window, **{name: text for name, text in given.items() if text}},
    }


def _heat(series: Mapping[str, Series]) -> Iterator[HeatRow]:
    """Yield the rows of the heat map, the longest times at the top."""
    labels = [f"up to {duration(RUN_BOUNDS[0])}"]
    labels += [f"{duration(a)} – {duration(b)}" for a, b in pairwise(RUN_BOUNDS)]
    labels.append(f"over {duration(RUN_BOUNDS[-1])}")
    most = max((value or 0 for name in RUN_NAMES for value in series[name].values), default=0) or 1
    for row, (name, label) in enumerate(reversed(list(zip(RUN_NAMES, labels, strict=True)))):
        values = series[name].values
        width = (HEAT_WIDTH - HEAT_LEFT) / max(1, len(values))
        cells = [
            Cell(
                round(HEAT_LEFT + number * width, 1),
                row * HEAT_ROW,
                round(max(0.5, width - 1), 1),
                round(0.15 + 0.85 * value / most, 2),
                f"{value:g} jobs ran {label}",
            )
            for number, value in enumerate(values)
            if value
        ]
        yield HeatRow(label, values, cells)


# ---- store and audit -----------------------------------------------------------------------------


def _store(view: View) -> Any:
    return view.insights.store()


def _most_pages(_view: View, store: StoreView) -> dict[str, Any]:
    return {"most_pages": max(1, store.pages.free, *store.pages.used.values())}


def _audit(view: View) -> Any:
    return view.insights.audit_page(
        after=cursor_in(view, "after"),
        before=cursor_in(view, "before"),
        limit=number_in(view, "limit", 100, 1_000),
    )


ROUTES: Final[Sequence[Route]] = (
    Page(path="/errors", name="errors", read=_errors, more=_typed),
    Page(path="/error", name="error", read=_error, more=_about_error),
    Page(path="/charts", name="charts", read=_charts, more=_drawn),
    Download(path="/charts.csv", name="charts_csv", read=_csv),
    Page(path="/store", name="store", read=_store, more=_most_pages),
    Page(path="/audit", name="audit", read=_audit),
)
