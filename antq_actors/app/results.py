"""Waiting for jobs to end and reading what they returned, in threads and in event loops.

Who waits is added first and looks at the store after that, so no end is missed in between. The
storage actor wakes them after the commit that ends a job (`storage/job_waiters.py`); a coroutine
needs no thread for it.
"""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.app.queries import for_display
from antq_actors.errors import (
    DamagedRecord,
    JobCancelled,
    JobFailed,
    JobNotFound,
    NotStarted,
    ResultNotKept,
    StorageError,
)
from antq_actors.jobs.attempt_error import summary
from antq_actors.jobs.state import ACTIVE, Status
from antq_actors.jobs.worker import in_thread
from antq_actors.storage.format.cipher import Encrypted, Undecipherable
from antq_actors.storage.format.display import display_value
from antq_actors.storage.format.job_cipher import RESULT
from antq_actors.storage.format.values import NONE
from antq_actors.storage.job_waiters import JobWaiter
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.jobs.results import contents, expires_at, unseal, why_not_kept

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Collection, Iterable, Iterator

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.job import Job, Performed
    from antq_actors.storage.client import StorageClient
    from antq_actors.storage.format.encoding import Signer
    from antq_actors.storage.jobs.entry_reader import RawJob

_SLICE_SECONDS: Final = 0.25
"""Seconds that a thread waits at a time: in between it hears Ctrl-C, and that its job is to end."""
_PAGE_JOBS: Final = 500


class ShownResult(NamedTuple):
    """What a job returned, for display."""

    value: Any
    """As plain data: what is none is an `Opaque`."""
    why_not: str | None = None
    """Why it was not kept, such as for its size; None: it is the value."""


