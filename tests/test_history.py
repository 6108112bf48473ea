"""What happened to a job: told from its record, and from what was noted of it."""

import asyncio
from datetime import UTC, datetime

import pytest
from support.apps import LONGEST, Fails, Plain, settled, until

from antq_actors import AntQ, Cancel, Concurrency, JobNotFound, Snooze, Status, Worker, chain


class Flaky(Worker, max_attempts=3, retry_delay=0):
    """Fails its first attempts, and then completes."""

    def perform(self, job):
        if job.attempts <= job.args.get("failures", 1):
            raise ValueError(f"attempt {job.attempts}")


class Hopeless(Worker, max_attempts=40, retry_delay=0):
    def perform(self, job):
        raise ValueError(f"attempt {job.attempts}")


class Snoozes(Worker):
    def perform(self, job):
        return Snooze(3600)


class Cancels(Worker):
    def perform(self, job):
        return Cancel("not needed")


class Limited(Worker, concurrency=Concurrency(1, name="one")):
    def perform(self, job): ...


def told(app, job):
    return [(each.status.value, each.cause) for each in app.history(job)]


def test_a_plain_job_was_enqueued_ran_and_completed_by_its_own_record(app):
    job = settled(app, app.enqueue(Plain))

    history = app.history(job)

    assert [(each.status, each.attempt, each.node, each.cause) for each in history] == [
        (Status.ENQUEUED, 0, 0, None),
        (Status.RUNNING, 1, app.node, None),
        (Status.COMPLETED, 1, app.node, None),
    ]
    assert [each.at for each in history] == [job.inserted_at, job.started_at, job.ended_at]
    assert history[0].at.tzinfo is UTC
    assert app.history(job.id) == asyncio.run(app.ahistory(job)) == history
    assert job.node == 0


def test_a_job_that_waits_for_its_time_was_scheduled_and_stays_so_when_it_has_run(app):
    job = app.enqueue(Plain, schedule_in=3600)
    assert told(app, job) == [("scheduled", None)]

    soon = settled(app, app.enqueue(Plain, schedule_in=0.05))
    assert told(app, soon) == [("scheduled", None), ("running", None), ("completed", None)]
    past = settled(app, app.enqueue(Plain, schedule_at=datetime(2000, 1, 1, tzinfo=UTC)))
    assert told(app, past)[0] == ("enqueued", None)


def test_each_attempt_that_failed_is_told_with_its_error(app):
    job = settled(app, app.enqueue(Flaky, {"failures": 2}))

    history = app.history(job)

    assert told(app, job) == [
        ("enqueued", None),
        ("running", None),
        ("retrying", "ValueError: attempt 1"),
        ("running", None),
        ("retrying", "ValueError: attempt 2"),
        ("running", None),
        ("completed", None),
    ]
    assert [each.attempt for each in history] == [0, 1, 1, 2, 2, 3, 3]
    assert {each.node for each in history[1:]} == {app.node}
    assert [each.at for each in history] == sorted(each.at for each in history)
    failed = [each.at for each in history if each.status is Status.RETRYING]
    assert failed == [error.attempted_at for error in reversed(job.errors)]


def test_a_job_that_failed_for_good_and_is_retried_has_both_lives(paused):
    paused.queue("default").resume()
    job = settled(paused, paused.enqueue(Fails, max_attempts=1))
    assert told(paused, job)[1:] == [("running", None), ("failed", "ValueError: no")]

    paused.queue("default").pause()
    paused.retry_job(job)

    assert told(paused, job)[2:] == [("failed", "ValueError: no"), ("enqueued", "retry")]
    assert paused.history(job)[-1].attempt == 0


def test_a_completed_job_that_is_retried_keeps_when_it_ran(app):
    job = settled(app, app.enqueue(Plain))
    first = app.history(job)
    app.queue("default").pause()

    app.retry_job(job)

    assert app.history(job)[:3] == first
    assert told(app, job)[3:] == [("enqueued", "retry")]


def test_what_was_done_by_hand_is_told_by_its_verb(paused):
    job = paused.enqueue(Plain, schedule_in=3600)
    paused.run_now(job)
    paused.reschedule(job, schedule_in=7200)
    paused.cancel_job(job)
    paused.cancel_job(job)
    paused.retry_jobs(status="cancelled")
    paused.cancel_jobs(status="enqueued")

    assert told(paused, job) == [
        ("scheduled", None),
        ("scheduled", "run-now"),
        ("scheduled", "reschedule"),
        ("cancelled", "cancel"),
        ("enqueued", "retry"),
        ("cancelled", "cancel"),
    ]
    assert {each.node for each in paused.history(job)} == {0}


