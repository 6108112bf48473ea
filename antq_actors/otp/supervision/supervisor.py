"""Supervisor: starts its children in order, starts them again, stops them in reverse order.

The actor is thin. What is to be done is decided in `restart.py`, how a child is started and stopped
is in `children.py`; here they meet the mailbox.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.kernel.cell import Exited
from antq_actors.otp.kernel.child_spec import (
    AutoShutdown,
    ChildSpec,
    ChildType,
    Strategy,
    check_significant,
    checked_id,
    to_spec,
)
from antq_actors.otp.kernel.errors import (
    AlreadyPresent,
    DuplicateChildId,
    NotFound,
    OtpError,
    Restarting,
    Running,
    StartError,
    Stop,
)
from antq_actors.otp.kernel.messages import IGNORE
from antq_actors.otp.kernel.reasons import Crash, ExitReason, Shutdown
from antq_actors.otp.messaging.names import AlreadyStarted
from antq_actors.otp.messaging.timers import send_soon
from antq_actors.otp.supervision import admin, emit, restart
from antq_actors.otp.supervision.admin import (
    RESTARTING,
    ChildInfo,
    Counts,
    SupervisorOptions,
    check_pair,
    delay_of,
)
from antq_actors.otp.supervision.children import start_child, terminate
from antq_actors.otp.supervision.restart import Child, Children, ChildState, Rules, State

if TYPE_CHECKING:
    from collections.abc import Hashable

    from antq_actors.backoff import Backoff
    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.otp.messaging.names import Destination


class _Retry(NamedTuple):
    """To itself: start this child, as it stood in the table, once more."""

    child: Child


class Supervisor(GenServer):
    """An actor whose only work is other actors.

    Its children start one by one, in order, before ``start`` returns. A child that ends is started
    again as its spec and the *strategy* say; more than *max_restarts* of that within *max_seconds*,
    and the supervisor stops its children, the last started first, and ends with ``Shutdown()``.
    """

    child_type: ClassVar[ChildType] = "supervisor"

    def __init__(
        self,
        children: Iterable[object] = (),
        *,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__()
        self._otp_cell.trap_exit = True
        self.__state = State()
        options = SupervisorOptions(
            strategy=strategy,
            max_restarts=max_restarts,
            max_seconds=max_seconds,
            auto_shutdown=auto_shutdown,
            backoff=backoff,
        )
        self.__specs = _checked_specs(children, options)
        self.__use(options)

    def init_children(self) -> Any:
        """Return the supervisor's ``(children, options)`` or IGNORE; a subclass overrides it.

        It runs whenever the supervisor starts, in its own thread: its children are those that it
        returns, also after a restart. The options are those of ``start``, as a mapping.
        """
        return self.__specs, None

    @classmethod
    def child_spec(cls, *args: Any, **kwargs: Any) -> ChildSpec:
        """Return the spec of this supervisor; its own children are checked now, and kept."""
        if cls.__init__ is Supervisor.__init__ and args:
            # Kept as a tuple: an iterator would have nothing left when it starts again.
            args = (tuple(_to_specs(args[0])), *args[1:])
        return super().child_spec(*args, **kwargs)

    @classmethod
    def _otp_launch(cls, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._otp_launch(*args, **kwargs)
        except StartError as error:
            boot = getattr(error.reason, "detail", None)
            if not isinstance(boot, StartError):
                raise
            raise StartError(error.reason, boot.child_id, str(boot)) from boot.__cause__

    # ---- children, from outside -----------------------------------------------------------

    @staticmethod
    def start_child(sup: Destination, spec: object) -> Any:
        """Have the supervisor *sup* add a child at the end and start it; return its ref, or IGNORE.

        Raises AlreadyStarted or AlreadyPresent if there is one with its id, StartError if it does
        not start, which leaves no trace of it.
        """
        return admin.call_supervisor(sup, admin.StartChild(to_spec(spec)))

    @staticmethod
    def terminate_child(sup: Destination, child_id: Hashable) -> None:
        """Have *sup* stop a child; its spec is kept, unless it is temporary. Stopped: does nothing.

        One that is to be started again stays stopped, and so do those of its group that were to
        follow it (otp rules 36 and 39). Raises NotFound.
        """
        admin.call_supervisor(sup, admin.TerminateChild(checked_id(child_id)))

    @staticmethod
    def restart_child(sup: Destination, child_id: Hashable) -> Any:
        """Have the supervisor *sup* start a child that does not run; return its ref, or IGNORE.

        Raises NotFound, Running, Restarting, and StartError if it does not start.
        """
        return admin.call_supervisor(sup, admin.RestartChild(checked_id(child_id)))

    @staticmethod
    def delete_child(sup: Destination, child_id: Hashable) -> None:
        """Have *sup* forget a child that does not run. Raises NotFound, Running, Restarting."""
        admin.call_supervisor(sup, admin.DeleteChild(checked_id(child_id)))

    @staticmethod
    def get_childspec(sup: Destination, child_id: Hashable) -> ChildSpec:
        """Return the spec of a child of the supervisor *sup*. Raises NotFound."""
        spec: ChildSpec = admin.call_supervisor(sup, admin.GetChildSpec(checked_id(child_id)))
        return spec

    @staticmethod
    def which_children(sup: Destination) -> list[ChildInfo]:
        """Return the children of the supervisor *sup* in start order (OTP: the newest first)."""
        children: list[ChildInfo] = admin.call_supervisor(sup, admin.WhichChildren())
        return children

    @staticmethod
    def count_children(sup: Destination) -> Counts:
        """Return the numbers of children of the supervisor *sup*."""
        counts: Counts = admin.call_supervisor(sup, admin.CountChildren())
        return counts

    @property
    def published_children(self) -> Children:
        """The supervisor's children as they are now; may be read in any thread, see `tree.py`."""
        return self.__state.children

    @property
    def max_restarts(self) -> int:
        """How many restarts the window allows to children; may be read in any thread."""
        return self.__options.max_restarts

    @property
    def restarts_left(self) -> int:
        """How many restarts of children are allowed now; may be read in any thread."""
        return self.__state.intensity.left(time.monotonic())

    @property
    def published_rules(self) -> Rules:
        """By what the supervisor decides about restarts; may be read in any thread."""
        state = self.__state
        return Rules(state.strategy, state.auto_shutdown, state.intensity)

    @property
    def __children(self) -> Children:
        return self.__state.children

    @__children.setter
    def __children(self, children: Children) -> None:
        self.__state = self.__state.having(children)

    # ---- the actor ------------------------------------------------------------------------

    def init(self) -> Any:
        """Start the children; if one fails, stop those before it and fail (otp rule 11)."""
        made = self.init_children()
        if made is IGNORE:
            return IGNORE
        children, options = check_pair(made)
        if options is not None:
            self.__use(SupervisorOptions.of(options))
        for spec in _checked_specs(children, self.__options):
            self.__children = restart.added(self.__children, spec)
            try:
                self.__begin_child(spec.id, by_itself=False)
            except OtpError as error:
                if self._otp_cell.reason is not None:
                    raise  # killed in the meantime, and its children with it
                emit.boot_failed(self.ref, restart.find(self.__children, spec.id), error)
                self.__end_children()
                raise Stop(Shutdown(_boot_error(spec, error))) from error
        return None

    def handle_call(self, request: Any) -> Any:
        """Handle the requests of `admin.py` about children; refuse all others."""
        try:
            return self.__handle(request)
        except OtpError as error:
            return admin.refuse(self.from_, error)

    def handle_info(self, message: Any) -> None:
        """Handle the end of a child, or start one again whose restart had failed."""
        match message:
            case Exited(ref, reason):
                self.__on_exit(ref, reason)
            case _Retry(child):
                self.__on_retry(child)
            case _:
                emit.unexpected(self.ref, message)

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002 - every end is the same
        """Stop the supervisor's children, the last started first, as it ends."""
        self.__end_children()

    # ---- what happens to children ---------------------------------------------------------

    def __on_exit(self, ref: ServerRef | None, reason: ExitReason) -> None:
        child = next((c for c in self.__children if c.is_running and c.ref is ref), None)
        if child is None:
            return  # stopped by this supervisor a moment ago, or no child at all
        if self._otp_cell.stopped_with_all:
            # pykka's stop_all is on its way through the tree to this supervisor.
            self.__children = restart.stopped(self.__children, child.spec.id, reason)
            emit.child_exited(self.ref, child, reason, restart.Leave())
            return

        self.__state, action = restart.exited(
            self.__state, child.spec.id, reason, now=time.monotonic()
        )
        emit.child_exited(self.ref, child, reason, action)
        self.__carry_out(action)

    def __on_retry(self, child: Child) -> None:
        if (
            self._otp_cell.stopped_with_all
            or restart.get(self.__children, child.spec.id) is not child
        ):
            return  # something else happened to it in the meantime
        self.__state, action = restart.retry(self.__state, child.spec.id, now=time.monotonic())
        self.__carry_out(action)

    def __carry_out(self, action: restart.Action) -> None:
        match action:
            case restart.StartAgain():
                self.__start_again(action)
            case restart.GiveUp(child):
                emit.gave_up(self.ref, child, self.__state.intensity)
                raise Stop(Shutdown())
            case restart.ShutDown():
                raise Stop(Shutdown())

    def __start_again(self, plan: restart.StartAgain) -> None:
        for child_id in plan.stop:
            self.__end_child(child_id)
        for child_id in plan.start:
            try:
                self.__begin_child(child_id, by_itself=True)
            except OtpError as error:
                self.__children = restart.start_failed(self.__children, plan, child_id)
                child = restart.find(self.__children, child_id)
                chance = random.random()  # noqa: S311 - for its jitter
                delay = delay_of(self.__options.backoff, child.failed_starts, chance)
                emit.restart_failed(self.ref, child, error, delay)
                # A message, not a loop: in between, this child can be terminated or this supervisor
                # stopped (otp rule 35).
                send_soon(self.ref, _Retry(child), delay)
                return

    def __begin_child(self, child_id: Hashable, *, by_itself: bool) -> Any:
        child = restart.find(self.__children, child_id)
        ref_or_ignore = start_child(child.spec)
        if ref_or_ignore is IGNORE:
            self.__children = restart.ignored(self.__children, child_id)
            emit.child_ignored(self.ref, child)
        else:
            self.__children = restart.started(
                self.__children, child_id, ref_or_ignore, now=time.monotonic(), by_itself=by_itself
            )
            emit.child_started(self.ref, restart.find(self.__children, child_id))
        return ref_or_ignore

    def __end_child(self, child_id: Hashable) -> None:
        child = restart.find(self.__children, child_id)
        if not child.is_running:
            self.__children = restart.stopped(self.__children, child_id, None)
            return
        spec = child.spec
        reason = terminate(child.ref, spec.shutdown_time, drain=spec.drain)
        self.__children = restart.stopped(self.__children, child_id, reason)
        emit.child_terminated(self.ref, child, reason)

    def __end_children(self) -> None:
        for child_id in restart.stop_order(self.__children):
            self.__end_child(child_id)

    # ---- requests -------------------------------------------------------------------------

    def __handle(self, request: Any) -> Any:  # noqa: PLR0911 - one for each request
        match request:
            case admin.StartChild(spec):
                return self.__add(spec)
            case admin.TerminateChild(child_id):
                self.__child(child_id)
                return self.__end_child(child_id)
            case admin.RestartChild(child_id):
                self.__idle_child(child_id)
                return self.__begin_child(child_id, by_itself=False)
            case admin.DeleteChild(child_id):
                self.__idle_child(child_id)
                self.__children = restart.without(self.__children, child_id)
                return None
            case admin.GetChildSpec(child_id):
                return self.__child(child_id).spec
            case admin.WhichChildren():
                return [_info(child) for child in self.__children]
            case admin.CountChildren():
                return admin.count(self.__children)
            case _:
                error = TypeError(f"a supervisor does not handle {request!r}; see its methods")
                return admin.refuse(self.from_, error)

    def __add(self, spec: ChildSpec) -> Any:
        try:
            check_significant(spec, self.__options.auto_shutdown)
        except ValueError as error:
            return admin.refuse(self.from_, error)
        present = restart.get(self.__children, spec.id)
        if present is not None and present.is_running:
            raise AlreadyStarted(present.ref, f"child {spec.id!r} runs already: {present.ref}")
        if present is not None:
            raise AlreadyPresent(
                f"{self.ref} has a child {spec.id!r} that does not run; restart_child starts it, "
                "delete_child makes room for another"
            )
        before = self.__children
        self.__children = restart.added(self.__children, spec)
        try:
            return self.__begin_child(spec.id, by_itself=False)
        except OtpError:
            self.__children = before
            raise

    def __child(self, child_id: Hashable) -> Child:
        child = restart.get(self.__children, child_id)
        if child is None:
            ids = [child.spec.id for child in self.__children]
            raise NotFound(f"{self.ref} has no child {child_id!r}; it has {ids}")
        return child

    def __idle_child(self, child_id: Hashable) -> Child:
        child = self.__child(child_id)
        if child.is_running:
            raise Running(f"child {child_id!r} of {self.ref} runs; terminate it first")
        if child.state is ChildState.RESTARTING:
            raise Restarting(f"child {child_id!r} of {self.ref} is being restarted")
        return child

    def __use(self, options: SupervisorOptions) -> None:
        self.__options = options
        self.__state = options.initial_state()


def _info(child: Child) -> ChildInfo:
    ref = RESTARTING if child.state is ChildState.RESTARTING else child.ref
    return ChildInfo(child.spec.id, ref, child.spec.type)


def _to_specs(children: Iterable[object]) -> list[ChildSpec]:
    if isinstance(children, str | bytes | ChildSpec) or not isinstance(children, Iterable):
        raise TypeError(f"children must be a list of specs or GenServer classes, got {children!r}")
    return [to_spec(child) for child in children]


def _checked_specs(children: Iterable[object], options: SupervisorOptions) -> list[ChildSpec]:
    specs = _to_specs(children)
    ids: set[Hashable] = set()
    for spec in specs:
        if spec.id in ids:
            error = ValueError(f"two children have the id {spec.id!r}; give one another id=")
            raise DuplicateChildId(Crash(error), spec.id, str(error)) from error
        ids.add(spec.id)
        check_significant(spec, options.auto_shutdown)
    return specs


def _boot_error(spec: ChildSpec, error: OtpError) -> StartError:
    if isinstance(error, StartError):
        return error
    made = StartError(Crash(error), spec.id, f"child {spec.id!r} did not start: {error}")
    made.__cause__ = error
    return made
