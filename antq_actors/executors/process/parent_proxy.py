"""What stands in a process that performs attempts for things that only its parent has."""

from __future__ import annotations

import logging
import pickle
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from antq_actors.executors.process import calls, remote_error, wire
from antq_actors.jobs.control import Control, Progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from antq_actors.executors.process.parent_connection import ParentConnection
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.options import JobOptions
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import ErrorEntry


class PipeControl(Control):
    """The control of an attempt whose queue is at the other end of the pipe."""

    parent: Any = None
    """The `ParentConnection`; None when the attempt is over."""

    def cancelled(self) -> bool:
        """Return whether a stop was requested; reads what the pipe has at this moment."""
        self._watch()
        if self.parent is not None and not self.stop_requested:
            self.parent.poll()
        return super().cancelled()

    def remaining(self) -> float | None:
        """Return the seconds that are left."""
        self._watch()
        return super().remaining()

    def report(self, progress: Progress) -> None:
        """Send it."""
        if self.parent is not None:
            self.parent.send(wire.Reported(progress))

    def close(self) -> None:
        """Send nothing more: the attempt is over, whatever its threads still do."""
        self.parent = None

    def _watch(self) -> None:
        if not self.watched:
            self.watched = True
            if self.parent is not None:
                self.parent.send(wire.Watched())


class PipeApplication:
    """The application of the parent, for jobs that enqueue others, look at them and change them."""

    def __init__(self, parent: ParentConnection, path: Path | None) -> None:
        self._parent = parent
        self.path = path
        """The directory that the application of the queue was described with."""
        self.default_queue = "default"

    def enqueue(
        self,
        worker: AnyWorker,
        args: Mapping[str, Any] | None = None,
        /,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Have the parent's current application store a job. Raises what that raises there."""
        job: Job = self._call("enqueue", (calls.name_of(worker), args), options, of_queue=False)
        return job

    def call(self, method: str, /, *args: Any, **options: Any) -> Any:
        """Have the application of the queue do something. Raises what that raises there."""
        return self._call(method, args, options, of_queue=True)

    def _call(
        self, method: str, args: Sequence[Any], options: Mapping[str, Any], *, of_queue: bool
    ) -> Any:
        pickled = calls.pack(args, options)
        call = partial(wire.Call, of_queue=of_queue, method=method, pickled=pickled)
        return calls.unpack(self._parent.ask(call))

    def read_errors(self, job_id: int) -> tuple[ErrorEntry, ...]:
        """Return the errors of the job that is performed. Raises what reading them raises there."""
        question = partial(wire.ReadErrors, job_id=job_id)
        errors: tuple[ErrorEntry, ...] = calls.unpack(self._parent.ask(question))
        return errors


class PipeHandler(logging.Handler):
    """Sends log records to the parent, which handles them as its own."""

    def __init__(self, parent: ParentConnection) -> None:
        super().__init__()
        self._parent = parent

    def emit(self, record: logging.LogRecord) -> None:
        """Send the record: its message and its traceback as text, the rest as far as it travels."""
        try:
            error = record.exc_info[1] if record.exc_info else None
            attributes = {
                **record.__dict__,
                "msg": record.getMessage(),
                "args": None,
                "exc_info": None,
                "exc_text": _trace(record),
            }
            raised = None
            if error is not None:
                raised = remote_error.pack(error), remote_error.shown(error)
            self._parent.send(wire.Logged(_pickled(attributes), raised))
        except Exception:  # noqa: BLE001 - as every handler of the standard library does
            self.handleError(record)


def _trace(record: logging.LogRecord) -> str | None:
    if record.exc_text or not record.exc_info:
        return record.exc_text
    return logging.Formatter().formatException(record.exc_info)


def _pickled(attributes: dict[str, Any]) -> bytes:
    try:
        return pickle.dumps(attributes, pickle.HIGHEST_PROTOCOL)
    except Exception:  # noqa: BLE001 - any of a record's own attributes may refuse
        plain = {
            key: value if isinstance(value, str | int | float | None) else repr(value)
            for key, value in attributes.items()
        }
        return pickle.dumps(plain, pickle.HIGHEST_PROTOCOL)
