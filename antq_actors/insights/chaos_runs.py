"""Chaos runs: a thread that ends a random leaf every few seconds, for a limited time.

A node has one run at a time, whoever began it. It is kept in the process that began it, goes on
when nobody looks, and ends with that process or with its application. ``chaos_plan.py`` decides
which actor is next; each crash is ordinary harm of ``chaos.py``, with its audit.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from antq_actors.app.node_report import ChaosRefused, check_chaos_allowed
from antq_actors.errors import AntqError
from antq_actors.insights import chaos_plan as plans
from antq_actors.insights.access import Access
from antq_actors.insights.chaos import do_chaos
from antq_actors.insights.chaos_plan import ChaosHit, ChaosPlan, ChaosReport
from antq_actors.insights.trees import node_of, read_tree
from antq_actors.otp.inspect.predict import KILL
from antq_actors.otp.kernel.errors import OtpError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.app.antq import AntQ
    from antq_actors.insights.access import Visitor
    from antq_actors.insights.chaos import Aim, ChaosDone
    from antq_actors.insights.source import Source
    from antq_actors.insights.trees import TreeView
    from antq_actors.otp.messaging.names import Destination

log: Final = logging.getLogger("antq_actors.insights")

POLL_SECONDS: Final = 0.2
"""Between two looks whether a crash is due, or the application has stopped."""
MISSED_SECONDS: Final = 1.0
"""Until another leaf is looked for, where none could be ended."""
STOP_SECONDS: Final = 2.0
"""How long a visitor that stops a run waits for its end: the crash under way is finished first."""

_runs: WeakKeyDictionary[AntQ, dict[int, ChaosRun]] = WeakKeyDictionary()
"""The last run of each node, by application."""
_beginning: Final = threading.Lock()


class ChaosRun:
    """A run of a node: what has come of it so far, and the end that it is told.

    It does not refer to its application, which may be collected while this is kept.
    """

    def __init__(self, node: int, plan: ChaosPlan, by: str | None) -> None:
        self._lock = threading.Lock()
        self._report = ChaosReport(
            node=node,
            every=plan.every,
            duration=plan.duration,
            by=by,
            began=datetime.now(UTC),
            ended=None,
            state=plans.RUNS,
            why=None,
            crashes=0,
            agreed=0,
            recovery=None,
            budgets=(),
            gave_up=(),
            jobs=plans.jobs_of(()),
            hits=(),
        )
        self._stopped_by: str | None = None
        self.stop_requested = threading.Event()
        self.over = threading.Event()

    def report(self) -> ChaosReport:
        """Return what has come of it so far."""
        with self._lock:
            return self._report

    def add(self, hit: ChaosHit) -> None:
        """Note a crash."""
        with self._lock:
            hits = (*self._report.hits, hit)
            self._report = replace(
                self._report,
                crashes=len(hits),
                agreed=sum(each.agrees for each in hits),
                recovery=plans.recovery_of(hits),
                budgets=plans.budgets_of(hits),
                gave_up=plans.gave_up(hits),
                jobs=plans.jobs_of(hits),
                hits=hits,
            )

    def request_stop(self, by: str | None) -> None:
        """Have it end after the crash that is under way."""
        self._stopped_by = by
        self.stop_requested.set()

    def stopped(self) -> tuple[str, str]:
        """Return how it ends by a visitor's request."""
        return plans.STOPPED, f"{self._stopped_by or 'somebody'} stopped it"

    def end(self, state: str, why: str | None) -> None:
        """Note that it has ended."""
        with self._lock:
            self._report = replace(self._report, state=state, why=why, ended=datetime.now(UTC))


def begin_run(
    source: Source,
    visitor: Visitor,
    plan: ChaosPlan,
    *,
    node: int | None = None,
    reason: str | None = None,
    further: Sequence[Destination] = (),
    clock: Callable[[], float] = time.monotonic,
    chance: random.Random | None = None,
) -> ChaosRun:
    """Begin a chaos run of a node, with the first crash at once.

    Begin and end are noted in the audit, and each crash. *chance* picks the leaves. Raises
    Forbidden for a visitor below CHAOS, LookupError for a node that is not there, and ChaosRefused
    if one is under way there, or its environment has ANTQ_NO_CHAOS.
    """
    visitor.check(Access.CHAOS)
    number = node_of(source, node, further)
    if number == (source.runtime.node.opened_number or 0):  # another says so at the first crash
        check_chaos_allowed()
    run = ChaosRun(number, plan, visitor.name)
    with _beginning:
        runs = _runs.setdefault(source.app, {})
        known = runs.get(number)
        if known is not None and not known.over.is_set():
            raise ChaosRefused(
                f"a chaos run of node {number} is under way: stop it, or wait for its end"
            )
        with source.app.antq_acting(visitor.name, "chaos", f"node {number}", reason) as acting:
            acting.note()
        runs[number] = run
    carrying = _Carrying(
        run=run,
        plan=plan,
        source=source,
        visitor=visitor,
        further=further,
        clock=clock,
        chance=chance or random.Random(),  # noqa: S311 - which actor is next is no secret
    )
    threading.Thread(
        target=carrying.carry_out, name=f"antq chaos run {number}", daemon=True
    ).start()
    return run


