"""The base of every actor here: OTP's gen_server on a pykka actor."""

from __future__ import annotations

import inspect
import threading
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

from pykka import ActorRegistry

from antq_actors.checks import timeout_seconds
from antq_actors.otp.actors import pykka_registry
from antq_actors.otp.kernel.cell import ServerRef, current_cell, fence, living
from antq_actors.otp.kernel.child_spec import ChildSpec, ChildType, Restart
from antq_actors.otp.kernel.errors import CallExit, StartError
from antq_actors.otp.kernel.loop import ActorLoop, logger
from antq_actors.otp.kernel.messages import Promise
from antq_actors.otp.kernel.reasons import Crash, ExitReason, Killed, Normal, Shutdown
from antq_actors.otp.messaging import names, timers
from antq_actors.otp.messaging.deadlock import waiting_for
from antq_actors.otp.threads import run_queue

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.kernel.child_spec import ShutdownTime
    from antq_actors.otp.messaging.names import Via
    from antq_actors.otp.messaging.timers import Timer

P = ParamSpec("P")
T = TypeVar("T")


class GenServer(ActorLoop):
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
    """False: pykka's ActorRegistry does not see it."""

    runs_inline: ClassVar[bool] = False
    """True: a thread with a request for it runs the turn itself while it sleeps."""

    is_reentrant: ClassVar[bool] = False
    """True: its turns wait for no other actor, and may also run in the middle of one of its own,
    as when a finalizer, or the handler of a signal, calls it from there."""

    has_short_turns: bool = False
    """True: its turns take a fraction of a millisecond, so an actor that has a request for it lets
    another thread finish one."""

    child_type: ClassVar[ChildType] = "worker"
    """What ``child_spec`` says it is."""

    idle_timeout: float | timedelta | None = None
    """Seconds without a message after which ``handle_info`` gets ``IdleTimeout()``; None: never.

    However long, so infinity means never, too. Anything else fails the start with a StartError, and
    crashes an actor that has started.
    """

    from_: Any = None
    """Who is owed the answer, while ``handle_call`` runs."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        super().__init__()
        self._otp_refer()

    def _otp_refer(self) -> None:
        """Make this actor's ServerRef and ActorCell, and put the ref in the place of pykka's."""
        self._otp_ref = ServerRef(self, self.mailbox, registered=self.in_actor_registry)
        self._actor_ref = self._otp_ref
        self._otp_cell = self._otp_ref.cell
        self._otp_cell.set_when_stopped = self.actor_stopped
        if self.runs_inline:
            self._otp_cell.inline_actor = self
            self.mailbox.allow_inline()

    def _otp_make_up_for_init(self) -> None:
        if not hasattr(self, "_actor_ref"):
            raise TypeError(
                f"{type(self).__name__}.__init__ does not call super().__init__(), which makes the"
                " actor's mailbox and its ref; let that be its first line"
            )
        self._otp_refer()  # it called pykka.ThreadingActor.__init__(self), as pykka's guide allows

    # ---- callbacks ------------------------------------------------------------------------

    def init(self) -> Any:
        """Prepare this actor's state, in the actor's own thread; the starter waits for it.

        Return None, ``Continue(token)`` or ``IGNORE``; ``raise Stop(reason)`` to refuse.
        """

    def handle_call(self, request: Any) -> Any:
        """Return the reply to a ``call`` or a plain ``ask``, or NOREPLY if it comes later."""
        raise TypeError(f"{type(self).__name__} does not understand the call {request!r}")

    def handle_cast(self, request: Any) -> None:
        """Handle the *request* of a ``cast``, which gets no reply."""
        logger.warning("%s ignores an unknown cast: %r", self._otp_cell, request)

    def handle_info(self, message: Any) -> None:
        """Handle any other message: Down, Exited, those of timers, a plain ``tell``."""
        logger.warning("%s ignores an unknown message: %r", self._otp_cell, message)

    def handle_continue(self, token: Any) -> None:
        """Finish the start, before any message, after ``init`` returned ``Continue(token)``."""
        logger.warning("%s ignores an unknown continue: %r", self._otp_cell, token)

    def terminate(self, reason: ExitReason) -> None:
        """Clean up at the actor's end. Runs on every end but a kill and a failed ``init``.

        ``raise Stop(other)`` replaces the reason.
        """

    def can_run_inline(self) -> bool:
        """Return whether a calling thread may run the turn itself now; not before ``init``."""
        return True

    def ends_with(self, error: BaseException) -> bool:
        """Return whether *error*, raised in a turn that a foreign thread ran, ends this actor.

        Otherwise it was meant for that thread, as a KeyboardInterrupt is.
        """
        return isinstance(error, Exception)

    # ---- for subclasses -------------------------------------------------------------------

    @property
    def ref(self) -> ServerRef:
        """The ServerRef of this actor."""
        return self._otp_ref

    @property
    def mailbox_length(self) -> int:
        """How many messages wait in this actor's mailbox."""
        return len(self.mailbox)

    def take_requests(self, limit: int) -> list[Any]:
        """Take up to *limit* calls from the head of the mailbox, to be handled with this one.

        Return what ``from_`` would be for each, with the request as its ``request``; reply to each.
        """
        cell = self._otp_cell
        # Observers see each message begin, so for them they come one by one.
        if cell.observers or not cell.mailbox.messages:
            return []
        return list(cell.mailbox.take_calls(limit))

    def send_after(self, seconds: float | timedelta, message: Any) -> Timer:
        """Send *message* to this actor's ``handle_info`` in *seconds*, by the timer thread."""
        return timers.send_after(self._otp_ref, message, seconds)

    def interruptible(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return ``fn(...)``; an exit signal to this actor raises Interrupt inside it.

        Let the Interrupt pass: the actor then ends with the signal's reason. It cannot reach a
        thread that sits in C code before that returns.
        """
        cell = self._otp_cell
        return cell.interruptible.run(cell.stop_requested, fn, *args, **kwargs)

    # ---- starting -------------------------------------------------------------------------

    @classmethod
    def start(
        cls,
        *args: Any,
        name: str | Via | None = None,
        timeout: float | timedelta | None = None,
        **kwargs: Any,
    ) -> Any:
        """Start the actor in a thread; return its ref, or IGNORE, when ``init`` has returned.

        Raises StartError if ``init`` failed, or took longer than *timeout* seconds (None: no
        limit), AlreadyStarted if *name* is taken, TypeError or ValueError if *name* or *timeout*
        is none; then nothing runs. An actor whose ``init`` is late is killed, so its ``terminate``
        does not run, and the reason of the StartError is a Crash with a TimeoutError. As the
        ``timeout`` of OTP's ``gen_server:start``.

        >>> import threading
        >>> class Slow(GenServer):
        ...     def init(self):
        ...         threading.Event().wait(0.2)
        >>> try:
        ...     Slow.start(name="slow", timeout=0.01)
        ... except StartError as error:
        ...     print(error)
        slow did not start: Crash(TimeoutError: init took longer than 0.01 s, and was killed)
        """
        return cls._otp_launch(args, kwargs, name=name, timeout=timeout, parent=None)

    @classmethod
    def start_link(
        cls,
        *args: Any,
        name: str | Via | None = None,
        timeout: float | timedelta | None = None,
        **kwargs: Any,
    ) -> Any:
        """Start the actor linked to the actor that calls; from a plain thread: not linked.

        Raises what `start` raises. The caller is not linked to an actor that did not start.
        """
        return cls._otp_launch(args, kwargs, name=name, timeout=timeout, parent=current_cell())

    @classmethod
    def spawn_link(cls, *args: Any, name: str | Via | None = None, **kwargs: Any) -> ServerRef:
        """Start the actor linked to the calling actor, without waiting for ``init``.

        As ``proc_lib:spawn_link``, and as OTP's tasks are started: what goes wrong in ``init``
        is an end like any other.
        """
        return cls._otp_prepare(args, kwargs, name=name, parent=current_cell(), started=None)

    @classmethod
    def child_spec(
        cls,
        *args: Any,
        id: Any = None,  # noqa: A002 - OTP's name
        restart: Restart = Restart.PERMANENT,
        shutdown: ShutdownTime | timedelta | None = None,
        significant: bool = False,
        drain: bool = False,
        name: str | Via | None = None,
        timeout: float | timedelta | None = None,
        **kwargs: Any,
    ) -> ChildSpec:
        """Return a ChildSpec that starts this actor, with the other arguments, as a child.

        Without *id* its id is *name*, or else the class's name. With a *timeout* a hung ``init``
        does not hold up its supervisor for ever: after so many seconds it is a start that failed.
        Raises what ChildSpec raises, and TypeError or ValueError for a *name* or *timeout* that is
        none.
        """
        if name is not None:
            names.check_name(name)
            kwargs["name"] = name
        if timeout is not None:
            timeout_seconds(timeout)
            _check_timeout_is_meant(cls, args)
            kwargs["timeout"] = timeout
        return ChildSpec(
            id if id is not None else name or cls.__name__,
            cls.start_link,
            args,
            kwargs,
            restart=restart,
            shutdown=shutdown,
            type=cls.child_type,
            significant=significant,
            drain=drain,
        )

    @classmethod
    def _otp_launch(
        cls,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        name: str | Via | None,
        timeout: float | timedelta | None,
        parent: ActorCell | None,
    ) -> Any:
        limit = timeout_seconds(timeout)
        if limit is not None:
            _check_timeout_is_meant(cls, args)
        started = Promise()
        ref = cls._otp_prepare(args, kwargs, name=name, parent=parent, started=started)
        try:
            with waiting_for(ref.cell, started):
                if not started.wait(limit):
                    ref.cell.give_up_start(started, f"init took longer than {limit} s")
                    # If init was just through, that is the answer, a moment from now.
                    started.wait(None)
        except BaseException:
            # Ctrl-C, say: whoever wanted it will not have its ref.
            ref.cell.exit(None, Shutdown())
            raise
        if started.error is None:
            return started.value
        reason = getattr(started.error, "reason", None) or Normal()
        message = f"{ref} did not start: {reason}"
        raise StartError(reason, message=message) from getattr(reason, "exception", None)

    @classmethod
    def _otp_prepare(
        cls,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        name: str | Via | None,
        parent: Any,
        started: Promise | None,
    ) -> ServerRef:
        fence()
        if name is not None:
            names.check_name(name)
        actor = cls(*args, **kwargs)
        if not hasattr(actor, "_otp_ref"):
            actor._otp_make_up_for_init()
        ref, cell = actor._otp_ref, actor._otp_cell
        try:
            cell.started = started
            if name is not None:
                names.register(name, cell)
            if cls.in_actor_registry:
                ActorRegistry.register(ref)
            actor._otp_begin(parent)
        except BaseException as error:
            # Ctrl-C, say, or a log handler, to which pykka's registry tells of it: what has a name
            # and never begins would be waited for without end.
            if not cell.die(Crash(error)):
                cell.withdraw()
            raise
        return ref

    def _otp_begin(self, parent: ActorCell | None) -> None:
        """Start this actor's life in a service thread, as a child of *parent* if there is one."""
        cell = self._otp_cell
        if parent is None:
            pykka_registry.stop_at_exit(cell)
        else:
            self._otp_join(parent)
        living[cell] = None
        if cell.reason is not None:
            cell.withdraw()  # killed meanwhile, by one that found it by its name, say
            return
        try:
            self._start_actor_loop()
        except RuntimeError as error:  # the system has no thread left
            cell.unlink_parent()
            cell.die(Crash(error))
            text = f"{cell} did not start: {error}"
            raise StartError(Crash(error), message=text) from error

    def _otp_join(self, parent: ActorCell) -> None:
        """Link this new actor to its *parent*; if that is dead, end it and raise CallExit."""
        if not self._otp_cell.be_child_of(parent):
            # Killed since its thread last looked: nobody would ever end a child of it.
            reason = parent.reason or Killed()
            self._otp_cell.die(reason)
            fence()
            raise CallExit(reason)

    def _start_actor_loop(self) -> None:
        if self.use_daemon_thread:
            run_queue.run(self._actor_loop, is_awaited=self._otp_cell.started is not None)
        else:
            threading.Thread(target=self._actor_loop, name=str(self._otp_cell)).start()


def _check_timeout_is_meant(cls: type[GenServer], args: tuple[Any, ...]) -> None:
    """Raise TypeError if *timeout* was perhaps meant for the ``__init__`` of *cls*.

    It goes to ``start``, as a name does; a class that has a parameter of that name would fall back
    on its default without a word.
    """
    signature = inspect.signature(cls.__init__)
    if "timeout" not in signature.parameters:
        return
    try:
        is_given = "timeout" in signature.bind_partial(None, *args).arguments
    except TypeError:
        return  # too many arguments: __init__ says so
    if not is_given:
        raise TypeError(
            f"timeout= of start() and child_spec() is how long init may take, and {cls.__name__}"
            ".__init__ has a timeout, too: give it that one by position, or rename it"
        )
