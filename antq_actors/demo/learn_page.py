"""The page "Learn": lessons to predict and to do, as routes beside those of the dashboard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import PlainTextResponse

import antq_actors
from antq_actors.demo.lessons import Answer
from antq_actors.demo.shop import MOST_PER_SECOND
from antq_actors.insights.access import Access
from antq_actors.insights.doing import Done
from antq_actors.web.refusals import bad_field, not_found
from antq_actors.web.routes import Download, Page, Verb

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from antq_actors.demo.lessons import Lesson, Lessons
    from antq_actors.demo.shop import Shop
    from antq_actors.web.routes import Route
    from antq_actors.web.view import View

TRAFFIC: Final = ("traffic", "set")


@dataclass(frozen=True, slots=True)
class Shown:
    """The page: the lessons, and the traffic of the shop."""

    lessons: Sequence[Lesson]
    per_second: float
    most_per_second: float


def learn_routes(shop: Shop, lessons: Lessons) -> Sequence[Route]:
    """Return the routes of the page, for the dashboard of a *shop*."""

    def show(_view: View) -> Shown:
        return Shown(lessons.all, shop.per_second, MOST_PER_SECOND)

    def act(view: View) -> Any:
        name, step = view.params["lesson"], view.params["step"]
        if (name, step) == TRAFFIC:
            shop.set_traffic(_number(view))
            return Done(changed=1, item=None)
        answer = lessons.answer(name, step, view.sent("choice"), view.verbs)
        return Done(changed=1, item=None, more={"answer": answer})

    def read(view: View) -> PlainTextResponse:
        return _documentation({each.docs for each in lessons.all}, view.needed("page"))

    return (
        Download(path="/learn/docs", name="docs", read=read),
        Page(path="/learn", name="learn", read=show, more=_answered, has_api=False),
        Verb(
            path="/learn/{lesson}/{step}",
            act=act,
            words="{lesson}",
            fields=frozenset({"choice", "rate"}),
            next="learn",
            level=Access.CHAOS,
            has_api=False,
        ),
    )


def _answered(view: View, _shown: Shown) -> dict[str, Any]:
    """Return the answer that the page was led to with; None: none, or it is of another page."""
    kept = view.kept()
    answer = kept.get("answer") if isinstance(kept, dict) else None
    return {"answer": answer if isinstance(answer, Answer) else None}


def _number(view: View) -> float:
    given = view.sent("rate")
    try:
        return float(given)
    except (TypeError, ValueError):
        raise bad_field(f"rate must be a number of mails in a second, got {given!r}") from None


def _documentation(pages: Collection[str], page: str) -> PlainTextResponse:
    """Return one of the *pages* of the documentation that lessons lead to, as text."""
    if page not in pages:
        raise not_found(f"no lesson leads to {page}")
    package = Path(antq_actors.__file__).parent
    for folder in (package / "docs", package.parent / "docs"):  # as installed, and where they are
        if (folder / page).is_file():
            return PlainTextResponse((folder / page).read_text(encoding="utf-8"))
    raise not_found(f"the documentation is not installed: no {page} in {package / 'docs'}")
