"""What jobs and processes write down where no kill can lose it: files outside of the database.

A row is one write to a file opened for appending, and an fsync: it is there as a whole or not at
all, and in the order of the writes. Times are CLOCK_MONOTONIC, which all processes share.
"""

import itertools
import os
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec


class Row(NamedTuple):
    """Something that happened in a process.

    To a job: it did "begin"; it came to its "end", did "fail" or "snooze", was told to "stop", or
    was ended by its "timeout"; or there was one "over" its limit.
    To the process: it is "starting", "up", "stopping", "stopped", or "died" at a failpoint; or its
    enqueueing was "cut short" by Ctrl-C.
    To a periodic entry, its detail: somebody is "pausing" it, or has "resumed" it.
    To what is composed of several jobs, its detail: it is "made", one of them "ran", or somebody is
    "deleting" it; one was "added" from outside; one "follows" another, or was given a "wrong"
    output of it.
    To a job in steps, its detail: it "resumes" at a checkpoint, runs a "step", "took" its value,
    and has "passed" a checkpoint; or somebody is "refreshing" it, so that it forgets all of that.
    """

    what: str
    process: str
    """Its name, which no other process ever has: pids come again."""
    pid: int
    time: float
    job: int = 0
    attempt: int = 0
    interruptions: int = 0
    """That the job had before this execution."""
    unique: str | None = None
    """Two jobs with the same must not be under way together."""
    detail: str | None = None
    call: str | None = None
    """Which call enqueued the job."""
    has_timeout: bool = False
    cron: str | None = None
    """The periodic entry that enqueued the job."""
    instant: float | None = None
    """For which it did so, in seconds since the epoch; None: it was run by hand."""
    limit: int = 0
    """How many jobs of its key may run at once."""
    key: str | None = None
    """None: the job has no limit."""


class _Place(NamedTuple):
    """Where this process writes, and its name."""

    directory: Path
    process: str


_numbers = itertools.count(1)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Row).decode


def begin(directory, process):
    """Let this process write in *directory*, under the name *process*.

    Programs that it starts, such as those of a queue's jobs, write there, too, under names of their
    own.
    """
    os.environ["ANTQ_JOURNAL"] = f"{os.getpid()}:{process}:{directory}"
    _place.cache_clear()


@cache
def _place():
    pid, process, directory = os.environ["ANTQ_JOURNAL"].split(":", 2)
    is_child = os.getpid() != int(pid)
    return _Place(Path(directory), f"{process}.{os.getpid()}" if is_child else process)


def directory():
    """Return where this process writes."""
    return _place().directory


def process():
    """Return the name of this process."""
    return _place().process


def note(what, job=None, detail=None):
    row = Row(what, _place().process, os.getpid(), time.monotonic(), detail=detail)
    if job is not None:
        row = row._replace(
            job=job.id,
            attempt=job.attempts,
            interruptions=job.interruptions,
            unique=job.args.get("unique"),
            call=job.args.get("call"),
            has_timeout=job.opts.get("timeout") is not None,
            cron=job.cron,
            instant=job.scheduled_for and job.scheduled_for.timestamp(),
            limit=job.args.get("limit", 0),
            key=job.args.get("of"),
        )
    _append("journal", _encode(row) + b"\n")


def new_call():
    """Return a name for a call that enqueues a job; no other has it."""
    return f"{_place().process}/{next(_numbers)}"


def acknowledge(*ids, calls=None):
    """Write down jobs whose enqueueing has returned, and to which calls, if that is known."""
    lines = zip(ids, calls or [""] * len(ids), strict=True)
    _append("acknowledged", "".join(f"{id_} {call}\n" for id_, call in lines).encode())


def rows(directory):
    return [_decode(line) for line in _lines(directory, "journal")]


def acknowledged(directory):
    return [int(line.split()[0]) for line in _lines(directory, "acknowledged")]


def calls(directory):
    """Return to which call each acknowledged job was answered, where that is known."""
    words = (line.split() for line in _lines(directory, "acknowledged"))
    return {int(id_): call.decode() for id_, *calls in words for call in calls}


def begin_anew(directory):
    """Drop what is written, when it has been checked."""
    for name in ("journal", "acknowledged"):
        (Path(directory) / name).unlink(missing_ok=True)


def _append(name, data):
    file = os.open(_place().directory / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, data)
        os.fsync(file)
    finally:
        os.close(file)


def _lines(directory, name):
    file = Path(directory) / name
    return file.read_bytes().splitlines() if file.exists() else []
