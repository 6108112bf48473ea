"""Waiting until there is nothing left to do, in threads, coroutines, jobs and other processes."""

import asyncio
import math
import signal
import threading
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
from support import apps
from support.apps import Plain

from antq_actors import AntQ, Fail, NotStarted, Snooze, Status, UnknownQueue, Worker, otp, worker
from antq_actors.jobs import instant
from antq_actors.otp import Killed, Shutdown, call, stop
from antq_actors.queues import Pause
from antq_actors.storage.idle_waiters import IdleWaiter, IdleWaiters
from antq_actors.storage.jobs.reader import JobReader

LONG = 3600.0


class Chain(Worker):
    """Enqueues the next of its kind before it ends."""

    def perform(self, job):
        if job.args["left"]:
            args = {"left": job.args["left"] - 1, "then": job.queue_name}
            Chain.perform_async(args, queue=job.args["then"])


class Again(Worker, max_attempts=2):
    """Fails once; the second attempt is due after *seconds*."""

    def perform(self, job):
        return Fail("once") if job.attempts == 1 else None

    def calculate_delay(self, job):
        return job.args["seconds"]


@pytest.fixture(params=["wait_idle", "await_idle"])
def wait(request):
    """Either of the twins, called from a thread."""
    if request.param == "wait_idle":
        return AntQ.wait_idle
    return lambda app, *args, **options: asyncio.run(app.await_idle(*args, **options))


@contextmanager
def waiting(wait, app, *args, **options):
    """Wait in another thread; answers come out of the list."""
    outcomes = []

    def run():
        try:
            outcomes.append(wait(app, *args, **options))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            outcomes.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    apps.until(lambda: outcomes or app._runtime().store.idle.waiters, "the waiting")
    try:
        yield outcomes
    finally:
        thread.join(apps.LONGEST)
        assert not thread.is_alive()


# ---- what is waited for ------------------------------------------------------------------------


def test_an_application_without_jobs_is_idle_at_once(app, wait):
    assert wait(app) is True
    assert wait(app, timeout=0) is True
    assert wait(app, "mail", timeout=0) is True


def test_what_runs_is_waited_for_to_its_end(run, place, controlled, wait):
    controlled.app = app = run(place)
    controlled.job("solo")
    controlled.begun()
    assert wait(app, timeout=0) is False

    with waiting(wait, app) as outcomes:
        assert outcomes == []
        controlled.release("solo")

    assert outcomes == [True]
    assert app.count_jobs(status="completed") == 1


def test_what_is_enqueued_or_due_is_waited_for_though_its_queue_is_paused(paused, wait):
    for options in ({}, {"schedule_in": 0.001}):
        job = Plain.perform_async(queue="mail", **options)
        apps.until(lambda due=job.scheduled_at: due.timestamp() < time.time())

        assert wait(paused, timeout=0.01) is False
        assert wait(paused, "mail", timeout=0) is False
        assert wait(paused, "default", timeout=0) is True
        paused.delete_job(job)


def test_a_job_that_is_scheduled_for_later_is_not_waited_for(app, wait):
    Plain.perform_async(schedule_in=LONG)

    assert wait(app) is True


def test_a_snoozed_job_is_not_waited_for_either(app, wait):
    @worker(name="idle:snooze")
    def snooze():
        return Snooze(LONG)

    snooze.perform_async()

    assert wait(app) is True
    assert app.count_jobs(status="scheduled") == 1


def test_a_job_that_is_to_be_retried_is_waited_for_however_late(app, wait):
    job = Again.perform_async({"seconds": LONG})
    apps.settled(app, job, Status.RETRYING)

    assert wait(app, timeout=0.05) is False
    app.cancel_job(job)
    assert wait(app) is True


def test_a_retry_is_waited_for_to_its_last_attempt(app, wait):
    job = Again.perform_async({"seconds": 0.02})

    assert wait(app) is True
    assert app.get_job(job.id).attempts == 2


@pytest.mark.parametrize("end", ["cancel_job", "delete_job"])
def test_the_last_job_may_also_be_cancelled_or_deleted(paused, wait, end):
    job = Plain.perform_async()

    with waiting(wait, paused) as outcomes:
        getattr(paused, end)(job)

    assert outcomes == [True]


def test_it_is_never_idle_between_the_jobs_of_a_chain(app, wait):
    for _ in range(5):
        Chain.perform_async({"left": 40, "then": "mail"})
        Chain.perform_async({"left": 40, "then": "default"}, queue="mail")

        assert wait(app) is True
        counts = {status: app.count_jobs(status=status) for status in Status}
        assert sum(counts.values()) == counts[Status.COMPLETED]


