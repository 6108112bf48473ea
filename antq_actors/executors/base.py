"""The contract of an executor: how an attempt is started, told to end, killed, and how it ends.

``thread`` is the exception that needs no more than an actor's own thread, see `thread.py`. Every
other kind is an object made for one queue: it has an actor that keeps it going, and starts
attempts somewhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from antq_actors.introspection import explain_fields
from antq_actors.jobs.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from antq_actors.jobs.control import Control
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import ErrorEntry, StoredJob
    from antq_actors.otp.kernel.child_spec import ChildSpec


class NotReady(Exception):
    """The executor's actor is being restarted, or cannot start."""


class Assignment(NamedTuple):
    """What an executor is given to do."""

    job: StoredJob
    """Claimed, its arguments still encoded."""
    control: Control
    failure: str | None = None
    """Set when the attempt has failed already: the worker is only asked when the next is due."""
    stack_trace: str | None = None
    """Of that failure."""
    read_errors: Callable[[], tuple[ErrorEntry, ...]] | None = None
    """Returns the errors of the job, which a claim does not read. Raises StorageError. None: the
    job has none, or has them with it."""
    error_type: str | None = None
    """Of that failure: the name of the exception's class, if there was one."""
    exception: BaseException | None = None
    """Of that failure, where it is at hand; for the log."""

    def whole(self) -> StoredJob:
        """Return the job with its errors, for where they cannot be read. Raises StorageError."""
        if self.read_errors is None:
            return self.job
        return self.job._replace(errors=self.read_errors())


class Stopped(NamedTuple):
    """The attempt ended because it was told to, and came to nothing."""


class Died(NamedTuple):
    """The attempt failed by the death of what ran it: a segfault, say."""

    error: str
    stack_trace: str | None = None
    error_type: str | None = None


class Lost(NamedTuple):
    """The executor was lost, through no fault of the job."""

    reason: str


class Unready(NamedTuple):
    """Nothing was run: the executor is being restarted."""

    reason: str


class Elsewhere(NamedTuple):
    """Nothing was run: the worker, which nobody had seen before, wants another executor."""

    kind: str


End: TypeAlias = Outcome | Stopped | Died | Lost | Unready
"""Every way an attempt may end."""


class Finished(NamedTuple):
    """A worker actor's last word, as the detail of its exit reason."""

    end: Outcome | Died | Lost | Unready | Elsewhere


Done: TypeAlias = "Callable[[End], object]"
"""Told of an attempt's end, in any thread, once; a second time does no harm."""


class Running(Protocol):
    """An attempt under way. Both methods answer at once, in any thread, however often."""

    def interrupt(self) -> None:
        """Have it end soon, by force if need be; that is told as any end, mostly `Stopped`."""

    def kill(self) -> bool:
        """Have it end now, if there is any way; return whether its end will be told, and soon."""


@explain_fields
class Health(NamedTuple):
    """The state of an executor."""

    kind: str
    """As ``executor=`` names it."""
    running: int
    """Attempts under way."""
    detail: str
    """What it consists of, in a few words."""


class Executor(Protocol):
    """Runs attempts of one queue."""

    kind: str
    """As `executor=` names it."""

    def child(self) -> ChildSpec:
        """Describe the actor that keeps it going."""

    def start(self, assignment: Assignment, done: Done) -> Running:
        """Start an attempt; it must neither wait nor take long. Raises NotReady."""

    def resize(self, concurrency: int) -> None:
        """Be ready for so many attempts at once."""

    def health(self) -> Health:
        """Say how it is; it must not wait."""


class Settings(NamedTuple):
    """What an executor is told when it is made."""

    queue: str
    name: str
    """The name of its actor."""
    concurrency: int
    clock: Callable[[], Instant]
    max_jobs: int | None = None
    """Jobs after which an OS process is replaced."""
    max_memory: int | None = None
    """Bytes of memory above which an OS process is replaced after a job."""
    application: str = ""
    """The name of the application's root supervisor."""
    path: Path | None = None
    """The directory that the application was described with; None: it is volatile."""
