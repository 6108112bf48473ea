"""One batch, one workflow, one periodic entry and one limit, read from a real application."""

from datetime import UTC, datetime, timedelta

import pytest
from support.apps import Fails, Plain, settled, until

from antq_actors import (
    AntQ,
    BatchNotFound,
    Concurrency,
    Cron,
    Status,
    UnknownCron,
    UnknownLimit,
    Worker,
    Workflow,
    WorkflowNotFound,
)
from antq_actors.insights import Insights
from antq_actors.insights.as_json import as_json
from antq_actors.insights.crons import outcome_of


class Tenant(Worker, concurrency=Concurrency(1, key="tenant", name="tenants")):
    def perform(self, job): ...


@pytest.fixture
def still(tmp_path):
    with AntQ(tmp_path / "jobs").start(queues=False) as app:
        yield app


def test_batch_names_what_failed_and_which_callbacks_fired(run):
    app = run()
    batch = app.batch("import", on_success=Plain.build(), on_failure=Plain.build())
    with batch:
        jobs = [batch.enqueue(Plain), batch.enqueue(Fails)]
    settled(app, jobs[1], "failed")
    until(lambda: not batch.status().open)

    view = Insights(app).batch(batch.id)

    assert (view.name, view.total, view.failed, view.open) == ("import", 2, 1, False)
    assert view.failed_jobs == (jobs[1].id,)
    fired = {each.on: each.fired for each in view.callbacks}
    assert fired == {"success": False, "failure": True}
    assert {each.worker for each in view.callbacks} == {jobs[0].worker}


def test_batch_without_failures_names_none(still):
    batch = still.batch("import")
    batch.enqueue(Plain)

    view = Insights(still).batch(batch.id)

    assert view.failed_jobs == ()
    assert view.callbacks == ()
    assert not view.closed


def test_workflow_is_a_graph_of_its_jobs_and_groups(still):
    flow = Workflow("thumbnails")
    first = flow.add(Plain, name="fetch")
    group = flow.add_many(Plain, [{}, {}], name="resize", after=first)
    flow.add(Plain, name="pack", after=group)
    run = still.start_workflow(flow)

    view = Insights(still).workflow(run.id)

    by_name = {job.name: job for job in view.jobs}
    assert list(by_name) == ["fetch", "resize[0]", "resize[1]", "pack"]
    (resize,) = view.groups
    assert (resize.name, resize.nodes) == ("resize", {Status.SUSPENDED: 2})
    assert resize.after == (by_name["fetch"].id,)
    assert by_name["resize[0]"].group == resize.number
    assert by_name["fetch"].group is None
    assert by_name["pack"].after == (resize.number,)
    assert view.active == (by_name["fetch"].id,)
    assert view.complete
    assert view.nodes[Status.SUSPENDED] == 3
    assert as_json(view)["groups"][0]["nodes"] == {"suspended": 2}


def test_workflow_with_a_failed_job_says_what_a_retry_retries(run):
    app = run()
    flow = Workflow("report")
    flow.add(Plain, name="b", after=flow.add(Fails, name="a"))
    started = app.start_workflow(flow)
    until(lambda: not started.status().open)

    view = Insights(app).workflow(started.id)

    assert view.failed == (view.jobs[0].id,)
    assert view.jobs[1].status is Status.CANCELLED
    assert not view.open


def test_periodic_entry_has_its_next_times_and_its_last_jobs(still):
    still.cron("digest").set(Cron("0 9 * * *", worker=Plain, tz="Asia/Kolkata"))
    job = still.cron("digest").run_now()

    view = Insights(still).cron("digest")

    assert view.description == still.cron("digest").info().description
    assert list(view.next_times) == still.cron("digest").next(5)
    assert {at.utcoffset() for at in view.next_times} == {timedelta(hours=5, minutes=30)}
    (made,) = view.runs
    assert (made.job, made.scheduled_for, made.outcome) == (job.id, None, "waiting")


def test_paused_periodic_entry_has_no_next_times(still):
    still.cron("digest").set(Cron("0 9 * * *", worker=Plain))
    still.cron("digest").pause()

    view = Insights(still).cron("digest")

    assert view.paused
    assert view.next_times == ()


NINE = datetime(2030, 5, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "seconds", "outcome"),
    [
        (Status.COMPLETED, 3, "on time"),
        (Status.COMPLETED, 300, "late"),
        (Status.RUNNING, 0, "on time"),
        (Status.ENQUEUED, None, "waiting"),
        (Status.FAILED, 3, "failed"),
        (Status.CANCELLED, None, "cancelled"),
    ],
)
def test_outcome_of_a_periodic_job(status, seconds, outcome):
    started = None if seconds is None else NINE + timedelta(seconds=seconds)

    assert outcome_of(status, NINE, started) == outcome


def test_limit_shows_the_keys_for_which_most_jobs_wait(still):
    still.enqueue_many(Tenant, [{"tenant": "a"}] + [{"tenant": "b"}] * 3)
    still.limit("tenants").pause("b")

    view = Insights(still).limit("tenants")

    assert [info.kind for info in view.infos] == ["concurrency"]
    assert [(key.key, key.waiting, key.paused) for key in view.keys] == [
        ("b", 3, True),
        ("a", 1, False),
    ]
    assert (view.waiting, view.running, view.paused) == (4, 0, False)


def test_limit_that_is_paused_as_a_whole_says_so(still):
    still.enqueue(Tenant, {"tenant": "a"})
    still.limit("tenants").pause(seconds=3600)

    view = Insights(still).limit("tenants")

    assert view.paused
    assert not view.keys[0].paused
    assert view.keys[0].opens_at > datetime.now(UTC)


def test_what_is_not_there_is_refused(still):
    insights = Insights(still)

    with pytest.raises(BatchNotFound):
        insights.batch(7)
    with pytest.raises(WorkflowNotFound):
        insights.workflow(7)
    with pytest.raises(UnknownCron):
        insights.cron("none")
    with pytest.raises(UnknownLimit):
        insights.limit("none")
