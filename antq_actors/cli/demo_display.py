"""The progress of the demo, and its summary.

The progress is a live display on a terminal, and elsewhere one line per second. The summary has
counts, a comparison with the ideal, and two jobs as examples.
"""

import shlex
import time
from collections import deque
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NamedTuple, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from antq_actors import AntQ, Job, Status
from antq_actors.cli import render
from antq_actors.cli.render import STATUS_STYLES
from antq_actors.demo.campaign import (
    CREATE_SECONDS,
    SEND_SECONDS,
    Progress,
    failed_job,
    job_completed_after_a_retry,
)
from antq_actors.demo.measure import Times

RATE_WINDOW_SECONDS: Final = 3.0
"""The rate is the average over this time."""
LINE_INTERVAL_SECONDS: Final = 1.0
"""Time between two plain lines."""


class JobRate:
    """Jobs that ended per second, over the last few seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def record(self, ended: int, now: float) -> float:
        """Record that *ended* jobs of the demo have ended by *now*, and return jobs per second."""
        self._seen.append((now, ended))
        while now - self._seen[0][0] > RATE_WINDOW_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        return (ended - before) / (now - then) if now > then else 0.0


class LiveDisplay(AbstractContextManager["LiveDisplay"]):
    """Counts by status, rate and progress, redrawn in place."""

    def __init__(self, console: Console, expected: int | None) -> None:
        self._expected = expected
        self._rate = JobRate()
        self._began = time.monotonic()
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()

    def show(self, progress: Progress) -> None:
        """Draw the demo's *progress* on the terminal; reads the clock."""
        now = time.monotonic()
        rate = self._rate.record(progress.ended, now)
        total = max(progress.jobs, 0 if progress.read_all else self._expected or 0)
        counts = Table.grid(padding=(0, 3))
        counts.add_row(*(_count(status, progress) for status in Status))
        bar = Table.grid(padding=(0, 2))
        bar.add_row(
            ProgressBar(total=max(total, 1), completed=progress.ended, width=40),
            f"{progress.ended:,} of {total:,}{'' if progress.read_all else ' so far'}",
            f"{rate:,.0f} jobs/s",
            f"{now - self._began:.1f} s",
        )
        self._live.update(Group(counts, bar), refresh=True)


class PlainDisplay(AbstractContextManager["PlainDisplay"]):
    """One line per second, for files, pipes and CI."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rate = JobRate()
        self._began = time.monotonic()
        self._next_line = self._began + LINE_INTERVAL_SECONDS

    def __exit__(self, *exc_info: object) -> None:
        pass

    def show(self, progress: Progress) -> None:
        """Print a line of the demo's *progress* if a second has passed or it is the last one."""
        now = time.monotonic()
        rate = self._rate.record(progress.ended, now)
        if now < self._next_line and not progress.done:
            return
        self._next_line = now + LINE_INTERVAL_SECONDS
        counts = "  ".join(
            f"{status} {progress.counts.get(status, 0):,}"
            for status in Status
            if progress.counts.get(status)
        )
        line = f"{now - self._began:7.1f} s  {counts}  {rate:,.0f} jobs/s"
        self._console.print(line, soft_wrap=True)


def progress_display(console: Console, expected: int | None) -> LiveDisplay | PlainDisplay:
    """Return the demo's display for *console*; *expected* is the number of leads, if known."""
    return LiveDisplay(console, expected) if console.is_terminal else PlainDisplay(console)


def _count(status: Status, progress: Progress) -> Text:
    return Text.assemble(
        (f"{status} ", "dim"), (f"{progress.counts.get(status, 0):,}", STATUS_STYLES[status])
    )


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
    summary: Job | None = None
    """The job that wrote the summary, where one was asked for."""


def run_summary(run: Run, app: AntQ, path: Path | None) -> str:
    """Return the summary of the demo run as text, with jobs read from the store."""
    return "\n".join(
        [
            *_counts(run),
            "",
            *_first_attempts(run),
            *_memory(run),
            *_written_summary(run, path),
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
    """Compare the demo with n x 0.2 s / concurrency, the time of n successful first attempts."""
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


def _written_summary(run: Run, path: Path | None) -> list[str]:
    """Return what the summary says, and how soon after the end of the last lead it was there."""
    job = run.summary
    if job is None or job.ended_at is None:
        return []
    # The job was stored in the transaction that stored the end of the last lead.
    milliseconds = (job.ended_at - job.inserted_at).total_seconds() * 1_000
    return [
        "",
        f"Summary by job {job.id}, {milliseconds:.1f} ms after the end of the last lead:",
        *(f"  {line}" for line in job.result(timeout=0).splitlines()),
        *([f"  in {job.args['file']}"] if path else []),
    ]


def _job(job: Job | None, otherwise: str) -> str:
    return render.job_text(job) if job else f"  ({otherwise})"


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
