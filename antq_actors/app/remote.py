"""An application that runs in another process, for those who hold it here: what it does is called.

Each call goes to that application and does there what the method of the same name does. What is
wrong with its arguments is raised here where that can be known, and else there and here again. A
job process has its parent's application like this, and a Ray cluster the one that it hosts.
"""

from __future__ import annotations

import math
import time
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Never

from antq_actors.app.cron_handle import CronHandle
from antq_actors.app.crons import check_entry
from antq_actors.app.enqueue import BATCH_BYTES, BATCH_JOBS, items_of
from antq_actors.app.limit_handle import LimitHandle
from antq_actors.app.queries import id_of
from antq_actors.app.queue_handle import QueueHandle, check_why
from antq_actors.errors import BatchError, NotStarted
from antq_actors.jobs import batch, resolver
from antq_actors.jobs.middleware import batch_error
from antq_actors.jobs.result import fetch_from
from antq_actors.jobs.worker import in_thread
from antq_actors.queues.messages import check_concurrency

if TYPE_CHECKING:
    import builtins
    import os
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from antq_actors.app.bulk import BulkChange
    from antq_actors.app.cron_handle import CronInfo
    from antq_actors.app.crons import Entry
    from antq_actors.app.results import ShownResult
    from antq_actors.explain import Explanation
    from antq_actors.flow.limits import LimitInfo
    from antq_actors.jobs.audit import AuditEntry
    from antq_actors.jobs.history import Story
    from antq_actors.jobs.job import Job, Performed
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.stepping import Breakpoint, StopsOn, Upcoming
    from antq_actors.jobs.steps import StepRequest
    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.queues.messages import QueueStatus
    from antq_actors.storage.locks.node_lock import NodeInfo

_LONGEST_CALL_SECONDS: Final = 0.1
"""Seconds of a call that waits."""


