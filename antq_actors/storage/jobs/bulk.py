"""The jobs that a filter has found are changed in one transaction, a page of them at a time.

Each changes as if it were the only one, so that damaged jobs, limits and uniqueness are what they
are there. What a filter found may have changed before the transaction began. It is looked at again,
by its record alone: no arguments are decoded, and a job whose worker nobody has is one like others.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from antq_actors.errors import (
    AntqError,
    DamagedRecord,
    JobNotFound,
    NotCancellable,
    NotRetryable,
    StorageError,
)
from antq_actors.storage.format.records import BulkResult
from antq_actors.storage.jobs.arrivals import Arrivals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.format.encoding import JobRecord
    from antq_actors.storage.format.records import Chosen


class BulkWriter(Arrivals):
    """Changes jobs that a filter has found, in one LMDB write transaction."""

    def retry_many(
        self,
        ids: Iterable[int],
        chosen: Chosen,
        *,
        now: Instant,
        limit: int | None = None,
        dues: Sequence[Instant] = (),
    ) -> BulkResult:
        """Enqueue up to *limit* jobs with these *ids* again that are still as *chosen*.

        With *dues* they are scheduled: the first that is changed is due at the first, and so on.
        """
        left = deque(dues)
        queues = set()

        def retry(id_: int, record: JobRecord) -> None:
            queues.add(self._retry(id_, record, now, left[0] if left else None).queue_name)
            if left:
                left.popleft()

        result = self._change_each(ids, chosen, retry, now=now, limit=limit)
        return result._replace(queues=frozenset(queues))

    def cancel_many(
        self, ids: Iterable[int], chosen: Chosen, *, now: Instant, limit: int | None = None
    ) -> BulkResult:
        """Cancel up to *limit* jobs with these *ids* that are still as *chosen*.

        Those that run are told to end.
        """

        def cancel(id_: int, record: JobRecord) -> None:
            self._cancel(id_, record, now)

        return self._change_each(ids, chosen, cancel, now=now, limit=limit)

    def delete_many(
        self, ids: Iterable[int], chosen: Chosen, *, now: Instant, limit: int | None = None
    ) -> BulkResult:
        """Delete up to *limit* jobs with these *ids* that are still as *chosen*.

        Fewer, where they have many steps: what became of the last ids is not said then.
        """

        def delete(id_: int, record: JobRecord) -> None:
            self._delete(id_, record, now)

        return self._change_each(ids, chosen, delete, now=now, limit=limit)

    def _change_each(
        self,
        ids: Iterable[int],
        chosen: Chosen,
        change: Callable[[int, JobRecord], None],
        *,
        now: Instant,
        limit: int | None,
    ) -> BulkResult:
        changed = skipped = refused = 0
        for id_ in ids:
            if changed == limit or self._jobs.has_deleted_enough:
                break
            try:
                record = self._chosen(id_, chosen, now)
                if record is None:
                    skipped += 1
                    continue
                change(id_, record)
                changed += 1
            except StorageError:
                raise
            except (JobNotFound, NotCancellable, NotRetryable):
                skipped += 1
            except AntqError:  # a unique job is in its way, or a limit is full
                refused += 1
        return BulkResult(changed, skipped, refused)

    def _chosen(self, id_: int, chosen: Chosen, now: Instant) -> JobRecord | None:
        """Read the record of a job; None: it is not as *chosen* any more. Raises JobNotFound.

        A damaged job is failed first. The index named it, so it is as chosen.
        """
        try:
            record = self._existing(id_)
        except DamagedRecord as error:
            return self._mark_damaged(id_, str(error), now)
        state = record.state
        if chosen.statuses is not None and state.status not in chosen.statuses:
            return None
        # One that is changed after now was so before the clock was set back.
        if chosen.until is not None and chosen.until < state.updated_at <= now:
            return None
        return record
