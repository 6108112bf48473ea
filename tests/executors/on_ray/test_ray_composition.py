"""What jobs in tasks of a Ray cluster bring about, and what a client of the host sees of it."""

import asyncio
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from ray_composed import Awaits, Composes, add_up, value
from support.apps import settled, until

from antq_actors import (
    BatchClosed,
    JobFailed,
    Status,
    Workflow,
    WorkflowError,
    chain,
    errors,
    group,
)

ray = pytest.importorskip("ray")

from antq_actors import cluster as hosting  # noqa: E402 - it imports Ray

LONG = 60


@pytest.fixture
def app(cluster, tmp_path):
    client = hosting.host(tmp_path / "store", queues={"default": 6})
    yield client
    try:
        assert client.verify() == []
    finally:
        client.stop(timeout=0)


def does(app, do, **args):
    return app.enqueue(Composes, {"do": do, **args})


def numbers(app, **filters):
    return [job.args["n"] for job in app.list_jobs(worker=value, **filters)]


# ---- follow-ups, results --------------------------------------------------------------------


def test_follow_ups_are_stored_with_the_completion(app):
    job = settled(app, does(app, "follow_up"))

    assert numbers(app) == [0, 1, 2]
    assert {each.inserted_at for each in app.list_jobs(worker=value)} == {job.ended_at}
    assert numbers(app, status="scheduled") == [2]


def test_only_the_completing_attempt_has_follow_ups(app):
    settled(app, does(app, "follow_up_and_fail"))

    assert numbers(app) == [2]


def test_a_coroutine_takes_steps_and_has_follow_ups(app):
    assert app.enqueue(Awaits).result(timeout=LONG) == "page"
    assert numbers(app) == [1]


def test_results_are_read_and_waited_for_from_afar(app):
    good, bad = app.enqueue(value, {"n": 7}), app.enqueue(value, {"n": -1}, max_attempts=1)

    assert good.result(timeout=LONG) == app.result(good.id, timeout=LONG) == 7
    assert asyncio.run(good.aresult(timeout=LONG)) == 7
    with pytest.raises(JobFailed, match="negative"):
        bad.result(timeout=LONG)
    done, left = app.wait([good, bad.id], timeout=LONG)
    assert ([job.id for job in done], left) == ([good.id, bad.id], [])
    later = app.enqueue(value, {"n": 1}, schedule_in=3600)
    done, left = asyncio.run(app.wait_async([good, later], timeout=LONG, return_when="first"))
    assert ([job.id for job in done], [job.id for job in left]) == ([good.id], [later.id])
    with pytest.raises(TimeoutError):
        later.result(timeout=0)


def test_a_task_waits_for_another_job_with_a_timeout(app):
    found, refused = does(app, "wait_for_another").result(timeout=LONG)

    assert found == 5
    assert "result() needs a timeout in perform" in refused


# ---- batches ----------------------------------------------------------------------------------


def test_members_add_members_and_callbacks_see_their_batch(app):
    callback = Composes.build({"do": "see_batch"})
    with app.batch("import", on_complete=callback, on_success=callback) as batch:
        batch.enqueue(Composes, {"do": "add_members"})

    status = batch.wait(LONG)

    assert (status.total, status.completed, status.open) == (4, 4, False)
    assert sorted(each for each in batch.results() if each is not None) == [2, 3, 4]
    assert app.wait_idle(timeout=LONG)
    seen = [job.result(timeout=0) for job in app.list_jobs(args={"do": "see_batch"})]
    assert seen == [["import", 4, 4]] * 2


def test_batches_are_made_and_changed_from_afar(app):
    with app.batch("import") as batch:
        ids = batch.enqueue_many(value, [{"n": n} for n in (1, -1)], max_attempts=1)
        part = batch.batch("part")
        part.enqueue(value, {"n": 3}, schedule_in=3600)
    job = app.get_job(ids[0])

    assert job.batch == app.get_batch(batch.id) == batch
    assert [each.id for each in app.batches(open=True)] == [batch.id, part.id]
    part.cancel()
    assert batch.wait(LONG).failed == 2
    with pytest.raises(BatchClosed):
        batch.enqueue(value, {"n": 1})
    batch.retry_failed()
    until(lambda: batch.status().failed == 2 and not batch.status().open)
    assert [each.id for each in batch.jobs(Status.FAILED)] == [ids[1]]
    assert pickle.loads(pickle.dumps(job)).batch == batch  # noqa: S301 - of this test
    with pytest.raises(errors.BatchNotFound):
        app.get_batch(4711)


class Deadly:
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (1,)


@pytest.mark.parametrize(
    ("method", "verb", "named"),
    [
        ("antq_batch", "insert", "the change of a batch"),
        ("antq_workflow", "start", "the change of a workflow"),
    ],
)
def test_no_change_is_made_again_when_the_host_died_during_it(app, method, verb, named):
    with pytest.raises(errors.StorageError, match=f"whether {named} was done is not known"):
        app.call(method, verb, Deadly())


def test_looks_and_waits_outlive_the_host(app, tmp_path):
    go = tmp_path / "go"
    with app.batch("import") as batch:
        batch.enqueue(Composes, {"do": "report", "go": str(go)})
    run = app.start_workflow(chain(Composes.build({"do": "report", "go": str(go)})))
    waits = (lambda: batch.wait(LONG).completed, lambda: run.result(timeout=LONG))
    with ThreadPoolExecutor() as threads:
        found = [threads.submit(wait) for wait in waits]
        until(lambda: len(app.list_jobs(status="running")) == 2)

        ray.kill(ray.get_actor("antq", namespace=hosting.NAMESPACE), no_restart=False)

        assert batch.status().open
        go.touch()
        assert [each.result() for each in found] == [1, None]


