"""The jobs of batches, workflows and compositions in steps, which write down what they do."""

import time

import journal
from crash_workers import BLINK, CrashWorker

from antq_actors import Worker, Workflow

STEPS = 5
NO = "ValueError: no"
"""The error of a job that fails."""


class Part(CrashWorker, name="composed:Part"):
    """A job of a composition, which asks for all that its arguments say, whatever its fate."""

    def perform(self, job):
        if job.args["kind"] != "plain":  # a retry by hand counts anew, and a deletion ends it
            journal.note("ran", job, detail=job.args["name"])
            return self._act(job)
        try:
            journal.note("begin", job, detail=job.args["name"])
            return self._act(job)
        except ValueError:
            raise
        except BaseException:
            journal.note("stop", job)
            raise

    def _act(self, job):
        args = job.args
        job.follow_up(Follows, {"name": args["name"], "kind": args["kind"], "owner": job.id})
        added = [{**_inner(job), "number": number} for number in range(args.get("adds", 0))]
        if added:
            job.batch.enqueue_many(Added, added, max_attempts=1)
        if args.get("expands"):
            flow = Workflow("part")
            items = [{**_inner(job), "number": n} for n in range(args["expands"])]
            flow.add_many(Expanded, items, max_attempts=1)
            job.expand(flow)
        for number, value in zip(args.get("upstream", ()), args.get("values", ()), strict=True):
            found = list(value) if isinstance(number, list) else value
            if found != number and args["kind"] != "disturbed":  # else it may have been deleted
                journal.note("wrong", job, detail=f"the output of {number} is {found!r}")
        time.sleep(args.get("seconds", 0))
        self._end(job)
        return args["number"]

    def _end(self, job):
        fate = job.args["fate"]
        fails = (
            fate == "fails"
            or (fate == "once" and job.attempts == 1)
            or (fate == "mends" and not any(error.error == NO for error in job.errors))
        )
        if job.args["kind"] == "plain":
            journal.note("fail" if fails else "end", job)
        if fails:
            raise ValueError(NO)


class Added(Part, name="composed:Added"):
    """A member of a batch that a member has added."""


class Expanded(Part, name="composed:Expanded"):
    """A job of what a node has expanded into."""


class Outside(Part, name="composed:Outside"):
    """A node that was added to a workflow under way."""


class Follows(Worker, name="composed:Follows"):
    """A follow-up: that it is stored is what counts."""

    def perform(self, job):
        journal.note("follows", job, detail=str(job.args["owner"]))


class Told(Worker, name="composed:Told"):
    """A callback: that it is stored is what counts."""

    def perform(self, job):
        pass


class Stepped(CrashWorker, name="composed:Stepped"):
    """Takes steps, and passes a checkpoint after each; its first attempt may fail between two."""

    def _act(self, job):
        job.follow_up(Follows, {"name": job.args["name"], "kind": "plain", "owner": job.id})
        try:
            _take_steps(job)
        except ValueError:
            journal.note("fail", job)
            raise
        journal.note("end", job)


class Fresh(Worker, max_attempts=10, name="composed:Fresh"):
    """Takes steps, too; when it has ended it may be retried and have forgotten them."""

    def perform(self, job):
        _take_steps(job)

    def calculate_delay(self, job):
        return 2 * BLINK


class InProcess(Fresh, executor="process", name="composed:InProcess"):
    """Does so in a process of its own, through its parent."""


class Awaits(Fresh, name="composed:Awaits"):
    """Does so in a coroutine."""

    async def perform(self, job):
        before = _resume(job)
        for number in range(STEPS):
            _took(job, number, await job.astep(str(number), self._step, job, number), before)

    async def _step(self, job, number):
        return _step(job, number)


IN_STEPS = (Stepped, Fresh, InProcess, Awaits)


def _take_steps(job):
    before = _resume(job)
    for number in range(STEPS):
        _took(job, number, job.step(str(number), _step, job, number), before)


def _resume(job):
    before = job.checkpointed or 0
    journal.note("resumes", job, detail=f"{before}")
    return before


def _step(job, number):
    token = journal.new_call()
    journal.note("step", job, detail=f"{number} {token}")
    time.sleep(BLINK)
    return token


def _took(job, number, token, before):
    journal.note("took", job, detail=f"{number} {token}")
    if number >= before:  # a lower one would take its place
        job.checkpoint(number + 1, every=0)
        journal.note("passed", job, detail=f"{number + 1}")
    if number == job.args["fails_after"] and job.attempts == 1:
        raise ValueError("once")


def _inner(job):
    """Return the arguments of a job that a job adds, or expands into."""
    args = job.args
    return {"kind": args["kind"], "name": args["name"], "fate": args["inner"], "owner": job.id}