class RemoteRuntime:
    """What an application has instead of `Runtime` where it does not run: calls on where it does.

    *call* does a method of the application there. *name_of* returns the name by which it knows a
    worker, *pack_worker* what names one in a call that enqueues jobs, *pack_args* the arguments of
    one of many jobs as they are sent. *why* ends the error of what cannot be had here.
    """

    def __init__(
        self,
        call: Callable[..., Any],
        *,
        name_of: Callable[[AnyWorker], str],
        pack_worker: Callable[[AnyWorker], Any],
        pack_args: Callable[[Any], bytes],
        why: str,
    ) -> None:
        self.call = call
        self.name_of = name_of
        self._pack_worker = pack_worker
        self._pack_args = pack_args
        self._why = why
        self.workflows = RemoteWorkflows(self)
        self.queries = self.bulk = self.store = self.idle = self.explainer = self
        self.batches = self.results = self

    @property
    def path(self) -> Path:
        """The directory of the store, as the application has it."""
        path: Path = self.call("path")
        return path

    # ---- as `Enqueuer` does it ----------------------------------------------------------------

    def enqueue_many(
        self,
        worker: AnyWorker,
        args_iterable: Iterable[Mapping[str, Any] | None],
        options: Mapping[str, Any],
    ) -> list[int]:
        """Have the application store a job for each item, in batches; return their ids."""
        sent_worker, items = self._pack_worker(worker), items_of(args_iterable)
        # What is wrong with the call itself is said before the first item is looked at.
        ids: list[int] = self.call("enqueue_many", sent_worker, [], **options)
        sent = 0
        while True:
            batch, error = self._next_batch(items)
            try:
                ids += self._store_batch(sent_worker, batch, options)
            except BatchError as refused:
                cause = refused.__cause__ or refused
                raise batch_error(sent + refused.index, ids + refused.ids, cause) from cause
            sent += len(batch)
            if error is not None:
                raise batch_error(sent, ids, error) from error
            if not batch:
                return ids

    def _store_batch(
        self, sent_worker: Any, batch: builtins.list[bytes], options: Mapping[str, Any]
    ) -> builtins.list[int]:
        """Have the application store a batch of jobs; return their ids."""
        ids: builtins.list[int] = self.call("enqueue_many", sent_worker, batch, **options)
        return ids

    def _next_batch(self, items: Iterator[Any]) -> tuple[list[bytes], Exception | None]:
        """Return the next items of ``enqueue_many``, packed, and the error that stopped them."""
        batch: list[bytes] = []
        size = 0
        try:
            for item in items:
                batch.append(self._pack_args(item))
                size += len(batch[-1])
                if len(batch) == BATCH_JOBS or size >= BATCH_BYTES:
                    break
        except Exception as error:  # noqa: BLE001 - it is the caller's, raised as that of its item
            return batch, error
        return batch, None

    # ---- as `JobQueries` does it ----------------------------------------------------------------

    def list(self, *, worker: AnyWorker | str | None, **filters: Any) -> list[Job]:
        """Have the application list the jobs that pass all filters given."""
        jobs: list[Job] = self.call("_list", worker=_name(worker), **filters)
        return jobs

    def count(self, *, worker: AnyWorker | str | None, **filters: Any) -> int:
        """Have the application count the jobs that pass the filters."""
        count: int = self.call("_count", worker=_name(worker), **filters)
        return count

    def unknown(self, queue: str | None, worker: str | None) -> Sequence[str]:
        """Ask the application which filters match nothing known; one sentence for each."""
        sentences: Sequence[str] = self.call("_unknown", queue, worker)
        return sentences

    def get(self, id_: int) -> Job:
        """Have the application look up a job."""
        job: Job = self.call("get_job", id_of(id_))
        return job

    def story(self, job_or_id: Job | int) -> Story:
        """Have the application read what it has of the life of a job."""
        story: Story = self.call("antq_story", id_of(job_or_id))
        return story

    def audit(self, limit: int) -> builtins.list[AuditEntry]:
        """Have the application read what was done by hand."""
        found: builtins.list[AuditEntry] = self.call("audit", limit)
        return found

    def acting(self, _: object) -> Never:
        """Raise NotStarted: what is done by hand is noted by the application's own process."""
        self.refuse("antq_acting()")

    def undo(self, *_: object) -> Never:
        """Raise NotStarted, as `acting` does."""
        self.refuse("antq_undo()")

    def cancel(self, job_or_id: Job | int) -> Job:
        """Have the application cancel a job that has not ended."""
        job: Job = self.call("cancel_job", id_of(job_or_id))
        return job

    def steps(self, request: StepRequest) -> Any:
        """Have the application do what an attempt asks for about its steps."""
        return self.call("antq_steps", request)

    def retry(self, job_or_id: Job | int, *, fresh: bool) -> Job:
        """Have the application enqueue an ended job again."""
        job: Job = self.call("retry_job", id_of(job_or_id), fresh=fresh)
        return job

    def run_now(self, job_or_id: Job | int) -> Job:
        """Have the application make a job due."""
        job: Job = self.call("run_now", id_of(job_or_id))
        return job

    def reschedule(self, job_or_id: Job | int, **when: Any) -> Job:
        """Have the application make a job due at another time."""
        job: Job = self.call("reschedule", id_of(job_or_id), **when)
        return job

    def delete(self, job_or_id: Job | int) -> None:
        """Have the application delete a job."""
        self.call("delete_job", id_of(job_or_id))

    # ---- as `Explainer` does it ---------------------------------------------------------------

    def explain(self, job_or_id: Job | int) -> Explanation:
        """Have the application find out why a job does not run."""
        explanation: Explanation = self.call("explain", id_of(job_or_id))
        return explanation

    def explain_queue(self, name: str) -> Explanation:
        """Have the application find out why the jobs of a queue do not run."""
        explanation: Explanation = self.call("explain_queue", name)
        return explanation

    # ---- as `BulkChanges` does it ---------------------------------------------------------------

    def begin_bulk(self, change: BulkChange) -> BulkChange:
        """Have the application find the end of a change of many jobs."""
        begun: BulkChange = self.call("_begin_bulk", change)
        return begun

    def step_bulk(self, change: BulkChange) -> BulkChange:
        """Have the application change the next page of jobs, in a call of its own."""
        stepped: BulkChange = self.call("_step_bulk", change)
        return stepped

    # ---- as `Batches` does it -----------------------------------------------------------------

    def do(self, verb: str, *args: Any) -> Any:
        """Have the application do a verb of batches; it waits no longer than a call may last."""
        return self.call("antq_batch", verb, *batch.shortened(verb, args))

    # ---- as `IdleWait` does it --------------------------------------------------------------

    def wait(self, queue: str | None, seconds: float | None) -> bool:
        """Wait until no job is left to do, in short calls on the application.

        During a call, it takes nothing else from this process.
        """
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            is_idle: bool = self.call("wait_idle", queue, timeout=min(left, _LONGEST_CALL_SECONDS))
            if is_idle or left <= _LONGEST_CALL_SECONDS:
                return is_idle

    async def wait_async(self, queue: str | None, seconds: float | None) -> bool:
        """Do what `wait` does, in another thread, for an event loop."""
        import asyncio  # noqa: PLC0415 - it takes long, and most jobs are no coroutines

        return await asyncio.to_thread(self.wait, queue, seconds)

    # ---- as `ResultWait` does it --------------------------------------------------------------

    def fetch(self, id_: int, seconds: float | None, within: Performed | None = None) -> bytes:
        """Wait until a job has completed, in short calls; return the payload of its result."""
        return fetch_from(self.call, id_, seconds, within)

    async def fetch_async(
        self, id_: int, seconds: float | None, within: Performed | None = None
    ) -> bytes:
        """Do what `fetch` does, in another thread, for an event loop."""
        return await in_thread(self.fetch, id_, seconds, within)

    def ended(self, ids: Collection[int], seconds: float | None, *, first: bool) -> set[int]:
        """Wait until jobs have ended, in short calls; return those that have."""
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        wanted = list(ids)
        while True:
            left = max(0.0, deadline - time.monotonic())
            done: set[int] = self.call(
                "_ended_jobs", wanted, min(left, _LONGEST_CALL_SECONDS), first=first
            )
            if (done and first) or len(done) == len(wanted) or left <= _LONGEST_CALL_SECONDS:
                return done

    async def ended_async(
        self, ids: Collection[int], seconds: float | None, *, first: bool
    ) -> set[int]:
        """Do what `ended` does, in another thread, for an event loop."""
        return await in_thread(partial(self.ended, ids, seconds, first=first))

    def shown(self, id_: int) -> ShownResult | None:
        """Have the application read what a job returned, for display."""
        found: ShownResult | None = self.call("antq_shown_result", id_)
        return found

    def jobs(self, ids: Collection[int]) -> builtins.list[Job]:
        """Have the application read those of the jobs with these ids that are stored."""
        jobs: builtins.list[Job] = self.call("_jobs_of", list(ids))
        return jobs

    # ---- as `Runtime` and its store do it --------------------------------------------------------

    def queue(self, name: str) -> QueueHandle:
        """Return the handle of a queue of the application. Raises UnknownQueue."""
        return RemoteQueue(self.call("queue.name", name), self)

    def cron(self, name: str) -> CronHandle:
        """Return the handle of a periodic entry of the application."""
        return RemoteCron(name, self)

    def crons(self) -> builtins.list[CronInfo]:
        """Have the application list the periodic entries of the store."""
        infos: builtins.list[CronInfo] = self.call("crons")
        return infos

    def limit(self, name: str) -> LimitHandle:
        """Return the handle of a limit in the store of the application."""
        return RemoteLimit(name, self)

    def limits(self) -> builtins.list[LimitInfo]:
        """Have the application list the limits of its store."""
        infos: builtins.list[LimitInfo] = self.call("limits")
        return infos

    def known_queues(self) -> builtins.list[str]:
        """Have the application list the names of the queues."""
        names: builtins.list[str] = self.call("queue_names")
        return names

    def node_infos(self) -> builtins.list[NodeInfo]:
        """Have the application list the processes that run queues."""
        nodes: builtins.list[NodeInfo] = self.call("nodes")
        return nodes

    def verify(self) -> builtins.list[str]:
        """Have the application check the store; return what is wrong with it."""
        findings: builtins.list[str] = self.call("verify")
        return findings

    def backup(self, target: str | os.PathLike[str]) -> Path:
        """Have the application copy the store to the new directory *target*."""
        path: Path = self.call("backup", target)
        return path

    def export_jobs(self, *_: object) -> Iterator[bytes]:
        """Raise NotStarted: the lines of an export are too many for calls on another process."""
        self.refuse("export_jobs()")

    def import_jobs(self, *_: object) -> Never:
        """Raise NotStarted: the lines of an export are too many for calls on another process."""
        self.refuse("import_jobs()")

    def refuse(self, what: str) -> Never:
        """Raise NotStarted for *what* only the process of the application has."""
        raise NotStarted(f"{what} cannot be had {self._why}")


