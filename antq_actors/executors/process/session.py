"""What a slot and its process exchange for one attempt, from its workers to its outcome."""

from __future__ import annotations

import hashlib
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from antq_actors.errors import ConfigError, NotStarted
from antq_actors.executors import places
from antq_actors.executors.process import output, wire
from antq_actors.executors.sent_middleware import pack_middleware
from antq_actors.jobs import current_app, everywhere, resolver
from antq_actors.jobs.outcome import Failed
from antq_actors.jobs.worker_registry import defined
from antq_actors.storage import main_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from antq_actors.executors.base import Settings
    from antq_actors.executors.process.os_process import OsProcess
    from antq_actors.jobs.middleware import Pipeline
    from antq_actors.jobs.perform import Attempt
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import ErrorEntry

log: Final = logging.getLogger("antq_actors.executors")


START_TIMEOUT_SECONDS: Final = 60.0
"""Seconds that a process may take to start, or to import the module of a worker."""

_NOT_LOCATED: Final = "Where the job was is not known: its process ended before it said so.\n"


class ProcessSession:
    """With one process, from its start to its end."""

    def __init__(self, process: OsProcess, modules: list[str], settings: Settings) -> None:
        self.process = process
        self._application = settings.application
        self._given = settings.middleware
        self._equipped: Pipeline | None = None
        """The middleware that was sent."""
        self.performed = 0
        """Attempts that have come to an end there."""
        self._known: dict[str, AnyWorker | bytes] = {}
        """Workers that the process has; of those by value, the digest."""
        self._sent: dict[frozenset[main_objects.Place], bytes] = {}
        """What of this one's script arguments have named, and the digest of what was sent of it."""
        measures_memory = settings.max_memory is not None
        process.send(
            wire.Boot(modules, output.logger_levels(), measures_memory, settings.path, sys.argv)
        )
        self._unready = 1
        """How many orders the process has not carried out yet."""

    def perform(self, attempt: Attempt) -> wire.Ended | Failed | None:
        """Send an attempt to the OS process, and wait for its end, which is returned.

        Failed: its worker cannot be pickled here, or not unpickled there. None: the process ended
        before it began. Raises EOFError or OSError when the process ends during it, and
        TimeoutError when it was not ready in time.
        """
        process, control = self.process, attempt.control
        process.forget_stderr()
        try:
            failed = self._send_worker(attempt.job.spec.worker, attempt.job.id)
            if failed is None:
                failed = self._send_middleware()
            if failed is None:
                self._send_script_objects(attempt.job.spec.args)
                failed = self._wait_until_ready(attempt) if self._unready else None
            if failed is not None:
                return failed
            control.resume()
            process.send(_order(attempt, self._application))
        except TimeoutError:  # an OSError as well
            raise
        except (EOFError, OSError):
            return None
        control.watched = False
        control.on_stop_request = lambda: process.request_stop(is_cancelled=control.is_cancelled)
        control.on_locate = process.locate
        try:
            if control.stop_requested:
                control.on_stop_request()
            ended = self._receive_until_ended(attempt)
        finally:
            control.on_stop_request = control.on_locate = None
            if control.stop_requested and control.place is None:
                control.place = places.of_dump(process.dump())
                if control.place is None and process.was_located:
                    control.place = _NOT_LOCATED
        if ended is not None:
            self.performed += 1
        return ended

    def _wait_until_ready(self, attempt: Attempt) -> Failed | None:
        """Wait until the OS process has imported what the attempt needs. Raises TimeoutError.

        Failed: the worker cannot be unpickled there. The wait is no part of the attempt's time.
        """
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while self._unready:
            if not self.process.pipe.poll(max(0.0, deadline - time.monotonic())):
                module = worker_module(attempt)
                at = "" if module is None else f", which needs the module {module!r}"
                raise TimeoutError(
                    f"no process was ready for the job{at} within {START_TIMEOUT_SECONDS:g} s"
                )
            match message := wire.receive(self.process.pipe):
                case wire.Ready(None):
                    self._unready -= 1
                case wire.Ready(error, stack_trace):
                    self._unready -= 1
                    job = attempt.job
                    del self._known[job.spec.worker]
                    why = f"unpickled there: {error}"
                    return _not_picklable(job.spec.worker, job.id, why, stack_trace)
                case wire.Logged():
                    output.handle_record(message)
                case wire.Call() as call:
                    self.process.send(carry_out_call(call, self._application))
        return None

    def _receive_until_ended(self, attempt: Attempt) -> wire.Ended | None:
        """Carry out what the attempt's OS process sends over its pipe; return the attempt's end.

        None: the process ended before it began.
        """
        control = attempt.control
        try:
            message = wire.receive(self.process.pipe)
        except ConnectionResetError:
            # It has left something unread. If that may be a later request to stop, it had begun.
            if control.stop_requested:
                raise
            return None
        while not isinstance(message, wire.Ended):
            match message:
                case wire.Logged():
                    output.handle_record(message)
                case wire.Call():
                    self.process.send(carry_out_call(message, self._application))
                case wire.ReadErrors():
                    self.process.send(read_errors(message, attempt))
                case _:
                    _note(message, attempt)
            message = wire.receive(self.process.pipe)
        return message

    def _send_worker(self, name: str, job_id: int) -> Failed | None:
        """Send an OS process, over its pipe, a worker that it cannot find by its name.

        Failed: it cannot be pickled.
        """
        worker = defined(name)
        if worker is None:
            return None  # it is found by its name, or not at all
        if resolver.is_importable(worker):
            if self._known.get(name) is worker:
                return None
            self._known[name] = worker
            # Not by its name: that may be one of its own choice.
            self.process.send(wire.Import(worker.__module__))
        else:
            # Each time: what it refers to may have changed, such as in another cell of a notebook.
            try:
                pickled = main_objects.dumps_by_value(worker)
            except Exception as error:  # noqa: BLE001 - pickling may raise any
                why = f"pickled either: {type(error).__name__}: {error}"
                return _not_picklable(name, job_id, why)
            digest = _digest(pickled)
            if self._known.get(name) == digest:
                return None
            self._known[name] = digest
            self.process.send(wire.Define(name, pickled))
        self._unready += 1
        return None

    def _send_middleware(self) -> Failed | None:
        """Send the OS process the middleware of the application, before its first attempt.

        And again if it has changed. Failed: one cannot be pickled.
        """
        current = everywhere.current(self._given)
        if current is self._equipped:
            return None
        try:
            packed = None if current is None else pack_middleware(current)
        except ConfigError as error:
            return Failed(str(error), retry_in=None)
        self.process.send(wire.Equip(packed))
        self._equipped = current
        return None

    def _send_script_objects(self, encoded: bytes) -> None:
        """Send the process the objects of ``__main__`` that a job's arguments name, by value."""
        meant = main_objects.meant_by(encoded)
        if not meant:
            return
        try:
            pickled = main_objects.dumps_by_value(meant)
        except Exception:  # noqa: BLE001 - the arguments have copies of their own, if there can be any
            return
        places, digest = frozenset(meant), _digest(pickled)
        if self._sent.get(places) == digest:
            return
        self.process.send(wire.Have(pickled))
        self._unready += 1
        self._sent[places] = digest


