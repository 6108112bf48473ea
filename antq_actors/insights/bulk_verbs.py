"""What can be done to many jobs at once, for a visitor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.insights import fields
from antq_actors.insights.access import Access
from antq_actors.insights.bulk import begin_bulk, preview_bulk, read_bulk
from antq_actors.insights.doing import Doer, Done, done
from antq_actors.storage.jobs.job_store import JobStore

if TYPE_CHECKING:
    from collections.abc import Iterable


class BulkVerbs(Doer):
    """Begins and stops changes of many jobs."""

    def bulk(
        self,
        *,
        verb: object = None,
        q: object = None,
        id: object = None,  # noqa: A002 - as the field is named
        expect: object = None,
        reason: object = None,
        spread: object = None,
        dry_run: object = None,
    ) -> Done:
        """Begin to *verb* the jobs that the filter *q* finds, or those with these *id*s.

        The item is the `BulkView` of the change, which goes on by itself, and ``id`` its number.
        *expect* is how many jobs the dry run has found. A *dry_run* changes nothing, and its item
        is the `BulkPreview`; it takes the level READ alone.

        Raises FilterError and MatchesChanged.
        """
        self._visitor.check(Access.READ if fields.is_given(dry_run) else Access.OPERATE)
        is_dry = fields.flag(dry_run, "dry_run")
        if not is_dry:
            self._visitor.check(Access.OPERATE)
        found = q if isinstance(q, str) else fields.text(q, "q")
        ids = _listed(id)
        seconds = fields.seconds(spread, "spread")
        if is_dry:
            preview = preview_bulk(self._source, verb, found, ids, spread=seconds)
            return Done(changed=0, item=preview)
        begun = begin_bulk(
            *(self._source, self._visitor, verb, found, ids),
            expect=fields.needed_number(expect, "expect", 0),
            reason=fields.text(reason, "reason"),
            spread=seconds,
        )
        item = read_bulk(self._source, begun.id)
        return Done(changed=item.changed, item=item, undo=begun.undo, more={"id": begun.id})

    def stop_bulk(self, id: object, *, reason: object = None) -> Done:  # noqa: A002 - as the field is named
        """Stop a change of many jobs; what is done is done. Raises BulkNotFound, BulkEnded."""
        with self._acting("stop", f"bulk {id}", reason) as acting:
            number = fields.needed_number(id, "id", 0)
            self._store.write(JobStore.stop_bulk, number, now=self._now())
        return done(acting, read_bulk(self._source, number))


def _listed(ids: object) -> Iterable[object] | None:
    """Return what was given for a field that may be there several times."""
    if isinstance(ids, list | tuple):
        return [each for each in ids if fields.is_given(each)]
    return [ids] if fields.is_given(ids) else None
