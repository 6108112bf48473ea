"""Whether a job may start here and now, and if not, why: facts in, reasons out.

This file decides and reads nothing: no store, no clock. A claim asks `claim_hold` whether its node
gets jobs of a queue at all, and `due_end` which of them are due; explanations ask the same two, so
the two cannot differ. What a node knows by itself, such as that it is stopping, its queue decides
(:class:`~antq_actors.storage.format.records.QueueReport`): that decision is a fact here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from antq_actors.explain import reasons
from antq_actors.explain.reasons import MANY_JOBS, MOST_COUNTED, REASONS
from antq_actors.flow.gates import closed_by
from antq_actors.jobs import instant
from antq_actors.jobs.instant import datetime_for_display
from antq_actors.jobs.state import ENDED, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from antq_actors.explain.reasons import ManyJobs, NodeQueues, Reason
    from antq_actors.flow.gates import Gate, Limit
    from antq_actors.jobs.control import Progress
    from antq_actors.jobs.instant import Instant

ISOLATION_MICROSECONDS: Final = 2 * instant.SECOND
"""How long an isolated run has its node for itself. What kills its process mostly does so at once;
a long job that is innocent must not keep all others waiting to its end."""


class IsolatedRun(NamedTuple):
    """A job that has a node for itself, and until when."""

    job: int
    until: Instant


class NodeFacts(NamedTuple):
    """How a living node does that runs the queue."""

    number: int
    running: int
    """Jobs of the queue that run there."""
    concurrency: int | None
    """Its slots for them; None: that is unknown."""
    is_stopping: bool = False
    has_too_many_abandoned: bool = False
    refused_since: Instant | None = None
    isolated: IsolatedRun | None = None


class GateFacts(NamedTuple):
    """A gate that a job passes, as the store has it."""

    name: str
    """Of its limit."""
    key: Any
    """As a limit's handle takes it; None for a limit without keys."""
    limit: Limit | None
    gate: Gate
    weight: int
    before: int
    """Jobs of the queue that wait for it before this one; counted as `JobFacts.ahead` is."""
    held_by: int = 0
    """The job that is before this one in a strict order, and has to end first; 0: none."""


class QueueFacts(NamedTuple):
    """What holds for all jobs of a queue."""

    name: str
    is_paused: bool
    nodes: tuple[NodeFacts, ...]
    """The living ones that run it."""
    others: tuple[NodeQueues, ...] = ()
    """The living ones that do not."""
    running: int = 0
    """On all nodes."""
    concurrency: int | None = None
    """How many may run on all nodes; None: any number."""
    rate: GateFacts | None = None
    """What all its jobs start at the rate of."""


class WaitFacts(NamedTuple):
    """Which jobs that have not ended a suspended job waits for."""

    jobs: tuple[int, ...]
    """Some of them."""
    left: int
    """How many there are."""
    batch: int | None = None
    """The batch of which they are the members; None: they are of none, or of several groups."""
    open_groups: tuple[int, ...] = ()
    """Those groups among what it waits for that get more members."""


class JobFacts(NamedTuple):
    """What a store has of a job, as far as it tells whether that runs."""

    id: int
    status: Status
    queue_name: str
    worker: str
    scheduled_at: Instant | None
    attempts: int
    error: str | None
    """Its newest one."""
    node: int
    started_at: Instant | None
    is_cancelling: bool
    ahead: int
    """Due jobs of the queue before it; counted until there are more than `MOST_COUNTED`."""
    gates: tuple[GateFacts, ...] = ()
    """Those that it has to pass, in their order."""
    gates_before: tuple[GateFacts, ...] = ()
    """Those of the jobs that are in front of a gate before it, and wait for another one."""
    waits: tuple[WaitFacts, ...] = ()
    """What it waits for, if it is suspended."""
    is_stepped: bool = False
    """Whether a step lets it start, though its queue is paused."""


# ---- what claims ask as well ----------------------------------------------------------------


def due_end(now: Instant) -> Instant:
    """Return the first instant for which a scheduled or retrying job is not due yet."""
    return now + 1


