"""What must be true of a store whose processes were killed, told from what they wrote down.

This file decides and reads no file: journal rows, acknowledged ids, times of death and the jobs
as they are at last go in, a list of sentences comes out, empty when all is well.

1. Every acknowledged job came to its end, and every job that is stored did.
2. No job, and no two jobs that are unique together, was under way in two places at once. An
   execution is under way from its begin to its end, or to the death of its process.
3. What the store counts is what the journal saw: an execution cut short is an interruption and no
   attempt, a failed attempt is one error, and nothing runs again without a reason.
4. A job says when its last execution began and ended, and an error the type of its exception.
"""

import math
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Literal, NamedTuple

from journal import Row

from antq_actors import Job, Status

CLOSING = {"end", "fail", "snooze", "stop", "timeout"}
INTERRUPTED = "interrupted: "
TIMED_OUT = "timed out after "

CLOCKS_APART = 0.1
"""Seconds that the clock of jobs and the one of the journal may move against each other."""

LATE = 5.0
"""Seconds until a dead node's jobs are given back: promised is about one, on an idle machine."""


class Final(NamedTuple):
    """A job as it is at last."""

    id: int
    status: str
    attempts: int = 1
    interruptions: int = 0
    errors: tuple[str, ...] = ()
    rescued: tuple[float, ...] = ()
    """When it was given back after each interruption, on the clock of the journal."""
    timed_out: frozenset[int] = frozenset()
    """The attempts that its timeout ended, or may have: of many errors, not all are kept."""
    started: float | None = None
    """When its latest attempt began, on the clock of the journal; None: it is not looked at."""
    ended: float | None = None
    mistyped: tuple[str, ...] = ()
    """Errors that have another type than their exception had."""
    unkept: int = 0
    """How many errors were counted and not kept."""
    cron: str | None = None
    """The periodic entry that enqueued it."""
    instant: float | None = None
    """For which it did so, in seconds since the epoch."""

    @classmethod
    def of(cls, job: Job) -> "Final":
        ahead = time.time() - time.monotonic()
        errors = tuple(each.error for each in job.errors)
        rescued = tuple(
            each.attempted_at.timestamp() - ahead
            for each in job.errors
            if each.error.startswith(INTERRUPTED)
        )
        timed_out = frozenset(
            each.attempt for each in job.errors if each.error.startswith(TIMED_OUT)
        )
        unkept = job.error_count - len(job.errors)
        if unkept:  # they lie between the first, which is the last here, and the others
            timed_out |= set(range(job.errors[-1].attempt + 1, job.errors[-2].attempt))
        started, ended = job.started_at, job.ended_at
        return cls(
            job.id,
            str(job.status),
            job.attempts,
            job.interruptions,
            errors,
            rescued,
            timed_out,
            math.inf if started is None else started.timestamp() - ahead,
            -math.inf if ended is None else ended.timestamp() - ahead,
            tuple(
                f"{each.error!r} has the type {each.error_type}"
                for each in job.errors
                if each.error_type != type_of(each.error)
            ),
            unkept,
            job.cron,
            job.scheduled_for and job.scheduled_for.timestamp(),
        )


def type_of(error: str) -> str | None:
    """Return the type of the exception that has this text, of those that the jobs raise."""
    if error.startswith(INTERRUPTED):
        return None
    return "TimeoutError" if error.startswith(TIMED_OUT) else "ValueError"


@dataclass(slots=True)
class Execution:
    """What the journal knows of one execution of a job."""

    job: int
    process: str
    attempt: int
    interruptions: int
    unique: str | None
    begin: float
    end: float = math.inf
    how: str = "open"
    """A closing word, or "death", or "open" if there is no word of its end."""
    has_timeout: bool = False
    """That may end it at any moment, also before its first word or after its last."""

    def __str__(self) -> str:
        return f"job {self.job} in {self.process} from {self.begin:.3f} to {self.end:.3f}"


