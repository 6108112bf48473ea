"""`drain`: the waiting jobs of an application are performed in the thread that calls."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest
from support.heard import Heard

from antq_actors import AntQ, Cancel, Fail, Job, JobFailed, NotStarted, Snooze, chain, worker
from antq_actors.telemetry import JobTimedOut
from antq_actors.testing import DrainLimit, drain, testing

done = []


@worker(max_attempts=3)
def note(n, *, fails=False):
    done.append(n)
    if fails:
        raise ValueError(f"no {n}")


@worker
def spread(n):
    done.append(n)
    if n:
        spread.perform_async(n=n - 1)


@worker
def again():
    again.perform_async()


@worker(concurrency=1)
def one_at_a_time(n):
    done.append(n)


@worker
async def in_a_loop():
    await asyncio.sleep(0)
    done.append(threading.current_thread())


@worker
def in_thread():
    done.append(threading.current_thread())


@worker(max_attempts=2)
def returns(what):
    return {"cancel": Cancel("c"), "snooze": Snooze(60), "fail": Fail("broken")}[what]


@worker(timeout=0.05, max_attempts=2)
def endless(name, job: Job):
    while not (name == "asks" and job.cancelled()):
        pass


@worker(timeout=0.05, max_attempts=2)
async def endless_in_a_loop():
    await asyncio.Event().wait()


@worker(timeout=0.1)
def quick(): ...


@worker(timeout=0.05)
def outer():
    within.perform_async()


@worker(timeout=60)
def within():
    while True:
        pass


@pytest.fixture(autouse=True)
def fresh():
    done.clear()


@pytest.fixture
def app():
    with testing() as app:
        yield app


def test_a_drain_performs_what_waits_in_this_thread_in_the_order_of_pick_up(app):
    note.perform_async(n=1)
    note.options(priority=5).perform_async(n=2)
    note.options(queue="elsewhere").perform_async(n=3)
    note.options(schedule_in=60).perform_async(n=4)

    drained = drain(app)

    assert done == [2, 1, 3]
    assert (drained.completed, drained.failed, drained.retrying) == (3, 0, 0)
    assert [job.id for job in drained.jobs] == [2, 1, 3]
    assert {job.status for job in drained.jobs} == {"completed"}
    assert app.count_jobs(status="scheduled") == 1


def test_a_drain_of_a_queue_leaves_the_others(app):
    note.perform_async(n=1)
    note.options(queue="elsewhere").perform_async(n=2)

    drain(app, "elsewhere")

    assert done == [2]


def test_threads_and_coroutines_run_in_the_thread_that_drains(app):
    in_thread.perform_async()
    in_a_loop.perform_async()

    drain(app)

    assert done == [threading.current_thread()] * 2


def test_a_coroutine_is_performed_also_within_a_running_loop(app):
    in_a_loop.perform_async()

    async def main():
        return drain(app)

    assert asyncio.run(main()).completed == 1


def test_a_failure_is_stored_and_then_raised(app):
    job = note.perform_async(n=1, fails=True)
    note.perform_async(n=2)

    with pytest.raises(ValueError, match="no 1"):
        drain(app)

    stored = app.get_job(job.id)
    assert (stored.status, stored.attempts) == ("retrying", 1)
    assert stored.errors[0].error == "no 1"
    assert done == [1]
    assert drain(app).completed == 1


def test_failures_are_only_counted_where_they_are_not_to_be_raised(app):
    note.perform_async(n=1, fails=True)
    note.options(max_attempts=1).perform_async(n=2, fails=True)

    drained = drain(app, raise_errors=False)

    assert (drained.retrying, drained.failed, drained.completed) == (1, 1, 0)


def test_a_returned_fail_is_raised_with_its_reason(app):
    job = returns.perform_async(what="fail")

    with pytest.raises(JobFailed, match=r"^broken$") as raised:
        drain(app)

    assert raised.value.job.id == job.id
    assert raised.value.job.errors[0].error == "broken"


def test_cancelled_and_snoozed_jobs_are_counted(app):
    returns.perform_async(what="cancel")
    returns.perform_async(what="snooze")

    drained = drain(app)

    assert (drained.cancelled, drained.snoozed, drained.completed) == (1, 1, 0)


def test_scheduled_jobs_and_retries_are_performed_if_that_is_asked_for(app):
    note.options(schedule_in=3600).perform_async(n=1)
    note.options(schedule_in=60).perform_async(n=2)
    note.perform_async(n=3, fails=True)

    drained = drain(app, scheduled=True, raise_errors=False)

    assert done == [3, 3, 3, 2, 1]
    assert (drained.completed, drained.retrying, drained.failed) == (2, 2, 1)
    assert [job.id for job in drained.jobs] == [3, 2, 1]


def test_jobs_are_performed_up_to_an_instant(app):
    note.options(schedule_in=60).perform_async(n=1)
    note.options(schedule_in=3600).perform_async(n=2)

    drain(app, scheduled=datetime.now(UTC) + timedelta(minutes=5))

    assert done == [1]


def test_what_jobs_enqueue_is_performed_or_left(app):
    spread.perform_async(n=2)

    drain(app, recursive=False)
    assert done == [2]

    drain(app)
    assert done == [2, 1, 0]


def test_jobs_with_a_limit_are_performed_one_after_the_other(app):
    for recursive in (True, False):
        app.enqueue_many(one_at_a_time, ({"n": n} for n in range(4)))
        assert drain(app, recursive=recursive).completed == 4

    assert done == [0, 1, 2, 3] * 2


def test_without_recursion_a_job_is_performed_once(app):
    returns.perform_async(what="snooze")
    note.options(schedule_in=60).perform_async(n=1)

    drained = drain(app, recursive=False, scheduled=True)

    assert (drained.snoozed, drained.completed) == (1, 1)


def test_a_drain_that_would_never_end_stops_at_its_bound(app):
    again.perform_async()

    with pytest.raises(DrainLimit, match="25"):
        drain(app, limit=25)

    assert app.count_jobs(status="completed") == 25
    assert app.count_jobs(status="enqueued") == 1


def test_exactly_as_many_as_the_bound_are_no_error(app):
    app.enqueue_many(note, ({"n": n} for n in range(5)))

    assert drain(app, limit=5).completed == 5


@pytest.mark.parametrize(
    "enqueue",
    [
        lambda: endless.perform_async(name="in Python"),
        lambda: endless.perform_async(name="asks"),
        endless_in_a_loop.perform_async,
    ],
    ids=["in Python", "asks", "in a loop"],
)
def test_a_timeout_ends_a_job_in_this_thread_as_in_a_queue(enqueue):
    heard = Heard()
    with testing() as app, app.subscribe(heard):
        job = enqueue()

        with pytest.raises(JobFailed, match=r"timed out after 0\.05 s"):
            drain(app)

        error = app.get_job(job.id).errors[0]
        assert (error.error, error.error_type) == ("timed out after 0.05 s", "TimeoutError")
        assert heard.wait_one(JobTimedOut).abandoned is False
        assert drain(app, scheduled=True, raise_errors=False).failed == 1


def test_a_job_that_ends_in_time_is_not_interrupted_later(app):
    quick.perform_async()

    assert drain(app).completed == 1
    assert threading.Event().wait(0.2) is False


def test_the_timeout_of_a_job_ends_what_is_performed_inline_within_it():
    with testing("inline") as app:
        with pytest.raises(JobFailed, match=r"timed out after 0\.05 s"):
            outer.perform_async()

        first, within = app.list_jobs()
        assert (first.status, within.status) == ("failed", "enqueued")


def test_jobs_of_a_paused_queue_are_left(app):
    note.perform_async(n=1)
    app.queue("default").pause()

    assert drain(app).completed == 0
    assert drain(app, recursive=False).completed == 0


def test_a_workflow_is_performed_to_its_end(app):
    app.start_workflow(chain(note.build(n=1), note.build(n=2)))

    assert drain(app).completed == 2
    assert done == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"scheduled": "tomorrow"}, TypeError),
        ({"scheduled": 1}, TypeError),
        ({"scheduled": datetime(2026, 1, 1)}, ValueError),  # noqa: DTZ001 - it is refused
        ({"queue": 3}, TypeError),
        ({"limit": 0}, ValueError),
        ({"limit": "many"}, TypeError),
    ],
)
def test_wrong_arguments_of_a_drain_are_refused(app, arguments, error):
    with pytest.raises(error):
        drain(app, **arguments)


def test_an_application_whose_queues_run_is_refused():
    with AntQ(queues={"mail": 1, "other": 1}) as app, pytest.raises(RuntimeError) as refused:
        drain(app)

    assert "'mail'" in str(refused.value)
    assert "'other'" in str(refused.value)


def test_an_application_that_does_not_run_is_refused():
    with pytest.raises(NotStarted):
        drain(AntQ())
    with pytest.raises(TypeError, match="AntQ"):
        drain(None)
