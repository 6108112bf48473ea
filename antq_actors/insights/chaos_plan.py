"""A chaos run, as values: which actor ends next, and what the report says of those that ended.

A run ends a random leaf every few seconds, for a limited time. Nothing here acts: ``chaos_runs.py``
has the thread that asks, does the harm, and keeps what came of it.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from antq_actors.checks import is_number, short_repr
from antq_actors.insights.chaos import Aim
from antq_actors.insights.prediction import JobsHit, Prediction, predict
from antq_actors.otp.inspect.predict import CRASH, ENDS, KILL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from random import Random

    from antq_actors.insights.trees import TreeView
    from antq_actors.otp.inspect.snapshot import ActorView, Budget

LEAST_EVERY_SECONDS: Final = 1.0
MOST_SECONDS: Final = 3_600.0
"""Longest chaos run."""
DEFAULT_EVERY_SECONDS: Final = 10.0
DEFAULT_SECONDS: Final = 300.0

RUNS: Final = "running"
OVER: Final = "over"
STOPPED: Final = "stopped"
GAVE_UP: Final = "gave up"
FAILED: Final = "failed"
"""How a run stands: it is over when its time is, stopped by a visitor, ended as a supervisor gave
up, or failed as no more harm could be done."""

STORAGE: Final = "storage"
"""The id of the storage actor below the root of an application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosPlan:
    """How often a leaf ends, and for how long. Raises ValueError for what is out of bounds."""

    every: float = DEFAULT_EVERY_SECONDS
    """Seconds from one crash to the next."""
    duration: float = DEFAULT_SECONDS
    """Seconds after which the run ends by itself."""

    def __post_init__(self) -> None:
        """Raise ValueError unless 1 s <= every <= duration <= 60 min."""
        for name, value in (("every", self.every), ("duration", self.duration)):
            if not is_number(value):
                raise ValueError(f"{name} must be a number of seconds, got {short_repr(value)}")
        if not LEAST_EVERY_SECONDS <= self.every <= self.duration:
            raise ValueError(
                f"every must be at least {LEAST_EVERY_SECONDS:g} s and at most the duration of"
                f" {self.duration:g} s, got {self.every:g} s"
            )
        if self.duration > MOST_SECONDS:
            raise ValueError(
                f"duration must be at most {MOST_SECONDS / 60:g} minutes, got {self.duration:g} s"
            )


def next_due(due: float, every: float, now: float) -> float:
    """Return when the next crash is due, after that of *due*; crashes that were missed are left.

    >>> next_due(10.0, 2.0, now=10.5), next_due(10.0, 2.0, now=15.5)
    (12.0, 16.0)
    """
    if now < due + every:
        return due + every
    return due + every * (math.floor((now - due) / every) + 1)


# ---- which actor is next ------------------------------------------------------------------------


def leaves(tree: TreeView) -> list[ActorView]:
    """Return the actors that a run may end: workers that run, but the store's and the roots.

    A supervisor is none, whether it has children or not.
    """
    kept = {f"{root.id}/{STORAGE}" for root in tree.trees[:1]}  # an application's own is the first
    return [
        each
        for root in tree.trees
        for each in root.walk()
        if each.budget is None
        and each.urn is not None
        and not each.children
        and each.id != root.id
        and each.id not in kept
    ]


def pick(tree: TreeView, random: Random, node: int | None = None) -> Aim | None:
    """Return to which leaf harm is done next, and how; None: there is none to which it can be now.

    A leaf is left out while its supervisor would end for good, so that no run ends a whole tree. A
    busy actor is killed, as it would not take the message that has it crash.
    """
    found = leaves(tree)
    for leaf in random.sample(found, len(found)):
        verb = KILL if leaf.handling is not None or leaf.state != "running" else CRASH
        if predict(tree, leaf.id, verb).parent != ENDS:
            return Aim(verb=verb, actor=leaf.id, node=node)
    return None


# ---- the report ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosHit:
    """One crash of a run: what was predicted of it, and what came of it."""

    at: datetime
    actor: str
    """Its id."""
    name: str
    verb: str
    """crash or kill."""
    prediction: Prediction
    actual: Prediction
    agrees: bool
    recovered_in: float | None
    """Seconds from the actor's end until its supervisor had started all again; None: nothing was
    to be started again."""

    @property
    def supervisor(self) -> str:
        """The id of the actor's supervisor."""
        return self.actor.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Recovery:
    """How long it took until all ran again."""

    p50: float
    max: float


@dataclass(frozen=True, slots=True)
class BudgetUsed:
    """The restarts of a supervisor within its window, when they were the most."""

    supervisor: str
    used: int
    max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosReport:
    """A chaos run, so far or when it has ended."""

    node: int
    every: float
    duration: float
    by: str | None
    began: datetime
    ended: datetime | None
    state: str
    """running, over, stopped, "gave up" or failed."""
    why: str | None
    """Why it has ended before its time; None: it has not."""
    crashes: int
    agreed: int
    """Those of which came what was predicted."""
    recovery: Recovery | None
    """None: nothing was started again."""
    budgets: tuple[BudgetUsed, ...]
    """By supervisor, those closest to giving up first."""
    gave_up: tuple[str, ...]
    """Ids of the supervisors that gave up."""
    jobs: JobsHit
    hits: tuple[ChaosHit, ...]
    """The oldest first."""


def recovery_of(hits: Iterable[ChaosHit]) -> Recovery | None:
    """Return how long recoveries took; None: there were none."""
    found = [each.recovered_in for each in hits if each.recovered_in is not None]
    return Recovery(statistics.median(found), max(found)) if found else None


def budgets_of(hits: Iterable[ChaosHit]) -> tuple[BudgetUsed, ...]:
    """Return how many restarts each supervisor had used at worst, those with fewest left first."""
    worst: dict[str, BudgetUsed] = {}
    for hit in hits:
        for supervisor, budget in _budgets(hit):
            known = worst.get(supervisor)
            if known is None or budget.used > known.used:
                worst[supervisor] = BudgetUsed(supervisor, budget.used, budget.max)
    return tuple(sorted(worst.values(), key=lambda it: (it.max - it.used, it.supervisor)))


def _budgets(hit: ChaosHit) -> Iterator[tuple[str, Budget]]:
    """Yield the budget after a crash; of one that gave up, it was all used."""
    if hit.actual.gives_up and hit.prediction.budget is not None:
        yield hit.supervisor, hit.prediction.budget
    elif hit.actual.budget is not None:
        yield hit.supervisor, hit.actual.budget


def jobs_of(hits: Iterable[ChaosHit]) -> JobsHit:
    """Return all jobs that were hit, by what became of them."""
    found = [each.actual.jobs for each in hits]

    def together(ids: Iterable[Sequence[int]]) -> tuple[int, ...]:
        return tuple(sorted({id_ for each in ids for id_ in each}))

    return JobsHit(
        retried=together(each.retried for each in found),
        interrupted=together(each.interrupted for each in found),
        lost=together(each.lost for each in found),
    )


def gave_up(hits: Iterable[ChaosHit]) -> tuple[str, ...]:
    """Return the supervisors that gave up, each once, in order."""
    return tuple(dict.fromkeys(each.supervisor for each in hits if each.actual.gives_up))
