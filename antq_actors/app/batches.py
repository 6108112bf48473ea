"""The batches of a store, for their handles (:mod:`~antq_actors.jobs.batch`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from antq_actors.app.queries import checked_statuses, for_display
from antq_actors.jobs.batch import BatchStatus
from antq_actors.jobs.state import Composed, Status, StoredJob
from antq_actors.storage.format.records import Chosen
from antq_actors.storage.jobs.group_verbs import NewGroup
from antq_actors.storage.jobs.groups import BATCH
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.workflows import counters
from antq_actors.workflows.counters import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from antq_actors.app.enqueue import Enqueuer
    from antq_actors.app.results import ResultWait
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import NewJob, Statuses
    from antq_actors.storage.client import StorageClient
    from antq_actors.workflows.counters import Group

_PAGE_JOBS: Final = 1_000
"""Members that are read, or changed, in one transaction."""
_FAILED: Final = Chosen(frozenset({Status.FAILED}))


class Batches:
    """Does what the handles of batches ask for; each public method is one of their verbs."""

    def __init__(
        self,
        store: StorageClient,
        enqueuer: Enqueuer,
        clock: Callable[[], Instant],
        node: Callable[[], int],
        results: ResultWait,
    ) -> None:
        """Change the batches in *store*; *node* returns the number by which this process lives."""
        self._store = store
        self._enqueuer = enqueuer
        self._clock = clock
        self._node = node
        self._results = results

    def do(self, verb: str, *args: Any) -> Any:
        """Do a verb; return what it returns."""
        return getattr(self, verb)(*args)

    def create(
        self,
        name: str,
        callbacks: Sequence[tuple[int, NewJob]],
        cancel_abandoned: bool,  # noqa: FBT001 - as the handle gives it, perhaps from elsewhere
        parent: int,
    ) -> int:
        """Store a new batch; return its id. Raises BatchNotFound and BatchClosed of its parent."""
        events = tuple((Event(event), new) for event, new in callbacks)
        new = NewGroup(BATCH, name, self._clock(), events, cancel_abandoned)
        return self._store.write(JobStore.create_group, new, node=self._node(), parent=parent)

    def insert(self, id_: int, new: NewJob) -> Job:
        """Store a member; return it. Raises BatchNotFound, BatchClosed, AlreadyExists, …"""
        member = self._store.write(JobStore.insert_member, id_, new)
        self._enqueuer.note(new.state.queue_name)
        state = replace(new.state, composed=Composed(group=id_))
        return for_display(StoredJob(member, state, new.spec, ()))

    def insert_many(self, id_: int, news: Sequence[NewJob]) -> list[int]:
        """Store members; return their ids, without those of duplicates."""
        ids = self._store.write(JobStore.insert_members, id_, news)
        return [found for found in ids if found is not None]

    def enqueue_many(
        self,
        id_: int,
        worker: AnyWorker,
        args_iterable: Iterable[Mapping[str, Any] | None],
        options: Mapping[str, Any],
    ) -> list[int]:
        """Store a member for each item, as :meth:`Enqueuer.enqueue_many` does."""

        def insert(news: list[NewJob]) -> list[int | None]:
            return self._store.write(JobStore.insert_members, id_, news)

        insert([])  # what is wrong with the batch is said before the first item is looked at
        return self._enqueuer.enqueue_many(worker, args_iterable, options, insert=insert)

    def close(self, id_: int) -> None:
        """Let a batch end. Raises BatchNotFound."""
        self._store.write(JobStore.close_group, id_, now=self._clock())

    def cancel(self, id_: int) -> None:
        """Cancel a batch and those in it, some members at a time. Raises BatchNotFound."""
        self._store.cancel_group(id_, now=self._clock(), kind=BATCH)

    def retry_failed(self, id_: int) -> None:
        """Enqueue the failed members of a batch again, and of those in it, some at a time.

        Raises BatchNotFound.
        """
        self.status(id_)
        left = [(id_, 0)]
        while left:
            group, after = left.pop()
            ids, parts, position = self._store.read(
                JobReader.member_ids, group, after=after, limit=_PAGE_JOBS
            )
            self._store.write(JobStore.retry_many, ids, _FAILED, now=self._clock())
            if position is not None:
                left.append((group, position))
            left += [(part, 0) for part in parts]

    def status(self, id_: int) -> BatchStatus:
        """Read how far a batch is. Raises BatchNotFound."""
        return _status(self._store.read(JobReader.batch, id_).group)

    def name(self, id_: int) -> str:
        """Read the name of a batch. Raises BatchNotFound."""
        return self._store.read(JobReader.batch, id_).name

    def jobs(self, id_: int, status: Statuses | None) -> list[Job]:
        """Read the members of a batch, by id. Raises BatchNotFound, ValueError."""
        statuses = checked_statuses(status)
        self.status(id_)
        found: list[StoredJob] = []
        after: int | None = 0
        while after is not None:
            page, after = self._store.read(
                JobReader.member_jobs, id_, statuses, after=after, limit=_PAGE_JOBS
            )
            found += page
        return [for_display(job) for job in found]

    def holders(self) -> dict[int, tuple[int, bool]]:
        """Read which process adds the members of each batch that is not closed, and if it lives."""
        found = {
            each.id: each.group.node
            for each in self._store.read(JobReader.batches, is_open=True)
            if not each.group.is_closed
        }
        living = self._store.living_of(sorted(set(found.values())))
        return {id_: (node, node in living) for id_, node in found.items()}

    def entries(self, is_open: bool | None) -> list[tuple[int, str]]:  # noqa: FBT001 - as above
        """Read the ids and names of all batches, by id, or of those that are open, or are not."""
        return [(each.id, each.name) for each in self._store.read(JobReader.batches, is_open)]

    def ended(self, id_: int, seconds: float | None) -> bool:
        """Wait until a batch has ended, at most so many seconds; return whether it has.

        Raises NotStarted when the application stops.
        """
        return bool(self._results.ended([id_], seconds, first=False, or_groups=True))

    def kept(self, id_: int, after: int) -> tuple[list[int], int | None]:
        """Read which members of a page completed and keep a result, and where the next page is.

        Raises BatchNotFound.
        """
        self.status(id_)
        return self._store.read(JobReader.members_with_results, id_, after=after, limit=_PAGE_JOBS)


def _status(group: Group) -> BatchStatus:
    ends = group.ends
    return BatchStatus(
        total=group.total,
        ended=ends.total,
        completed=ends.completed,
        failed=ends.failed,
        cancelled=ends.cancelled + ends.unneeded,
        closed=group.is_closed,
        open=not counters.has_ended(group),
    )
