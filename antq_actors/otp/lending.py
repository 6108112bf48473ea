"""A turn of a sleeping actor, run in the thread that has something for it.

Waking a thread and waiting for its answer costs many times more than most turns do. So an actor
that sleeps may lend its place: the thread that talks to it runs the turn itself. It is still one
turn at a time, in order, on the actor's own state; whoever talks to it meanwhile waits in its
mailbox, as ever. If more has come when the turn is over, the thread runs one turn more, so that
they need not wait for the actor's own thread to wake; what comes meanwhile waits for that.

Only classes that say so lend (`GenServer.lends_its_place`): their handlers must bear to be cut
short at any line by what is raised in a foreign thread, such as KeyboardInterrupt; what others had
asked is then handled again, in the actor's own thread. No limit of time holds for the thread that
runs the turn.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from pykka._envelope import Envelope

from antq_actors.otp import calls, current
from antq_actors.otp.destinations import find
from antq_actors.otp.errors import CallExit
from antq_actors.otp.messages import Call, Response
from antq_actors.otp.patience import seconds
from antq_actors.otp.reasons import NoProc
from antq_actors.otp.waits import waiting_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from antq_actors.otp.destinations import Destination
    from antq_actors.otp.mailbox import Mailbox
    from antq_actors.otp.process import Process


class _Local(threading.local):
    left: list[Process] | None = None
    """Whose turns this thread will run."""


_local: Final = _Local()


def call(dest: Destination, request: Any, timeout: float | timedelta | None = 5.0) -> Any:
    """Do what `calls.call` does, in this thread if *dest* sleeps and lends its place.

    Then *timeout* holds for what comes after the turn.
    """
    process, limit = find(dest), seconds(timeout)
    if process is None:
        raise CallExit(NoProc(), f"no actor is registered as {dest!r}")
    pending = Call(request)
    if _is_run_here(process, pending):
        return calls.await_answer(process, pending, limit)
    current.sends("call", request, process)
    return calls.put_and_await(process, pending, limit)


def request(dest: Destination, request: Any, tag: Any) -> Response | None:
    """Do what `calls.send_request` does; the Response at once if it can be had without waiting."""
    process = find(dest)
    if process is not None:
        pending = Call(request)
        if _is_run_here(process, pending) and pending.answered:
            return Response(tag, pending.value, pending.error)
    calls.send_request(dest, request, tag)
    return None


@contextmanager
def errands() -> Iterator[None]:
    """Let this thread run, at the end, the turns that are left to it inside; it may take long."""
    here = _local
    outer, here.left = here.left, []
    try:
        yield
    finally:
        left, here.left = here.left, outer
        for process in left:
            run_what_waits(process)


def leave_turn(process: Process) -> bool:
    """Leave it to this thread to have *process* handle what waits for it; False: it runs none."""
    if _local.left is None:
        return False
    _local.left.append(process)
    return True


def run_what_waits(process: Process) -> None:
    """Have *process* handle the messages that it has: in this thread, or in its own.

    For the end of what a thread had to do: it may take long.
    """
    actor, mailbox = process.lender, process.mailbox
    if mailbox.empty() or not mailbox.asleep:
        return
    borrower = object()
    if actor is None or process.onlookers or not mailbox.borrow(borrower):
        mailbox.wake()
        return
    here, failure = current.local, None
    me, here.process = here.process, process
    try:
        while (envelope := mailbox.next_for(borrower)) is not None:
            actor.take_turn(envelope)
    except BaseException as error:  # noqa: BLE001 - it ends that actor, in that actor's thread
        failure = error
    here.process = me
    mailbox.give_back(borrower, failure)


def _is_run_here(process: Process, pending: Call) -> bool:
    """Run the turn that answers *pending*, if it can be run here."""
    actor, mailbox = process.lender, process.mailbox
    if actor is None or process.onlookers or not mailbox.asleep or not actor.lends():
        return False
    here = current.local
    me = here.process
    borrower = object()
    failure: BaseException | None = None
    is_cut_short = False
    try:
        if not mailbox.borrow(borrower, pending):
            return False
        if me is None:
            here.process = process
            _take_turns(actor, mailbox, borrower, pending)
        else:
            with waiting_for(process, pending):
                here.process = process
                _take_turns(actor, mailbox, borrower, pending)
    except Exception as error:  # noqa: BLE001 - it ends that actor, in that actor's thread
        failure = error
    except BaseException:
        is_cut_short = True
        pending.forget()  # this thread's own, and it will not hear the answer
        raise
    finally:
        # An exception of this thread's own may come with any call, and a place that is not given
        # back is an actor that never answers again.
        here.process = me
        while mailbox.borrower is borrower:
            with suppress(BaseException):
                if is_cut_short:
                    mailbox.put_back(borrower)
                mailbox.give_back(borrower, failure)
    return True


def _take_turns(actor: Any, mailbox: Mailbox, borrower: object, pending: Call) -> None:
    actor.take_turn(Envelope(pending))
    if not mailbox.empty() and (came := mailbox.next_for(borrower)) is not None:
        actor.take_turn(came)
