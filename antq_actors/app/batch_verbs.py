"""What an application does with batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from antq_actors.app.batches import Batches
from antq_actors.app.wait_verbs import WaitVerbs
from antq_actors.checks import checked_open, short_repr, whole
from antq_actors.jobs import batch as handles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from antq_actors.app.remote import RemoteRuntime
    from antq_actors.app.runtime import Runtime
    from antq_actors.jobs.batch import Abandoned, Batch
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import NewJob


class BatchVerbs(WaitVerbs):
    """The batches of an application, once it runs; `AntQ` says how it does."""

    if TYPE_CHECKING:

        @property
        def antq_middleware(self) -> Any:
            """What is called in this process around the enqueuing of jobs; None: nothing."""

    def _runtime(self) -> Runtime | RemoteRuntime:
        raise NotImplementedError

    def antq_prepare(
        self, worker: AnyWorker, args: Mapping[str, Any] | None, options: Mapping[str, Any], /
    ) -> NewJob:
        """Check a job as `enqueue` does; store nothing."""
        raise NotImplementedError

    def batch(
        self,
        name: str,
        *,
        on_success: Job | None = None,
        on_complete: Job | None = None,
        on_failure: Job | None = None,
        abandoned: Abandoned = "keep",
    ) -> Batch:
        """Make a batch: jobs that belong together, and jobs to be stored when it has ended.

        Enqueue its members with :meth:`Batch.enqueue` and :meth:`Batch.enqueue_many`, and close it,
        best by a ``with`` block. They run meanwhile. The callbacks are jobs that were built, such
        as ``Report.build({…})``. Each is stored at most once, in the transaction that makes it
        true: *on_success* when all members have completed, *on_complete* when all have ended, and
        *on_failure* when the first one fails or is cancelled.

        *abandoned*: what becomes of it if this process dies before it is closed. ``"keep"``: it
        stays open until somebody closes or cancels it; ``"cancel"``: it is cancelled. Raises
        TypeError, ValueError, and what `enqueue` raises for a callback.
        """
        callbacks = {
            "on_success": on_success,
            "on_complete": on_complete,
            "on_failure": on_failure,
        }
        return handles.make_batch(self, name, callbacks, abandoned)

    def batches(self, open: bool | None = None) -> list[Batch]:  # noqa: A002, FBT001 - the contract
        """Return the batches of the store, by id; those alone that are open, or that have ended."""
        return handles.of_entries(self.antq_batch("entries", checked_open(open)), self)

    def get_batch(self, id: int) -> Batch:  # noqa: A002 - as the attribute is named
        """Return the batch with this id. Raises BatchNotFound."""
        number = whole(id)
        if number is None:
            raise TypeError(f"the id of a batch is a number, got {short_repr(id)}")
        return handles.find_batch(self, number)

    # ---- inside -----------------------------------------------------------------------------

    def antq_batch(self, verb: str, /, *args: Any) -> Any:
        """Do what the verb says to the batches of the store, for their handles."""
        return self._runtime().batches.do(verb, *args)

    def antq_batch_of(self, id_: int, job: Job, /) -> Batch | None:
        """Return the batch with an id, of which this is a job; None: there is none any more."""
        return handles.batch_of(self, id_, job)

    def antq_insert_members(
        self,
        id_: int,
        worker: AnyWorker,
        args_iterable: Iterable[Mapping[str, Any] | None],
        options: Mapping[str, Any],
    ) -> list[int] | None:
        """Store a member for each item in this process; None: the application is in another one."""
        batches = self._runtime().batches
        if not isinstance(batches, Batches):
            return None
        return batches.enqueue_many(id_, worker, args_iterable, options)
