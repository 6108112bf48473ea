"""What actors send each other: public messages, and the system's own."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from antq_actors.otp.kernel.reasons import ExitReason
    from antq_actors.otp.kernel.ref import ServerRef
    from antq_actors.otp.messaging.monitors import Monitor


class _Marker:
    """A value that is only itself."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


IGNORE: Final = _Marker("IGNORE")
"""Answered by ``init``: there is nothing to do here, and that is no failure."""

NOREPLY: Final = _Marker("NOREPLY")
"""Answered by ``handle_call``: the reply comes later, through ``reply(from_, value)``."""


@dataclass(frozen=True, slots=True)
class Continue:
    """Answered by ``init``: go on in ``handle_continue`` before any message (otp rule 72)."""

    token: Any = None


class Down(NamedTuple):
    """A monitored actor ended. Sent exactly once for each monitor (otp rule 67)."""

    monitor: Monitor
    ref: ServerRef
    reason: ExitReason


class Exited(NamedTuple):
    """A linked actor ended, or sent an exit signal, and the receiver traps exits (otp rule 65)."""

    ref: ServerRef | None
    reason: ExitReason


class IdleTimeout(NamedTuple):
    """Nothing arrived for ``idle_timeout`` seconds."""


class Response(NamedTuple):
    """The answer to a ``call_by_message``: a value, or the error that a call would have raised."""

    tag: Any
    value: Any
    error: BaseException | None


class Cast(NamedTuple):
    """Carries a ``cast``."""

    request: Any


class StopRequest(NamedTuple):
    """Carries a ``stop``."""

    reason: ExitReason


class ExitSignal(NamedTuple):
    """Tells an actor to end; it travels in the mailbox's first lane."""

    sender: ServerRef | None
    reason: ExitReason


class Promise:
    """Something that is settled exactly once, with a value or an error. The first answer wins."""

    __slots__ = ("_answered", "_ready", "error", "is_settled", "value")

    def __init__(self) -> None:
        self.is_settled = False
        """Whether value and error are the answer."""
        self.value: Any = None
        self.error: BaseException | None = None
        self._answered = threading.Lock()
        self._ready = threading.Lock()
        self._ready.acquire()

    def answer(self, value: Any, error: BaseException | None = None) -> bool:
        """Give the answer; False if there was one before."""
        if not self._answered.acquire(blocking=False):
            return False
        try:
            self.value = value
            self.error = error
            self.is_settled = True
            self.deliver()
        except BaseException:
            # No memory left, say. Whoever waits would wait for ever: rather tell them twice.
            self.value, self.error, self.is_settled = value, error, True
            with suppress(RuntimeError):
                self.deliver()
            raise
        return True

    def deliver(self) -> None:
        """Wake who waits."""
        self._ready.release()

    @property
    def answered(self) -> bool:
        """Whether the answer was given."""
        return self._answered.locked()

    def wait(self, timeout: float | None) -> bool:
        """Wait for the answer; False if there was none within *timeout* seconds."""
        if self.is_settled:
            return True
        if not self._ready.acquire(timeout=-1 if timeout is None else timeout):
            return False
        # For those who wait together. An exception may keep this thread from it, but not those who
        # wait after it.
        self._ready.release()
        return True


class Call(Promise):
    """A request that is owed an answer: by the server, or by the server's death."""

    __slots__ = ("kept_in", "request")

    callback = "handle_call"
    """What answers it."""

    def __init__(self, request: Any) -> None:
        super().__init__()
        self.request = request
        self.kept_in: set[Call] | None = None
        """The open calls of the actor that took it."""

    def put_to(self, actor: Any) -> Any:
        """Have *actor* answer, in its own thread."""
        return actor.handle_call(self.request)

    def forget(self) -> None:
        """Let the actor that took it forget it: it was answered."""
        if self.kept_in is not None:
            self.kept_in.discard(self)

    @property
    def is_wanted(self) -> bool:
        """Whether there is still someone to hear the answer, as far as one can tell."""
        return True


class SystemCall(Call):
    """A request of the system's own, which an actor also takes while it is suspended."""

    __slots__ = ()
