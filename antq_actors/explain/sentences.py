"""An explanation as text: one sentence for each reason, with its ids, keys and instants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from antq_actors.explain import reasons
from antq_actors.explain.judge import closings
from antq_actors.jobs.instant import datetime_for_display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from antq_actors.explain.judge import JobFacts, QueueFacts
    from antq_actors.explain.reasons import ManyJobs, Reason
    from antq_actors.jobs.instant import Instant

_MOST_IDS: Final = 10
"""Ids that a sentence lists; the reason has more of them."""


def of_job(job: JobFacts, found: Sequence[Reason], now: Instant) -> str:
    """Return the explanation of a job as text."""
    head = f"Job {job.id} in queue {job.queue_name!r} is {job.status}."
    if not found:
        return f"{head} Nothing is in its way: its queue is about to run it."
    return " ".join([head, *map(sentence, found), *_openings(job, now)])


def _openings(job: JobFacts, now: Instant) -> Iterator[str]:
    """Yield when pauses of a job's limits end, which the reason does not have."""
    for gate in (*job.gates, *job.gates_before):
        for reason, opens_at in closings(gate, now):
            if isinstance(reason, reasons.LimitPaused) and opens_at is not None:
                at = datetime_for_display(opens_at).isoformat()
                yield f"The pause of limit {reason.limit!r} ends at {at}."


def of_queue(
    queue: QueueFacts, found: Sequence[Reason], due: int | ManyJobs, waits_for: Sequence[str] = ()
) -> str:
    """Return the explanation of a queue as text: what is in the way, else who runs it.

    *due*: how many of its jobs could begin now; *waits_for*: names of limits that some wait for.
    """
    waiting = f"{_jobs(due)} could begin now" if due else "no job is due"
    head = f"In queue {queue.name!r} {waiting}, and {queue.running or 'none'} run."
    if waits_for:
        limits = f"limit{'' if len(waits_for) == 1 else 's'} {', '.join(map(repr, waits_for))}"
        head = f"{head} There are jobs that wait for the {limits}."
    if found:
        return " ".join([head, *map(sentence, found)])
    nodes = ", ".join(
        f"node {node.number}"
        + ("" if node.concurrency is None else f" (runs {node.running} of {node.concurrency})")
        for node in queue.nodes
    )
    whose = "the others" if waits_for else "its jobs"
    return f"{head} Nothing is in the way of {whose}: they are run by {nodes}."


def sentence(reason: Reason) -> str:
    """Return a reason as one sentence."""
    return _SENTENCES[type(reason)](reason)


def _ended(reason: reasons.Ended) -> str:
    again = "so it runs again only if it is retried"
    if reason.cause is None:
        return f"It has ended, {again}."
    return f"It has ended, {again}: {_line(reason.cause)}."


def _running(reason: reasons.Running) -> str:
    text = f"It runs on node {reason.node}{_since(reason.since)}"
    if reason.progress is None:
        return f"{text}."
    note = "" if reason.progress.note is None else f" ({_line(reason.progress.note)})"
    return f"{text}, and has done {reason.progress.fraction:.0%}{note}."


def _cancelling(reason: reasons.Cancelling) -> str:
    return f"It was cancelled, and node {reason.node} has been told to end it."


def _waits_for(reason: reasons.WaitsFor) -> str:
    batch = "" if reason.batch is None else f" of batch {reason.batch}"
    what = "1 job" if reason.left == 1 else f"{reason.left} jobs"
    have = "has" if reason.left == 1 else "have"
    return f"It waits for {what}{batch} that {have} not ended{_ids(reason.jobs)}."


def _batch_open(reason: reasons.BatchOpen) -> str:
    return f"It waits for batch {reason.batch}, which is not closed: it may get more members."


def _not_due(reason: reasons.NotDue) -> str:
    return f"It is not due before {reason.at.isoformat()}."


def _retry_due(reason: reasons.RetryDue) -> str:
    at = reason.at.isoformat()
    return f"Attempt {reason.attempt} failed ({_line(reason.error)}), and the next is due at {at}."


def _no_node(reason: reasons.NoNode) -> str:
    text = f"No living node runs queue {reason.queue!r}"
    if not reason.nodes:
        return f"{text}: no node lives at all."
    others = (
        f"node {number} runs {', '.join(map(repr, queues)) or 'none'}"
        for number, queues in reason.nodes
    )
    return f"{text}: {', '.join(others)}."


def _node_stopping(reason: reasons.NodeStopping) -> str:
    return f"Node {reason.node} is stopping, so it claims nothing more."


