"""The errors of the supervision half, all under :class:`OtpError`; two more are in `names.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from antq_actors.otp.kernel.reasons import Crash, ExitReason, Normal, check_reason

if TYPE_CHECKING:
    from collections.abc import Sequence


class OtpError(Exception):
    """Base of every error of ``antq_actors.otp``."""


class Stop(Exception):
    """Raised in any callback of a GenServer: end with *reason*. TypeError if that is none."""

    def __init__(self, reason: ExitReason | None = None) -> None:
        self.reason: ExitReason = Normal() if reason is None else reason
        check_reason(self.reason)
        super().__init__(self.reason)


class CallExit(OtpError):
    """A call got no answer, because the server ended or was not there."""

    def __init__(self, reason: ExitReason, message: str | None = None) -> None:
        self.reason = reason
        super().__init__(message or f"the server ended without an answer: {reason}")


class CallTimeout(CallExit, TimeoutError):
    """The server did not answer in time. It goes on; its answer will be dropped."""

    def __init__(self, message: str) -> None:
        super().__init__(Crash(TimeoutError(message)), message)


class CallCycle(CallExit):
    """The call would have closed a ring of actors that wait for one another for ever."""

    def __init__(self, path: Sequence[Any]) -> None:
        self.path = list(path)
        """Who would wait for whom, from the caller round to itself."""
        way = " → ".join(str(each) for each in path)
        message = (
            f"this call would never be answered, each waits for the next: {way}."
            " Cast instead, or answer later with NOREPLY and reply()"
        )
        super().__init__(Crash(RuntimeError(message)), message)


class StartError(OtpError):
    """An actor did not start; ``__cause__`` is the exception of its ``init``, if there was one."""

    def __init__(
        self, reason: ExitReason, child_id: Any = None, message: str | None = None
    ) -> None:
        self.reason = reason
        self.child_id = child_id
        super().__init__(message or f"did not start: {reason}")


class DuplicateChildId(StartError):
    """Two children of one supervisor have the same id."""


class AlreadyPresent(OtpError):
    """The supervisor knows this id; its child does not run now. Restart or delete it."""


class NotFound(OtpError):
    """The supervisor has no such child."""


class Running(OtpError):
    """The child runs; terminate it first."""


class Restarting(OtpError):
    """The child is being restarted; terminate it first."""


class MaxChildren(OtpError):
    """The dynamic supervisor has as many children as it may."""


class UnknownRegistry(OtpError):
    """No registry has this name."""


class TaskExit(OtpError):
    """The task ended without a value."""

    def __init__(self, reason: ExitReason) -> None:
        self.reason = reason
        super().__init__(f"the task ended without a value: {reason}")


class Interrupt(BaseException):
    """Raised inside an interruptible stretch of an actor that was told to end.

    A BaseException, so that ``except Exception`` in user code does not swallow it.
    """
