"""Harm from the page of the tree: once, after its prediction or a learner's own, and as a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import RedirectResponse

from antq_actors.insights import fields
from antq_actors.insights.access import Access
from antq_actors.insights.chaos_plan import RUNS
from antq_actors.insights.prediction import predict
from antq_actors.insights.quiz import Guess, choices, grade
from antq_actors.otp.inspect.predict import CRASH, EXIT, HANG, KILL, SLOW
from antq_actors.web.paging import node_in
from antq_actors.web.refusals import bad_field
from antq_actors.web.rendering import render
from antq_actors.web.routes import FORM_FIELDS, REASON, Asks, Input, Page, Verb
from antq_actors.web.settings import settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from antq_actors.insights.chaos_plan import ChaosReport
    from antq_actors.insights.doing import Done
    from antq_actors.insights.prediction import Prediction
    from antq_actors.insights.quiz import Graded
    from antq_actors.otp.inspect.snapshot import ActorView
    from antq_actors.web.routes import Route
    from antq_actors.web.view import View

CHAOS_VERBS: Final = {
    CRASH: "Crash",
    EXIT: "Exit",
    KILL: "Kill",
    HANG: "Hang",
    SLOW: "Slow",
}
"""The words of the buttons, by the verbs."""
GUESS_FIELDS: Final = frozenset({"guess", "gives_up"})
"""What a learner sends of a quiz: ids of actors, and whether the supervisor gives up."""
_ANSWERS: Final = {"yes": True, "no": False}
MOST_SHOWN: Final = 200
"""Crashes of a run that its page shows."""


# ---- one actor ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would follow from a verb."""

    actor: ActorView
    verb: str
    node: int
    prediction: Prediction
    names: Mapping[str, str]
    """Of the actors, by their ids."""
    asked: tuple[ActorView, ...]
    """The actors that a quiz asks about."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A learner's answer beside the prediction and what came of it."""

    predicted: Graded
    actual: Graded
    names: Mapping[str, str]


def _foreseen(view: View) -> Any:
    actor, verb = view.needed("actor"), view.needed("verb")
    found = _predict(view, actor, verb, node_in(view))
    return found.prediction if view.is_api else found


def _predict(view: View, actor: str, verb: str, node: int | None) -> Foreseen:
    tree = view.insights.tree(node, trees=view.options.trees, shown=actor)
    found = predict(tree, actor, verb)
    aimed = next(each for root in tree.trees for each in root.walk() if each.id == actor)
    names = {each.id: each.name for root in tree.trees for each in root.walk()}
    asked = tuple(replace(each, children=()) for each in choices(tree, actor))
    return Foreseen(replace(aimed, children=()), verb, tree.node, found, names, asked)


def _words(view: View, foreseen: Foreseen) -> dict[str, Any]:
    """Return what the page of a prediction is given; in quiz mode it asks first."""
    guess = _guess(view.query)
    is_quiz = settings_of(view.request).quiz == "on"
    asked = [each.id for each in foreseen.asked]
    return {
        "title": f"{CHAOS_VERBS[foreseen.verb]} {foreseen.actor.name}",
        "takes_seconds": foreseen.verb in (HANG, SLOW),
        "asks": is_quiz and guess is None,
        "graded": None if guess is None else grade(guess, foreseen.prediction, asked),
    }


def _guess(given: Mapping[str, Sequence[str]]) -> Guess | None:
    """Return what a learner predicts, of a query or a form; None: nothing. Raises Refusal."""
    answers = given.get("gives_up", ())
    if not answers:
        return None
    if answers[-1] not in _ANSWERS:
        raise bad_field(f"gives_up must be yes or no, got {answers[-1]!r}")
    return Guess(frozenset(given.get("guess", ())), _ANSWERS[answers[-1]])


def _harm(verb: str) -> Verb:
    """Return the route of a chaos verb, which is asked with what it would lead to."""

    def ask(view: View) -> Any:
        found = _aimed(view, verb)
        return render(view, "prediction", found, **_words(view, found))

    def carry_out(view: View) -> Any:
        sent = {**_sent(view), "trees": view.options.trees}
        if verb not in (HANG, SLOW):  # a field of all five routes, which means nothing to these
            fields.seconds(sent.pop("seconds", None), "seconds")
        if view.is_api:
            if GUESS_FIELDS & set(view.fields):
                raise bad_field("guess and gives_up are of the page's quiz, and not of the API")
            return view.verbs.do("chaos", verb, sent=sent)
        guess = _guess(view.fields)
        before = None if guess is None else _aimed(view, verb)
        done: Done = view.verbs.do("chaos", verb, sent=sent)
        if guess is None or before is None:
            return done
        asked = [each.id for each in before.asked]
        predicted, actual = (
            grade(guess, done.more[name], asked) for name in ("prediction", "actual")
        )
        answered = Answered(predicted, actual, before.names)
        return replace(done, more={**done.more, "answered": answered})

    return Verb(
        path=f"/tree/{verb}",
        act=carry_out,
        words=f"{CHAOS_VERBS[verb]} {{actor}}",
        fields=frozenset({"node", "actor", "seconds"}) | GUESS_FIELDS,
        level=Access.CHAOS,
        asks=Asks.ALWAYS,
        ask=ask,
        next="tree",
    )


def _aimed(view: View, verb: str) -> Foreseen:
    """Return what would follow from a verb to the actor that a form names."""
    given = view.sent("node")
    node = int(given) if isinstance(given, str) and given.isdecimal() else None
    return _predict(view, str(view.sent("actor") or ""), verb, node)


def _sent(view: View) -> dict[str, Any]:
    """Return what a verb was sent for insights."""
    return {name: view.sent(name) for name in view.fields if name not in FORM_FIELDS | GUESS_FIELDS}


# ---- a run --------------------------------------------------------------------------------------


def _run(view: View) -> ChaosReport | None:
    return view.insights.chaos_run(node_in(view), trees=view.options.trees)


def _more(view: View, found: ChaosReport | None) -> dict[str, Any]:
    node = view.one("node") if found is None else found.node
    hits = () if found is None else found.hits
    return {
        "node": node or None,
        "is_running": found is not None and found.state == RUNS,
        "may": view.options.chaos,
        "shown": [*reversed(hits)][:MOST_SHOWN],
        "number_of": len(hits),
    }


def _begin_or_stop(verb: str) -> Any:
    def carry_out(view: View) -> Any:
        """Do it, and lead to the report."""
        done = view.verbs.do(verb, sent={**_sent(view), "trees": view.options.trees})
        if view.is_api:
            return done
        return RedirectResponse(view.url("/tree/chaos", node=done.item.node), status_code=303)

    return carry_out


ROUTES: Final[Sequence[Route]] = (
    *map(_harm, CHAOS_VERBS),
    Verb(
        path="/tree/chaos",
        act=_begin_or_stop("begin_chaos_run"),
        words="Begin chaos run",
        fields=frozenset({"node", "every", "duration"}),
        inputs=(
            Input(name="every", label="Every", hint="from 1s; 10s if empty"),
            Input(name="duration", label="For", hint="such as 90s, at most 60m; 5m if empty"),
            REASON,
        ),
        level=Access.CHAOS,
        asks=Asks.ALWAYS,
        next="tree",
    ),
    Verb(
        path="/tree/chaos/stop",
        act=_begin_or_stop("stop_chaos_run"),
        words="Stop chaos run",
        fields=frozenset({"node"}),
        level=Access.CHAOS,
        next="tree",
    ),
    Page(path="/tree/predict", name="prediction", read=_foreseen, more=_words),
    Page(path="/tree/chaos", name="chaos", read=_run, more=_more),
)
