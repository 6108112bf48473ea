"""The executors of one queue, each started when it is first needed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from antq_actors.executors.base import THREAD, NotReady, Settings, make_executor
from antq_actors.otp.kernel.errors import OtpError
from antq_actors.otp.supervision.dynamic import DynamicSupervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.executors.base import Executor, Health
    from antq_actors.jobs.instant import Instant
    from antq_actors.queues.messages import QueueSettings

log: Final = logging.getLogger("antq_actors.queues")


class QueueExecutors:
    """The executors of one queue. Threads are none: their worker actors perform jobs themselves."""

    def __init__(
        self,
        settings: QueueSettings,
        clock: Callable[[], Instant],
        concurrency: int,
        tell: Callable[..., None],
    ) -> None:
        self._settings = settings
        self._tell = tell
        self._clock = clock
        self._concurrency = concurrency
        self._started: dict[str, Executor] = {}

    def warm_up(self) -> None:
        """Start the executor named in the queue's options; log why if it cannot start yet."""
        if self._settings.executor in (None, THREAD):
            return
        try:
            self.ensure_started(self._settings.executor)
        except NotReady as error:
            log.error("queue %r: %s", self._settings.name, error)  # noqa: TRY400 - nothing crashed

    def resize(self, concurrency: int) -> None:
        """Have all started executors of the queue be ready for so many jobs at once."""
        self._concurrency = concurrency
        for executor in self._started.values():
            executor.resize(concurrency)

    def health(self) -> tuple[Health, ...]:
        """Return the health of each executor that the queue has started so far."""
        return tuple(executor.health() for executor in self._started.values())

    def ensure_started(self, kind: str) -> Executor:
        """Start the queue's executor of this *kind* unless it runs; return it. Raises NotReady."""
        executor = self._started.get(kind)
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
                    middleware=self._settings.middleware,
                    tell=self._tell,
                ),
            )
            try:
                DynamicSupervisor.start_child(self._settings.workers, executor.child())
            except OtpError as error:
                raise NotReady(f"the executor {kind!r} did not start: {error}") from error
            self._started[kind] = executor
        return executor