class RemoteWorkflows:
    """The workflows of an application in another process."""

    def __init__(self, application: RemoteRuntime) -> None:
        self._application = application

    def do(self, verb: str, *args: Any) -> Any:
        """Have the application, in its own process, do a verb of workflows."""
        return self._application.call("antq_workflow", verb, *args)


class RemoteQueue(QueueHandle):
    """A handle of a queue that an application in another process runs."""

    def __init__(self, name: str, application: RemoteRuntime) -> None:
        self.name = name
        self._application = application

    @property
    def ref(self) -> ServerRef:
        """Raise NotStarted: the queue's actor is in another process."""
        self._application.refuse(f"the actor of queue {self.name!r}")

    def set_concurrency(self, n: int) -> None:
        """Ask the application, in its own process, to perform up to *n* jobs of it at once."""
        n = check_concurrency(n)
        self._application.call("queue.set_concurrency", self.name, n)

    def set_global_concurrency(self, n: int | None) -> None:
        """Ask the application to let all processes perform up to *n* of its jobs at once."""
        self._application.call("queue.set_global_concurrency", self.name, n)

    def pause(self, by: str | None = None, reason: str | None = None) -> None:
        """Ask the application, in its own process, to pause the queue."""
        check_why(by, reason)
        self._application.call("queue.pause", self.name, by, reason)

    def resume(self) -> None:
        """Ask the application, in its own process, to resume the queue."""
        self._application.call("queue.resume", self.name)

    def status(self) -> QueueStatus:
        """Ask the application, in its own process, for the state of the queue."""
        status: QueueStatus = self._application.call("queue.status", self.name)
        return status

    def breakpoints(self) -> builtins.list[Breakpoint]:
        """Ask the application, in its own process, for the breakpoints of the queue."""
        found: builtins.list[Breakpoint] = self._application.call("queue.breakpoints", self.name)
        return found

    def _preview(self, n: int) -> builtins.list[Upcoming]:
        found: builtins.list[Upcoming] = self._application.call("queue.preview", self.name, n)
        return found

    def _step(self, n: int, job: int | None) -> builtins.list[int]:
        ids: builtins.list[int] = self._application.call("queue.step", self.name, n, job=job)
        return ids

    def _add_breakpoint(
        self, worker: str | None, args: Mapping[str, Any] | None, on: StopsOn
    ) -> int:
        number: int = self._application.call(
            "queue.add_breakpoint", self.name, worker=worker, args=args, on=on
        )
        return number

    def _remove_breakpoint(self, number: int) -> None:
        self._application.call("queue.remove_breakpoint", self.name, number)


