"""Batches, workflows and jobs in steps: what the soak makes of jobs that belong together.

A composition has a name that no other one has, and a kind: of a "plain" one it is known how each
job ends; what fails in one that "mends" completes when it is retried by hand; one that is
"disturbed" has jobs that are deleted, and may be cancelled.
"""

import time
from contextlib import suppress

import journal
from composed_checker import Fact, Whole
from crash_workers import BLINK, CrashWorker

from antq_actors import (
    BatchNotFound,
    JobNotFound,
    NotRetryable,
    Status,
    Worker,
    Workflow,
    WorkflowNotFound,
)
from antq_actors.app.queries import for_display
from antq_actors.storage.format.records import Filter
from antq_actors.workflows.counters import has_ended

PREFIX = "composed:"
"""Of the names of the workers here."""
KINDS = ("plain", "mends", "disturbed")
FATES = {
    "plain": ("completes", "completes", "once", "fails"),
    "mends": ("completes", "completes", "once", "mends"),
    "disturbed": ("completes", "completes", "fails", "mends"),
}
"""By kind: whether a job "completes", fails "once", always, or until it is retried by hand."""
CONDITIONS = {
    "plain": ("success", "success", "end", "failure"),
    "mends": ("success", "success", "success", "end"),
    "disturbed": ("success", "end", "failure"),
}
MOST_JOBS = 12
GROUPED = 3
"""How many nodes are a group, in a workflow that has one."""
STEPS = 5
NO = "ValueError: no"
"""The error of a job that fails."""
ROUNDS = 30
"""More than a composition that mends needs: each retry may let others fail for the first time."""
EVENTS = ("on_success", "on_complete", "on_failure")


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
        before = job.checkpointed or 0
        journal.note("resumes", job, detail=f"{before}")
        job.follow_up(Follows, {"name": job.args["name"], "kind": "plain", "owner": job.id})
        for number in range(STEPS):
            token = job.step(str(number), self._step, job, number)
            journal.note("took", job, detail=f"{number} {token}")
            if number >= before:  # a lower one would take its place
                job.checkpoint(number + 1, every=0)
                journal.note("passed", job, detail=f"{number + 1}")
            if number == job.args["fails_after"] and job.attempts == 1:
                journal.note("fail", job)
                raise ValueError("once")
        journal.note("end", job)

    def _step(self, job, number):
        token = journal.new_call()
        journal.note("step", job, detail=f"{number} {token}")
        time.sleep(BLINK)
        return token


class Composer:
    """Makes compositions in an application, and disturbs those that it remembers."""

    def __init__(self, app, chance):
        self._app = app
        self._chance = chance
        self._made = []

    def compose(self):
        """Make something of several jobs, or one in steps."""
        kind = self._chance.choice(KINDS)
        name = f"{kind}/{journal.new_call()}"
        is_empty = False
        what = self._chance.choice(["batch", "workflow", "workflow", "steps"])
        if what == "steps":
            args = {"name": name, "kind": "plain", "fails_after": self._chance.randint(0, STEPS)}
            self._app.enqueue(Stepped, args)
        elif what == "workflow":
            self._made.append(self._workflow(kind, name))
        else:
            is_empty = self._batch(kind, name)
        if kind != "disturbed" and not is_empty and what != "steps":
            journal.note("made", detail=name)
        del self._made[:-4]

    def disturb(self):
        """Retry what failed, delete a job, retry it, or cancel all, where the kind allows it."""
        if not self._made or self._chance.random() < 0.5:
            return
        kind, name, whole = self._chance.choice(self._made)
        with suppress(BatchNotFound, WorkflowNotFound, JobNotFound, NotRetryable):
            if kind == "mends":
                whole.retry_failed()
            elif kind == "disturbed" and self._chance.random() < 0.3:
                whole.cancel()
            elif kind == "disturbed" and (jobs := whole.jobs()):
                self._disturb_one(name, self._chance.choice(jobs))

    def _disturb_one(self, name, job):
        if job.status in (Status.FAILED, Status.CANCELLED) and self._chance.random() < 0.7:
            self._app.retry_job(job.id)
            return
        journal.note("deleting", detail=f"{name} {job.id}")
        self._app.delete_job(job.id)

    def _batch(self, kind, name, parent=None):
        makes = self._app if parent is None else parent
        callbacks = {event: Told.build(_told(kind, name, event)) for event in EVENTS}
        abandoned = self._chance.choice(["keep", "cancel"]) if kind == "disturbed" else "keep"
        with makes.batch(name, abandoned=abandoned, **callbacks) as batch:
            if parent is None:
                self._made.append((kind, name, batch))
            members = [self._part(kind, name, n) for n in range(self._chance.randint(0, MOST_JOBS))]
            for args in members:
                args["adds"] = self._chance.choice([0, 0, 0, 2])
            half = len(members) // 2
            for attempts in (1, 2):
                batch.enqueue_many(
                    Part,
                    [each for each in members[:half] if _attempts(each) == attempts],
                    max_attempts=attempts,
                )
            if parent is None and self._chance.random() < 0.5:
                self._batch(kind, f"{name}/inner", batch)
            for args in members[half:]:
                batch.enqueue(Part, args, max_attempts=_attempts(args))
        return not members

    def _workflow(self, kind, name):
        """Start a workflow, which may begin with a group; nodes wait for any before them."""
        callback = Told.build(_told(kind, name, "on_failure"))
        flow = Workflow(name, on_failure=callback, abandoned="cancel")
        size = self._chance.randint(1, MOST_JOBS)
        grouped = GROUPED if size > GROUPED and self._chance.random() < 0.5 else 0
        whole, handles = list(range(grouped)), {}
        if grouped:
            items = [
                {**self._node(kind, name, n, size), "fate": self._lasting(kind)} for n in whole
            ]
            group = flow.add_many(Part, items, name="group", max_attempts=1)
        for number in range(grouped, size):
            fewest = min(3, number)
            ups = self._chance.sample(range(number), self._chance.randint(0, fewest))
            conditions = {up: self._chance.choice(CONDITIONS[kind]) for up in ups if up >= grouped}
            after = {handles[up]: on for up, on in conditions.items()}
            upstream = [up for up, on in conditions.items() if on == "success"]
            values = [handles[up].output for up in upstream]
            if len(conditions) < len(ups):
                after[group] = on = self._chance.choice(CONDITIONS[kind])
                conditions.update(dict.fromkeys(whole, on))
                upstream += [whole] if on == "success" else []
                values += [group.outputs] if on == "success" else []
            args = {
                **self._node(kind, name, number, size),
                "after": {str(up): on for up, on in conditions.items()},
                "upstream": upstream,
                "values": values,
            }
            handles[number] = flow.add(
                Part, args, name=str(number), after=after, max_attempts=_attempts(args)
            )
        return kind, name, self._app.start_workflow(flow)

    def _node(self, kind, name, number, size):
        expands = self._chance.choice([0, 0, 0, 3])
        return {**self._part(kind, name, number), "size": size, "expands": expands}

    def _lasting(self, kind):
        """Return a fate of a job that has one attempt."""
        return self._chance.choice([fate for fate in FATES[kind] if fate != "once"])

    def _part(self, kind, name, number):
        return {
            "kind": kind,
            "name": name,
            "number": number,
            "fate": self._chance.choice(FATES[kind]),
            "inner": self._chance.choice(["completes", FATES[kind][-1]]),
            "seconds": self._chance.choice([0, 0, 0.01, 0.05]),
        }


