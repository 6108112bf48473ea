"""What a contestant has to do, and what it is told.

A contestant is a module ``peers.NAME`` with an instance of a subclass of ``Peer`` called ``PEER``.
It is imported by the process that enqueues and measures, and again by every worker process.

The job takes two arguments, its number and an e-mail address, and notes in the journal that it is
performed.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from peers.journal import Journal
from peers.processes import WorkerProcesses, die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

EMAIL: Final = "jane.williams@example.com"
GATE_TIMEOUT_SECONDS: Final = 60.0
"""Seconds in which all worker processes have to be ready, and the gate to open."""


@dataclass(frozen=True)
class Setup:
    """What this contestant is in this run; the same in all its processes."""

    name: str
    durable: bool
    folder: Path
    """Empty at first; for stores in files, the journal and logs."""
    url: str = ""
    """Where its server is, if it has one."""
    variant: str = ""

    @staticmethod
    def from_environment() -> Setup:
        """Read what the suite has said; every process of a contestant begins with it."""
        die_with_parent()
        values = json.loads(os.environ["BENCH_SETUP"])
        return Setup(**{**values, "folder": Path(values["folder"])})

    @functools.cached_property
    def journal(self) -> Journal:
        """Return the journal of this run; the measuring process has made it."""
        return Journal(self.journal_file)

    @property
    def journal_file(self) -> Path:
        """Return where the journal is."""
        return self.folder / "journal"


class Workers(Protocol):
    """What performs jobs, once it is started."""

    started: float

    def check(self) -> None:
        """Raise if it has ended by itself."""

    def memory(self) -> float | None:
        """Return the MB it takes."""

    def stop(self) -> float | None:
        """Stop it, and answer the seconds that took."""


class Peer:
    """One contestant; each method that is not overridden does the usual."""

    stop_signal: ClassVar[int] = signal.SIGTERM
    """Asks a worker process to end when its jobs have."""
    has_processes: ClassVar[bool] = True
    """Whether workers are in processes of their own, whose start can be timed."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    # ---- the process that enqueues ------------------------------------------------------------

    def open(self, *, perform: bool) -> None:
        """Make an empty store and get ready to enqueue. *perform*: workers will be started."""
        raise NotImplementedError

    def enqueue(self, number: int) -> None:
        """Enqueue one job; a durable one is on disk when this returns."""
        raise NotImplementedError

    enqueue_many: Callable[[range], object] | None = None
    """Enqueue so many in the way it is documented for many; None: there is none."""

    @contextmanager
    def producer(self) -> Iterator[Callable[[int], object]]:
        """Return what enqueues one job in this thread."""
        yield self.enqueue

    def fill(self, numbers: range) -> None:
        """Enqueue these as fast as it goes; nobody measures that."""
        if self.enqueue_many is not None:
            self.enqueue_many(numbers)
        else:
            for number in numbers:
                self.enqueue(number)

    def is_done(self) -> bool:
        """Return whether the store knows of no job that waits or runs."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what ``open`` has opened."""

    # ---- the workers --------------------------------------------------------------------------

    def start_workers(self, concurrency: int, *, gated: bool) -> Workers:
        """Start them. *gated*: none takes a job before all are ready."""
        go = self.setup.folder / "go"
        if not gated:
            go.touch()
        commands = self.commands(concurrency)
        workers = WorkerProcesses(commands, self.setup.folder / "workers.log", self.stop_signal)
        if gated:
            _wait_until(
                lambda: self.ready() >= self.processes(concurrency), workers.check, "not ready"
            )
            go.touch()
        return workers

    def commands(self, concurrency: int) -> Sequence[Sequence[str]]:
        """Return the command line of each worker process."""
        task = json.dumps({"work": concurrency})
        return [[sys.executable, "-m", "peers", self.setup.name, task]]

    def processes(self, concurrency: int) -> int:  # noqa: ARG002 - for those who override it
        """Return how many processes wait at the gate; 0: one alone takes jobs, and needs none."""
        return 0

    def ready(self) -> int:
        """Return how many processes wait at the gate."""
        return sum(1 for _ in self.setup.folder.glob("ready-*"))

    def work(self, concurrency: int) -> None:
        """Perform jobs in this process until a signal ends it."""
        raise NotImplementedError

    def wait_at_gate(self) -> None:
        """Announce that this worker process is ready, and wait until all are."""
        (self.setup.folder / f"ready-{os.getpid()}").touch()
        _wait_until((self.setup.folder / "go").exists, lambda: None, "the gate did not open")


def _wait_until(condition: Callable[[], bool], check: Callable[[], None], otherwise: str) -> None:
    deadline = time.monotonic() + GATE_TIMEOUT_SECONDS
    while not condition():
        check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise} in {GATE_TIMEOUT_SECONDS:g} s")
        time.sleep(0.002)