def isolated_until(since: Instant, now: Instant) -> Instant | None:
    """Return until when a run that began in isolation has its node for itself; None: no more.

    Nor has it if it began later than now: the clock was set back in the meantime.
    """
    until = since + ISOLATION_MICROSECONDS
    return until if since <= now < until else None


def claim_hold(
    queue_name: str, *, is_paused: bool, isolated: IsolatedRun | None
) -> reasons.Paused | reasons.KeptAlone | None:
    """Return why a node gets no job of a queue, whatever slots it has; None: it gets what is due.

    *isolated*: the run that has this node for itself.
    """
    if is_paused:
        return reasons.Paused(queue_name)
    if isolated is not None:
        return reasons.KeptAlone(isolated.job, datetime_for_display(isolated.until))
    return None


def places_left(concurrency: int, running: int) -> int:
    """Return how many more jobs of a queue may run, of those that may on all nodes."""
    return max(0, concurrency - running)


# ---- a whole explanation --------------------------------------------------------------------


def judge_job(
    job: JobFacts,
    queue: QueueFacts,
    *,
    now: Instant,
    progress: Progress | None = None,
    is_worker_known: bool = True,
) -> tuple[Reason, ...]:
    """Return all that is in the way of a job, and what must change first comes first."""
    if job.status in ENDED:
        return (reasons.Ended(job.status, job.error),)
    if job.status is Status.RUNNING:
        return tuple(_of_running(job, progress))
    if job.is_stepped:
        queue = queue._replace(is_paused=False)
    found: list[Reason] = [
        *_of_others(job),
        *_of_time(job, now),
        *judge_queue(queue, now),
    ]
    closed = [closing.reason for gate in job.gates for closing in closings(gate, now)]
    found += closed
    found += [closing.reason for gate in job.gates_before for closing in closings(gate, now)]
    # A full key says itself how many are before the job.
    if job.ahead and not any(isinstance(reason, reasons.KeyFull) for reason in closed):
        found.append(reasons.Behind(number_of_jobs(job.ahead)))
    if not is_worker_known:
        found.append(reasons.WorkerUnknown(job.worker))
    return in_order(found)


def judge_queue(queue: QueueFacts, now: Instant) -> tuple[Reason, ...]:
    """Return what is in the way of all jobs of a queue, and what must change first comes first.

    What is in the way on single nodes counts only where no node could take a job.
    """
    found: list[Reason] = []
    hold = claim_hold(queue.name, is_paused=queue.is_paused, isolated=None)
    if hold is not None:
        found.append(hold)
    most = queue.concurrency
    if most is not None and not places_left(most, queue.running):
        found.append(reasons.GlobalFull(queue.running, most))
    if queue.rate is not None:
        found += [closing.reason for closing in closings(queue.rate, now)]
    if not queue.nodes:
        found.append(reasons.NoNode(queue.name, queue.others))
    on_nodes = [_of_node(queue.name, node) for node in queue.nodes]
    if all(on_nodes):
        found += [reason for of_one in on_nodes for reason in of_one]
    return in_order(found)


class Closing(NamedTuple):
    """One of the reasons why a gate is closed."""

    reason: Reason
    opens_at: Instant | None = None
    """When this ends if nothing else changes; None: never by itself."""


def closings(facts: GateFacts, now: Instant) -> list[Closing]:
    """Return all reasons why a gate is closed for a job; none: it is open.

    The claim asks `closed_by` for the first; the others are what it says once that is over.
    """
    found: list[Closing] = []
    limit, gate = facts.limit, facts.gate
    while (closed := closed_by(limit, gate, now, facts.weight)) is not None:
        if closed.why == "full":
            holders = tuple(gate.holders[: reasons.MOST_HOLDERS])
            before = number_of_jobs(facts.before)
            found.append(Closing(reasons.KeyFull(facts.name, facts.key, holders, before)))
            gate = replace(gate, running=0)
        elif closed.why == "rate":
            at = _rate_opens_at(facts, now)
            opens_at = datetime_for_display(at)
            found.append(Closing(reasons.RateFull(facts.name, facts.key, opens_at), at))
            now = at
        else:
            is_whole = limit is not None and (limit.is_paused or limit.closed_until > now)
            key = None if is_whole else facts.key
            found.append(Closing(reasons.LimitPaused(facts.name, key), closed.opens_at))
            if is_whole and limit is not None:
                limit = replace(limit, is_paused=False, closed_until=0)
            else:
                gate = replace(gate, is_paused=False, closed_until=0)
    if facts.held_by:
        found.append(Closing(reasons.HeldByOrder(facts.held_by)))
    return found


