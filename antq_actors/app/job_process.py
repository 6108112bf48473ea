"""An application where it starts no queues, whatever its module says.

In a job process nothing is started, and its parent does what is asked. A module that starts an
application is imported by the processes that perform its jobs. If each of them started one as well,
with queues and processes of its own, they would multiply.

A command that enqueues a job imports the worker's module. If that starts its application, the
command must not begin to perform what waits there.
"""

from __future__ import annotations

import logging
import math
import os
import time
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any, Final, Never

from antq_actors.app.cron_handle import CronHandle
from antq_actors.app.crons import check_entry
from antq_actors.app.enqueue import BATCH_BYTES, BATCH_JOBS, batch_error, items_of
from antq_actors.app.limit_handle import LimitHandle
from antq_actors.app.queries import id_of
from antq_actors.app.queue_handle import QueueHandle
from antq_actors.errors import BatchError, NotStarted, StartError
from antq_actors.executors.process import parent_connection
from antq_actors.jobs import current_app, resolver
from antq_actors.queues.messages import check_concurrency

if TYPE_CHECKING:
    import builtins
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from antq_actors.app.bulk import BulkChange
    from antq_actors.app.cron_handle import CronInfo
    from antq_actors.app.crons import Entry
    from antq_actors.explain import Explanation
    from antq_actors.flow.limits import LimitInfo
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.queues.messages import QueueStatus
    from antq_actors.storage.locks.node_lock import NodeInfo

_enforced: Final[list[None]] = []


def is_enqueue_only() -> bool:
    """Return whether applications start no queues in this process, and ``run`` does not wait."""
    return bool(_enforced)


@contextmanager
def enqueue_only() -> Iterator[None]:
    """Have applications that are started in the ``with`` block, in any thread, run no queues."""
    _enforced.append(None)
    try:
        yield
    finally:
        _enforced.pop()


log: Final = logging.getLogger("antq_actors.app")

_ENTRY_POINT: Final = (
    "the entry point of the program: under `if __name__ == '__main__':`, or `antq start module:app`"
)

_LONGEST_CALL_SECONDS: Final = 0.1
"""Seconds of a call that waits."""

_warned: Final[list[bool]] = []


def of_parent(path: Path | None) -> JobProcessRuntime | None:
    """Return the runtime of an application in a job process of it: calls to the parent process.

    None in every other process, and for every other application.
    """
    parent = current_app.parent()
    if parent is None or not _is_same(path, parent.path):
        return None
    return JobProcessRuntime(parent)


def refuse_start(path: Path | None, *, runs_queues: bool) -> bool:
    """Return whether no application may start, because this job process's parent runs it.

    That is logged once. Raises StartError for another application that is to run queues.
    """
    parent = current_app.parent()
    if parent is None:
        return False
    if of_parent(path) is not None:
        if not _warned:
            _warned.append(True)
            log.warning(
                "start() was called in process %d, which performs jobs: nothing was started, and"
                " the application works there through the process that started it. start() belongs"
                " into %s",
                os.getpid(),
                _ENTRY_POINT,
            )
        return True
    if runs_queues:
        raise StartError(
            f"process {os.getpid()} performs jobs of {_described(parent.path)}, so"
            f" {_described(path)} cannot run its queues there: each such process would."
            f" Start it in {_ENTRY_POINT}; to enqueue and look from here, start it with"
            " app.start(queues=False), or describe it with start_queues=False"
        )
    return False


def _described(path: Path | None) -> str:
    return "a volatile application" if path is None else f"the application in {path}"


def _is_same(one: Path | None, other: Path | None) -> bool:
    if one is None or other is None:
        return one is other
    return os.path.realpath(one) == os.path.realpath(other)


