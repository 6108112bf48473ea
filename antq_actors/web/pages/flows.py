"""The pages of what goes on between jobs: Crons, Limits, Batches, Workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from antq_actors.web.paging import Listed, listed
from antq_actors.web.routes import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.web.routes import Route
    from antq_actors.web.view import View


def _crons(view: View) -> Listed:
    return listed(view, view.insights.crons(), lambda cron: cron.name)


def _limits(view: View) -> Listed:
    return listed(view, view.insights.limits(), lambda limit: limit.name)


def _batches(view: View) -> Listed:
    return listed(view, view.insights.batches(), lambda batch: batch.id)


def _workflows(view: View) -> Listed:
    return listed(view, view.insights.workflows(), lambda workflow: workflow.id)


ROUTES: Final[Sequence[Route]] = (
    Page(path="/crons", name="crons", read=_crons, has_page=False),
    Page(path="/limits", name="limits", read=_limits, has_page=False),
    Page(path="/batches", name="batches", read=_batches, has_page=False),
    Page(path="/workflows", name="workflows", read=_workflows, has_page=False),
)