def _rate_opens_at(facts: GateFacts, now: Instant) -> Instant:
    """Return from when on neither a rate nor a refusal keeps a gate closed, whatever is paused."""
    gate = replace(facts.gate, running=0, is_paused=False, closed_until=0)
    limit = facts.limit
    if limit is not None:
        limit = replace(limit, is_paused=False, closed_until=0)
    closed = closed_by(limit, gate, now, facts.weight)
    return now + 1 if closed is None or closed.opens_at is None else closed.opens_at


def in_order(found: Iterable[Reason]) -> tuple[Reason, ...]:
    """Return reasons in the order in which they are given, each once."""
    once: list[Reason] = []
    for reason in found:
        if reason not in once:  # a set would need keys that have a hash
            once.append(reason)
    return tuple(sorted(once, key=lambda reason: _RANKS[type(reason)]))


def number_of_jobs(counted: int) -> int | ManyJobs:
    """Return a number of jobs as it is said: it was counted to `MOST_COUNTED` and one more."""
    return counted if counted <= MOST_COUNTED else MANY_JOBS


def split_running(total: int, counted: Sequence[tuple[int, int | None]]) -> list[int]:
    """Return how many jobs of a queue run on each node, none of them counted to the end.

    *total*: on all of them. *counted*: of each node, how many were counted, which is one more than
    `MOST_COUNTED` if it has more, and its slots. What is left of the total fills the slots of those
    that were not counted to the end: so one of them has a free slot if, and only if, one really
    has, unless a node with so many slots runs more than it has.
    """
    left = total - sum(running for running, _ in counted if running <= MOST_COUNTED)
    found = []
    for running, concurrency in counted:
        if running > MOST_COUNTED:
            running = left if concurrency is None else min(left, concurrency)  # noqa: PLW2901
            left -= running
        found.append(running)
    return found


def _of_running(job: JobFacts, progress: Progress | None) -> list[Reason]:
    since = None if job.started_at is None else datetime_for_display(job.started_at)
    found: list[Reason] = [reasons.Running(job.node, since, progress)]
    if job.is_cancelling:
        found.append(reasons.Cancelling(job.node))
    return found


def _of_others(job: JobFacts) -> Iterator[Reason]:
    """Yield which other jobs a suspended one waits for."""
    for each in job.waits:
        if each.left:
            yield reasons.WaitsFor(each.jobs, each.batch, each.left)
        for group in each.open_groups:
            yield reasons.BatchOpen(group)


def _of_time(job: JobFacts, now: Instant) -> list[Reason]:
    """Return that a job is not due; nothing if it is."""
    due = job.scheduled_at
    if due is None or due < due_end(now):
        return []
    at = datetime_for_display(due)
    if job.status is Status.SCHEDULED:
        return [reasons.NotDue(at)]
    if job.status is Status.RETRYING:
        return [reasons.RetryDue(at, job.attempts, job.error or "")]
    return []


def _of_node(queue_name: str, node: NodeFacts) -> list[Reason]:
    """Return why a node takes no job of a queue; nothing if it could."""
    found: list[Reason] = []
    if node.is_stopping:
        found.append(reasons.NodeStopping(node.number))
    if node.concurrency is not None and node.running >= node.concurrency:
        found.append(reasons.SlotsFull(node.number, node.running, node.concurrency))
    hold = claim_hold(queue_name, is_paused=False, isolated=node.isolated)
    if hold is not None:
        found.append(hold)
    if node.has_too_many_abandoned:
        found.append(reasons.TooManyAbandoned(node.number))
    if node.refused_since is not None:
        found.append(reasons.StoreRefuses(datetime_for_display(node.refused_since)))
    return found


_RANKS: Final = {kind: rank for rank, kind in enumerate(REASONS)}
