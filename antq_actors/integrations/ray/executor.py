"""Gives attempts to Ray, what the end of one means, and the actor that keeps the connection.

Ray may take seconds to start: attempts wait here until then. When there is none, or it is lost,
attempts are refused until there is one again, and their jobs stay in the queue.
"""

from __future__ import annotations

import itertools
import logging
import math
import pickle
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import ray
from ray import exceptions

from antq_actors.errors import ConfigError, StorageError
from antq_actors.events import ExecutorDied, ExecutorStarted
from antq_actors.executors.base import RAY, Health, NotReady
from antq_actors.executors.sent_middleware import pack_middleware
from antq_actors.integrations.ray import client, connection, task
from antq_actors.integrations.ray.parcel import NotPicklableError, pack_worker
from antq_actors.jobs import current_app, everywhere
from antq_actors.jobs.outcome import Failed, GivenBack, Interrupted
from antq_actors.jobs.worker_registry import defined
from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.kernel.messages import Continue
from antq_actors.otp.messaging import timers

if TYPE_CHECKING:
    from concurrent.futures import Future

    from antq_actors.events import Event
    from antq_actors.executors.base import Done, Settings
    from antq_actors.executors.sent_middleware import PackedMiddleware
    from antq_actors.jobs.control import Progress
    from antq_actors.jobs.middleware import Pipeline
    from antq_actors.jobs.options import RayOptions
    from antq_actors.jobs.outcome import NotRun, Outcome
    from antq_actors.jobs.perform import Attempt
    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.otp.kernel.child_spec import ChildSpec
    from antq_actors.otp.kernel.reasons import ExitReason

log: Final = logging.getLogger("antq_actors.executors")

RETRY_INTERVAL_SECONDS: Final = 2.0
"""Seconds between two tries to start Ray."""

CHECK_INTERVAL_SECONDS: Final = 2.0
"""Seconds between two checks whether the connection is still open."""

CONNECT_TIMEOUT_SECONDS: Final = 10.0
"""Seconds that attempts wait for Ray to start; then their jobs wait in the queue."""

SHUTDOWN_TIMEOUT_SECONDS: Final = 10.0
"""Seconds that the actor has to shut down a Ray that it has started."""

KILL_TIMEOUT_SECONDS: Final = 5.0
"""Seconds within which Ray has killed a process and said so."""

_numbers: Final = itertools.count(1)

under_way: Final[dict[int, RayHandle]] = {}
"""Attempts of this process that have not ended, by their numbers."""


