"""Talking to a GenServer: call, cast, reply, stop, and a call whose answer is a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from pykka._envelope import Envelope

from antq_actors.checks import timeout_seconds
from antq_actors.otp.kernel import current
from antq_actors.otp.kernel.errors import CallCycle, CallExit, CallTimeout
from antq_actors.otp.kernel.messages import Call, Cast, Response, StopRequest
from antq_actors.otp.kernel.reasons import ExitReason, NoProc, Normal, check
from antq_actors.otp.messaging.deadlock import waiting_for
from antq_actors.otp.messaging.destinations import find, nobody
from antq_actors.otp.messaging.reply_to import ReplyTo
from antq_actors.otp.messaging.watch import DeathWatch

if TYPE_CHECKING:
    from datetime import timedelta

    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.messaging.destinations import Destination


def call(dest: Destination, request: Any, timeout: float | timedelta | None = 5.0) -> Any:
    """Send *request* to ``handle_call`` and answer its reply.

    It always ends: with the reply; with CallExit and the server's exit reason, if the server ends
    before it replies or is not there; with CallTimeout after *timeout* seconds (None: no limit);
    with CallCycle if waiting could never end.
    """
    limit = timeout_seconds(timeout)
    cell = find(dest)
    if cell is None:
        raise nobody(dest)
    current.on_send("call", request, cell)
    return put_and_await(cell, Call(request), limit)


def put_and_await(cell: ActorCell, pending: Call, timeout: float | None) -> Any:
    """Have *cell* take *pending*, and answer or raise what comes of it."""
    with waiting_for(cell, pending):
        if not cell.mailbox.deliver(Envelope(pending)):
            raise CallExit(NoProc(), f"{cell} has ended")
        return await_answer(cell, pending, timeout)


def put_or_take_back(cell: ActorCell, pending: Call, timeout: float | None) -> Any:
    """Do what `put_and_await` does; what is not begun when the wait is over, is never done.

    So nothing happens at some later time, when nobody expects it; after Ctrl-C, too. The
    ``put_to`` of *pending* must do nothing when it was answered before.
    """
    try:
        return put_and_await(cell, pending, timeout)
    except BaseException as error:
        if pending.answer(None, error) or not isinstance(error, CallTimeout):
            raise
        return await_answer(cell, pending, None)  # it was done at the last moment


def await_answer(cell: ActorCell, pending: Call, timeout: float | None) -> Any:
    """Answer or raise what comes of *pending*, which *cell* has."""
    if not pending.wait(timeout):
        raise CallTimeout(f"{cell} did not answer within {timeout} s")
    if pending.error is not None:
        raise_error_of(pending)
    return pending.value


def raise_error_of(pending: Call) -> NoReturn:
    """Raise what came of *pending*, to which no answer came."""
    assert pending.error is not None  # noqa: S101 - the caller has looked
    if type(pending.error) is CallExit:
        # Made by the thread that ended; raised here with this thread's own traceback.
        cause = getattr(pending.error.reason, "exception", None)
        raise CallExit(pending.error.reason) from cause
    raise pending.error


def cast(dest: Destination, request: Any) -> None:
    """Send *request* to ``handle_cast`` and wait for nothing, whatever *dest* is (rule 70)."""
    cell = find(dest)
    if cell is not None:
        current.on_send("cast", request, cell)
        cell.ref.deliver(Cast(request))


def reply(from_: Any, value: Any) -> None:
    """Answer a request that ``handle_call`` left open; only the first answer counts."""
    current.fence()
    _check_from(from_)
    me = current.cell()
    for observer in () if me is None else me.observers:
        observer.on_reply(from_.request, value)
    _settle(from_, value, None)


def reply_error(from_: Any, error: BaseException) -> None:
    """Answer a request by raising *error* in its caller; the server lives on."""
    current.fence()
    _check_from(from_)
    _settle(from_, None, error)


def _check_from(from_: object) -> None:
    if not isinstance(from_, Call | ReplyTo):
        raise TypeError(
            f"reply() needs what self.from_ was in handle_call, got {from_!r}; it is there only"
            " while handle_call runs, so keep it before you answer NOREPLY"
        )


def _settle(from_: Any, value: Any, error: BaseException | None) -> None:
    from_.answer(value, error)
    from_.forget()


def stop(
    dest: Destination, reason: ExitReason | None = None, timeout: float | timedelta | None = None
) -> None:
    """End a server with *reason* (None: normally) and return when it has ended (otp rule 71).

    Raises CallExit(NoProc()) for a dead one, CallExit with the reason it ended with if that is a
    different one, CallTimeout after *timeout* seconds (it goes on ending), CallCycle for oneself.
    """
    wanted = Normal() if reason is None else reason
    check(wanted)
    limit = timeout_seconds(timeout)
    cell = find(dest)
    if cell is None:
        raise nobody(dest)
    if cell is current.cell():
        raise CallCycle([cell.ref, cell.ref])
    watch = DeathWatch(cell.ref)
    cell.ref.deliver(StopRequest(wanted))
    ended = watch.wait(limit)
    if ended is None:
        watch.cancel()
        raise CallTimeout(f"{cell} did not end within {limit} s; it goes on ending")
    if ended != wanted:
        raise CallExit(ended, f"{cell} ended for another reason: {ended}")


class _CallByMessage(Call):
    """A call whose answer goes to the mailbox of the actor that asked."""

    __slots__ = ("_asker", "_tag")

    def __init__(self, request: Any, asker: ActorCell, tag: Any) -> None:
        super().__init__(request)
        self._asker = asker
        self._tag = tag

    @property
    def is_wanted(self) -> bool:
        return self._asker.reason is None

    def deliver(self) -> None:
        self._asker.ref.deliver(Response(self._tag, self.value, self.error))


def call_by_message(dest: Destination, request: Any, tag: Any) -> None:
    """Send *request* to ``handle_call``; the answer arrives as ``Response(tag, value, error)``.

    It arrives exactly once: if the server ends or is not there,
    with CallExit as its error. Raises RuntimeError outside an actor.
    """
    me = current.cell()
    if me is None:
        raise RuntimeError("call_by_message() is for actors; a plain thread uses call()")
    cell = find(dest)
    pending = _CallByMessage(request, me, tag)
    if cell is None:
        pending.answer(None, nobody(dest))
    elif not cell.mailbox.deliver(Envelope(pending)):
        pending.answer(None, CallExit(NoProc(), f"{cell} has ended"))
