"""An actor's identity towards others: its cell, the refs that lead there, and its one death.

pykka's actor object belongs to the actor's own thread. An `ActorCell` may be touched by any thread,
and outlives the actor: a `ServerRef` keeps it, so that asking about a dead actor has an answer.
Everything that has to happen when an actor ends, happens in :meth:`ActorCell.die`, once, in OTP's
order.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
import weakref
from _thread import RLock
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Protocol, Self, TypeAlias

from pykka import Actor, ActorDeadError, ActorRef, ActorRegistry, messages
from pykka._envelope import Envelope

from antq_actors import forked_child
from antq_actors.otp.kernel import stopping
from antq_actors.otp.kernel.errors import CallExit
from antq_actors.otp.kernel.messages import IGNORE, Call, ExitSignal, Promise
from antq_actors.otp.kernel.reasons import Crash, ExitReason, Killed, NoProc, Normal
from antq_actors.otp.kernel.stopping import Interruptible, wake_in_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from antq_actors.otp.kernel.mailbox import Mailbox
    from antq_actors.otp.kernel.messages import InlineActor, Observer

next_number: Final = itertools.count(1).__next__
"""Return another number for the name of an actor."""

Watcher: TypeAlias = "Callable[[ServerRef, ExitReason], object]"
"""Called once, when an actor has ended."""


class Exited(NamedTuple):
    """A linked actor ended, or sent an exit signal, and the receiver traps exits (otp rule 65)."""

    ref: ServerRef | None
    reason: ExitReason


class Cleanup(Protocol):
    """Gives back what an actor has somewhere, before anyone is told of its end."""

    def on_exit(self, cell: ActorCell, /) -> None:
        """Give back what the actor *cell* has here: it has ended."""


class ActorCell:
    """What the rest of the program knows of one actor."""

    def __init__(self, ref: ServerRef, mailbox: Mailbox, *, registered: bool) -> None:
        # A ref holds its cell. If that held the ref, too, thousands of them a second would be
        # garbage that only the collector finds; while the actor lives, it holds its ref.
        self._ref = weakref.ref(ref)
        self._ref_type = type(ref)
        self.actor_class = ref.actor_class
        self.actor_urn = ref.actor_urn
        self.actor_weakref = ref._actor_weakref  # noqa: SLF001 - for another ref to the same actor
        self.mailbox = mailbox
        self.number = next_number()
        self.name: str | None = None
        self.parent: ServerRef | None = None
        """The actor that started it linked; its exit signals cannot be trapped."""
        self.reason: ExitReason | None = None
        """Why it ended; None while it lives."""
        self.started: Promise | None = None
        """What its starter waits for until ``init`` is through; None if it does not wait."""
        self.started_at = time.monotonic()
        self.thread: threading.Thread | None = None
        self.current_message: tuple[Any, float] | None = None
        """What it handles, and since when on the monotonic clock; None when it waits for one."""
        self.observers: tuple[Observer, ...] = ()
        """Those that see what it does; replaced, never changed."""
        self.interruptible = Interruptible()
        self._registered = registered
        self._lock = RLock()
        self._watchers: dict[object, Watcher] = {}
        self._links: dict[ActorCell, None] = {}
        self._cleanups: dict[Cleanup, None] | None = None

    # What few actors have is in the class, so that the others need no entry for it.
    trap_exit = False
    exit_filter: Callable[[ServerRef | None, ExitReason], bool] | None = None
    """Called in the thread that ends: whether an Exited needs no handling any more."""
    inline_actor: InlineActor | None = None
    """The actor itself, while it lives, if its turns may run inline."""
    directory: Any = None
    """What a Via into this actor is looked up in, if it is a registry of some kind."""
    ignored = False
    """Whether ``init`` returned IGNORE, which its starter gets when the name is free again."""
    waits_for: tuple[ActorCell, Promise] | None = None
    """The actor it waits for, and the answer it waits for."""
    asks: ActorCell | None = None
    """The actor whose answer pykka's ``ask`` waits for in its thread; no call fails for that."""
    set_when_stopped: threading.Event | None = None
    """pykka's ``actor_stopped``: of a task actor, only when something has asked for it."""
    has_stopped = False
    """What pykka's ``is_alive`` goes by: whether its name is free and the registry has lost it."""
    is_abandoned = False
    """Whether its thread was busy when it was killed."""
    is_forked = False
    """Whether this is a forked child, which has a copy of the actor and, at most, of its thread."""
    killed_with_parent = False
    """Whether its supervisor was killed, so that it ends, too."""
    is_finishing = False
    """Whether its last callbacks run: it takes no more messages, and is not dead yet."""
    tasks: dict[ActorCell, Any] | None = None
    """The children of a supervisor that are task cells; None where it can have none."""
    stopped_with_all = False
    """Whether pykka's ``ActorRegistry.stop_all()`` stops it, or will: then it restarts no child."""

    def __str__(self) -> str:
        return self.name or f"{self.actor_class.__name__}-{self.number}"

    @property
    def ref(self) -> ServerRef:
        """The ServerRef of the actor; after the actor's end another one, if the first is gone."""
        ref = self._ref()
        if ref is None:
            ref = self._ref_type.to_ended(self)
            self._ref = weakref.ref(ref)
        return ref

    def stopped_event(self) -> threading.Event:
        """Return the event that the actor's end sets; a task actor's is made here, when asked."""
        event = self.set_when_stopped
        if event is None:  # two threads may come here at once
            event = self.__dict__.setdefault("set_when_stopped", threading.Event())
        if self.has_stopped:
            event.set()
        return event

    def stop_requested(self) -> bool:
        """Return whether the actor has ended, or has an exit signal."""
        return self.reason is not None or self.mailbox.signals is not None

    def awaited(self) -> ActorCell | None:
        """Return the actor for which this one waits: for its answer, its start or its end."""
        waits_for = self.waits_for  # read once: its thread goes on in the meantime
        if waits_for is None or waits_for[1].is_settled:
            return self.asks
        return waits_for[0]

    def has_ended(self) -> bool:
        """Return whether the actor has ended."""
        return self.reason is not None

    def tell_starter(self, answer: Any) -> bool:
        """Wake the starter, as ``init`` has returned *answer*; False if the actor must not go on.

        That is when its starter has given it up, or it was killed.
        """
        started = self.started  # read once: its end takes it away
        is_heard = started is None or started.answer(answer)
        return is_heard and self.reason is None

    def give_up_start(self, started: Promise, why: str) -> None:
        """Kill the actor, whose starter has stopped waiting, unless ``init`` is through.

        As with every start that fails, its starter hears of it as an error, and by no link.
        """
        waits_for = self.waits_for  # read once: its thread goes on meanwhile
        hint = "" if waits_for is None else f"; it waited for {waits_for[0]}"
        late = TimeoutError(f"{why}, and was killed{hint}")
        if started.answer(None, CallExit(Crash(late))):
            self.unlink_parent()
            self.kill()

    def unlink_parent(self) -> None:
        """Remove the link between the actor and the actor that started it."""
        if self.parent is not None:
            parent = self.parent.cell
            parent.unlink(self)
            self.unlink(parent)

    def withdraw(self) -> None:
        """Take the actor, which was killed while it was being started, off all lists of the living.

        Its end may have come before it was on them.
        """
        living.pop(self, None)
        if self._registered:
            ActorRegistry.unregister(self.ref)
        self.unlink_parent()

    # ---- watching -------------------------------------------------------------------------

    def watch(self, key: object, watcher: Watcher) -> bool:
        """Have *watcher* called at the actor's end, in the ending thread; False if it ended."""
        with self._lock:
            if self.reason is not None:
                return False
            self._watchers[key] = watcher
            return True

    def unwatch(self, key: object) -> None:
        """Remove the watcher of the actor's end that was added with *key*."""
        with self._lock:
            self._watchers.pop(key, None)

    def link(self, other: ActorCell) -> bool:
        """Have the actor *other* get an exit signal at this one's end; False if this is dead."""
        with self._lock:
            if self.reason is not None:
                return False
            self._links[other] = None
            return True

    def be_child_of(self, parent: ActorCell) -> bool:
        """Link this actor, which has not begun, to its *parent*; False if that is dead."""
        self.parent = parent.ref
        self._links[parent] = None
        return parent.link(self)

    def unlink(self, other: ActorCell) -> None:
        """Let the actor *other* get no exit signal at this actor's end."""
        with self._lock:
            self._links.pop(other, None)

    def is_linked_to(self, other: ActorCell) -> bool:
        """Return whether the actor *other* gets an exit signal at this actor's end."""
        with self._lock:
            return other in self._links

    def add_cleanup(self, cleanup: Cleanup) -> bool:
        """Call *cleanup* at the actor's end, before anyone is told; False if it has ended."""
        with self._lock:
            if self.reason is not None:
                return False
            if self._cleanups is None:
                self._cleanups = {}
            self._cleanups[cleanup] = None
            return True

    def remove_cleanup(self, cleanup: Cleanup) -> None:
        """Do not call *cleanup* at the actor's end any more."""
        with self._lock:
            if self._cleanups is not None:
                self._cleanups.pop(cleanup, None)

    def add_observer(self, observer: Observer) -> None:
        """Have *observer* see the messages that the actor handles and sends from now on."""
        with self._lock:
            self.observers = (*self.observers, observer)

    def remove_observer(self, observer: Observer) -> None:
        """Let *observer* see no more of what the actor does."""
        with self._lock:
            self.observers = tuple(each for each in self.observers if each is not observer)

    # ---- exit signals ---------------------------------------------------------------------

    def exit(
        self,
        sender: ActorCell | None,
        reason: ExitReason,
        *,
        by_link: bool = False,
        wake: bool = True,
    ) -> None:
        """Receive an exit signal from *sender*: end, ignore it, or queue it (otp rules 65 and 66).

        Without *wake*, the actor may sleep on: waking it is left to the sender.
        """
        if isinstance(reason, Killed) and not by_link:
            self.kill()
            return
        sender_ref = None if sender is None else sender.ref
        if isinstance(reason, Killed) and sender_ref is not None and sender_ref is self.parent:
            # Its supervisor is gone without having stopped it, and nobody else would, if it hangs.
            self.killed_with_parent = True
            if not self.mailbox.asleep:
                self.kill()
                return
        if self.trap_exit and (sender_ref is None or sender_ref is not self.parent):
            exit_filter = self.exit_filter  # read once: its end takes it away
            if exit_filter is None or not exit_filter(sender_ref, reason):
                self.ref.deliver(Exited(sender_ref, reason))
            return
        if isinstance(reason, Normal) and sender is not self and not self.trap_exit:
            return
        if self.mailbox.signal(ExitSignal(reason), wake=wake):
            self.interruptible.interrupt()

    def kill(self) -> None:
        """Declare the actor dead. Its thread goes on: it is fenced, and listed as an orphan.

        Otp rule 74 is the precedent: Erlang does the same with a process in native code.
        """
        if self.die(Killed(), abandon=True):
            self.interruptible.interrupt()

    # ---- the end --------------------------------------------------------------------------

    def end_if_forked(self, error: BaseException | None = None) -> None:
        """End this OS process if it was forked in a callback of the actor."""
        if self.is_forked:
            forked_child.end(error)

    def die(self, reason: ExitReason, *, abandon: bool = False) -> bool:
        """End the actor for *reason*, and notify all who wait for it; False if it had ended before.

        With *abandon*, its thread is listed as an orphan if it is busy.

        OTP's order: nothing more gets in, names are free (otp rule 62), whoever waited for an
        answer is told, then those who watch, then those who are linked.
        """
        watchers: dict[object, Watcher] = {}
        links: dict[ActorCell, None] = {}
        cleanups: dict[Cleanup, None] | None = None
        try:
            with self._lock:
                if self.reason is not None:
                    return False
                watchers, links, cleanups = self._watchers, self._links, self._cleanups
                self.reason = reason
                if abandon and self.thread is not None:
                    # Under the lock, which the thread takes, too, before it takes itself off the
                    # list.
                    self.is_abandoned = True
                    stopping.add_abandoned(self, self.thread)
                self._watchers, self._links, self._cleanups = {}, {}, None
            self._part(reason, cleanups, watchers, links)
        except BaseException:
            # Ctrl-C in a thread that kills it, say: those who wait must hear of the end all the
            # same, and rather twice.
            if self.reason is reason:
                self._part(reason, cleanups, watchers, links)
            raise
        return True

    def _part(
        self,
        reason: ExitReason,
        cleanups: dict[Cleanup, None] | None,
        watchers: dict[object, Watcher],
        links: dict[ActorCell, None],
    ) -> None:
        unanswered = self.mailbox.close()
        if self.mailbox.was_idle and self.is_abandoned:
            stopping.discard_abandoned(self)
        ref = self.ref
        try:
            if self._registered:
                ActorRegistry.unregister(ref)
        finally:  # it logs, and a log handler that raises must not leave anyone waiting
            self.has_stopped = True
            if self.set_when_stopped is not None:
                self.set_when_stopped.set()
            for cleanup in cleanups or ():
                cleanup.on_exit(self)
            living.pop(self, None)
            if unanswered or self.started is not None:
                self._answer(unanswered, reason)
                self.mailbox.unanswered = ()
            for watcher in watchers.values():
                watcher(ref, reason)
            if links or self.tasks:
                self._signal(ref, reason, links)
            self.started = None
            # A ref may outlive the actor by far, and leads here: nothing here may lead to it.
            if self.inline_actor is not None:
                self.inline_actor = None
            if self.exit_filter is not None:
                self.exit_filter = None

    def _signal(self, me: ServerRef, reason: ExitReason, links: dict[ActorCell, None]) -> None:
        """Send an exit signal to every actor that is linked to this one, which has ended."""
        # Its children before all others: when a supervisor was killed, they should be on their way
        # out before its own supervisor starts the next one.
        children: list[ActorCell] = []
        others: list[ActorCell] = []
        if self.tasks:
            # Of the link to a task cell, only that has an entry.
            tasks = [cell for cell in self.tasks.copy() if cell.is_linked_to(self)]
            links = links | dict.fromkeys(tasks)
        for linked in links:
            (children if linked.parent is me else others).append(linked)
        if children:
            for child in children:
                child.unlink(self)
                child.exit(self, reason, by_link=True, wake=False)
            wake_in_turn([child.mailbox for child in children])
        for linked in others:
            linked.unlink(self)
            linked.exit(self, reason, by_link=True)

    def end_after_fork(self) -> None:
        """Mark the actor as ended in a forked child, which lacks its thread; notify nothing."""
        self._lock = RLock()
        self._watchers, self._links = {}, {}
        self.is_forked = True
        self.reason = NoProc()
        if isinstance(self.interruptible, Interruptible):
            self.interruptible.reset_after_fork()
        self.mailbox.close_after_fork()
        self.has_stopped = True
        # A thread that is not there may hold its lock.
        self.__dict__.pop("set_when_stopped", None)
        if self._registered:
            ActorRegistry.unregister(self.ref)

    def _answer(self, unanswered: Sequence[Call | Envelope[Any]], reason: ExitReason) -> None:
        """Settle the calls and plain asks that the actor's end leaves open, and its starter."""
        for each in unanswered:
            if isinstance(each, Call):
                each.answer(None, CallExit(reason))
            else:
                self._answer_ask(each)
        if self.started is not None:
            if self.ignored:
                self.started.answer(IGNORE)
            else:
                self.started.answer(None, CallExit(reason))

    def _answer_ask(self, envelope: Envelope[Any]) -> None:
        # The future is full when the actor answered in the same moment, which is as good.
        with suppress(queue.Full):
            if isinstance(envelope.message, messages._ActorStop):  # noqa: SLF001 - pykka's stop
                envelope.reply_to.set(None)  # type: ignore[union-attr]
            else:
                error = ActorDeadError(f"{self.ref} stopped before handling the message")
                envelope.reply_to.set_exception((ActorDeadError, error, None))  # type: ignore[union-attr]


