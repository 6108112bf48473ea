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
    ("antq_actors/storage/encoding.py", ENCODING),
    ("antq_actors/storage/records.py", ENCODING),
    ("antq_actors/storage/keys.py", ENCODING),
    ("antq_actors/storage/seal.py", ENCODING),
    ("antq_actors/storage/environment.py", "storage: LMDB's begin and commit"),
    ("antq_actors/storage/storage_actor.py", "storage: actor"),
    ("antq_actors/storage/client.py", "storage: actor"),
    ("antq_actors/storage/", "storage: tables, LMDB's gets and puts"),
    ("antq_actors/executors/attempt.py", PERFORM),
    ("antq_actors/executors/thread.py", "worker actor"),
    ("antq_actors/executors/", "executors"),
    ("antq_actors/queues/", "queue actor"),
    ("antq_actors/jobs/lifecycle.py", "lifecycle"),
    ("antq_actors/jobs/state.py", "lifecycle"),
    ("antq_actors/jobs/", PERFORM),
    ("antq_actors/otp/mailbox.py", "otp: mailbox"),
    ("antq_actors/otp/threads.py", RUN_QUEUE),
    ("antq_actors/otp/wakeups.py", RUN_QUEUE),
    ("antq_actors/otp/futexes.py", RUN_QUEUE),
    ("antq_actors/otp/dynamic_supervisor.py", SUPERVISOR),
    ("antq_actors/otp/supervisor", SUPERVISOR),
    ("antq_actors/otp/child_", SUPERVISOR),
    ("antq_actors/otp/restart.py", SUPERVISOR),
    ("antq_actors/otp/monitors.py", ENDS),
    ("antq_actors/otp/links.py", ENDS),
    ("antq_actors/otp/termination.py", ENDS),
    ("antq_actors/otp/timers.py", "otp: timers"),
    ("antq_actors/otp/process.py", BIRTH),
    ("antq_actors/otp/ref.py", BIRTH),
    ("antq_actors/otp/names.py", BIRTH),
    ("antq_actors/otp/actor_registry.py", BIRTH),
    ("antq_actors/otp/calls.py", CALLS),
    ("antq_actors/otp/messages.py", CALLS),
    ("antq_actors/otp/destinations.py", CALLS),
    ("antq_actors/otp/waits.py", CALLS),
    ("antq_actors/otp/", "otp: an actor's loop"),
    ("antq_actors/", "rest of antq_actors"),
    ("benchmarks/noop.py", PERFORM),
)


def part_of(stack: Iterable[str]) -> str:
    """Answer the part of a stack, given as the paths of its files, innermost first."""
    for path in stack:
        file = _from_our_folder(path)
        for beginning, part in PARTS:
            if file.startswith(beginning):
                return part
    return OTHER


def _from_our_folder(path: str) -> str:
    """Cut off where the project lies: ``/x/antq_actors/otp/ref.py`` → ``antq_actors/otp/ref.py``.

    py-spy does so itself, and leaves of a program's own folder only the file.
    """
    if path == "noop.py":
        return f"benchmarks/{path}"
    for folder in ("antq_actors/", "benchmarks/"):
        _, found, rest = path.rpartition(f"/{folder}")
        if found:
            return folder + rest
    return path
