"""What web, terminal and JSON API do to an application, each with its check and its audit.

``Insights(app).verbs(visitor)`` has a method for each verb. What it is told may be text, as forms
have it, or a value of JSON's: ``fields.py`` reads it. A verb checks the visitor's level first, is
noted in the audit if it changes anything, and returns a `Done`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from antq_actors.errors import StorageError
from antq_actors.insights import fields
from antq_actors.insights.access import Access
from antq_actors.insights.bulk_verbs import BulkVerbs
from antq_actors.insights.doing import Done, NotPossible, done
from antq_actors.insights.flow_verbs import FlowVerbs
from antq_actors.insights.job_verbs import JobVerbs
from antq_actors.insights.queue_verbs import QueueVerbs
from antq_actors.insights.store import read_store
from antq_actors.insights.tree_verbs import TreeVerbs
from antq_actors.jobs.instant import datetime_for_display


class Verbs(JobVerbs, BulkVerbs, QueueVerbs, FlowVerbs, TreeVerbs):
    """All verbs, done for one visitor."""

    def do(self, verb: str, *about: object, sent: dict[str, Any]) -> Done:
        """Do the *verb* with the name of a method, to what its path names, with the fields *sent*.

        Raises what that method raises.
        """
        method = getattr(self, verb)
        result: Done = method(*about, **fields.python_names(sent))
        return result

    def undo(self, token: object = None, *, reason: object = None) -> Done:
        """Undo what was done a moment ago, by the token of its `Done`; the item is its entry.

        Raises NotUndoable if that is too long ago, was undone, or something has changed since.
        """
        self._visitor.check(Access.OPERATE)
        fields.text(reason, "reason")
        known = fields.needed_text(token, "token")
        entry = self._source.app.antq_undo(known, self._visitor.name)
        return Done(changed=entry.count, item=entry)

    def backup(self, target: object = None, *, reason: object = None) -> Done:
        """Copy the store to the new directory *target*; without one, to a directory beside it."""
        with self._acting("backup", "store", reason) as acting:
            app = self._source.app
            given = fields.text(target, "target")
            place = self._beside() if given is None else Path(given)
            if _is_taken(place):
                raise ValueError(f"target must be a new directory, and {place} exists")
            try:
                copied = app.backup(place)
            except StorageError as error:
                raise NotPossible(f"no backup was made: {error}") from error
            acting.note()
        return done(acting, read_store(self._source), target=str(copied))

    def verify(self, *, reason: object = None) -> Done:
        """Check the whole store; what is wrong with it is answered as ``findings``."""
        with self._acting("verify", "store", reason) as acting:
            findings = self._source.app.verify()
            acting.note()
        return done(acting, read_store(self._source), findings=findings)

    def _beside(self) -> Path:
        """Return a directory beside the store, named after it and the time."""
        path = self._source.runtime.path
        now = datetime_for_display(self._source.now())
        return path.with_name(f"{path.name}-{now:%Y%m%d-%H%M%S}")


def _is_taken(place: Path) -> bool:
    """Return whether there is something at a path; what is no path is no place of anything."""
    try:
        return place.exists()
    except (OSError, ValueError):  # too long, or it has a NUL
        return False
