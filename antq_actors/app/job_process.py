"""An application where it starts no queues, whatever its module says.

In a job process nothing is started, and its parent does what is asked. A module that starts an
application is imported by the processes that perform its jobs. If each of them started one as well,
with queues and processes of its own, they would multiply.

A command that enqueues a job imports the worker's module. If that starts its application, the
command must not begin to perform what waits there.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from antq_actors.app.remote import RemoteRuntime
from antq_actors.errors import StartError
from antq_actors.executors.process import parent_connection, wire
from antq_actors.jobs import current_app
from antq_actors.jobs.middleware import batch_error, batch_within

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from antq_actors.jobs.job import Job
    from antq_actors.jobs.middleware import JobDraft
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import NewJob
    from antq_actors.otp.kernel.cell import ServerRef

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

_WHY_NOT: Final = (
    "in a job process: the application runs in the process that started it. Use it there, or in a"
    " job with executor='thread'"
)

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


class JobProcessRuntime(RemoteRuntime):
    """What an application has in a job process instead of `Runtime`: all is done by its parent."""

    def __init__(self, parent: current_app.ParentApplication) -> None:
        super().__init__(
            parent.call,
            name_of=parent_connection.name_of,
            pack_worker=parent_connection.name_of,
            pack_args=parent_connection.pack_args,
            why=_WHY_NOT,
        )
        self.enqueuer = self
        self._parent = parent

    @property
    def middleware(self) -> Any:
        """What is called around the enqueuing of jobs in this process; None: nothing."""
        return self._parent.middleware

    @property
    def root(self) -> ServerRef:
        """Raise NotStarted: the application's actors are in another process."""
        self.refuse("its supervision tree")

    # ---- as `Enqueuer` does it ----------------------------------------------------------------

    def enqueue(
        self, worker: AnyWorker, args: Mapping[str, Any] | None, options: Mapping[str, Any]
    ) -> Job:
        """Have the parent process store a job; return it."""
        middleware = self.middleware
        if middleware is not None:
            return self._parent.enqueue_within(middleware, worker, args, options)
        job: Job = self.call("enqueue", parent_connection.name_of(worker), args, **options)
        return job

    def prepare(
        self, worker: AnyWorker, args: Mapping[str, Any] | None, options: Mapping[str, Any]
    ) -> NewJob:
        """Have the parent process check a job and return it."""
        return self._parent.antq_prepare(worker, args, options)

    def _store_batch(
        self, sent_worker: Any, batch: list[bytes], options: Mapping[str, Any]
    ) -> list[int]:
        """Have the parent process store a batch of jobs, within the middleware of this one."""
        middleware = self.middleware
        if middleware is None or not batch:
            return super()._store_batch(sent_worker, batch, options)
        middleware.unpack()
        news, refusal = self.call("antq_check_many", sent_worker, batch, options)
        drafts: list[JobDraft] = []
        try:
            for new, packed in zip(news, batch, strict=False):
                drafts.append(middleware.draft(new, wire.load(packed) or {}))
        except Exception as error:  # noqa: BLE001 - raised once those before it are stored
            refusal = error
        ids: list[int] = []
        if drafts:
            insert = partial(self.call, "antq_insert_many")
            ids = batch_within(middleware, drafts, insert, len(drafts), [])
        if refusal is not None:
            raise batch_error(len(drafts), ids, refusal) from refusal
        return ids
