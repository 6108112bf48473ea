"""Talking to a GenServer: call, cast, reply, stop, a call that outlives restarts, one by message.

A turn of an actor that sleeps may run inline: in the thread that has a request for it. Waking a
thread and waiting for its answer costs many times more than most turns do. It is still one turn at
a time, in order, on the actor's own state; whatever else comes in the meantime waits in its mailbox
for the actor's own thread, as ever.

Only classes that say so do (`GenServer.runs_inline`). A thread of the program may be cut short at
any bytecode: Ctrl-C raises in the main thread, a timeout in the thread of a job, and a finalizer or
a signal's handler may call the very actor whose turn is under way further up. Hence the rules:

- A foreign thread handles its own request alone, so that no other depends on how far it gets.
- It takes the actor's place, and leaves it, in one step each. If it could not leave it, the actor's
  own thread sees that it is not at it any more.
- What the turn changes must be whole after each step, or be done again by the next turn; see
  `StorageActor`.
- A thread in which handlers of signals may run does not run turns: a handler may wait for another
  thread, which may need this actor, whose place the thread has.

No limit of time holds for the thread that runs the turn; a *timeout* holds for what comes after it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from _signal import getsignal  # type: ignore[import-not-found] # signal's makes enums, slowly
from _thread import get_ident
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn

from pykka._envelope import Envelope

from antq_actors.checks import timeout_seconds
from antq_actors.otp.kernel.cell import ServerRef, fence, local, note_send
from antq_actors.otp.kernel.errors import CallCycle, CallExit, CallTimeout
from antq_actors.otp.kernel.loop import ReplyTo
from antq_actors.otp.kernel.messages import Call, Cast, Promise, Response, StopRequest, Turn
from antq_actors.otp.kernel.reasons import Crash, ExitReason, NoProc, Normal, check_reason
from antq_actors.otp.messaging.deadlock import DeathWatch, waiting_for
from antq_actors.otp.messaging.names import find, not_registered
from antq_actors.otp.threads import run_queue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.kernel.mailbox import Mailbox
    from antq_actors.otp.kernel.messages import InlineActor
    from antq_actors.otp.messaging.names import Destination

_RESTART_POLL_SECONDS: Final = 0.01
"""Seconds between two calls of a server that is being restarted."""

_OWN_TURN_SECONDS: Final = 0.001
"""Seconds between two tries of an actor's own thread to begin a turn within another one."""

_MOST_YIELDS: Final = 10
"""How often an actor lets another thread finish a short turn of the actor it has a request for,
before it leaves the request to that one's own thread: so that two threads need not be woken."""

_HANDLERS_SECONDS: Final = 0.001
"""Seconds for which it is taken as given which signals are handled."""

_SIGNALS: Final = tuple(int(number) for number in signal.valid_signals())
_RUN_NO_HANDLER: Final = frozenset(
    {None, int(signal.SIG_DFL), int(signal.SIG_IGN), signal.default_int_handler}
)
"""What a signal may be set to so that none of the program's own code runs when it comes."""


class _Local(threading.local):
    left: list[ActorCell] | None = None
    """The actors whose turns this thread will run."""


_thread: Final = _Local()


_OWED: Final = (Call, ReplyTo)
"""What ``from_`` is while a request is handled."""


def call(dest: Destination, request: Any, timeout: float | timedelta | None = 5.0) -> Any:
    """Send *request* to ``handle_call`` of an actor, wait, and return its reply.

    It always ends: with the reply; with CallExit and the server's exit reason, if the server ends
    before it replies or is not there; with CallTimeout after *timeout* seconds (None: no limit);
    with CallCycle if waiting could never end.
    """
    if timeout is None or (type(timeout) is float and 0 <= timeout < threading.TIMEOUT_MAX):
        limit = timeout  # nearly always
    else:
        limit = timeout_seconds(timeout)
    cell = find(dest)
    if cell is None:
        raise not_registered(dest)
    pending = Call(request)
    if cell.inline_actor is not None and _try_run_inline(cell, pending):
        given = pending.given
        if given is not None and given[1] is None:
            return given[0]
        return await_answer(cell, pending, limit)
    note_send("call", request, cell)
    return put_and_await(cell, pending, limit)


