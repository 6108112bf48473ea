"""What can be done to periodic entries, limits, batches and workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from antq_actors.insights import fields
from antq_actors.insights.composed import read_batch, read_workflow
from antq_actors.insights.crons import read_cron
from antq_actors.insights.doing import Doer, done
from antq_actors.insights.items import items_of
from antq_actors.insights.limits import read_limit
from antq_actors.jobs.limits import gate_key
from antq_actors.storage.jobs.limit_verbs import LimitValueError
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.app.cron_handle import CronHandle
    from antq_actors.app.limit_handle import LimitHandle
    from antq_actors.app.workflow_run import WorkflowRun
    from antq_actors.flow.limits import LimitKind
    from antq_actors.insights.doing import Done
    from antq_actors.jobs.batch import Batch

MOST_MEANT: Final = 1_000
"""Keys in use among which one is looked for that a text may mean."""


class FlowVerbs(Doer):
    """Pauses and runs periodic entries, changes limits, cancels and retries batches and workflows.

    Each raises UnknownCron, UnknownLimit, BatchNotFound or WorkflowNotFound, and what the handle
    raises that does the same.
    """

    # ---- periodic entries -------------------------------------------------------------------

    def pause_cron(self, name: object, *, reason: object = None) -> Done:
        """Let a periodic entry fire no more."""
        return self._change_cron("pause", name, reason, lambda cron: cron.pause())

    def resume_cron(self, name: object, *, reason: object = None) -> Done:
        """Let a periodic entry fire again from now on."""
        return self._change_cron("resume", name, reason, lambda cron: cron.resume())

    def run_cron(self, name: object, *, reason: object = None) -> Done:
        """Enqueue a job of a periodic entry now; the item is the job."""
        with self._acting("run", f"cron {name}", reason) as acting:
            job = self._source.app.cron(fields.needed_text(name, "name")).run_now()
        (item,) = items_of(self._source, [self._store.read(JobReader.get, job.id)])
        return done(acting, item)

    def _change_cron(
        self, verb: str, name: object, reason: object, change: Callable[[CronHandle], object]
    ) -> Done:
        with self._acting(verb, f"cron {name}", reason) as acting:
            cron = self._source.app.cron(fields.needed_text(name, "name"))
            change(cron)
        return done(acting, read_cron(self._source, cron.name))

    # ---- limits -----------------------------------------------------------------------------

    def set_limit(
        self,
        name: object,
        *,
        limit: object = None,
        per: object = None,
        burst: object = None,
        key: object = None,
        kind: object = None,
        reason: object = None,
    ) -> Done:
        """Have other numbers of a limit in force than the code has, until it is reset."""
        with self._acting("set", f"limit {name}", reason) as acting:
            handle = self._limit(name)
            try:
                handle.set(
                    limit=fields.number(limit, "limit"),
                    per=fields.seconds(per, "per"),
                    burst=fields.number(burst, "burst"),
                    key=self._key(handle, key),
                    kind=cast("LimitKind | None", fields.text(kind, "kind")),
                )
            except LimitValueError as error:
                raise ValueError(str(error)) from error
        return done(acting, read_limit(self._source, handle.name))

    def pause_limit(
        self, name: object, *, key: object = None, seconds: object = None, reason: object = None
    ) -> Done:
        """Let no job of a limit start: for so many *seconds*, or until it is resumed."""
        with self._acting("pause", f"limit {name}", reason) as acting:
            handle = self._limit(name)
            handle.pause(self._key(handle, key), fields.seconds(seconds, "seconds"))
        return done(acting, read_limit(self._source, handle.name))

    def resume_limit(self, name: object, *, key: object = None, reason: object = None) -> Done:
        """Let jobs of a limit start again."""
        with self._acting("resume", f"limit {name}", reason) as acting:
            handle = self._limit(name)
            handle.resume(self._key(handle, key))
        return done(acting, read_limit(self._source, handle.name))

    def reset_limit(self, name: object, *, key: object = None, reason: object = None) -> Done:
        """Have the numbers of the code in force again."""
        with self._acting("reset", f"limit {name}", reason) as acting:
            handle = self._limit(name)
            handle.reset(self._key(handle, key))
        return done(acting, read_limit(self._source, handle.name))

    def _limit(self, name: object) -> LimitHandle:
        """Return the handle of a limit. Raises UnknownLimit."""
        handle = self._source.app.limit(fields.needed_text(name, "name"))
        handle.keys(limit=1)
        return handle

    def _key(self, handle: LimitHandle, key: object) -> Any:
        """Return what a key means: one that is in use, else the likeliest."""
        meanings = fields.key_meanings(key, "key")
        if len(meanings) < 2:  # noqa: PLR2004 - there is nothing to choose from
            return meanings[0] if meanings else None
        in_use = self._store.read(JobReader.gates_in_use, handle.name, MOST_MEANT, self._now())[1]
        gates = {gate.gate for gate in in_use}
        found = (each for each in meanings if gate_key(handle.name, each).gate in gates)
        return next(found, meanings[0])

    # ---- batches and workflows --------------------------------------------------------------

    def cancel_batch(self, id: object, *, reason: object = None) -> Done:  # noqa: A002 - as the field is named
        """Cancel a batch: no member of it starts any more, and those that run are told to end."""
        return self._change_batch("cancel", id, reason, lambda batch: batch.cancel())

    def retry_failed_batch(self, id: object, *, reason: object = None) -> Done:  # noqa: A002 - as the field is named
        """Enqueue the failed members of a batch again."""
        return self._change_batch("retry-failed", id, reason, lambda batch: batch.retry_failed())

    def close_batch(self, id: object, *, reason: object = None) -> Done:  # noqa: A002 - as the field is named
        """Let a batch end: no more members come."""
        return self._change_batch("close", id, reason, lambda batch: batch.close())

    def cancel_workflow(self, id: object, *, reason: object = None) -> Done:  # noqa: A002 - as the field is named
        """Cancel what has not ended of a workflow."""
        return self._change_workflow("cancel", id, reason, lambda run: run.cancel())

    def retry_failed_workflow(self, id: object, *, reason: object = None) -> Done:  # noqa: A002 - as the field is named
        """Retry the failed jobs of a workflow; what they cut off waits again."""
        return self._change_workflow("retry-failed", id, reason, lambda run: run.retry_failed())

    def _change_batch(
        self, verb: str, id_: object, reason: object, change: Callable[[Batch], object]
    ) -> Done:
        with self._acting(verb, f"batch {id_}", reason) as acting:
            batch = self._source.app.get_batch(fields.needed_number(id_, "id", 0))
            change(batch)
        return done(acting, read_batch(self._source, batch.id))

    def _change_workflow(
        self, verb: str, id_: object, reason: object, change: Callable[[WorkflowRun], object]
    ) -> Done:
        with self._acting(verb, f"workflow {id_}", reason) as acting:
            run = self._source.app.get_workflow(fields.needed_number(id_, "id", 0))
            change(run)
        return done(acting, read_workflow(self._source, run.id))
