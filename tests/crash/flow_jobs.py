"""Jobs with limits, and periodic entries: what the nodes of the soak run besides."""

import fcntl
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import journal
from crash_workers import CrashWorker
from flow_checker import Entry

from antq_actors import Concurrency, Every, RateLimit, Status
from antq_actors.storage.format.records import Filter

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BY_HAND = "by hand"
"""The entry that is made while applications run, paused, resumed, and run by hand."""


class Limited(CrashWorker, name="crash:Limited"):
    """Takes one of ``limit`` places of its key ``of`` while it is performed: a lock of the system.

    It writes down when it finds none.
    """

    def _act(self, job):
        with place(job):
            return super()._act(job)


class Alone(Limited, concurrency=Concurrency(1, key="of"), name="crash:Alone"):
    """One at a time of each key."""


class Three(
    Limited,
    concurrency=Concurrency(3, key="of"),
    limits=[RateLimit(100, per=1, burst=5, name="crash:shared")],
    name="crash:Three",
):
    """Three at a time of each key, and all of them at a rate."""


LIMITED = {1: Alone, 3: Three}
"""By their limits."""


@contextmanager
def place(job):
    """Hold a place of a job's key, if there is one; write down when there is none."""
    directory = journal.directory() / "places"
    directory.mkdir(exist_ok=True)
    limit, key = job.args["limit"], job.args["of"]
    for number in range(limit):
        with (directory / f"{limit}-{key}-{number}").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield
            return
    journal.note("over", job)
    yield


def running_of_keys(reader, limited=LIMITED):
    """Return the number of the last commit, and how many jobs run of each key, with its limit."""
    counts = {}
    limits = {worker.antq_name: limit for limit, worker in limited.items()}
    for job in reader.page(Filter(frozenset({Status.RUNNING}))):
        spec = job.decode().spec
        if spec.worker in limits:
            place = limits[spec.worker], spec.flow.gates[0].gate
            counts[place] = counts.get(place, 0) + 1
    return reader._txn.id(), counts


# ---- periodic entries -------------------------------------------------------------------------


def _each_second(tenths, name, **options):
    """Return an entry with an instant each second, so much after it, at which others have none."""
    options = {"missed": "all", "max_missed": 100_000, "overlap": "allow", **options}
    anchor = EPOCH + timedelta(milliseconds=100 * tenths)
    seconds = options.pop("seconds", 0)
    args = {"kind": "plain", "seconds": seconds}
    return Every(1, anchor=anchor, name=name, worker=CrashWorker, args=args, **options)


ENTRIES = {
    entry.name: entry
    for entry in (
        _each_second(0, "of both"),
        _each_second(2, "of north"),
        _each_second(4, "the newest", missed="once"),
        _each_second(6, "not at once", overlap="skip", seconds=0.7),
        _each_second(8, BY_HAND),
    )
}


def declared(*, by_north):
    """Return what a node declares."""
    names = ["of both", "the newest", "not at once", *(["of north"] if by_north else [])]
    return [ENTRIES[name] for name in names]


def pause(app, name):
    """Pause an entry, if it owes no instant: a pause would drop it. Return whether it is paused."""
    info = _info(app, name)
    if info.paused:
        return True
    journal.note("pausing", detail=name)
    info = _info(app, name)
    if info.next_at is not None and info.next_at.timestamp() > time.time():
        app.cron(name).pause()
        return True
    journal.note("resumed", detail=name)
    return False


def resume(app, name):
    """Let an entry fire from now on."""
    app.cron(name).resume()
    journal.note("resumed", detail=name)


def resume_all(app):
    """Let all entries fire from now on; make the one that no code declares."""
    app.cron(BY_HAND).set(ENTRIES[BY_HAND])
    for info in app.crons():
        resume(app, info.name)


def by_hand(app, chance):
    """Do something to an entry: let it fire again or no more, or run it now."""
    if chance.random() < 0.3:
        journal.acknowledge(app.cron(BY_HAND).run_now().id)
    elif _info(app, BY_HAND).paused:
        resume(app, BY_HAND)
    else:
        pause(app, BY_HAND)


def as_they_are(app):
    """Return all entries for the checker."""
    return [
        Entry(
            info.name,
            ENTRIES[info.name].anchor.timestamp(),
            info.missed,
            info.skipped,
            ENTRIES[info.name].missed == "all",
        )
        for info in app.crons()
    ]


def has_fired(app, name):
    """Return whether an entry has enqueued a job."""
    return _info(app, name).last_at is not None


def _info(app, name):
    return next(info for info in app.crons() if info.name == name)
