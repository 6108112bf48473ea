"""What can be done to one job, and to failures that are alike."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from antq_actors.errors import DamagedRecord, InvalidSchedule
from antq_actors.insights import fields
from antq_actors.insights.doing import Doer, NotPossible, done
from antq_actors.insights.errors import (
    ONE_SECONDS,
    check_failures,
    failed_jobs,
    find_error,
    mark_known,
)
from antq_actors.insights.items import items_of
from antq_actors.jobs.state import Status
from antq_actors.storage.format.records import Chosen
from antq_actors.storage.jobs.copies import enqueue_copy
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from antq_actors.insights.doing import Done
    from antq_actors.insights.values import ErrorGroup, JobItem

_FAILED = Chosen(frozenset({Status.FAILED}))


class JobVerbs(Doer):
    """Retries, cancels, deletes and reschedules jobs, one by one, and enqueues copies of them.

    Each raises JobNotFound, and what the method of `AntQ` raises that does the same.
    """

    def retry(self, id: object, *, fresh: object = None, reason: object = None) -> Done:  # noqa: A002 - as the field is named
        """Enqueue an ended job again; a *fresh* one has forgotten its steps."""
        with self._acting("retry", f"job {id}", reason) as acting:
            number = fields.needed_number(id, "id", 0)
            self._source.app.retry_job(number, fresh=fields.flag(fresh, "fresh"))
        return done(acting, self._item(number))

    def cancel(self, id: object, *, reason: object = None) -> Done:  # noqa: A002 - as the field is named
        """Cancel a job: one that waits at once, one that runs is told to end."""
        with self._acting("cancel", f"job {id}", reason) as acting:
            number = fields.needed_number(id, "id", 0)
            self._source.app.cancel_job(number)
        return done(acting, self._item(number))

    def delete(self, id: object, *, reason: object = None) -> Done:  # noqa: A002 - as the field is named
        """Delete a job; the item is what it was."""
        with self._acting("delete", f"job {id}", reason) as acting:
            number = fields.needed_number(id, "id", 0)
            before = self._item(number)
            self._source.app.delete_job(number)
        return done(acting, before)

    def run_now(self, id: object, *, reason: object = None) -> Done:  # noqa: A002 - as the field is named
        """Make a job due that waits for its time."""
        with self._acting("run-now", f"job {id}", reason) as acting:
            number = fields.needed_number(id, "id", 0)
            self._source.app.run_now(number)
        return done(acting, self._item(number))

    def reschedule(
        self,
        id: object,  # noqa: A002 - as the field is named
        *,
        at: object = None,
        in_: object = None,
        reason: object = None,
    ) -> Done:
        """Change when a job is due: *at* an instant, or *in_* a span of time from now."""
        with self._acting("reschedule", f"job {id}", reason) as acting:
            number = fields.needed_number(id, "id", 0)
            when, after = fields.moment(at, "at"), fields.seconds(in_, "in")
            if (when is None) == (after is None):
                raise InvalidSchedule(
                    "give either at, an instant such as 2030-05-01T09:00Z, or in, a span of time"
                    " such as 5m"
                )
            self._source.app.reschedule(number, schedule_at=when, schedule_in=after)
        return done(acting, self._item(number))

    def again(self, id: object, *, reason: object = None) -> Done:  # noqa: A002 - as the field is named
        """Enqueue a new job like this one; the item is the new one. Nothing of it is loaded."""
        with self._acting("again", f"job {id}", reason) as acting:
            number = fields.needed_number(id, "id", 0)
            try:
                copy = self._store.write(enqueue_copy, number, self._now())
            except DamagedRecord as error:
                raise NotPossible(f"job {number} cannot be copied: {error}") from error
        return done(acting, self._item(copy.id))

    def _item(self, id_: int) -> JobItem:
        (item,) = items_of(self._source, [self._store.read(JobReader.get, id_)])
        return item

    # ---- failures that are alike ------------------------------------------------------------

    def retry_error(self, fingerprint: object, *, reason: object = None) -> Done:
        """Enqueue the failed jobs again whose newest error has this fingerprint.

        Jobs that cannot be retried are counted as ``refused``. Raises LookupError for failures
        that there are not.
        """
        with self._acting("retry", f"error {fingerprint}", reason) as acting:
            digest = fields.needed_text(fingerprint, "fingerprint")
            found = refused = 0
            for ids in failed_jobs(self._source, digest):
                if ids:
                    result = self._store.write(JobStore.retry_many, ids, _FAILED, now=self._now())
                    found += len(ids)
                    refused += result.refused
            if not found:
                find_error(self._source, digest, ONE_SECONDS)
        more: dict[str, Any] = {"refused": refused} if refused else {}
        return done(acting, self._group(digest), **more)

    def mark_known(
        self, fingerprint: object, *, version: object = None, reason: object = None
    ) -> Done:
        """Note until which version failures are known; without a version they are not any more.

        Raises LookupError for failures that there are not.
        """
        with self._acting("known", f"error {fingerprint}", reason) as acting:
            digest = fields.needed_text(fingerprint, "fingerprint")
            until = fields.text(version, "version")
            if until is not None:  # what is gone may still be marked, and that is taken away
                check_failures(self._source, digest, ONE_SECONDS)
            mark_known(self._source, digest, until)
        return done(acting, self._group(digest))

    def _group(self, digest: str) -> ErrorGroup | None:
        """Return a group of failures; None: it was not found in a short time."""
        with suppress(LookupError):
            return find_error(self._source, digest, ONE_SECONDS)
        return None
