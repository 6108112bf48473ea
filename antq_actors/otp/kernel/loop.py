"""The life of an actor in its thread: begin, take one message after the other, end.

pykka's loop lets a crash pass unseen in an ask, stops every actor of the program at a
BaseException, and does not tell a starter that ``on_start`` failed. So the loop is written anew,
on the hooks that pykka gives to implementors of actor types; what arrives by pykka's own means
(ask, tell, proxies, stop) still behaves as pykka documents it.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar

from pykka import ThreadingActor, messages

from antq_actors.checks import timeout_seconds
from antq_actors.otp.kernel.cell import local
from antq_actors.otp.kernel.errors import Interrupt, Stop
from antq_actors.otp.kernel.mailbox import Mailbox
from antq_actors.otp.kernel.messages import (
    IGNORE,
    NOREPLY,
    Call,
    Cast,
    Continue,
    ExitSignal,
    IdleTimeout,
    Init,
    StopRequest,
    Terminate,
)
from antq_actors.otp.kernel.reasons import Crash, ExitReason, Killed, Normal
from antq_actors.otp.kernel.stopping import discard_abandoned

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from pykka._envelope import Envelope

    from antq_actors.otp.kernel.cell import ActorCell, ServerRef

logger = logging.getLogger("antq_actors.otp")

_PROXY_MESSAGES = (messages.ProxyCall, messages.ProxyGetAttr, messages.ProxySetAttr)


class ActorLoop(ThreadingActor):
    """Runs the callbacks of a GenServer, one at a time, and sees to it that its end is one end."""

    crash_on_ask: ClassVar[bool]
    idle_timeout: float | timedelta | None
    from_: Any
    _otp_cell: ActorCell
    _otp_ref: ServerRef

    # What GenServer defines, and its subclasses write.
    init: Callable[[], Any]
    handle_call: Callable[[Any], Any]
    handle_cast: Callable[[Any], None]
    handle_info: Callable[[Any], None]
    handle_continue: Callable[[Any], None]
    terminate: Callable[[ExitReason], None]

    @property
    def mailbox(self) -> Mailbox:
        """The actor's mailbox, pykka's inbox."""
        inbox = self.actor_inbox
        assert isinstance(inbox, Mailbox)  # noqa: S101 - made by _create_actor_inbox
        return inbox

    @staticmethod
    def _create_actor_inbox() -> Any:
        return Mailbox()

    # ---- the loop -------------------------------------------------------------------------

    def _actor_loop(self) -> None:
        """Run the actor's whole life in this thread; no exception leaves it."""
        cell = self._otp_cell
        thread = threading.current_thread()
        thread.name = str(cell)
        cell.thread = thread
        local.cell = cell
        try:
            reason = self._otp_live()
        except BaseException as error:  # noqa: BLE001 - not one actor may end the others
            reason = Crash(error)
        local.cell = None
        end_life(cell, reason)

    def _otp_live(self) -> ExitReason:
        if self._otp_cell.reason is not None:
            return self._otp_cell.reason  # killed before its turn came: it must not begin
        self.__show_current(Init())
        token, refused = self.__begin()
        if refused is not None:
            return refused
        try:
            if token is not None:
                self.__contained(self.handle_continue, token.token, of=token)
            mailbox = self.mailbox
            while True:
                timeout = None if self.idle_timeout is None else self.__checked_idle_timeout()
                message = mailbox.get(timeout)
                if message is None:
                    if self._otp_cell.reason is not None:
                        return self._otp_cell.reason  # killed; its reason is known
                    self.__contained(self.handle_info, IdleTimeout(), of=IdleTimeout())
                elif isinstance(message, ExitSignal):
                    reason = message.reason
                    break
                else:
                    self.__contained(self.__receive, message, of=message)
                message = None  # not kept while it waits for the next
        except Stop as stop:
            reason = stop.reason
        except BaseException as error:  # noqa: BLE001 - contained: it ends this actor only
            reason = Crash(error)
        self.__end_if_forked(reason)
        return self.__finish(reason)

    def __checked_idle_timeout(self) -> float | None:
        timeout = self.idle_timeout
        return None if timeout is None else timeout_seconds(timeout, "idle_timeout")

    def __contained(self, fn: Callable[[Any], None], argument: Any, *, of: Any) -> None:
        cell = self._otp_cell
        self.__show_current(of)
        try:  # noqa: SIM105 - a suppress() takes three calls
            fn(argument)
        except Interrupt:
            pass  # it only makes the handler end; the signal it stands for waits in the mailbox
        if cell.is_forked:
            cell.end_if_forked()
        cell.current_message = None

    def __end_if_forked(self, reason: ExitReason) -> None:
        self._otp_cell.end_if_forked(reason.exception if isinstance(reason, Crash) else None)

    def __show_current(self, what: Any) -> None:
        cell = self._otp_cell
        cell.current_message = (what, time.monotonic())
        for observer in cell.observers:
            observer.on_receive(what)

    def __begin(self) -> tuple[Continue | None, ExitReason | None]:
        """Run ``init``; return the Continue to go on with, or the reason if the actor ends."""
        try:
            self.on_start()
            answer = _checked(self.init())
            self.__checked_idle_timeout()
        except Stop as stop:
            return None, self.__refuse(stop.reason)
        except Interrupt:
            return None, self.__refuse(self.__ordered_reason())
        except BaseException as error:  # noqa: BLE001 - it is the starter's business
            return None, self.__refuse(Crash(error))
        if answer is IGNORE:
            self._otp_cell.ignored = True
            return None, self.__refuse(Normal())
        self._otp_cell.end_if_forked()
        self._otp_cell.current_message = None
        if not self._otp_cell.tell_starter(self._otp_ref):
            return None, Killed()  # as one that took too long in init is by its starter
        return (answer if isinstance(answer, Continue) else None), None

    def __refuse(self, reason: ExitReason) -> ExitReason:
        self.__end_if_forked(reason)
        # The starter gets the reason as its answer; as an exit signal it would get it twice.
        self.__unlink_parent()
        return reason

    def __ordered_reason(self) -> ExitReason:
        """Take the exit signal behind an Interrupt from the mailbox, and return its reason."""
        signal = self.mailbox.get(0)
        return signal.reason if isinstance(signal, ExitSignal) else Killed()

    def __unlink_parent(self) -> None:
        if self._otp_cell.started is not None:
            self._otp_cell.unlink_parent()

    def __finish(self, reason: ExitReason) -> ExitReason:
        if self._otp_cell.reason is not None:
            return self._otp_cell.reason
        self.__show_current(Terminate(reason))
        self._otp_cell.is_finishing = True
        # terminate runs also when pykka's hook before it failed.
        reason = self.__reason_after(self.__call_pykka_hook, reason)
        return self.__reason_after(self.terminate, reason)

    def __call_pykka_hook(self, reason: ExitReason) -> None:
        if isinstance(reason, Crash):
            error = reason.exception
            self.on_failure(type(error), error, error.__traceback__)
        else:
            self.on_stop()

    def __reason_after(
        self, clean_up: Callable[[ExitReason], None], reason: ExitReason
    ) -> ExitReason:
        try:
            clean_up(reason)
            self._otp_cell.end_if_forked()
        except Stop as stop:
            return stop.reason
        except Interrupt:
            return reason
        except BaseException as error:  # noqa: BLE001 - contained: a failed clean-up is a crash
            self._otp_cell.end_if_forked(error)
            crash = Crash(error)
            if crash != reason and isinstance(reason, Crash):
                _log_crash(self._otp_cell, reason)  # the first, which nothing else reports
            return crash
        return reason

    # ---- messages -------------------------------------------------------------------------

    def take_call(self, call: Call) -> None:
        """Handle a call of this actor in its caller's thread, which runs the turn inline."""
        cell = self._otp_cell
        before = self.from_, cell.current_message
        cell.current_message = (call, time.monotonic())
        self.__answer_call(call)
        # Those of the turn within which this one was run, if there is one.
        self.from_, cell.current_message = before

    def take_turn(self, envelope: Envelope[Any]) -> None:
        """Handle one message of this actor in a caller's thread, which runs the turn inline."""
        cell = self._otp_cell
        before = self.from_, cell.current_message
        cell.current_message = (envelope, time.monotonic())
        message = envelope.message
        if issubclass(type(message), Call):  # a message may lie of its class
            self.__answer_call(message)
        else:
            self.__receive(envelope)
        # Those of the turn within which this one was run, if there is one.
        self.from_, cell.current_message = before

    def __receive(self, envelope: Envelope[Any]) -> None:
        message = envelope.message
        if isinstance(message, Call):
            self.__answer_call(message)
        elif isinstance(message, Cast):
            self.handle_cast(message.request)
        elif isinstance(message, StopRequest):
            raise Stop(message.reason)
        elif isinstance(message, messages._ActorStop):  # noqa: SLF001 - pykka's stop
            raise Stop  # answered when the actor has died, as every open question is
        elif envelope.reply_to is not None:
            self.__answer_ask(envelope)
        elif isinstance(message, _PROXY_MESSAGES):
            self._handle_receive(message)
        else:
            self.__tell(message)

    def __answer_call(self, call: Call) -> None:
        cell = self._otp_cell
        self.from_ = call
        value = self.handle_call(call.request) if type(call) is Call else call.put_to(self)
        if cell.is_forked:
            cell.end_if_forked()
        self.from_ = None
        if value is not NOREPLY:
            if cell.observers:
                self.__show_reply(call.request, value)
            call.answer(value)
            cell.mailbox.calls.discard(call)

    def __answer_ask(self, envelope: Envelope[Any]) -> None:
        asker = ReplyTo(envelope, self.mailbox)
        try:
            value = self.__ask(envelope, asker)
            self._otp_cell.end_if_forked()
        except Stop:
            raise
        except Interrupt:
            asker.keep_open()
            raise
        except Exception as error:
            self._otp_cell.end_if_forked(error)
            if not self.crash_on_ask:
                # pykka's words and level. It may be the only trace: answers may go unread.
                logger.info("Exception returned from %s to caller:", self._otp_cell, exc_info=True)
            asker.answer(None, error)
            if self.crash_on_ask:
                raise
            return
        if value is NOREPLY:
            asker.keep_open()
        else:
            self.__show_reply(envelope.message, value)
            asker.answer(value)

    def __show_reply(self, request: Any, value: Any) -> None:
        for observer in self._otp_cell.observers:
            observer.on_reply(request, value)

    def __ask(self, envelope: Envelope[Any], asker: ReplyTo) -> Any:
        overrides_on_receive = type(self).on_receive is not ThreadingActor.on_receive
        if isinstance(envelope.message, _PROXY_MESSAGES) or overrides_on_receive:
            return self._handle_receive(envelope.message)
        self.from_ = asker
        try:
            return self.handle_call(envelope.message)
        finally:
            self.from_ = None

    def __tell(self, message: Any) -> None:
        if type(self).on_receive is not ThreadingActor.on_receive:
            self.on_receive(message)
        else:
            self.handle_info(message)