class JobProcessRuntime:
    """What an application has in a job process instead of `Runtime`: all is done by its parent."""

    def __init__(self, parent: current_app.ParentApplication) -> None:
        self._call = parent.call
        self.enqueuer = self.queries = self.bulk = self.store = self.idle = self.explainer = self

    @property
    def root(self) -> ServerRef:
        """Raise NotStarted: the application's actors are in another process."""
        _refuse("its supervision tree")

    @property
    def path(self) -> Path:
        """The directory of the store, as the parent process has it."""
        path: Path = self._call("path")
        return path

    # ---- as `Enqueuer` does it ----------------------------------------------------------------

    def enqueue(
        self, worker: AnyWorker, args: Mapping[str, Any] | None, options: Mapping[str, Any]
    ) -> Job:
        """Have the parent process store a job; return it."""
        job: Job = self._call("enqueue", parent_connection.name_of(worker), args, **options)
        return job

    def enqueue_many(
        self,
        worker: AnyWorker,
        args_iterable: Iterable[Mapping[str, Any] | None],
        options: Mapping[str, Any],
    ) -> list[int]:
        """Have the parent process store a job for each item, in batches; return their ids."""
        name, items = parent_connection.name_of(worker), items_of(args_iterable)
        # What is wrong with the call itself is said before the first item is looked at.
        ids: list[int] = self._call("enqueue_many", name, [], **options)
        sent = 0
        while True:
            batch, error = _next_batch(items)
            try:
                ids += self._call("enqueue_many", name, batch, **options)
            except BatchError as refused:
                cause = refused.__cause__ or refused
                raise batch_error(sent + refused.index, ids + refused.ids, cause) from cause
            sent += len(batch)
            if error is not None:
                raise batch_error(sent, ids, error) from error
            if not batch:
                return ids

    # ---- as `JobQueries` does it ----------------------------------------------------------------

    def list(self, *, worker: AnyWorker | str | None, **filters: Any) -> list[Job]:
        """Have the parent process list the jobs that pass all filters given."""
        jobs: list[Job] = self._call("_list", worker=_name(worker), **filters)
        return jobs

    def count(self, *, worker: AnyWorker | str | None, **filters: Any) -> int:
        """Have the parent process count the jobs that pass the filters."""
        count: int = self._call("_count", worker=_name(worker), **filters)
        return count

    def unknown(self, queue: str | None, worker: str | None) -> Sequence[str]:
        """Ask the parent process which filters match nothing known; one sentence for each."""
        sentences: Sequence[str] = self._call("_unknown", queue, worker)
        return sentences

    def get(self, id_: int) -> Job:
        """Have the parent process look up a job."""
        job: Job = self._call("get_job", id_of(id_))
        return job

    def cancel(self, job_or_id: Job | int) -> Job:
        """Have the parent process cancel a job that has not ended."""
        job: Job = self._call("cancel_job", id_of(job_or_id))
        return job

    def retry(self, job_or_id: Job | int) -> Job:
        """Have the parent process enqueue an ended job again."""
        job: Job = self._call("retry_job", id_of(job_or_id))
        return job

    def run_now(self, job_or_id: Job | int) -> Job:
        """Have the parent process make a job due."""
        job: Job = self._call("run_now", id_of(job_or_id))
        return job

    def reschedule(self, job_or_id: Job | int, **when: Any) -> Job:
        """Have the parent process make a job due at another time."""
        job: Job = self._call("reschedule", id_of(job_or_id), **when)
        return job

    def delete(self, job_or_id: Job | int) -> None:
        """Have the parent process delete a job."""
        self._call("delete_job", id_of(job_or_id))

    # ---- as `Explainer` does it ---------------------------------------------------------------

    def explain(self, job_or_id: Job | int) -> Explanation:
        """Have the parent process find out why a job does not run."""
        explanation: Explanation = self._call("explain", id_of(job_or_id))
        return explanation

    def explain_queue(self, name: str) -> Explanation:
        """Have the parent process find out why the jobs of a queue do not run."""
        explanation: Explanation = self._call("explain_queue", name)
        return explanation

    # ---- as `BulkChanges` does it ---------------------------------------------------------------

    def begin_bulk(self, change: BulkChange) -> BulkChange:
        """Have the parent process find the end of a change of many jobs."""
        begun: BulkChange = self._call("_begin_bulk", change)
        return begun

    def step_bulk(self, change: BulkChange) -> BulkChange:
        """Have the parent process change the next page of jobs, in a call of its own."""
        stepped: BulkChange = self._call("_step_bulk", change)
        return stepped

    # ---- as `IdleWait` does it --------------------------------------------------------------

    def wait(self, queue: str | None, seconds: float | None) -> bool:
        """Wait until no job is left to do, in short calls to the parent process.

        During a call, the parent takes nothing else from this process.
        """
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            is_idle: bool = self._call("wait_idle", queue, timeout=min(left, _LONGEST_CALL_SECONDS))
            if is_idle or left <= _LONGEST_CALL_SECONDS:
                return is_idle

    async def wait_async(self, queue: str | None, seconds: float | None) -> bool:
        """Do what `wait` does, in another thread, for an event loop."""
        import asyncio  # noqa: PLC0415 - it takes long, and most jobs are no coroutines

        return await asyncio.to_thread(self.wait, queue, seconds)

    # ---- as `Runtime` and its store do it --------------------------------------------------------

    def queue(self, name: str) -> QueueHandle:
        """Return the handle of a queue of the parent process. Raises UnknownQueue."""
        return ParentQueue(self._call("queue.name", name), self._call)

    def cron(self, name: str) -> CronHandle:
        """Return the handle of a periodic entry of the parent process."""
        return ParentCron(name, self._call)

    def crons(self) -> builtins.list[CronInfo]:
        """Have the parent process list the periodic entries of the store."""
        infos: builtins.list[CronInfo] = self._call("crons")
        return infos

    def limit(self, name: str) -> LimitHandle:
        """Return the handle of a limit in the store of the parent process."""
        return ParentLimit(name, self._call)

    def limits(self) -> builtins.list[LimitInfo]:
        """Have the parent process list the limits of its store."""
        infos: builtins.list[LimitInfo] = self._call("limits")
        return infos

    def known_queues(self) -> builtins.list[str]:
        """Have the parent process list the names of the queues."""
        names: builtins.list[str] = self._call("queue_names")
        return names

    def node_infos(self) -> builtins.list[NodeInfo]:
        """Have the parent process list the processes that run queues."""
        nodes: builtins.list[NodeInfo] = self._call("nodes")
        return nodes

    def verify(self) -> builtins.list[str]:
        """Have the parent process check the store; return what is wrong with it."""
        findings: builtins.list[str] = self._call("verify")
        return findings

    def backup(self, target: str | os.PathLike[str]) -> Path:
        """Have the parent process copy the store to the new directory *target*."""
        path: Path = self._call("backup", target)
        return path

    def export_jobs(self, *_: object) -> Iterator[bytes]:
        """Raise NotStarted: an export does not go through the pipe to the parent process."""
        _refuse("export_jobs()")

    def import_jobs(self, *_: object) -> Never:
        """Raise NotStarted: an export does not go through the pipe to the parent process."""
        _refuse("import_jobs()")