class ResultWait:
    """Waits for jobs of one store to end, and reads their results.

    *signer* verifies what is read. Every method raises StorageError, and NotStarted when the
    application stops.
    """

    def __init__(self, store: StorageClient, signer: Signer, clock: Callable[[], Instant]) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock

    def fetch(self, id_: int, seconds: float | None, within: Performed | None = None) -> bytes:
        """Wait in this thread until a job has completed; return the payload of its result.

        *within* is the attempt that waits, if it is one. Raises ResultNotKept, JobFailed,
        JobCancelled, JobNotFound, and TimeoutError; ValueError where it would wait for a job that
        needs a place that this attempt has.
        """
        deadline = _deadline(seconds)
        while True:
            with self._awaited(JobWaiter([id_])) as waiter:
                payload = self._look(id_)
                if payload is not None:
                    return payload
                if within is not None and seconds != 0:
                    self._refuse_same_place(within, id_)
                if not self._is_woken(waiter, deadline):
                    raise late(id_, seconds)

    async def fetch_async(
        self, id_: int, seconds: float | None, within: Performed | None = None
    ) -> bytes:
        """Wait in an event loop as `fetch` does in a thread; raises the same."""
        deadline = _deadline(seconds)
        while True:
            woken = _Woken()
            with self._awaited(JobWaiter([id_], wake=woken.set)) as waiter:
                payload = await in_thread(self._look, id_)
                if payload is not None:
                    return payload
                if within is not None and seconds != 0:
                    await in_thread(self._refuse_same_place, within, id_)
                if not await self._is_woken_async(waiter, woken, deadline):
                    raise late(id_, seconds)

    def ended(
        self,
        ids: Collection[int],
        seconds: float | None,
        *,
        first: bool,
        or_groups: bool = False,
    ) -> set[int]:
        """Wait in this thread until all jobs with these numbers have ended, or the *first* has.

        Return those that have, or are not stored any more; fewer after so many *seconds*.
        *or_groups*: the numbers may be those of groups.
        """
        deadline = _deadline(seconds)
        left, done = set(ids), set[int]()
        while left:
            with self._awaited(JobWaiter(left, first=first)) as waiter:
                found = self._look_at(left, or_groups=or_groups)
                done |= found
                left -= found
                if (done and first) or not left:
                    break
                if not found and not self._is_woken(waiter, deadline):
                    break
        return done

    async def ended_async(
        self, ids: Collection[int], seconds: float | None, *, first: bool
    ) -> set[int]:
        """Wait in an event loop as `ended` does in a thread; raises the same."""
        deadline = _deadline(seconds)
        left, done = set(ids), set[int]()
        while left:
            woken = _Woken()
            with self._awaited(JobWaiter(left, first=first, wake=woken.set)) as waiter:
                found = await in_thread(self._look_at, left)
                done |= found
                left -= found
                if (done and first) or not left:
                    break
                if not found and not await self._is_woken_async(waiter, woken, deadline):
                    break
        return done

    def jobs(self, ids: Collection[int]) -> builtins.list[Job]:
        """Read those of the jobs with these ids that are stored, by page."""
        wanted = list(ids)
        return [
            for_display(raw.decode())
            for start in range(0, len(wanted), _PAGE_JOBS)
            for raw in self._read(JobReader.stored_among, wanted[start : start + _PAGE_JOBS])
        ]

    def shown(self, id_: int) -> ShownResult | None:
        """Read what a job returned, for display; None: nothing is kept of it.

        Nothing is loaded, and no signature is verified, for that. Raises JobNotFound.
        """
        raw, row = self._read(JobReader.result, id_)
        composed = raw.state.composed
        if composed is None or not composed.has_result or _is_for_others(raw):
            return None
        if row is None or self._is_over(row):
            return ShownResult(None) if composed.is_none else None
        try:
            payload = raw.opener.open(contents(id_, row), RESULT)
        except Undecipherable:
            return ShownResult(Encrypted())
        except DamagedRecord as error:
            return ShownResult(None, f"{error}")
        why = why_not_kept(payload)
        return ShownResult(None, why) if why else ShownResult(display_value(payload))

    # ---- a look at the store ----------------------------------------------------------------

    def _look(self, id_: int) -> bytes | None:
        """Read the payload of a job's result; None: it has not ended. Raises what `fetch` does."""
        raw, row = self._read(JobReader.result, id_)
        if row is not None and not _is_for_others(raw) and not self._is_over(row):
            return unseal(id_, row, self._signer, raw.opener)
        composed = raw.state.composed
        if composed is not None and composed.is_none and not _is_for_others(raw):
            return NONE
        _refuse_without_value(raw)
        return None

    def _refuse_same_place(self, within: Performed, id_: int) -> None:
        """Raise ValueError if a job takes a place of a limit that an attempt has, at its key.

        Then it may start only after the attempt has ended, which waits for it; or, where several
        may run, as many of them could each wait for another one.
        """
        found = self._read(JobReader.same_place, within.id, within.started_at, id_)
        if found is None:
            return
        name, key = found
        at_key = "" if key is None else f" at the key {key!r}"
        raise ValueError(
            f"result() of job {id_} was called in the attempt of job {within.id}, and both take a"
            f" place of the limit {name!r}{at_key}, so they could wait for each other. Give the"
            " other job another key, or have it enqueued when this one ends: job.follow_up(…)"
        )

    def _is_over(self, row: bytes) -> bool:
        """Return whether the time (ttl) of a result is over, given its row."""
        expiry = expires_at(row)
        return expiry is not None and self._clock() >= expiry

    def _look_at(self, ids: Collection[int], *, or_groups: bool = False) -> set[int]:
        wanted = sorted(ids)
        pages = (wanted[at : at + _PAGE_JOBS] for at in range(0, len(wanted), _PAGE_JOBS))
        return {
            id_
            for page in pages
            for id_ in self._read(JobReader.ended_among, page, or_groups=or_groups)
        }

    def _read(self, verb: Callable[..., Any], *args: Any, **options: Any) -> Any:
        try:
            return self._store.read(verb, *args, **options)
        except StorageError as error:
            if self._store.closed.is_settled and self._store.removal() is None:
                raise NotStarted(str(error)) from error
            raise

    # ---- the wait ---------------------------------------------------------------------------

    @contextmanager
    def _awaited(self, waiter: JobWaiter) -> Iterator[JobWaiter]:
        """Have the storage actor wake *waiter*, for the time of this context."""
        try:
            self._store.await_jobs(waiter)
            yield waiter
        finally:
            self._store.waits.discard(waiter)

    def _is_woken(self, waiter: JobWaiter, deadline: float) -> bool:
        """Wait in this thread until a waiter is answered; False: its time is over."""
        while not waiter.wait(left := min(_SLICE_SECONDS, _left(deadline))):
            if left == 0.0:
                return False
        return self._is_answered(waiter)

    async def _is_woken_async(self, waiter: JobWaiter, woken: _Woken, deadline: float) -> bool:
        """Wait in an event loop until a waiter is answered; False: its time is over."""
        if not waiter.is_settled and not await woken.wait(_left(deadline)):
            return False
        return self._is_answered(waiter)

    def _is_answered(self, waiter: JobWaiter) -> bool:
        if waiter.error is None:
            return True
        raise self._store.removal() or waiter.error