# ---- workflows --------------------------------------------------------------------------------


def test_outputs_and_upstream_reach_the_tasks(app):
    flow = Workflow("sum")
    one = flow.add(value, {"n": 1}, name="one")
    many = flow.add_many(value, ({"n": n} for n in range(5)))
    total = flow.add(add_up, {"numbers": many.outputs}, after=one)
    last = flow.add(
        Composes, {"do": "look_upstream", "total": total.output}, after=one, name="last"
    )
    run = app.start_workflow(flow, output=last)

    assert run.result(timeout=LONG) == {"add_up": 10, "one": 1}
    assert asyncio.run(run.aresult(timeout=LONG)) == {"add_up": 10, "one": 1}
    job = run.jobs()[-1]
    assert dict(job.upstream) == {"add_up": 10, "one": 1}
    assert job.workflow == app.get_workflow(run.id) == run


def test_a_node_expands_in_its_task(app):
    flow = Workflow("grows")
    grows = flow.add(Composes, {"do": "expand"})
    flow.add(value, {"n": 9}, after=grows, name="after")
    run = app.start_workflow(flow)

    until(lambda: not run.status().open)

    assert run.status().nodes[Status.COMPLETED] == 6
    jobs = {job.id: job for job in run.jobs()}
    after = next(job for job in jobs.values() if job.args.get("n") == 9)
    total = next(job for job in jobs.values() if "numbers" in job.args)
    assert total.result(timeout=0) == 6
    assert after.started_at >= total.ended_at
    assert jobs[run.id + 1].result(timeout=0)[0] == "grows"


def test_a_task_adds_to_its_workflow(app):
    flow = Workflow("open")
    flow.add(Composes, {"do": "add_to_workflow"}, name="adds")
    run = app.start_workflow(flow, output="adds")

    assert run.result(timeout=LONG) == "added"
    until(lambda: not run.status().open)
    assert sorted(numbers(app, status="completed")) == [8, 9]


def test_workflows_are_started_and_changed_from_afar(app):
    flow = Workflow("slow", key="mine")
    first = flow.add(value, {"n": 1}, schedule_in=3600)
    flow.add(value, {"n": 2}, after=first)
    run = app.start_workflow(flow)

    with pytest.raises(errors.AlreadyExists) as exists:
        app.start_workflow(Workflow("slow", key="mine"))
    assert exists.value.workflow == run
    added = run.add(value, {"n": 3}, after=first.name)
    run.add_many(value, [{"n": n} for n in (4, 5)], after=added)
    assert run.status().nodes[Status.SUSPENDED] == 4
    assert [each.id for each in app.workflows(open=True)] == [run.id]
    run.cancel()
    until(lambda: not run.status().open)
    assert run.status().nodes[Status.CANCELLED] == 5
    with pytest.raises(WorkflowError, match="was cancelled"):
        run.add(value, {"n": 6})
    with pytest.raises(errors.WorkflowNotFound):
        app.get_workflow(4711)


def test_what_failed_of_a_workflow_is_retried_from_afar(app):
    flow = Workflow("fails")
    bad = flow.add(value, {"n": -1}, max_attempts=1)
    flow.add(value, {"n": 1}, after=bad)
    run = app.start_workflow(flow)
    until(lambda: not run.status().open)
    cut = run.jobs(Status.CANCELLED)
    assert [f"job {run.jobs(Status.FAILED)[0].id}" in job.errors[0].error for job in cut] == [True]

    run.retry_failed()

    until(lambda: run.status().nodes[Status.FAILED] == 1 and not run.status().open)


def test_chains_and_groups_hand_results_on(app):
    links = app.start_workflow(chain(value.build(n=3), Composes.build({"do": "look_upstream"})))
    joined = app.start_workflow(group(value.build(n=n) for n in (3, 1, 2)))

    assert links.result(timeout=LONG) == {"value": 3}
    assert joined.result(timeout=LONG) == [3, 1, 2]


def test_a_large_workflow_is_streamed_to_the_host(app):
    flow = Workflow("large")
    numbers = flow.add_many(value, ({"n": n} for n in range(6_000)), schedule_in=3600)
    flow.add(value, {"n": 1}, after=numbers)
    run = app.start_workflow(flow)

    assert sum(run.status().nodes.values()) == 6_001
    run.cancel()
    until(lambda: not run.status().open)


# ---- steps, checkpoints, progress ---------------------------------------------------------------


def test_steps_of_a_task_are_kept_for_its_next_attempt(app, tmp_path):
    journal = tmp_path / "journal"
    job = does(app, "take_steps", journal=str(journal))

    first, key, last = job.result(timeout=LONG)

    assert (first, last) == ("first", "last")
    assert key == job.step_key("first")
    assert journal.read_text().split() == ["first", "1", "2", "last"]


def test_checkpoints_of_a_task_go_with_its_outcome(app):
    assert does(app, "pass_checkpoints").result(timeout=LONG) == [2, "held"]


@pytest.mark.parametrize("size", [1_000, 500_000])
def test_checkpoints_outlive_the_process_of_their_task(app, size):
    job = does(app, "pass_checkpoints_and_crash", size=size)

    assert job.result(timeout=LONG) in {size + 1, size + 2}


def test_progress_of_a_task_is_stored_and_gone_with_its_end(app, tmp_path):
    job = does(app, "report", go=str(tmp_path / "go"))

    seen = until(lambda: app.get_job(job.id).last_progress)
    (tmp_path / "go").touch()

    assert (seen.fraction, seen.note) == (0.25, "a quarter")
    assert settled(app, job).last_progress is None
