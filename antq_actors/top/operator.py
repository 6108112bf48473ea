"""Does what a key asks for, through the verbs of insights, and tells in a sentence what came of it.

Every method writes to a store, so it may wait: call it off the thread that draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from antq_actors.errors import AntqError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.insights.access import Visitor
    from antq_actors.insights.doing import Done
    from antq_actors.insights.reader import Insights

UNDO_SECONDS = 10.0
"""For which what was done can be undone, and the sentence about it is shown."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a key."""

    text: str
    undo: tuple[str, ...] = ()
    """The tokens that undo it, the last thing first."""


class Operator:
    """Changes jobs and queues for one visitor, as the dashboard does: checked, and in the audit."""

    def __init__(self, insights: Insights, visitor: Visitor) -> None:
        self._insights = insights
        self._verbs = insights.verbs(visitor)

    def retry(self, ids: Sequence[int]) -> Report:
        """Enqueue ended jobs again; those that cannot be retried are left, and it says why."""
        return _each("Retried", ids, self._verbs.retry)

    def cancel(self, ids: Sequence[int]) -> Report:
        """Cancel jobs; those that cannot be cancelled are left, and it says why."""
        return _each("Cancelled", ids, self._verbs.cancel)

    def pause_or_resume(self, queue: str) -> Report:
        """Pause a queue, or resume it if it is paused."""
        try:
            if self._insights.queue(queue).paused is None:
                done, what = self._verbs.pause(queue), "is paused"
            else:
                done, what = self._verbs.resume(queue), "is resumed"
        except AntqError as error:
            return Report(str(error))
        return _report(f"Queue {queue} {what}.", [done])

    def undo(self, tokens: Sequence[str]) -> Report:
        """Undo what was done last."""
        if not tokens:
            return Report("There is nothing to undo; what can be undone, can for 10 seconds.")
        count = 0
        for token in tokens:
            try:
                count += self._verbs.undo(token).changed
            except AntqError as error:
                return Report(str(error))
        return Report("Undone." if count == 1 else f"Undone, {count} times.")


def _each(did: str, ids: Sequence[int], verb: Callable[[object], Done]) -> Report:
    """Do a verb to each job, and tell of those that were changed and of the first refusal."""
    done, refusals = [], []
    for id_ in ids:
        try:
            done.append(verb(id_))
        except AntqError as error:
            refusals.append(f"Job {id_}: {error}." if len(ids) > 1 else f"{error}.")
    changed = [each for each in done if each.changed]
    texts = []
    if changed:
        texts = [f"{did} job {ids[0]}." if len(ids) == 1 else f"{did} {len(changed)} jobs."]
    elif done:
        texts = ["Nothing has changed: it was so already."]
    texts += refusals[:1]
    if len(refusals) > 1:
        texts.append(f"{len(refusals) - 1} more were refused.")
    return _report(" ".join(texts), done)


def _report(text: str, done: Sequence[Done]) -> Report:
    tokens = tuple(each.undo for each in reversed(done) if each.undo is not None)
    return Report(f"{text} u: undo" if tokens else text, tokens)
