"""A queue as users hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from antq_actors.app.queries import id_of, worker_name
from antq_actors.checks import check_whole, is_utf8, short_repr, whole
from antq_actors.errors import NotStarted, StorageError
from antq_actors.jobs import instant
from antq_actors.jobs.new_job import check_args
from antq_actors.jobs.state import Status
from antq_actors.jobs.stepping import MOST_ARGS_BYTES, check_stops_on
from antq_actors.jobs.worker import in_thread
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
from antq_actors.storage.format.values import encode_args
from antq_actors.storage.jobs import stepping
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.stepping import Breakpoint, StopsOn, Upcoming
    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.storage.client import StorageClient

ANSWER_TIMEOUT_SECONDS: Final = 30.0
"""Seconds a queue actor has for an answer, and to come back when it died."""


def check_why(by: object, reason: object) -> None:
    """Raise unless both are text or None: who pauses a queue, and why.

    TypeError for anything else, ValueError for text that UTF-8, and so the store, cannot carry.
    """
    for name, value in (("by", by), ("reason", reason)):
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} must be a str or None, got {short_repr(value)}")
        if value is not None and not is_utf8(value):
            raise ValueError(f"{name} must be text that UTF-8 can carry, got {short_repr(value)}")


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
        if self._actor is not None and not self._store.is_acting:
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
        resumed, and told in the event ``QueuePaused``. Raises TypeError for what is no text, and
        ValueError for text that UTF-8 cannot carry.
        """
        check_why(by, reason)
        if self._actor is None or self._store.is_acting:
            now = self._clock()
            self._store.write(
                JobStore.set_paused, self.name, paused=True, by=by, reason=reason, now=now
            )
        else:
            self._call(self._actor, Pause(by, reason))

    def resume(self) -> None:
        """Have the queue claim jobs again, on every node of the path.

        What steps have let through, and has not started, starts as all others do.
        """
        if self._actor is None or self._store.is_acting:
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

    # ---- job by job ---------------------------------------------------------------------------

    def preview(self, n: int = 10) -> list[Upcoming]:
        """Return the first *n* jobs that could start now, in the order of claims; and why there.

        They are those that would start if the queue ran and had slots for all of them: they are
        due, and their limits let them pass. What ``step`` has let through is not among them. Raises
        TypeError or ValueError unless *n* is a whole number of at least 1.
        """
        return self._preview(check_whole(n, "n", 1))

    def step(self, n: int = 1, *, job: Job | int | None = None) -> list[int]:
        """Let the first *n* jobs of the preview start while the queue is paused; return their ids.

        Or that *job* alone, at whatever place of the preview it is. Each takes a slot when one is
        free, on whichever node, also after a restart; what comes later waits. There are fewer if
        the preview has fewer. A breakpoint stops none of them. Raises QueueNotPaused; TypeError or
        ValueError unless *n* is a whole number of at least 1; and ValueError, naming it, for a job
        that is not in the preview.
        """
        number = check_whole(n, "n", 1)
        id_ = None if job is None else id_of(job)
        if id_ is not None and number != 1:
            raise ValueError(f"give n or job, not both: n is {number}, and job is {id_}")
        return self._step(number, id_)

    def add_breakpoint(
        self,
        *,
        worker: AnyWorker | str | None = None,
        args: Mapping[str, Any] | None = None,
        on: StopsOn = "claim",
    ) -> int:
        """Pause the queue by itself at a job of this *worker*, with these *args*; return a number.

        *worker* is a worker or its stored name, *args* a nested subset of the job's arguments; None
        is any. On ``"claim"`` it stops before such a job starts, which then passes the next time;
        on ``"failure"`` after an attempt of one has failed. The queue is paused on every node, by
        ``"breakpoint N"``. It is kept over restarts until ``remove_breakpoint(N)``. Raises
        TypeError and ValueError for what is none of these.
        """
        stops_on = check_stops_on(on)
        checked = None if args is None else check_args(args)
        name = worker_name(worker)
        if name == "":
            raise ValueError("no worker has an empty name; leave worker out for any")
        if name is not None and not is_utf8(name):
            raise ValueError(f"no worker has the name {name!r}: it is no text that UTF-8 can carry")
        return self._add_breakpoint(name, checked, stops_on)

    def breakpoints(self) -> list[Breakpoint]:
        """Return the breakpoints of the queue, the oldest first."""
        return self._store.read(stepping.breakpoints, self.name)

    def remove_breakpoint(self, id: int) -> None:  # noqa: A002 - as the attribute is named
        """Remove a breakpoint of the queue; one that has paused it leaves it paused.

        Raises ValueError if the queue has none with this number, and TypeError for what is none.
        """
        number = whole(id)
        if number is None:
            raise TypeError(f"the id of a breakpoint is a number, got {short_repr(id)}")
        self._remove_breakpoint(number)

    async def apreview(self, n: int = 10) -> list[Upcoming]:
        """Do what :meth:`preview` does, without stopping the event loop that awaits it."""
        return await in_thread(self.preview, n)

    async def astep(self, n: int = 1, *, job: Job | int | None = None) -> list[int]:
        """Do what :meth:`step` does, without stopping the event loop that awaits it."""
        return await in_thread(self.step, n, job=job)

    async def aadd_breakpoint(
        self,
        *,
        worker: AnyWorker | str | None = None,
        args: Mapping[str, Any] | None = None,
        on: StopsOn = "claim",
    ) -> int:
        """Do what :meth:`add_breakpoint` does, without stopping the event loop that awaits it."""
        return await in_thread(self.add_breakpoint, worker=worker, args=args, on=on)

    async def abreakpoints(self) -> list[Breakpoint]:
        """Do what :meth:`breakpoints` does, without stopping the event loop that awaits it."""
        return await in_thread(self.breakpoints)

    async def aremove_breakpoint(self, id: int) -> None:  # noqa: A002 - as the attribute is named
        """Do what :meth:`remove_breakpoint` does, without stopping the event loop."""
        await in_thread(self.remove_breakpoint, id)

    # ---- inside -------------------------------------------------------------------------------

    def _preview(self, n: int) -> list[Upcoming]:
        return self._store.read(stepping.preview, self.name, n, self._clock())

    def _step(self, n: int, job: int | None) -> list[int]:
        # Not by the queue actor: what is asked there may be done twice.
        ids = self._store.write(stepping.step, self.name, n, job, self._clock())
        if ids is None:
            raise ValueError(
                f"job {job} could not start now in queue {self.name!r}, so no step lets it through;"
                f" app.explain({job}) says why"
            )
        return ids

    def _add_breakpoint(
        self, worker: str | None, args: Mapping[str, Any] | None, on: StopsOn
    ) -> int:
        encoded = None if args is None else encode_args(args)
        if encoded is not None and len(encoded) > MOST_ARGS_BYTES:  # each claim compares with them
            raise ValueError(
                f"the args of a breakpoint take at most {MOST_ARGS_BYTES:,} bytes, got"
                f" {len(encoded):,}; give those alone that tell its jobs from others"
            )
        return self._store.write(stepping.add_breakpoint, self.name, on, worker, encoded)

    def _remove_breakpoint(self, number: int) -> None:
        if not self._store.write(stepping.remove_breakpoint, self.name, number):
            known = [str(each.id) for each in self.breakpoints()]
            has = f"has {', '.join(known)}" if known else "has none"
            raise ValueError(f"queue {self.name!r} has no breakpoint {number}; it {has}")

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