def _checked(answer: object) -> object:
    if answer is Continue:  # it would pass for None, and handle_continue would never run
        raise TypeError("init answered the class Continue; write Continue() or Continue(token)")
    if answer is not None and answer is not IGNORE and not isinstance(answer, Continue):
        raise TypeError(
            f"init may return None, Continue(token) or IGNORE, and returned {answer!r}; state is"
            " kept in attributes of self"
        )
    return answer


def _log_crash(cell: ActorCell, reason: Crash) -> None:
    """Log the crash of an actor, unless its starter gets it as a StartError.

    In pykka's words, which programs may look for.
    """
    if cell.started is None or cell.started.is_settled:
        logger.error("Unhandled exception in %s:", cell, exc_info=reason.exception)


def end_life(cell: ActorCell, reason: ExitReason) -> None:
    """End the actor *cell* in its own thread, which is about to leave it; log a crash."""
    try:
        if cell.reason is None and isinstance(reason, Crash):
            _log_crash(cell, reason)
    finally:  # a log handler that raises, too, must not leave anyone waiting
        cell.die(reason)
        cell.current_message = None
        if cell.is_abandoned:
            discard_abandoned(cell)


class ReplyTo:
    """A question by pykka's ``ask``; takes the place of a Call in ``from_``."""

    __slots__ = ("_answered", "_envelope", "_future", "_mailbox")

    def __init__(self, envelope: Envelope[Any], mailbox: Mailbox) -> None:
        self._envelope = envelope
        self._future: Any = envelope.reply_to
        self._mailbox = mailbox
        self._answered = False

    @property
    def request(self) -> Any:
        """The message of the pykka ask."""
        return self._envelope.message

    def answer(self, value: Any, error: BaseException | None = None) -> bool:
        """Set the future of the pykka ask; False if it was set before."""
        self._answered = True
        try:
            if error is None:
                self._future.set(value)
            else:
                self._future.set_exception((type(error), error, error.__traceback__))
        except queue.Full:
            return False
        return True

    def keep_open(self) -> None:
        """Have the actor's end answer the pykka ask, unless it is answered before."""
        self._mailbox.keep_ask_open(self._envelope)
        if self._answered:  # by another thread, before this one noted that it is open
            self.forget()

    def forget(self) -> None:
        """Take the answered pykka ask off the mailbox's list of open ones."""
        self._mailbox.forget_ask(self._envelope)
