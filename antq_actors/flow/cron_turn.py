"""What happens to a periodic job when its time has come, or the clock or its code has changed.

This file decides and never acts: it reads no clock and no store. It is told the instant that is
next, which the store keeps, and the time; it returns the instants that get a job, and what becomes
of the entry. Inserting the jobs and writing that down is one transaction of the store, so it is
decided once for each instant, whatever number of processes ask.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from antq_actors.flow.cron_options import SECOND

if TYPE_CHECKING:
    from antq_actors.flow.cron import CronEntry, Instant

CLOCK_TOLERANCE: Final = 60 * SECOND
"""A clock that is set back by no more than this is waited for."""


class Firing(NamedTuple):
    """What one turn makes of an entry."""

    instants: tuple[Instant, ...] = ()
    """The instants that get a job, the oldest one first."""
    next_at: Instant | None = None
    """The instant that is next; None: there is none."""
    missed: int = 0
    """How many more instants get no job because they passed while nothing ran."""
    skipped: int = 0
    """How many get none because the last job has not ended."""
    cancels_last: bool = False
    """Whether the last job is to be cancelled before others are made."""
    warning: str | None = None
    """What is worth a line in the log, and names the entry."""


def decide(
    entry: CronEntry,
    *,
    name: str,
    next_at: Instant,
    last_at: Instant | None,
    now: Instant,
    last_is_active: bool,
) -> Firing:
    """Return what a look at an entry at *now* leads to, as *next_at* is stored for it.

    *last_is_active*: its last job has not ended. All instants of one look are judged by that: those
    that are made up for together do not keep each other from being made.
    """
    if next_at > now:
        return _after_clock_change(entry, name, next_at, last_at, now, tolerance=CLOCK_TOLERANCE)
    passed = 1 + entry.count_between(next_at + 1, now + 1)
    wanted = _wanted(entry, next_at, now, passed)
    firing = _overlapping(entry, wanted, last_is_active=last_is_active)
    missed = passed - len(wanted)
    warning = None
    if entry.missed == "all" and missed:
        warning = (
            f"periodic job {name!r}: {passed} instants have passed, and the newest {len(wanted)} of"
            f" them are made up for; {missed} are left out (max_missed={entry.max_missed})"
        )
    return firing._replace(next_at=entry.next_after(now), missed=missed, warning=warning)


def at_start(
    entry: CronEntry,
    *,
    name: str,
    next_at: Instant | None,
    last_at: Instant | None,
    now: Instant,
    is_changed: bool = False,
    is_set_back: bool = False,
) -> Firing:
    """Return what becomes of an entry when a node starts: no job yet, but the instant that is next.

    It is computed anew, as the rules of a time zone may have changed. What has passed since the
    node stopped is still due. If the definition *is_changed*, what the old one missed is not. If
    the clock *is_set_back*, by more than is waited for, an instant that comes again is not waited
    for either, however near it is.
    """
    if is_changed or next_at is None:
        return Firing(next_at=entry.next_after(now))
    tolerance = 0 if is_set_back else CLOCK_TOLERANCE
    changed = _after_clock_change(entry, name, next_at, last_at, now, tolerance=tolerance)
    if changed.next_at != next_at:
        # Without a job from the future it is the rules of the zone that have changed.
        is_ahead = last_at is not None and last_at > now + tolerance
        return changed if is_ahead else changed._replace(warning=None)
    return Firing(next_at=entry.next_after(next_at - 1))


def at_boot(entry: CronEntry, *, now: Instant, last_is_active: bool) -> Firing:
    """Return what an ``@reboot`` entry makes when the first node of a store starts at *now*."""
    return _overlapping(entry, (now,), last_is_active=last_is_active)


def jitter_of(entry: CronEntry, name: str, instant: Instant) -> int:
    """Return by how many microseconds the job of an *instant* is later than that.

    Drawn from the name and the instant: the same on every node, and after a restart.
    """
    most = round(entry.jitter * SECOND)
    if not most:
        return 0
    drawn = hashlib.blake2b(f"{name}\0{instant}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn) % (most + 1)


def _wanted(entry: CronEntry, next_at: Instant, now: Instant, passed: int) -> tuple[Instant, ...]:
    """Return those of the instants in [*next_at*, *now*] that get a job by ``missed``.

    What the store has as the next instant is one, also where other processes know other rules of a
    time zone.
    """
    most = passed
    if entry.missed == "once":
        most = 1
    elif entry.missed == "all":
        most = entry.max_missed
    elif (earliest := now - round(entry.grace * SECOND)) > next_at:
        most = entry.count_between(earliest, now + 1)
    later = entry.newest(next_at + 1, now + 1, most)
    return tuple([next_at, *later][-most:]) if most else ()


def _overlapping(entry: CronEntry, wanted: tuple[Instant, ...], *, last_is_active: bool) -> Firing:
    if not wanted or not last_is_active or entry.overlap == "allow":
        return Firing(wanted)
    if entry.overlap == "cancel":
        return Firing(wanted, cancels_last=True)
    return Firing(skipped=len(wanted))


def _after_clock_change(
    entry: CronEntry,
    name: str,
    next_at: Instant,
    last_at: Instant | None,
    now: Instant,
    *,
    tolerance: Instant,
) -> Firing:
    """Return what becomes of an entry that is not due, if the clock was set back by much.

    That shows where an instant lies ahead that is passed already: one between now and the next one.
    It is waited for if it is within the *tolerance*.
    """
    ahead = entry.next_after(now + tolerance)
    if ahead is None or ahead >= next_at:
        return Firing(next_at=next_at)
    following = entry.next_after(now)
    return Firing(
        next_at=following,
        warning=(
            f"periodic job {name!r}: the clock was set back to {_shown(now)}; it ran last at"
            f" {_shown(last_at)}, was due next at {_shown(next_at)}, and is due at"
            f" {_shown(following)} now"
        ),
    )


def _shown(instant: Instant | None) -> str:
    if instant is None:
        return "no instant"
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)).isoformat(" ")
