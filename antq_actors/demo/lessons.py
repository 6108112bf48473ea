"""Lessons about supervision and jobs: predict what happens, do it for real, compare.

What the rules predict comes from those who decide: the supervisors' own rules, the worker's own
``retry_delay``, the queue's own preview. Nothing here imitates them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final

from antq_actors.checks import short_repr
from antq_actors.insights.doing import NotPossible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from antq_actors.insights.verbs import Verbs

OTHER: Final = "other"
"""What came of it is none of the choices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the rules predict, and what came of it."""

    predicted: str
    """One of the names of the choices, or `OTHER`."""
    actual: str
    predicted_text: str
    """The same with its details: who, how long."""
    actual_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """Something to predict, and to do."""

    name: str
    step: str
    title: str
    story: str
    question: str
    choices: Mapping[str, str]
    """What one may predict, by name."""
    button: str
    explanation: str
    docs: str
    """The page of the documentation that has more of it."""
    place: str
    """Where in the dashboard one sees it: its path."""
    now: Callable[[], str]
    """Return how things stand."""
    act: Callable[[Verbs], Outcome] = field(repr=False)
    """Do it, for a visitor."""
    lock: Lock = field(default_factory=Lock, repr=False)
    """Held while it is done: two at once would see what the other did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a visitor has predicted, what the rules have, and what came of it."""

    name: str
    step: str
    chosen: str
    outcome: Outcome
    choices: Mapping[str, str] = field(repr=False)

    @property
    def is_right(self) -> bool:
        """Whether the visitor's prediction came true."""
        return self.chosen == self.outcome.actual

    @property
    def agrees(self) -> bool:
        """Whether that of the rules came true."""
        return self.outcome.predicted == self.outcome.actual

    def text(self, choice: str) -> str:
        """Return the words of a choice."""
        return self.choices.get(choice, "Something else")


class Lessons:
    """All lessons, by their names."""

    def __init__(self, lessons: Sequence[Lesson]) -> None:
        self.all = tuple(lessons)

    def find(self, name: str, step: str) -> Lesson:
        """Return a lesson. Raises LookupError."""
        for each in self.all:
            if (each.name, each.step) == (name, step):
                return each
        raise LookupError(f"there is no lesson {name}/{step}")

    def answer(self, name: str, step: str, chosen: object, verbs: Verbs) -> Answer:
        """Do what a lesson is about, for a visitor who has predicted something.

        Raises LookupError for a lesson that there is not, ValueError for a prediction that is none
        of its choices, NotPossible while it is under way for another, and what its verbs raise.
        """
        lesson = self.find(name, step)
        if not isinstance(chosen, str) or chosen not in lesson.choices:
            names = ", ".join(lesson.choices)
            raise ValueError(f"choice must be one of {names}, got {short_repr(chosen)}")
        if not lesson.lock.acquire(blocking=False):
            raise NotPossible("this lesson is under way for someone else; try it in a moment")
        try:
            outcome = lesson.act(verbs)
        finally:
            lesson.lock.release()
        return Answer(name=name, step=step, chosen=chosen, outcome=outcome, choices=lesson.choices)
