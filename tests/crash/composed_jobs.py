"""Batches, workflows and jobs in steps: what the soak makes of jobs that belong together.

A composition has a name that no other one has, and a kind: of a "plain" one it is known how each
job ends; what fails in one that "mends" completes when it is retried by hand; one that is
"disturbed" has jobs that are deleted, and may be cancelled; one that is "streamed" is stored piece
by piece, as very large ones are, and is cancelled if its process is killed meanwhile.
"""

import itertools
import time
from contextlib import contextmanager, nullcontext, suppress
from typing import NamedTuple
from unittest import mock

import journal
from composed_checker import Fact, Whole
from composed_workers import (
    IN_STEPS,
    STEPS,
    Outside,
    Part,
    Stepped,
    Told,
)

from antq_actors import (
    AlreadyExists,
    BatchNotFound,
    JobNotFound,
    NotRetryable,
    Status,
    UnknownNode,
    Workflow,
    WorkflowError,
    WorkflowNotFound,
)
from antq_actors.app import workflow_plan, workflows
from antq_actors.app.queries import for_display
from antq_actors.storage.format.records import Filter
from antq_actors.workflows.counters import has_ended

PREFIX = "composed:"
"""Of the names of the workers here."""
KINDS = ("plain", "mends", "disturbed")
OF_WORKFLOWS = (*KINDS, "streamed", "streamed")
FATES = {
    "plain": ("completes", "completes", "once", "fails"),
    "mends": ("completes", "completes", "once", "mends"),
    "disturbed": ("completes", "completes", "fails", "mends"),
    "streamed": ("completes", "completes", "once", "fails"),
}
"""By kind: whether a job "completes", fails "once", always, or until it is retried by hand."""
CONDITIONS = {
    "plain": ("success", "success", "end", "failure"),
    "mends": ("success", "success", "success", "end"),
    "disturbed": ("success", "end", "failure"),
    "streamed": ("success", "end", "failure"),
}
MOST_JOBS = 12
GROUPED = 3
"""How many nodes are a group, in a workflow that has one; of one that is streamed, all but one."""
AT_ONCE, PIECE = 2, 1
"""How many nodes of a workflow that is streamed are stored at first, and at a time then."""
KEYS = ("a", "b")
"""Of workflows of which only one with a key is open at a time."""
ROUNDS = 30
"""More than a composition that mends needs: each retry may let others fail for the first time."""
EVENTS = ("on_success", "on_complete", "on_failure")


class Made(NamedTuple):
    """A composition that the composer remembers."""

    kind: str
    name: str
    whole: object
    """The batch, or the run."""
    nodes: tuple[str, ...] = ()
    """The names of nodes of a workflow that others may wait for."""