class RayExecutor:
    """Runs the attempts of one queue as tasks of Ray, which finds a node for each."""

    kind = RAY

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._attempts: set[RayHandle] = set()
        self._waiting: list[RayHandle] = []
        self._session: connection.RaySession | None = None
        self._refusal: str | None = None
        self._actor: Any = None  # set with the session
        self._functions: dict[tuple[str, str], Any] = {}
        self._equipped: Pipeline | None = None
        self._middleware: PackedMiddleware | None = None
        """The middleware of the application, once it is packed; None: it is not, or there is none.
        """

    # ---- the contract -----------------------------------------------------------------------

    def child(self) -> ChildSpec:
        """Return the spec of the actor that keeps the queue's connection to Ray."""
        return RayActor.child_spec(
            self, name=self._settings.name, shutdown=SHUTDOWN_TIMEOUT_SECONDS
        )

    def start(self, attempt: Attempt, done: Done) -> RayHandle:
        """Submit an attempt as a Ray task, or keep it until Ray is started. Raises NotReady."""
        if self._session is not None and not connection.is_connected():
            self.check_connection()
        with self._lock:
            if self._refusal is not None:
                raise NotReady(self._refusal)
            handle = RayHandle(attempt, done, self)
            self._attempts.add(handle)
            if self._session is None:
                self._waiting.append(handle)
                return handle
        self._submit(handle)
        return handle

    def resize(self, concurrency: int) -> None:
        """Do nothing: the resources of the Ray cluster limit how many tasks run at once."""

    def health(self) -> Health:
        """Return how many attempts Ray has, and the address of its cluster."""
        session = self._session
        detail = f"Ray at {session.where}" if session else self._refusal or "Ray is being started"
        return Health(RAY, len(self._attempts), detail)

    # ---- for its actor ----------------------------------------------------------------------

    def open(self, actor: ServerRef, session: connection.RaySession) -> None:
        """Submit attempts to the connected Ray from now on, and those that wait first."""
        with self._lock:
            self._actor = actor
            self._session = session
            self._refusal = None
            waiting, self._waiting = self._waiting, []
        for handle in waiting:
            if not handle.stop_requested:
                self._submit(handle)

    def refuse(self, reason: str) -> None:
        """Refuse attempts until Ray is connected; give those that wait back to their queue."""
        with self._lock:
            self._refusal = reason
            self._session = None
            waiting, self._waiting = self._waiting, []
        for handle in waiting:
            handle.end(GivenBack())

    def report_dead_node(self) -> None:
        """Refuse attempts, and notify the Ray actor that the node of this process has died."""
        session, actor = self._session, self._actor
        if session is not None:
            self.refuse("the Ray node that this process was connected to has died")
            actor.deliver(_NodeDied(session))

    def leave(self, handle: RayHandle) -> None:
        """Forget an attempt that has ended on Ray."""
        self._attempts.discard(handle)

    def check_connection(self) -> None:
        """Reconnect to Ray and interrupt all attempts, if this program has shut Ray down."""
        session, actor = self._session, self._actor
        if session is not None and not connection.is_open(session):
            self.tell(ExecutorDied, reason="the connection to Ray was ended by this program")
            self.close("the connection to Ray was ended by this program")
            actor.deliver(_Connect())

    def tell(self, type_: type[Event], **values: str) -> None:
        """Publish what became of the connection to Ray."""
        self._settings.tell(type_, kind=RAY, pid=None, **values)

    def close(self, reason: str) -> None:
        """Refuse attempts, report those under way as interrupted and cancel their Ray tasks."""
        self.refuse(reason)
        for handle in list(self._attempts):
            handle.end(Interrupted(reason))  # before Ray reports that its task was cancelled
            handle.kill()

    def wait_for_ray(self) -> None:
        """Let attempts wait while Ray is being started, until a timer gives them back."""
        with self._lock:
            self._refusal = None
        timers.call_after(self._wait_no_longer, CONNECT_TIMEOUT_SECONDS)

    def _wait_no_longer(self) -> None:
        if self._session is None and self._refusal is None:
            self.refuse("Ray has not started yet")

    # ---- attempts ---------------------------------------------------------------------------

    def _submit(self, handle: RayHandle) -> None:
        try:
            wanted = pickle.dumps(self._wanted(handle), pickle.HIGHEST_PROTOCOL)
            function = self._function(handle.attempt.job.spec.worker)
            handle.begin(function.remote(wanted))
        except StorageError as error:  # it cannot read the errors of the job now
            log.warning("job #%d is given back: %s", handle.attempt.job.id, error)
            handle.end(GivenBack())
        except ConfigError as error:  # of a middleware that cannot be pickled
            handle.end(Failed(str(error), retry_in=None))
        except (NotPicklableError, ValueError, TypeError) as error:
            handle.end(Failed(f"Ray cannot run it: {error}", retry_in=None))
        except Exception as error:  # noqa: BLE001 - whatever Ray raises when it is gone
            handle.end(Interrupted(f"Ray did not take it: {type(error).__name__}: {error}"))

    def _wanted(self, handle: RayHandle) -> task.Wanted:
        attempt = handle.attempt
        worker = defined(attempt.job.spec.worker)
        application = current_app.latest()
        return task.Wanted(
            number=handle.number,
            job=attempt.job_with_errors(),  # the task has no store
            until=handle.until(),
            failed=attempt.failed,
            worker=None if worker is None else pack_worker(worker),
            log_level=logging.getLogger().getEffectiveLevel(),
            default_queue="default" if application is None else application.default_queue,
            host=client.hosted_here.name,
            middleware=self._packed(),
        )

    def _packed(self) -> PackedMiddleware | None:
        """Return the middleware of the application as Ray tasks get it. Raises ConfigError."""
        pipeline = everywhere.current(self._settings.middleware)
        if pipeline is not self._equipped:
            self._middleware = None if pipeline is None else pack_middleware(pipeline)
            self._equipped = pipeline
        return self._middleware

    def _function(self, worker_name: str) -> Any:
        """Return Ray's remote function for the jobs of a worker, with the worker's Ray options."""
        worker = defined(worker_name)
        options: RayOptions = () if worker is None else worker.antq_options.ray
        key = (worker_name, repr(options))
        function = self._functions.get(key)
        if function is None:
            # Attempts are counted in the store, and repeated from there: by Ray, never.
            own = {**dict(options), "name": worker_name, "max_retries": 0}
            function = self._functions[key] = ray.remote(task.run).options(**own)
        return function