class RemoteCron(CronHandle):
    """A handle of a periodic entry, of an application in another process."""

    def __init__(self, name: str, application: RemoteRuntime) -> None:
        self.name = name
        self._application = application

    def info(self) -> CronInfo:
        """Ask the application, in its own process, for what is known of the entry."""
        info: CronInfo = self._application.call("cron.info", self.name)
        return info

    def set(self, entry: Entry) -> None:
        """Ask the application, in its own process, to make or replace the entry."""
        sent = copy(check_entry(entry))
        if sent.worker is not None and not isinstance(sent.worker, str):
            object.__setattr__(sent, "worker", self._application.name_of(sent.worker))
        self._application.call("cron.set", self.name, sent)

    def pause(self) -> None:
        """Ask the application, in its own process, to pause the entry."""
        self._application.call("cron.pause", self.name)

    def resume(self) -> None:
        """Ask the application, in its own process, to resume the entry."""
        self._application.call("cron.resume", self.name)

    def delete(self) -> None:
        """Ask the application, in its own process, to delete the entry."""
        self._application.call("cron.delete", self.name)

    def run_now(self) -> Job:
        """Ask the application, in its own process, for a job of the entry."""
        job: Job = self._application.call("cron.run_now", self.name)
        return job

    def backfill(self, start: datetime, end: datetime) -> builtins.list[int]:
        """Ask the application, in its own process, for the jobs of a time."""
        ids: builtins.list[int] = self._application.call("cron.backfill", self.name, start, end)
        return ids

    def next(self, n: int = 1, after: datetime | None = None) -> builtins.list[datetime]:
        """Ask the application, in its own process, for the next instants."""
        found: builtins.list[datetime] = self._application.call("cron.next", self.name, n, after)
        return found


class RemoteLimit(LimitHandle):
    """A handle of a limit, of an application in another process."""

    def __init__(self, name: str, application: RemoteRuntime) -> None:
        self.name = name
        self._application = application

    def _do(self, verb: str, *args: Any, **given: Any) -> Any:
        """Ask the application, in its own process, to do a *verb* of this handle."""
        return self._application.call(f"limit.{verb}", self.name, *args, **given)


def _name(worker: AnyWorker | str | None) -> str | None:
    return worker if worker is None or isinstance(worker, str) else resolver.name_of(worker)
