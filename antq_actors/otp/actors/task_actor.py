"""Actors that come and go by the thousand: each has one thing to do, and ends with it.

A `TaskActor` does it in a thread of its own. Most live for a moment, and nobody asks anything of
them: of a `TaskCell` all but the cell is made when it is asked for. A `RemoteCell` has no thread:
an event loop has ten thousand things under way in one thread, another process has them in none of
ours. Each is still an actor of its own, with a supervisor, a place in the tree, an exit reason and
one end.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from _thread import RLock
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.kernel.cell import ActorCell, ServerRef, living, local, next_number
from antq_actors.otp.kernel.errors import Interrupt, Stop
from antq_actors.otp.kernel.loop import end_life
from antq_actors.otp.kernel.mailbox import Mailbox
from antq_actors.otp.kernel.messages import Continue, ExitSignal
from antq_actors.otp.kernel.reasons import ORDERLY, Crash, ExitReason, Killed
from antq_actors.otp.kernel.stopping import Interruptible

if TYPE_CHECKING:
    from threading import Event, Thread

    from antq_actors.otp.kernel.messages import Observer, Promise

_numbers: Final = itertools.count(1)

_TO_RUN: Final = Continue()


class TaskActor(GenServer):
    """Has one thing to do, and ends with it: it handles no messages and has no hooks.

    Subclasses write ``run``. The sender of a message to it is told of its end, as of every actor's.

    It costs half of what a GenServer costs to start: pykka's ActorRegistry does not know it, and
    its urn is unique in this process only.
    """

    in_actor_registry: ClassVar[bool] = False
    end_is_reported_elsewhere: ClassVar[bool] = False
    """Whether its starter logs what its end means, so that its supervisor need not."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        # The fields that pykka's own __init__ makes; tests/otp/test_pykka_contract.py knows them.
        self.actor_urn = f"urn:antq:{next(_numbers)}"
        self.actor_inbox = mailbox = Mailbox()  # type: ignore[assignment] # it can do more
        self._otp_ref = self._actor_ref = ref = ServerRef(self, mailbox, registered=False)
        self._otp_cell = ref.cell

    def _otp_be(self, cell: TaskCell, urn: str, mailbox: Mailbox) -> ServerRef:
        """Make this the actor object of a task cell that runs; return the ref to both."""
        self.actor_urn = urn
        self.actor_inbox = mailbox  # type: ignore[assignment] # it can do more
        self._otp_cell = cell
        self._otp_ref = self._actor_ref = ServerRef.of(cell, urn, mailbox, weakref.ref(self))
        return self._otp_ref

    @cached_property
    def actor_stopped(self) -> Event:  # type: ignore[override] # pykka.Actor.__init__ may set it
        """The threading.Event of the actor's end, as pykka has it."""
        return self._otp_cell.stopped_event()

    def run(self) -> ExitReason:
        """Do the actor's one task, in its own thread, and return the exit reason to end with."""
        raise NotImplementedError

    @classmethod
    def spawn(cls, *args: Any) -> ServerRef:
        """Start an actor without a name, linked to the calling actor: a faster ``spawn_link``."""
        parent = local.cell
        if parent is None or parent.reason is not None:
            return cls.spawn_link(*args)
        actor = cls(*args)
        actor._otp_begin(parent)
        return actor._otp_ref

    def _otp_live(self) -> ExitReason:
        cell = self._otp_cell
        if cell.reason is not None:
            return cell.reason  # killed before its turn came: it must not begin
        cell.current_message = (_TO_RUN, time.monotonic())
        if cell.started is not None and not cell.tell_starter(self._otp_ref):
            return Killed()
        try:
            for observer in cell.observers:
                observer.on_receive(_TO_RUN)
            return self.run()
        except Stop as stop:
            return stop.reason
        except Interrupt:
            return self.ordered_reason()
        except BaseException as error:  # noqa: BLE001 - contained: it ends this actor only
            return Crash(error)

    def ordered_reason(self) -> ExitReason:
        """Take the exit signal that ends this actor from its mailbox, and return its reason."""
        return ordered_reason(self.mailbox)


def ordered_reason(mailbox: Mailbox) -> ExitReason:
    """Take the exit signal that ends an actor from its *mailbox*, and return its reason."""
    signal = mailbox.get(0)
    return signal.reason if isinstance(signal, ExitSignal) else Killed()


# ---- cells that are all there is of an actor -----------------------------------------------------

_making = RLock()
"""Of all task cells, for a few steps: whether one is made into a whole actor, or ends before."""

