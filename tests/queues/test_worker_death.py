"""However a worker actor ends, its job has one failed attempt, and its queue goes on."""

import asyncio
import sys
import time

import pytest
from support.apps import settled, until
from support.trees import child, kill

from antq_actors import Status
from antq_actors.otp import (
    DynamicSupervisor,
    Killed,
    Shutdown,
    exit,  # noqa: A004 - OTP's name
    orphans,
)


def worker_actors(app):
    workers = child(app.root, "queues", "default", "workers")
    return [info.ref for info in DynamicSupervisor.which_children(workers)]


def raises(error):
    def end(job):
        raise error

    return end


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (raises(ValueError("no such lead")), "no such lead"),
        (raises(ValueError()), "ValueError"),
        (lambda job: sys.exit("enough"), "enough"),
        (lambda job: sys.exit(), "SystemExit"),
        (raises(asyncio.CancelledError()), "CancelledError"),
        (raises(KeyboardInterrupt()), "KeyboardInterrupt"),
        (raises(GeneratorExit()), "GeneratorExit"),
        (raises(MemoryError()), "MemoryError"),
        (raises(BaseException("anything")), "anything"),
    ],
)
def test_any_exception_of_a_job_is_one_failed_attempt(run, controlled, end, error):
    app = controlled.app = run(concurrency=2)
    job, neighbour = controlled.jobs(["a", "b"])
    controlled.begun(2)

    controlled.release("a", then=end)

    failed = settled(app, job)
    assert (failed.status, failed.attempts, failed.interruptions) == (Status.FAILED, 1, 0)
    assert [entry.error for entry in failed.errors] == [error]
    assert "Traceback" in failed.errors[0].stack_trace
    controlled.release("b")
    assert settled(app, neighbour).status is Status.COMPLETED


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        (Killed(), "worker actor was killed"),
        (Shutdown(), "worker actor ended: Shutdown()"),
        (Shutdown("by hand"), "worker actor ended: Shutdown(detail='by hand')"),
    ],
)
@pytest.mark.parametrize("max_attempts", [1, 2])
def test_a_worker_actor_ended_from_outside_is_a_failed_attempt(
    run, controlled, reason, error, max_attempts
):
    app = controlled.app = run(concurrency=2)
    job = controlled.job("a", max_attempts=max_attempts)
    controlled.begun()
    (actor,) = worker_actors(app)
    neighbour = controlled.job("b")
    controlled.begun()

    exit(actor, reason)

    if max_attempts == 2:
        controlled.begun()
        controlled.release("a")
    ended = settled(app, job)
    assert ended.status is (Status.FAILED if max_attempts == 1 else Status.COMPLETED)
    assert (ended.attempts, ended.interruptions) == (max_attempts, 0)
    assert [entry.error for entry in ended.errors] == [error]
    controlled.release("b")
    assert settled(app, neighbour).errors == ()


def test_a_killed_worker_actor_frees_its_slot(run, controlled):
    app = controlled.app = run(concurrency=1)
    controlled.jobs(["a", "b"])
    controlled.begun()

    kill(worker_actors(app)[0])

    assert controlled.begun() == ["b"]


# ---- timeouts -------------------------------------------------------------------------------


def test_a_job_past_its_timeout_is_interrupted_not_abandoned(run, controlled, monkeypatch):
    monkeypatch.setattr("antq_actors.queues.queue_actor.INTERRUPTION_TIMEOUT_SECONDS", 3600)
    app = controlled.app = run(concurrency=1)
    job, following = controlled.job("a", timeout=0.5), controlled.job("b")

    controlled.begun(2)

    failed = settled(app, job)
    assert (failed.status, failed.attempts) == (Status.FAILED, 1)
    (entry,) = failed.errors
    assert (entry.error, entry.error_type) == ("timed out after 0.5 s", "TimeoutError")
    assert "in perform" in entry.stack_trace
    assert controlled.running() == ["b"]
    controlled.release("b")
    assert settled(app, following).status is Status.COMPLETED


def test_a_job_that_ends_in_time_is_not_interrupted_later(run, controlled):
    app = controlled.app = run(concurrency=1)
    job = controlled.job("a", timeout=30)
    controlled.begun()

    controlled.release("a")

    assert settled(app, job).errors == ()


def test_the_class_decides_the_delay_after_a_timeout(run, controlled):
    app = controlled.app = run()
    seen = []

    def delay(job):
        seen.append(job.errors[0].error)
        return 3600.0

    controlled.delay = delay
    job = controlled.job("a", timeout=0.05, max_attempts=2)

    retrying = settled(app, job, Status.RETRYING)

    assert seen == ["timed out after 0.05 s"]
    wait = retrying.scheduled_at - retrying.updated_at
    assert wait.total_seconds() == pytest.approx(3600, abs=1)
    assert retrying.attempts == 1
    assert len(retrying.errors) == 1


def test_a_hanging_calculate_delay_after_a_timeout_gets_the_default(run, controlled, monkeypatch):
    monkeypatch.setattr("antq_actors.queues.queue_actor.INTERRUPTION_TIMEOUT_SECONDS", 0.3)
    app = controlled.app = run()

    def delay(job):
        while True:
            time.sleep(0.01)

    controlled.delay = delay
    job = controlled.job("a", timeout=0.05, max_attempts=2)

    retrying = settled(app, job, Status.RETRYING)

    assert [entry.error for entry in retrying.errors] == ["timed out after 0.05 s"]
    wait = retrying.scheduled_at - retrying.updated_at
    assert wait.total_seconds() == pytest.approx(10, abs=1)


@pytest.mark.parametrize("how", ["deaf", "stubborn"])
def test_an_uninterruptible_thread_is_abandoned_and_its_result_dropped(
    run, controlled, how, monkeypatch, caplog
):
    monkeypatch.setattr("antq_actors.queues.queue_actor.INTERRUPTION_TIMEOUT_SECONDS", 0.2)
    before = set(orphans())
    app = controlled.app = run(concurrency=1)
    job, following = controlled.job("a", timeout=0.5, wait=how), controlled.job("b")

    assert controlled.begun(2) == ["a", "b"]

    assert [e.error for e in settled(app, job).errors] == ["timed out after 0.5 s"]
    assert len(set(orphans()) - before) == 1
    assert f"job #{job.id} of queue 'default' was interrupted and does not end" in caplog.text
    late = []
    controlled.release("a", then=lambda job: late.append(controlled.job("from the dead")))
    until(lambda: not set(orphans()) - before, "the end of the abandoned thread")
    controlled.release("b")
    assert settled(app, following).status is Status.COMPLETED
    assert settled(app, job).status is Status.FAILED
    assert (late, app.count_workers()) == ([], 2)


def test_a_swallowed_interruption_still_fails_the_attempt(run, controlled):
    app = controlled.app = run()

    def swallow(job):
        try:
            while True:
                time.sleep(0.005)
        except BaseException:  # noqa: BLE001 - what such a job does
            return

    job = controlled.job("a", timeout=0.2)
    controlled.release("a", then=swallow)

    failed = settled(app, job)

    assert failed.status is Status.FAILED
    assert [entry.error for entry in failed.errors] == ["timed out after 0.2 s"]
