"""Jobs that a test sees at work wherever they are performed, in another process as well.

They record themselves in files: each notes there when it begins and ends, and waits for its cue.
"""

import asyncio
import decimal
import logging
import os
import sys
import threading
import time
from contextvars import ContextVar, copy_context
from pathlib import Path

from antq_actors import Cancel, Fail, Job, Snooze, Worker, current_job, worker

PAUSE = 0.005

log = logging.getLogger("recording_workers")

tenant = ContextVar("tenant", default="nobody")


def raises(error):
    raise error


def swallows():
    try:
        while True:
            time.sleep(PAUSE)
    except BaseException:  # noqa: BLE001 - what such a job does
        raise ValueError("something else") from None


def looks_whether_to_end(job):
    while not job.cancelled():
        time.sleep(PAUSE)
    return Fail("it was told to end")


def changes_context(job):
    tenant.set("alice")
    decimal.getcontext().prec = 4
    if job.max_attempts > 1:
        raise ValueError("so that it is asked for the delay")


def looks_at_context(job):
    return Fail(f"{tenant.get()} has {decimal.Decimal(2).sqrt()}")


def names_current_job(job):
    """End with what is the current job: here, in a task, in copied contexts, in a new thread."""
    found = [current_job() is job, _of_thread(lambda: current_job() is None)]
    found.append(_of_thread(copy_context().run, lambda: current_job() is job))
    if asyncio._get_running_loop() is None:
        found.append(asyncio.run(names_current_job_of_tasks(job)))
    return Fail(f"{all(found)} for {current_job().id}")


async def names_current_job_of_tasks(job):
    async def look():
        await asyncio.sleep(0)
        return current_job() is job

    found = [
        await asyncio.create_task(look()),
        await asyncio.to_thread(lambda: current_job() is job),
    ]
    soon = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: soon.set_result(current_job() is job))
    return all([*found, await soon])


def _of_thread(function, *args):
    found = []
    thread = threading.Thread(target=lambda: found.append(function(*args)))
    thread.start()
    thread.join()
    return found == [True]


ENDS = {
    "name current job": names_current_job,
    "change context": changes_context,
    "look at context": looks_at_context,
    "return": lambda job: None,
    "value": lambda job: object(),
    "raise": lambda job: raises(ValueError("no such lead")),
    "raise nothing": lambda job: raises(ValueError()),
    "exit": lambda job: sys.exit("enough"),
    "interrupt": lambda job: raises(KeyboardInterrupt()),
    "cancelled": lambda job: raises(asyncio.CancelledError()),
    "base": lambda job: raises(BaseException("anything")),
    "huge": lambda job: raises(ValueError("x" * 5_000_000)),
    "unprintable": lambda job: raises(Unprintable()),
    "fail": lambda job: Fail("not today"),
    "fail class": lambda job: Fail,
    "cancel class": lambda job: Cancel,
    "cancel": lambda job: Cancel("not wanted"),
    "snooze": lambda job: Snooze(3600),
    "log": lambda job: log.warning("of job %d", job.id),
    "progress": lambda job: job.progress(0.5, "half"),
    "length": lambda job: None if len(job.args["data"]) == job.args["length"] else Fail("cut"),
    "compare kinds": lambda job: compare_kinds(job),  # noqa: PLW0108 - it is defined below
    "tell errors": lambda job: tell_errors(job),  # noqa: PLW0108 - it is defined below
    "thread": lambda job: threading.Thread(target=time.sleep, args=(0.01,)).start(),
}


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Unreadable:
    """What cannot be read again."""

    def __reduce__(self):
        return raises, (ValueError("not any more"),)


class RecordingWorker(Worker):
    """Notes that it begins, waits for its cue if told to, and ends as ``args["end"]`` says."""

    def perform(self, job):
        note(job, "begun")
        try:
            while not has_cue(job):
                time.sleep(PAUSE)
            return ENDS[job.args["end"]](job)
        finally:
            note(job, "ended")

    def calculate_delay(self, job):
        return delay(job)


class AwaitedRecordingWorker(RecordingWorker):
    """The same as a coroutine."""

    async def perform(self, job):
        note(job, "begun")
        try:
            while not has_cue(job):  # noqa: ASYNC110 - the cue comes from another process
                await asyncio.sleep(PAUSE)
            return ENDS[job.args["end"]](job)
        finally:
            note(job, "ended")


class Swallowing(Worker):
    def perform(self, job):
        note(job, "begun")
        try:
            swallows()
        finally:
            note(job, "ended")


class Nothing(Worker):
    def perform(self, job): ...


class AwaitedNothing(Worker):
    async def perform(self, job): ...


@worker
def recording_function(place, number):
    Path(place, f"function {number}").touch()


@worker
async def awaited_recording_function(place, number):
    Path(place, f"function {number}").touch()  # noqa: ASYNC240 - a moment


@worker
def function_with_job(place, number, *, job: "Job | None" = None):
    Path(place, f"function {number} is job {job.id}, {job is current_job()}").touch()


@worker
async def awaited_function_with_job(job: Job, /, place, number):
    found = job is current_job() and await names_current_job_of_tasks(job)
    Path(place, f"function {number} is job {job.id}, {found}").touch()  # noqa: ASYNC240 - a moment


@worker(max_attempts=2, retry_delay=lambda job: 1000 * job.attempts + current_job().id)
def function_with_delay():
    raise ValueError("no")


@worker(max_attempts=2, retry_delay=lambda job: 1000 * job.attempts + current_job().id)
async def awaited_function_with_delay():
    raise ValueError("no")


def has_cue(job):
    place = Path(job.args["place"])
    return not job.args["waits"] or (place / f"cue {job.args['label']}").exists()


def delay(job):
    note(job, f"asks after {job.errors[0].error[:40]}")
    note(job, f"asks as {tenant.get()}")
    tenant.set("bob")
    if job.args["end"] == "tell errors":
        note(job, f"has {summary(job)}")
    return job.args["delay"]


def compare_kinds(job):
    """End well if the arguments are of the types that were given; enqueue them *again* once."""
    # Not above: making a decimal would begin a context for all jobs that are performed here.
    from support.exact import EACH_CODE, exact  # noqa: PLC0415 - see above

    if exact(job.args["kinds"]) != exact(EACH_CODE):
        return Fail(f"got {job.args['kinds']}")
    if job.args["again"]:
        RecordingWorker.perform_async({**job.args, "again": False})
    return None


def tell_errors(job):
    note(job, f"sees {summary(job)}")
    raise ValueError(f"error {job.attempts}")


def summary(job):
    texts = [error.error for error in job.errors]
    return f"{len(texts)} of {job.error_count}: {', '.join([*texts[:1], *texts[-1:]])}"


def note(job, what):
    # One write to a file opened for appending: the lines of several processes do not mix.
    line = f"{what}\t{job.args['label']}\t{os.getpid()}\n"
    file = os.open(Path(job.args["place"], "notes"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)