_ON_DEMAND: Final = frozenset(
    (
        *("actor_urn", "actor_weakref", "mailbox", "number"),
        *("_actor", "_cleanups", "_links", "_lock", "_ref", "_watchers"),
    )
)
"""What a task cell has when somebody has asked for any of it."""


class _Nothing:
    """What there is of an actor that had ended before it was made."""


_NOTHING_LEFT: Final = weakref.ref(_Nothing())
"""What leads to the ref or to the actor object of such an actor."""


class Exits(Protocol):
    """What collects the ends of task cells."""

    def add(self, cell: ActorCell, reason: ExitReason, /) -> None:
        """Add the end of an actor, in any thread; twice if a first time was cut short."""


class TaskCell(ActorCell):
    """An actor with one thing to do, of which nothing but its cell is made until somebody asks.

    A DynamicSupervisor starts it with ``start_tasks``, as a temporary child. Subclasses write
    ``run``. *exits* gets its end, in the ending thread, before all others hear of it.

    Whoever reads what is not there yet (its ref, its mailbox, its number, its watchers, its links)
    has all of it made at once, and from then on it is like any other task actor. If it ends before,
    nobody else is waiting to hear of that.
    """

    actor_class: type[TaskActor]
    has_thread: ClassVar[bool] = True
    """Whether it needs a thread while it lives."""

    @staticmethod
    def has_listeners() -> bool:
        """Return whether anyone listens to supervision events; the supervisor replaces this."""
        return False

    # What an ActorCell has from its begin, as it is in one that nobody has changed yet.
    reason: ExitReason | None = None
    name: str | None = None
    parent: ServerRef | None = None
    started: Promise | None = None
    thread: Thread | None = None
    current_message: tuple[Any, float] | None = None
    observers: tuple[Observer, ...] = ()
    _registered = False
    _ref_type = ServerRef
    _is_made = False
    started_at = 0.0

    def __init__(self, exits: Exits) -> None:
        self.__dict__  # noqa: B018 - made while nobody else has it, as that of a Promise
        self.interruptible = Interruptible()
        self.exits = exits

    def run(self) -> ExitReason:
        """Do the actor's one task, in its own thread, and return the exit reason to end with."""
        raise NotImplementedError

    if not TYPE_CHECKING:  # it would hide what is misspelt

        def __getattr__(self, name: str) -> Any:
            if name not in _ON_DEMAND:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            self._make()
            return self.__dict__[name]

    @property
    def ref(self) -> ServerRef:
        """The ServerRef of the actor."""
        ref: ServerRef | None = self._ref()
        if ref is None:
            with _making:  # two threads may come here at once
                ref = super().ref
        return ref

    def stop_requested(self) -> bool:
        """Return whether the actor has ended, or has an exit signal."""
        return self.reason is not None or (self._is_made and self.mailbox.signals is not None)

    # ---- made -----------------------------------------------------------------------------

    def _make(self) -> None:
        with _making:
            if not self._is_made:
                # In one step, so that a thread which is cut short here leaves nothing half made.
                self.__dict__.update(self._made())

    def _made(self) -> dict[str, Any]:
        """Return all that was not made yet, as it is for an actor that has ended or has not."""
        has_ended = self.reason is not None
        urn, mailbox = f"urn:antq:{next(_numbers)}", Mailbox()
        made: dict[str, Any] = {
            "_is_made": True,
            "actor_urn": urn,
            "mailbox": mailbox,
            "number": next_number(),
            "has_stopped": has_ended,
            "_lock": RLock(),
            "_cleanups": None,
        }
        if has_ended:
            mailbox.close()
            made |= {"_watchers": {}, "_links": {}, "_actor": None}
            return made | {"_ref": _NOTHING_LEFT, "actor_weakref": _NOTHING_LEFT}
        actor = self.actor_class.__new__(self.actor_class)
        ref = actor._otp_be(self, urn, mailbox)  # noqa: SLF001 - above
        made |= {"_watchers": {self: self._on_end}, "_actor": actor}
        made["_links"] = {} if self.parent is None else {self.parent.cell: None}
        return made | {"_ref": weakref.ref(ref), "actor_weakref": weakref.ref(actor)}

    # ---- life -----------------------------------------------------------------------------

    def live(self) -> None:
        """Do the actor's task in this thread, and end the actor; no exception leaves it."""
        if self.reason is not None:
            return  # killed before its turn came: it must not begin
        thread = threading.current_thread()
        thread.runs = self  # type: ignore[attr-defined] # of a ServiceThread, which has its name
        self.thread = thread
        local.cell = self
        self.current_message = (_TO_RUN, time.monotonic())
        try:
            try:
                for observer in self.observers:
                    observer.on_receive(_TO_RUN)
                reason = self.run()
            except Stop as stop:
                reason = stop.reason
            except Interrupt:
                reason = ordered_reason(self.mailbox)
        except BaseException as error:  # noqa: BLE001 - contained: it ends this actor only
            reason = Crash(error)
        self._end(reason, thread)

    # ---- the end --------------------------------------------------------------------------

    def _end(self, reason: ExitReason, thread: Thread) -> None:
        try:
            local.cell = None
            thread.runs = None  # type: ignore[attr-defined]
            if self._is_made or not isinstance(reason, ORDERLY) or not self._end_unmade(reason):
                end_life(self, reason)
        except BaseException:
            # As in `die`: whoever waits must hear of the end all the same, and rather twice.
            if self.reason is None:
                end_life(self, reason)
            else:
                self._leave(self.reason)
            raise

    def _end_unmade(self, reason: ExitReason) -> bool:
        """End the actor of which nothing was made; False if something was, or it has ended."""
        if self.has_listeners():
            return False
        with _making:
            if self._is_made or self.reason is not None:
                return False
            self.reason = reason
        self._leave(reason)
        return True

    def _leave(self, reason: ExitReason) -> None:
        living.pop(self, None)
        parent = self.parent
        if parent is not None and parent.cell.tasks is not None:
            parent.cell.tasks.pop(self, None)
        self.exits.add(self, reason)

    def _on_end(self, _ref: ServerRef, reason: ExitReason) -> None:
        self.exits.add(self, reason)

    def die(self, reason: ExitReason, *, abandon: bool = False) -> bool:
        """End the actor for *reason*, as every cell does."""
        try:
            return super().die(reason, abandon=abandon)
        finally:
            self._actor = None  # it leads back here

    def end_after_fork(self) -> None:
        """Mark the actor as ended in a forked child, which lacks its thread; notify nothing."""
        if not self._is_made:
            self.__dict__.update(self._made())
        super().end_after_fork()