class _Connect(NamedTuple):
    """It is time to try to start Ray."""


class _NodeDied(NamedTuple):
    """The node of this process has died."""

    session: connection.RaySession


class _Renew(NamedTuple):
    """Ray has had its time to report this for all that was under way."""

    session: connection.RaySession


class _Check(NamedTuple):
    """It is time to check whether the connection is still there."""


class RayActor(GenServer):
    """Connects an executor to Ray, tries again when that fails, and disconnects it."""

    def __init__(self, executor: RayExecutor) -> None:
        super().__init__()
        self._executor = executor
        self._is_connected = False

    def init(self) -> Continue:
        """Let attempts wait for Ray, and start the timer that checks the connection."""
        self._executor.wait_for_ray()
        self.send_after(CHECK_INTERVAL_SECONDS, _Check())
        self._otp_cell.watch(self, self._on_end)
        return Continue()

    def handle_continue(self, _token: object) -> None:
        """Connect the executor to Ray, which may start it and take seconds."""
        self._connect()

    def handle_info(self, message: Any) -> None:
        """Connect to Ray again, check the connection, or give up a Ray whose node has died."""
        match message:
            case _Connect():
                self._connect()
            case _NodeDied(session):
                log.error("executor 'ray': the Ray node of this process has died")
                self._executor.tell(ExecutorDied, reason="the Ray node of this process has died")
                self.send_after(RETRY_INTERVAL_SECONDS, _Renew(session))
            case _Renew(session):
                self._executor.close("the Ray node of its queue's process has died")
                connection.abandon(session)
                self._connect()
            case _Check():
                self._executor.check_connection()
                self.send_after(CHECK_INTERVAL_SECONDS, _Check())
            case _:
                super().handle_info(message)

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002 - every end is the same
        """Cancel the executor's Ray tasks, and disconnect from Ray."""
        self._executor.close("its executor was stopped")
        self._disconnect()

    def _on_end(self, _ref: object, _reason: object) -> None:
        self._executor.close("its executor ended")  # also when this actor was killed
        self._disconnect()

    def _connect(self) -> None:
        self._disconnect()
        try:
            session = connection.connect()
        except NotReady as error:
            log.error("executor 'ray': %s", error)  # noqa: TRY400 - the message has the reason
            self._executor.refuse(str(error))
            self.send_after(RETRY_INTERVAL_SECONDS, _Connect())
        else:
            self._is_connected = True
            self._executor.open(self.ref, session)
            self._executor.tell(ExecutorStarted)

    def _disconnect(self) -> None:
        if self._is_connected:
            self._is_connected = False
            connection.disconnect()


# ---- one attempt ----------------------------------------------------------------------------


class _LastKill:
    """When a task was last killed. Ray kills its process, which may be at the next task by then."""

    at = -math.inf

    def is_recent(self) -> bool:
        return time.monotonic() - self.at < KILL_TIMEOUT_SECONDS


_last_kill: Final = _LastKill()


