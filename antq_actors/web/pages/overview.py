"""The pages about the whole: Overview, and About with what a visitor sets for themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import RedirectResponse, Response

import antq_actors
from antq_actors.insights.access import Access
from antq_actors.web.routes import Page, Verb
from antq_actors.web.settings import keep_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.web.options import Options
    from antq_actors.web.routes import Route
    from antq_actors.web.view import View


@dataclass(frozen=True, slots=True)
class About:
    """What the page About shows."""

    version: str
    options: Options


def _overview(view: View) -> Any:
    return view.insights.overview()


def _about(view: View) -> Any:
    return About(version=antq_actors.__version__, options=view.options)


def _settings(view: View) -> Response:
    """Keep what a visitor has set, and lead back to where they were."""
    response = RedirectResponse(view.next_page("overview"), status_code=303)
    keep_settings(response, view.fields, view.root, is_secure=view.request.url.scheme == "https")
    return response


ROUTES: Final[Sequence[Route]] = (
    Page(path="/", name="overview", read=_overview),
    Page(path="/about", name="about", read=_about, has_api=False),
    Verb(
        path="/settings",
        act=_settings,
        words="Set",
        fields=frozenset({"theme", "zone", "keys"}),
        level=Access.READ,
        has_api=False,
    ),
)
