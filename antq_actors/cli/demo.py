"""``antq demo``: the lead promotion of Ant's introduction, live."""

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, Final, NamedTuple

import typer
from rich.console import Console

from antq_actors import AntQ
from antq_actors.app.signals import print_stacks, signals_to_handle
from antq_actors.cli import demo_web
from antq_actors.cli.demo_display import (
    LiveDisplay,
    PlainDisplay,
    Run,
    progress_display,
    run_summary,
)
from antq_actors.cli.output import printable
from antq_actors.cli.store import started
from antq_actors.demo import measure
from antq_actors.demo.campaign import QUEUE, Campaign, Progress, SendPromotion
from antq_actors.demo.leads import BadLine, write_leads
from antq_actors.demo.summary import SUMMARY_QUEUE

DEFAULT_LEADS: Final = 2_000
LEADS_FILE: Final = "leads.txt"
SUMMARY_FILE: Final = "summary.txt"
INTERRUPTED: Final = 130


class Settings(NamedTuple):
    """The options of the command line."""

    leads: int | None
    file: Path | None
    concurrency: int
    path: Path | None
    seed: int
    with_summary: bool


def demo(
    *,
    leads: Annotated[
        int | None,
        typer.Option(min=1, help=f"Number of leads to generate; the default is {DEFAULT_LEADS}."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            readable=True,
            help="Read leads from this file, one email per line.",
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Jobs performed at a time.")] = 200,
    path: Annotated[
        Path | None,
        typer.Option(help="Keep the jobs in this directory; a second run continues."),
    ] = None,
    retry_delay: Annotated[float, typer.Option(min=0, help="Seconds before a retry.")] = 1.0,
    seed: Annotated[
        int, typer.Option(help="Seed of the generated leads and the mailer's failures.")
    ] = 1,
    summary: Annotated[
        bool,
        typer.Option(
            "--summary",
            help="Make the leads a batch whose callback writes what became of them to a file.",
        ),
    ] = False,
    web: demo_web.Web = False,
    web_address: demo_web.WebAddress = None,
) -> None:
    """Send a promotion to every lead in a file.

    Each lead is a job with up to three attempts: create the lead (100 ms; "smith" at yahoo is
    refused), then mail it (100 ms; one in ten raises). Kill the demo and run it again with the
    same --path: it continues where it was.

    \b
    Examples:
      antq demo
      antq demo --leads 20000 --concurrency 500 --path ./promotion
      antq demo --file leads.txt --path ./promotion
      antq demo --summary --path ./promotion
      antq demo --web
    """
    if web_address and not web:
        raise typer.BadParameter("it is for --web", param_hint="--web-address")
    if web:
        given = {"--leads": leads, "--file": file, "--path": path, "--summary": summary}
        for name, value in given.items():
            if value:
                raise typer.BadParameter("it is for the promotion, not --web", param_hint=name)
        demo_web.run(web_address)
        return
    if leads and file:
        raise typer.BadParameter("give --leads or --file, not both", param_hint="--leads")

    # One attempt in seven fails here, by design: they are counted, not logged.
    logging.getLogger("antq_actors.jobs").setLevel(logging.CRITICAL)
    SendPromotion.seed = seed
    SendPromotion.retry_delay = retry_delay
    console = Console(highlight=False, markup=False)
    with _signals_interrupt() as numbers:
        try:
            _promote(console, Settings(leads, file, concurrency, path, seed, summary))
        except (KeyboardInterrupt, OSError) as error:
            if isinstance(error, OSError) and signal.SIGHUP not in numbers:
                raise
            options = "--path and --summary" if summary else "--path"
            again = f" Run it again with the same {options} to continue." if path else ""
            with suppress(OSError):  # the terminal may be closed
                console.print(f"Stopped before the end.{again}")
            raise typer.Exit(INTERRUPTED) from None


def _promote(console: Console, settings: Settings) -> None:
    # Nothing is pruned: a later run would read the lead of a deleted job again.
    queues = {QUEUE: settings.concurrency}
    if settings.with_summary:
        queues[SUMMARY_QUEUE] = 1
    app = AntQ(settings.path, queues=queues, retention=None)
    with started(app):
        file = settings.file or _made_up_leads(app.path / LEADS_FILE, settings)
        bad_lines = _BadLines(console, file)
        expected = None if settings.file else settings.leads
        began = time.monotonic()
        with progress_display(console, expected) as shown:
            meter = _Meter(shown)
            summary = app.path / SUMMARY_FILE if settings.with_summary else None
            campaign = Campaign(app, file, bad_lines.report, summary)
            last = campaign.run(meter.show)
        run = Run(
            progress=last,
            skipped=bad_lines.count,
            concurrency=settings.concurrency,
            began=began,
            ended=time.monotonic(),
            times=SendPromotion.stopwatch.times(),
            memory=meter.highest,
            backlog_memory=meter.with_backlog,
            peak=measure.peak_memory(),
            summary=campaign.summary() if summary else None,
        )
        console.print(run_summary(run, app, settings.path), soft_wrap=True)


class _BadLines:
    """Reports each line that is not an email address, and counts these lines."""

    def __init__(self, console: Console, file: Path) -> None:
        self._console = console
        self._file = file
        self.count = 0

    def report(self, bad: BadLine) -> None:
        self.count += 1
        text = printable(bad.text)
        self._console.print(
            f"{self._file}:{bad.line}: not an email address, skipped: {text!r}", soft_wrap=True
        )


class _Meter:
    """Shows the progress and samples the memory."""

    def __init__(self, shown: LiveDisplay | PlainDisplay) -> None:
        self._shown = shown
        self.highest = 0
        self.with_backlog = 0

    def show(self, progress: Progress) -> None:
        own = measure.own_memory()
        self.highest = max(self.highest, own)
        if progress.read_all and not self.with_backlog:
            self.with_backlog = own
        self._shown.show(progress)


def _made_up_leads(file: Path, settings: Settings) -> Path:
    """Write the demo's generated leads beside the jobs, unless a run has; return the file."""
    if not file.exists():
        write_leads(file, settings.leads or DEFAULT_LEADS, settings.seed)
    elif settings.leads:
        with file.open("rb") as lines:
            found = sum(1 for _ in lines)
        if found != settings.leads:
            raise typer.BadParameter(
                f"{file} has the {found} leads of an earlier run; leave --leads out to continue"
                f" with them, or give another --path",
                param_hint="--leads",
            )
    return file


@contextmanager
def _signals_interrupt() -> Iterator[list[int]]:
    """Have other signals stop the demo like Ctrl-C: give back running jobs, close the store.

    The list has the signals that have come. A closed terminal sends SIGHUP more than once.
    """
    come: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP and number in come:
            return
        come.append(number)
        if number == signal.SIGQUIT:
            print_stacks()
        raise KeyboardInterrupt

    numbers = signals_to_handle() - {signal.SIGINT}
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield come
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
