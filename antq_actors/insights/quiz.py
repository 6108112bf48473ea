"""What a learner predicts of an actor's end, before the rules say it: which of it was right.

The page of the tree asks for it in quiz mode. Nothing here acts, or keeps a mark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from antq_actors.insights.prediction import Prediction
    from antq_actors.insights.trees import TreeView
    from antq_actors.otp.inspect.snapshot import ActorView

MOST_SIBLINGS: Final = 12
"""Siblings that are asked about."""


@dataclass(frozen=True, slots=True)
class Guess:
    """What a learner predicts."""

    restarted: frozenset[str]
    """Ids of the actors that are started again."""
    gives_up: bool
    """Whether the actor's supervisor gives up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """A guess beside an outcome, predicted or actual; ids are in the order of the question."""

    guess: Guess
    right: tuple[str, ...]
    """Started again, as guessed."""
    missed: tuple[str, ...]
    """Started again, and not guessed."""
    wrong: tuple[str, ...]
    """Guessed, and not started again."""
    supervisor_is_right: bool
    """Whether it is right about the supervisor's giving up."""

    @property
    def is_right(self) -> bool:
        """Whether all of the guess is right."""
        return not self.missed and not self.wrong and self.supervisor_is_right


def choices(tree: TreeView, actor: str) -> tuple[ActorView, ...]:
    """Return the actors that a learner chooses from: the supervisors above, and the siblings.

    The first `MOST_SIBLINGS` of these, and always the actor itself. Raises LookupError for an actor
    that is not there.
    """
    path = _path_to(tree.trees, actor)
    if not path:
        raise LookupError(f"there is no actor {actor} in the tree")
    *above, aimed = path
    siblings = above[-1].children if above else (aimed,)
    shown = [each for each in siblings if each.id == actor]
    others = [each for each in siblings if each.id != actor][: MOST_SIBLINGS - 1]
    ids = {each.id for each in (*shown, *others)}
    return (*above, *(each for each in siblings if each.id in ids))


def _path_to(roots: Iterable[ActorView], actor: str) -> list[ActorView]:
    """Return the actors from a root down to the one with this id; none if it is not there."""
    for root in roots:
        if root.id == actor:
            return [root]
        below = _path_to(root.children, actor)
        if below:
            return [root, *below]
    return []


def grade(guess: Guess, outcome: Prediction, asked: Collection[str]) -> Graded:
    """Return what of a guess is right about an outcome; *asked*: the ids that were asked about.

    What is below an actor that is started again is started again with it, so naming it is right,
    and leaving it out is right, too.
    """
    restarted = outcome.restarted
    return Graded(
        guess=guess,
        right=tuple(id_ for id_ in asked if id_ in guess.restarted and id_ in restarted),
        missed=tuple(id_ for id_ in asked if id_ in restarted and id_ not in guess.restarted),
        wrong=tuple(
            id_ for id_ in asked if id_ in guess.restarted and not any(_within(id_, restarted))
        ),
        supervisor_is_right=guess.gives_up is outcome.gives_up,
    )


def _within(id_: str, restarted: Iterable[str]) -> Iterator[bool]:
    return (id_ == each or id_.startswith(each + "/") for each in restarted)