class Composer:
    """Makes compositions in an application, and disturbs those that it remembers."""

    def __init__(self, app, chance):
        self._app = app
        self._chance = chance
        self._made = []
        self._in_steps = []
        """The ids of jobs that may be retried afresh."""
        self._numbers = itertools.count(1_000)

    def compose(self):
        """Make something of several jobs, or one in steps."""
        what = self._chance.choice(["batch", "batch", "workflow", "workflow", "steps", "key"])
        kind = self._chance.choice(OF_WORKFLOWS if what == "workflow" else KINDS)
        name = f"{kind}/{journal.new_call()}"
        is_made = False
        if what == "steps":
            self._steps(name)
        elif what == "workflow":
            self._made.append(self._workflow(kind, name))
            is_made = True
        elif what == "key":
            self._with_key(name)
        else:
            is_made = not self._batch(kind, name)
        if kind != "disturbed" and is_made:
            journal.note("made", detail=name)
        del self._made[:-4]

    def disturb(self):
        """Retry what failed, delete a job, retry it, add one, or cancel all, where that may be."""
        if self._chance.random() < 0.1:
            self._refresh()
        if not self._made or self._chance.random() < 0.5:
            return
        kind, name, whole, nodes = made = self._chance.choice(self._made)
        if nodes and self._chance.random() < 0.5:
            self._add_to(made)
            return
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

    def _refresh(self):
        """Retry a job in steps that has ended, and let it forget them."""
        if not self._in_steps:
            return
        with suppress(JobNotFound, NotRetryable):
            job = self._app.get_job(self._chance.choice(self._in_steps))
            if job.status in (Status.COMPLETED, Status.FAILED):
                journal.note("refreshing", job)
                self._app.retry_job(job, fresh=True)

    def _add_to(self, made):
        """Add a node to a workflow from outside, if it is still open."""
        number = next(self._numbers)
        ups = self._chance.sample(made.nodes, self._chance.randint(0, min(2, len(made.nodes))))
        after = {up: self._chance.choice(CONDITIONS[made.kind]) for up in ups}
        args = {**self._part(made.kind, made.name, number), "after": after}
        options = {"name": f"outside {number}", "after": after, "max_attempts": _attempts(args)}
        try:
            made.whole.add(Outside, args, **options)
        except UnknownNode as error:  # which may have been deleted
            if made.kind != "disturbed":
                journal.note("wrong", detail=f"{error}")
        except (WorkflowError, WorkflowNotFound):
            return
        else:
            journal.note("added", detail=f"{made.name} {number}")

    def _steps(self, name):
        args = {"name": name, "kind": "plain", "fails_after": self._chance.randint(0, STEPS)}
        worker = self._chance.choice(IN_STEPS)
        job = self._app.enqueue(worker, args)
        if worker is not Stepped:
            self._in_steps = [*self._in_steps[-3:], job.id]

    def _with_key(self, name):
        """Start a workflow of which there may be an open one, which refuses it then."""
        key = self._chance.choice(KEYS)
        flow = Workflow("with a key", key=key, abandoned="cancel")
        flow.add(Part, {**self._part("plain", name, 0), "fate": "completes"})
        try:
            started = self._app.start_workflow(flow)
        except AlreadyExists as error:
            started = error.workflow
        else:
            journal.note("made", detail=name)
        of_key = [run for run in self._app.workflows(open=True) if run.key == key]
        if (started.name, started.key) != (flow.name, key) or len(of_key) > 1:
            journal.note("wrong", detail=f"of the key {key} there are {of_key}, not {started}")

    def _batch(self, kind, name, parent=None):
        makes = self._app if parent is None else parent
        callbacks = {event: Told.build(_told(kind, name, event)) for event in EVENTS}
        abandoned = self._chance.choice(["keep", "cancel"]) if kind == "disturbed" else "keep"
        with makes.batch(name, abandoned=abandoned, **callbacks) as batch:
            if parent is None:
                self._made.append(Made(kind, name, batch))
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
        fewest = MOST_JOBS // 2 if kind == "streamed" else 1
        size = self._chance.randint(fewest, MOST_JOBS)
        grouped = GROUPED if size > GROUPED and self._chance.random() < 0.5 else 0
        if kind == "streamed":
            grouped = size - 1
        whole, handles = list(range(grouped)), {}
        if grouped:
            items = [
                {**self._node(kind, name, n, size), "fate": self._lasting(kind)} for n in whole
            ]
            stream = self._slowly(items) if kind == "streamed" else items
            group = flow.add_many(Part, stream, name="group", max_attempts=1)
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
        nodes = tuple(str(number) for number in handles)
        with _in_pieces() if kind == "streamed" else nullcontext():
            return Made(kind, name, self._app.start_workflow(flow), nodes)

    def _node(self, kind, name, number, size):
        expands = self._chance.choice([0, 0, 0, 3])
        return {**self._part(kind, name, number), "size": size, "expands": expands}

    def _slowly(self, items):
        """Yield *items* so that a kill finds some of them stored."""
        for item in items:
            time.sleep(self._chance.uniform(0, 0.4))
            yield item

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


@contextmanager
def _in_pieces():
    """Let workflows be stored as if they had thousands of nodes."""
    with (
        mock.patch.object(workflows, "MOST_AT_ONCE", AT_ONCE),
        mock.patch.object(workflows, "PIECE", PIECE),
        mock.patch.object(workflow_plan, "MOST_ALIKE", 1),
    ):
        yield


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


def _told(kind, name, event):
    return {"kind": kind, "name": name, "event": event}


def _attempts(args):
    return 2 if args["fate"] == "once" else 1