def test_one_look_at_all_queues_is_one_moment(light):
    """A chain that changes its queue with each job would show two idle queues to two looks."""
    seen = []
    real = JobReader.unfinished

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            JobReader,
            "unfinished",
            lambda reader, queues, now: seen.append(queues) or real(reader, queues, now),
        )
        light.wait_idle()

    assert seen == [(None,)]


def test_a_look_that_began_before_a_waiter_came_does_not_answer_it():
    waiters = IdleWaiters()
    early, late = IdleWaiter(None), IdleWaiter(None)
    waiters.add(early)

    in_the_look = waiters.current()
    waiters.add(late)
    waiters.settle(in_the_look, {None: 0})

    assert (early.value, late.is_settled) == (True, False)
    assert waiters.current() == [late]


# ---- other processes ---------------------------------------------------------------------------

PERFORMS = """
import sys
from antq_actors import AntQ
from support.apps import Plain
with AntQ(sys.argv[1]) as app:
    print("runs", flush=True)
    sys.stdin.readline()
    print(app.wait_idle(timeout=30), flush=True)
"""


def test_an_application_without_queues_sees_the_end_in_another_process(tmp_path, program, wait):
    with AntQ(tmp_path / "jobs") as app:
        ids = app.start(queues=None).enqueue_many(Plain, [{}] * 50, schedule_in=LONG)
    with AntQ(tmp_path / "jobs", start_queues=False) as app:
        for id_ in ids:
            app.cancel_job(id_)
            app.retry_job(id_)
        with waiting(wait, app) as outcomes:
            other = program("-c", PERFORMS, tmp_path / "jobs")
            assert other.line() == "runs"
        assert outcomes == [True]
        assert app.count_jobs(status="completed") == 50
        other.process.stdin.write("\n")
        other.process.stdin.flush()
        assert other.line() == "True"


ENDS_ONE = """
import sys
from antq_actors import AntQ
with AntQ(sys.argv[1], start_queues=False) as app:
    print("ready", flush=True)
    sys.stdin.readline()
    app.cancel_job(1)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("runs_queues", [True, False])
def test_a_change_of_another_process_is_seen_also_with_queues(tmp_path, program, wait, runs_queues):
    with AntQ(tmp_path / "jobs") as app:
        app.queue("default").pause()
        Plain.perform_async()
        if not runs_queues:
            app.stop()
            app.start(queues=False)
        other = program("-c", ENDS_ONE, tmp_path / "jobs")
        assert other.line() == "ready"

        with waiting(wait, app) as outcomes:
            other.process.stdin.write("\n")
            other.process.stdin.flush()

        assert outcomes == [True]


# ---- ends of waiting -----------------------------------------------------------------------------


def test_a_timeout_is_kept_and_says_false(paused, wait):
    Plain.perform_async()

    for timeout in (0.2, timedelta(milliseconds=200)):
        began = time.monotonic()
        assert wait(paused, timeout=timeout) is False
        assert 0.2 <= time.monotonic() - began < 5.0


@pytest.mark.parametrize(
    "end",
    [AntQ.stop, lambda app: stop(app.root, Shutdown("given up"))],
    ids=["the application stops", "the tree gives up"],
)
def test_whoever_waits_hears_that_the_application_ended(run, place, wait, end):
    app = run(place)
    app.queue("default").pause()
    app.enqueue(Plain)

    with waiting(wait, app) as outcomes:
        end(app)

    assert isinstance(outcomes[0], NotStarted)
    with pytest.raises(NotStarted):
        wait(app)


def test_a_restart_of_the_storage_actor_is_outlived(run, place, wait):
    app = run(place)
    app.queue("default").pause()
    job = app.enqueue(Plain)

    with waiting(wait, app) as outcomes:
        for _ in range(2):
            otp.exit(app._running.names.storage, Killed())
            app.get_job(job.id)  # which waits for the successor
        app.delete_job(job)

    assert outcomes == [True]


def test_ctrl_c_ends_a_wait_without_a_timeout(program, tmp_path):
    code = """
import sys
from antq_actors import AntQ
from support.apps import Plain
with AntQ(sys.argv[1]) as app:
    app.queue("default").pause()
    Plain.perform_async()
    try:
        print("waits", flush=True)
        app.wait_idle()
    except KeyboardInterrupt:
        print("interrupted", len(app._runtime().store.idle.current()), flush=True)