def _note(message: Any, attempt: Attempt) -> None:
    """Note in an attempt's control what its OS process has sent of it over its pipe."""
    control = attempt.control
    match message:
        case wire.Watched():
            control.watched = True
        case wire.Reported(progress):
            control.report(progress)
        case wire.Checkpointed(value):
            control.hold_checkpoint(value)
        case wire.Located(job_id, place) if job_id == attempt.job.id:
            control.place = place


def worker_module(attempt: Attempt) -> str | None:
    """Return the module of the attempt's worker that a new process may import; None: it cannot."""
    worker = defined(attempt.job.spec.worker)
    if worker is None or not resolver.is_importable(worker):
        return None
    module: str = worker.__module__
    return module


def _not_picklable(name: str, job_id: int, why: str, stack_trace: str | None = None) -> Failed:
    """Return the failure of a job whose worker cannot be pickled for its OS process."""
    error = (
        f"job {job_id} names the worker {name!r}, which another process cannot import, and"
        f" which cannot be {why}"
    )
    return Failed(error, stack_trace, retry_in=None)


def _digest(pickled: bytes) -> bytes:
    return hashlib.blake2b(pickled).digest()


def _order(attempt: Attempt, root: str) -> wire.Perform:
    application = current_app.latest()
    return wire.Perform(
        job=attempt.job,
        remaining=attempt.control.remaining(),
        failed=attempt.failed,
        default_queue="default" if application is None else application.default_queue,
        enqueues_elsewhere=application is not current_app.named(root),
        hangs=attempt.control.hangs,
    )


# ---- what a job calls on its application ------------------------------------------------------


def carry_out_call(call: wire.Call, name: str) -> wire.Reply:
    """Call the application here for a job in another process; return the reply. Raises nothing.

    *name*: that of the root supervisor of the job's own application.
    """

    def do() -> Any:
        application: Any = current_app.of_queue(name) if call.of_queue else current_app.current()
        return _do(application, call.method, *wire.load(call.pickled))

    return _reply(call.number, do)


def read_errors(question: wire.ReadErrors, attempt: Attempt) -> wire.Reply:
    """Return the reply with the errors of the job that a process performs; reads the store."""

    def read() -> tuple[ErrorEntry, ...]:
        if question.job_id != attempt.job.id:
            raise NotStarted(
                f"job {question.job_id} has ended, so a thread that it started can no longer read"
                " its errors; join threads before perform returns"
            )
        return attempt.job_with_errors().errors

    return _reply(question.number, read)


def _reply(number: int, do: Callable[[], Any]) -> wire.Reply:
    result, error = None, None
    try:
        result = do()
    except Exception as raised:  # noqa: BLE001 - it is raised there
        error = raised
    cause = None if error is None else error.__cause__
    try:
        pickled = wire.by_value((result, error, cause))
        wire.load(pickled)
    except Exception as untravelled:  # noqa: BLE001 - any exception may refuse to travel
        refusal = untravelled if error is None else error
        shown = RuntimeError(f"{type(refusal).__name__}: {refusal}")
        pickled = wire.by_value((None, shown, None))
    return wire.Reply(number, pickled)


_OF_ONE: Final = frozenset({"antq_check", "antq_prepare"})
"""What is done with one job, and begins with its worker."""


def _do(application: Any, method: str, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
    if method == "enqueue":
        worker, mapping = args
        args = resolver.resolve(worker, job_id=0), mapping
    elif method in _OF_ONE:
        worker, *rest = args
        args = resolver.resolve(worker, job_id=0), *rest
    elif method == "antq_check_many":
        worker, items, rest = args
        args = resolver.resolve(worker, job_id=0), map(wire.load, items), rest
    elif method == "enqueue_many":
        worker, items = args
        args = resolver.resolve(worker, job_id=0), map(wire.load, items)
    return current_app.carry_out(application, method, args, options)
