"""One job: its executions, its history, its film, and what it has to do with others.

All of it is told from what is stored of the job. Only where its thread is, is asked of its queue,
or of the node that runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from antq_actors.app.node_socket import NodeUnreachable, ask
from antq_actors.app.queries import id_of
from antq_actors.insights.fingerprints import fingerprint
from antq_actors.insights.items import item_of, redacted_error
from antq_actors.insights.values import FilmStop, JobItem, JobRun, JobView
from antq_actors.jobs import history
from antq_actors.jobs.instant import SECOND, datetime_for_display
from antq_actors.jobs.state import ENDED, Status
from antq_actors.storage.format.encoding import errors_for_display
from antq_actors.storage.format.records import Filter, Span
from antq_actors.storage.jobs.copies import COPY_OF
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from antq_actors.insights.redaction import Redactor
    from antq_actors.insights.source import Source
    from antq_actors.jobs.history import Stage, Story, Transition
    from antq_actors.jobs.job import AttemptError, Job
    from antq_actors.jobs.state import StoredJob

MOST_RELATED: Final = 20
"""Ids of each kind."""
_MOST_DIGITS: Final = 18
"""Of an id."""
_LOOKED_AT: Final = 200
"""Newest jobs of the queue that are compared with it."""

_OUTCOMES: Final = {
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.RETRYING: "failed",
    Status.CANCELLED: "cancelled",
}


def read_job(source: Source, id_: int) -> JobView:
    """Read a job on its own. Raises JobNotFound."""
    redactor = source.redactor
    story = source.store.read(JobReader.story, id_of(id_))
    stages = history.stages(story)
    (job,) = source.runtime.queries.complete([story.job])
    item = item_of(job, story.job.state, redactor, source.now())
    stack = _stack(source, job) if job.status is Status.RUNNING else None
    return JobView(
        **{name: getattr(item, name) for name in JobItem.__dataclass_fields__},
        runs=tuple(_runs(stages, redactor)),
        history=tuple(_redacted(stages, redactor)),
        progress=job.last_progress,
        related=_related(source, story.job, has_args=bool(job.args)),
        stack=redactor.text("stack", stack),
    )


def _stack(source: Source, job: Job) -> str | None:
    """Return where the thread of a running job is; None: it has none, or its node does not say."""
    runtime = source.runtime
    if job.node == (runtime.node.opened_number or 0):
        return runtime.stack_of(job.queue_name, job.node, job.id)
    try:
        options = {"queue": job.queue_name, "job": job.id}
        found: str | None = ask(runtime.path, job.node, "stack", options)
    except NodeUnreachable:
        return None
    return found


def _redacted(stages: Sequence[Stage], redactor: Redactor) -> list[Transition]:
    """Return a job's history without what is hidden of its errors."""
    found = []
    for stage, each in zip(stages, history.transitions(stages), strict=True):
        cause = each.cause if stage.error is None else redactor.text("error", each.cause)
        found.append(replace(each, cause=cause))
    return found


# ---- its executions ---------------------------------------------------------------------------


def _runs(stages: Sequence[Stage], redactor: Redactor) -> list[JobRun]:
    return [
        _run(before, begin, end, redactor)
        for before, begin, end in zip(stages, stages[1:], [*stages[2:], None], strict=False)
        if begin.status is Status.RUNNING
    ]


def _run(before: Stage, begin: Stage, end: Stage | None, redactor: Redactor) -> JobRun:
    error = None if end is None else _error(end)
    digest = None
    if end is not None and error is not None and _outcome(end) == "failed":
        digest = fingerprint(error.error, error.error_type, error.stack_trace).digest
    shown = None if error is None else redacted_error(error, redactor)
    could_begin = min(max(before.at, before.due or 0), begin.at)
    return JobRun(
        attempt=begin.attempt,
        node=begin.node,
        waited=(begin.at - could_begin) / SECOND,
        started_at=datetime_for_display(begin.at),
        ended_at=None if end is None else datetime_for_display(end.at),
        duration=None if end is None else (end.at - begin.at) / SECOND,
        outcome=None if end is None else _outcome(end),
        error=None if shown is None else shown.error,
        error_type=None if shown is None else shown.error_type,
        fingerprint=digest,
        stack_trace=None if shown is None else shown.stack_trace,
    )


