"""DynamicSupervisor: starts with no child, and has as many as it is asked for.

Made for many children that come and go: they are found by ref, so nothing it does for one child
looks at the others. They have no order, so they stop all at once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn

from antq_actors import forked_child
from antq_actors.checks import check_whole
from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.actors.task_actor import TaskCell
from antq_actors.otp.events import stream
from antq_actors.otp.kernel.cell import Exited, ServerRef, fence, living
from antq_actors.otp.kernel.child_spec import (
    AutoShutdown,
    ChildSpec,
    Restart,
    Strategy,
    check_significant,
    to_spec,
)
from antq_actors.otp.kernel.errors import MaxChildren, NotFound, OtpError, StartError, Stop
from antq_actors.otp.kernel.messages import IGNORE
from antq_actors.otp.kernel.reasons import ORDERLY, Crash, ExitReason, Shutdown
from antq_actors.otp.messaging.calls import call
from antq_actors.otp.messaging.timers import send_soon
from antq_actors.otp.supervision import admin, emit, restart
from antq_actors.otp.supervision.admin import (
    RESTARTING,
    Backoff,
    ChildInfo,
    Counts,
    check_backoff,
    delay_of,
)
from antq_actors.otp.supervision.children import (
    Target,
    checked_child,
    raise_start_failure,
    start_child,
    terminate_together,
)
from antq_actors.otp.supervision.restart import Child, ChildState, RestartIntensity, Rules
from antq_actors.otp.threads import run_queue

if TYPE_CHECKING:
    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.kernel.child_spec import ChildType
    from antq_actors.otp.messaging.names import Destination


class _Retry(NamedTuple):
    """To itself: start this child once more; *ref* is the last one it had."""

    ref: ServerRef
    child: Child


class DynamicSupervisor(GenServer):
    """Supervises children that are started while it runs; one_for_one.

    Ids of specs mean nothing to it: a child is known by its ref, and forgotten when it has ended
    and does not come back.
    """

    child_type: ClassVar[ChildType] = "supervisor"

    def __init__(
        self,
        max_children: int | None = None,
        extra_args: Sequence[Any] = (),
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__()
        self._otp_cell.trap_exit = True
        self._otp_cell.exit_filter = self.__exit_filter
        if max_children is not None:
            _check_max_children(max_children)
        if isinstance(extra_args, str | bytes) or not isinstance(extra_args, Sequence):
            raise TypeError(f"extra_args must be a tuple, got {extra_args!r}")
        self.__max_children = max_children
        self.__extra_args = tuple(extra_args)
        self.__intensity = RestartIntensity(max_restarts, max_seconds)
        check_backoff(backoff)
        self.__backoff = backoff
        self.__children: dict[ServerRef, Child] = {}
        self.__tasks: dict[ActorCell, ChildSpec] = {}
        self._otp_cell.tasks = self.__tasks
        self.__terminating: frozenset[ServerRef] = frozenset()  # or terminated last

    # ---- children, from outside -----------------------------------------------------------

    @staticmethod
    def start_child(sup: Destination, spec: object) -> Any:
        """Have *sup* run ``start(*extra_args, *args, **kwargs)`` of *spec*; return ref or IGNORE.

        Raises MaxChildren, AlreadyStarted if its name is taken, StartError if it does not start.
        """
        return admin.call_supervisor(sup, admin.StartChild(_checked_spec(spec)))

    @staticmethod
    def start_children(sup: Destination, specs: Iterable[object]) -> list[Any]:
        """Have *sup* start many children with one message; return each one's ref, IGNORE or error.

        The errors are those of `start_child`, as values: one child that cannot start does not keep
        the others from it.
        """
        request = admin.StartChildren([(_checked_spec(spec), ()) for spec in specs])
        started: list[Any] = call(sup, request, timeout=None)
        return started

    @staticmethod
    def start_copies(
        sup: Destination, spec: object, each_args: Sequence[tuple[Any, ...]]
    ) -> list[Any]:
        """Have *sup* start a child of *spec* for each tuple of arguments, which follow the spec's.

        As a supervisor of OTP's ``simple_one_for_one`` does. Returns what `start_children` does.
        """
        checked = _checked_spec(spec)
        request = admin.StartChildren([(checked, _checked_args(args)) for args in each_args])
        started: list[Any] = call(sup, request, timeout=None)
        return started

    @staticmethod
    def start_tasks(
        sup: Destination, spec: ChildSpec, cells: Sequence[TaskCell]
    ) -> Sequence[tuple[TaskCell, OtpError]]:
        """Have *sup* start *cells* as temporary children, with one message, to be shown as *spec*.

        Returns those that did not start, and why.
        """
        failed: Sequence[tuple[TaskCell, OtpError]] = call(
            sup, admin.StartTasks(spec, cells), timeout=None
        )
        return failed

    @staticmethod
    def terminate_child(sup: Destination, ref: ServerRef) -> None:
        """Have *sup* stop a child; while it is restarted: the last ref it had. Raises NotFound."""
        if not isinstance(ref, ServerRef):
            raise TypeError(
                f"a child of a DynamicSupervisor is known by its ServerRef, got {ref!r}"
            )
        admin.call_supervisor(sup, admin.TerminateChild(ref))

    @staticmethod
    def which_children(sup: Destination) -> list[ChildInfo]:
        """Return the children of the supervisor *sup*; their ids are None."""
        children: list[ChildInfo] = admin.call_supervisor(sup, admin.WhichChildren())
        return children

    @staticmethod
    def count_children(sup: Destination) -> Counts:
        """Return the numbers of children of the supervisor *sup*; each is one spec."""
        counts: Counts = admin.call_supervisor(sup, admin.CountChildren())
        return counts

    # ---- the actor ------------------------------------------------------------------------

    @property
    def published_children(self) -> tuple[Child, ...]:
        """The supervisor's children as they are now; may be read in any thread, see `tree.py`."""
        tasks = self.__tasks.copy().items()
        return (*self.__children.copy().values(), *(_entry(cell, spec) for cell, spec in tasks))

    @property
    def max_restarts(self) -> int:
        """How many restarts the window allows to children; may be read in any thread."""
        return self.__intensity.max_restarts

    @property
    def restarts_left(self) -> int:
        """How many restarts of children are allowed now; may be read in any thread."""
        return self.__intensity.left(time.monotonic())

    @property
    def published_rules(self) -> Rules:
        """By what the supervisor decides about restarts; may be read in any thread."""
        return Rules(Strategy.ONE_FOR_ONE, AutoShutdown.NEVER, self.__intensity, is_dynamic=True)

    def handle_call(self, request: Any) -> Any:  # noqa: PLR0911 - one for each request
        """Handle those requests of `admin.py` that suit a dynamic supervisor; refuse all others."""
        try:
            match request:
                case admin.StartTasks(spec, cells):
                    return self.__add_tasks(spec, cells)
                case admin.StartChildren(starts):
                    return self.__add_all(starts)
                case admin.StartChild(spec):
                    return self.__add(spec)
                case admin.TerminateChild(ref):
                    return self.__remove(ref)
                case admin.WhichChildren():
                    return [_info(child) for child in self.published_children]
                case admin.CountChildren():
                    return admin.count(self.published_children)
        except OtpError as refusal:
            return admin.refuse(self.from_, refusal)
        error = TypeError(f"a DynamicSupervisor does not handle {request!r}; see its methods")
        return admin.refuse(self.from_, error)

    def handle_info(self, message: Any) -> None:
        """Handle the end of a child, or start one again whose restart had failed."""
        match message:
            case Exited(ref, reason):
                self.__on_exit(ref, reason)
            case _Retry(ref, child):
                self.__on_retry(ref, child)
            case _:
                emit.unexpected(self.ref, message)

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002 - every end is the same
        """Stop all children at once, as the supervisor ends; it takes as long as the slowest."""
        self.__end([child for child in self.published_children if child.is_running])
        self.__children.clear()
        self.__tasks.clear()

    # ---- what happens to children ---------------------------------------------------------

    def __exit_filter(self, ref: ServerRef | None, reason: ExitReason) -> bool:
        """Forget a temporary child that ended as it should, in that child's own thread.

        There is nothing to decide and nothing to report, and waking this actor for it would be
        most of what a short-lived child costs. One dict operation, so no lock. The end of a child
        that is being terminated is waited for, so its end is not reported.
        """
        if ref in self.__terminating:
            return True
        child = self.__child(ref)
        if (
            child is None
            or child.spec.restart is not Restart.TEMPORARY
            or not isinstance(reason, ORDERLY)
        ):
            return False
        if not self.__forget(child.ref):
            return False
        if stream.subscriptions:
            emit.child_exited(self.ref, child, reason, restart.Leave())
        return True

    def __child(self, ref: ServerRef | None) -> Child | None:
        if ref is None:
            return None
        cell = ref.cell
        spec = self.__tasks.get(cell)
        return self.__children.get(ref) if spec is None else _entry(cell, spec)

    def __forget(self, ref: ServerRef) -> bool:
        task = self.__tasks.pop(ref.cell, None)
        return task is not None or self.__children.pop(ref, None) is not None

    def __on_exit(self, ref: ServerRef | None, reason: ExitReason) -> None:
        child = self.__child(ref)
        if ref is None or child is None or not child.is_running:
            return  # terminated by this supervisor a moment ago, or no child at all

        action: restart.Action = restart.Leave()
        if not self._otp_cell.stopped_with_all:  # else pykka's stop_all is on its way here
            self.__intensity, action = restart.exited_alone(
                child, reason, self.__intensity, now=time.monotonic()
            )
        if isinstance(action, restart.Leave):
            self.__forget(ref)
        emit.child_exited(self.ref, child, reason, action)
        child = child._replace(last_exit=reason)
        match action:
            case restart.StartAgain():
                self.__start_again(ref, child)
            case restart.GiveUp():
                self.__give_up(ref, child)

    def __on_retry(self, ref: ServerRef, child: Child) -> None:
        # Another value than the one that failed: it was terminated in the meantime.
        if self.__children.get(ref) is not child or self._otp_cell.stopped_with_all:
            return
        self.__intensity, action = restart.retry_alone(
            child, self.__intensity, now=time.monotonic()
        )
        if isinstance(action, restart.GiveUp):
            self.__give_up(ref, child)
        self.__start_again(ref, child)

    def __give_up(self, ref: ServerRef, child: Child) -> NoReturn:
        del self.__children[ref]
        emit.gave_up(self.ref, child, self.__intensity)
        raise Stop(Shutdown())

    def __start_again(self, ref: ServerRef, child: Child) -> None:
        try:
            ref_or_ignore = start_child(child.spec, self.__extra_args)
        except OtpError as error:
            failed = child.failed_starts + 1
            child = child._replace(state=ChildState.RESTARTING, ref=None, failed_starts=failed)
            self.__children[ref] = child
            delay = delay_of(self.__backoff, failed, random.random())  # noqa: S311 - for its jitter
            emit.restart_failed(self.ref, child, error, delay)
            # A message, not a loop: requests get their turn in between (otp rule 35).
            send_soon(self.ref, _Retry(ref, child), delay)
            return
        del self.__children[ref]
        if ref_or_ignore is IGNORE:
            emit.child_ignored(self.ref, child)
            return
        self.__children[ref_or_ignore] = child = child._replace(
            state=ChildState.RUNNING,
            ref=ref_or_ignore,
            incarnation=child.incarnation + 1,
            restarts=child.restarts + 1,
            started_at=time.monotonic(),
            failed_starts=0,
        )
        emit.child_started(self.ref, child)

    # ---- requests -------------------------------------------------------------------------

    def __add(self, spec: ChildSpec, args: tuple[Any, ...] = ()) -> Any:
        self.__check_place()
        # What `start_child` does, without a call for each of many children.
        since = forked_child.generation
        try:
            started = spec.start(*self.__extra_args, *spec.args, *args, **spec.kwargs)
        except BaseException as error:  # noqa: BLE001 - the same
            raise_start_failure(spec, error, since)
        is_ours = type(started) is ServerRef and started.cell.parent is self.ref
        if not is_ours or forked_child.generation != since:
            started = checked_child(spec, started, since)
        if args and spec.restart is not Restart.TEMPORARY:
            spec = spec.with_more_args(args)  # otherwise they are not needed again, as in OTP
        child = Child(spec, ChildState.RUNNING, started, 1, 0, None, time.monotonic())
        if started is IGNORE:
            emit.child_ignored(self.ref, child)
            return started
        self.__children[started] = child
        if stream.subscriptions:
            emit.child_started(self.ref, child)
        return started

    def __check_place(self) -> None:
        if self.__max_children is not None and self.__has_no_place(self.__max_children):
            raise MaxChildren(f"{self.ref} may have {self.__max_children} children, and has them")

    def __has_no_place(self, max_children: int) -> bool:
        number = len(self.__children) + len(self.__tasks)
        if number < max_children:
            return False
        # A process that awaits a child may learn of its end before this one does, as after a kill.
        gone = sum(
            child.spec.restart is Restart.TEMPORARY and child.ref.cell.reason is not None
            for child in self.published_children
        )
        return number - gone >= max_children

    def __add_all(self, starts: Sequence[admin.Start]) -> list[Any]:
        try:
            with run_queue.together(len(starts)):
                return [self.__add_or_error(*start) for start in starts]
        except RuntimeError:  # not threads enough for all; perhaps for some
            return [self.__add_or_error(*start) for start in starts]

    def __add_tasks(
        self, spec: ChildSpec, cells: Sequence[TaskCell]
    ) -> list[tuple[TaskCell, OtpError]]:
        if self.__max_children is None:
            try:
                run_queue.reserve(_number_of_threads(cells))
            except RuntimeError:  # not threads enough for all; perhaps for some
                pass
            else:
                self.__begin(spec, cells)
                return []
        failed: list[tuple[TaskCell, OtpError]] = []
        for cell in cells:
            try:
                self.__check_place()
                run_queue.reserve(_number_of_threads([cell]))
            except OtpError as error:
                failed.append((cell, error))
            except RuntimeError as error:
                why = f"a {cell.actor_class.__name__} did not start: {error}"
                failed.append((cell, StartError(Crash(error), message=why)))
            else:
                self.__begin(spec, [cell])
        return failed

    def __begin(self, spec: ChildSpec, cells: Sequence[TaskCell]) -> None:
        """Begin *cells*; a thread is reserved for each that needs one."""
        me, tasks, now = self._otp_ref, self.__tasks, time.monotonic()
        in_threads: list[Callable[[], None]] = []
        elsewhere: list[Callable[[], None]] = []
        for cell in cells:
            cell.parent, cell.started_at = me, now
            living[cell] = None  # first: whoever finds it in the table may kill it
            tasks[cell] = spec
            (in_threads if cell.has_thread else elsewhere).append(cell.live)
        reason = self._otp_cell.reason
        if reason is not None:
            # Killed since its thread last looked. If it was before the cells were in the table,
            # nobody ends them.
            run_queue.unreserve(len(in_threads))
            for cell in cells:
                cell.die(reason)
            fence()
        if stream.subscriptions:
            for cell in cells:
                emit.child_started(me, _entry(cell, spec))
        if in_threads:
            run_queue.run_reserved(in_threads)
        for begin in elsewhere:
            begin()

    def __add_or_error(self, spec: ChildSpec, args: tuple[Any, ...]) -> Any:
        try:
            return self.__add(spec, args)
        except OtpError as error:
            return error

    def __remove(self, ref: ServerRef) -> None:
        child = self.__child(ref)
        if child is None:
            raise NotFound(f"{self.ref} has no child {ref}")
        if child.is_running:
            self.__end([child])
        self.__forget(ref)  # unless it had ended as it should, and was forgotten

    def __end(self, children: Sequence[Child]) -> None:
        self.__terminating = frozenset(child.ref for child in children)
        targets = [Target(each.ref, each.spec.shutdown_time, each.spec.drain) for each in children]
        for child, reason in zip(children, terminate_together(targets), strict=True):
            emit.child_terminated(self.ref, child, reason, is_dynamic=True)


