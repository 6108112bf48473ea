"""What waits is asserted, and what is enqueued recorded; a failure shows what is nearly wanted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from antq_actors.app.queries import DetailFilters, for_display
from antq_actors.checks import short_repr, to_seconds, whole
from antq_actors.events import JobsEnqueued
from antq_actors.jobs import current_app
from antq_actors.jobs.control import APPLICATION
from antq_actors.jobs.new_job import check_args
from antq_actors.jobs.resolver import name_of
from antq_actors.jobs.state import Status
from antq_actors.storage.format.records import Span

if TYPE_CHECKING:
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import StoredJob

WAITING: Final = (Status.ENQUEUED, Status.SCHEDULED, Status.RETRYING, Status.SUSPENDED)
MOST_SHOWN: Final = 10
"""Jobs that a message shows."""
SHOWN_CHARACTERS: Final = 80
"""Of a value in a message."""
POLL_SECONDS: Final = 0.01
_MISSING: Final = object()


def enqueued(
    worker: AnyWorker | str | None = None,
    args: Mapping[str, Any] | None = None,
    *,
    queue: str | None = None,
    priority: int | None = None,
    scheduled_at: datetime | None = None,
    delta: float | timedelta = 1.0,
) -> list[Job]:
    """Return the waiting jobs that have all that is given, by id.

    *worker* is a class, a function worker or a stored name; *args* a part of the arguments, as in
    ``list_jobs``. Those wait that are enqueued, scheduled, retrying or suspended. *scheduled_at*
    may differ by *delta* seconds. Looks at the application that ``perform_async`` uses; raises
    NotStarted without one.
    """
    wanted = Wanted(worker, args, queue, priority, scheduled_at=scheduled_at, delta=delta)
    return [job for job in _jobs(wanted.worker) if wanted.is_met_by(job)]


def assert_enqueued(
    worker: AnyWorker | str,
    args: Mapping[str, Any] | None = None,
    *,
    queue: str | None = None,
    priority: int | None = None,
    scheduled_at: datetime | None = None,
    delta: float | timedelta = 1.0,
    count: int | None = None,
    within: float | timedelta | None = None,
) -> None:
    """Assert that a job waits that has all that is given; see :func:`enqueued`.

    *count*: exactly so many; else one at least. *within*: wait up to so many seconds for that. What
    fails tells which jobs are nearly what was wanted, and what differs.
    """
    wanted = Wanted(
        _required(worker), args, queue, priority, scheduled_at=scheduled_at, delta=delta
    )
    number = _checked_count(count)
    seconds = 0.0 if within is None else to_seconds(within, "within")
    deadline = time.monotonic() + seconds
    while True:
        jobs = _jobs()
        found = [job for job in jobs if wanted.is_met_by(job)]
        if len(found) == number if number is not None else found:
            return
        if time.monotonic() >= deadline:
            break
        time.sleep(POLL_SECONDS)
    raise AssertionError(_message(wanted, jobs, found, number, seconds))


def refute_enqueued(
    worker: AnyWorker | str,
    args: Mapping[str, Any] | None = None,
    *,
    queue: str | None = None,
    priority: int | None = None,
    scheduled_at: datetime | None = None,
    delta: float | timedelta = 1.0,
) -> None:
    """Assert that no job waits that has all that is given; see :func:`enqueued`."""
    wanted = Wanted(
        _required(worker), args, queue, priority, scheduled_at=scheduled_at, delta=delta
    )
    found = [job for job in _jobs(wanted.worker) if wanted.is_met_by(job)]
    if found:
        raise AssertionError(f"no job was to wait of {wanted}, and {_counted(found)}")


class Wanted:
    """What a job is to be. Raises TypeError and ValueError for what no job can be."""

    def __init__(
        self,
        worker: AnyWorker | str | None,
        args: Mapping[str, Any] | None,
        queue: str | None,
        priority: int | None,
        *,
        scheduled_at: datetime | None,
        delta: float | timedelta,
    ) -> None:
        self.worker = worker if worker is None or isinstance(worker, str) else _name_of(worker)
        self.args = check_args(args)
        if queue is not None and not isinstance(queue, str):
            raise TypeError(f"queue must be the name of a queue or None, got {short_repr(queue)}")
        if priority is not None and whole(priority) is None:
            raise TypeError(f"priority must be a whole number or None, got {short_repr(priority)}")
        if scheduled_at is not None:
            _check_moment(scheduled_at)
        self.queue = queue
        self.priority = priority
        self.scheduled_at = scheduled_at
        self.delta = to_seconds(delta, "delta")

    def __str__(self) -> str:
        wanted = [("queue", self.queue), ("priority", self.priority)]
        parts = [f"{name}={_shown(value)}" for name, value in wanted if value is not None]
        if self.args:
            parts.insert(0, f"args={_shown(self.args)}")
        if self.scheduled_at is not None:
            parts.append(f"scheduled_at={_shown(self.scheduled_at)} ± {self.delta:g} s")
        name = "any worker" if self.worker is None else self.worker
        return f"{name} with {', '.join(parts)}" if parts else name

    def is_met_by(self, job: Job) -> bool:
        """Return whether a job waits and is what is wanted."""
        if self.worker is not None and job.worker != self.worker:
            return False
        return next(self.differences(job), None) is None

    def differences(self, job: Job) -> Iterator[str]:
        """Yield what a job of the worker has otherwise, in words."""
        if job.status not in WAITING:
            yield f"status: wanted {' or '.join(WAITING)}, found {job.status}"
        if self.queue is not None and job.queue_name != self.queue:
            yield f"queue: wanted {_shown(self.queue)}, found {_shown(job.queue_name)}"
        if self.priority is not None and job.priority != self.priority:
            yield f"priority: wanted {self.priority}, found {job.priority}"
        if self.scheduled_at is not None and not self._is_in_time(job.scheduled_at):
            wanted, found = _shown(self.scheduled_at), _shown(job.scheduled_at)
            yield f"scheduled_at: wanted {wanted} ± {self.delta:g} s, found {found}"
        yield from _differences("args", job.args, self.args)

    def _is_in_time(self, at: datetime | None) -> bool:
        if at is None or self.scheduled_at is None:
            return False
        return abs((at - self.scheduled_at).total_seconds()) <= self.delta


def _differences(where: str, found: Any, wanted: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a mapping has otherwise than is wanted of it; mappings within are compared so."""
    if not isinstance(found, Mapping):
        yield f"{where}: wanted {_shown(wanted)}, found {_shown(found)}"
        return
    for key, value in wanted.items():
        own = found.get(key, _MISSING)
        if own is _MISSING:
            yield f"{where}[{key!r}]: wanted {_shown(value)}, found none"
        elif isinstance(value, Mapping):
            yield from _differences(f"{where}[{key!r}]", own, value)
        elif not _are_equal(own, value):
            yield f"{where}[{key!r}]: wanted {_shown(value)}, found {_shown(own)}"


