"""What the storage actor is asked: verbs, and to find who waits until there is nothing to do.

The storage actor looks for idle queues after commits, its own and those of other processes, and
only while somebody waits: one transaction for all waiters, however many. What is waited for holds
within one transaction, so at one moment. A waiter is settled by looks that began after it was
added: an earlier one knows nothing of the jobs that its thread has just enqueued.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from antq_actors.errors import NotStarted
from antq_actors.otp.kernel.messages import Promise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from antq_actors.errors import AntqError


@dataclass(slots=True, eq=False)
class Write:
    """Do *verb* in a write transaction.

    A caller that gets no reply, because the storage actor died, sends the same Write again: it
    remembers whether it was committed, so that a job is not stored twice.
    """

    verb: Callable[..., Any]
    """Called with a JobStore and what follows."""
    args: Sequence[Any] = field(default=(), repr=False)
    kwargs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    commits: Sequence[None] = field(default=(), repr=False)
    """Gets an entry when the transaction that holds it is committed, in that very step: however its
    thread is cut short, and by whomever it is asked, there is nothing in between. From then on
    *value* and *refusal* stand."""
    value: Any = field(default=None, repr=False)
    waits_for_disk: bool = True
    """Whether it, and all that it has seen, is on disk before its reply. Only for a reply that
    stays within the actors that run jobs may it be False: it is on disk a moment later."""
    refusal: AntqError | None = field(default=None, repr=False)
    """Raised by the verb, which then changed nothing."""


@dataclass(slots=True, eq=False)
class Read:
    """Do *verb* in a read transaction that sees every change that was reported before.

    All that it has seen is on disk before its reply, whichever process has written it.
    """

    verb: Callable[..., Any]
    """Called with a JobReader and what follows."""
    args: Sequence[Any] = field(default=(), repr=False)
    kwargs: Mapping[str, Any] = field(default_factory=dict, repr=False)


# ---- waiting until there is nothing to do ---------------------------------------------------

SHORTEST_PAUSE_SECONDS: Final = 0.005
"""Seconds between two looks, at least. The first after a pause is at once."""
LONGEST_PAUSE_SECONDS: Final = 0.05
SECONDS_PER_JOB: Final = 0.000_02
"""No machine performs a job in less: while many are left, looking often tells nothing."""
PAUSE_PER_LOOK: Final = 4.0
"""So many times longer than the look is the pause: to look at thousands of queues takes a while,
and the store has more to do.
"""


class LookForIdle:
    """Look whether what is waited for has come; a cast to the storage actor."""


class IdleWaiter(Promise):
    """Somebody who waits until nothing of a queue is left to do; None: of all queues.

    It is answered True then, or with the error of an application that stopped.
    """

    __slots__ = ("queue_name",)

    def __init__(self, queue_name: str | None) -> None:
        super().__init__()
        self.queue_name = queue_name


class IdleWaiters:
    """All who wait for one store. From any thread: each step is a single one of the interpreter."""

    def __init__(self) -> None:
        self.waiters: set[IdleWaiter] = set()
        self._is_closed = False

    def add(self, waiter: IdleWaiter) -> None:
        """Add a caller that waits until the storage actor finds its queue idle."""
        self.waiters.add(waiter)
        if self._is_closed:
            _refuse([waiter])

    def discard(self, waiter: IdleWaiter) -> None:
        """Remove a caller that does not wait for a queue to be idle any more."""
        self.waiters.discard(waiter)

    def current(self) -> list[IdleWaiter]:
        """Return the callers that wait for a queue or an application to be idle."""
        return list(self.waiters)

    def settle(self, waiters: Iterable[IdleWaiter], unfinished: Mapping[str | None, int]) -> None:
        """Wake those of *waiters* whose queue had no unfinished jobs in a look at the store."""
        for waiter in waiters:
            if not unfinished[waiter.queue_name]:
                self.waiters.discard(waiter)
                waiter.answer(value=True)

    def close(self) -> None:
        """Wake all callers that wait for idle queues with an error: the application stopped."""
        self._is_closed = True
        _refuse(self.current())


def pause_after(unfinished: Mapping[str | None, int], seconds: float) -> float:
    """Return the seconds to wait until the next look for idle queues, by the unfinished jobs.

    *seconds*: how long that one took.

    >>> [pause_after({None: jobs}, 0.0) for jobs in (3, 1_000, 10**6)]
    [0.005, 0.02, 0.05]
    >>> pause_after({"mail": 3, "web": 1}, 0.1)
    0.4
    """
    fewest = min(unfinished.values(), default=0)
    shortest = max(SHORTEST_PAUSE_SECONDS, PAUSE_PER_LOOK * seconds)
    return max(shortest, min(LONGEST_PAUSE_SECONDS, fewest * SECONDS_PER_JOB))


def _refuse(waiters: Iterable[IdleWaiter]) -> None:
    for waiter in waiters:
        waiter.answer(
            None, NotStarted("the application was stopped while this waited for its jobs to end")
        )
