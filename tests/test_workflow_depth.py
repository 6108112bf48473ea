"""Jobs that expand into jobs that expand, many levels deep, and workflows of many built jobs."""

import pytest
from support.apps import until

from antq_actors import ACTIVE, AntQ, Fail, Job, Status, Workflow, WorkflowNotFound, chain, worker
from antq_actors.app import workflows
from antq_actors.jobs import instant
from antq_actors.storage.jobs.groups import GroupTable
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader

DEPTH = 1_100
"""More levels than Python calls within each other."""


@worker
def dig(left: int, fails: int, job: Job) -> Fail | None:
    if left:
        job.expand(chain(dig.build(left=left - 1, fails=fails)))
    elif fails:
        return Fail("rock")
    return None


@worker
def note(text: str = "") -> str:
    return text


@pytest.fixture
def app():
    with AntQ(queues={"default": 4}) as app:
        yield app


@pytest.mark.parametrize("is_failing", [False, True])
def test_how_deep_jobs_expand_makes_no_difference(app, is_failing):
    flow = Workflow("deep")
    top = flow.add(dig, {"left": DEPTH, "fails": int(is_failing)})
    flow.add(note, name="behind", after=top)
    run = app.start_workflow(flow)
    behind = run.jobs()[1]
    until(lambda: app.get_job(behind.id).status not in ACTIVE, "the end of the deepest")
    until(lambda: not run.status().open, "the end of the workflow")

    nodes = run.status().nodes
    jobs = run.jobs()
    assert len(jobs) == sum(nodes.values()) == DEPTH + 2
    last = app.get_job(behind.id)
    if is_failing:
        assert nodes[Status.FAILED] == nodes[Status.CANCELLED] == 1
        assert f"job {jobs[-1].id}" in last.errors[-1].error
    else:
        assert nodes[Status.COMPLETED] == DEPTH + 2

    store, prune = app._running.store, JobStore.prune
    until(lambda: not store.write(prune, finished_before=instant.now(), limit=100))
    assert app.count_jobs() == 0
    with pytest.raises(WorkflowNotFound):
        run.status()
    assert app.verify() == []


def test_a_completion_does_not_read_the_levels_above_it(app, monkeypatch):
    read = []
    flush = GroupTable.flush

    def counted(self):
        read.append(len(self.found))
        return flush(self)

    monkeypatch.setattr(GroupTable, "flush", counted)
    run = app.start_workflow(chain(dig.build(left=100, fails=0)))
    until(lambda: not run.status().open, "the end of the workflow")

    assert sum(number > 20 for number in read) <= 5


@pytest.fixture
def seven(app):
    """A run of a node, a group of three, each of which expands into one that fails."""
    flow = Workflow("seven")
    first = flow.add(note)
    flow.add_many(dig, [{"left": 1, "fails": 1}] * 3, after=first, max_attempts=1)
    run = app.start_workflow(flow)
    until(lambda: not run.status().open, "the end of the workflow")
    return run


@pytest.mark.parametrize("size", [1, 2, 3, 5_000])
def test_the_jobs_of_a_large_workflow_are_looked_at_some_at_a_time(seven, monkeypatch, size):
    monkeypatch.setattr(workflows, "MOST_AT_ONCE", size)
    reads = []
    statuses = JobReader.node_statuses

    def counted(self, left, limit):
        some, left = statuses(self, left, limit)
        reads.append(len(some))
        return some, left

    monkeypatch.setattr(JobReader, "node_statuses", counted)

    nodes = seven.status().nodes

    assert (nodes[Status.COMPLETED], nodes[Status.FAILED]) == (4, 3)
    assert sum(reads) == 7
    assert max(reads) <= size
    ids = [job.id for job in seven.jobs()]
    assert ids == sorted(set(ids))
    assert [job.status for job in seven.jobs(status="failed")] == [Status.FAILED] * 3


@pytest.mark.parametrize(("page", "transactions"), [(500, 1), (2, 2)])
def test_what_has_failed_of_a_workflow_is_retried_some_at_a_time(
    app, seven, monkeypatch, page, transactions
):
    monkeypatch.setattr(workflows, "PAGE", page)
    app.queue("default").pause()
    retried = []
    retry_many = JobStore.retry_many

    def counted(self, ids, *args, **options):
        retried.append(len(ids))
        return retry_many(self, ids, *args, **options)

    monkeypatch.setattr(JobStore, "retry_many", counted)

    seven.retry_failed()

    assert len(retried) == transactions
    assert seven.status().nodes[Status.ENQUEUED] == sum(retried) == 3
