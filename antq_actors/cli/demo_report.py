"""The summary of the demo: counts, a comparison with the ideal, and two jobs as examples."""

import shlex
from pathlib import Path
from typing import NamedTuple

from antq_actors import AntQ, Job, Status
from antq_actors.cli import render
from antq_actors.demo.campaign import Progress, failed_job, job_completed_after_a_retry
from antq_actors.demo.promotion import CREATE_SECONDS, SEND_SECONDS
from antq_actors.demo.stopwatch import Times

_MB = 1_000_000


class Run(NamedTuple):
    """The measurements of a run."""

    progress: Progress
    """The last progress of the run."""
    skipped: int
    """Lines that were not email addresses."""
    concurrency: int
    began: float
    """When the first line was read, by the stopwatch's clock."""
    ended: float
    """When the last job had ended."""
    times: Times
    memory: int
    """The most bytes that the program itself used."""
    backlog_memory: int
    """The same, just after the last lead was stored."""
    peak: int
    """The most resident bytes, including pages of the mapped store."""


def report(run: Run, app: AntQ, path: Path | None) -> str:
    """Return the summary of the run as text."""
    return "\n".join(
        [
            *_counts(run),
            "",
            *_first_attempts(run),
            *_memory(run),
            "",
            'One job completed after a retry, from app.list_jobs(status="completed"):',
            _job(job_completed_after_a_retry(app), "no job needed a retry this time"),
            "",
            'One failed job, from app.list_jobs(status="failed"):',
            _job(failed_job(app), "no job failed this time"),
            "",
            *_further(app, path),
        ]
    )


def _counts(run: Run) -> list[str]:
    counts = run.progress.counts
    named = ", ".join(f"{counts[status]:,} {status}" for status in Status if counts.get(status))
    skipped = f"; {run.skipped:,} lines skipped" if run.skipped else ""
    before = run.progress.jobs - run.progress.enqueued
    stored = f", {before:,} of them stored by an earlier run" if before else ""
    return [
        f"Done in {run.ended - run.began:.2f} s: {run.progress.jobs:,} jobs{stored}{skipped}",
        f"  {named or 'no jobs'}",
    ]


def _first_attempts(run: Run) -> list[str]:
    """Compare with n x 0.2 s / concurrency, the time of n first attempts that all succeed."""
    times = run.times
    if not times.firsts:
        return []
    slots = run.concurrency
    wall = times.firsts_ended_at - run.began
    ideal = times.firsts * (CREATE_SECONDS + SEND_SECONDS) / slots
    alone = wall - times.in_retries / slots
    busy = (times.in_firsts + times.in_retries) / (slots * wall)
    retrying = times.in_retries / slots
    compared = _compared(run, alone / ideal)
    return [
        f"First attempts: {times.firsts:,}, the last one ended after {wall:.2f} s",
        f"  less {retrying:.2f} s that retries took in the same slots: {alone:.2f} s",
        f"  ideal {times.firsts:,} x 0.2 s / {slots}: {ideal:.2f} s; {compared}",
        f"  slots busy {busy:.0%} of the time (a refused address takes 0 s, a failed mail half)",
    ]


def _compared(run: Run, ratio: float) -> str:
    if run.times.firsts < run.concurrency:
        return "with fewer leads than slots the ideal cannot be reached"
    return f"it took {ratio:.0%}"


def _memory(run: Run) -> list[str]:
    most, backlog, peak = (size / _MB for size in (run.memory, run.backlog_memory, run.peak))
    return [
        f"Memory: at most {most:.0f} MB, with all leads stored {backlog:.0f} MB",
        f"  with the pages of the mapped store, which the system may take back: {peak:.0f} MB",
    ]


def _job(job: Job | None, otherwise: str) -> str:
    return render.text(job) if job else f"  ({otherwise})"


def _further(app: AntQ, path: Path | None) -> list[str]:
    if path is None:
        return [
            "These jobs were in memory and are gone now. To keep them and see more:",
            "  antq demo --path ./promotion",
            "  antq list --path ./promotion --status failed",
        ]
    where = shlex.quote(str(path))
    job = failed_job(app)
    id = job.id if job else 1  # noqa: A001 - what it is
    return [
        "To see more:",
        f"  antq list --path {where} --status failed",
        f"  antq show {id} --path {where}",
        f"  antq retry {id} --path {where}",
        f"  antq count --path {where} --by-status",
    ]
