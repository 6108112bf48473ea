"""What actors send each other: public messages, and the system's own; and how people read them."""

from __future__ import annotations

import sys
from _thread import allocate_lock, get_ident
from dataclasses import dataclass
from threading import main_thread
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Protocol

from pykka import ThreadingActor, messages
from pykka._envelope import Envelope

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Collection
    from types import CodeType

    from antq_actors.otp.kernel.reasons import ExitReason


class Marker:
    """A value that is only itself."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


IGNORE: Final = Marker("IGNORE")
"""Returned by ``init``: there is nothing to do here, and that is no failure."""

NOREPLY: Final = Marker("NOREPLY")
"""Returned by ``handle_call``: the reply comes later, through ``reply(from_, value)``."""


@dataclass(frozen=True, slots=True)
class Continue:
    """Returned by ``init``: go on in ``handle_continue`` before any message (otp rule 72)."""

    token: Any = None


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
    """Has an actor end; it travels in the mailbox's first lane."""

    reason: ExitReason


SIGNAL_PAUSE_SECONDS: Final = 0.5
"""Seconds after which the main thread, while it waits, handles a signal that did not wake it."""


class Promise:
    """Something that is settled exactly once, with a value or an error. The first answer wins.

    A thread that answers may be cut short at any bytecode. To settle is one step, and what comes
    after it may be done twice: whoever answers again, in vain, wakes those that still sleep.
    """

    __slots__ = ("__dict__",)

    given: tuple[Any, BaseException | None] | None = None
    """The value and the error that settled this; None: nothing has."""
    _sleepers: Collection[LockType] = ()
    """Where the threads that wait sleep: each at a lock of its own, until that is released."""
    _delivers_elsewhere = False
    """Whether a subclass has another ``deliver`` than to wake the waiters."""

    def __init_subclass__(cls) -> None:
        cls._delivers_elsewhere = cls.deliver is not Promise.deliver

    def __init__(self) -> None:
        # Its dict is made while nobody else has it. Two threads that need it later may come to have
        # one each in CPython 3.11, with the same memory: the collector runs where a dict is made,
        # and finalizers in it, which let other threads go on.
        self.__dict__  # noqa: B018 - made by this

    def answer(self, value: Any, error: BaseException | None = None) -> bool:
        """Settle this promise and wake the threads that wait; False if it was settled before."""
        given = (value, error)
        try:
            is_first = self.__dict__.setdefault("given", given) is given
            if self._sleepers or self._delivers_elsewhere:
                self.deliver()
        except BaseException:
            if self.given is not None:
                self.deliver()
            raise
        return is_first

    def deliver(self) -> None:
        """Wake the threads that wait for this promise; again, if it was done before."""
        for sleeper in tuple(self._sleepers):
            _release(sleeper)

    @property
    def is_settled(self) -> bool:
        """Whether the answer was given, as an actor's reply or by the actor's death."""
        return self.given is not None

    @property
    def value(self) -> Any:
        """The value that settled this promise; None before, and with an error."""
        return None if self.given is None else self.given[0]

    @property
    def error(self) -> BaseException | None:
        """The error that settled this promise; None before, and with a value."""
        return None if self.given is None else self.given[1]

    def wait(self, timeout: float | None) -> bool:
        """Wait in this thread until the promise is settled; False after *timeout* seconds."""
        if self.given is not None:
            return True
        sleeper = allocate_lock()
        sleeper.acquire()
        sleepers = self.__dict__.setdefault("_sleepers", [])
        try:
            # First this, then a look: whoever settles it after the look sees that somebody sleeps.
            sleepers.append(sleeper)
            if self.given is None:
                _sleep(sleeper, timeout)
        finally:
            if sleeper in sleepers:
                sleepers.remove(sleeper)
        return self.given is not None


def _sleep(lock: LockType, timeout: float | None) -> None:
    """Sleep until *lock* is released, or for *timeout* seconds.

    A signal that comes while this thread hands the interpreter over, before it sleeps, does not
    wake it: Python only handles it when the main thread goes on. So that one wakes now and then.
    """
    if get_ident() != main_thread().ident:
        lock.acquire(timeout=-1 if timeout is None else timeout)
        return
    until = None if timeout is None else monotonic() + timeout
    left = timeout
    while left is None or left > 0:
        pause = SIGNAL_PAUSE_SECONDS if left is None else min(left, SIGNAL_PAUSE_SECONDS)
        if lock.acquire(timeout=pause):
            return
        left = None if until is None else until - monotonic()


def _release(lock: LockType) -> None:
    if lock.locked():
        try:  # noqa: SIM105 - a suppress() takes three calls
            lock.release()
        except RuntimeError:
            pass  # another thread was quicker