"""
    waiter = program("-c", code, tmp_path / "jobs")
    assert waiter.line() == "waits"

    waiter.send(signal.SIGINT)

    assert waiter.line() == "interrupted 0"
    assert waiter.end()[0] == 0


def test_thousands_of_coroutines_wait_without_a_thread_each(run, controlled):
    controlled.app = app = run()
    controlled.job("solo")
    controlled.begun()
    before = threading.active_count()  # also those that earlier tests left for reuse

    async def wait():
        waits = [asyncio.create_task(app.await_idle()) for _ in range(2_000)]
        while len(app._runtime().store.idle.current()) < len(waits):  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0)
        threads = threading.active_count()
        controlled.release("solo")
        return await asyncio.gather(*waits), threads

    answers, threads = asyncio.run(wait())

    assert answers == [True] * 2_000
    assert threads - before < 60, "the few of asyncio's pool that each first look used"


def test_a_cancelled_coroutine_leaves_nothing_behind(paused):
    Plain.perform_async()

    async def wait():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await paused.await_idle()

    asyncio.run(wait())
    assert not paused._runtime().store.idle.waiters


def test_many_commits_are_followed_by_few_looks(run, controlled, monkeypatch):
    controlled.app = app = run(queues=("default", "mail"))
    controlled.job("solo")
    controlled.begun()
    looks = []
    real = JobReader.unfinished

    def noted(reader, queues, now):
        looks.append(time.monotonic())
        return real(reader, queues, now)

    monkeypatch.setattr(JobReader, "unfinished", noted)

    with waiting(AntQ.wait_idle, app) as outcomes:
        for _ in range(300):
            app.cancel_job(app.enqueue(Plain, schedule_in=LONG))
        seconds = time.monotonic() - looks[0]
        assert len(looks) <= 3 + seconds / 0.005
        controlled.release("solo")
    assert outcomes == [True]


# ---- what makes no sense -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        (-1, ValueError),
        (math.inf, ValueError),
        (math.nan, ValueError),
        (timedelta(seconds=-1), ValueError),
        ("1", TypeError),
        (True, TypeError),
    ],
    ids=str,
)
def test_a_timeout_that_makes_no_sense_is_refused_by_its_name(app, wait, timeout, error):
    with pytest.raises(error, match="timeout"):
        wait(app, timeout=timeout)


def test_a_queue_that_nothing_knows_is_unknown(app, wait):
    with pytest.raises(UnknownQueue, match=r"'mial'.*did you mean 'mail'"):
        wait(app, "mial")
    with pytest.raises(TypeError, match="queue"):
        wait(app, 5)


def test_a_queue_that_only_stored_jobs_know_can_be_waited_for(light, wait):
    job = light.enqueue(Plain, queue="elsewhere")
    assert wait(light, "elsewhere", timeout=0.01) is False

    light.cancel_job(job)

    assert wait(light, "elsewhere") is True


# ---- in a job ------------------------------------------------------------------------------------

results = {}


@worker(queue="mail", max_attempts=1, name="idle:in_a_thread")
def in_a_thread(key):
    results[key] = outcomes_in_a_job(current())


@worker(queue="mail", max_attempts=1, name="idle:in_a_coroutine")
async def in_a_coroutine(key):
    app = current()
    try:
        await app.await_idle()
    except ValueError as error:
        refused = str(error)
    results[key] = (
        refused,
        await app.await_idle(timeout=0.05),
        await app.await_idle("default", timeout=30),
    )


def outcomes_in_a_job(app):
    with pytest.raises(ValueError, match="timeout") as refused:
        app.wait_idle()
    return str(refused.value), app.wait_idle(timeout=0.05), app.wait_idle("default", timeout=30)


def current():
    return results["app"]


@pytest.mark.parametrize("job", [in_a_thread, in_a_coroutine])
def test_in_perform_a_timeout_is_needed_since_the_job_waits_for_itself(app, job):
    results["app"] = app
    key = job.__name__

    job.perform_async(key=key)

    assert app.wait_idle() is True
    refused, own, other = results.pop(key)
    assert "would wait for itself" in refused
    assert (own, other) == (False, True)


def test_a_queue_actor_told_to_pause_is_still_waited_for(app, wait):
    call(app.queue("mail").ref, Pause())
    app.enqueue(Plain, queue="mail")

    assert wait(app, "mail", timeout=0.02) is False


def test_a_job_due_by_the_clock_of_the_moment_is_waited_for(light, monkeypatch):
    light.enqueue(Plain, schedule_in=60)
    assert light.wait_idle() is True
    real = instant.now
    monkeypatch.setattr(light._runtime().idle, "_clock", lambda: real() + 61 * instant.SECOND)

    assert light.wait_idle(timeout=0) is False
