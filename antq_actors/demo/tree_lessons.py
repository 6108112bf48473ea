"""Lessons about supervisors: whom they start again, and when they give up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from antq_actors.demo import shop as shops
from antq_actors.demo.lessons import OTHER, Lesson, Outcome
from antq_actors.insights import Insights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.demo.shop import Shop
    from antq_actors.insights import Prediction
    from antq_actors.insights.verbs import Verbs
    from antq_actors.otp.inspect.snapshot import ActorView

COURIERS: Final = f"{shops.ROOT}/couriers"
CLOSED: Final = "The shop is closed; the button opens it again."


def tree_lessons(shop: Shop) -> Sequence[Lesson]:
    """Return the lessons about the tree of a shop."""
    return (
        _strategy(
            shop,
            "one_for_one",
            shops.TILLS,
            "With one_for_one each child is on its own: only the one that ended starts again. It"
            " fits children that do not need each other.",
        ),
        _strategy(
            shop,
            "rest_for_one",
            shops.KITCHEN,
            "With rest_for_one the children after the one that ended may rely on it: they are"
            " stopped, the last one first, and all of these start again in order. Those before it"
            " stay.",
        ),
        _budget(shop),
    )


def _strategy(shop: Shop, strategy: str, group: shops.Group, explanation: str) -> Lesson:
    first, target, last = group.members

    def act(verbs: Verbs) -> Outcome:
        return _do(
            shop,
            verbs,
            verb="crash",
            actor=f"{shops.ROOT}/{group.name}/{target}",
            choice_of=_how_many,
            text_of=_who,
        )

    return Lesson(
        name="strategies",
        step=strategy,
        title=f"A child of a {strategy} supervisor crashes",
        story=f"The supervisor {group.name} has the strategy {strategy}, and three children that"
        f" were started in this order: {first}, {target}, {last}.",
        question=f"{target} crashes. Who starts again?",
        choices={
            "alone": f"{target} alone",
            "rest": f"{target} and {last}",
            "all": "all three",
        },
        button=f"Crash {target}",
        explanation=explanation,
        docs="otp/02-supervisors.md",
        place="/tree",
        now=lambda: _restarts(shop, group.name),
        act=act,
    )


def _budget(shop: Shop) -> Lesson:
    def act(verbs: Verbs) -> Outcome:
        return _do(
            shop,
            verbs,
            verb="kill",
            actor=f"{COURIERS}/courier",
            choice_of=_fate,
            text_of=_what_of_it,
        )

    return Lesson(
        name="budget",
        step="kill",
        title="A child ends again and again",
        story=f"The supervisor couriers allows {shops.COURIER_RESTARTS} restarts within"
        f" {shops.COURIER_WINDOW // 60} minutes. Its own supervisor is the shop. Press the button"
        " until it gives up.",
        question="The courier is killed. What does its supervisor do?",
        choices={
            "again": "it starts the courier again",
            "gives-up": "it gives up, and the shop starts all of it again",
            "leaves": "it leaves the courier dead, and goes on",
        },
        button="Kill the courier",
        explanation="One restart more than is allowed means that restarting does not help. So the"
        " supervisor ends, and the one above it starts the whole branch from a clean state, with"
        " its budget full again.",
        docs="otp/03-giving-up.md",
        place="/tree",
        now=lambda: _left(shop),
        act=act,
    )


# ---- what is predicted, and what comes of it ----------------------------------------------------


def _do(
    shop: Shop,
    verbs: Verbs,
    *,
    verb: str,
    actor: str,
    choice_of: Callable[[Prediction], str],
    text_of: Callable[[Prediction], str],
) -> Outcome:
    """Do harm to an actor of the shop; the prediction is that of the supervisors' own rules."""
    shop.open()
    done = verbs.chaos(verb, actor, trees=[shops.ROOT])
    foreseen, came = done.more["prediction"], done.more["actual"]
    return Outcome(
        predicted=choice_of(foreseen),
        actual=choice_of(came),
        predicted_text=text_of(foreseen),
        actual_text=text_of(came),
    )


def _how_many(found: Prediction) -> str:
    if found.gives_up or found.stopped:
        return OTHER
    return {1: "alone", 2: "rest", 3: "all"}.get(len(found.restarted), OTHER)


def _who(found: Prediction) -> str:
    names = ", ".join(each.rpartition("/")[2] for each in found.restarted)
    return f"Started again: {names}." if names else "Nothing is started again."


def _fate(found: Prediction) -> str:
    if found.gives_up:
        return "gives-up"
    return "again" if found.restarted else "leaves"


def _what_of_it(found: Prediction) -> str:
    if found.gives_up:
        return f"The supervisor gives up, and is {found.parent}. {_who(found)}"
    left = "" if found.budget is None else f" Restarts left: {found.budget.left}."
    return f"{_who(found)}{left}"


# ---- how things stand ---------------------------------------------------------------------------


def _actor(shop: Shop, id_: str) -> ActorView | None:
    trees = Insights(shop.app).tree(trees=[shops.ROOT]).trees
    return next((each for tree in trees for each in tree.walk() if each.id == id_), None)


def _restarts(shop: Shop, group: str) -> str:
    found = _actor(shop, f"{shops.ROOT}/{group}")
    if found is None:
        return CLOSED
    each = (f"{child.name} {child.restarts}" for child in found.children)
    return f"Restarts so far: {', '.join(each)}."


def _left(shop: Shop) -> str:
    found = _actor(shop, COURIERS)
    if found is None or found.budget is None:
        return CLOSED
    return f"Restarts left: {found.budget.left} of {found.budget.max}."
