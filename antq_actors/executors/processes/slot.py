"""The actor of one OS process: hands it attempts, hears their ends, replaces it.

The death of the process is the end of an attempt, not of this actor: a process that was killed for
its job's timeout is no fault that a supervisor should count.
"""

from __future__ import annotations

import logging
import pickle
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.executors import by_value
from antq_actors.executors.contract import Died, Lost, Stopped
from antq_actors.executors.processes import wire
from antq_actors.executors.processes.attempt import Superfluous
from antq_actors.executors.processes.os_process import OsProcess
from antq_actors.jobs import registry, running
from antq_actors.jobs.definitions import defined
from antq_actors.otp.errors import Stop
from antq_actors.otp.gen_server import GenServer
from antq_actors.otp.messages import Continue

if TYPE_CHECKING:
    from antq_actors.executors.contract import End
    from antq_actors.executors.processes.attempt import Attempt
    from antq_actors.executors.processes.pool import ProcessExecutor
    from antq_actors.otp.reasons import ExitReason

TAIL_PATIENCE: Final = 0.2
"""Seconds to wait for the last words of a process that died."""


class Work(NamedTuple):
    """There may be an attempt to perform."""


class SlotActor(GenServer):
    """Owns one OS process at a time, and performs one attempt at a time in it."""

    def __init__(self, pool: ProcessExecutor) -> None:
        super().__init__()
        self._pool = pool
        self._process: OsProcess | None = None
        self._performed = 0
        """Attempts of the present process."""
        self._known: set[str] = set()
        """Workers that the present process was given by value."""
        self.is_busy = False

    @property
    def pid(self) -> int | None:
        """The number of its process; may be read in any thread."""
        process = self._process
        return None if process is None else process.pid

    # ---- life -----------------------------------------------------------------------------

    def init(self) -> Continue:
        """Be a slot of the pool."""
        self._otp_process.watch(self, self._on_end)
        self._pool.enter(self)
        return Continue()

    def handle_continue(self, _token: object) -> None:
        """Start the process, and take what waits."""
        self._renew()
        self._work()

    def handle_info(self, message: Any) -> None:
        """Take what waits."""
        if isinstance(message, Work):
            self._work()
        else:
            super().handle_info(message)

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002 - every end is the same
        """End the process."""
        if self._process is not None:
            self._process.close()

    def _on_end(self, ref: Any, _reason: object) -> None:
        # Also when this actor was killed, and in the thread of who killed it.
        self._pool.leave(ref)
        if self._process is not None:
            self._process.kill()

    # ---- attempts -------------------------------------------------------------------------

    def _work(self) -> None:
        self.is_busy = True
        try:
            while (attempt := self._pool.next(self)) is not None:
                self._run(attempt)
                if self._is_told_to_end():
                    return
        except Superfluous:
            raise Stop from None
        finally:
            self.is_busy = False

    def _is_told_to_end(self) -> bool:
        return self._otp_process.is_told_to_end()

    def _run(self, attempt: Attempt) -> None:
        process = self._process
        if process is None or process.has_died():  # idle, and by no job's fault
            process = self._renew()
        if not attempt.begin(process):
            attempt.end(Stopped())
            return
        me = self._otp_process
        end: End = Lost("its slot ended")
        try:
            end = me.interruptible.run_until(
                me.is_told_to_end, process.kill, lambda: self._perform(attempt, process)
            )
        finally:
            attempt.end(end)
        if self._process is None and not self._is_told_to_end():
            self._renew()

    def _perform(self, attempt: Attempt, process: OsProcess) -> End:
        """Have the process perform it; answer its end. A process that must not go on is gone."""
        assignment = attempt.assignment
        control = assignment.control
        process.tail.forget()
        try:
            self._define(assignment.job.spec.worker, assignment.job.id, process)
            process.send(
                wire.Perform(
                    assignment.job, control.remaining(), assignment.failure, assignment.stack_trace
                )
            )
            control.watched = False
            control.on_told = lambda: process.send(wire.Tell())
            ended = self._hear(attempt, process)
        except (EOFError, OSError):
            return self._death(attempt, process)
        except _CannotTravelError as error:
            return Died(str(error))
        finally:
            control.on_told = None
        self._performed += 1
        if attempt.told or ended.outcome is None:
            self._retire(process)
            return Stopped() if attempt.told else Died("its process was terminated by SIGTERM")
        settings = self._pool.settings
        if self._performed == settings.max_jobs or (
            settings.max_memory is not None and ended.memory > settings.max_memory
        ):
            self._retire(process)
        return ended.outcome

    def _hear(self, attempt: Attempt, process: OsProcess) -> wire.Ended:
        control = attempt.assignment.control
        while True:
            match wire.receive(process.pipe):
                case wire.Ended() as ended:
                    return ended
                case wire.Watched():
                    control.watched = True
                case wire.Reported(progress):
                    control.report(progress)
                case wire.Logged(record):
                    logger = logging.getLogger(record.name)
                    if logger.isEnabledFor(record.levelno):
                        logger.handle(record)
                case wire.Enqueue() as wanted:
                    process.send(_enqueued(wanted))

    def _define(self, name: str, job_id: int, process: OsProcess) -> None:
        """Give the process a worker that it cannot import."""
        if name in self._known:
            return
        self._known.add(name)
        worker = defined(name)
        if worker is None:
            return  # it is found by its name, or not at all
        if registry.is_importable(worker):
            # Not by its name: that may be one of its own choice.
            self._pool.modules.add(worker.__module__)
            process.send(wire.Import(worker.__module__))
            return
        try:
            pickled = by_value.dumps(worker)
        except Exception as error:
            raise _CannotTravelError(name, job_id, error) from error
        process.send(wire.Define(name, pickled))

    def _death(self, attempt: Attempt, process: OsProcess) -> End:
        self._process = None
        why = process.close()
        if attempt.told:
            return Stopped()
        if self._is_told_to_end():
            return Lost("its process was stopped with the queue's executor")
        last_words = process.tail.text(TAIL_PATIENCE)
        shown = f"what it wrote last to its standard error:\n{last_words}" if last_words else None
        return Died(f"its process {why}", shown)

    # ---- the process ------------------------------------------------------------------------

    def _retire(self, process: OsProcess) -> None:
        self._process = None
        process.close()

    def _renew(self) -> OsProcess:
        if self._process is not None:
            self._retire(self._process)
        stderr = self._pool.stderr
        if stderr is None:  # the pool is being closed, and this slot with it
            raise Stop
        process = self._process = OsProcess(stderr)
        self._performed = 0
        self._known = set()
        application = running.latest()
        process.send(
            wire.Boot(
                modules=sorted(self._pool.modules),
                log_level=logging.getLogger().getEffectiveLevel(),
                default_queue="default" if application is None else application.default_queue,
                measures_memory=self._pool.settings.max_memory is not None,
            )
        )
        return process


class _CannotTravelError(Exception):
    """A worker of a script or a function cannot be pickled."""

    def __init__(self, name: str, job_id: int, error: Exception) -> None:
        super().__init__(
            f"job {job_id} names the worker {name!r}, which another process cannot import, and"
            f" which cannot be pickled either: {type(error).__name__}: {error}"
        )


def _enqueued(wanted: wire.Enqueue) -> wire.Answer:
    """Store a job for an attempt in the process, as `perform_async` there does here."""
    try:
        worker = registry.resolve(wanted.worker, job_id=0)
        return wire.Answer(running.current().enqueue(worker, wanted.args, **wanted.options), None)
    except Exception as error:  # noqa: BLE001 - it is raised there
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 - whether it can travel
        except Exception:  # noqa: BLE001 - any may refuse
            error = RuntimeError(f"{type(error).__name__}: {error}")
        return wire.Answer(None, error)
