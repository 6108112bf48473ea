"""A turn of a sleeping actor, run in the thread that has something for it.

Waking a thread and waiting for its answer costs many times more than most turns do. So a turn of
an actor that sleeps may run inline: in the thread that has a request for it. It is still one
turn at a time, in order, on the actor's own state; whatever else comes in the meantime waits in its
mailbox for the actor's own thread, as ever.

Only classes that say so do (`GenServer.runs_inline`). A thread of the program may be cut
short at any bytecode: Ctrl-C raises in the main thread, a timeout in the thread of a job, and a
finalizer or a signal's handler may call the very actor whose turn is under way further up. Hence
the rules:

- A foreign thread handles its own request alone, so that nobody else depends on how far it gets.
- It takes the actor's place, and leaves it, in one step each. If it could not leave it, the actor's
  own thread sees that it is not at it any more.
- What the turn changes must be whole after each step, or be done again by the next turn; see
  `StorageActor`.
- A thread in which handlers of signals may run does not run turns: a handler may wait for another
  thread, which may need this actor, whose place the thread has.

No limit of time holds for the thread that runs the turn.
"""

from __future__ import annotations

import signal
import threading
import time
from _signal import getsignal  # type: ignore[import-not-found] # signal's makes enums, slowly
from _thread import get_ident
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pykka._envelope import Envelope

from antq_actors.checks import timeout_seconds
from antq_actors.otp.kernel import current
from antq_actors.otp.kernel.errors import CallExit
from antq_actors.otp.kernel.mailbox import Turn
from antq_actors.otp.kernel.messages import Call, Response
from antq_actors.otp.kernel.reasons import Crash
from antq_actors.otp.messaging import calls
from antq_actors.otp.messaging.deadlock import waiting_for
from antq_actors.otp.messaging.destinations import find, nobody

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from antq_actors.otp.kernel.cell import ActorCell, InlineActor
    from antq_actors.otp.kernel.mailbox import Mailbox
    from antq_actors.otp.messaging.destinations import Destination

_OWN_TURN_SECONDS: Final = 0.001
"""Seconds between two tries of an actor's own thread to begin a turn within another one."""

_HANDLERS_SECONDS: Final = 0.001
"""Seconds for which it is taken as given which signals are handled."""

_SIGNALS: Final = tuple(int(number) for number in signal.valid_signals())
_RUN_NO_HANDLER: Final = frozenset(
    {None, int(signal.SIG_DFL), int(signal.SIG_IGN), signal.default_int_handler}
)
"""What a signal may be set to so that none of the program's own code runs when it comes."""


class _Local(threading.local):
    left: list[ActorCell] | None = None
    """Whose turns this thread will run."""


_local: Final = _Local()


def call(dest: Destination, request: Any, timeout: float | timedelta | None = 5.0) -> Any:
    """Do what `calls.call` does, in this thread if *dest* sleeps and runs inline.

    Then *timeout* holds for what comes after the turn.
    """
    cell, limit = find(dest), timeout_seconds(timeout)
    if cell is None:
        raise nobody(dest)
    pending = Call(request)
    if _is_run_here(cell, pending):
        return calls.await_answer(cell, pending, limit)
    current.on_send("call", request, cell)
    return calls.put_and_await(cell, pending, limit)


def request(dest: Destination, request: Any, tag: Any) -> Response | None:
    """Do what `call_by_message` does; the Response at once if it can be had without waiting."""
    cell = find(dest)
    if cell is not None:
        pending = Call(request)
        if _is_run_here(cell, pending) and pending.answered:
            return Response(tag, pending.value, pending.error)
    calls.call_by_message(dest, request, tag)
    return None


@contextmanager
def deferring_turns() -> Iterator[None]:
    """Let this thread run, at the end, the turns that are left to it inside; it may take long."""
    here = _local
    outer, here.left = here.left, []
    try:
        yield
    finally:
        left, here.left = here.left, outer
        for cell in left:
            run_pending(cell)