def _paused(reason: reasons.Paused) -> str:
    return f"Queue {reason.queue!r} is paused, until it is resumed."


def _global_full(reason: reasons.GlobalFull) -> str:
    run = "runs" if reason.running == 1 else "run"
    may = f"and over all nodes {reason.limit} may"
    return f"{_jobs(reason.running)} of the queue {run}, {may}."


def _key_full(reason: reasons.KeyFull) -> str:
    before = _before(reason.before, "waits", "wait")
    return (
        f"Limit {reason.limit!r} is full{_for_key(reason.key)}{_ids(reason.holders, 'held by ')};"
        f" {before} for it before this one."
    )


def _held_by_order(reason: reasons.HeldByOrder) -> str:
    return (
        f"The jobs of its key run in strict order, and job {reason.job} is before it: it has not"
        " ended, or it failed and halts its key, until it is retried with success or deleted."
    )


def _rate_full(reason: reasons.RateFull) -> str:
    text = f"As many jobs have started under rate limit {reason.limit!r}{_for_key(reason.key)}"
    if reason.opens_at is None:
        return f"{text} as may."
    return f"{text} as may; the next may start at {reason.opens_at.isoformat()}."


def _limit_paused(reason: reasons.LimitPaused) -> str:
    return f"Limit {reason.limit!r} is paused{_for_key(reason.key)}."


def _slots_full(reason: reasons.SlotsFull) -> str:
    running, slots = reason.running, reason.concurrency
    return f"Node {reason.node} runs {_jobs(running)} of the queue, and has slots for {slots}."


def _kept_alone(reason: reasons.KeptAlone) -> str:
    return (
        f"Job {reason.job} has its node for itself until {reason.until.isoformat()}, as it may"
        " have killed its process before."
    )


def _too_many_abandoned(reason: reasons.TooManyAbandoned) -> str:
    return (
        f"Node {reason.node} claims nothing of the queue while so many threads of ended jobs still"
        " run there."
    )


def _store_refuses(reason: reasons.StoreRefuses) -> str:
    return f"The store refuses what is written to it, since {reason.since.isoformat()}."


def _behind(reason: reasons.Behind) -> str:
    return f"{_before(reason.n, 'is', 'are')} before it in its queue."


def _worker_unknown(reason: reasons.WorkerUnknown) -> str:
    return f"Its worker {reason.worker!r} cannot be found in this process: here it would fail."


_SENTENCES: Final[dict[type[Reason], Callable[[Any], str]]] = {
    reasons.Ended: _ended,
    reasons.Running: _running,
    reasons.Cancelling: _cancelling,
    reasons.WaitsFor: _waits_for,
    reasons.BatchOpen: _batch_open,
    reasons.NotDue: _not_due,
    reasons.RetryDue: _retry_due,
    reasons.NoNode: _no_node,
    reasons.NodeStopping: _node_stopping,
    reasons.Paused: _paused,
    reasons.GlobalFull: _global_full,
    reasons.KeyFull: _key_full,
    reasons.HeldByOrder: _held_by_order,
    reasons.RateFull: _rate_full,
    reasons.LimitPaused: _limit_paused,
    reasons.SlotsFull: _slots_full,
    reasons.KeptAlone: _kept_alone,
    reasons.TooManyAbandoned: _too_many_abandoned,
    reasons.StoreRefuses: _store_refuses,
    reasons.Behind: _behind,
    reasons.WorkerUnknown: _worker_unknown,
}


def _jobs(number: int | ManyJobs) -> str:
    if isinstance(number, str):
        return f"{number} jobs"
    return f"{number:,} {'job' if number == 1 else 'jobs'}"


def _before(number: int | ManyJobs, one: str, several: str) -> str:
    if isinstance(number, str):
        return f"{number} jobs {several}"
    if number == 0:
        return f"no job {one}"
    return f"{_jobs(number)} {one if number == 1 else several}"


def _ids(jobs: Sequence[int], how: str = "") -> str:
    """Return the ids of jobs for the middle of a sentence, in brackets; nothing without any."""
    if not jobs:
        return ""
    more = ", …" if len(jobs) > _MOST_IDS else ""
    word = "job" if len(jobs) == 1 else "jobs"
    return f" ({how}{word} {', '.join(map(str, jobs[:_MOST_IDS]))}{more})"


def _for_key(key: object) -> str:
    return "" if key is None else f" for key {key!r}"


def _since(moment: datetime | None) -> str:
    return "" if moment is None else f" since {moment.isoformat()}"


def _line(text: str) -> str:
    """Return a text of an error on one line, without the full stop that its sentence has."""
    return " ".join(text.split()).removesuffix(".")
