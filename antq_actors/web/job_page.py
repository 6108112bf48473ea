"""One job as its page shows it: why it does not run, and what is copied from it."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from antq_actors.insights.as_json import as_json
from antq_actors.jobs.state import Status
from antq_actors.web.job_args import Budget, Cut, Node, tree_of
from antq_actors.web.job_film import Beside, Film, film_of
from antq_actors.web.job_list import worker_filter
from antq_actors.web.job_runs import Attempt, ErrorOfAttempts, Section, attempts_of, sections_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from antq_actors.insights.queues import QueueDetail
    from antq_actors.insights.values import FilmStop, JobView
    from antq_actors.insights.why import Check
    from antq_actors.jobs.audit import AuditEntry
    from antq_actors.jobs.control import Progress

_ERROR_CHARACTERS: Final = 1_000
_TRACE_CHARACTERS: Final = 20_000
_COPIED_CHARACTERS: Final = 20_000
_RAW_CHARACTERS: Final = 20_000
_MOST_TRACES: Final = 10
_MOST_DIGITS: Final = 20

COPY_OF: Final = "again_of"
"""In the ``meta`` of a job that was enqueued once more: the id of the first one."""
RELATED_WORDS: Final = {
    "parents": "Waits for",
    "children": "Waited for by",
    "cause": "Cut off by",
    "original": "Copy of",
    "copies": "Copies",
    "same_args": "Same arguments",
    "same_error": "Same error",
}
"""What each kind of other jobs has to do with a job."""


@dataclass(frozen=True, slots=True)
class WhyRow:
    """A condition for the job to start, with what else is known of it."""

    code: str
    ok: str
    text: str
    reason: Any
    facts: tuple[str, ...]
    """More sentences."""
    jobs: tuple[int, ...]
    """Other jobs that it is about."""


@dataclass(frozen=True, slots=True)
class ShownError:
    """An error, cut, with its trace in sections."""

    group: ErrorOfAttempts
    text: Cut
    sections: tuple[Section, ...]
    trace: Cut | None


@dataclass(frozen=True, slots=True)
class Copied:
    """A text that a button copies."""

    word: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPageView:
    """All of the page."""

    job: JobView
    film: Film
    beside: Beside | None
    """What its life is compared with; None: that was not read."""
    why: tuple[WhyRow, ...]
    attempts: tuple[Attempt, ...]
    errors: tuple[ShownError, ...]
    args: Node
    meta: Node | None
    opts: Node | None
    stack: tuple[Section, ...]
    raw: Cut
    copied: tuple[Copied, ...]
    related: tuple[tuple[str, str, tuple[int, ...]], ...]
    """Kinds of other jobs, each with its word and their ids."""
    name: str
    """The part of the worker's name behind its colon."""
    module: str
    seconds: float | None
    """How long it ran, or has been running; None: it has not run."""
    copy_of: int | None
    """The job that it is a copy of; None: it is none."""

    @property
    def same_worker(self) -> str:
        """The filter of the jobs of its worker."""
        return worker_filter(self.job.worker)

    @property
    def progress(self) -> Progress | None:
        """What it has reported last, while it runs."""
        return self.job.progress if self.job.status is Status.RUNNING else None


# ---- why it does not run --------------------------------------------------------------------


def why_rows(
    checks: Sequence[Check],
    job: JobView,
    queue: QueueDetail | None,
    now: datetime,
    audit: Sequence[AuditEntry] = (),
) -> tuple[WhyRow, ...]:
    """Return what has to hold for a job to start.

    *queue*: what is known of its queue; *audit*: what was done by hand lately.
    """
    return tuple(
        WhyRow(
            check.code,
            check.ok,
            check.text,
            check.reason or {},
            tuple([_ended(job, audit)] if job.ended_at else _facts(check, job, queue, now)),
            _jobs_of(check),
        )
        for check in checks
    )


NEEDS_QUEUE: Final = frozenset({"paused", "slots_full", "behind", "running", "global_full"})
"""Reasons of which the queue knows more."""


def _facts(check: Check, job: JobView, queue: QueueDetail | None, now: datetime) -> list[str]:
    """Return what is known beyond the sentence of a reason."""
    if check.reason is None or queue is None:
        return []
    if check.code == "paused" and queue.paused is not None:
        pause = queue.paused
        by = f"Paused by {pause.by}" if pause.by else "Paused"
        at = f", {pause.at:%Y-%m-%d %H:%M} UTC" if pause.at else ""
        return [f"{by}{at}{f': {pause.reason}' if pause.reason else ''}."]
    if check.code == "behind":
        return _until_turn(check.reason["n"], queue.per_minute.out)
    if check.code == "running":
        return [*_compared(job, queue), CANCELLED]
    if check.code in ("slots_full", "global_full"):
        running = [cell for cell in queue.cells if cell.job is not None and cell.since is not None]
        oldest = sorted(running, key=lambda cell: cell.since or now)[:_MOST_SLOTS]
        return [
            f"Job {cell.job} has run for {_seconds((now - cell.since).total_seconds())}."
            for cell in oldest
            if cell.since is not None
        ]
    return []


def _ended(job: JobView, audit: Sequence[AuditEntry]) -> str:
    """Return how and when a job has ended, and who cancelled it by hand, if that is known."""
    how = f"{job.status.value.capitalize()} {job.ended_at:%Y-%m-%d %H:%M} UTC"
    hand = (each for each in audit if (each.verb, each.target) == ("cancel", f"job {job.id}"))
    by = next(hand, None) if job.status is Status.CANCELLED else None
    if by is None:
        return f"{how}."
    return f"{how} by {by.name or 'nobody by name'}{f': {by.reason}' if by.reason else ''}."


