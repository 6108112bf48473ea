"""What the processes of jobs log and write to standard error, passed on by their parent.

Log records go to the parent, which has the handlers for them. Modules set up the same handlers
in the process, as they are imported there, too. Were both called, each line would be written twice.
Only a handler that a job itself adds is that process's own.

The exception of a record is what was raised there, if it can be pickled, and its cause is the
traceback from there as text, as `concurrent.futures` has it. A class that this process has not
imported is not unpickled, since a log record must not import anything: a `RemoteError` stands for
it.

Standard error of all processes of a pool is read by one thread: most write nothing. It may wait for
the reader of this program's own standard error, so nothing waits long for it.
"""

from __future__ import annotations

import codecs
import io
import logging
import os
import pickle
import selectors
import sys
import threading
import weakref
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Final

from antq_actors.executors.process import wire
from antq_actors.jobs.attempt_error import describe, summary
from antq_actors.jobs.job import log_fields, logged_elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from antq_actors.executors.process.parent_connection import ParentConnection

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

log: Final = logging.getLogger("antq_actors.executors")

TAIL_BYTES: Final = 4096
"""Bytes that are remembered of the standard error of each process."""

_CHUNK_BYTES: Final = 65536
_MAX_LAST_CHUNKS: Final = 16
"""Chunks that are read at most after the end of a process: what it started may go on writing."""

# ---- in the process of jobs ------------------------------------------------------------------


class LogsToParent:
    """Has *handler* called with each record that a logger lets pass, in place of its handlers.

    *is_performing*: whether a job runs, so that what is added now is the job's.
    """

    def __init__(self, handler: logging.Handler, is_performing: Callable[[], bool]) -> None:
        self._handler = handler
        self._is_performing = is_performing
        self._own: weakref.WeakSet[logging.Handler] = weakref.WeakSet()
        self._call_handlers = logging.Logger.callHandlers
        self._add_handler = logging.Logger.addHandler

    def begin(self, levels: Mapping[str, int]) -> None:
        """Set the parent's log *levels*, and send this process's log records to the pipe."""
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        # A root logger without one would be given one by `logging.info()`.
        logging.getLogger().addHandler(self._handler)

        # Loggers of every class and name, with or without propagation, come by here.
        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            if not self._own or not self._is_kept_here(logger, record):
                self._handler.handle(record)

        def add_handler(logger: logging.Logger, handler: logging.Handler) -> None:
            if self._is_performing():
                self._own.add(handler)
            self._add_handler(logger, handler)

        logging.Logger.callHandlers = call_handlers  # type: ignore[assignment, method-assign]
        logging.Logger.addHandler = add_handler  # type: ignore[assignment, method-assign]

    def end(self) -> None:
        """Restore logging as it is in every process: this one is a fork that a job has made."""
        logging.Logger.callHandlers = self._call_handlers  # type: ignore[method-assign]
        logging.Logger.addHandler = self._add_handler  # type: ignore[method-assign]
        logging.getLogger().removeHandler(self._handler)

    def _is_kept_here(self, logger: logging.Logger, record: logging.LogRecord) -> bool:
        """Call the log handlers that the job added in its process; return whether they suffice."""
        was_handled = False
        while True:
            for handler in logger.handlers:
                if handler in self._own and record.levelno >= handler.level:
                    handler.handle(record)
                    was_handled = True
            if not logger.propagate:
                return was_handled
            if logger.parent is None:
                return False
            logger = logger.parent


class PipeHandler(logging.Handler):
    """Sends log records to the parent, which handles them as its own."""

    def __init__(self, parent: ParentConnection) -> None:
        super().__init__()
        self._parent = parent

    def emit(self, record: logging.LogRecord) -> None:
        """Send the parent process a log record: as text what cannot be pickled."""
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
                raised = pickled_error(error), error_text(error)
            self._parent.send(wire.Logged(_pickled(attributes), raised, log_fields()))
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


def pickled_error(error: BaseException) -> bytes:
    """Return the exception *error* pickled, for :func:`exc_info`; empty if it cannot be."""
    try:
        return pickle.dumps(error, pickle.HIGHEST_PROTOCOL)
    except Exception:  # noqa: BLE001 - any exception may refuse to travel
        return b""


def error_text(error: BaseException) -> str:
    """Return the text that stands for the exception *error* where it cannot be pickled."""
    return summary(describe(error), type(error).__name__)


# ---- in its parent ---------------------------------------------------------------------------


def logger_levels() -> dict[str, int]:
    """Return the levels that are set on this process's loggers, by the loggers' names."""
    root = logging.getLogger()
    named = ((name, root.manager.loggerDict[name]) for name in list(root.manager.loggerDict))
    levels = {
        name: logger.level
        for name, logger in named
        if isinstance(logger, logging.Logger) and logger.level
    }
    return {"": root.level, **levels}


