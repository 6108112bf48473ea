"""The progress of the demo: a live display on a terminal, elsewhere one line per second."""

import time
from collections import deque
from contextlib import AbstractContextManager
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from antq_actors import Status
from antq_actors.cli.tables import STATUS_STYLES
from antq_actors.demo.campaign import Progress

RATE_WINDOW_SECONDS: Final = 3.0
"""The rate is the average over this time."""
LINE_INTERVAL_SECONDS: Final = 1.0
"""Time between two plain lines."""


class Rate:
    """Jobs that ended per second, over the last few seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def record(self, ended: int, now: float) -> float:
        """Record that *ended* jobs have ended by *now*, and return the rate."""
        self._seen.append((now, ended))
        while now - self._seen[0][0] > RATE_WINDOW_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        return (ended - before) / (now - then) if now > then else 0.0


class LiveDisplay(AbstractContextManager["LiveDisplay"]):
    """Counts by status, rate and progress, redrawn in place."""

    def __init__(self, console: Console, expected: int | None) -> None:
        self._expected = expected
        self._rate = Rate()
        self._began = time.monotonic()
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()

    def show(self, progress: Progress) -> None:
        """Draw *progress*."""
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
        self._rate = Rate()
        self._began = time.monotonic()
        self._next_line = self._began + LINE_INTERVAL_SECONDS

    def __exit__(self, *exc_info: object) -> None:
        pass

    def show(self, progress: Progress) -> None:
        """Print *progress* if a second has passed or it is the last one."""
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


def display(console: Console, expected: int | None) -> LiveDisplay | PlainDisplay:
    """Return the display that fits *console*; *expected* is the number of leads, if it is known."""
    return LiveDisplay(console, expected) if console.is_terminal else PlainDisplay(console)


def _count(status: Status, progress: Progress) -> Text:
    return Text.assemble(
        (f"{status} ", "dim"), (f"{progress.counts.get(status, 0):,}", STATUS_STYLES[status])
    )
