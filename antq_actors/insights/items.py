"""Jobs as insights list them: without what is hidden, and with what can be done with each now."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from antq_actors.errors import NotCancellable, NotRetryable
from antq_actors.insights.values import JobItem
from antq_actors.jobs import lifecycle
from antq_actors.jobs.state import ENDED, Status
from antq_actors.storage.format.encoding import UNREADABLE
from antq_actors.storage.jobs.composition import cut_off
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.insights.redaction import Redactor
    from antq_actors.insights.source import Source
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.job import AttemptError, Job
    from antq_actors.jobs.state import JobState, StoredJob

_FIELDS: Final = tuple(
    name for name in JobItem.__dataclass_fields__ if name not in {"args", "meta", "errors"}
)[:-1]
"""What an item has from its job as it is; the last one, its actions, it has not."""


def items_of(source: Source, stored: Sequence[StoredJob]) -> list[JobItem]:
    """Return jobs as they are listed; those that run, with the progress that is stored."""
    now, redactor = source.now(), source.redactor
    jobs = source.runtime.queries.complete(stored)
    causes = _retry_causes(source, stored)
    return [
        item_of(job, each.state, redactor, now, causes.get(job.id))
        for job, each in zip(jobs, stored, strict=True)
    ]


def _retry_causes(source: Source, stored: Sequence[StoredJob]) -> dict[int, int]:
    """Read which jobs cannot be retried before another one that cut them off."""
    cut = [job.id for job in stored if _may_be_cut_off(job.state)]
    return source.store.read(JobReader.retry_causes, cut) if cut else {}


def _may_be_cut_off(state: JobState) -> bool:
    return state.status in ENDED and state.composed is not None and state.composed.pending > 0


def item_of(
    job: Job, state: JobState, redactor: Redactor, now: Instant, cause: int | None = None
) -> JobItem:
    """Return a job as it is listed, given its state; *cause*: the job that cut it off."""
    actions = actions_of(state, is_readable=job.worker != UNREADABLE, now=now)
    if cause is not None:
        actions["retry"] = cut_off(job.id, cause)
    return JobItem(
        **{name: getattr(job, name) for name in _FIELDS},
        args=redactor.mapping("args", job.args),
        meta=redactor.mapping("meta", job.meta),
        errors=tuple(redacted_error(error, redactor) for error in job.errors),
        actions=actions,
    )


def redacted_error(error: AttemptError, redactor: Redactor) -> AttemptError:
    """Return an error of a job without what is hidden."""
    text = redactor.text("error", error.error)
    trace = redactor.text("stack_trace", error.stack_trace)
    if text is error.error and trace is error.stack_trace:
        return error
    return replace(error, error=text, stack_trace=trace)


# ---- what can be done with a job ------------------------------------------------------------


def actions_of(state: JobState, *, is_readable: bool, now: Instant) -> dict[str, bool | str]:
    """Return for each verb True, or the sentence why a job in this state does not allow it now.

    A verb that would change nothing is not allowed, either.
    """
    return {
        "retry": _allows(partial(lifecycle.retry, now=now), state, ""),
        "cancel": _allows(partial(lifecycle.cancel, now=now), state, _already_cancelled(state)),
        "delete": True,
        "run-now": _allows(partial(lifecycle.run_now, now=now), state, "it is due already"),
        "reschedule": _allows(partial(lifecycle.reschedule, due=now, now=now), state, ""),
        "again": is_readable or "what it was enqueued with is damaged on disk",
    }


def _already_cancelled(state: JobState) -> str:
    if state.status is Status.RUNNING:
        return "it is being cancelled: it ends as soon as its attempt does"
    return "it is cancelled already"


def _allows(decide: Callable[[JobState], JobState], state: JobState, same: str) -> bool | str:
    """Return whether the lifecycle lets a job become what *decide* returns, or why it does not.

    *same*: why not, where nothing would change.
    """
    try:
        return decide(state) is not state or same
    except (NotCancellable, NotRetryable) as refusal:
        return str(refusal)
