"""The executor of a queue and its actors: one for the pool, and one for each slot's OS process.

The death of the process is the end of an attempt, not of its slot's actor: a process that was
killed for its job's timeout is no fault that a supervisor should count.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from antq_actors.events import ExecutorDied, ExecutorStarted
from antq_actors.executors.base import PROCESS
from antq_actors.executors.process.os_process import OsProcess
from antq_actors.executors.process.output import Closed
from antq_actors.executors.process.pool import Grow, ProcessPool, Work
from antq_actors.executors.process.session import ProcessSession, worker_module
from antq_actors.jobs.outcome import Failed, Interrupted
from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.kernel.child_spec import Restart, Strategy
from antq_actors.otp.kernel.errors import OtpError, Stop
from antq_actors.otp.kernel.messages import Continue
from antq_actors.otp.kernel.reasons import Shutdown
from antq_actors.otp.messaging.calls import deferring_turns
from antq_actors.otp.supervision.dynamic import DynamicSupervisor
from antq_actors.otp.supervision.supervisor import Supervisor

if TYPE_CHECKING:
    from antq_actors.executors.process.output import StderrReader
    from antq_actors.executors.process.pool import ProcessHandle
    from antq_actors.executors.process.wire import Ended
    from antq_actors.jobs.outcome import Outcome
    from antq_actors.otp.kernel.child_spec import ChildSpec
    from antq_actors.otp.kernel.reasons import ExitReason

log: Final = logging.getLogger("antq_actors.executors")

RETRY_INTERVAL_SECONDS: Final = 1.0
"""Until the next try when the system has no process to give."""

SHUTDOWN_TIMEOUT_SECONDS: Final = 3.0
"""Seconds that a slot has to end its process."""

_JOIN_TIMEOUT_SECONDS: Final = 1.0


class ProcessExecutor(ProcessPool):
    """Performs the attempts of one queue in OS processes."""

    kind = PROCESS

    def child(self) -> ChildSpec:
        """Return the spec of the supervisor over the actors of the slots and of their pool."""
        slots = f"{self.settings.name}.slots"
        return Supervisor.child_spec(
            [
                DynamicSupervisor.child_spec(id="slots", name=slots),
                PoolActor.child_spec(self, slots, id="pool"),
            ],
            strategy=Strategy.ONE_FOR_ALL,
            name=self.settings.name,
        )


class PoolActor(GenServer):
    """Starts the slots of a pool, under the supervisor called *slots*."""

    def __init__(self, executor: ProcessExecutor, slots: str) -> None:
        super().__init__()
        self._executor = executor
        self._slots = slots

    def init(self) -> None:
        """Open the process pool and start the first slots, so that their OS processes are warm."""
        number = self._executor.open(self.ref)
        if not self._otp_cell.watch(self, lambda _ref, _reason: self._executor.close()):
            self._executor.close()
        for _ in range(number):
            self._start()

    def handle_info(self, message: Any) -> None:
        """Start another slot's actor, if an attempt still waits for one."""
        if isinstance(message, Grow):
            if self._executor.needs_slot():
                self._start()
        else:
            super().handle_info(message)

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002 - every end is the same
        """Close the process pool, and wait a little for the thread that reads standard error."""
        stderr = self._executor.stderr
        self._executor.close()
        if stderr is not None:
            stderr.join(_JOIN_TIMEOUT_SECONDS)

    def _start(self) -> None:
        spec = SlotActor.child_spec(
            self._executor, id="slot", restart=Restart.TRANSIENT, shutdown=SHUTDOWN_TIMEOUT_SECONDS
        )
        try:
            DynamicSupervisor.start_child(self._slots, spec)
        except OtpError as error:
            log.error("no process can be started: %s", error)  # noqa: TRY400 - the message has the reason
            self.send_after(RETRY_INTERVAL_SECONDS, Grow())


