"""A queue as users hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from antq_actors.checks import short_repr
from antq_actors.errors import NotStarted, StorageError
from antq_actors.jobs import instant
from antq_actors.jobs.state import Status
from antq_actors.otp.kernel.errors import CallCycle, CallTimeout
from antq_actors.otp.messaging import calls, names
from antq_actors.queues.messages import (
    GetStatus,
    Pause,
    QueueStatus,
    Resume,
    SetConcurrency,
    check_concurrency,
    check_global_concurrency,
    due_for_display,
)
from antq_actors.storage.format.records import Filter
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.jobs.instant import Instant
    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.storage.client import StorageClient

ANSWER_TIMEOUT_SECONDS: Final = 30.0
"""Seconds a queue actor has for an answer, and to come back when it died."""


def check_why(by: object, reason: object) -> None:
    """Raise TypeError unless both are text or None: who pauses a queue, and why."""
    for name, value in (("by", by), ("reason", reason)):
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} must be a str or None, got {short_repr(value)}")


class QueueHandle:
    """The handle of a queue, as ``AntQ.queue`` returns it; its methods ask the queue actor.

    Where no queues run (``app.start(queues=False)``) it pauses, resumes and reads the status
    through the store. It raises StorageError when there is no answer within half a minute.
    """

    def __init__(
        self,
        name: str,
        actor: str | None,
        store: StorageClient,
        clock: Callable[[], Instant] = instant.now,
    ) -> None:
        self.name = name
        self._actor = actor
        self._store = store
        self._clock = clock

    def __repr__(self) -> str:
        return f"<QueueHandle {self.name!r}>"

    @property
    def ref(self) -> ServerRef:
        """The ref of the queue actor. Raises NotStarted where it does not run."""
        ref = None if self._actor is None else names.whereis(self._actor)
        if ref is None:
            raise self._not_running()
        return ref

    def set_concurrency(self, n: int) -> None:
        """Have the queue perform up to *n* jobs at once on this node, until it restarts.

        Where no queues run it is for every node of the path that runs this one; they hear of it
        within a moment. Lowering stops no running job. Raises TypeError or ValueError unless *n*
        is a whole number of at least 1, and NotStarted when no node runs the queue.
        """
        n = check_concurrency(n)
        if self._actor is not None:
            self._call(self._actor, SetConcurrency(n))
        elif not self._store.set_concurrency_command(self.name, n):
            raise NotStarted(
                f"no node runs queue {self.name!r}; start an application with it first, or give the"
                " concurrency where it is described"
            )

    def set_global_concurrency(self, n: int | None) -> None:
        """Have the queue perform up to *n* jobs at once in all processes; None: no limit.

        It holds from the next claim on, also after restarts, in place of what the code says.
        Lowering stops no running job. Raises TypeError or ValueError unless *n* is None or a whole
        number of at least 1.
        """
        checked = None if n is None else check_global_concurrency(n)
        self._store.write(JobStore.set_global_concurrency, self.name, checked)

    def pause(self, by: str | None = None, reason: str | None = None) -> None:
        """Have the queue claim no more jobs, on every node of the path, also after restarts.

        Running jobs go on. *by* and *reason* say who wants that, and why: they are kept until it is
        resumed, and told in the event ``QueuePaused``. Raises TypeError for what is no text.
        """
        check_why(by, reason)
        if self._actor is None:
            now = self._clock()
            self._store.write(
                JobStore.set_paused, self.name, paused=True, by=by, reason=reason, now=now
            )
        else:
            self._call(self._actor, Pause(by, reason))

    def resume(self) -> None:
        """Have the queue claim jobs again, on every node of the path."""
        if self._actor is None:
            self._store.write(JobStore.set_paused, self.name, paused=False)
        else:
            self._call(self._actor, Resume())

    def status(self) -> QueueStatus:
        """Return the state of the queue. Where no queues run, ``running`` is that of all nodes."""
        if self._actor is not None:
            status: QueueStatus = self._call(self._actor, GetStatus())
            return status
        running = self._store.list(Filter(frozenset([Status.RUNNING]), self.name))
        facts = self._store.read(JobReader.facts, self.name, self._clock())
        return QueueStatus(
            name=self.name,
            concurrency=0,
            paused=facts.is_paused,
            running=tuple(job.id for job in running),
            counts=facts.counts,
            due=facts.due,
            oldest_due=due_for_display(facts.oldest_due),
            progress=self._store.read(JobReader.progress_in, self.name) if running else {},
        )

    def _not_running(self) -> NotStarted:
        return NotStarted(
            f"queue {self.name!r} does not run in this process; start the application here with its"
            " queues to have its actor"
        )

    def _call(self, dest: str, request: Any) -> Any:
        """Call the queue actor until it replies: it may die in the meantime, and comes back.

        What is asked here may be asked twice.
        """
        self._store.check()
        try:
            return calls.call_supervised(
                dest,
                request,
                timeout=ANSWER_TIMEOUT_SECONDS,
                restart_timeout=ANSWER_TIMEOUT_SECONDS,
                supervision_ended=self._store.closed,
                gives_up_on_stop=False,
            )
        except (CallTimeout, CallCycle) as error:
            raise StorageError(f"queue {self.name!r} did not answer: {error}") from error
        except calls.NotRestarted as error:
            raise StorageError(f"queue {self.name!r} did not come back: {error}") from error
        except calls.NeverRestarted as error:
            raise self._store.removal() or NotStarted(
                f"queue {self.name!r} does not run any more: its application has stopped"
            ) from error