class RayHandle:
    """One attempt: waiting for Ray, or a task there."""

    __slots__ = ("_done", "_executor", "_ref", "attempt", "number", "stop_requested")

    def __init__(self, attempt: Attempt, done: Done, executor: RayExecutor) -> None:
        self.attempt = attempt
        self._done = done
        self._executor = executor
        self._ref: Any = None
        self.stop_requested = False
        self.number = next(_numbers)
        under_way[self.number] = self

    def until(self) -> float | None:
        """Return the wall-clock time at which the attempt on Ray times out; None: never."""
        deadline = self.attempt.control.deadline
        return None if deadline is None else time.time() + deadline - time.monotonic()

    def interrupt(self) -> None:
        """Have Ray kill the process of the attempt's task, or end an attempt that waits for Ray."""
        self.stop_requested = True
        if self._ref is None:
            self.end(None)  # it is not submitted any more
        else:
            self._cancel()

    def kill(self) -> bool:
        """Have Ray kill the process of the attempt's task, as `interrupt` does; return False."""
        self.interrupt()
        return False

    def begin(self, ref: Any) -> None:
        """Watch the attempt's Ray task, of outcome *ref*; cancel it if a stop was requested."""
        self._ref = ref
        # Ray calls from a thread of its own, one for all.
        ref.future().add_done_callback(self._ended)
        if self.stop_requested:  # in the meantime
            self._cancel()

    def end(self, end: Outcome | NotRun | None) -> None:
        """Report how the Ray attempt ended to its queue, and forget it."""
        under_way.pop(self.number, None)
        self._executor.leave(self)
        self._done(end)

    def _cancel(self) -> None:
        try:
            _last_kill.at = time.monotonic()
            ray.cancel(self._ref, force=True)
        except Exception as error:  # noqa: BLE001 - Ray is gone, and the task with it
            log.debug("a Ray task was not cancelled: %s", error)

    def _ended(self, future: Future[Any]) -> None:
        error = future.exception()
        if error is None:
            outcome, checkpoint = pickle.loads(future.result())  # noqa: S301 - of task.py
            if self.attempt.failed is None:  # else it was only asked for a delay, and passed none
                self.attempt.control.hold_checkpoint(checkpoint)
            self.end(outcome)
        elif self.stop_requested:
            self.end(None)
        elif isinstance(error, exceptions.LocalRayletDiedError):
            self._executor.report_dead_node()
            self.end(GivenBack())  # it was never sent
        elif isinstance(error, exceptions.WorkerCrashedError) and _last_kill.is_recent():
            self.end(Interrupted("its Ray worker process died when that of another job was killed"))
        else:
            self.end(outcome_of(error))


def outcome_of(error: BaseException) -> Outcome:
    """Return the outcome of an attempt whose Ray task ended with *error*, without a cancel by us.

    What the job may have caused is its failure; the loss of a node is not.
    """
    text = str(error).strip()
    match error:
        case exceptions.WorkerCrashedError():
            return Failed(
                f"its Ray worker process died, by a crash or an exit: {text}", retry_in=None
            )
        case exceptions.OutOfMemoryError():
            return Failed(
                "its Ray worker process was killed, because memory ran out", text, retry_in=None
            )
        case exceptions.TaskCancelledError():
            return Failed("its Ray task was cancelled, and not by its queue", retry_in=None)
        case exceptions.RayTaskError():
            return Failed(f"its Ray task could not run: {_last_line(text)}", text, retry_in=None)
        case exceptions.RuntimeEnvSetupError() | exceptions.TaskUnschedulableError():
            return Failed(f"its Ray task could not start: {text}", retry_in=None)
        case _:
            return Interrupted(f"Ray lost it: {type(error).__name__}: {_first_line(text)}")


def on_progress(number: int, progress: Progress) -> None:
    """Store the progress that a Ray task has reported in its attempt, if that has not ended."""
    handle = under_way.get(number)
    if handle is not None:
        handle.attempt.control.report(progress)


def on_checkpoint(number: int, value: bytes | None) -> None:
    """Hold a checkpoint for the outcome of an attempt, if that has not ended; None: it is stored.

    So it is not lost with the process of its Ray task.
    """
    handle = under_way.get(number)
    if handle is not None:
        handle.attempt.control.hold_checkpoint(value)


def stop_request(number: int, *, checks: bool = True) -> client.StopRequest:
    """Return whether the attempt of a Ray task must stop; notes that the attempt *checks*."""
    handle = under_way.get(number)
    if handle is None:
        return client.StopRequest(is_made=True)
    control = handle.attempt.control
    is_made = control.cancelled() if checks else control.stop_requested
    return client.StopRequest(is_made, is_cancelled=control.is_cancelled)


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _last_line(text: str) -> str:
    return text.rpartition("\n")[2]
