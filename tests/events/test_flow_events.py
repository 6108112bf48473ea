"""What happens to limits, periodic jobs, batches and workflows is told as it is stored."""

from datetime import UTC, datetime

import pytest
from support.controlled_jobs import ControlledJob, ControlledJobs
from support.heard import Heard

from antq_actors import (
    AntQ,
    Concurrency,
    Every,
    Fail,
    QueueConfig,
    RateLimit,
    Worker,
    Workflow,
)
from antq_actors.telemetry import (
    BatchEnded,
    CronFired,
    CronMissed,
    JobCancelled,
    JobsEnqueued,
    LimitClosed,
    WorkflowEnded,
)


class OnePerName(ControlledJob, concurrency=Concurrency(1, key="name")):
    pass


class Step(Worker, max_attempts=1):
    def perform(self, job):
        return Fail("no") if job.args.get("fails") else None


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def app(heard):
    app = AntQ()
    with app.subscribe(heard), app:
        yield app


@pytest.fixture
def jobs(app):
    jobs = ControlledJobs(app)
    yield jobs
    jobs.release_all()


def test_a_limit_that_closes_while_jobs_wait_is_told_once(app, heard, jobs):
    args = {"controller": jobs._name, "name": "eu", "wait": "interruptible"}
    for _ in range(3):
        app.enqueue(OnePerName, args)
    jobs.begun()
    jobs.release("eu")
    jobs.begun()
    jobs.release_all()
    app.wait_idle(timeout=30)
    app.enqueue_many(OnePerName, [args] * 2)
    app.wait_idle(timeout=30)

    closed = heard.wait(LimitClosed)
    assert {(each.limit, "eu" in each.key) for each in closed} == {(closed[0].limit, True)}
    assert len(heard.of(LimitClosed)) <= 2


def test_a_queue_that_is_full_on_all_nodes_is_told_once_until_no_job_waits(heard):
    app = AntQ(queues={"mail": QueueConfig(concurrency=5, global_concurrency=1)})
    with app.subscribe(heard), app:
        for _ in range(2):
            app.queue("mail").pause()
            jobs = app.enqueue_many(Step, [{}] * 3, queue="mail")
            app.queue("mail").resume()
            app.wait(jobs, timeout=30)
        closed = heard.wait(LimitClosed, 2)

    assert [(each.limit, each.key) for each in closed] == [("mail", None)] * 2
    assert len(heard.of(LimitClosed)) == 2


def test_a_queue_that_starts_no_more_at_its_rate_is_told(heard):
    app = AntQ(queues={"mail": QueueConfig(concurrency=5, rate_limit=RateLimit(1, per=3_600))})
    with app.subscribe(heard), app:
        app.enqueue_many(Step, [{}] * 3, queue="mail")
        closed = heard.wait_one(LimitClosed)

    assert (closed.limit, closed.key) == ("mail", None)
    assert len(heard.of(LimitClosed)) == 1


@pytest.mark.parametrize("kind", ["batch", "workflow"])
def test_a_cancelled_group_is_what_cancels_its_jobs(heard, kind):
    app = AntQ(start_queues=False)
    with app.subscribe(heard), app:
        if kind == "batch":
            with app.batch("b") as group:
                group.enqueue(Step)
        else:
            flow = Workflow("w")
            flow.add(Step)
            group = app.start_workflow(flow)
        alone = app.enqueue(Step)
        group.cancel()
        app.cancel_job(alone)
        cancelled = heard.wait(JobCancelled, 2)

    assert [each.by for each in cancelled] == [f"{kind} {group.id}", None]


def test_a_periodic_entry_tells_of_its_jobs_after_they_were_stored(app, heard):
    app.cron("tick").set(Every(3_600, worker=Step))
    first = datetime(2026, 11, 1, tzinfo=UTC)

    job = app.cron("tick").run_now()
    ids = app.cron("tick").backfill(first, first.replace(hour=3))

    by_hand, *others = heard.wait(CronFired, 1 + len(ids))
    assert (by_hand.cron, by_hand.id, by_hand.scheduled_for) == ("tick", job.id, None)
    assert [each.id for each in others] == ids
    told = [type(each) for each in heard.of(CronFired, JobsEnqueued)]
    assert told[:2] == [JobsEnqueued, CronFired]


def test_instants_that_are_missed_for_good_are_counted(tmp_path, heard, monkeypatch):
    entry = Every(3_600, worker=Step, missed="once")
    app = AntQ(tmp_path / "jobs")
    with app:
        app.cron("tick").set(entry)
        due = app.cron("tick").info().next_at
    day_later = int(due.timestamp() * 1e9) + 86_400 * 10**9
    monkeypatch.setattr("time.time_ns", lambda: day_later)
    with app.subscribe(heard), app:
        assert heard.wait_one(CronMissed).count == 24
        assert heard.wait_one(CronFired).cron == "tick"


def test_the_end_of_a_batch_has_its_counts(app, heard):
    with app.batch("import") as batch:
        batch.enqueue_many(Step, [{}, {"fails": True}, {}])

    ended = heard.wait_one(BatchEnded)
    assert (ended.batch, ended.name) == (batch.id, "import")
    assert (ended.completed, ended.failed, ended.cancelled) == (2, 1, 0)


def test_the_end_of_a_workflow_has_its_counts_and_who_was_cancelled_by_whom(app, heard):
    flow = Workflow("onboarding")
    first = flow.add(Step, {"fails": True})
    flow.add(Step, after=first)
    run = app.start_workflow(flow)

    ended = heard.wait_one(WorkflowEnded)
    assert (ended.workflow, ended.name) == (run.id, "onboarding")
    assert (ended.completed, ended.failed, ended.cancelled) == (0, 1, 1)
    assert heard.wait_one(JobCancelled).by
