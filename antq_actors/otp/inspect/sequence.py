"""What one actor does for a while, as values that a sequence diagram is drawn of.

A recording ends by itself, after so many messages or seconds, and there are few of them. It holds
the types of messages alone: what is in them may be anything, and secret.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from antq_actors.checks import short_repr
from antq_actors.otp.inspect.snapshot import find_by_id
from antq_actors.otp.inspect.tracing import Answered, Ended, Got, Sent, Trace

if TYPE_CHECKING:
    from antq_actors.otp.inspect.tracing import Entry
    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.messaging.names import Destination

MOST_MESSAGES: Final = 200
MOST_SECONDS: Final = 60.0
MOST_STEPS: Final = 1_000
"""Of one recording: a message may have an actor send many others."""
MOST_RECORDINGS: Final = 8
"""That are kept; a further one takes the place of the oldest."""

RECEIVED: Final = "received"
ANSWERED: Final = "answered"
SENT: Final = "sent"
ENDED: Final = "ended"


@dataclass(frozen=True, slots=True)
class Step:
    """Something that the actor did, an arrow of the diagram."""

    at: float
    """Seconds since the recording began."""
    kind: str
    """"received", "answered", "sent" or "ended"."""
    other: str | None
    """The name of the actor at the other end; None: it is not known."""
    text: str
    """The callback or the kind of message, with the type of the message; or why it ended."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What an actor has done since a recording of it began."""

    actor: str
    """Its id."""
    name: str
    is_over: bool
    messages: int
    """How many it ends after."""
    seconds: float
    """After how many it ends at the latest."""
    steps: tuple[Step, ...]


class _Recorder:
    """Listens to a trace until it has seen enough."""

    def __init__(self, id_: str, cell: ActorCell, messages: int, seconds: float) -> None:
        self.id = id_
        self._name = str(cell)
        self._messages = messages
        self._seconds = seconds
        self._began = time.monotonic()
        self._steps: list[Step] = []
        self._received = 0
        self._is_over = False
        self._trace = Trace(cell, self._note)
        self._timer = threading.Timer(seconds, self.stop)
        self._timer.daemon = True

    def start(self) -> None:
        """Record from now on."""
        self._timer.start()
        self._trace.start()

    def stop(self) -> None:
        """Record no more. Calling it again does nothing."""
        self._is_over = True
        self._trace.stop()
        self._timer.cancel()

    def view(self) -> Recording:
        """Return what was recorded so far."""
        return Recording(
            actor=self.id,
            name=self._name,
            is_over=self._is_over,
            messages=self._messages,
            seconds=self._seconds,
            steps=tuple(self._steps.copy()),
        )

    def _note(self, entry: Entry) -> None:
        if self._is_over:
            return
        is_next = isinstance(entry, Got) and self._received == self._messages
        if is_next or len(self._steps) == MOST_STEPS:
            self.stop()
            return
        self._received += isinstance(entry, Got)
        self._steps.append(_step(entry, time.monotonic() - self._began))
        if isinstance(entry, Ended):
            self.stop()


def _step(entry: Entry, at: float) -> Step:
    match entry:
        case Got(callback=callback, message=message):
            text = callback if message is None else f"{callback}({type(message).__name__})"
            return Step(at, RECEIVED, None, text)
        case Answered(request=request, value=value):
            text = f"{type(value).__name__} to {type(request).__name__}"
            return Step(at, ANSWERED, None, text)
        case Sent(how=how, message=message, dest=dest):
            return Step(at, SENT, str(dest), f"{how} {type(message).__name__}")
        case Ended(reason=reason):
            return Step(at, ENDED, None, type(reason).__name__)


_recorders: Final[dict[str, _Recorder]] = {}
"""By the ids of their actors, the oldest first."""


def record_actor(root: Destination, actor: str, messages: int, seconds: float) -> Recording:
    """Record what the actor with an id below *root* does, and return what there is of that yet.

    It ends after so many *messages* or *seconds*, and with the actor. Another recording of this
    actor ends. Raises ValueError for too many, LookupError if it does not run, CallExit.
    """
    if not 1 <= messages <= MOST_MESSAGES:
        raise ValueError(f"messages must be 1 to {MOST_MESSAGES}, got {messages}")
    if not 0 < seconds <= MOST_SECONDS:
        raise ValueError(f"seconds must be above 0 and at most {MOST_SECONDS:.0f}, got {seconds}")
    cell = find_by_id(root, actor)
    if cell is None:
        raise LookupError(f"there is no actor {short_repr(actor)} that runs")
    recorder = _Recorder(actor, cell, messages, seconds)
    for each in [actor, *list(_recorders)[: 1 - MOST_RECORDINGS]]:
        before = _recorders.pop(each, None)
        if before is not None:
            before.stop()
    _recorders[actor] = recorder
    recorder.start()
    return recorder.view()


def recording_of(actor: str) -> Recording | None:
    """Return what was recorded of the actor with this id last; None: nothing was."""
    recorder = _recorders.get(actor)
    return None if recorder is None else recorder.view()
