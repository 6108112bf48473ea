"""`perform_job`: an attempt of a worker, with nothing stored."""

import threading
from dataclasses import dataclass

import pytest

from antq_actors import (
    AntQ,
    Cancel,
    Fail,
    Job,
    Middleware,
    NotStarted,
    Snooze,
    UnknownQueue,
    Worker,
    current_job,
    worker,
)
from antq_actors.testing import perform_job, testing


@dataclass
class Order:
    number: int


@worker(max_attempts=3)
def double(n, job: Job):
    assert current_job() is job
    return [n, job.attempts, dict(job.meta)]


@worker(max_attempts=2)
def fails(n):
    raise ValueError(f"no {n}")


@worker
async def in_a_loop(n):
    return n


@worker
def returns(what):
    return {"cancel": Cancel("gone"), "snooze": Snooze(1), "fail": Fail("broken")}[what]


class Stepped(Worker):
    def perform(self, job):
        value = job.step("fetch", list)
        job.checkpoint(3)
        job.follow_up(double, {"n": 1})
        return value


def test_an_attempt_completes_with_what_perform_returned():
    assert perform_job(double, {"n": (1, 2)}, attempt=2, meta={"a": "b"}) == (
        "completed",
        [(1, 2), 2, {"a": "b"}],
        None,
    )
    assert perform_job(in_a_loop, {"n": 3}).value == 3


def test_arguments_are_those_of_a_stored_job_and_no_others():
    order = Order(3)

    value = perform_job(in_a_loop, {"n": order}).value

    assert value == order
    assert value is not order


def test_the_outcome_is_decided_by_the_attempt():
    first, last = perform_job(fails, {"n": 1}), perform_job(fails, {"n": 1}, attempt=2)

    assert (first.outcome, last.outcome) == ("retrying", "failed")
    assert (last.error.error, last.error.error_type, last.error.attempt) == (
        "no 1",
        "ValueError",
        2,
    )
    assert "raise ValueError" in last.error.stack_trace


@pytest.mark.parametrize(
    ("what", "outcome", "error"),
    [("cancel", "cancelled", "gone"), ("snooze", "snoozed", None), ("fail", "failed", "broken")],
)
def test_what_perform_returns_is_an_outcome(what, outcome, error):
    done = perform_job(returns, {"what": what})

    assert done.outcome == outcome
    assert type(done.value) in (Cancel, Snooze, Fail)
    assert (None if done.error is None else done.error.error) == error


def test_steps_checkpoints_and_follow_ups_are_kept_nowhere():
    assert perform_job(Stepped).value == []
    with testing() as app:
        assert perform_job(Stepped).outcome == "completed"
        assert app.count_jobs() == 0


class Broken(Worker):
    pass


@worker(queue="nowhere")
def elsewhere():
    pass


def test_an_attempt_ends_at_its_timeout():
    @worker(timeout=0.05, name="perform_job:endless")
    def endless():
        while True:
            pass

    attempt = perform_job(endless)

    assert attempt.outcome == "failed"
    assert attempt.error.error == "timed out after 0.05 s"


def test_an_application_refuses_its_unknown_queues():
    assert perform_job(elsewhere).outcome == "completed"
    with AntQ(), pytest.raises(UnknownQueue):
        perform_job(elsewhere)


def test_what_an_enqueue_refuses_is_refused():
    with pytest.raises(TypeError):
        perform_job(Broken)
    with pytest.raises(TypeError):
        perform_job(double, {"m": 1})
    with pytest.raises(TypeError):
        perform_job(int)
    with pytest.raises(TypeError, match="meta"):
        perform_job(double, {"n": 1}, meta={"a": 1})
    with pytest.raises(TypeError):
        perform_job(in_a_loop, {"n": threading.Lock()})
    with pytest.raises(ValueError, match="attempt"):
        perform_job(double, {"n": 1}, attempt=0)
    with pytest.raises(TypeError, match="attempt"):
        perform_job(double, {"n": 1}, attempt="1")


class Doubles(Middleware):
    def on_enqueue(self, draft):
        draft.meta["by"] = "middleware"

    def around_job(self, job, call):
        return call() * 2


def test_the_middleware_of_a_running_application_is_around_it():
    with testing(middleware=[Doubles()]):
        assert perform_job(double, {"n": 1}).value == [1, 1, {"by": "middleware"}] * 2


@worker
def enqueues():
    double.perform_async(n=1)


def test_a_worker_that_enqueues_needs_an_application():
    assert perform_job(enqueues).error.error_type == NotStarted.__name__
