"""Gives each job to the executor that is to run it, and starts its worker actor there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from antq_actors.executors.base import THREAD, NotReady, Settings, kind_for, make_executor
from antq_actors.executors.thread import FindingWorker, RemoteWorker, WorkerActor
from antq_actors.jobs.worker_definitions import defined
from antq_actors.otp.kernel.child_spec import ChildSpec, Restart
from antq_actors.otp.kernel.errors import CallExit, OtpError
from antq_actors.otp.supervision.dynamic import DynamicSupervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.executors.base import Executor, Health
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.perform import Attempt
    from antq_actors.queues.exit_queue import ExitQueue
    from antq_actors.queues.messages import QueueSettings

_IN_A_THREAD: Final = ChildSpec("worker", WorkerActor.spawn, restart=Restart.TEMPORARY)
_TO_BE_FOUND: Final = ChildSpec("worker", FindingWorker.spawn, restart=Restart.TEMPORARY)
_ELSEWHERE: Final = ChildSpec("worker", RemoteWorker.spawn, restart=Restart.TEMPORARY)


class Dispatch:
    """The executors of one queue, each started when it is first needed."""

    def __init__(
        self,
        settings: QueueSettings,
        exits: ExitQueue,
        clock: Callable[[], Instant],
        concurrency: int,
    ) -> None:
        self._settings = settings
        self._exits = exits
        self._clock = clock
        self._concurrency = concurrency
        self._executors: dict[str, Executor] = {}

    def kind_of(self, worker_name: str) -> str | None:
        """Answer what runs the jobs of a worker; None: it has to be found first."""
        worker = defined(worker_name)
        return None if worker is None else kind_for(worker, self._settings.executor)

    def start(self, attempts: Sequence[Attempt], kind: str | None = None) -> list[Any]:
        """Start a worker actor for each; answer their refs, or why there is none, in order.

        *kind*: the executor, if that is known better than here.
        """
        by_kind: dict[str | None, list[int]] = {}
        for position, attempt in enumerate(attempts):
            chosen = kind or self.kind_of(attempt.job.spec.worker)
            by_kind.setdefault(chosen, []).append(position)
        answers: list[Any] = [None] * len(attempts)
        for chosen, positions in by_kind.items():
            started = self._start([attempts[position] for position in positions], chosen)
            for position, answer in zip(positions, started, strict=True):
                answers[position] = answer
        return answers

    def warm_up(self) -> None:
        """Start the executor that the queue names, before there is a job for it."""
        if self._settings.executor not in (None, THREAD):
            self._executor(self._settings.executor)

    def resize(self, concurrency: int) -> None:
        """Let all be ready for so many jobs at once."""
        self._concurrency = concurrency
        for executor in self._executors.values():
            executor.resize(concurrency)

    def health(self) -> tuple[Health, ...]:
        """Answer how each executor is that was needed so far."""
        return tuple(executor.health() for executor in self._executors.values())

    def _start(self, attempts: Sequence[Attempt], kind: str | None) -> list[Any]:
        try:
            spec, each_args = self._described(attempts, kind)
            return DynamicSupervisor.start_copies(self._settings.workers, spec, each_args)
        except (CallExit, NotReady) as error:  # of a supervisor: this actor will end as well
            return [error] * len(attempts)

    def _described(
        self, attempts: Sequence[Attempt], kind: str | None
    ) -> tuple[ChildSpec, list[tuple[Any, ...]]]:
        ends, tell, clock = self._exits, self._exits.push, self._clock
        if kind == THREAD:
            return _IN_A_THREAD, [(each, clock, ends, tell) for each in attempts]
        if kind is None:
            of_queue = self._settings.executor
            return _TO_BE_FOUND, [(each, clock, of_queue, ends, tell) for each in attempts]
        executor = self._executor(kind)
        return _ELSEWHERE, [(executor, each, ends, tell) for each in attempts]

    def _executor(self, kind: str) -> Executor:
        """Answer the executor, started if it is not. Raises NotReady."""
        executor = self._executors.get(kind)
        if executor is None:
            executor = make_executor(
                kind,
                Settings(
                    queue=self._settings.name,
                    name=f"{self._settings.workers}.{kind}",
                    concurrency=self._concurrency,
                    clock=self._clock,
                    max_jobs=self._settings.max_jobs,
                    max_memory=self._settings.max_memory,
                    application=self._settings.application,
                    path=self._settings.path,
                ),
            )
            try:
                DynamicSupervisor.start_child(self._settings.workers, executor.child())
            except OtpError as error:
                raise NotReady(f"the executor {kind!r} did not start: {error}") from error
            self._executors[kind] = executor
        return executor
