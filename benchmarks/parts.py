"""To which of our parts a moment of a running program belongs.

A stack belongs to the part of its innermost frame that is in the table: what the standard library
or LMDB does is the time of whoever called it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

ENCODING: Final = "storage: encoding"
SUPERVISOR: Final = "otp: supervisor, starts of children"
ENDS: Final = "otp: links, monitors, ends"
BIRTH: Final = "otp: an actor's birth and state"
CALLS: Final = "otp: calls and messages"
RUN_QUEUE: Final = "otp: threads and their run queue"
PERFORM: Final = "performing, perform"
OTHER: Final = "other"

# How a file's path begins, and its part; the first row that fits counts. This is the one place
# that has to know a new file, and without a row it counts to its folder.
PARTS: Final = (
    ("antq_actors/storage/format/", ENCODING),
    ("antq_actors/storage/lmdb/keys.py", ENCODING),
    ("antq_actors/storage/lmdb/collector_pause.py", "storage: LMDB's begin and commit"),
    ("antq_actors/storage/lmdb/environment.py", "storage: LMDB's begin and commit"),
    ("antq_actors/storage/actor.py", "storage: actor"),
    ("antq_actors/storage/client.py", "storage: actor"),
    ("antq_actors/storage/commit_watch.py", "storage: actor"),
    ("antq_actors/storage/idle_waiters.py", "storage: actor"),
    ("antq_actors/storage/", "storage: tables, LMDB's gets and puts"),
    ("antq_actors/executors/thread.py", "worker actor"),
    ("antq_actors/executors/", "executors"),
    ("antq_actors/queues/", "queue actor"),
    ("antq_actors/jobs/lifecycle.py", "lifecycle"),
    ("antq_actors/jobs/state.py", "lifecycle"),
    ("antq_actors/jobs/", PERFORM),
    ("antq_actors/otp/kernel/mailbox.py", "otp: mailbox"),
    ("antq_actors/otp/threads/", RUN_QUEUE),
    ("antq_actors/otp/messaging/links.py", ENDS),
    ("antq_actors/otp/supervision/children.py", ENDS),
    ("antq_actors/otp/supervision/", SUPERVISOR),
    ("antq_actors/otp/messaging/timers.py", "otp: timers"),
    ("antq_actors/otp/kernel/cell.py", BIRTH),
    ("antq_actors/otp/messaging/names.py", BIRTH),
    ("antq_actors/otp/actors/pykka_registry.py", BIRTH),
    ("antq_actors/otp/messaging/calls.py", CALLS),
    ("antq_actors/otp/kernel/messages.py", CALLS),
    ("antq_actors/otp/messaging/deadlock.py", CALLS),
    ("antq_actors/otp/", "otp: an actor's loop"),
    ("antq_actors/", "rest of antq_actors"),
    ("benchmarks/noop.py", PERFORM),
)


def part_of(stack: Iterable[str]) -> str:
    """Return the part of a stack, given as the paths of its files, innermost first."""
    for path in stack:
        file = _from_our_folder(path)
        for beginning, part in PARTS:
            if file.startswith(beginning):
                return part
    return OTHER


def _from_our_folder(path: str) -> str:
    """Cut off where the project lies: ``/x/antq_actors/app/tree.py`` → ``antq_actors/app/tree.py``.

    py-spy does so itself, and leaves of a program's own folder only the file.
    """
    if path == "noop.py":
        return f"benchmarks/{path}"
    for folder in ("antq_actors/", "benchmarks/"):
        _, found, rest = path.rpartition(f"/{folder}")
        if found:
            return folder + rest
    return path