class ParentQueue(QueueHandle):
    """A handle, in a job process, of a queue that the application in the parent process runs."""

    def __init__(self, name: str, call: Any) -> None:
        self.name = name
        self._ask = call

    @property
    def ref(self) -> ServerRef:
        """Raise NotStarted: the queue's actor is in another process."""
        _refuse(f"the actor of queue {self.name!r}")

    def set_concurrency(self, n: int) -> None:
        """Ask, from a job process, that the application's queue performs up to *n* jobs at once."""
        n = check_concurrency(n)
        self._ask("queue.set_concurrency", self.name, n)

    def set_global_concurrency(self, n: int | None) -> None:
        """Ask, from a job process, that all processes perform up to *n* of its jobs at once."""
        self._ask("queue.set_global_concurrency", self.name, n)

    def pause(self) -> None:
        """Ask, from a job process, the application in the parent to pause the queue."""
        self._ask("queue.pause", self.name)

    def resume(self) -> None:
        """Ask, from a job process, the application in the parent to resume the queue."""
        self._ask("queue.resume", self.name)

    def status(self) -> QueueStatus:
        """Ask, from a job process, the application in the parent for the state of the queue."""
        status: QueueStatus = self._ask("queue.status", self.name)
        return status


class ParentCron(CronHandle):
    """A handle, in a job process, of a periodic entry: the application in the parent does it."""

    def __init__(self, name: str, call: Any) -> None:
        self.name = name
        self._ask = call

    def info(self) -> CronInfo:
        """Ask, from a job process, for what is known of the entry."""
        info: CronInfo = self._ask("cron.info", self.name)
        return info

    def set(self, entry: Entry) -> None:
        """Ask, from a job process, the application in the parent to make or replace the entry."""
        sent = copy(check_entry(entry))
        if sent.worker is not None and not isinstance(sent.worker, str):
            object.__setattr__(sent, "worker", parent_connection.name_of(sent.worker))
        self._ask("cron.set", self.name, sent)

    def pause(self) -> None:
        """Ask, from a job process, the application in the parent to pause the entry."""
        self._ask("cron.pause", self.name)

    def resume(self) -> None:
        """Ask, from a job process, the application in the parent to resume the entry."""
        self._ask("cron.resume", self.name)

    def delete(self) -> None:
        """Ask, from a job process, the application in the parent to delete the entry."""
        self._ask("cron.delete", self.name)

    def run_now(self) -> Job:
        """Ask, from a job process, the application in the parent for a job of the entry."""
        job: Job = self._ask("cron.run_now", self.name)
        return job

    def backfill(self, start: datetime, end: datetime) -> builtins.list[int]:
        """Ask, from a job process, the application in the parent for the jobs of a time."""
        ids: builtins.list[int] = self._ask("cron.backfill", self.name, start, end)
        return ids

    def next(self, n: int = 1, after: datetime | None = None) -> builtins.list[datetime]:
        """Ask, from a job process, the application in the parent for the next instants."""
        found: builtins.list[datetime] = self._ask("cron.next", self.name, n, after)
        return found


class ParentLimit(LimitHandle):
    """A handle, in a job process, of a limit in the store of the parent process."""

    def __init__(self, name: str, call: Any) -> None:
        self.name = name
        self._ask = call

    def _do(self, verb: str, *args: Any, **given: Any) -> Any:
        """Ask, from a job process, the application in the parent to do a *verb* of this handle."""
        return self._ask(f"limit.{verb}", self.name, *args, **given)


def _name(worker: AnyWorker | str | None) -> str | None:
    return worker if worker is None or isinstance(worker, str) else resolver.name_of(worker)


def _refuse(what: str) -> Never:
    raise NotStarted(
        f"{what} cannot be had in a job process: the application runs in the process that started"
        " it. Use it there, or in a job with executor='thread'"
    )


def _next_batch(items: Iterator[Any]) -> tuple[list[bytes], Exception | None]:
    """Return the next items of ``enqueue_many``, pickled, and the error that stopped them."""
    batch: list[bytes] = []
    size = 0
    try:
        for item in items:
            batch.append(parent_connection.pack_args(item))
            size += len(batch[-1])
            if len(batch) == BATCH_JOBS or size >= BATCH_BYTES:
                break
    except Exception as error:  # noqa: BLE001 - it is the caller's, raised as that of its item
        return batch, error
    return batch, None
