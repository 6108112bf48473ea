"""What goes over the pipe between a slot and its OS process: pickled tuples, one at a time.

The parent sends *Boot*, *Import*, *Define*, *Perform*, *Tell* and *Answer*; the child sends the
rest. Both ends are the same program, and nobody else has the pipe.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from multiprocessing.connection import Connection

    from antq_actors.jobs.control import Progress
    from antq_actors.jobs.outcome import Outcome
    from antq_actors.storage.records import StoredJob


class Boot(NamedTuple):
    """The first message: what a new process has to know."""

    modules: list[str]
    """Those of workers that were seen: imported before the first attempt."""
    log_level: int
    default_queue: str
    measures_memory: bool


class Import(NamedTuple):
    """Import the module of a worker."""

    module: str


class Define(NamedTuple):
    """A worker that cannot be imported, by value."""

    name: str
    pickled: bytes


class Perform(NamedTuple):
    """Perform an attempt."""

    job: StoredJob
    remaining: float | None
    """Seconds until it times out."""
    failure: str | None
    stack_trace: str | None


class Tell(NamedTuple):
    """The attempt shall end."""


class Enqueue(NamedTuple):
    """The attempt wants to store a job."""

    worker: str
    args: Mapping[str, Any] | None
    options: dict[str, Any]


class Answer(NamedTuple):
    """What came of that: a job or an exception."""

    value: Any
    error: BaseException | None


class Ended(NamedTuple):
    """An attempt has ended; None: it was told to."""

    outcome: Outcome | None
    memory: int
    """Bytes that the process has now; 0 where nobody wants to know."""


class Watched(NamedTuple):
    """The attempt looks whether it shall end."""


class Reported(NamedTuple):
    """The attempt has come so far."""

    progress: Progress


class Logged(NamedTuple):
    """The process has logged something."""

    record: logging.LogRecord


def send(pipe: Connection, message: object) -> None:
    """Send a message. Raises OSError when the other end is gone."""
    pipe.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))


def receive(pipe: Connection) -> Any:
    """Wait for a message. Raises EOFError or OSError when the other end is gone."""
    return pickle.loads(pipe.recv_bytes())  # noqa: S301 - of the same program, over its own pipe