def test_a_job_that_is_cancelled_while_it_runs_ends_by_that(controlled, run):
    controlled.app = app = run()
    job = controlled.job("long")
    controlled.begun()
    assert told(app, job) == [("enqueued", None), ("running", None)]

    app.cancel_job(job)
    settled(app, job)

    assert told(app, job)[-2:] == [("running", None), ("cancelled", "cancel")]


def test_a_job_that_cancels_itself_and_one_that_snoozes_say_so(app):
    cancelled = settled(app, app.enqueue(Cancels))
    snoozed = settled(app, app.enqueue(Snoozes), Status.SCHEDULED)

    assert told(app, cancelled)[-1] == ("cancelled", "not needed")
    assert told(app, snoozed)[-2:] == [("running", None), ("scheduled", "snoozed")]
    assert app.history(snoozed)[-1].attempt == 1


def test_a_job_that_waited_for_another_was_suspended_and_released(app):
    run = app.start_workflow(chain(Plain.build(), Plain.build()))
    assert app.wait_idle(timeout=LONGEST)
    first, second = sorted(run.jobs(), key=lambda job: job.id)

    assert told(app, first)[0] == ("enqueued", None)
    assert [status for status, _ in told(app, second)] == [
        *("suspended", "enqueued", "running", "completed")
    ]


def test_a_scheduled_job_that_comes_due_at_a_full_limit_was_enqueued_then(controlled, run):
    app = run(concurrency=2)
    app.queue("default").pause()
    first = app.enqueue(Limited)
    second = app.enqueue(Limited, schedule_in=0.01)
    app.queue("default").resume()
    settled(app, first)
    settled(app, second)

    statuses = [status for status, _ in told(app, second)]
    assert statuses in (
        ["scheduled", "running", "completed"],
        ["scheduled", "enqueued", "running", "completed"],
    )


def test_a_history_goes_out_and_comes_in_with_its_job(tmp_path):
    with AntQ(tmp_path / "one") as one:
        jobs = [
            settled(one, one.enqueue(Flaky, {"failures": 2})),
            settled(one, one.enqueue(Hopeless)),
            settled(one, one.enqueue(Plain, schedule_in=0.01)),
            settled(one, one.enqueue(Plain)),
        ]
        one.queue("default").pause()
        one.retry_job(jobs[3])
        lines = list(one.export_jobs())
        before = [one.history(job) for job in jobs]
    with AntQ(tmp_path / "two", start_queues=False) as two:
        two.import_jobs(lines)

        assert [two.history(job.id) for job in jobs] == before
        assert two.verify() == []
        two.retry_job(jobs[0].id)
        assert told(two, jobs[0].id)[-1] == ("enqueued", "retry")
        assert two.verify() == []


def test_errors_in_a_history_are_encrypted_as_those_of_the_job(tmp_path):
    key_file = tmp_path / "key"
    key_file.write_text("k" * 40)
    key_file.chmod(0o600)
    path = tmp_path / "store"
    with AntQ(path, encryption_key_file=key_file) as app:
        job = settled(app, app.enqueue(Flaky, {"failures": 9}))
        with_key = told(app, job)
        assert app.verify() == []
    with AntQ(path, start_queues=False) as other:
        without_key = told(other, job.id)

    assert [cause for _, cause in with_key if cause] == [
        f"ValueError: attempt {number}" for number in (1, 2, 3)
    ]
    assert {cause for _, cause in without_key if cause} == {"<encrypted>"}
    assert [status for status, _ in without_key] == [status for status, _ in with_key]
    assert b"attempt 1" not in (path / "data.mdb").read_bytes()


def test_the_history_of_a_deleted_job_is_gone_with_it(app):
    job = settled(app, app.enqueue(Flaky))
    app.delete_job(job)

    with pytest.raises(JobNotFound):
        app.history(job)
    assert app.verify() == []


def test_what_is_no_job_has_no_history(light):
    with pytest.raises(JobNotFound):
        light.history(4711)
    with pytest.raises(TypeError, match="Job or its id"):
        light.history("17")


def test_a_process_without_queues_tells_the_same(tmp_path):
    with AntQ(tmp_path / "store") as app:
        job = settled(app, app.enqueue(Flaky))
        here = app.history(job)
    with AntQ(tmp_path / "store", start_queues=False) as other:
        until(lambda: other.history(job.id) == here, "the same history")