def _are_equal(found: Any, wanted: Any) -> bool:
    try:
        return bool(found == wanted)
    except ArithmeticError:  # a signalling NaN, which equals nothing and says so
        return False


def _message(
    wanted: Wanted, jobs: list[Job], found: list[Job], count: int | None, seconds: float
) -> str:
    within = f" within {seconds:g} s" if seconds else ""
    if count is None:
        text = f"no job waits of {wanted}{within}"
    else:
        text = f"wanted {count} waiting of {wanted}{within}, and {_counted(found)}"
    if count is not None and len(found) >= count:
        return text
    near = [job for job in jobs if job.worker == wanted.worker and not wanted.is_met_by(job)]
    if not near:
        others = len(jobs) - len(found)
        return f"{text}; no other job of this worker is stored, {others} of others are"
    differing = {job.id: list(wanted.differences(job)) for job in near}
    closest = sorted(near, key=lambda job: (len(differing[job.id]), job.id))[:MOST_SHOWN]
    ids = sorted(job.id for job in closest)
    lines = [f"  job {id_}: {'; '.join(differing[id_])}" for id_ in ids]
    if len(near) > MOST_SHOWN:
        lines.append(f"  and {len(near) - MOST_SHOWN} more")
    return "\n".join([f"{text}; near misses:", *lines])


def _counted(found: list[Job]) -> str:
    ids = ", ".join(str(job.id) for job in found[:MOST_SHOWN])
    more = f" and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else ""
    return f"found {len(found)}: job {ids}{more}" if found else "found 0"


def _jobs(worker: str | None = None) -> list[Job]:
    """Read all jobs of the application that ``perform_async`` uses, by id. Raises NotStarted."""
    application: Any = current_app.current()
    found: list[Job] = application._list(
        status=None, queue=None, worker=worker, span=Span(), limit=None, wanted=DetailFilters()
    )
    return found


def _required(worker: AnyWorker | str | None) -> AnyWorker | str:
    if worker is None:
        raise TypeError("worker must be a worker or its stored name, got None")
    return worker


def _name_of(worker: Any) -> str:
    try:
        return name_of(worker)
    except ValueError as error:  # another one was defined under its name
        raise TypeError(str(error)) from None


def _checked_count(count: object) -> int | None:
    number = whole(count)
    if number is None and count is not None:
        raise TypeError(f"count must be a whole number or None, got {short_repr(count)}")
    if number is not None and number < 0:
        raise ValueError(f"count must be at least 0, got {number}")
    return number


def _check_moment(moment: object) -> None:
    if not isinstance(moment, datetime):
        raise TypeError(
            f"scheduled_at must be a datetime with a time zone or None, got {short_repr(moment)}"
        )
    if moment.utcoffset() is None:
        raise ValueError(
            f"scheduled_at={moment.isoformat()} has no time zone; write for example"
            " datetime.now(UTC) + timedelta(hours=1)"
        )


def _shown(value: object) -> str:
    """Return a value for a message, an instant in UTC, cut to a readable length."""
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return value.astimezone(UTC).isoformat()
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - of a user's object
        text = f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"


# ---- recording ---------------------------------------------------------------------------


@contextmanager
def recorded() -> Iterator[list[Job]]:
    """Record the jobs that are enqueued while its block runs, in order, by whichever thread.

    They are in the list when their enqueue returns, as they were stored then. It records what the
    application enqueues that ``perform_async`` uses; raises NotStarted without one.
    """
    application: Any = current_app.current()
    jobs: list[Job] = []

    def record(stored: StoredJob) -> None:
        job = for_display(stored)
        job.__dict__[APPLICATION] = application
        jobs.append(job)

    tracker = application._running.store.tracker
    # A journal is written only while somebody listens to what it notes.
    with application.subscribe(_ignore, JobsEnqueued):
        tracker.recorders = (*tracker.recorders, record)
        try:
            yield jobs
        finally:
            tracker.recorders = tuple(each for each in tracker.recorders if each is not record)


def _ignore(_event: JobsEnqueued) -> None:
    """Listen to nothing."""
