"""The program in the OS process of a slot: performs what it is sent, one attempt after the other.

It has no actor, no store and no application. What an attempt wants of those goes over the pipe:
log records, progress, and jobs that it enqueues.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import pickle
import resource
import signal
import sys
import threading
import time
from contextlib import suppress
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from antq_actors.executors import by_value
from antq_actors.executors.attempt import perform
from antq_actors.executors.contract import Assignment
from antq_actors.executors.processes import wire
from antq_actors.jobs import definitions, instant, running
from antq_actors.jobs.control import Control, Progress
from antq_actors.jobs.registry import name_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antq_actors.jobs.job import Job
    from antq_actors.jobs.outcome import Outcome
    from antq_actors.jobs.registry import AnyWorker

_PR_SET_PDEATHSIG: Final = 1
_STATM: Final = Path("/proc/self/statm")


class Terminated(BaseException):
    """SIGTERM came while an attempt ran."""


class _Link:
    """The pipe to the parent, for all threads of this process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._sending = threading.Lock()
        self._asking = threading.Lock()
        self.told: Any = None
        """Called when the attempt shall end."""

    def send(self, message: object) -> None:
        with self._sending:
            wire.send(self._pipe, message)

    def receive(self) -> Any:
        return wire.receive(self._pipe)

    def look(self) -> None:
        """Hear what the parent says, if it says something now."""
        if self._asking.acquire(blocking=False):  # else who asks hears it
            try:
                while self._pipe.poll():
                    self._heard(self.receive())
            finally:
                self._asking.release()

    def ask(self, message: object) -> wire.Answer:
        """Send a question and wait for its answer."""
        with self._asking:
            self.send(message)
            while not isinstance(answer := self.receive(), wire.Answer):
                self._heard(answer)
            return answer

    def _heard(self, message: object) -> None:
        if isinstance(message, wire.Tell) and self.told is not None:
            self.told()


class _Control(Control):
    """The control of an attempt whose queue is at the other end of the pipe."""

    __slots__ = ("_link",)

    def __init__(self, link: _Link, deadline: float | None) -> None:
        super().__init__(deadline)
        self._link = link
        link.told = self.tell

    def cancelled(self) -> bool:
        self._watch()
        self._link.look()
        return super().cancelled()

    def remaining(self) -> float | None:
        self._watch()
        return super().remaining()

    def report(self, progress: Progress) -> None:
        self._link.send(wire.Reported(progress))

    def _watch(self) -> None:
        if not self.watched:
            self.watched = True
            self._link.send(wire.Watched())


class _Application:
    """Stands for the application of the parent, for attempts that enqueue jobs."""

    def __init__(self, link: _Link, default_queue: str) -> None:
        self._link = link
        self.default_queue = default_queue

    def enqueue(
        self, worker: AnyWorker, args: Mapping[str, Any] | None = None, /, **options: Any
    ) -> Job:
        """Have the parent store a job."""
        answer = self._link.ask(wire.Enqueue(name_of(worker), args, options))
        if answer.error is not None:
            raise answer.error
        job: Job = answer.value
        return job


class _PipeHandler(QueueHandler):
    """Sends log records to the parent, which handles them as its own."""

    def __init__(self, link: _Link) -> None:
        super().__init__(None)  # type: ignore[arg-type] # enqueue is overridden
        self._link = link

    def enqueue(self, record: logging.LogRecord) -> None:
        """Send a prepared record; what cannot travel goes as text."""
        try:
            self._link.send(wire.Logged(record))
        except (TypeError, AttributeError, pickle.PicklingError):
            record.__dict__ = {
                key: value if isinstance(value, str | int | float | None) else repr(value)
                for key, value in record.__dict__.items()
            }
            self._link.send(wire.Logged(record))


class _Child:
    """Performs one attempt after the other."""

    def __init__(self, link: _Link, boot: wire.Boot) -> None:
        self._link = link
        self._measures_memory = boot.measures_memory
        self._performs = False

    def serve(self) -> None:
        """Do what the parent says, until it closes the pipe."""
        while True:
            try:
                message = self._link.receive()
            except (EOFError, OSError):
                return
            match message:
                case wire.Import(module):
                    _import(module)
                case wire.Define(name, pickled):
                    definitions.define(name, by_value.loads(pickled))
                case wire.Perform():
                    outcome = self._perform(message)
                    memory = _memory() if self._measures_memory else 0
                    self._link.send(wire.Ended(outcome, memory))

    def on_sigterm(self, *_: object) -> None:
        """End the attempt by an exception, so that it can clean up; an idle process just ends."""
        if self._performs:
            self._performs = False
            raise Terminated
        sys.exit(0)

    def _perform(self, wanted: wire.Perform) -> Outcome | None:
        remaining = wanted.remaining
        deadline = None if remaining is None else time.monotonic() + remaining
        control = _Control(self._link, deadline)
        assignment = Assignment(wanted.job, control, wanted.failure, wanted.stack_trace)
        try:
            self._performs = True
            try:
                return perform(assignment, instant.now, (Terminated,))
            finally:
                self._performs = False
        except Terminated:
            return None


def main() -> None:
    """Serve the slot whose pipe and process are named on the command line."""
    _end_with(int(sys.argv[2]))
    link = _Link(Connection(int(sys.argv[1])))
    try:
        boot: wire.Boot = link.receive()
    except (EOFError, OSError):
        return
    child = _Child(link, boot)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, child.on_sigterm)
    root = logging.getLogger()
    root.addHandler(_PipeHandler(link))
    root.setLevel(boot.log_level)
    running.enter(_Application(link, boot.default_queue))
    for module in boot.modules:
        _import(module)
    child.serve()


def _import(module: str) -> None:
    with suppress(Exception):  # the attempt that needs it says what is wrong
        importlib.import_module(module)


def _end_with(parent: int) -> None:
    """Be killed when the parent is, also in the middle of C code; where there is no such thing, a
    process ends when it looks at its pipe.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def _memory() -> int:
    """Answer the bytes of memory that this process has now, or had at most."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