class Recovery(NamedTuple):
    """An execution cut short by a death, and the next one of its job."""

    job: int
    process: str
    seconds: float
    """From the death to the next begin, which may have to wait for a slot."""
    by: Literal["another", "restart", "either"]
    """Whether another node was there all the time and none was started, none was there so that one
    had to be started, or it was some of both.
    """
    to_rescue: float | None = None
    """Seconds from the death until the job was given back, if that is known."""


def check(
    rows: Sequence[Row],
    acknowledged: Sequence[int],
    deaths: Mapping[str, float],
    jobs: Iterable[Final],
    *,
    calls: Mapping[int, str] | None = None,
    pruned: bool = False,
) -> list[str]:
    """Return what is wrong, one sentence each.

    *deaths*: when each process was killed; those that died at a failpoint wrote it down themselves.
    *calls*: to which call each acknowledged job was answered, as far as that is known.
    *pruned*: jobs that ended may be gone.
    """
    stopping = {row.process for row in rows if row.what == "stopping"}
    found = executions(rows, deaths)
    of_job = {id_: list(group) for id_, group in groupby(found, key=lambda each: each.job)}
    finals = {job.id: job for job in jobs}
    return [
        *_unknown_ends(rows),
        *_lost(acknowledged, of_job, finals, pruned=pruned),
        *_mistaken(rows, calls or {}),
        *_at_once(found),
        *(
            finding
            for id_, those in of_job.items()
            for finding in (
                *_order(those, finals.get(id_), stopping),
                *_sums(those, finals.get(id_), stopping),
                *_times(those, finals.get(id_)),
            )
        ),
        *(finding for job in finals.values() for finding in _final(job)),
    ]


def executions(rows: Sequence[Row], deaths: Mapping[str, float]) -> list[Execution]:
    """Return all executions, by job and begin."""
    deaths = _all_deaths(rows, deaths)
    found: list[Execution] = []
    under_way: dict[tuple[str, int], Execution] = {}
    stopped: dict[str, float] = {}
    for row in rows:
        place = row.process, row.job
        if row.what == "begin":
            under_way[place] = Execution(
                row.job, row.process, row.attempt, row.interruptions, row.unique, row.time
            )
            under_way[place].has_timeout = row.has_timeout
            found.append(under_way[place])
        elif row.what in CLOSING and place in under_way:
            execution = under_way.pop(place)
            execution.end, execution.how = row.time, row.what
        elif row.what == "stopped":
            stopped[row.process] = row.time
    for execution in found:
        if execution.how != "open":
            continue
        if execution.process in deaths:
            # Told from outside, a death is a little later than its time: the signal has a way.
            execution.end = max(execution.begin, deaths[execution.process])
            execution.how = "death"
        elif execution.process in stopped:
            # Interrupted before it could say so.
            execution.end, execution.how = stopped[execution.process], "stop"
    return sorted(found, key=lambda each: (each.job, each.begin))


def repeated(found: Iterable[Execution]) -> int:
    """Return how many executions did what had been done: its outcome did not get stored."""
    done = Counter((each.job, each.attempt) for each in found if each.how in ("end", "fail"))
    return sum(times - 1 for times in done.values())


def recoveries(
    rows: Sequence[Row], deaths: Mapping[str, float], jobs: Iterable[Final] = ()
) -> list[Recovery]:
    """Return how long each execution cut short by a death had to wait for the next one."""
    found = []
    nodes = lives(rows, deaths)
    starts = [row.time for row in rows if row.what == "starting"]
    rescued = {job.id: job.rescued for job in jobs}
    for one, next_ in pairwise(executions(rows, deaths)):
        if one.how != "death" or one.job != next_.job:
            continue
        others = [life for name, life in nodes.items() if name != one.process]
        by: Literal["another", "restart", "either"] = "either"
        if not any(up <= one.end < down for up, down in others):
            by = "restart"
        elif any(up <= one.end and down >= next_.begin for up, down in others) and not any(
            one.end <= start <= next_.begin for start in starts
        ):
            by = "another"
        times = [at for at in rescued.get(one.job, ()) if one.end <= at <= next_.begin]
        to_rescue = min(times) - one.end if times else None
        found.append(Recovery(one.job, one.process, next_.begin - one.end, by, to_rescue))
    return found


