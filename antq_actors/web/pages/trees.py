"""The pages of the supervision trees: the tree as it is and as it was, and what would follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import RedirectResponse

from antq_actors.insights.replay import replay
from antq_actors.web.pages import chaos
from antq_actors.web.pages.chaos import CHAOS_VERBS
from antq_actors.web.paging import node_in
from antq_actors.web.refusals import bad_field
from antq_actors.web.routes import FORM_FIELDS, REASON, Asks, Input, Page, Verb
from antq_actors.web.tree_map import BOX_HEIGHT, BOX_WIDTH, tree_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from antq_actors.insights.trees import TreeView
    from antq_actors.otp.inspect.snapshot import ActorView
    from antq_actors.web.routes import Route
    from antq_actors.web.view import View

GRID: Final = "grid"
MAP: Final = "map"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the treegrid."""

    actor: ActorView
    level: int
    number: int
    """Among its siblings, from 1."""
    siblings: int


def _tree(view: View) -> TreeView:
    return view.insights.tree(
        node_in(view), trees=view.options.trees, shown=view.one("actor") or None
    )


def _as_it_was(view: View, found: TreeView) -> tuple[TreeView, int]:
    """Return the tree at the stop that the query names, and the number of the stop."""
    last = len(found.events)
    given = view.one("at")
    if given is None or given == "":
        return found, last
    if not (given.isascii() and given.isdigit() and int(given[:9]) <= last):
        raise bad_field(
            f"at must be the number of a stop, from 0 to {last:,}, which is now; got {given!r}"
        )
    return replay(found, int(given)), int(given)


def _more(view: View, found: TreeView) -> dict[str, Any]:
    shape = view.one("view", GRID)
    if shape not in (GRID, MAP):
        raise bad_field(f"view must be one of {GRID}, {MAP}, got {shape!r}")
    shown, stop = _as_it_was(view, found)
    names = {each.id: each.name for tree in (*found.trees, *shown.trees) for each in tree.walk()}
    query = {"node": found.node, "view": None if shape == GRID else shape}
    return {
        "shown": shown,
        "stop": stop,
        "last": len(found.events),
        "rows": list(_rows(shown.trees, 1)),
        "map": tree_map(shown) if shape == MAP else None,
        "size": (BOX_WIDTH, BOX_HEIGHT),
        "shape": shape,
        "names_of": names,
        "selected": view.one("actor"),
        "nodes": [each.node for each in view.insights.nodes() if each.alive],
        "chaos": CHAOS_VERBS if view.options.chaos else {},
        "result": view.kept(),
        "run": view.insights.chaos_run(found.node, trees=view.options.trees),
        "recording": _recording(view, found),
        "chosen": next((each for each in _all(shown) if each.id == view.one("actor")), None),
        "query_of": query,
    }


def _all(shown: TreeView) -> Iterator[ActorView]:
    for tree in shown.trees:
        yield from tree.walk()


def _recording(view: View, found: TreeView) -> Any:
    """Return what was recorded of the chosen actor; None: nothing was."""
    actor = view.one("actor")
    if not actor or found.missing is not None:
        return None
    try:
        return view.insights.recording(actor, found.node, trees=view.options.trees)
    except LookupError:
        return None


def _rows(actors: Sequence[ActorView], level: int) -> Iterator[Row]:
    for number, actor in enumerate(actors, 1):
        yield Row(actor, level, number, len(actors))
        yield from _rows(actor.children, level + 1)


def _trace(view: View) -> Any:
    """Record an actor for a while, and lead to its diagram."""
    sent = {name: view.sent(name) for name in view.fields if name not in FORM_FIELDS}
    done = view.verbs.do("trace", sent={**sent, "trees": view.options.trees})
    if view.is_api:
        return done
    where = view.url("/tree", node=view.sent("node"), actor=view.sent("actor"))
    return RedirectResponse(where, status_code=303)


ROUTES: Final[Sequence[Route]] = (
    *chaos.ROUTES,
    Verb(
        path="/tree/trace",
        act=_trace,
        words="Trace {actor}",
        fields=frozenset({"node", "actor", "messages", "seconds"}),
        inputs=(
            Input(name="messages", label="Messages", type="number", hint="20"),
            Input(name="seconds", label="Seconds", hint="10"),
            REASON,
        ),
        asks=Asks.FOR_FIELDS,
        next="tree",
    ),
    Page(path="/tree", name="tree", read=_tree, more=_more),
)
