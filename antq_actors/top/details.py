"""One job, queue or actor, as lines: what there is to say beyond its row.

Pure: values and the time in, lines out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from antq_actors.insights.as_json import dump_json
from antq_actors.insights.why import NO, UNKNOWN, YES
from antq_actors.top.look import ALARM, QUIET, STRONG, WARN
from antq_actors.top.tabs import doing, event_line, forecast_of, queue_state, since
from antq_actors.top.texts import duration, rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from antq_actors.insights.queues import Cell, QueueDetail
    from antq_actors.insights.trees import TreeView
    from antq_actors.insights.values import JobRun, JobView
    from antq_actors.insights.why import Check, WhyView
    from antq_actors.jobs.history import Transition
    from antq_actors.top.look import Look

MOST_RUNS: Final = 20
"""Executions and changes of a job that are shown, the newest."""
_VERBS: Final = {"retry": "r", "cancel": "c"}
"""The verbs that have a key here."""
_STATES: Final = {
    "interrupted": "retrying",
    "snoozed": "scheduled",
    "given back": "enqueued",
}
"""What an execution that has not ended a job looks like."""
_MARKS: Final = {
    YES: ("✓", "+", "green"),
    NO: ("✗", "-", WARN),
    UNKNOWN: ("?", "?", QUIET),
}


def title(text: str, look: Look) -> Text:
    """Return the title of a section."""
    return look.text(text, STRONG)


# ---- a job ----------------------------------------------------------------------------------


def job_lines(
    job: JobView, why: WhyView, checks: Sequence[Check], now: datetime, look: Look
) -> Iterator[Text]:
    """Yield all of one job, what matters first."""
    yield look.joined(
        look.text(f"Job {job.id}", STRONG),
        look.state(job.status),
        look.text(job.worker),
        look.text(f"queue {job.queue_name}"),
        look.text(f"attempt {job.attempts} of {job.max_attempts}"),
        look.text(f"inserted {since(job.inserted_at, now)}"),
    )
    if job.progress is not None:
        note = f": {job.progress.note}" if job.progress.note else ""
        at = since(job.progress.at, now)
        yield look.text(f"{job.progress.fraction:.0%}{note} {f'({at})' if at else ''}")
    yield from _actions(job.actions, look)
    yield Text()
    yield from why_lines(why, checks, "Why is this job not running?", look)
    yield from _runs(job, now, look)
    yield from _history(job.history, now, look)
    yield from _facts(job, look)


def why_lines(why: WhyView, checks: Sequence[Check], question: str, look: Look) -> Iterator[Text]:
    """Yield what keeps a job or a queue from running, what must change first on top.

    *checks*: the conditions of a job that waits, of which those that hold are shown as well.
    """
    yield title(question, look)
    if not why.reasons:
        yield look.text("  Nothing is in its way.", "green")
    for reason in why.reasons:
        yield _mark(NO, look).append_text(look.text(reason["text"], longest=1_000))
    for check in checks:
        if check.ok != NO:
            yield _mark(check.ok, look).append_text(look.text(check.text, QUIET, longest=1_000))
    yield Text()


def _mark(ok: str, look: Look) -> Text:
    drawn, in_ascii, style = _MARKS[ok]
    return Text(f"  {in_ascii if look.ascii_only else drawn} ", style)


def _actions(actions: Mapping[str, bool | str], look: Look) -> Iterator[Text]:
    for verb, key in _VERBS.items():
        allowed = actions.get(verb, False)
        if allowed is True:
            yield look.text(f"{key}: {verb} it", QUIET)
        elif allowed:
            yield look.text(f"{verb}: {allowed}", QUIET, longest=500)


def _runs(job: JobView, now: datetime, look: Look) -> Iterator[Text]:
    yield title(f"Executions: {len(job.runs)}", look)
    for run in job.runs[-MOST_RUNS:]:
        yield _run_line(run, now, look)
    failed = [run for run in job.runs if run.stack_trace]
    if failed:
        yield from look.lines(failed[-1].stack_trace or "", QUIET, "    ")
    if job.stack:
        yield look.text("  Where its thread is now:")
        yield from look.lines(job.stack, QUIET, "    ")
    yield Text()


def _run_line(run: JobRun, now: datetime, look: Look) -> Text:
    ran = run.duration if run.duration is not None else (now - run.started_at).total_seconds()
    outcome = run.outcome or "running"
    error = ": ".join(each for each in (run.error_type, run.error) if each)
    return look.joined(
        look.text(f"  attempt {run.attempt}"),
        look.state(_STATES.get(outcome, outcome), outcome),
        look.text(f"node {run.node}" if run.node else ""),
        look.text(f"began {since(run.started_at, now)}"),
        look.text(f"waited {duration(run.waited)}"),
        look.text(f"ran {duration(ran)}"),
        look.text(error, WARN),
    )


def _history(history: tuple[Transition, ...], now: datetime, look: Look) -> Iterator[Text]:
    yield title("History", look)
    for change in history[-MOST_RUNS:]:
        yield look.joined(
            Text("  ").append_text(look.state(change.status)),
            look.text(since(change.at, now)),
            look.text(change.at.isoformat(" ", "milliseconds"), QUIET),
            look.text(f"node {change.node}" if change.node else ""),
            look.text(change.cause or "", WARN),
        )
    yield Text()


def _facts(job: JobView, look: Look) -> Iterator[Text]:
    shown: dict[str, Any] = {"Arguments": job.args}
    if job.meta:
        shown["Kept beside them"] = job.meta
    options = {name: value for name, value in job.opts.items() if value is not None}
    if options:
        shown["Options"] = options
    for name, value in shown.items():
        yield title(name, look)
        yield from look.lines(dump_json(value, indent=2), indent="  ")
    for kind, ids in job.related.items():
        what = kind.replace("_", " ")
        yield look.text(f"Related by {what}: {', '.join(map(str, ids))}", longest=500)


# ---- a queue --------------------------------------------------------------------------------


def queue_lines(queue: QueueDetail, why: WhyView, now: datetime, look: Look) -> Iterator[Text]:
    """Yield a queue with its slots, what comes next, and where it stops by itself."""
    pace = queue.per_minute
    yield look.joined(
        look.text(f"Queue {queue.name}", STRONG),
        queue_state(queue, now, look),
        look.text(f"{queue.waiting:,} waiting, {queue.due:,} of them due"),
        look.text(f"{rate(pace.in_) or '0'} in, {rate(pace.out) or '0'} out a minute"),
        look.text(forecast_of(queue)),
    )
    key = "resume" if queue.paused is not None else "pause"
    yield look.text(f"p: {key} it", QUIET)
    yield Text()
    yield from why_lines(why, (), "Why does it do nothing?", look) if not queue.running else ()
    yield title(f"Slots: {queue.running} of {queue.slots} are taken", look)
    for cell in queue.cells:
        yield Text("  ").append_text(_cell_line(cell, now, look))
    for executor in queue.executors:
        yield look.text(f"  {executor.kind}: {executor.running} running, {executor.detail}", QUIET)
    yield Text()
    yield title("Next, in the order of claims", look)
    for each in queue.upcoming:
        yield look.text(f"  job {each.id} {each.worker}: {each.rule}")
    if not queue.upcoming:
        yield look.text("  nothing that could start now", QUIET)
    for stop in queue.breakpoints:
        about = stop.worker or "any job"
        args = f" with {stop.args!r}" if stop.args else ""
        yield look.text(f"Breakpoint {stop.id}: {about}{args} on {stop.on}, {stop.hits} hits", WARN)


def _cell_line(cell: Cell, now: datetime, look: Look) -> Text:
    place = look.text(f"node {cell.node} slot {cell.slot}", QUIET)
    if cell.state == "free":
        return look.joined(place, look.state("stopped", "free"))
    ran = None if cell.since is None else (now - cell.since).total_seconds()
    is_slow = ran is not None and cell.p95 is not None and ran > cell.p95
    usual = f"19 of 20 end within {duration(cell.p95)}" if cell.p95 is not None else ""
    return look.joined(
        place,
        look.state("gone" if cell.state == "abandoned" else "running", cell.state),
        look.text(f"job {cell.job}"),
        look.text(f"for {duration(ran)}" if ran is not None else "", WARN if is_slow else ""),
        look.text(usual, QUIET),
    )


# ---- an actor -------------------------------------------------------------------------------


def actor_lines(tree: TreeView, id_: str, now: datetime, look: Look) -> Iterator[Text]:
    """Yield one actor of a tree, with what happened to it and below it."""
    found = next((each for root in tree.trees for each in root.walk() if each.id == id_), None)
    if found is None:
        yield look.text(f"{id_} is not there any more.", WARN)
    else:
        yield look.joined(
            look.text(found.name, STRONG),
            look.text(found.kind),
            look.state(found.state),
            look.text(found.strategy or ""),
            look.text(f"up for {duration(found.uptime)}"),
        )
        yield look.text(found.id, QUIET)
        yield doing(found, tree.jobs.get(found.id), look)
        yield look.text(f"{found.mailbox:,} messages wait in its mailbox.")
        yield look.text(f"Started again {found.restarts} times; restart: {found.restart}.")
        if found.last_exit is not None:
            yield look.text(f"Its last exit: {found.last_exit}", ALARM)
        if found.budget is not None:
            yield Text("Restarts used: ").append_text(look.budget(found.budget))
            if found.budget.full_in:
                yield look.text(f"All are free again in {duration(found.budget.full_in)}.")
    yield Text()
    yield title("What supervisors did here in the last ten minutes", look)
    events = [each for each in tree.events if f"{each.actor}/".startswith(f"{id_}/")]
    for event in reversed(events):
        yield Text("  ").append_text(event_line(event, now, look))
    if not events:
        yield look.text("  nothing", QUIET)
    for orphan in tree.orphans:
        yield look.text(f"Thread {orphan.name} runs on without an actor:", WARN)
        yield from look.lines(orphan.stack, QUIET, "  ")
