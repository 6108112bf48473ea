"""What a visitor has set for themselves: it is kept in cookies of their browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from antq_actors.web.refusals import bad_field
from antq_actors.web.saved_views import (
    LIMITS,
    ORDERS,
    check_view,
    cookie_of,
    views_in,
    with_view,
    without_view,
)

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from antq_actors.web.saved_views import SavedView
    from antq_actors.web.view import View

THEMES: Final = ("system", "light", "dark")
ZONES: Final = ("browser", "utc")
KEYS: Final = ("on", "off")
QUIZ: Final = ("off", "on")
VIEW_FIELDS: Final = frozenset({"view", "forget", "q", "order", "limit"})
"""Of the forms that save a view and remove one."""
_VIEWS: Final = "antq_views"
_KEPT_SECONDS: Final = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Settings:
    """How a visitor wants pages to be shown."""

    theme: str = "system"
    zone: str = "browser"
    keys: str = "on"
    """Whether single keys are shortcuts."""
    quiz: str = "off"
    """Whether the tree asks what will follow before it says so."""


_CHOICES: Final = {"theme": THEMES, "zone": ZONES, "keys": KEYS, "quiz": QUIZ}


def settings_of(request: Request) -> Settings:
    """Return the settings in a request's cookies; the default of what is not one of the choices."""
    found = {name: request.cookies.get(f"antq_{name}", "") for name in _CHOICES}
    return Settings(**{name: text for name, text in found.items() if text in _CHOICES[name]})


def keep_settings(response: Response, fields: Any, root: str, *, is_secure: bool) -> None:
    """Set the cookies of the settings in *fields*. Raises Refusal for what is not a choice.

    A choice may be in capital letters, as on the page. The last of several values counts: a box
    that is not ticked is not sent, so the one of "off" stands before it.
    """
    for name, choices in _CHOICES.items():
        texts = fields.get(name, ())
        for text in texts:
            if text.lower() not in choices:
                raise bad_field(f"{name} must be one of {', '.join(choices)}, got {text!r}")
        if texts:
            response.set_cookie(
                f"antq_{name}",
                texts[-1].lower(),
                max_age=_KEPT_SECONDS,
                path=root,
                samesite="lax",
                secure=is_secure,
            )


# ---- saved views ---------------------------------------------------------------------------------


def own_views(request: Request) -> tuple[SavedView, ...]:
    """Return the views that a visitor has saved; none where the cookie is not one of ours."""
    return views_in(request.cookies.get(_VIEWS, ""))


def keep_views(response: Response, view: View, *, is_secure: bool) -> dict[str, str | None] | None:
    """Save or remove what the fields say, and return the query of the list that they are about.

    None: they are about no view. Raises Refusal for what is wrong with them, and where a browser
    cannot keep more.
    """
    if not {"view", "forget"} & view.fields.keys():
        return None
    views = own_views(view.request)
    try:
        if "forget" in view.fields:
            views = without_view(views, view.sent("forget") or "")
        shown = _shown_list(view)
        if "view" in view.fields:
            views = with_view(views, shown)
    except ValueError as error:  # a FilterError among them
        raise bad_field(str(error)) from None
    response.set_cookie(
        _VIEWS,
        cookie_of(views),
        max_age=_KEPT_SECONDS if views else 0,
        path=view.root,
        httponly=True,
        samesite="lax",
        secure=is_secure,
    )
    return shown.query


def _shown_list(view: View) -> SavedView:
    """Return the list that the fields describe, with the name that they give it."""
    limit = view.sent("limit") or str(LIMITS[0])
    if limit not in map(str, LIMITS):
        raise bad_field(f"limit must be one of {', '.join(map(str, LIMITS))}, got {limit!r}")
    name = (view.sent("view") or "") if "view" in view.fields else "removed"
    return check_view(name, view.sent("q") or "", view.sent("order") or ORDERS[0], int(limit))