def put_and_await(cell: ActorCell, pending: Call, timeout: float | None) -> Any:
    """Put the call *pending* into the mailbox of *cell*, wait, and return or raise the answer."""
    run_queue.wake_for_waiting()
    if local.cell is None:  # a plain thread, for which no actor waits
        return _put_and_await(cell, pending, timeout)
    with waiting_for(cell, pending):
        return _put_and_await(cell, pending, timeout)


def _put_and_await(cell: ActorCell, pending: Call, timeout: float | None) -> Any:
    if not cell.mailbox.deliver(Envelope(pending)):
        raise CallExit(NoProc(), f"{cell} has ended")
    return await_answer(cell, pending, timeout)


def put_or_take_back(cell: ActorCell, pending: Call, timeout: float | None) -> Any:
    """Put a call into the mailbox of *cell* and wait; it is never begun after the wait is over.

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
    """Wait for the answer of *cell* to the call *pending*; return it, or raise its error."""
    if not pending.wait(timeout):
        raise CallTimeout(f"{cell} did not answer within {timeout} s")
    given = pending.given
    if given is None or given[1] is not None:
        raise_error_of(pending)
    return given[0]


def raise_error_of(pending: Call) -> NoReturn:
    """Raise the error with which the call *pending* was answered."""
    assert pending.error is not None  # noqa: S101 - the caller has looked
    if type(pending.error) is CallExit:
        # Made by the thread that ended; raised here with this thread's own traceback.
        cause = getattr(pending.error.reason, "exception", None)
        raise CallExit(pending.error.reason) from cause
    raise pending.error


class NotRestarted(CallExit):
    """The server is gone, and its caller does not wait for its restart any longer."""


class NeverRestarted(CallExit):
    """The server is gone, and so is what would have restarted it."""


def call_supervised(
    dest: Destination,
    request: Any,
    *,
    timeout: float,
    restart_timeout: float,
    supervision_ended: Promise,
    gives_up_on_stop: bool,
) -> Any:
    """Call an actor as `call` does, and again while the supervisor of *dest* restarts it.

    The same *request* object is sent each time, so a server can see that it has done it already.
    *dest* must be a name: a ServerRef never leads to the new server. Like `call`, this raises
    CallTimeout when a server is there and has not replied after *timeout* seconds in all, and
    CallCycle. It also raises

    - NotRestarted, when the server has been gone at a try after *restart_timeout* seconds; with
      *gives_up_on_stop* also when the calling actor has an exit signal, because then its own
      supervisor waits for it;
    - NeverRestarted, when the server is gone and *supervision_ended* is settled.

    In the thread of an actor that was declared dead it raises CallExit, as everything does.
    """
    began = time.monotonic()
    left = timeout
    while True:
        try:
            return call(dest, request, left)
        except (CallTimeout, CallCycle):
            raise
        except CallExit as error:
            fence()  # a killed caller has nothing more to ask
            me = local.cell
            stop_requested = gives_up_on_stop and me is not None and me.mailbox.has_signal()
            # What is raised replaces the CallExit, so it has the same text and the same cause.
            if stop_requested or time.monotonic() >= began + restart_timeout:
                raise NotRestarted(error.reason, str(error)) from error.__cause__
            if supervision_ended.wait(_RESTART_POLL_SECONDS):
                raise NeverRestarted(error.reason, str(error)) from error.__cause__
        left = max(0.0, began + timeout - time.monotonic())


def cast(dest: Destination, request: Any) -> None:
    """Send *request* to ``handle_cast`` of *dest*, if there is one, without waiting (rule 70)."""
    cell = find(dest)
    if cell is not None:
        note_send("cast", request, cell)
        cell.ref.deliver(Cast(request))


def reply(from_: Any, value: Any) -> None:
    """Reply to a call that ``handle_call`` left open; only the first reply counts."""
    me = local.cell
    if (me is not None and me.reason is not None) or not isinstance(from_, _OWED):
        _check_from(from_)
    if me is not None and me.observers:
        for observer in me.observers:
            observer.on_reply(from_.request, value)
    from_.answer(value)
    from_.forget()


def reply_error(from_: Any, error: BaseException) -> None:
    """Reply to a call by raising *error* in its caller; the actor that replies lives on."""
    _check_from(from_)
    from_.answer(None, error)
    from_.forget()


def _check_from(from_: object) -> None:
    fence()
    if not isinstance(from_, _OWED):
        raise TypeError(
            f"reply() needs what self.from_ was in handle_call, got {from_!r}; it is there only"
            " while handle_call runs, so keep it before you return NOREPLY"
        )


def stop(
    dest: Destination, reason: ExitReason | None = None, timeout: float | timedelta | None = None
) -> None:
    """End an actor with *reason* (None: normally), and wait until it has ended (otp rule 71).

    Raises CallExit(NoProc()) for a dead one, CallExit with the reason it ended with if that is a
    different one, CallTimeout after *timeout* seconds (it goes on ending), CallCycle for oneself.
    """
    wanted = Normal() if reason is None else reason
    check_reason(wanted)
    limit = timeout_seconds(timeout)
    cell = find(dest)
    if cell is None:
        raise not_registered(dest)
    if cell is local.cell:
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

    __slots__ = ("_asker", "_response", "_tag", "_unsent")

    def __init__(self, request: Any, asker: ActorCell, tag: Any) -> None:
        super().__init__(request)
        self._asker = asker
        self._tag = tag
        self._response: Envelope[Any] = Envelope(None)
        self._unsent = [self._response]
        """What is to be delivered, until it is."""

    @property
    def is_wanted(self) -> bool:
        return self._asker.reason is None

    def deliver(self) -> None:
        self._response.message = Response(self._tag, self.value, self.error)
        self._asker.mailbox.deliver_once(self._unsent)


def call_by_message(dest: Destination, request: Any, tag: Any) -> None:
    """Send *request* to an actor; its reply arrives as a message ``Response(tag, value, error)``.

    ``handle_call`` replies. The message arrives exactly once: if the server ends or is not there,
    with CallExit as its error. Raises RuntimeError outside an actor.
    """
    me = local.cell
    if me is None:
        raise RuntimeError("call_by_message() is for actors; a plain thread uses call()")
    cell = find(dest)
    pending = _CallByMessage(request, me, tag)
    if cell is None:
        pending.answer(None, not_registered(dest))
    elif not cell.mailbox.deliver(Envelope(pending)):
        pending.answer(None, CallExit(NoProc(), f"{cell} has ended"))


ServerRef.stop_and_wait = stop


# ---- turns that run inline -----------------------------------------------------------------------


def call_or_message(dest: Destination, request: Any, tag: Any) -> Call | None:
    """Send *request* to an actor; return the answered call if that needs no waiting, else None.

    After None, the reply arrives as a message, as by `call_by_message`.
    """
    cell = find(dest)
    if cell is not None and cell.inline_actor is not None:
        pending = Call(request)
        if cell.mailbox.turns and cell.inline_actor.has_short_turns:
            _yield_to_turn(cell.mailbox)
        if _try_run_inline(cell, pending) and pending.is_settled:
            return pending
    call_by_message(dest, request, tag)
    return None


def _yield_to_turn(mailbox: Mailbox) -> None:
    """Let the thread that is at a turn have the interpreter, which it may wait for, to finish."""
    for _ in range(_MOST_YIELDS):
        time.sleep(0)
        if not mailbox.turns:
            break


@contextmanager
def deferring_turns() -> Iterator[None]:
    """Have this thread run, at the end of the block, the actors' turns that it deferred inside."""
    here = _thread
    outer, here.left = here.left, []
    try:
        yield
    finally:
        left, here.left = here.left, outer
        for cell in left:
            run_pending(cell)