class RemoteCell(TaskCell):
    """A task cell whose one thing to do is done elsewhere: without a thread, until its `finish`.

    Subclasses write ``on_start``, ``on_interrupt`` and ``on_kill``, which must neither wait nor
    take long: they run in the thread that starts the actor, sends it an exit signal, or kills it.
    Whoever knows that it is over calls ``finish``.
    """

    has_thread = False
    _is_over = False
    """Whether its work is over: then nothing of it is left to be interrupted."""

    def __init__(self, exits: Exits) -> None:
        self.exits = exits

    @property
    def interruptible(self) -> RemoteCell:  # type: ignore[override] # as much of one as is needed
        """What passes an exit signal on: the cell itself."""
        return self

    def on_start(self) -> None:
        """Begin the actor's work in another thread or process. What this raises ends the actor."""
        raise NotImplementedError

    def on_interrupt(self) -> None:
        """Have the actor's remote work end soon: an exit signal has come."""

    def on_kill(self) -> None:
        """Give up the actor's remote work: the actor was killed, its outcome is not wanted."""

    def live(self) -> None:
        """Begin the actor's work, in the thread of its supervisor; no exception leaves it."""
        if self.reason is not None:  # killed before its turn came: it must not begin
            self.finish(self.reason)
            return
        self.current_message = (_TO_RUN, time.monotonic())
        try:
            self.on_start()
        except BaseException as error:  # noqa: BLE001 - contained: it ends this actor only
            self.finish(Crash(error))

    def finish(self, reason: ExitReason) -> bool:
        """End this actor for *reason*, in whatever thread; False if it had ended before."""
        try:
            self._is_over = True
            if self.reason is not None:
                return False
            is_unmade = not self._is_made and isinstance(reason, ORDERLY)
            return (is_unmade and self._end_unmade(reason)) or self.die(reason)
        except BaseException:
            # As in `_end`: whoever waits must hear of the end all the same, and rather twice.
            self._is_over = True
            if self.reason is None:
                self.die(reason)
            else:
                self._leave(self.reason)
            raise
        finally:
            self.current_message = None

    def interrupt(self) -> bool:
        """Pass an exit signal or a kill of this actor on to its work, which has no thread here."""
        if self._is_over:
            return False
        if self.reason is None:
            self.on_interrupt()
        else:
            self.on_kill()
        return True


def _renew() -> None:
    global _making  # noqa: PLW0603 - a lost thread may hold it in a forked child
    _making = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
