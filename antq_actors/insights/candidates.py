"""A job that a search looks at: what it has for each term of a filter, decoded when it is asked.

Most jobs are told apart by their state alone, so the rest of their bytes is left alone. Arguments
are shown as plain data, and never executed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from antq_actors.insights.filter_values import NOT_THERE
from antq_actors.insights.redaction import NotShown
from antq_actors.jobs.attempt_error import summary
from antq_actors.jobs.state import Status
from antq_actors.storage.format.display import display_args
from antq_actors.storage.format.encoding import meta_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antq_actors.insights.filters import Term
    from antq_actors.insights.redaction import Redactor
    from antq_actors.jobs.state import StoredJob
    from antq_actors.storage.jobs.entry_reader import RawJob

COSTS: Final = (
    *("id", "status", "queue", "attempts", "node", "started", "ended", "due", "batch", "workflow"),
    *("worker", "inserted", "cron", "meta", "error", "arg"),
)
"""The keys of terms, those that are looked up fastest first."""


class Candidate:
    """A job as it was read; *roots* are the groups that the filter asks for, with their numbers."""

    __slots__ = ("_args", "_decoded", "_redactor", "_roots", "raw")

    def __init__(self, raw: RawJob, redactor: Redactor, roots: Mapping[int, int]) -> None:
        self.raw = raw
        self._redactor = redactor
        self._roots = roots
        self._decoded: StoredJob | None = None
        self._args: Mapping[str, Any] | None = None

    @property
    def stored(self) -> StoredJob:
        """The job, decoded for display."""
        if self._decoded is None:
            self._decoded = self.raw.decode()
        return self._decoded

    def find(self, term: Term) -> Any:
        """Return what the job has for a term, `NOT_THERE` for what it has not."""
        found = getattr(self, f"_{term.name}")(term)
        return NOT_THERE if found is None and term.name != "arg" else found

    def _id(self, _: Term) -> Any:
        return self.raw.id

    def _status(self, _: Term) -> Any:
        return self.raw.state.status

    def _queue(self, _: Term) -> Any:
        return self.raw.state.queue_name

    def _attempts(self, _: Term) -> Any:
        return self.raw.state.attempts

    def _node(self, _: Term) -> Any:
        state = self.raw.state
        return state.node if state.status is Status.RUNNING else None

    def _started(self, _: Term) -> Any:
        return self.raw.state.started_at

    def _ended(self, _: Term) -> Any:
        return self.raw.state.ended_at

    def _due(self, _: Term) -> Any:
        return self.raw.state.scheduled_at

    def _batch(self, term: Term) -> Any:
        return self._workflow(term)

    def _workflow(self, _: Term) -> Any:
        composed = self.raw.state.composed
        return None if composed is None else self._roots.get(composed.group)

    def _worker(self, _: Term) -> Any:
        return self.raw.worker

    def _inserted(self, _: Term) -> Any:
        return self.stored.spec.inserted_at

    def _cron(self, _: Term) -> Any:
        flow = self.stored.spec.flow
        return None if flow is None else flow.cron

    def _error(self, _: Term) -> Any:
        errors = self.stored.errors
        if not errors or errors[0].sealed is not None:
            return None
        newest = errors[0]
        return summary(str(self._redactor.text("error", newest.error)), newest.error_type)

    def _meta(self, term: Term) -> Any:
        return self._below("meta", meta_of(self.stored.spec), term)

    def _arg(self, term: Term) -> Any:
        if self._args is None:
            self._args = display_args(self.stored.spec.args)
        return self._below("args", self._args, term)

    def _below(self, path: str, value: Mapping[str, Any], term: Term) -> Any:
        try:
            return self._redactor.find(path, value, _path_of(term))
        except NotShown:
            return NOT_THERE


@lru_cache(maxsize=64)
def _path_of(term: Term) -> tuple[str, ...]:
    return term.path