def defer_turn(cell: ActorCell) -> bool:
    """Let this thread run a turn of *cell* at the end of `deferring_turns`; False outside of it."""
    if _thread.left is None:
        return False
    _thread.left.append(cell)
    return True


def run_pending(cell: ActorCell) -> None:
    """Have *cell* handle the messages that wait: in this thread, or in the actor's own.

    For the end of what a service thread had to do, where nothing can cut it short: it may take
    long.
    """
    actor, mailbox = cell.inline_actor, cell.mailbox
    if mailbox.turns or not (mailbox.sleeping and (mailbox.messages or mailbox.signals)):
        return
    turn = Turn(run_pending.__code__, takes_messages=True)
    if actor is None or cell.observers or not mailbox.begin_turn(turn):
        mailbox.wake()
        return
    failure = None
    me, local.cell = local.cell, cell
    try:
        while (envelope := mailbox.next_in_turn(turn)) is not None:
            actor.take_turn(envelope)
            if mailbox.messages:
                run_queue.wake_for_waiting()  # the next may take long
    except BaseException as error:  # noqa: BLE001 - it ends that actor, in that actor's thread
        failure = error
    local.cell = me
    if failure is not None:
        mailbox.end_turn(turn, failure)  # else it has ended, as nothing was left


def _try_run_inline(cell: ActorCell, pending: Call) -> bool:
    """Run the actor's turn that answers *pending* in this thread; False if that cannot be done."""
    actor, mailbox = cell.inline_actor, cell.mailbox
    if actor is None or cell.observers:
        return False
    if (
        actor.is_reentrant
        and (mailbox.turns or local.cell is cell)
        and _is_running_turn_of(cell, mailbox)
    ):
        _run_nested_turn(actor, cell, pending)
        return True
    # The first two are most of what `begin_turn` sees to: it would keep others out for a moment.
    if (
        mailbox.turns
        or not mailbox.sleeping
        or (get_ident() == _main and _may_run_handlers())
        or not actor.can_run_inline()
    ):
        return False
    return _run_inline(actor, cell, pending)


