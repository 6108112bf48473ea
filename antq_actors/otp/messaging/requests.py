"""A call in two steps: send the request now, wait for its answer later, or never."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykka._envelope import Envelope

from antq_actors.checks import timeout_seconds
from antq_actors.otp.kernel.cell import note_send
from antq_actors.otp.kernel.errors import CallExit, CallTimeout
from antq_actors.otp.kernel.messages import Call
from antq_actors.otp.kernel.reasons import NoProc
from antq_actors.otp.messaging.calls import raise_error_of
from antq_actors.otp.messaging.deadlock import waiting_for
from antq_actors.otp.messaging.names import find, not_registered

if TYPE_CHECKING:
    from datetime import timedelta

    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.messaging.names import Destination


class _RequestCall(Call):
    __slots__ = ("is_cancelled",)

    def __init__(self, message: Any) -> None:
        super().__init__(message)
        self.is_cancelled = False

    @property
    def is_wanted(self) -> bool:
        return not self.is_cancelled


class Request:
    """A request that was sent by `send_request`, and its answer.

    Any thread, and any actor, may wait for it. The answer never comes as a message.
    """

    __slots__ = ("_call", "_cell", "_dest", "_text")

    def __init__(self, dest: Destination, message: Any) -> None:
        self._dest = dest
        self._call = _RequestCall(message)
        self._cell = self._send()

    def __repr__(self) -> str:
        if self._call.is_cancelled:
            state = "cancelled"
        else:
            state = "answered" if self._call.is_settled else "waiting"
        return f"<Request to {self._dest!r}, {state}>"

    def _send(self) -> ActorCell | None:
        cell = find(self._dest)
        if cell is None:
            self._text = str(not_registered(self._dest))
            return None
        self._text = f"{cell} has ended"
        note_send("call", self._call.request, cell)
        return cell if cell.mailbox.deliver(Envelope(self._call)) else None

    def wait(self, timeout: float | timedelta | None = 5.0) -> Any:
        """Wait for the server's answer; return it, or raise what `call` raises, each time.

        That is CallTimeout after *timeout* seconds (None: no limit), after which you may wait
        again; CallExit if the server ended before it answered, or was not there when the request
        was sent; CallCycle if waiting could never end. Raises RuntimeError after `cancel`.
        """
        limit = timeout_seconds(timeout)
        self._check_not_cancelled()
        if self._cell is None:
            raise CallExit(NoProc(), self._text)
        if not self._call.is_settled:
            with waiting_for(self._cell, self._call):
                if not self._call.wait(limit):
                    raise CallTimeout(f"{self._cell} did not answer within {limit} s")
            self._check_not_cancelled()
        if self._call.error is not None:
            raise_error_of(self._call)
        return self._call.value

    def cancel(self) -> None:
        """Drop the server's answer, now or when it comes. Cancelling again does nothing.

        The server is not told, and handles the request all the same. A `wait` in another thread
        raises its RuntimeError.
        """
        self._call.is_cancelled = True
        self._call.answer(None)
        self._call.forget()

    def _check_not_cancelled(self) -> None:
        if self._call.is_cancelled:
            raise RuntimeError("this request was cancelled: its answer is dropped")


def send_request(dest: Destination, message: Any) -> Request:
    """Send *message* to ``handle_call`` of *dest*, and return without waiting for the answer.

    So an actor, or a plain thread, can ask several servers at once, or do something else before it
    waits. As OTP's ``gen_server:send_request``, with `Request.wait` for its ``receive_response``.
    If *dest* has ended, or never was, `Request.wait` raises CallExit(NoProc()). Raises TypeError if
    *dest* is no destination.

    >>> from antq_actors.otp import GenServer, stop
    >>> class Doubler(GenServer):
    ...     def handle_call(self, number):
    ...         return 2 * number
    >>> doubler = Doubler.start()
    >>> requests = [send_request(doubler, number) for number in range(3)]
    >>> [request.wait() for request in requests]
    [0, 2, 4]
    >>> stop(doubler)
    """
    return Request(dest, message)