living: Final[dict[ActorCell, None]] = {}
"""The actors that have begun and not ended; in a forked child they all end."""


class ServerRef(ActorRef[Any]):
    """How others hold an actor. It stays valid, and harmless, after the actor's end."""

    cell: ActorCell

    stop_and_wait: ClassVar[Callable[[ServerRef], None]]
    """Ends an actor and returns when it has ended: `calls.stop`, which needs refs to begin with."""

    def __init__(self, actor: Actor, mailbox: Mailbox, *, registered: bool) -> None:
        # The fields that pykka's own __init__ makes, but for the event, which is made on demand.
        self._actor_weakref = weakref.ref(actor)
        self.actor_class = type(actor)
        self.actor_urn = actor.actor_urn
        self.actor_inbox = mailbox  # type: ignore[assignment] # it can do more
        self.cell = ActorCell(self, mailbox, registered=registered)

    @classmethod
    def to_ended(cls, cell: ActorCell) -> Self:
        """Return another ServerRef to the actor *cell*, which has ended."""
        return cls.of(cell, cell.actor_urn, cell.mailbox, cell.actor_weakref)

    @classmethod
    def of(cls, cell: ActorCell, urn: str, mailbox: Mailbox, actor: weakref.ref[Any]) -> Self:
        """Return a new ServerRef to the actor *cell*, which has this urn, mailbox and object."""
        ref = cls.__new__(cls)
        ref.actor_class, ref.actor_urn = cell.actor_class, urn
        ref._actor_weakref = actor  # noqa: SLF001 - of its own class
        ref.actor_inbox = mailbox  # type: ignore[assignment] # it can do more
        ref.cell = cell
        return ref

    @property
    def actor_stopped(self) -> threading.Event:  # type: ignore[override] # pykka reads
        """The threading.Event of the actor's end, as pykka has it."""
        return self.cell.stopped_event()

    def is_alive(self) -> bool:
        """Return whether the actor has not ended; as in pykka, its end may be under way."""
        return not self.cell.has_stopped

    def __str__(self) -> str:
        return str(self.cell)

    def __repr__(self) -> str:
        # With pykka's words for it, by which ActorRegistry finds it.
        return f"<ServerRef {self}, ActorRef for {super().__str__()}>"

    def tell(self, message: Any) -> None:
        """Send *message* to ``handle_info``. Raises ActorDeadError when the actor has ended."""
        fence()
        note_send("message", message, self.cell)
        super().tell(message)

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Send *message* to ``handle_call`` and wait for the answer, as pykka's ``ask`` does.

        An actor in its last callbacks takes no more messages, so this raises ActorDeadError, as in
        pykka. pykka's ``stop`` waits for the end, except in an actor that is in its own last
        callbacks: it could wait for itself, or two for each other.
        """
        if self.cell.is_finishing and (
            not isinstance(message, messages._ActorStop)  # noqa: SLF001 - pykka's stop
            or _is_finishing(local.cell)
        ):
            gone = self.actor_class._create_future()  # noqa: SLF001 - pykka's
            gone.set_exception((ActorDeadError, ActorDeadError(f"{self} not found"), None))
            return gone.get() if block else gone
        if self.is_alive():  # else its end is the answer, also for a thread that may not send
            fence()
        me = local.cell
        if me is None or not block:
            return super().ask(message, block=block, timeout=timeout)
        me.asks = self.cell
        try:
            return super().ask(message, timeout=timeout)
        finally:
            me.asks = None

    def deliver(self, message: Any) -> bool:
        """Put *message* into the actor's mailbox, unobserved; False if that is closed."""
        return self.cell.mailbox.deliver(Envelope(message))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the actor and wait for its end, or do nothing if it has ended."""
        with suppress(CallExit):
            self.stop_and_wait()


def _is_finishing(cell: ActorCell | None) -> bool:
    return cell is not None and cell.is_finishing


# ---- the actor of this thread --------------------------------------------------------------------


class _Local(threading.local):
    cell: ActorCell | None = None


local: Final = _Local()
"""This thread's actor, under ``cell``: for the hot path, and to change it. See `current_cell`."""


def current_cell() -> ActorCell | None:
    """Return the cell of the actor that runs in this thread; None in a plain thread."""
    return local.cell


def note_send(how: str, message: Any, dest: object) -> None:
    """Show the observers of this thread's actor that it sends *message*."""
    cell = local.cell
    if cell is not None:
        for observer in cell.observers:
            observer.on_send(how, message, dest)


def fence() -> None:
    """Raise CallExit if this thread's actor was declared dead, so that it sends nothing more.

    A thread cannot be killed. It can be kept from sending anything: OTP's own rule for a process
    stuck in native code (otp rule 74).
    """
    cell = local.cell
    if cell is not None and cell.reason is not None:
        raise CallExit(
            cell.reason,
            f"{cell.ref} was declared dead ({cell.reason}); what its thread still does"
            " reaches nobody",
        )
