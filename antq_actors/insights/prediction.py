"""What follows from an actor's end, with the jobs that it would cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from antq_actors.checks import short_repr
from antq_actors.insights.trees import TreeView
from antq_actors.otp.inspect import predict as rules
from antq_actors.otp.inspect.predict import CRASH, EXIT, KILL, STAYS

if TYPE_CHECKING:
    from antq_actors.otp.inspect.snapshot import Budget


@dataclass(frozen=True, slots=True)
class JobsHit:
    """The ids of jobs that run where something is stopped, by what becomes of them."""

    retried: tuple[int, ...] = ()
    """Their attempts fail, and count."""
    interrupted: tuple[int, ...] = ()
    """They are given back and run again; their attempts do not count."""
    lost: tuple[int, ...] = ()
    """They are gone with a store in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What follows if an actor ends."""

    restarted: tuple[str, ...]
    """Ids of the actors that are started again; what is below one of them, too."""
    stopped: tuple[str, ...]
    """Ids of those that end and stay so."""
    budget: Budget | None
    """Of the supervisor, afterwards; None: the actor has none."""
    gives_up: bool
    """Whether its supervisor ends, as that is one restart too many."""
    parent: str
    """What becomes of its supervisor: it "stays", is "restarted" or "ends"."""
    jobs: JobsHit


def predict(tree: TreeView, actor: str, verb: str) -> Prediction:
    """Return what follows if *verb* is done to an actor of *tree*, which ``Insights.tree`` gave.

    *verb* is crash, exit, kill, hang or slow. It is what the supervisors' own rules say, tried on
    the snapshot. Raises ValueError for another verb, LookupError for an actor that is not there.
    """
    if not isinstance(tree, TreeView):
        raise TypeError(f"tree must be what Insights.tree() returns, got {short_repr(tree)}")
    found = rules.predict(tree.trees, actor, verb)
    return with_jobs(found, jobs_hit(tree, actor, verb, found))


def with_jobs(found: rules.Prediction, jobs: JobsHit) -> Prediction:
    """Return what the rules say of actors, with what becomes of *jobs*."""
    return Prediction(
        restarted=found.restarted,
        stopped=found.stopped,
        budget=found.budget,
        gives_up=found.gives_up,
        parent=found.parent,
        jobs=jobs,
    )


def jobs_hit(tree: TreeView, actor: str, verb: str, found: rules.Prediction) -> JobsHit:
    """Return what becomes of the jobs: the target's own fails, those around it are given back."""
    own = tree.jobs.get(actor)
    if own is not None:
        ends = verb in (CRASH, EXIT, KILL)
        return JobsHit(retried=(own,) if ends else ())
    ended = (*found.restarted, *found.stopped)
    around = [
        job
        for worker, job in tree.jobs.items()
        if any(worker == each or worker.startswith(each + "/") for each in ended)
    ]
    is_over = found.parent != STAYS and not found.restarted
    roots = {each.id for each in tree.trees}
    if tree.is_volatile and (is_over or not roots.isdisjoint(found.stopped)):
        return JobsHit(lost=tuple(sorted(around)))
    return JobsHit(interrupted=tuple(sorted(around)))