class SlotActor(GenServer):
    """Owns one OS process at a time, and performs one attempt at a time in it."""

    def __init__(self, pool: ProcessPool) -> None:
        super().__init__()
        self._pool = pool
        self._session: ProcessSession | None = None
        self._retired: list[OsProcess] = []
        self.is_busy = False
        """Whether an attempt is under way; may be read in any thread."""

    @property
    def pid(self) -> int | None:
        """The number of the slot's OS process; may be read in any thread."""
        session = self._session
        return None if session is None else session.process.pid

    # ---- life -----------------------------------------------------------------------------

    def init(self) -> Continue:
        """Enter the process pool as a slot; the OS process is started after that."""
        self._pool.add_slot(self)
        if not self._otp_cell.watch(self, self._on_end):
            self._pool.remove_slot(self.ref)
            raise Stop
        return Continue()

    def handle_continue(self, _token: object) -> None:
        """Start the slot's OS process, and perform the attempts that wait for one."""
        self._work()

    def handle_info(self, message: Any) -> None:
        """Perform the attempts that wait in the process pool."""
        if isinstance(message, Work):
            self._work()
        else:
            super().handle_info(message)

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002 - every end is the same
        """End the slot's OS processes, and wait until they are dead."""
        if self._session is not None:
            self._session.process.close()
        for process in self._retired:
            process.close()

    def _on_end(self, ref: Any, reason: object) -> None:
        # Also when this actor was killed, and in the thread of who killed it: so nothing may wait.
        self._pool.remove_slot(ref)
        session = self._session
        if session is not None:
            session.process.kill()
            session.process.reap()
            if not isinstance(reason, Shutdown):
                self._tell_died(session.process, f"its slot ended: {reason}")

    # ---- attempts -------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            session = self._living_session()
            while session is not None and (handle := self._pool.next_attempt(self)) is not None:
                self._run(handle, session)
                if self._otp_cell.stop_requested():
                    return
                # It was alive a moment ago; that it is not is seen when it takes no more.
                session = self._session or self._living_session()
        except Closed:
            raise Stop from None
        finally:
            self._pool.dispatch()

    def _run(self, handle: ProcessHandle, session: ProcessSession) -> None:
        me = self._otp_cell
        end: Outcome | None = Interrupted("its slot ended")
        self.is_busy = True
        try:
            end = me.interruptible.run_until(
                me.stop_requested, self._kill, lambda: self._perform(handle, session)
            )
        finally:
            self.is_busy = False
            # The queue claims its next job in this thread, which then takes it: no thread is woken.
            with self._pool.taking_next(), deferring_turns():
                handle.end(end)

    def _kill(self) -> None:
        session = self._session
        if session is not None:
            session.process.kill()

    def _perform(
        self, handle: ProcessHandle, session: ProcessSession, *, is_second: bool = False
    ) -> Outcome | None:
        """Have the OS process perform the attempt; return its outcome, None after a stop request.

        A process that must not go on is dead when this returns.
        """
        if not handle.begin(session.process):
            return None
        result: Ended | Failed | Exception | None
        try:
            result = session.perform(handle.attempt)
        except (EOFError, OSError) as error:
            result = error
        stop_requested = handle.leave()
        if isinstance(result, Failed):
            if stop_requested:
                self._retire()
            return result
        if result is None and not stop_requested and not is_second:
            return self._perform_in_another(handle)
        if result is None or isinstance(result, Exception):
            end = self._death(session.process, stop_requested=stop_requested)
            return (
                _process_died(str(result))
                if isinstance(result, TimeoutError) and not stop_requested
                else end
            )
        return self._outcome(handle, session, result, stop_requested=stop_requested)

    def _perform_in_another(self, handle: ProcessHandle) -> Outcome | None:
        """Start a new OS process and perform the attempt there: the idle one had ended."""
        if self._session is not None:
            self._tell_died(self._session.process, "ended while it had no job")
        self._retire()
        handle.attempt.control.pause()
        try:
            session = self._living_session()
        except Closed:
            session = None
        if session is None or self._otp_cell.stop_requested():
            return Interrupted("its process ended, and there was no other")
        return self._perform(handle, session, is_second=True)

    def _outcome(
        self, handle: ProcessHandle, session: ProcessSession, ended: Ended, *, stop_requested: bool
    ) -> Outcome | None:
        if stop_requested or ended.outcome is None or self._is_worn_out(session, ended):
            # First of all: while it lives, the next attempt of the job must not begin elsewhere.
            self._session = None
            session.process.close()
        if ended.outcome is None:
            if stop_requested:
                return None
            self._tell_died(session.process, "was terminated by SIGTERM")
            return _process_died("its process was terminated by SIGTERM")
        module = worker_module(handle.attempt)
        if module is not None:
            self._pool.modules.add(module)
        return ended.outcome

    def _is_worn_out(self, session: ProcessSession, ended: Ended) -> bool:
        settings = self._pool.settings
        return session.performed == settings.max_jobs or (
            settings.max_memory is not None and ended.memory > settings.max_memory
        )

    def _death(self, process: OsProcess, *, stop_requested: bool) -> Outcome | None:
        self._session = None
        why = process.close()
        if stop_requested:
            return None
        if self._otp_cell.stop_requested():
            return Interrupted("its process was stopped with the queue's executor")
        self._tell_died(process, why)
        last_stderr = process.last_stderr()
        shown = f"what it wrote last to its standard error:\n{last_stderr}" if last_stderr else None
        return _process_died(f"its process {why}", shown)

    # ---- the process ------------------------------------------------------------------------

    def _living_session(self) -> ProcessSession | None:
        """Return the session of the slot's OS process, starting one if it is dead; None: none can.

        Raises Closed when the pool is.
        """
        if self._session is not None and not self._session.process.has_died():
            return self._session
        if self._session is not None:
            self._tell_died(self._session.process, "ended while it had no job")
        self._retire()
        stderr = self._pool.stderr
        if stderr is None:
            raise Closed
        try:
            self._session = self._new_session(stderr)
        except OSError as error:
            log.error(  # noqa: TRY400 - the message has the reason
                "no process can be started for queue %r, which is tried again in %g s: %s",
                self._pool.settings.queue,
                RETRY_INTERVAL_SECONDS,
                error,
            )
            self.send_after(RETRY_INTERVAL_SECONDS, Work())
            return None
        if self._otp_cell.reason is not None:  # killed in the meantime, and the process went unseen
            self._retire()
            raise Stop
        return self._session

    def _new_session(self, stderr: StderrReader) -> ProcessSession:
        process = OsProcess(stderr, self._pool.settings.name)
        try:
            session = ProcessSession(process, sorted(self._pool.modules), self._pool.settings)
        except OSError:  # it has ended already
            process.retire()
            raise
        self._pool.settings.tell(ExecutorStarted, kind=PROCESS, pid=process.pid)
        return session

    def _tell_died(self, process: OsProcess, why: str) -> None:
        self._pool.settings.tell(ExecutorDied, kind=PROCESS, pid=process.pid, reason=why)

    def _retire(self) -> None:
        """Give the slot's OS process up without waiting: it ends by itself, or is killed soon."""
        self._retired = [process for process in self._retired if not process.has_died()]
        if self._session is not None:
            self._session.process.retire()
            self._retired.append(self._session.process)
            self._session = None


def _process_died(error: str, stack_trace: str | None = None) -> Failed:
    """Return the failure of an attempt whose OS process has ended; retries are set elsewhere."""
    return Failed(error, stack_trace, retry_in=None)
