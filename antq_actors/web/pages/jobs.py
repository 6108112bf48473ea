"""The pages of jobs: the list with its filter, and one job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from antq_actors.web.paging import number_in
from antq_actors.web.refusals import bad_field
from antq_actors.web.routes import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.web.routes import Route
    from antq_actors.web.view import View

LIMITS: Final = (50, 100, 200)
_MOST_DIGITS: Final = 20


def _jobs(view: View) -> Any:
    limit = number_in(view, "limit", LIMITS[0], LIMITS[-1])
    if limit not in LIMITS:
        raise bad_field(f"limit must be one of 50, 100, 200, got {limit}")
    return view.insights.jobs(
        view.one("q", "") or "",
        after=_cursor(view, "after"),
        before=_cursor(view, "before"),
        limit=limit,
        order=view.one("order", "newest") or "newest",
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
    Page(path="/jobs", name="jobs", read=_jobs, has_page=False),
    Page(path="/jobs/{id:int}", name="job", read=_job, has_page=False),
)
