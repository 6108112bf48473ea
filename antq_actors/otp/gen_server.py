"""The base of every actor here: OTP's gen_server on a pykka actor.

pykka's loop lets a crash pass unseen in an ask, stops every actor of the program at a
BaseException, and does not tell a starter that ``on_start`` failed. So the loop is written anew,
on the hooks that pykka gives to implementors of actor types; what arrives by pykka's own means
(ask, tell, proxies, stop) still behaves as pykka documents it.
"""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

from pykka import ActorRegistry, ThreadingActor, messages

from antq_actors.otp import abandoned, at_exit, current, forked, names, threads, timers
from antq_actors.otp.child_spec import ChildSpec, ChildType, Restart
from antq_actors.otp.errors import Interrupt, StartError, Stop
from antq_actors.otp.mailbox import Mailbox
from antq_actors.otp.messages import (
    IGNORE,
    NOREPLY,
    Call,
    Cast,
    Continue,
    ExitSignal,
    IdleTimeout,
    Promise,
    StopRequest,
)
from antq_actors.otp.process import log_end, logger
from antq_actors.otp.reasons import Crash, ExitReason, Killed, Normal
from antq_actors.otp.ref import ServerRef
from antq_actors.otp.waits import waiting_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from pykka._envelope import Envelope

    from antq_actors.otp.child_spec import ShutdownTime
    from antq_actors.otp.timers import Timer

P = ParamSpec("P")
T = TypeVar("T")

_PROXY_MESSAGES = (messages.ProxyCall, messages.ProxyGetAttr, messages.ProxySetAttr)


class AskFrom:
    """Who asked by pykka's ``ask``; takes the place of a Call in ``from_``."""

    __slots__ = ("_answered", "_envelope", "_future", "_mailbox")

    def __init__(self, envelope: Envelope[Any], mailbox: Mailbox) -> None:
        self._envelope = envelope
        self._future: Any = envelope.reply_to
        self._mailbox = mailbox
        self._answered = False

    def answer(self, value: Any, error: BaseException | None = None) -> bool:
        """Give the answer; False if there was one before."""
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
        """Have the actor's end answer, unless someone does before."""
        self._mailbox.keep_open(self._envelope)
        if self._answered:  # by another thread, before this one noted that it is open
            self.forget()

    def forget(self) -> None:
        """Let the actor that took it forget it: it was answered."""
        self._mailbox.forget(self._envelope)


