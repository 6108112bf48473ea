"""All routes of the dashboard, and where each page is in the rail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from antq_actors.web import verbs
from antq_actors.web.pages import bulk, flows, jobs, operations, overview, queues, trees

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.web.routes import Route

ALL_ROUTES: Final[Sequence[Route]] = (
    *overview.ROUTES,
    *jobs.ROUTES,
    *bulk.ROUTES,
    *queues.ROUTES,
    *trees.ROUTES,
    *operations.ROUTES,
    *flows.ROUTES,
    *verbs.ROUTES,
)