class _Woken:
    """Wakes a coroutine from any thread."""

    def __init__(self) -> None:
        import asyncio  # noqa: PLC0415 - it takes long, and most programs wait in no event loop

        self._loop = asyncio.get_running_loop()
        self._future = self._loop.create_future()

    def set(self) -> None:
        """Wake the coroutine; do nothing if its event loop was closed."""
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # nobody waits any more
            return

    async def wait(self, seconds: float) -> bool:
        """Wait until it is woken; False after so many *seconds*."""
        import asyncio  # noqa: PLC0415 - as above

        timeout = None if seconds == math.inf else seconds
        done, _ = await asyncio.wait([self._future], timeout=timeout)
        return bool(done)

    def _wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


def _refuse_without_value(raw: RawJob) -> None:
    """Raise why there is no result of a job, or never will be; return if it has not ended."""
    id_, status, stored = raw.id, raw.state.status, raw.decode()
    flow = stored.spec.flow
    if flow is None or flow.result is None or _is_for_others(raw):
        raise ResultNotKept(
            f"job {id_} keeps no result, as its worker {stored.spec.worker!r} keeps none; write"
            " result=True where that is defined, for the jobs to come"
        )
    if status in ACTIVE:
        return
    if status is Status.COMPLETED:
        raise ResultNotKept(f"the result of job {id_} is not kept any more: its time (ttl) is over")
    why = f": {summary(newest.error, newest.error_type)}" if (newest := _newest(stored)) else ""
    if status is Status.FAILED:
        raise JobFailed(f"job {id_} failed{why}", for_display(stored))
    raise JobCancelled(f"job {id_} was cancelled{why}", for_display(stored))


def _is_for_others(raw: RawJob) -> bool:
    """Return whether the result of a node was kept for nodes behind it, and there are none."""
    composed = raw.state.composed
    if composed is None or not composed.group or composed.has_dependents:
        return False
    flow = raw.decode().spec.flow
    return flow is not None and flow.is_for_nodes and flow.workflow == composed.group


def _newest(stored: Any) -> Any:
    return next(iter(stored.errors), None)


def refuse_unstored(ids: Iterable[int]) -> None:
    """Raise JobNotFound for a job that was only built."""
    if 0 in ids:
        raise JobNotFound("this job was built, and not stored, so it never ends: enqueue it first")


def late(id_: int, seconds: float | None) -> TimeoutError:
    """Return the error for a job that has not ended in time."""
    return TimeoutError(f"job {id_} has not ended within {seconds or 0:g} s")


def _deadline(seconds: float | None) -> float:
    return math.inf if seconds is None else time.monotonic() + seconds


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