class GenServer(ThreadingActor):
    """An actor with OTP's callbacks and OTP's ends.

    Every callback runs in the actor's own thread, one at a time. Raising in one ends the actor
    with ``Crash``; ``raise Stop(reason)`` ends it with *reason*. However it ends, everyone who
    waits for an answer is told, its name is free, and each monitor gets exactly one Down.
    """

    use_daemon_thread: ClassVar[bool] = True
    """Actors run on threads that are used again. A program that ends stops them first."""

    crash_on_ask: ClassVar[bool] = False
    """True: an exception while answering pykka's plain ``ask`` also ends the actor."""

    in_actor_registry: ClassVar[bool] = True
    """False: pykka's ActorRegistry, a list that every end searches, does not see it."""

    child_type: ClassVar[ChildType] = "worker"
    """What ``child_spec`` says it is."""

    idle_timeout: float | None = None
    """Seconds without a message after which ``handle_info`` gets ``IdleTimeout()``."""

    from_: Any = None
    """Who is owed the answer, while ``handle_call`` runs."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        super().__init__()
        self._refer()

    def _refer(self) -> None:
        """Put our ref in the place of pykka's."""
        self._ref = ServerRef(self, registered=self.in_actor_registry)
        self._actor_ref = self._ref
        self._process = self._ref.process

    # ---- callbacks ------------------------------------------------------------------------

    def init(self) -> Any:
        """Prepare, in the actor's own thread; the starter waits for it.

        Answer None, ``Continue(token)`` or ``IGNORE``; ``raise Stop(reason)`` to refuse.
        """

    def handle_call(self, request: Any) -> Any:
        """Answer a ``call`` or a plain ``ask``: with the reply, or with NOREPLY for later."""
        raise TypeError(f"{type(self).__name__} does not understand the call {request!r}")

    def handle_cast(self, request: Any) -> None:
        """Act on a ``cast``."""
        logger.warning("%s ignores an unknown cast: %r", self._process, request)

    def handle_info(self, message: Any) -> None:
        """Act on anything else: Down, Exited, timer messages, plain ``tell``."""
        logger.warning("%s ignores an unknown message: %r", self._process, message)

    def handle_continue(self, token: Any) -> None:
        """Go on after ``init`` answered ``Continue(token)``, before any message."""
        logger.warning("%s ignores an unknown continue: %r", self._process, token)

    def terminate(self, reason: ExitReason) -> None:
        """Clean up. Runs on every end but a kill and a failed ``init``.

        ``raise Stop(other)`` replaces the reason.
        """

    # ---- for subclasses -------------------------------------------------------------------

    @property
    def ref(self) -> ServerRef:
        """The reference to this actor."""
        return self._ref

    @property
    def mailbox(self) -> Mailbox:
        """The actor's inbox."""
        inbox = self.actor_inbox
        assert isinstance(inbox, Mailbox)  # noqa: S101 - made by _create_actor_inbox
        return inbox

    @property
    def mailbox_length(self) -> int:
        """How many messages wait."""
        return len(self.mailbox)

    def send_after(self, seconds: float | timedelta, message: Any) -> Timer:
        """Send *message* to this actor's ``handle_info`` in *seconds*."""
        return timers.send_after(self._ref, message, seconds)

    def interruptible(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Answer ``fn(...)``; an exit signal meanwhile raises Interrupt inside it.

        Let the Interrupt pass: the actor then ends with the signal's reason. It cannot reach a
        thread that sits in C code before that returns.
        """
        process = self._process
        return process.interruptible.run(lambda: process.is_ending, fn, *args, **kwargs)

    # ---- starting -------------------------------------------------------------------------

    @classmethod
    def start(cls, *args: Any, name: str | None = None, **kwargs: Any) -> Any:
        """Start the actor and answer its ref, or IGNORE, when ``init`` is through.

        Raises StartError if ``init`` failed, AlreadyStarted if *name* is taken, TypeError if
        *name* is none; then nothing runs.
        """
        return cls._launch(args, kwargs, name=name, parent=None)

    @classmethod
    def start_link(cls, *args: Any, name: str | None = None, **kwargs: Any) -> Any:
        """Start the actor linked to the actor that calls; from a plain thread: not linked."""
        return cls._launch(args, kwargs, name=name, parent=current.process())

    @classmethod
    def spawn_link(cls, *args: Any, name: str | None = None, **kwargs: Any) -> ServerRef:
        """Start the actor linked, without waiting for ``init``.

        As ``proc_lib:spawn_link``, and as OTP's tasks are started: what goes wrong in ``init``
        is an end like any other.
        """
        return cls._prepare(args, kwargs, name=name, parent=current.process(), is_awaited=False)

    @classmethod
    def child_spec(
        cls,
        *args: Any,
        id: Any = None,  # noqa: A002 - OTP's name
        restart: Restart = Restart.PERMANENT,
        shutdown: ShutdownTime | timedelta | None = None,
        significant: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> ChildSpec:
        """Describe this actor as a child, started with the other arguments.

        Without *id* its id is *name*, or else the class's name. Raises what ChildSpec raises.
        """
        names.check(name)
        if name is not None:
            kwargs["name"] = name
        return ChildSpec(
            id if id is not None else name or cls.__name__,
            cls.start_link,
            args,
            kwargs,
            restart=restart,
            shutdown=shutdown,
            type=cls.child_type,
            significant=significant,
        )

    @classmethod
    def _launch(
        cls, args: tuple[Any, ...], kwargs: dict[str, Any], *, name: str | None, parent: Any
    ) -> Any:
        ref = cls._prepare(args, kwargs, name=name, parent=parent, is_awaited=True)
        started = ref.process.started
        assert started is not None  # noqa: S101 - it is awaited
        with waiting_for(ref.process, started):
            started.wait(None)
        if started.error is None:
            return started.value
        reason = getattr(started.error, "reason", None) or Normal()
        message = f"{ref} did not start: {reason}"
        raise StartError(reason, message=message) from getattr(reason, "exception", None)

    @classmethod
    def _prepare(
        cls,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        name: str | None,
        parent: Any,
        is_awaited: bool,
    ) -> ServerRef:
        current.fence()
        names.check(name)
        actor = cls(*args, **kwargs)
        ref, process = actor._ref, actor._process
        process.started = Promise() if is_awaited else None
        if name is not None:
            names.register(name, process)
        if cls.in_actor_registry:
            ActorRegistry.register(ref)
        if parent is not None:
            process.parent = parent.ref
            process.link(parent)
            if not parent.link(process):
                # Killed since the fence above: nobody would ever end a child of it.
                process.die(parent.reason)
                current.fence()
        else:
            at_exit.add(process)
        forked.add(process)
        try:
            actor._start_actor_loop()
        except RuntimeError as error:  # the system has no thread left
            if parent is not None:
                parent.unlink(process)
                process.unlink(parent)
            process.die(Crash(error))
            raise StartError(Crash(error), message=f"{ref} did not start: {error}") from error
        return ref

    @staticmethod
    def _create_actor_inbox() -> Any:
        return Mailbox()

    def _start_actor_loop(self) -> None:
        if self.use_daemon_thread:
            threads.run(self._actor_loop, is_awaited=self._process.started is not None)
        else:
            threading.Thread(target=self._actor_loop, name=str(self._process)).start()

    # ---- the loop -------------------------------------------------------------------------

    def _actor_loop(self) -> None:
        """Live once, and die once; nothing an actor does gets past this."""
        process = self._process
        thread = threading.current_thread()
        thread.name = str(process)
        process.thread = thread
        current.enter(process)
        try:
            reason = self._live()
        except BaseException as error:  # noqa: BLE001 - not one actor may end the others
            reason = Crash(error)
        current.enter(None)
        try:
            if process.reason is None:
                log_end(process, reason)
        finally:  # a log handler that raises, too, must not leave anyone waiting
            process.die(reason)
            abandoned.discard(process)

    def _live(self) -> ExitReason:
        if self._process.reason is not None:
            return self._process.reason  # killed before its turn came: it must not begin
        token, refused = self._begin()
        if refused is not None:
            return refused
        try:
            if token is not None:
                self._contained(self.handle_continue, token.token)
            while True:
                message = self.mailbox.get(self.idle_timeout)
                if message is None:
                    if self._process.reason is not None:
                        return self._process.reason  # killed; nobody is interested any more
                    self._contained(self.handle_info, IdleTimeout())
                elif isinstance(message, ExitSignal):
                    reason = message.reason
                    break
                else:
                    self._contained(self._receive, message)
        except Stop as stop:
            reason = stop.reason
        except BaseException as error:  # noqa: BLE001 - contained: it ends this actor only
            reason = Crash(error)
        return self._finish(reason)

    def _contained(self, fn: Callable[[Any], None], argument: Any) -> None:
        # An Interrupt only makes the handler end; the signal it stands for waits in the mailbox.
        with suppress(Interrupt):
            fn(argument)

    def _begin(self) -> tuple[Continue | None, ExitReason | None]:
        """Run init; answer what to continue with, and the reason if there is nothing to do."""
        try:
            self.on_start()
            answer = self.init()
        except Stop as stop:
            return None, self._refuse(stop.reason)
        except Interrupt:
            return None, self._refuse(self._ordered_reason())
        except BaseException as error:  # noqa: BLE001 - it is the starter's business
            return None, self._refuse(Crash(error))
        if answer is IGNORE:
            self._process.ignored = True
            return None, self._refuse(Normal())
        self._process.tell_starter(self._ref)
        return (answer if isinstance(answer, Continue) else None), None

    def _refuse(self, reason: ExitReason) -> ExitReason:
        # The starter gets the reason as its answer; as an exit signal it would get it twice.
        self._unlink_parent()
        return reason

    def _ordered_reason(self) -> ExitReason:
        """Answer the reason of the exit signal that an Interrupt stands for."""
        signal = self.mailbox.get(0)
        return signal.reason if isinstance(signal, ExitSignal) else Killed()

    def _unlink_parent(self) -> None:
        if self._process.started is not None and self._process.parent is not None:
            parent = self._process.parent.process
            parent.unlink(self._process)
            self._process.unlink(parent)

    def _finish(self, reason: ExitReason) -> ExitReason:
        if self._process.reason is not None:
            return self._process.reason
        # terminate runs also when pykka's hook before it failed.
        reason = self._reason_after(self._call_pykka_hook, reason)
        return self._reason_after(self.terminate, reason)

    def _call_pykka_hook(self, reason: ExitReason) -> None:
        if isinstance(reason, Crash):
            error = reason.exception
            self.on_failure(type(error), error, error.__traceback__)
        else:
            self.on_stop()

    def _reason_after(
        self, clean_up: Callable[[ExitReason], None], reason: ExitReason
    ) -> ExitReason:
        try:
            clean_up(reason)
        except Stop as stop:
            return stop.reason
        except Interrupt:
            return reason
        except BaseException as error:  # noqa: BLE001 - contained: a failed clean-up is a crash
            return Crash(error)
        return reason

    # ---- messages -------------------------------------------------------------------------

    def _receive(self, envelope: Envelope[Any]) -> None:
        message = envelope.message
        if isinstance(message, Call):
            self._answer_call(message)
        elif isinstance(message, Cast):
            self.handle_cast(message.request)
        elif isinstance(message, StopRequest):
            raise Stop(message.reason)
        elif isinstance(message, messages._ActorStop):  # noqa: SLF001 - pykka's stop
            raise Stop  # answered when the actor has died, as every open question is
        elif envelope.reply_to is not None:
            self._answer_ask(envelope)
        elif isinstance(message, _PROXY_MESSAGES):
            self._handle_receive(message)
        else:
            self._tell(message)

    def _answer_call(self, call: Call) -> None:
        self.from_ = call
        value = self.handle_call(call.request)
        self.from_ = None
        if value is not NOREPLY:
            call.answer(value)
            self.mailbox.calls.discard(call)

    def _answer_ask(self, envelope: Envelope[Any]) -> None:
        asker = AskFrom(envelope, self.mailbox)
        try:
            value = self._ask(envelope, asker)
        except Stop:
            raise
        except Interrupt:
            asker.keep_open()
            raise
        except Exception as error:
            asker.answer(None, error)
            if self.crash_on_ask:
                raise
            return
        if value is NOREPLY:
            asker.keep_open()
        else:
            asker.answer(value)

    def _ask(self, envelope: Envelope[Any], asker: AskFrom) -> Any:
        if isinstance(envelope.message, _PROXY_MESSAGES) or self._overrides_on_receive():
            return self._handle_receive(envelope.message)
        self.from_ = asker
        value = self.handle_call(envelope.message)
        self.from_ = None
        return value

    def _tell(self, message: Any) -> None:
        if self._overrides_on_receive():
            self.on_receive(message)
        else:
            self.handle_info(message)

    def _overrides_on_receive(self) -> bool:
        return type(self).on_receive is not ThreadingActor.on_receive