def handle_record(logged: wire.Logged) -> None:
    """Log a record that a job's process has sent as one of this program's own."""
    try:
        record = logging.makeLogRecord(wire.load(logged.pickled))
        if logged.raised is not None:
            record.exc_info = exc_info(*logged.raised, record.exc_text or "")
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            job = logged_elsewhere.set(logged.job)
            try:
                logger.handle(record)
            finally:
                logged_elsewhere.reset(job)
    except Exception:
        log.debug("a log record of a process is lost", exc_info=True)


class RemoteError(Exception):
    """Stands for an exception of another process; its text is the class and text of that."""


class RemoteTraceback(Exception):
    """The traceback of an exception in the process where it was raised, as text."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def exc_info(pickled: bytes, shown_as: str, trace: str) -> ExcInfo:
    """Return ``exc_info`` for a log record of a job's process; *trace* is its traceback as text."""
    error = _unpacked(pickled) or RemoteError(shown_as)
    error.__cause__ = RemoteTraceback(trace)
    return type(error), error, None


def _unpacked(pickled: bytes) -> BaseException | None:
    try:
        found = _Unpickler(io.BytesIO(pickled)).load()
    except BaseException:  # noqa: BLE001 - its own class may run code when it is made
        return None
    return found if isinstance(found, BaseException) else None


class _Unpickler(pickle.Unpickler):
    """Imports nothing: finds what this process has imported already."""

    def find_class(self, module: str, name: str, /) -> Any:
        if module not in sys.modules:
            raise pickle.UnpicklingError(f"{module} is not imported here")
        return super().find_class(module, name)


# ---- standard error ------------------------------------------------------------------------


class StderrTail:
    """The last bytes of one process."""

    def __init__(self, stream: IO[bytes]) -> None:
        os.set_blocking(stream.fileno(), False)
        self.stream = stream
        self.closed = threading.Event()
        self._kept = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def forget(self) -> None:
        """Forget what the process wrote so far: what comes next is another attempt's."""
        self._kept = b""

    def text(self) -> str:
        """Return the last bytes that the process wrote to its standard error, as text."""
        return self._kept.decode(errors="replace").strip()

    def read(self) -> int | None:
        """Copy the process's standard error to this program's; return the length. Never waits.

        0: it has ended. None: there is nothing now.
        """
        try:
            chunk = os.read(self.stream.fileno(), _CHUNK_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return 0
        self._kept = (self._kept + chunk)[-TAIL_BYTES:]
        if chunk:
            _write(self._decoder.decode(chunk))
        return len(chunk)


class Closed(Exception):
    """It is closed, so nothing can be followed any more."""


class StderrReader:
    """Reads from all streams that it follows, until it is closed."""

    def __init__(self, queue: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_up, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._selector.register(self._wake_up, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._new: list[StderrTail] = []
        self._old: list[StderrTail] = []
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name=f"antq-stderr-{queue}", daemon=True)
        self._thread.start()

    def follow(self, stream: IO[bytes]) -> StderrTail:
        """Have the reading thread follow a process's stderr; return its tail. Raises Closed."""
        tail = StderrTail(stream)
        with self._lock:
            if self._is_closed:
                stream.close()
                raise Closed
            self._new.append(tail)
            self._wake_up_thread()
        return tail

    def leave(self, tail: StderrTail) -> None:
        """Have the reading thread read what is left of a process's standard error, and close it."""
        with self._lock:
            if not self._is_closed:
                self._old.append(tail)
                self._wake_up_thread()

    def close(self) -> None:
        """Request the end of the thread that reads the processes' standard error."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._wake_up_thread()

    def join(self, timeout: float) -> None:
        """Wait for the end of the thread that reads the processes' standard error."""
        self._thread.join(timeout)

    def _wake_up_thread(self) -> None:
        with suppress(BlockingIOError):  # it is full of pokes
            os.write(self._wake, b"!")

    def _run(self) -> None:
        try:
            while not self._is_closed:
                for key, _ in self._selector.select():
                    tail: StderrTail | None = key.data
                    if tail is None:
                        os.read(self._wake_up, _CHUNK_BYTES)
                        self._change()
                    elif not tail.closed.is_set() and tail.read() == 0:
                        self._close(tail)
        finally:
            self._end()

    def _change(self) -> None:
        with self._lock:
            new, self._new = self._new, []
            old, self._old = self._old, []
        for tail in new:
            self._selector.register(tail.stream, selectors.EVENT_READ, tail)
        for tail in old:
            if not tail.closed.is_set():
                for _ in range(_MAX_LAST_CHUNKS):
                    if not tail.read():
                        break
                self._close(tail)

    def _close(self, tail: StderrTail) -> None:
        self._selector.unregister(tail.stream)
        tail.stream.close()
        tail.closed.set()

    def _end(self) -> None:
        with self._lock:
            self._is_closed = True
            os.close(self._wake)
            unregistered = self._new
        tails = [key.data for key in self._selector.get_map().values() if key.data is not None]
        for tail in (*tails, *unregistered):
            tail.stream.close()
            tail.closed.set()
        self._selector.close()
        os.close(self._wake_up)


def _write(text: str) -> None:
    with suppress(Exception):  # a closed or broken stderr must not stop the others
        sys.stderr.write(text)
        sys.stderr.flush()