def late(found: Iterable[Recovery]) -> list[str]:
    """Return the rescues that another node, which was there, has put off for too long."""
    return [
        f"job {each.job}: given back {each.to_rescue:.1f} s after {each.process} had died"
        for each in found
        if each.by == "another" and each.to_rescue is not None and each.to_rescue > LATE
    ]


def median_and_longest(seconds: Collection[float]) -> tuple[float, float]:
    """Return both; zero if there is nothing."""
    return (statistics.median(seconds), max(seconds)) if seconds else (0.0, 0.0)


def _all_deaths(rows: Iterable[Row], deaths: Mapping[str, float]) -> dict[str, float]:
    """Return the same, and when those died that wrote it down: they may be killed once more."""
    return {**deaths, **{row.process: row.time for row in rows if row.what == "died"}}


def lives(rows: Sequence[Row], deaths: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Return from when to when each node was there to run jobs."""
    deaths = _all_deaths(rows, deaths)
    up = {row.process: row.time for row in rows if row.what == "up"}
    down = {row.process: row.time for row in rows if row.what == "stopping"}
    return {
        name: (since, min(down.get(name, math.inf), deaths.get(name, math.inf)))
        for name, since in up.items()
    }


def _unknown_ends(rows: Iterable[Row]) -> Iterator[str]:
    """A word of the end of an execution that has not begun, or has ended before."""
    under_way: set[tuple[str, int]] = set()
    for row in rows:
        place = row.process, row.job
        if row.what == "begin":
            under_way.add(place)
        elif row.what in CLOSING:
            # Interrupted between its last word and its last line, it says that as well.
            if place not in under_way and row.what not in ("stop", "timeout"):
                yield f"job {row.job}: {row.what!r} in {row.process}, where it was not under way"
            under_way.discard(place)


def _lost(
    acknowledged: Sequence[int],
    of_job: Mapping[int, list[Execution]],
    finals: Mapping[int, Final],
    *,
    pruned: bool,
) -> Iterator[str]:
    for id_, times in Counter(acknowledged).items():
        if times > 1:
            yield f"job {id_}: its id was given to {times} jobs"
        has_ended = any(each.how == "end" for each in of_job.get(id_, ()))
        if id_ not in finals and not (pruned and has_ended):
            yield f"job {id_}: lost, it was acknowledged and is not stored"
        elif not has_ended:
            yield f"job {id_}: lost, it was acknowledged and never came to its end"


def _mistaken(rows: Iterable[Row], calls: Mapping[int, str]) -> Iterator[str]:
    """Each call stores one job, and is answered that one."""
    call_of = {row.job: row.call for row in rows if row.what == "begin" and row.call is not None}
    first: dict[str, int] = {}
    for id_, call in sorted(call_of.items()):
        if first.setdefault(call, id_) != id_:
            yield f"job {id_}: stored twice, the call {call} has stored job {first[call]}"
        if calls.get(id_, call) != call:
            yield f"job {id_}: of the call {call}, but it was answered to {calls[id_]}"


def _at_once(found: Sequence[Execution]) -> Iterator[str]:
    unique: defaultdict[str, list[Execution]] = defaultdict(list)
    for each in found:
        if each.unique is not None:
            unique[each.unique].append(each)
    for _, group in groupby(found, key=lambda each: each.job):
        yield from (f"twice at once: {one}, and {other}" for one, other in _overlaps(group))
    for key, group in unique.items():
        for one, other in _overlaps(sorted(group, key=lambda each: each.begin)):
            if one.job != other.job:
                yield f"two of the unique {key!r} at once: {one}, and {other}"


def _overlaps(group: Iterable[Execution]) -> Iterator[tuple[Execution, Execution]]:
    last = None
    for each in group:
        if last is not None and each.begin < last.end:
            yield last, each
        if last is None or each.end > last.end:
            last = each


def _timed_out(those: Sequence[Execution], final: Final | None) -> Collection[int]:
    """Return the attempts that may have been ended by their timeout, whatever the journal saw."""
    if not those[0].has_timeout:
        return ()
    return range(1, 1 + those[-1].attempt) if final is None else final.timed_out


def _order(
    those: Sequence[Execution], final: Final | None, stopping: Collection[str]
) -> Iterator[str]:
    """Each execution of a job has a reason in the one before it."""
    timed_out = _timed_out(those, final)
    failed = set(timed_out)
    for one, next_ in pairwise(those):
        has_failed = one.how in ("fail", "timeout")
        if has_failed:
            failed.add(one.attempt)
        if next_.attempt < one.attempt or next_.interruptions < one.interruptions:
            yield f"{next_}: it counts less than the execution before"
        if next_.attempt > 1 + len(failed):
            yield f"{next_}: its attempt is {next_.attempt}, but {len(failed)} have failed"
        goes_on = next_.interruptions > one.interruptions
        if has_failed or one.attempt in timed_out:
            goes_on |= next_.attempt > one.attempt
        if one.how != "snooze" and not goes_on and one.process not in stopping:
            yield f"{next_}: it runs again, but nothing counts why after its {one.how}"


def _sums(
    those: Sequence[Execution], final: Final | None, stopping: Collection[str]
) -> Iterator[str]:
    """The last execution is the end, and the stored job counts what the journal saw."""
    ends = Counter(each.how for each in those)
    if ends["open"]:
        yield f"job {those[0].job}: {ends['open']} executions neither ended nor died"
    if final is None or final.status != Status.COMPLETED:
        return
    if those[-1].how != "end":
        yield f"job {final.id}: it is completed, but its last execution is a {those[-1].how}"
    failed = {each.attempt for each in those if each.how == "fail"}
    attempts = 1 + len(failed.union(_timed_out(those, final)))
    if final.attempts != attempts:
        yield f"job {final.id}: {final.attempts} attempts are counted, {attempts} were seen"
    cut_short = sum(each.how == "death" and each.process not in stopping for each in those)
    if final.interruptions < max(cut_short, those[-1].interruptions):
        yield (
            f"job {final.id}: {final.interruptions} interruptions are counted,"
            f" {cut_short} executions were cut short"
        )


def _times(those: Sequence[Execution], final: Final | None) -> Iterator[str]:
    """The stored job tells of its last execution, and of no earlier one."""
    if final is None or final.status != Status.COMPLETED:
        return
    if final.started is not None:
        if final.started > those[-1].begin + CLOCKS_APART:
            yield f"{those[-1]}: it began before the job started, at {final.started:.3f}"
        if len(those) > 1 and final.started < those[-2].begin - CLOCKS_APART:
            yield f"job {final.id}: it started at {final.started:.3f}, before {those[-2]}"
    if final.ended is not None and final.ended < those[-1].end - CLOCKS_APART:
        yield f"{those[-1]}: it ended after the job, which did at {final.ended:.3f}"


def _final(job: Final) -> Iterator[str]:
    if job.status != Status.COMPLETED:
        yield f"job {job.id}: it is {job.status} for ever"
        return
    interruptions = [error for error in job.errors if error.startswith(INTERRUPTED)]
    seen = len(interruptions)
    unkept = min(max(0, job.interruptions - seen), job.unkept)
    if seen + unkept != job.interruptions:
        yield f"job {job.id}: {job.interruptions} interruptions, but {seen} such errors"
    for reason, times in Counter(interruptions).items():
        if times > 1:
            yield f"job {job.id}: {times} times {reason!r}"
        if " died" not in reason:
            yield f"job {job.id}: {reason!r}, and no node died"
    yield from (f"job {job.id}: {mistyped}" for mistyped in job.mistyped)
    failures = len(job.errors) + job.unkept - seen - unkept
    if job.attempts != failures + 1:
        yield f"job {job.id}: {job.attempts} attempts, but {failures} failures"
