"""Middleware that notes in files what it sees, wherever it is called."""

import asyncio
import logging
import os
import threading
from contextvars import ContextVar
from functools import partial
from pathlib import Path

from antq_actors import AntQ, Fail, Job, Middleware, Worker, current_job, worker

log = logging.getLogger("middlewares")
tenant = ContextVar("tenant", default="nobody")


class Notes(Middleware):
    """Notes what it is called for, as *name*."""

    def __init__(self, place, name="notes"):
        self.place = place
        self.name = name

    def note(self, *words):
        with Path(self.place, "notes").open("a", encoding="utf-8") as file:
            file.write(" ".join(map(str, (self.name, *words))) + "\n")

    def setup(self):
        self.note("setup")

    def around_job(self, job, call):
        self.note("begins", current_job() is job, sorted(job.meta.items()))
        try:
            value = call()
        except BaseException as error:
            self.note("raised", type(error).__name__)
            raise
        self.note("returned", value)
        return value

    async def around_job_async(self, job, call):
        self.note("begins", current_job() is job, sorted(job.meta.items()))
        await asyncio.sleep(0)
        try:
            value = await call()
        except BaseException as error:
            self.note("raised", type(error).__name__)
            raise
        self.note("returned", value)
        return value


LEAVES = {"exit": SystemExit, "cancel": asyncio.CancelledError, "interrupt": KeyboardInterrupt}


class Tenants(Middleware):
    """Has jobs performed for the tenant in their meta."""

    def around_job(self, job, call):
        self.enter(job)
        value = call()
        self.leave(job)
        return value

    async def around_job_async(self, job, call):
        self.enter(job)
        value = await call()
        self.leave(job)
        return value

    def enter(self, job):
        if job.meta.get("tenant") == "missing":
            raise LookupError("no such tenant")
        if job.meta.get("tenant") in LEAVES:
            raise LEAVES[job.meta["tenant"]]
        tenant.set(job.meta.get("tenant", "none"))

    def leave(self, job):
        if job.meta.get("tenant") == "late":
            raise LookupError("too late")


class Changes(Middleware):
    """Returns what ``meta["returns"]`` says in place of what the job returned."""

    def around_job(self, job, call):
        how = job.meta.get("returns")
        if how == "nothing called":
            return "not performed"
        try:
            value = call()
            if how == "twice":
                call()
        except ValueError as error:
            return self.instead(how, error)
        return Fail("changed") if how == "fail" else value

    async def around_job_async(self, job, call):
        how = job.meta.get("returns")
        if how == "nothing called":
            return "not performed"
        try:
            value = await call()
            if how == "twice":
                await call()
        except ValueError as error:
            return self.instead(how, error)
        return Fail("changed") if how == "fail" else value

    def instead(self, how, error):
        if how == "swallow":
            return str(error)
        if how == "other":
            raise KeyError("another") from error
        raise error


class Broken(Middleware):
    def __init__(self, raises):
        self.raises = raises

    def setup(self):
        raise self.raises(f"no setup in {os.getpid()}")


class BrokenInChildren(Middleware):
    def __init__(self):
        self.pid = os.getpid()

    def setup(self):
        if os.getpid() != self.pid:
            raise RuntimeError(f"no setup in {os.getpid()}")


class Bound(Middleware):
    """What cannot be pickled."""

    def __init__(self):
        self.lock = threading.Lock()


def end(job):
    log.warning("in job")
    match job.args.get("end"):
        case "raise":
            raise ValueError("of the job")
        case "fail":
            return Fail("of the job")
    return tenant.get()


class Sync(Worker, result=True):
    def perform(self, job):
        return end(job)


class Awaited(Worker, result=True):
    async def perform(self, job):
        await asyncio.sleep(0)
        return end(job)


@worker(executor="process")
def in_process() -> None:
    """Do nothing."""


class Parents(Middleware):
    """Note in the meta of a job which job has enqueued it, and in which process."""

    def on_enqueue(self, draft):
        job = current_job()
        draft.meta["on"] = f"{job and job.id} in {os.getpid()}"

    def around_enqueue(self, draft, call):
        if draft.args.get("refuse"):
            raise PermissionError("refused")
        draft.meta["around"] = "one"
        return call()

    def around_enqueue_many(self, drafts, call):
        for draft in drafts:
            draft.meta["around"] = f"{len(drafts)}"
        return call()


the_app = AntQ(middleware=[Parents()])


@worker(executor="process", result=True, name="middlewares:enqueue_all")
def enqueue_all(job: Job) -> dict:
    """Enqueue jobs in all ways, in a job process."""
    one = Sync.perform_async({"end": "return", "n": (1, 2)}, meta={"mine": "a"})
    ids = [one.id, the_app.enqueue(Sync).id, *the_app.enqueue_many(Sync, [{}, {}])]
    job.follow_up(Sync, {"is_follow_up": True})
    with the_app.batch("b") as batch:
        ids += [batch.enqueue(Sync).id, *batch.enqueue_many(Sync, [{}, {}, {}])]
    refused = []
    for enqueue in (Sync.perform_async, partial(the_app.enqueue, Sync)):
        try:
            enqueue({"refuse": True})
        except PermissionError as error:
            refused.append(str(error))
    return {
        "pid": os.getpid(),
        "ids": ids,
        "one": (dict(one.args), dict(one.meta)),
        "refused": refused,
    }