def _outcome(end: Stage) -> str:
    if end.status in _OUTCOMES:
        return _OUTCOMES[end.status]
    return end.cause if end.cause in (history.SNOOZED, history.GIVEN_BACK) else "interrupted"


def _error(stage: Stage) -> AttemptError | None:
    if stage.error is None:
        return None
    (error,) = errors_for_display([stage.error])
    return error


# ---- its film ---------------------------------------------------------------------------------


def read_film(source: Source, id_: int) -> tuple[FilmStop, ...]:
    """Read a job as it was at each change of its status. Raises JobNotFound."""
    story = source.store.read(JobReader.story, id_of(id_))
    return tuple(_stops(story, source))


def _stops(story: Story, source: Source) -> list[FilmStop]:
    redactor = source.redactor
    (job,) = source.runtime.queries.complete([story.job])
    args = redactor.mapping("args", job.args)
    stops: list[FilmStop] = []
    before: Mapping[str, Any] = {}
    for stage in _by_status(history.stages(story)):
        error = _error(stage)
        cause = stage.cause if error is None else redactor.text("error", stage.cause)
        facts: dict[str, Any] = {
            "status": stage.status,
            "attempt": stage.attempt,
            "node": stage.node,
            "cause": cause,
            "due": None if stage.due is None else datetime_for_display(stage.due),
        }
        changed = {name: (before.get(name), value) for name, value in facts.items()}
        stops.append(
            FilmStop(
                **facts,
                at=datetime_for_display(stage.at),
                args=args,
                error=None if error is None else redacted_error(error, redactor),
                changes={name: pair for name, pair in changed.items() if pair[0] != pair[1]},
            )
        )
        before = facts
    return stops


def _by_status(stages: Sequence[Stage]) -> list[Stage]:
    """Return the stages in which the status changed, with the last due time of each."""
    found: list[Stage] = []
    for stage in stages:
        if found and found[-1].status is stage.status:
            found[-1] = found[-1]._replace(due=stage.due)
        else:
            found.append(stage)
    return found


# ---- others -----------------------------------------------------------------------------------


def _related(source: Source, job: StoredJob, *, has_args: bool) -> dict[str, tuple[int, ...]]:
    """Return ids of other jobs, by what they have to do with a job."""
    parents, children = source.store.read(JobReader.ties, job.id, MOST_RELATED)
    flow, composed = job.spec.flow, job.state.composed
    upstream = () if flow is None else (id_ for _, id_, _ in flow.upstream)
    alike = _alike(source, job)
    found = {
        "parents": tuple(dict.fromkeys([*parents, *upstream]))[:MOST_RELATED],
        "children": tuple(children),
        "cause": (composed.cause,) if composed is not None and composed.cause else (),
        "original": _original(job),
        **alike,
        "same_args": alike["same_args"] if has_args else (),
    }
    return {kind: ids for kind, ids in found.items() if ids}


def _original(job: StoredJob) -> tuple[int, ...]:
    """Return the id of the job of which this one is a copy; none if it is no copy."""
    of = (job.spec.meta or {}).get(COPY_OF, "")
    return (int(of),) if of.isascii() and of.isdigit() and len(of) <= _MOST_DIGITS else ()


def _alike(source: Source, job: StoredJob) -> dict[str, tuple[int, ...]]:
    """Return the newest jobs of a queue that are copies, or have the same arguments or error."""
    queue = Filter(queue_name=job.state.queue_name)
    newest = source.store.read(JobReader.page, queue, Span(newest_first=True), size=_LOOKED_AT + 1)
    own = _digest(job)
    others = [raw.decode() for raw in newest if raw.id != job.id and raw.worker == job.spec.worker]
    same_args = [other.id for other in others if other.spec.args == job.spec.args]
    same_error = [other.id for other in others if own is not None and _digest(other) == own]
    copies = [other.id for other in others if _original(other) == (job.id,)]
    found = {"copies": copies, "same_args": same_args, "same_error": same_error}
    return {kind: tuple(ids[:MOST_RELATED]) for kind, ids in found.items()}


def _digest(job: StoredJob) -> str | None:
    """Return what the newest error of a failed job has in common with others; None: it has none."""
    if not job.errors or job.state.status in ENDED - {Status.FAILED}:
        return None
    newest = job.errors[0]
    return fingerprint(newest.error, newest.error_type, newest.stack_trace).digest
