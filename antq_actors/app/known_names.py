"""The names of queues and workers in filters: whether anything knows them.

Names that nothing knows find no jobs, and a typo should not do so silently: there is a sentence for
each.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final, TypeVar

from antq_actors.checks import close_matches
from antq_actors.jobs.worker_registry import defined, names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from antq_actors.storage.client import StorageClient

R = TypeVar("R")

_OFFERED_NAMES: Final = 3
"""Names that a warning offers."""
_LONGEST_NAME: Final = 200
"""Characters of a name that a warning repeats."""
_REMEMBERED_NAMES: Final = 100


class KnownNames:
    """The names of queues and workers that a store or an application knows.

    *queues*: those that the application was described with.
    """

    def __init__(self, store: StorageClient, queues: Collection[str]) -> None:
        self._store = store
        self._queues = queues
        self._searched: dict[str, int] = {}
        """Names of workers that no job had up to an id. Later jobs have larger ids, so that a
        program that asks again and again, for what is not there yet, reads each job once."""

    def findings(self, queue: str | None, worker: str | None) -> list[str]:
        """Read the store; return a sentence for each name that no job and no setting has.

        A queue costs no more with many jobs than with few. A worker that is not defined in this
        process is looked for in all jobs, until one has it.
        """
        found = []
        if queue is not None:
            known = {*self._queues, *self._store.known_queues()}
            if queue not in known:
                found.append(
                    f"no job is in a queue {_quoted(queue)}, and no application is known to run"
                    f" it{_hint(queue, known)}"
                )
        if worker is not None and defined(worker) is None and not self._is_had(worker):
            known = {*names(), *self._store.recent_workers()}
            found.append(
                f"no job has a worker {_quoted(worker)}, and none is defined under this name here:"
                f" a stored name looks like 'shop.mail:SendReceipt'{_hint(worker, known)}"
            )
        return found

    def _is_had(self, worker: str) -> bool:
        """Return whether any job in the store has this worker."""
        is_had, last = self._store.has_worker(worker, after=self._searched.get(worker, 0))
        self._searched.pop(worker, None)
        if not is_had:
            self._searched[worker] = last
            if len(self._searched) > _REMEMBERED_NAMES:
                del self._searched[next(iter(self._searched))]
        return is_had


def _hint(name: str, known: Iterable[str]) -> str:
    """Return the end of a warning about *name*: known names that may be meant, or some others.

    Of a worker, what stands behind the colon may be all that was given.
    """
    names = sorted(known)
    if not names:
        return ""
    tails = [each for each in names if each.rpartition(":")[2] == name]
    close = tails or close_matches(name[:_LONGEST_NAME], names, _OFFERED_NAMES)
    if close:
        return f"; did you mean {' or '.join(map(repr, close[:_OFFERED_NAMES]))}?"
    more = ", …" if len(names) > _OFFERED_NAMES else ""
    return f"; there are {', '.join(map(repr, names[:_OFFERED_NAMES]))}{more}"


def _quoted(name: str) -> str:
    return repr(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…")


def warned(found: tuple[R, Sequence[str]]) -> R:
    """Return what a method found; issue its warnings at the line that called the method."""
    value, hints = found
    for sentence in hints:
        warnings.warn(sentence, UserWarning, stacklevel=3)
    return value