def finish(app, wait):
    """Close what was left open, and let what mends complete; *wait* waits until nothing is active.

    Return what was wrong.
    """
    for batch in app.batches(open=True):
        with suppress(BatchNotFound):
            batch.close()
    problems = wait()
    for _ in range(ROUNDS):
        failed = _failed_that_mend(app)
        if problems or not failed:
            return problems
        for batch in app.batches():
            if batch.name in failed:
                with suppress(BatchNotFound):
                    batch.retry_failed()
        for run in app.workflows():
            if run.name in failed:
                with suppress(WorkflowNotFound):
                    run.retry_failed()
        problems = wait()
    return [f"after {ROUNDS} retries these have failed jobs: {failed}"]


def _failed_that_mend(app):
    jobs = app.list_jobs(status=Status.FAILED)
    return {job.args["name"] for job in jobs if job.args.get("kind") == "mends"}


def as_they_are(reader):
    """Return the jobs and the groups for the checker, all of one transaction."""
    facts = []
    for raw in reader.page(Filter(), size=10**6):
        stored = raw.decode()
        if stored.spec.worker.startswith(PREFIX):
            facts.append(_fact(for_display(stored), stored.state.composed))
    wholes = []
    for seen in reader.batches(None):
        ends, ids = seen.group.ends, reader.member_ids(seen.id, after=0, limit=10**6)
        counts = seen.group.total, ends.completed, ends.failed, ends.cancelled + ends.unneeded
        is_open = not has_ended(seen.group)
        wholes.append(Whole(seen.id, "batch", seen.name, is_open, *counts, inner=len(ids.groups)))
    wholes += [
        Whole(record.id, "workflow", record.name, record.is_open)
        for record in reader.workflow_records(0, 10**6)
    ]
    return facts, wholes


def _fact(job, composed):
    args = job.args
    return Fact(
        job.id,
        job.worker.removeprefix(PREFIX),
        str(job.status),
        args["name"],
        args["kind"],
        args.get("number", 0),
        args.get("fate", "completes"),
        args.get("inner", "completes"),
        args.get("adds", 0),
        args.get("expands", 0),
        args.get("owner", 0),
        {int(up): on for up, on in args.get("after", {}).items()},
        args.get("size", 0),
        args.get("event"),
        composed is not None and composed.is_unneeded,
    )


def _inner(job):
    """Return the arguments of a job that a job adds, or expands into."""
    args = job.args
    return {"kind": args["kind"], "name": args["name"], "fate": args["inner"], "owner": job.id}


def _told(kind, name, event):
    return {"kind": kind, "name": name, "event": event}


def _attempts(args):
    return 2 if args["fate"] == "once" else 1
