"""What a running attempt and its queue share while it runs.

A `Job` that is being performed carries a control; a stored or built one has none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec

from antq_actors.checks import exact_str, real, short_repr
from antq_actors.introspection import explain_fields
from antq_actors.jobs import instant
from antq_actors.jobs.outcome import Expansion, FollowUp
from antq_actors.jobs.state import NewJob, StoredJob  # msgspec reads annotations

if TYPE_CHECKING:
    from datetime import datetime

CONTROL: Final = "antq_control"
"""Where a job that is being performed has its control, among its attributes."""
APPLICATION: Final = "antq_application"
"""Where a job that was read has the application that it was read from, among its attributes."""


class Terminated(BaseException):
    """Raised in an attempt whose process was told to end it."""


@explain_fields
class Progress(NamedTuple):
    """How far a running job has come, as it reported."""

    fraction: float
    """From 0 to 1."""
    note: str | None = None
    """A remark of the job."""
    at: datetime | None = None
    """When it reported that."""


class AttemptApplication(Protocol):
    """What an application does for the attempts of its jobs, wherever they are performed."""

    def antq_prepare(self, worker: Any, args: Any, options: Mapping[str, Any], /) -> NewJob:
        """Check a job as `enqueue` does, and raise the same; return it, and store nothing."""

    def antq_workflow(self, verb: str, /, *args: Any) -> Any:
        """Do what the verb says to the workflows of the store, and return what it returns."""

    def antq_batch(self, verb: str, /, *args: Any) -> Any:
        """Do what the verb says to the batches of the store, and return what it returns."""

    def antq_batch_of(self, id_: int, job: Any, /) -> Any:
        """Return the batch with an id, of which this is a job; None: there is none any more."""

    def result(self, job_or_id: Any, *, timeout: Any = None) -> Any:
        """Return what a job returned, as :meth:`AntQ.result` does."""

    async def aresult(self, job_or_id: Any, *, timeout: Any = None) -> Any:  # noqa: ASYNC109
        """Do the same in an event loop."""

    def antq_encode(self, value: Any, what: str, /) -> bytes:
        """Return a value of an attempt as bytes. Raises StepError, which calls it *what*."""

    def antq_decode(self, encoded: bytes, /) -> Any:
        """Return the value in what `antq_encode` has returned, perhaps elsewhere."""

    def antq_begin_steps(self, control: Control, /) -> Any:
        """Return the `AttemptSteps` of an attempt."""

    def antq_steps(self, request: Any, /) -> Any:
        """Do what an attempt asks for about its steps. Raises Superseded."""


class Control(msgspec.Struct, eq=False):
    """The control of one attempt.

    Its queue requests that it stops; the attempt, in any thread, checks for that and reports.
    """

    deadline: float | None = None
    """When the attempt times out, on the monotonic clock."""
    stop_requested: bool = False
    is_cancelled: bool = False
    """Whether that was requested because its job was cancelled."""
    watched: bool = False
    """Whether the attempt has checked for that: then it gets some time to end by itself."""
    progress: Progress | None = None
    on_report: Callable[[], object] | None = None
    """Called in any thread when it has reported progress, to have that stored soon."""
    on_stop_request: Callable[[], object] | None = None
    """Called when a stop is requested; for an attempt that is not in this process."""
    place: str | None = None
    """Where the attempt was when it timed out, as the lines of a traceback but the last; None:
    that is not known."""
    on_locate: Callable[[], object] | None = None
    """Called to have the *place* noted, now or soon; None: the attempt runs in a thread."""
    waits_since: float | None = None
    """Since when its time does not count, on the monotonic clock."""
    application: Callable[[], AttemptApplication] | None = None
    """Returns the application that runs its queue. Raises NotStarted."""
    asked: list[FollowUp | Expansion | list[NewJob] | None] | None = None
    """What is to be stored with its completion, by the order of the calls; a list is of jobs that
    its batch is to get. None among them: what is behind that came too late. None: nothing."""
    stored: StoredJob | None = None
    """What is performed, once it is."""
    steps: Any = None
    """The `AttemptSteps`; None: it has taken none, and asked for none."""
    checkpoint: bytes | None = None
    """To be stored with its outcome."""
    is_over: bool = False
    """Whether it has an outcome: what its threads ask for then comes too late."""
    clock: Callable[[], int] = instant.now
    """Dates its progress."""
    hangs: bool = False
    """Whether it is to hang in place of ``perform``, for a test; then *middleware* is set, too."""
    middleware: Any = None
    """The `Pipeline` within which it is performed; None: within nothing."""
    executor: str = "thread"
    """The kind of the executor that performs it, where there is middleware that asks."""

    def request_stop(self) -> None:
        """Set the flag that the attempt is to stop, and call *on_stop_request* if there is one."""
        self.stop_requested = True
        if self.on_stop_request is not None:
            self.on_stop_request()

    def pause(self) -> None:
        """Read the clock and pause the attempt's timeout: what performs it is not there yet."""
        self.waits_since = time.monotonic()

    def resume(self) -> None:
        """Let the attempt's timeout run again, put off by the time since `pause`."""
        since, self.waits_since = self.waits_since, None
        if since is not None and self.deadline is not None:
            self.deadline += time.monotonic() - since

    def overdue_in(self) -> float:
        """Read the clock; return in how many seconds the attempt may time out, 0 when it has."""
        if self.deadline is None:
            return 0.0
        since = self.waits_since
        return max(0.0, self.deadline - (time.monotonic() if since is None else since))

    def look(self) -> None:
        """Read what the queue has requested so far, where that does not come by itself."""

    def cancelled(self) -> bool:
        """Return whether a stop of the attempt was requested; note that its job checks for that."""
        self.watched = True
        return self.stop_requested

    def remaining(self) -> float | None:
        """Return the seconds until the attempt times out, 0 when it has; None: no limit."""
        self.watched = True
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - time.monotonic())

    def ask(self, wanted: FollowUp | Expansion | list[NewJob]) -> bool:
        """Have something stored with the attempt's completion; False: it is over. In any thread.

        An attempt that asks for nothing takes no lock for those that do. It is over before it is
        looked whether there is a list: so either the list is found, or this finds that it is over.
        Then the places in the list decide.
        """
        if self.asked is None:
            with _first_of_two:
                if self.asked is None:
                    self.asked = []
        if self.is_over:
            return False
        asked = self.asked
        asked.append(wanted)
        if not self.is_over:
            return True
        return any(each is wanted for each in takewhile(_is_in_time, asked))

    def take_asked(self) -> list[FollowUp | Expansion | list[NewJob]]:
        """Return what an attempt that is over has asked for; what comes later is refused."""
        asked = self.asked
        if asked is None:
            return []
        asked.append(None)
        return [each for each in takewhile(_is_in_time, asked) if each is not None]

    def report(self, progress: Progress) -> None:
        """Remember how far the attempt of the job has come, for the status of its queue."""
        self.progress = progress
        if self.on_report is not None:
            self.on_report()

    def hold_checkpoint(self, value: bytes | None) -> None:
        """Remember the encoded checkpoint that goes with the outcome; None: it was stored."""
        self.checkpoint = value


_first_of_two: Final = threading.Lock()
"""Two threads of an attempt must not both make the list of what it asks for."""


def _is_in_time(asked: object) -> bool:
    return asked is not None


def checked_step_name(name: object) -> str:
    """Return the name of a step. Raises TypeError and ValueError."""
    if not isinstance(name, str):
        raise TypeError(f"the name of a step is a str, got {short_repr(name)}")
    if not name:
        raise ValueError("the name of a step must not be empty")
    return str(name)


def checked_progress(
    fraction: Any, note: Any, clock: Callable[[], instant.Instant] = instant.now
) -> Progress:
    """Return the progress that a running job reported. Raises TypeError and ValueError."""
    share = real(fraction)
    if share is None:
        raise TypeError(f"progress is a number from 0 to 1, got {short_repr(fraction)}")
    if not 0 <= share <= 1:
        raise ValueError(f"progress is a number from 0 to 1, got {short_repr(fraction)}")
    if note is not None and not isinstance(note, str):
        raise TypeError(f"the note of a progress is text or None, got {short_repr(note)}")
    text = None if note is None else exact_str(note)
    return Progress(float(share), text, instant.to_datetime(clock()))