def defer_turn(cell: ActorCell) -> bool:
    """Leave it to this thread to have *cell* handle what waits for it; False: it runs none."""
    if _local.left is None:
        return False
    _local.left.append(cell)
    return True


def run_pending(cell: ActorCell) -> None:
    """Have *cell* handle the messages that it has: in this thread, or in its own.

    For the end of what a service thread had to do, where nothing can cut it short: it may take
    long.
    """
    actor, mailbox = cell.inline_actor, cell.mailbox
    if mailbox.empty() or not mailbox.asleep:
        return
    turn = Turn(run_pending.__code__, takes_messages=True)
    if actor is None or cell.observers or not mailbox.begin(turn):
        mailbox.wake()
        return
    here, failure = current.local, None
    me, here.cell = here.cell, cell
    try:
        while (envelope := mailbox.next_for(turn)) is not None:
            actor.take_turn(envelope)
    except BaseException as error:  # noqa: BLE001 - it ends that actor, in that actor's thread
        failure = error
    here.cell = me
    mailbox.end(turn, failure)


def _is_run_here(cell: ActorCell, pending: Call) -> bool:
    """Run the turn that answers *pending*, if it can be run here."""
    actor, mailbox = cell.inline_actor, cell.mailbox
    if actor is None or cell.observers:
        return False
    if actor.is_reentrant and _is_within(cell, mailbox):
        _run_within(actor, cell, pending)
        return True
    if not mailbox.asleep or _handlers.may_run_here() or not actor.can_run_inline():
        return False
    turn = Turn(_is_run_here.__code__, takes_messages=False)
    here = current.local
    me = here.cell
    failure: BaseException | None = None
    try:
        if not mailbox.begin(turn, pending):
            return False
        if actor.is_reentrant:
            # It waits for nobody, and this thread stays who it is: a handler may ask.
            actor.take_turn(Envelope(pending))
        else:
            with waiting_for(cell, pending):
                here.cell = cell
                actor.take_turn(Envelope(pending))
    except BaseException as error:
        here.cell = me
        if not actor.ends_with(error):  # this thread's own, which will not hear the answer
            pending.forget()
            raise
        failure = error
    finally:
        here.cell = me
        mailbox.end(turn, failure)
    if failure is not None:
        pending.answer(None, CallExit(Crash(failure)))  # if it was not noted yet, nobody would
    return True


def _is_within(cell: ActorCell, mailbox: Mailbox) -> bool:
    """Tell whether this thread runs a turn of *cell* already, further up its stack."""
    turn = mailbox.turn
    if turn is not None and turn.thread == get_ident():
        if turn.is_under_way():
            return True
        mailbox.end(turn)  # an exception kept this thread from it
    return current.local.cell is cell


def _run_within(actor: InlineActor, cell: ActorCell, pending: Call) -> None:
    """Run a turn in the middle of another one, or of what the actor's own thread does between."""
    mailbox = cell.mailbox
    turn: Turn | None = None
    if (held := mailbox.turn) is None or held.thread != get_ident():
        turn = Turn(_run_within.__code__, takes_messages=False)
        while not mailbox.begin_within(turn):
            time.sleep(_OWN_TURN_SECONDS)
    try:
        actor.take_turn(Envelope(pending))
    finally:
        if turn is not None:
            mailbox.end(turn)


class _Handlers:
    """Whether the program handles signals; it is the main thread alone that runs, and sets, them.

    To ask for each signal takes a tenth of an enqueue, so a thread that does one after the other
    asks once a millisecond.
    """

    def __init__(self) -> None:
        self._asked = -1.0
        self._are_there = False

    def may_run_here(self) -> bool:
        """Return whether code of the program may run in this thread when a signal comes."""
        if get_ident() != threading.main_thread().ident:
            return False
        now = time.monotonic()
        if self._are_there or not self._asked <= now < self._asked + _HANDLERS_SECONDS:
            self._are_there = not _RUN_NO_HANDLER.issuperset(map(getsignal, _SIGNALS))
            self._asked = now
        return self._are_there


_handlers: Final = _Handlers()