def _run_inline(actor: InlineActor, cell: ActorCell, pending: Call) -> bool:
    """Run the turn that answers *pending*; False if another thread is at a turn, or about to be."""
    mailbox, me = cell.mailbox, local.cell
    turn = Turn(_run_inline.__code__, takes_messages=False)
    before = None if me is None else me.waits_for
    failure: BaseException | None = None
    try:
        if not mailbox.begin_turn(turn, pending):
            return False
        # A reentrant one waits for no actor, and this thread stays who it is: a handler may ask.
        if not actor.is_reentrant:
            if me is not None:
                # It sleeps, so it waits for none, and this wait closes no ring.
                me.waits_for = (cell, pending)
            local.cell = cell
        actor.take_call(pending)
    except BaseException as error:
        local.cell = me
        if not actor.ends_with(error):  # this thread's own, which will not get the answer
            pending.forget()
            raise
        failure = error
    finally:
        local.cell = me
        if me is not None:
            me.waits_for = before
        mailbox.end_turn(turn, failure)
    if failure is not None:
        pending.answer(None, CallExit(Crash(failure)))  # if it was not noted yet, no one would
    return True


def _is_running_turn_of(cell: ActorCell, mailbox: Mailbox) -> bool:
    """Return whether this thread runs a turn of *cell* already, further up its stack."""
    turn = mailbox.turn
    if turn is not None and turn.thread == get_ident():
        if turn.is_under_way():
            return True
        mailbox.end_turn(turn)  # an exception kept this thread from it
    return local.cell is cell


def _run_nested_turn(actor: InlineActor, cell: ActorCell, pending: Call) -> None:
    """Run an actor's turn inside another one, or between two in the actor's own thread."""
    mailbox = cell.mailbox
    turn: Turn | None = None
    if (held := mailbox.turn) is None or held.thread != get_ident():
        turn = Turn(_run_nested_turn.__code__, takes_messages=False)
        while not mailbox.begin_nested_turn(turn):
            time.sleep(_OWN_TURN_SECONDS)
    try:
        actor.take_call(pending)
    finally:
        if turn is not None:
            mailbox.end_turn(turn)


def _may_run_handlers() -> bool:
    """Return whether a signal may run code of the program in this thread, the main thread.

    That thread alone runs handlers of signals, and sets them. To ask for each signal takes a tenth
    of an enqueue, so a thread that does one after the other asks once a millisecond.
    """
    now, checked_at = time.monotonic(), _handlers.checked_at
    if _handlers.has_any or not checked_at <= now < checked_at + _HANDLERS_SECONDS:
        _handlers.has_any = not _RUN_NO_HANDLER.issuperset(map(getsignal, _SIGNALS))
        _handlers.checked_at = now
    return _handlers.has_any


class _Handlers:
    """What `_may_run_handlers` found last; the main thread alone calls it."""

    checked_at = -1.0
    """When it looked at the signals, on the monotonic clock."""
    has_any = False
    """Whether it found one that the program handles."""


_handlers: Final = _Handlers()


_main = threading.main_thread().ident


def _renew() -> None:
    global _main  # noqa: PLW0603 - the thread that forked is the main thread of the child
    _main = threading.main_thread().ident


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
