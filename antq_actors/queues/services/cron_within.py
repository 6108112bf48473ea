"""The jobs of periodic entries, within the middleware of the application that enqueues them.

Middleware is called before the transaction that enqueues, and around it, never inside: it is code
of users, which may take long, and enqueue itself. What has changed in between stays due, and the
middleware is called anew.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from antq_actors.jobs.state import StoredJob
from antq_actors.storage.format.display import display_args
from antq_actors.storage.format.encoding import as_job
from antq_actors.storage.jobs.cron_turns import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.jobs.job import Job
    from antq_actors.jobs.middleware import JobDraft, Pipeline
    from antq_actors.jobs.state import NewJob
    from antq_actors.storage.jobs.cron_turns import PlannedJob

T = TypeVar("T")

log: Final = logging.getLogger("antq_actors.queues")


class _NotStored(Exception):
    """The store has refused the only job of a turn, such as a duplicate."""


def draft_of(middleware: Pipeline, job: PlannedJob) -> JobDraft:
    """Return the draft of a job, which the middleware has seen; raise what refuses it."""
    return middleware.draft(job.new, display_args(job.new.spec.args))


def fire_within(middleware: Pipeline, jobs: Sequence[PlannedJob], write: Callable[[Seen], T]) -> T:
    """Call the middleware for these jobs, and *write* the turn that enqueues them.

    What it refuses is left out, logged, and counted as skipped. Raises what *write* raises.
    """
    seen = Seen()
    drafts: list[tuple[PlannedJob, JobDraft]] = []
    for job in jobs:
        try:
            drafts.append((job, draft_of(middleware, job)))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it may be any, of users
            _refuse(seen, job, error)
    if not drafts:
        return write(seen)
    return _Turn(seen, drafts, write).take(middleware)


class _Turn(Generic[T]):
    """One turn, while the middleware is around it."""

    def __init__(
        self,
        seen: Seen,
        drafts: Sequence[tuple[PlannedJob, JobDraft]],
        write: Callable[[Seen], T],
    ) -> None:
        self._seen = seen
        self._drafts = drafts
        self._write = write
        self._written: list[T] = []
        self._failed: BaseException | None = None

    def take(self, middleware: Pipeline) -> T:
        """Write the turn within the middleware; return what comes of that."""
        drafts = [draft for _, draft in self._drafts]
        error: BaseException | None = None
        try:
            if len(drafts) == 1:
                middleware.store(drafts[0], self._store_one)
            else:
                middleware.store_many(drafts, self._store)
        except (Exception, SystemExit) as raised:  # noqa: BLE001 - it may be any, of users
            error = raised
        if self._failed is not None:  # whatever the middleware makes of it
            raise self._failed
        if self._written:
            if error is not None and not isinstance(error, _NotStored):
                log.warning("a middleware raised when periodic jobs were stored", exc_info=error)
            return self._written[0]
        for job, _ in self._drafts:
            _refuse(self._seen, job, error)
        return self._write(self._seen)

    def _store(self, news: Sequence[NewJob]) -> list[int]:
        for (job, _), new in zip(self._drafts, news, strict=True):
            self._seen.admit(job.name, job.at, new.spec.meta)
        try:
            self._written.append(self._write(self._seen))
        except BaseException as error:
            self._failed = error
            raise
        ids = self._seen.ids
        keys = [(job.name, job.at) for job, _ in self._drafts]
        return [ids[key] for key in keys if key in ids]

    def _store_one(self, new: NewJob) -> Job:
        job, draft = self._drafts[0]
        ids = self._store([new])
        if not ids:
            raise _NotStored(f"the job of {job.name!r} is refused, as a duplicate may be")
        return as_job(StoredJob(ids[0], new.state, new.spec, ()), draft.args)


def _refuse(seen: Seen, job: PlannedJob, error: BaseException | None) -> None:
    seen.refuse(job.name, job.at)
    why = "it was not stored" if error is None else f"{type(error).__name__}: {error}"
    log.warning("a job of the periodic entry %r is refused by a middleware: %s", job.name, why)
