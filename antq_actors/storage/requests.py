"""What the storage actor is asked to do: a verb, and room for what it came to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.errors import AntqError
    from antq_actors.storage.jobs.job_store import JobStore
    from antq_actors.storage.jobs.reader import JobReader


class Write:
    """Do *verb* in a write transaction.

    Who gets no answer, because the storage actor died, sends the same Write again: it remembers
    whether it was committed, so that a job is not stored twice.
    """

    __slots__ = ("commits", "refusal", "value", "verb")

    def __init__(self, verb: Callable[[JobStore], Any]) -> None:
        self.verb = verb
        self.commits: Sequence[None] = ()
        """Gets an entry when the transaction that holds it is committed, in that very step: however
        its thread is cut short, and by whomever it is asked, there is nothing in between."""
        self.value: Any = None
        self.refusal: AntqError | None = None
        """Raised by the verb, which then changed nothing."""

    @property
    def committed(self) -> bool:
        """Whether the transaction that holds it is on disk; then what it came to stands."""
        return bool(self.commits)

    def __repr__(self) -> str:
        return f"Write({self.verb})"


class Read:
    """Do *verb* in a read transaction that sees every change answered before."""

    __slots__ = ("verb",)

    def __init__(self, verb: Callable[[JobReader], Any]) -> None:
        self.verb = verb

    def __repr__(self) -> str:
        return f"Read({self.verb})"
