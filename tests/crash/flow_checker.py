"""What must be true of periodic entries and of limits, whatever processes were killed.

Like checker.py, this file decides and reads no file, and it says what is wrong in sentences.

1. Each instant of an entry has exactly one job, but for those in a pause, and those that the entry
   counts as left out. It leaves none out for long while a node lives, and none at all if its rule
   is to catch up.
2. No more jobs of a key are under way than its limit says.

Instants are seconds since the epoch, all other times are on the clock of the journal.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from checker import CLOCKS_APART, LATE, Execution, Final, lives
from journal import Row

Planned = Mapping[float, set[int]]
"""The jobs of an entry by their instants."""


class Entry(NamedTuple):
    """A periodic entry with an instant each second, as it is while it is paused."""

    name: str
    phase: float = 0.0
    """Of its instants, in seconds."""
    missed: int = 0
    skipped: int = 0
    catches_up: bool = True
    """Whether an instant that passed while no node lived gets its job all the same."""


class Pause(NamedTuple):
    """A time in which an entry may have been paused, and another one in which it was."""

    begin: float
    end: float


def planned(rows: Iterable[Row], jobs: Iterable[Final]) -> dict[str, dict[float, set[int]]]:
    """Return the jobs of all entries by their instants, of those that run and those stored."""
    found: defaultdict[str, defaultdict[float, set[int]]] = defaultdict(lambda: defaultdict(set))
    for row in rows:
        if row.cron is not None and row.instant is not None:
            found[row.cron][row.instant].add(row.job)
    for job in jobs:
        if job.cron is not None and job.instant is not None:
            found[job.cron][job.instant].add(job.id)
    return {name: dict(of_name) for name, of_name in found.items()}


def pauses(rows: Iterable[Row], name: str) -> list[Pause]:
    """Return when an entry was paused; the last pause may go on."""
    found = []
    begin = None
    for row in rows:
        if row.detail != name:
            continue
        if row.what == "pausing" and begin is None:
            begin = row.time
        elif row.what == "resumed" and begin is not None:
            found.append(Pause(begin, row.time))
            begin = None
    return found if begin is None else [*found, Pause(begin, math.inf)]


def check_entry(
    entry: Entry, of_entry: Planned, rows: Sequence[Row], deaths: Mapping[str, float], ahead: float
) -> Iterator[str]:
    """Yield what is wrong with an entry that is paused now, one sentence each.

    *ahead*: what the time of day is ahead of the clock of the journal.
    """
    for instant, ids in sorted(of_entry.items()):
        if len(ids) > 1:
            yield f"{entry.name}: the instant {instant} has {len(ids)} jobs: {sorted(ids)}"
        if abs((instant - entry.phase + 0.5) % 1 - 0.5) > 1e-5:
            yield f"{entry.name}: {instant} is none of its instants"
    absent, unsure = _absent(entry, of_entry, rows, ahead)
    left_out = entry.missed + entry.skipped
    if not len(absent) <= left_out <= len(absent) + unsure:
        yield (
            f"{entry.name}: {entry.missed} instants are counted as missed and {entry.skipped} as"
            f" skipped, but {len(absent)} have no job: {absent[:10]}"
        )
    if entry.catches_up and entry.missed:
        yield f"{entry.name}: {entry.missed} missed, though it catches up with all"
    if not entry.skipped:
        yield from _late(entry, absent, lives(rows, deaths), ahead)


def _absent(
    entry: Entry, of_entry: Planned, rows: Sequence[Row], ahead: float
) -> tuple[list[float], int]:
    """Return the instants that should have a job and have none, and how many others have none.

    Those others may have got none: they were in a pause, or before the first one.
    """
    ended = pauses(rows, entry.name)
    starts = [row.time for row in rows if row.what == "starting"]
    if not ended or ended[-1].end < math.inf or not starts:
        raise ValueError(f"{entry.name} is not paused, or no node was there")
    first = math.ceil(min(starts) + ahead - entry.phase)
    last = math.floor(ended[-1].begin + ahead - entry.phase)
    instants = [number + entry.phase for number in range(first, last + 1)]
    known = {round(instant - entry.phase) for instant in of_entry}
    none = [instant for instant in instants if round(instant - entry.phase) not in known]
    made = min(of_entry, default=math.inf)
    absent = [
        instant
        for instant in none
        if instant > made
        and not any(
            each.begin - CLOCKS_APART <= instant - ahead <= each.end + CLOCKS_APART
            for each in ended
        )
    ]
    return absent, len(none) - len(absent)


def _late(
    entry: Entry, absent: Sequence[float], of_nodes: Mapping[str, tuple[float, float]], ahead: float
) -> Iterator[str]:
    """Instants one after the other for which no job was made, though a node lived."""
    began = absent[0] if absent else 0.0
    for one, next_ in pairwise([*absent, math.inf]):
        if next_ - one < 1.5:
            continue
        if one - began > LATE:
            for node, (up, down) in of_nodes.items():
                if up <= began - ahead and one - ahead <= down:
                    yield f"{entry.name}: nothing from {began} to {one}, while {node} lived"
        began = next_


def over_limits(rows: Iterable[Row], found: Iterable[Execution]) -> Iterator[str]:
    """Yield where more jobs of a key were under way than its limit says, one sentence each."""
    keys: dict[int, tuple[int, str]] = {}
    for row in rows:
        if row.key is not None:
            keys[row.job] = row.limit, row.key
        if row.what == "over":
            yield f"job {row.job}: no place was left of {row.limit} of the key {row.key!r}"
    of_key: defaultdict[tuple[int, str], list[Execution]] = defaultdict(list)
    for each in found:
        if each.job in keys:
            of_key[keys[each.job]].append(each)
    for (limit, key), those in of_key.items():
        under_way: list[Execution] = []
        for each in sorted(those, key=lambda execution: execution.begin):
            under_way = [other for other in under_way if other.end > each.begin]
            under_way.append(each)
            if len(under_way) > limit:
                what = ", ".join(map(str, under_way))
                yield f"{len(under_way)} at once of the key {key!r}, whose limit is {limit}: {what}"