def stop_run(
    source: Source,
    visitor: Visitor,
    node: int | None = None,
    reason: str | None = None,
    further: Sequence[Destination] = (),
) -> ChaosReport:
    """Stop the run of a node, and return its report; the crash under way is finished first.

    Raises Forbidden for a visitor below CHAOS, ChaosRefused if none is under way.
    """
    visitor.check(Access.CHAOS)
    number = node_of(source, node, further)
    run = _runs.get(source.app, {}).get(number)
    if run is None or run.over.is_set():
        raise ChaosRefused(f"no chaos run of node {number} is under way")
    with source.app.antq_acting(visitor.name, "stop", f"chaos of node {number}", reason) as acting:
        acting.note()
    run.request_stop(visitor.name)
    run.over.wait(STOP_SECONDS)
    return run.report()


def read_run(
    source: Source, node: int | None = None, further: Sequence[Destination] = ()
) -> ChaosReport | None:
    """Return the report of a node's last run; None: this process has begun none.

    Raises TypeError and LookupError as `node_of` does.
    """
    run = _runs.get(source.app, {}).get(node_of(source, node, further))
    return None if run is None else run.report()


def come_to(source: Source) -> tuple[tuple[datetime, int, str], ...]:
    """Return what the runs of this process have come to: begin, crashes and state of each node's.

    A crash is in a run's report a moment after all else that it changes.
    """
    reports = [run.report() for run in list(_runs.get(source.app, {}).values())]
    return tuple((each.began, each.crashes, each.state) for each in reports)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Carrying:
    """Carries a run out, in a thread of its own."""

    run: ChaosRun
    plan: ChaosPlan
    source: Source
    visitor: Visitor
    further: Sequence[Destination]
    clock: Callable[[], float]
    chance: random.Random

    def carry_out(self) -> None:
        """Do harm until the time is up or something ends it, and note the end."""
        state, why = plans.FAILED, "it failed, see the log"
        try:
            state, why = self._until_the_end()
        except (AntqError, OtpError, LookupError) as error:
            why = str(error)
        except Exception:
            log.exception("a chaos run failed")
        finally:
            self.run.end(state, why or None)
            self._note_end(state, why)
            self.run.over.set()

    def _until_the_end(self) -> tuple[str, str]:
        """Return how the run ended, and why before its time."""
        due = self.clock()
        last = due + self.plan.duration
        while True:
            while (now := self.clock()) < min(due, last):
                self.run.stop_requested.wait(POLL_SECONDS)
                if (end := self._ended_early()) is not None:
                    return end
            if now >= last:
                return plans.OVER, ""
            crashes = self.run.report().crashes
            if (end := self._ended_early() or self._crash_one()) is not None:
                return end
            if self.run.report().crashes > crashes:
                due = plans.next_due(due, self.plan.every, self.clock())
            else:  # no leaf may be ended now, or that one was gone
                due = self.clock() + min(self.plan.every, MISSED_SECONDS)

    def _ended_early(self) -> tuple[str, str] | None:
        if self.run.stop_requested.is_set():
            return self.run.stopped()
        if not self.source.app.antq_is_running:
            return plans.FAILED, "the application has stopped"
        return None

    def _crash_one(self) -> tuple[str, str] | None:
        """Do harm to one leaf; return how the run ends with it, None: it goes on."""
        node = self.run.report().node
        tree = read_tree(self.source, node, self.further)
        if tree.missing is not None:
            return plans.FAILED, tree.missing
        aim = plans.pick(tree, self.chance, node)
        if aim is None:
            return None
        at = datetime.now(UTC)
        try:
            aim, done = self._harm(aim)
        except LookupError:  # it has ended in the meantime, as actors of jobs do
            return None
        self.run.add(_hit(at, tree, aim, done))
        if not done.actual.gives_up:
            return None
        return plans.GAVE_UP, f"the supervisor {aim.actor.rpartition('/')[0]} gave up"

    def _harm(self, aim: Aim) -> tuple[Aim, ChaosDone]:
        """Do harm; kill an actor that has become busy, as it takes no message."""
        try:
            return aim, self._do(aim)
        except ChaosRefused:
            if aim.verb == KILL:  # the node refuses all harm
                raise
        aim = replace(aim, verb=KILL)
        return aim, self._do(aim)

    def _do(self, aim: Aim) -> ChaosDone:
        return do_chaos(self.source, self.visitor, aim, "chaos run", self.further)

    def _note_end(self, state: str, why: str) -> None:
        report = self.run.report()
        reason = f"{why or 'its time is up'}: {report.crashes} crashes"
        target = f"chaos of node {report.node}"
        with (
            suppress(AntqError),  # its application has stopped, or its store is away
            self.source.app.antq_acting(self.visitor.name, "end", target, reason) as acting,
        ):
            acting.note()
        log.info("chaos run of node %d %s, %s", report.node, state, reason)


def _hit(at: datetime, tree: TreeView, aim: Aim, done: ChaosDone) -> ChaosHit:
    names = {each.id: each.name for root in tree.trees for each in root.walk()}
    return ChaosHit(
        at=at,
        actor=aim.actor,
        name=names.get(aim.actor, aim.actor),
        verb=aim.verb,
        prediction=done.prediction,
        actual=done.actual,
        agrees=done.agrees,
        recovered_in=done.recovered_in,
    )
