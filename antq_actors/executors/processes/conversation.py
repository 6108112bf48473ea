"""What a slot says to its process for one attempt, and what it hears until the attempt's end."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from antq_actors.executors import by_value
from antq_actors.executors.processes import wire
from antq_actors.jobs import registry, running
from antq_actors.jobs.definitions import defined

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.executors.contract import Assignment
    from antq_actors.executors.processes.os_process import OsProcess
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.registry import AnyWorker

log: Final = logging.getLogger("antq_actors.executors")


BEGIN_TIME: Final = 60.0
"""Seconds that a process may take to start, or to import the module of a worker."""


class NotTaken(Exception):
    """The process ended before it took the attempt up."""


class CannotTravel(Exception):
    """A worker of a script or a function cannot be pickled."""

    def __init__(self, name: str, job_id: int, error: Exception) -> None:
        super().__init__(
            f"job {job_id} names the worker {name!r}, which another process cannot import, and"
            f" which cannot be pickled either: {type(error).__name__}: {error}"
        )


class NotBegun(Exception):
    """The process does not come to the attempt."""

    def __init__(self, module: str | None) -> None:
        at = "" if module is None else f", which needs the module {module!r}"
        super().__init__(f"no process was ready for the job{at} within {BEGIN_TIME:g} s")


class Conversation:
    """With one process, from its start to its end."""

    def __init__(self, process: OsProcess, modules: list[str], measures_memory: bool) -> None:  # noqa: FBT001
        self.process = process
        self.performed = 0
        """Attempts that have come to an end there."""
        self._known: dict[str, AnyWorker] = {}
        """Workers that the process was told of."""
        process.send(wire.Boot(modules, _levels(), measures_memory))
        self._unready = 1
        """What the process was told and has not done yet."""

    def perform(self, assignment: Assignment) -> wire.Ended:
        """Have the process perform an attempt; answer its end.

        Raises EOFError or OSError when the process ends meanwhile, NotTaken when it had not begun,
        NotBegun, CannotTravel.
        """
        process, control = self.process, assignment.control
        process.forget_words()
        try:
            self._introduce(assignment.job.spec.worker, assignment.job.id)
            if self._unready:
                self._be_ready(assignment)
            control.go_on()
            process.send(_order(assignment))
        except (EOFError, OSError) as error:
            raise NotTaken from error
        control.watched = False
        control.on_told = process.tell
        try:
            if control.told:
                process.tell()
            ended = self._hear(assignment)
        finally:
            control.on_told = None
        self.performed += 1
        return ended

    def _be_ready(self, assignment: Assignment) -> None:
        """Wait for what is no part of the attempt, nor of its time. Raises NotBegun."""
        deadline = time.monotonic() + BEGIN_TIME
        while self._unready:
            if not self.process.pipe.poll(max(0.0, deadline - time.monotonic())):
                raise NotBegun(module_of(assignment))
            match wire.receive(self.process.pipe):
                case wire.Ready():
                    self._unready -= 1
                case wire.Logged(pickled):
                    _log(pickled)

    def _hear(self, assignment: Assignment) -> wire.Ended:
        control = assignment.control
        try:
            message = wire.receive(self.process.pipe)
        except ConnectionResetError as error:
            # It has left something unread. If that may be a word sent later, it had begun.
            if control.told:
                raise
            raise NotTaken from error
        while not isinstance(message, wire.Ended):
            match message:
                case wire.Watched():
                    control.watched = True
                case wire.Reported(progress):
                    control.report(progress)
                case wire.Logged(pickled):
                    _log(pickled)
                case wire.Enqueue():
                    self.process.send(_answer(message.number, partial(_stored, message)))
                case wire.ReadErrors(number):
                    self.process.send(_answer(number, lambda: assignment.whole().errors))
            message = wire.receive(self.process.pipe)
        return message

    def _introduce(self, name: str, job_id: int) -> None:
        """Tell the process of a worker that it cannot find by its name."""
        worker = defined(name)
        if worker is None or self._known.get(name) is worker:
            return  # it is found by its name, or not at all
        if registry.is_importable(worker):
            # Not by its name: that may be one of its own choice.
            self.process.send(wire.Import(worker.__module__))
        else:
            try:
                pickled = by_value.dumps(worker)
            except Exception as error:
                raise CannotTravel(name, job_id, error) from error
            self.process.send(wire.Define(name, pickled))
        self._unready += 1
        self._known[name] = worker


def module_of(assignment: Assignment) -> str | None:
    """Answer what a process may import before it gets such an attempt."""
    worker = defined(assignment.job.spec.worker)
    return worker.__module__ if worker is not None and registry.is_importable(worker) else None


def _order(assignment: Assignment) -> wire.Perform:
    job, control, failure, stack_trace, _ = assignment
    application = running.latest()
    default_queue = "default" if application is None else application.default_queue
    return wire.Perform(job, control.remaining(), failure, stack_trace, default_queue)


def _levels() -> dict[str, int]:
    """Answer the levels of the loggers that have one."""
    root = logging.getLogger()
    named = ((name, root.manager.loggerDict[name]) for name in list(root.manager.loggerDict))
    levels = {
        name: logger.level
        for name, logger in named
        if isinstance(logger, logging.Logger) and logger.level
    }
    return {"": root.level, **levels}


def _log(pickled: bytes) -> None:
    try:
        record = logging.makeLogRecord(wire.load(pickled))
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)
    except Exception:
        log.debug("a log record of a process is lost", exc_info=True)


def _stored(wanted: wire.Enqueue) -> Job:
    """Store a job for an attempt in the process, as `perform_async` there does here."""
    worker = registry.resolve(wanted.worker, job_id=0)
    args, options = wire.load(wanted.pickled)
    return running.current().enqueue(worker, args, **options)


def _answer(number: int, ask: Callable[[], object]) -> wire.Answer:
    """Return what comes of a question of the process."""
    value, error = None, None
    try:
        value = ask()
    except Exception as raised:  # noqa: BLE001 - it is raised there
        error = raised
    try:
        pickled = wire.by_value((value, error))
        wire.load(pickled)
    except Exception as untravelled:  # noqa: BLE001 - any exception may refuse to travel
        refusal = untravelled if error is None else error
        pickled = wire.by_value((None, RuntimeError(f"{type(refusal).__name__}: {refusal}")))
    return wire.Answer(number, pickled)
