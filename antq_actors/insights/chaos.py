"""Harm to an actor, for a visitor who may do it: what was predicted, and what came of it.

The node that runs the actor does it (``otp/inspect/harm.py``), and compares its tree before and
after. Here are the check, the audit, and what became of the jobs that ran: what each has had is
compared with what it had before.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from antq_actors.app.node_report import DEFAULT_SECONDS
from antq_actors.app.node_socket import HARM, NodeUnreachable
from antq_actors.checks import is_number, short_repr
from antq_actors.errors import AntqError, JobNotFound
from antq_actors.insights.access import Access
from antq_actors.insights.prediction import JobsHit, Prediction, jobs_hit, predict, with_jobs
from antq_actors.insights.trees import read_tree
from antq_actors.jobs import state
from antq_actors.jobs.state import Status
from antq_actors.otp.inspect.harm import Harm
from antq_actors.otp.inspect.predict import HANG, SLOW

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from antq_actors.insights.access import Visitor
    from antq_actors.insights.source import Source
    from antq_actors.jobs.job import Job
    from antq_actors.otp.messaging.names import Destination

SETTLE_SECONDS: Final = 5.0
"""Longest wait for what becomes of the jobs."""
POLL_SECONDS: Final = 0.05

RETRIED: Final = "retried"
INTERRUPTED: Final = "interrupted"
LOST: Final = "lost"
ENDED: Final = "ended"
RUNS: Final = "runs"


@dataclass(frozen=True, slots=True)
class ChaosDone:
    """What was predicted of a verb, and what came of it."""

    prediction: Prediction
    actual: Prediction
    agrees: bool
    recovered_in: float | None = None
    """Seconds from the actor's end until all was started again; None: nothing was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """To which actor harm is done, and how."""

    verb: str
    """crash, exit, kill, hang or slow."""
    actor: str
    """Its id."""
    node: int | None = None
    seconds: float | None = None
    """For which it hangs or is slow."""

    def options(self) -> dict[str, Any]:
        """Return what a node is told."""
        seconds = DEFAULT_SECONDS if self.seconds is None else self.seconds
        return {"actor": self.actor, "verb": self.verb, "seconds": seconds}


def do_chaos(
    source: Source,
    visitor: Visitor,
    aim: Aim,
    reason: str | None = None,
    further: Sequence[Destination] = (),
) -> ChaosDone:
    """Do harm to an actor for *visitor*, and return what was predicted beside what came of it.

    It is noted in the audit. *further*: roots of other trees of this process. Raises Forbidden for
    a visitor below CHAOS, ValueError for a verb or seconds that are none, LookupError for an actor
    or a node that is not there, NodeUnreachable, and ChaosRefused where it cannot be done now.
    """
    visitor.check(Access.CHAOS)
    if aim.seconds is not None and not is_number(aim.seconds):
        raise ValueError(f"seconds must be a number, got {short_repr(aim.seconds)}")
    tree = read_tree(source, aim.node, further, aim.actor)
    if tree.missing is not None:
        raise NodeUnreachable(tree.missing)
    expected = predict(tree, aim.actor, aim.verb).jobs
    before = _jobs(source, tree.jobs.values())
    with source.app.antq_acting(visitor.name, aim.verb, f"actor {aim.actor}", reason) as acting:
        # A store that hangs, or ends with its application, cannot be written to afterwards.
        is_first = aim.verb in (HANG, SLOW) or aim.actor in {each.id for each in tree.trees}
        if is_first:
            acting.note()
        harm = source.ask_node(tree.node, HARM, aim.options(), Harm, further=further)
        if not is_first:
            acting.note()
    jobs = jobs_hit(tree, aim.actor, aim.verb, harm.prediction)
    fates = _fates(source, before, expected)
    actual = _hit(fates)
    return ChaosDone(
        prediction=with_jobs(harm.prediction, jobs),
        actual=with_jobs(harm.actual, actual),
        agrees=harm.agrees and _jobs_agree(jobs, fates),
        recovered_in=harm.recovered_in,
    )


# ---- what becomes of jobs ---------------------------------------------------------------------


def _jobs(source: Source, ids: Iterable[int]) -> dict[int, Job | None]:
    """Return jobs as they are stored; None: it is not there, or the store is not."""
    found: dict[int, Job | None] = {}
    for id_ in ids:
        try:
            found[id_] = source.app.get_job(id_)
        except (AntqError, JobNotFound):
            found[id_] = None
    return found


def _fates(source: Source, before: Mapping[int, Job | None], expected: JobsHit) -> dict[int, str]:
    """Return what became of jobs; wait for those of which something is expected."""
    awaited = {*expected.retried, *expected.interrupted, *expected.lost}
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        now = _jobs(source, before)
        gone = LOST if source.app.is_volatile else INTERRUPTED
        fates = {id_: _fate(job, now[id_], gone) for id_, job in before.items()}
        is_over = time.monotonic() >= deadline
        if is_over or not any(fates[id_] == RUNS for id_ in awaited if id_ in fates):
            return fates
        time.sleep(POLL_SECONDS)


def _fate(before: Job | None, now: Job | None, gone: str) -> str:
    """Return what became of a job that ran."""
    if before is None or before.status is not Status.RUNNING:
        return ENDED  # by the time that it was read
    if now is None:
        return gone
    # An interruption is one of the errors.
    if now.error_count - now.interruptions > before.error_count - before.interruptions:
        return RETRIED
    if now.interruptions > before.interruptions:
        return INTERRUPTED
    if now.status in state.ENDED:
        return ENDED
    same = (now.status, now.started_at) == (before.status, before.started_at)
    return RUNS if same else INTERRUPTED


def _hit(fates: Mapping[int, str]) -> JobsHit:
    def those(fate: str) -> tuple[int, ...]:
        return tuple(sorted(id_ for id_, each in fates.items() if each == fate))

    return JobsHit(retried=those(RETRIED), interrupted=those(INTERRUPTED), lost=those(LOST))


def _jobs_agree(expected: JobsHit, fates: Mapping[int, str]) -> bool:
    """Return whether jobs fared as expected; one that ended by itself in between did, too."""
    found = {id_: fate for id_, fate in fates.items() if fate not in (RUNS, ENDED)}
    wanted = {
        **dict.fromkeys(expected.retried, RETRIED),
        **dict.fromkeys(expected.interrupted, INTERRUPTED),
        **dict.fromkeys(expected.lost, LOST),
    }
    missed = [id_ for id_, fate in wanted.items() if fates.get(id_, ENDED) not in (fate, ENDED)]
    # One may fail by itself at the same time.
    more = [id_ for id_, fate in found.items() if id_ not in wanted and fate != RETRIED]
    return not missed and not more
