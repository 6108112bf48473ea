"""The pages of jobs: the list with its filter, and one job."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from antq_actors.insights.as_json import as_json, dump_json
from antq_actors.insights.filters import Filter, FilterError
from antq_actors.web.job_args import Budget
from antq_actors.web.job_film import beside_of, window_of
from antq_actors.web.job_list import JobList, chips_of, count_new, rows_of, statuses_of
from antq_actors.web.job_page import NEEDS_QUEUE, json_of_job, page_of, why_rows
from antq_actors.web.paging import number_in
from antq_actors.web.refusals import bad_field
from antq_actors.web.rendering import encoded, render
from antq_actors.web.routes import Download, Page
from antq_actors.web.saved_views import LIMITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.insights.values import JobView
    from antq_actors.web.job_film import Beside
    from antq_actors.web.routes import Route
    from antq_actors.web.view import View

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
    if _is_part(view):
        return JobList(typed=typed, new=_new(view, asked), limit=limit)
    page = find(asked)
    stored = view.insights.jobs(limit=1)
    return JobList(
        typed=typed,
        page=page,
        rows=rows_of(page.items, view.now, asked),
        chips=chips_of(asked),
        statuses=statuses_of(asked),
        stored=stored.count,
        newest=stored.items[0].id if stored.items else 0,
        order=order,
        limit=limit,
        place=view.place,
    )


def _is_part(view: View) -> bool:
    """Return whether the part of the page that moves is asked for alone."""
    return str(view.request.scope["antq.path"]).startswith("/region/")


def _new(view: View, asked: Filter) -> int:
    """Return how many jobs pass that were not on the page that asks."""
    since = _cursor(view, "since")
    if since is None:
        return 0
    quickly = partial(view.insights.jobs, budget=_NEW_BUDGET_SECONDS)
    return count_new(quickly, asked, since, _cursor(view, "had"))


def _cursor(view: View, name: str) -> int | None:
    given = view.one(name)
    if given is None or given == "":
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= _MOST_DIGITS):
        raise bad_field(f"{name} must be the id of a job, got {given!r}")
    return int(given)


def _job(view: View) -> Any:
    id_ = view.params["id"]
    job = view.insights.job(id_)
    if view.is_api:
        return job
    if view.one("as") == "json":
        return _file(f"job-{id_}.json", json_of_job(job))
    stops = view.insights.film(id_)
    now = view.now
    checks = view.insights.checks(id_)
    needs_queue = any(check.reason and check.code in NEEDS_QUEUE for check in checks)
    queue = view.insights.queue(job.queue_name) if needs_queue else None
    return page_of(
        job,
        stops,
        why_rows(checks, job, queue, now, view.insights.audit() if job.ended_at else ()),
        number=_stop(view, len(stops)),
        now=now,
        budget=Budget(whole=view.one("show")),
        path=None if view.app.is_volatile else str(view.app.path),
        beside=None if _is_part(view) else _beside(view, job),
    )


def _beside(view: View, job: JobView) -> Beside:
    charts = view.insights.charts(window_of(job, view.now), worker=job.worker)
    return beside_of(job, charts, view.now)


def _stop(view: View, count: int) -> int:
    """Return the number of the stop of the film that is asked for, the last one if none is."""
    given = view.one("at")
    if given is None or given == "":
        return count - 1
    if not (given.isascii() and given.isdigit() and int(given[:9]) < count):
        raise bad_field(f"at must be a stop of the film, 0 to {count - 1}, got {given!r}")
    return int(given)


def _file(name: str, text: str) -> Response:
    """Return a text to be saved as a file."""
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(text.encode("utf-8", "replace"), headers=headers, media_type="application/json")


def _suggestions(view: View) -> Response:
    """Return what can be offered to somebody who types a filter."""
    text = dump_json(as_json(view.insights.names()))
    tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:24]}"'
    if view.request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"etag": tag})
    body, headers = encoded(view.request, text)
    return Response(body, headers=headers | {"etag": tag}, media_type="application/json")


def _why(view: View) -> Any:
    return view.insights.why(view.params["id"])


def _queue_why(view: View) -> Any:
    return view.insights.queue_why(view.needed("name"))


ROUTES: Final[Sequence[Route]] = (
    Page(path="/jobs", name="jobs", read=_jobs),
    Page(path="/jobs/{id:int}", name="job", read=_job),
    Page(path="/jobs/{id:int}/why", name="why", read=_why, has_page=False),
    Download(path="/suggestions", name="suggestions", read=_suggestions),
    Page(path="/queue/why", name="queue_why", read=_queue_why, has_page=False),
)
