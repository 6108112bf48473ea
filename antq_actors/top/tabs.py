"""The tabs, from values of insights to frames: overview, queues, supervision tree, nodes.

Pure: values and the time in, a frame out. Jobs have a file of their own.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from rich.text import Text

from antq_actors.top.frame import Frame, Row
from antq_actors.top.look import ALARM, QUIET, STRONG, WARN
from antq_actors.top.texts import ago, duration, rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from antq_actors.insights.nodes import NodeView
    from antq_actors.insights.overview import Overview
    from antq_actors.insights.queues import QueueSummary
    from antq_actors.insights.trees import TreeView
    from antq_actors.otp.inspect.recent import TreeEvent
    from antq_actors.otp.inspect.snapshot import ActorView
    from antq_actors.otp.inspect.waits import Cycle
    from antq_actors.top.look import Look

SHOWN_EVENTS = 3
"""The newest events above a tree."""


class Tab(StrEnum):
    """The tabs, in the order of their keys 1 to 5."""

    OVERVIEW = "Overview"
    JOBS = "Jobs"
    QUEUES = "Queues"
    TREE = "Tree"
    NODES = "Nodes"


def since(at: datetime | None, now: datetime) -> str:
    """Return how long ago something was, or when it will be; "" for what was never."""
    return "" if at is None else ago((now - at).total_seconds())


# ---- overview -------------------------------------------------------------------------------


def overview_frame(found: Overview, look: Look) -> Frame:
    """Return whether all is well: the numbers of all queues, and what needs attention."""
    oldest = since(found.oldest_due, found.at)
    waiting = look.text(f"{found.waiting:,} waiting", STRONG)
    head = (
        look.joined(
            waiting,
            look.text(f"the oldest was due {oldest}" if oldest else ""),
            look.text(f"{found.running:,} running in {found.slots:,} slots"),
        ),
        look.joined(
            look.text(f"{rate(found.done_per_minute) or '0'} ended a minute"),
            look.text(
                f"{rate(found.failed_per_minute) or '0'} failed",
                WARN if found.failed_per_minute else "",
            ),
            look.text(f"{found.retries_due:,} retries due"),
            look.text(f"store {found.store}, {found.store_fill:.0%} full"),
        ),
    )
    rows = [
        Row(
            f"{number} {row.rule}",
            (look.shape(row.level), look.text(row.text), look.text(row.fix, QUIET)),
            target=row.target,
        )
        for number, row in enumerate(found.attention)
    ]
    columns = ("", "What needs attention", "What to do")
    return Frame(head=head, columns=columns, rows=tuple(rows), empty=_well(found, look))


def _well(found: Overview, look: Look) -> Text:
    last = since(found.last_ended_at, found.at)
    ended = f"The last job ended {last}." if last else "No job has ended yet."
    return look.state("well", f"All is well. {ended}")


# ---- queues ---------------------------------------------------------------------------------


def queues_frame(found: Sequence[QueueSummary], now: datetime, look: Look) -> Frame:
    """Return the queues of a store."""
    running = sum(queue.running for queue in found)
    head = look.joined(
        look.text(f"{len(found):,} queues"),
        look.text(f"{running:,} running in {sum(queue.slots for queue in found):,} slots"),
    )
    return Frame(
        head=(head,),
        columns=(
            *("queue", "state", "waiting", "due", "oldest due", "slots", "in/min", "out/min"),
            *("failed/min", "forecast"),
        ),
        rows=tuple(_queue_row(queue, now, look) for queue in found),
        empty=look.text("There is no queue. Run `antq start MODULE:APP`, or enqueue a job."),
    )


def _queue_row(queue: QueueSummary, now: datetime, look: Look) -> Row:
    pace, slots = queue.per_minute, look.bar(queue.running, queue.slots)
    cells = (
        look.text(queue.name, STRONG),
        queue_state(queue, now, look),
        look.number(f"{queue.waiting:,}"),
        look.number(f"{queue.due:,}"),
        look.number(since(queue.oldest_due, now)),
        slots.append(f" {queue.running}/{queue.slots}"),
        look.number(rate(pace.in_)),
        look.number(rate(pace.out)),
        look.number(rate(pace.failed), WARN if pace.failed else ""),
        look.joined(look.text(forecast_of(queue)), look.text(_held(queue), WARN)),
    )
    return Row(queue.name, cells)


def queue_state(queue: QueueSummary, now: datetime, look: Look) -> Text:
    """Return what a queue does: paused by whom and why, run by nobody, running or idle."""
    if queue.paused is not None:
        who = f" by {queue.paused.by}" if queue.paused.by else ""
        why = f": {queue.paused.reason}" if queue.paused.reason else ""
        at = f" {since(queue.paused.at, now)}" if queue.paused.at else ""
        return look.state("paused", f"paused{who}{at}{why}")
    if not queue.nodes:
        return look.state("gone", "no process runs it")
    return look.state("running") if queue.running else look.state("stopped", "idle")


def forecast_of(queue: QueueSummary) -> str:
    """Return where a queue is heading; "" if that cannot be said."""
    if queue.forecast is None:
        return ""
    if queue.forecast.empty_in is not None:
        return f"empty in {duration(queue.forecast.empty_in)}"
    return f"growing by {rate(queue.forecast.grows or 0.0)}/min"


def _held(queue: QueueSummary) -> str:
    return f"held by {', '.join(queue.limits)}" if queue.limits else ""


# ---- nodes ----------------------------------------------------------------------------------


def nodes_frame(found: Sequence[NodeView], now: datetime, look: Look) -> Frame:
    """Return the processes that run queues of a store."""
    living = sum(node.alive for node in found)
    return Frame(
        head=(look.text(f"{living:,} of {len(found):,} nodes are up"),),
        columns=(
            *("node", "state", "pid", "host", "version", "started", "running", "queues"),
            *("executors", "differs"),
        ),
        rows=tuple(_node_row(node, now, look) for node in found),
        empty=look.text("No process runs queues of this store. Run `antq start MODULE:APP`."),
    )


def _node_row(node: NodeView, now: datetime, look: Look) -> Row:
    queues = ", ".join(f"{name} {each.concurrency}" for name, each in node.queues.items())
    cells = (
        look.number(node.node),
        look.state("up" if node.alive else "gone"),
        look.number(node.pid),
        look.text(node.host),
        look.text(node.version),
        look.text(since(node.started_at, now)),
        look.number(f"{node.running:,}"),
        look.text(queues),
        look.text(", ".join(node.executors)),
        look.text(" ".join(node.differences), WARN),
    )
    return Row(str(node.node), cells)


# ---- tree -----------------------------------------------------------------------------------


def tree_frame(found: TreeView, nodes: Sequence[int], now: datetime, look: Look) -> Frame:
    """Return the supervision trees of a node; *nodes*: the numbers of all that live."""
    names = {actor.id: actor.name for root in found.trees for actor in root.walk()}
    others = [str(number) for number in nodes if number != found.node]
    title = f"node {found.node}" if found.node else "this process, which runs no queues"
    head = [
        look.joined(
            look.text(title, STRONG),
            look.text(f"{len(names):,} actors" if names else ""),
            look.text(f"also there: {', '.join(others)}" if others else ""),
        )
    ]
    head += [_cycle_line(cycle, names, now, look) for cycle in found.cycles]
    if found.orphans:
        threads = ", ".join(orphan.name for orphan in found.orphans)
        head.append(look.text(f"Threads that run on without an actor: {threads}", WARN))
    head += [event_line(event, now, look) for event in found.events[-SHOWN_EVENTS:]]
    return Frame(
        head=tuple(head),
        columns=("actor", "state", "mailbox", "up", "restarts", "budget", "doing"),
        rows=tuple(row for root in found.trees for row in _actor_rows(root, found.jobs, look)),
        empty=look.text(found.missing or "There is no tree.", WARN),
        node=found.node,
        nodes=tuple(nodes),
    )


def _cycle_line(cycle: Cycle, names: Mapping[str, str], now: datetime, look: Look) -> Text:
    """Return actors that wait for each other, or would have if a call had not been refused."""
    ring = cycle.names or [names.get(each, each) for each in cycle.actors]
    text = " waits for ".join([*ring, *ring[:1]])
    if cycle.at is None:
        return look.text(f"Deadlock: {text}", ALARM)
    return look.text(
        f"A call was refused {since(cycle.at, now)}, as it would be a deadlock: {text}", WARN
    )


def event_line(event: TreeEvent, now: datetime, look: Look) -> Text:
    """Return what a supervisor did, on one line."""
    when = since(event.at, now)
    outcome = f", {event.outcome}" if event.outcome else ""
    also = f", with {len(event.siblings)} siblings" if event.siblings else ""
    style = ALARM if event.kind in ("gave up", "boot failed") else QUIET
    return look.text(f"{when}: {event.actor} {event.kind}: {event.reason}{outcome}{also}", style)


def _actor_rows(
    actor: ActorView, jobs: Mapping[str, int], look: Look, guide: str = "", branch: str = ""
) -> Iterator[Row]:
    yield _actor_row(actor, jobs, look, guide + branch)
    if branch:
        guide += "   " if branch == _last_branch(look) else _rail(look)
    last = len(actor.children) - 1
    for number, child in enumerate(actor.children):
        is_last = number == last and actor.folded is None
        mark = _last_branch(look) if is_last else _branch(look)
        yield from _actor_rows(child, jobs, look, guide, mark)
    if actor.folded is not None:
        hidden = actor.folded.count - len(actor.children)
        text = look.text(f"{guide}{_last_branch(look)}and {hidden:,} more", QUIET)
        yield Row(f"{actor.id} folded", (text, *[Text()] * 6))


def _branch(look: Look) -> str:
    return "|- " if look.ascii_only else "├─ "


def _last_branch(look: Look) -> str:
    return "`- " if look.ascii_only else "└─ "


def _rail(look: Look) -> str:
    return "|  " if look.ascii_only else "│  "


def _actor_row(actor: ActorView, jobs: Mapping[str, int], look: Look, guide: str) -> Row:
    name = Text(guide, QUIET).append_text(look.text(actor.name, STRONG if actor.strategy else ""))
    if actor.strategy:
        name.append(f" {actor.strategy}", QUIET)
    cells = (
        name,
        look.state(actor.state),
        look.number(actor.mailbox, WARN if actor.mailbox else QUIET),
        look.number(duration(actor.uptime)),
        look.number(actor.restarts, WARN if actor.restarts else QUIET),
        look.budget(actor.budget),
        doing(actor, jobs.get(actor.id), look),
    )
    return Row(actor.id, cells)


def doing(actor: ActorView, job: int | None, look: Look) -> Text:
    """Return what an actor is at: a job, a message, a wait; else how it ended the last time."""
    handling = actor.handling
    busy = ""
    if handling is not None:
        message = "" if handling.message == "NoneType" else f" {handling.message}"
        busy = f"{handling.callback}{message} for {duration(handling.seconds)}"
    parts = (
        look.text(f"job {job}" if job is not None else "", STRONG),
        look.text(busy),
        look.text(f"waits for {actor.waits_for}" if actor.waits_for else "", WARN),
    )
    if any(part.plain for part in parts) or actor.last_exit is None:
        return look.joined(*parts)
    return look.text(f"last exit: {actor.last_exit}", QUIET)