class Call(Promise):
    """A request that is owed an answer: by the server, or by the server's death."""

    __slots__ = ("kept_in", "request")

    callback = "handle_call"
    """What answers it."""

    def __init__(self, request: Any) -> None:
        self.__dict__  # noqa: B018 - as a Promise does it, and without another call
        self.request = request
        self.kept_in: set[Call] | None = None
        """The open calls of the actor that took it."""

    def put_to(self, actor: Any) -> Any:
        """Return what *actor* answers to this call, in the thread that runs the actor's turn."""
        return actor.handle_call(self.request)

    def forget(self) -> None:
        """Take this answered call off the list of open calls of the actor that has it."""
        if self.kept_in is not None:
            self.kept_in.discard(self)

    @property
    def is_wanted(self) -> bool:
        """Whether a caller still waits for the answer, as far as can be known."""
        return True


class SystemCall(Call):
    """A request of the system's own, which an actor also takes while it is suspended."""

    __slots__ = ()


# ---- what an actor does now, and in which thread ------------------------------------------


class Init(NamedTuple):
    """The actor runs ``init``."""


class Terminate(NamedTuple):
    """The actor runs ``terminate``."""

    reason: ExitReason


class Turn:
    """A thread that runs an actor's turns, in place of all others: its own, or a foreign one."""

    __slots__ = ("code", "takes_messages", "thread")

    def __init__(self, code: CodeType | None, *, takes_messages: bool) -> None:
        self.thread = get_ident()
        self.code = code
        """Of the function that runs it and has it as its local variable *turn*; None: its own."""
        self.takes_messages = takes_messages
        """Whether it may take what others have sent."""

    def is_under_way(self) -> bool:
        """Return whether the turn's function still runs, by a look at its thread's frames.

        An exception that another thread or a signal raises may come at any bytecode, also in the
        middle of the code that is there to clean up after the first one.
        """
        frame = sys._current_frames().get(self.thread)  # noqa: SLF001 - documented, for debuggers
        while frame is not None:
            if frame.f_code is self.code and frame.f_locals.get("turn") is self:
                return True
            frame = frame.f_back
        return self.code is None


class InlineActor(Protocol):
    """An actor whose turns another thread may run; see `messaging/calls.py`."""

    is_reentrant: ClassVar[bool]
    """Whether its turns may run in the middle of one of its own."""
    has_short_turns: bool
    """Whether its turns take a fraction of a millisecond."""

    def can_run_inline(self) -> bool:
        """Return whether a thread that calls this actor may run the turn itself now."""

    def take_call(self, call: Call, /) -> None:
        """Handle a call of this actor, in the thread of its caller."""

    def take_turn(self, envelope: Envelope[Any], /) -> None:
        """Handle one message of this actor, in the thread of a caller."""

    def ends_with(self, error: BaseException, /) -> bool:
        """Return whether *error*, raised in such a turn, ends the actor, and not its caller."""


class Observer(Protocol):
    """Sees what one actor does, in that actor's thread, before and after it is done."""

    def on_receive(self, what: Any, /) -> None:
        """Note that the actor begins with *what*: a message, Init or Terminate; see `described`."""

    def on_reply(self, request: Any, value: Any, /) -> None:
        """Note that the actor replies to a call or an ask."""

    def on_send(self, how: str, message: Any, dest: Any, /) -> None:
        """Note that the actor sends *message* to another actor."""


class Described(NamedTuple):
    """What an actor does, in the words of the author of its class."""

    callback: str
    """The method that runs: "handle_call", "init", …"""
    message: Any
    """What that was given; None for ``init``."""


def described(what: Any, actor_class: type[Any]) -> Described:  # noqa: PLR0911 - one for each kind
    """Return the callback of *actor_class* that handles *what*, as the tree and traces show it."""
    if not isinstance(what, Envelope):
        return _describe_own(what)
    message = what.message
    match message:
        case Call():
            return Described(message.callback, message.request)
        case Cast(request):
            return Described("handle_cast", request)
        case StopRequest(reason):
            return Described("stop", reason)
        case messages._ActorStop():  # noqa: SLF001 - pykka's stop
            return Described("stop", None)
        case messages.ProxyCall() | messages.ProxyGetAttr() | messages.ProxySetAttr():
            return Described("proxy", message)
    if actor_class.on_receive is not ThreadingActor.on_receive:
        return Described("on_receive", message)
    return Described("handle_info" if what.reply_to is None else "handle_call", message)


def _describe_own(what: Any) -> Described:
    """Return the callback for what is in no envelope: ``init``, ``terminate``, an idle timeout."""
    match what:
        case Call():  # by a thread that runs the turn inline
            return Described(what.callback, what.request)
        case Init():
            return Described("init", None)
        case Terminate(reason):
            return Described("terminate", reason)
        case Continue(token):
            return Described("handle_continue", token)
        case _:
            return Described("handle_info", what)
