"""The pages of jobs: the list with its filter, and one job."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from antq_actors.insights.filters import Filter, FilterError
from antq_actors.web.job_list import JobList, chips_of, count_new, rows_of, statuses_of
from antq_actors.web.paging import number_in
from antq_actors.web.refusals import bad_field
from antq_actors.web.rendering import render
from antq_actors.web.routes import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.web.routes import Route
    from antq_actors.web.view import View

LIMITS: Final = (50, 100, 200)
_MOST_DIGITS: Final = 20
_NEW_BUDGET_SECONDS: Final = 0.02


def _jobs(view: View) -> Any:
    typed = view.one("q", "") or ""
    limit = number_in(view, "limit", LIMITS[0], LIMITS[-1])
    if limit not in LIMITS:
        raise bad_field(f"limit must be one of 50, 100, 200, got {limit}")
    order = view.one("order", "newest") or "newest"
    find = partial(
        view.insights.jobs,
        after=_cursor(view, "after"),
        before=_cursor(view, "before"),
        limit=limit,
        order=order,
    )
    if view.is_api:
        return find(typed)
    try:
        asked = Filter.parse(typed)
    except FilterError as error:
        return render(view, "jobs", JobList(typed=typed, error=error), 400)
    page = find(asked)
    stored = view.insights.jobs(limit=1)
    since, had = _cursor(view, "since"), _cursor(view, "had")
    quickly = partial(view.insights.jobs, budget=_NEW_BUDGET_SECONDS)
    return JobList(
        typed=typed,
        page=page,
        rows=rows_of(page.items, datetime.now(UTC)),
        chips=chips_of(asked),
        statuses=statuses_of(asked),
        stored=stored.count,
        newest=stored.items[0].id if stored.items else 0,
        new=0 if since is None else count_new(quickly, asked, since, had),
        order=order,
        limit=limit,
    )


def _cursor(view: View, name: str) -> int | None:
    given = view.one(name)
    if given is None or given == "":
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= _MOST_DIGITS):
        raise bad_field(f"{name} must be the id of a job, got {given!r}")
    return int(given)


def _job(view: View) -> Any:
    return view.insights.job(view.params["id"])


ROUTES: Final[Sequence[Route]] = (
    Page(path="/jobs", name="jobs", read=_jobs),
    Page(path="/jobs/{id:int}", name="job", read=_job, has_page=False),
)
