"""What goes over the pipe between a slot and its OS process: pickled tuples, one at a time.

The parent sends *Boot*, *Import*, *Define*, *Have*, *Equip*, *Perform*, *Stop* and *Reply*; the
child sends the rest. Both ends are the same program, and no other program has the pipe.
"""

from __future__ import annotations

import pickle
import signal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.storage import main_objects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from antq_actors.executors.sent_middleware import PackedMiddleware
    from antq_actors.jobs.control import Progress
    from antq_actors.jobs.job import LogFields
    from antq_actors.jobs.outcome import Failed, Outcome
    from antq_actors.jobs.state import StoredJob


class Boot(NamedTuple):
    """The first message: what a new process has to know."""

    modules: list[str]
    """Those of workers that were performed elsewhere: imported before the first attempt."""
    levels: Mapping[str, int]
    """Of the loggers that have one of their own; the root's name is empty."""
    measures_memory: bool
    path: Path | None = None
    """The directory that the application was described with; None: it is volatile."""
    argv: Sequence[str] = ()
    """The program's ``sys.argv``."""


class Import(NamedTuple):
    """Import the module of a worker."""

    module: str


class Define(NamedTuple):
    """A worker that cannot be imported, by value."""

    name: str
    pickled: bytes


class Have(NamedTuple):
    """Classes and functions of the parent's script, by value: arguments mean them by name."""

    pickled: bytes


class Equip(NamedTuple):
    """From now on, perform attempts within this middleware."""

    middleware: PackedMiddleware | None


class Perform(NamedTuple):
    """Perform an attempt."""

    job: StoredJob
    remaining: float | None
    """Seconds until it times out."""
    failed: Failed | None
    """As of an `Attempt`."""
    default_queue: str
    """Of the application, for jobs that the attempt builds."""
    enqueues_elsewhere: bool = False
    """Whether workers enqueue to another application than that of the queue."""
    hangs: bool = False
    """Whether it is to hang, for a test."""


class Stop(NamedTuple):
    """The attempt must stop."""

    is_cancelled: bool = False
    """Whether that is because its job was cancelled."""


class Call(NamedTuple):
    """Have the application do something, and reply."""

    number: int
    """Of this call: several threads may call."""
    of_queue: bool
    """Whether it is for the application of the queue; else for the one started last."""
    method: str
    """As `AntQ` names it; ``queue.`` or ``limit.`` and a method of its handle."""
    pickled: bytes
    """Its arguments and options, with what only this process has by value."""


class ReadErrors(NamedTuple):
    """The attempt reads the errors of its job."""

    number: int
    """Of this question, as of calls."""
    job_id: int


class Reply(NamedTuple):
    """What came of a call, or of a question."""

    number: int
    pickled: bytes
    """What it returned, the exception that it raised or None, and the cause of that or None."""


class Ready(NamedTuple):
    """The process has carried out *Boot*, *Import*, *Define* or *Have*."""

    error: str | None = None
    """Why a worker cannot be had there by value."""
    stack_trace: str | None = None


class Ended(NamedTuple):
    """An attempt has ended; None: because a stop was requested."""

    outcome: Outcome | None
    memory: int
    """Bytes that the process has now; 0 unless *Boot* asks for it."""


class Watched(NamedTuple):
    """The attempt checks whether it must stop."""


class Reported(NamedTuple):
    """The attempt has come so far."""

    progress: Progress


class Checkpointed(NamedTuple):
    """The attempt has passed a checkpoint, which goes with its outcome; None: it was stored."""

    value: bytes | None


class Located(NamedTuple):
    """The attempt is here; sent when it has timed out."""

    job_id: int
    place: str


class Logged(NamedTuple):
    """The process has logged something."""

    pickled: bytes
    """The record's attributes."""
    raised: tuple[bytes, str] | None = None
    """The exception of the record: pickled if it can be, and as text."""
    job: LogFields | None = None
    """The job during which it was made."""


LOCATE: Final[int] = signal.SIGRTMAX - 3 if hasattr(signal, "SIGRTMAX") else signal.SIGUSR2
"""The signal by which a process is asked where its attempt is: a real-time signal, which no
program uses, where the system has those."""

STOPS: Final = {
    is_cancelled: pickle.dumps(Stop(is_cancelled), pickle.HIGHEST_PROTOCOL)
    for is_cancelled in (False, True)
}
"""What asks for a stop of an attempt, by whether its job was cancelled."""


def send(pipe: Connection, message: object) -> None:
    """Pickle a message into the pipe between slot and process. Raises OSError at its end."""
    pipe.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))


def receive(pipe: Connection) -> Any:
    """Wait for a message on the pipe between a slot and its process. Raises EOFError or OSError."""
    return load(pipe.recv_bytes())


def by_value(thing: object) -> bytes:
    """Return *thing* pickled, with what the other process cannot import. Raises any error."""
    return main_objects.dumps(thing)


def load(pickled: bytes) -> Any:
    """Return what a pickle holds that the other process of a slot has sent."""
    return pickle.loads(pickled)  # noqa: S301 - of the same program, over its own pipe