_MOST_SLOTS: Final = 8
CANCELLED: Final = (
    "If it is cancelled, its thread is interrupted while it runs Python code, and abandoned if it"
    " does not end; a coroutine ends at its next await; a process is ended."
)
"""What a cancel means for a job that runs, by what runs it."""


def _until_turn(ahead: object, out_per_minute: float) -> list[str]:
    if not isinstance(ahead, int) or out_per_minute <= 0:
        return []
    seconds = ahead / (out_per_minute / 60)
    return [f"At {out_per_minute:,.0f} a minute that takes about {_seconds(seconds)}."]


def _compared(job: JobView, queue: QueueDetail) -> list[str]:
    cell = next((each for each in queue.cells if each.job == job.id), None)
    if cell is None or cell.p95 is None:
        return []
    return [f"19 of 20 jobs of its worker have ended within {_seconds(cell.p95)} lately."]


def _seconds(seconds: float) -> str:
    minute, hour = 60, 3_600
    if seconds < 2 * minute:
        return f"{seconds:,.1f} s" if seconds < 10 else f"{seconds:,.0f} s"  # noqa: PLR2004
    return f"{seconds / minute:,.0f} min" if seconds < 2 * hour else f"{seconds / hour:,.1f} h"


def _jobs_of(check: Check) -> tuple[int, ...]:
    """Return the ids of other jobs in a reason."""
    reason = check.reason or {}
    several = reason.get("jobs") or reason.get("holders") or ()
    one = reason.get("job")
    return tuple(several) if several else (one,) if isinstance(one, int) else ()


# ---- the whole ------------------------------------------------------------------------------


def page_of(
    job: JobView,
    stops: Sequence[FilmStop],
    why: tuple[WhyRow, ...],
    *,
    number: int,
    now: datetime,
    budget: Budget,
    path: str | None,
    beside: Beside | None = None,
) -> JobPageView:
    """Return the page of a job with the stop of a *number* of its film shown.

    *path*: the directory of the store; None: it is in memory. Without *beside* it is the part that
    moves alone: what never changes about the job is left out, as its arguments are.
    """
    plain, copied_from = as_json(job), job.meta.get(COPY_OF)
    is_part = beside is None
    if is_part:
        job = replace(job, args={}, meta={}, opts={})
    attempts, groups = attempts_of(job)
    module, colon, name = job.worker.rpartition(":")
    args = tree_of(job.args, "args", budget)
    film = film_of(stops, number, now, budget)
    return JobPageView(
        job=job,
        film=film,
        beside=beside,
        why=why,
        attempts=tuple(attempts),
        errors=tuple(_shown_error(group, budget) for group in groups[:_MOST_TRACES]),
        args=args,
        meta=tree_of(job.meta, "meta", budget) if job.meta else None,
        opts=tree_of(job.opts, "opts", budget) if job.opts else None,
        stack=_sections(job.stack, "stack", budget),
        raw=budget.cut("" if is_part else _in_lines(plain), _RAW_CHARACTERS, "raw"),
        copied=tuple(_copied(plain, path)),
        related=tuple(
            (kind, RELATED_WORDS.get(kind, kind), ids) for kind, ids in job.related.items()
        ),
        name=name,
        module=module + colon,
        copy_of=_id_in(copied_from),
        seconds=_ran_seconds(job, now),
    )


def _ran_seconds(job: JobView, now: datetime) -> float | None:
    ended = now if job.status is Status.RUNNING else job.ended_at
    if job.started_at is None or ended is None:
        return None
    return max(0.0, (ended - job.started_at).total_seconds())


def _sections(trace: str | None, name: str, budget: Budget) -> tuple[Section, ...]:
    """Return a stack trace in sections, cut; *name*: what shows the rest of it."""
    return tuple(sections_of(budget.cut(trace, _TRACE_CHARACTERS, name).text)) if trace else ()


def _id_in(value: object) -> int | None:
    """Return the id of a job that a value of ``meta`` is, which may be anybody's; None: it is none.

    >>> _id_in("17"), _id_in("seventeen"), _id_in(17)
    (17, None, None)
    """
    if not isinstance(value, str) or len(value) > _MOST_DIGITS:
        return None
    return int(value) if value.isascii() and value.isdigit() else None


def _shown_error(group: ErrorOfAttempts, budget: Budget) -> ShownError:
    text = budget.cut(group.title, _ERROR_CHARACTERS, f"error.{group.number}")
    if group.stack_trace is None:
        return ShownError(group, text, (), None)
    trace = budget.cut(group.stack_trace, _TRACE_CHARACTERS, f"trace.{group.number}")
    return ShownError(group, text, tuple(sections_of(trace.text)), trace)


def json_of_job(job: JobView) -> str:
    """Return a job as JSON, in lines."""
    return _in_lines(as_json(job))


def _in_lines(plain: object) -> str:
    return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False)


def _copied(plain: Mapping[str, Any], path: str | None) -> list[Copied]:
    """Return what buttons copy of a job in JSON's types, but for what is too long."""
    id_ = plain["id"]
    texts = [
        Copied("id", str(id_)),
        Copied("arguments", json.dumps(plain["args"], ensure_ascii=False, allow_nan=False)),
        Copied("Python", f"app.get_job({id_})"),
    ]
    if path is not None:
        texts.append(Copied("command", f"antq show {id_} --path {shlex.quote(path)}"))
    return [each for each in texts if len(each.text) <= _COPIED_CHARACTERS]