def _has_listeners() -> bool:
    return bool(stream.subscriptions)


# Events are above the classes of actors: a task actor that ends cannot look for listeners itself.
TaskCell.has_listeners = staticmethod(_has_listeners)  # type: ignore[method-assign]


def _entry(cell: ActorCell, spec: ChildSpec) -> Child:
    return Child(spec, ChildState.RUNNING, cell.ref, 1, 0, None, cell.started_at)


def _number_of_threads(cells: Iterable[TaskCell]) -> int:
    return len([cell for cell in cells if cell.has_thread])  # a call for all, not one for each


def _info(child: Child) -> ChildInfo:
    return ChildInfo(None, child.ref if child.is_running else RESTARTING, child.spec.type)


def _check_max_children(max_children: object) -> None:
    check_whole(max_children, "max_children", 0, none=" or None")


def _checked_args(args: Any) -> tuple[Any, ...]:
    if type(args) is tuple:  # nearly always, and each job that begins asks
        return args
    if isinstance(args, str | bytes) or not isinstance(args, Sequence):
        raise TypeError(f"each_args must have a tuple of arguments for each child, got {args!r}")
    return tuple(args)


def _checked_spec(child: object) -> ChildSpec:
    spec = child if type(child) is ChildSpec else to_spec(child)
    if spec.significant:
        check_significant(spec, AutoShutdown.NEVER)
    return spec
