"""Jobs that expand into jobs that expand, many levels deep, and workflows of many built jobs."""

import pytest
from support.apps import until

from antq_actors import ACTIVE, AntQ, Fail, Job, Status, Workflow, WorkflowNotFound, chain, worker
from antq_actors.jobs import instant
from antq_actors.storage.jobs.groups import GroupTable
from antq_actors.storage.jobs.job_store import JobStore

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
