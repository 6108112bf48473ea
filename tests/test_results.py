"""What perform returned, kept with the completion: stored, read, waited for, and deleted."""

import asyncio
import logging
import pickle
import threading
from datetime import timedelta

import pytest
from support.apps import settled, until

from antq_actors import (
    AlreadyExists,
    AntQ,
    Cancel,
    Concurrency,
    Fail,
    Job,
    JobCancelled,
    JobFailed,
    JobNotFound,
    NotStarted,
    RateLimit,
    Result,
    ResultNotKept,
    ResultTooLarge,
    Status,
    Unique,
    Worker,
    Workflow,
    worker,
)

SECONDS = 60


class Colour:
    def __init__(self, name):
        self.name = name

    def __eq__(self, other):
        return isinstance(other, Colour) and self.name == other.name

    def __hash__(self):
        return hash(self.name)


def copied(thing):
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - of this test


VALUES = [None, 0, "text", b"\x00\xff", [1, (2, {3})], {"a": {1: 2}}, 2**80, Colour("red")]


@worker(result=True)
def in_thread(number: int):
    return VALUES[number]


@worker(result=True)
async def in_coroutine(number: int):
    return VALUES[number]


@worker(result=True, executor="process")
def in_process(number: int):
    return VALUES[number]


@worker
def keeps_none():
    return 1


@worker(result=True)
def fails():
    raise KeyError("user_id")


@worker(result=True)
def cancels():
    return Cancel("no need")


@worker(result=True)
def echo(value):
    return value


@pytest.mark.parametrize("performed", [in_thread, in_coroutine, in_process])
def test_a_result_is_what_perform_returned_in_every_executor(app, performed):
    jobs = [app.enqueue(performed, {"number": number}) for number in range(len(VALUES))]

    for job, value in zip(jobs, VALUES, strict=True):
        result = job.result(timeout=SECONDS)
        assert (result, type(result)) == (value, type(value))
        assert app.result(job.id, timeout=0) == value  # any number of times, by its id as well


def test_a_worker_that_keeps_no_results_says_so_at_the_call_whatever_the_status(app):
    ended = settled(app, app.enqueue(keeps_none))
    waiting = app.enqueue(keeps_none, schedule_in=3600)

    for job in (ended, waiting):
        with pytest.raises(ResultNotKept, match=f"job {job.id} keeps no result.*result=True"):
            job.result()


def test_the_result_of_a_failed_job_raises_with_the_job_and_its_errors(app):
    job = app.enqueue(fails)

    with pytest.raises(JobFailed, match=r"failed: KeyError: 'user_id'") as caught:
        job.result(timeout=SECONDS)

    found = copied(caught.value)
    assert (found.job.id, found.job.status) == (job.id, Status.FAILED)
    assert "raise KeyError" in found.job.errors[0].stack_trace


def test_the_result_of_a_cancelled_job_raises_with_the_job(app):
    cancelled = app.cancel_job(app.enqueue(echo, {"value": 1}, schedule_in=3600))
    itself = app.enqueue(cancels)

    with pytest.raises(JobCancelled) as caught:
        cancelled.result()
    assert copied(caught.value).job == cancelled
    with pytest.raises(JobCancelled, match="no need"):
        itself.result(timeout=SECONDS)


def test_a_job_that_is_not_stored_is_not_found(app):
    job = settled(app, app.enqueue(echo, {"value": 1}))
    app.delete_job(job)

    for absent in (job, echo.build(value=1)):
        with pytest.raises(JobNotFound):
            absent.result()
    with pytest.raises(JobNotFound):
        app.result(4711)
    with pytest.raises(TypeError):
        app.result("7")


def test_a_result_that_is_late_is_a_timeout_error_and_zero_looks_once(app):
    job = app.enqueue(echo, {"value": 1}, schedule_in=3600)

    for timeout in (0, 0.01, timedelta(0)):
        with pytest.raises(TimeoutError, match=f"job {job.id} has not ended"):
            job.result(timeout=timeout)


@pytest.mark.parametrize(
    ("timeout", "error"),
    [(-1, ValueError), (float("inf"), ValueError), ("1", TypeError), (True, TypeError)],
)
def test_a_timeout_that_makes_no_sense_is_refused(app, timeout, error):
    job = app.enqueue(echo, {"value": 1}, schedule_in=3600)

    with pytest.raises(error, match="timeout"):
        job.result(timeout=timeout)
    with pytest.raises(error, match="timeout"):
        app.wait([job], timeout=timeout)


# ---- sizes, lives and options -------------------------------------------------------------------


@worker(result=Result(max_size=1000))
def small(size: int):
    return b"x" * size


def test_a_result_that_is_too_large_is_not_kept_and_its_job_is_completed(app, caplog):
    with caplog.at_level(logging.WARNING, "antq_actors.jobs"):
        job = settled(app, app.enqueue(small, {"size": 1001}))

    assert job.status is Status.COMPLETED
    (record,) = [each for each in caplog.records if "bytes" in each.message]
    assert (record.levelname, f"job #{job.id}" in record.message) == ("WARNING", True)
    with pytest.raises(ResultTooLarge, match=f"job {job.id}.* at most 1000"):
        job.result()
    assert app.enqueue(small, {"size": 900}).result(timeout=SECONDS) == b"x" * 900


@worker(result=True)
def unpicklable():
    return threading.Lock()


def test_a_result_that_cannot_be_pickled_is_not_kept_and_its_job_is_completed(app, caplog):
    with caplog.at_level(logging.WARNING, "antq_actors.jobs"):
        job = settled(app, app.enqueue(unpicklable))

    assert job.status is Status.COMPLETED
    assert [each.levelname for each in caplog.records if f"#{job.id}" in each.message] == [
        "WARNING"
    ]
    with pytest.raises(ResultNotKept, match=f"job {job.id}.*cannot be pickled"):
        job.result()


@worker(result=Result(ttl=0.05))
def short_lived():
    return 1


def test_a_result_with_a_ttl_is_not_kept_any_longer(app):
    job = settled(app, app.enqueue(short_lived))

    def is_gone():
        try:
            return job.result() != 1
        except ResultNotKept as error:
            return "ttl" in str(error)

    assert until(is_gone)


def test_the_ttl_of_a_result_waits_for_the_end_of_its_workflow(app):
    flow = Workflow("later")
    first = flow.add(short_lived)
    last = flow.add(echo, {"value": first.output}, schedule_in=0.3)
    run = app.start_workflow(flow, output=last)

    assert run.result(timeout=SECONDS) == 1


class Base(Worker, result=True):
    def perform(self, job):
        return "base"


class Inherits(Base):
    pass


class Off(Base, result=False):
    pass


def test_the_option_is_inherited_and_false_switches_it_off(app):
    assert app.enqueue(Inherits).result(timeout=SECONDS) == "base"
    with pytest.raises(ResultNotKept):
        app.enqueue(Off).result()


@pytest.mark.parametrize("value", [1, "yes", {"ttl": 1}, 3.5])
def test_an_option_that_is_no_result_is_refused_where_it_is_written(value):
    with pytest.raises(TypeError, match="result"):
        worker(result=value)(lambda: None)


@pytest.mark.parametrize(
    ("given", "error", "named"),
    [
        ({"ttl": -1}, ValueError, "ttl"),
        ({"ttl": 0}, ValueError, "ttl"),
        ({"ttl": "1"}, TypeError, "ttl"),
        ({"max_size": 0}, ValueError, "max_size"),
        ({"max_size": 1.5}, TypeError, "max_size"),
        ({"max_size": True}, TypeError, "max_size"),
    ],
)
def test_a_result_that_makes_no_sense_is_refused_where_it_is_made(given, error, named):
    with pytest.raises(error, match=named):
        Result(**given)


def test_a_result_is_a_value():
    assert Result(ttl=3600) == Result(ttl=timedelta(hours=1), max_size=1 << 20)
    assert copied(Result(ttl=1)) == Result(ttl=1)
    assert hash(Result()) == hash(Result())


# ---- with its job -------------------------------------------------------------------------------


runs: list[int] = []


@worker(result=True, max_attempts=2, retry_delay=0)
def second_time(job: Job):
    runs.append(job.id)
    return Fail("once") if job.attempts == 1 else len(runs)


def test_the_result_of_a_retry_is_that_of_the_last_attempt(app):
    runs.clear()

    assert app.enqueue(second_time).result(timeout=SECONDS) == 2


def test_a_retry_by_hand_deletes_the_result_until_the_job_has_completed_again(app):
    runs.clear()
    job = app.enqueue(second_time)
    job.result(timeout=SECONDS)
    app.queue("default").pause()

    retried = app.retry_job(job)

    with pytest.raises(TimeoutError):
        retried.result(timeout=0)
    app.queue("default").resume()
    assert retried.result(timeout=SECONDS) == 4


def test_nothing_is_left_of_the_results_of_deleted_and_pruned_jobs(tmp_path):
    with AntQ(tmp_path) as app:
        ids = app.enqueue_many(echo, [{"value": "kept" * 20}] * 3)
        app.wait(ids, timeout=SECONDS)
        app.delete_job(ids[0])
        assert app.verify() == []
    with AntQ(tmp_path, retention=0.001) as app:
        until(lambda: app.count_jobs() == 0)
        assert app.verify() == []
    with AntQ(tmp_path) as app:
        assert app.count_jobs() == 0


@worker
def asks(number: int, job: Job):
    with pytest.raises(ValueError, match="timeout"):
        job.result()
    assert app_of(job).result(number, timeout=SECONDS) == "other"


def app_of(job):
    return job._application()


@worker(result=True, executor="process")
def asks_in_process(number: int, job: Job):
    with pytest.raises(ValueError, match="timeout"):
        job.result()
    with pytest.raises(TimeoutError):
        job.result(timeout=0.01)
    return app_of(job).result(number, timeout=SECONDS)


@worker(result=True)
async def asks_in_coroutine(number: int, job: Job):
    with pytest.raises(ValueError, match="timeout"):
        await job.aresult()
    return await app_of(job).aresult(number, timeout=SECONDS)


def test_a_job_waits_for_another_with_a_timeout_alone(app):
    other = app.enqueue(echo, {"value": "other"}, schedule_in=0.2)

    assert settled(app, app.enqueue(asks, {"number": other.id})).errors == ()
    assert app.enqueue(asks_in_coroutine, {"number": other.id}).result(timeout=SECONDS) == "other"
    assert app.enqueue(asks_in_process, {"number": other.id}).result(timeout=SECONDS) == "other"


def asks_for(job, number):
    try:
        return app_of(job).result(number, timeout=SECONDS)
    except ValueError as error:
        return str(error)


async def asks_for_in_coroutine(job, number):
    try:
        return await app_of(job).aresult(number, timeout=SECONDS)
    except ValueError as error:
        return str(error)


ONE_OF_A_KEY = Concurrency(1, key="key", name="one of a key that waits")
TWO_OF_A_KEY = Concurrency(2, key="key", name="two of a key that wait")
SECOND_OF_A_KEY = RateLimit(1000, per=1, burst=1000, key="key", name="a rate of a key that waits")


@worker(result=True, limits=[ONE_OF_A_KEY])
def one_of_a_key(key: str, number: int, job: Job):
    return asks_for(job, number) if number else key


@worker(result=True, limits=[ONE_OF_A_KEY], executor="process")
def one_of_a_key_in_process(key: str, number: int, job: Job):
    return asks_for(job, number)


@worker(result=True, limits=[ONE_OF_A_KEY])
async def one_of_a_key_in_coroutine(key: str, number: int, job: Job):
    return await asks_for_in_coroutine(job, number)


@worker(result=True, limits=[TWO_OF_A_KEY])
def two_of_a_key(key: str, number: int, job: Job):
    return asks_for(job, number) if number else key


@worker(result=True, limits=[SECOND_OF_A_KEY])
def in_a_rate(key: str, number: int, job: Job):
    return asks_for(job, number) if number else key


@pytest.mark.parametrize(
    ("asking", "asked", "name"),
    [
        (one_of_a_key, one_of_a_key, "one of a key that waits"),
        (one_of_a_key_in_coroutine, one_of_a_key, "one of a key that waits"),
        (one_of_a_key_in_process, one_of_a_key, "one of a key that waits"),
        (two_of_a_key, two_of_a_key, "two of a key that wait"),
    ],
)
def test_waiting_in_a_job_for_one_of_the_same_key_is_refused(app, asking, asked, name):
    other = app.enqueue(asked, {"key": "acme", "number": 0}, schedule_in=1)

    job = app.enqueue(asking, {"key": "acme", "number": other.id})

    refused = job.result(timeout=SECONDS)
    assert f"job {other.id} " in refused
    assert f"job {job.id}," in refused
    assert f"the limit '{name}' at the key 'acme'" in refused
    assert other.result(timeout=SECONDS) == "acme"
    assert app.enqueue(asking, {"key": "acme", "number": other.id}).result(SECONDS) == "acme"


@pytest.mark.parametrize(
    ("asking", "asked", "key"),
    [
        (one_of_a_key, one_of_a_key, "globex"),
        (one_of_a_key, two_of_a_key, "acme"),
        (one_of_a_key_in_process, one_of_a_key, "globex"),
        (in_a_rate, in_a_rate, "acme"),
    ],
)
def test_waiting_in_a_job_for_one_that_needs_no_place_of_its_is_not_refused(
    app, asking, asked, key
):
    other = app.enqueue(asked, {"key": key, "number": 0}, schedule_in=0.1)

    job = app.enqueue(asking, {"key": "acme", "number": other.id})

    assert job.result(timeout=SECONDS) == key


def test_a_job_of_another_store_is_not_taken_for_one_of_the_same_key(app, tmp_path):
    with AntQ(tmp_path / "other") as elsewhere:
        other = elsewhere.enqueue(one_of_a_key, {"key": "acme", "number": 0}, schedule_in=0.1)
        found = []

        @worker(limits=[ONE_OF_A_KEY])
        def asks_elsewhere(key: str):
            found.append(other.result(timeout=SECONDS))

        assert settled(app, app.enqueue(asks_elsewhere, {"key": "acme"})).errors == ()

    assert found == ["acme"]


def test_a_job_asks_the_application_that_it_was_read_from(app, tmp_path):
    job = app.enqueue(echo, {"value": "mine"})
    with AntQ(tmp_path / "other") as other:
        theirs = other.enqueue(echo, {"value": "theirs"})

        assert job.id == theirs.id
        assert job.result(timeout=SECONDS) == "mine"
        assert app.get_job(job.id).result(timeout=SECONDS) == "mine"
        assert [each.result(timeout=SECONDS) for each in app.list_jobs()] == ["mine"]
        assert theirs.result(timeout=SECONDS) == "theirs"


def test_the_job_of_an_error_asks_the_application_that_raised_it(app, tmp_path):
    failed = app.enqueue(fails)
    with AntQ(tmp_path / "other") as other:
        other.enqueue(keeps_none)
        with pytest.raises(JobFailed) as caught:
            app.result(failed, timeout=SECONDS)
        with pytest.raises(JobFailed):
            caught.value.job.result(timeout=SECONDS)
        with pytest.raises(JobFailed) as caught:
            asyncio.run(app.aresult(failed, timeout=SECONDS))
        with pytest.raises(JobFailed):
            caught.value.job.result(timeout=SECONDS)


def test_a_result_is_awaited_in_an_event_loop(app):
    async def main():
        jobs = [app.enqueue(echo, {"value": n}, schedule_in=0.1) for n in range(50)]
        later = app.enqueue(echo, {"value": -1}, schedule_in=3600)
        with pytest.raises(TimeoutError):
            await later.aresult(timeout=0)
        return await asyncio.gather(*(job.aresult(timeout=SECONDS) for job in jobs))

    assert asyncio.run(main()) == list(range(50))


@pytest.mark.parametrize(
    "wait",
    [
        lambda _app, job: job.result(),
        lambda app, job: app.wait([job], return_when="first"),
        lambda _app, job: asyncio.run(job.aresult(timeout=SECONDS)),
        lambda app, job: asyncio.run(app.wait_async([job])),
    ],
)
def test_a_waiter_is_told_when_its_application_stops(tmp_path, wait):
    app = AntQ(tmp_path).start()
    job = app.enqueue(echo, {"value": 1}, schedule_in=3600)
    raised = []

    def note_error():
        try:
            wait(app, job)
        except NotStarted as error:
            raised.append(error)

    thread = threading.Thread(target=note_error)
    thread.start()
    until(lambda: app._running.store.waits.waiters)
    app.stop()
    thread.join(SECONDS)

    assert len(raised) == 1


# ---- many jobs ----------------------------------------------------------------------------------


def test_wait_returns_when_all_have_ended_however_that_was(app):
    jobs = [app.enqueue(each) for each in (keeps_none, fails, cancels)]
    jobs.append(app.enqueue(echo, {"value": 1}, schedule_in=0.1))

    done, not_done = app.wait(iter([*jobs, jobs[0].id]), timeout=SECONDS)

    assert [job.id for job in done] == [job.id for job in jobs]
    assert [job.status for job in done] == ["completed", "failed", "cancelled", "completed"]
    assert not_done == []
    assert done[3].result() == 1


def test_wait_returns_when_the_first_has_ended(app):
    later = app.enqueue(keeps_none, schedule_in=3600)
    soon = app.enqueue(keeps_none, schedule_in=0.1)

    done, not_done = app.wait([later.id, soon], timeout=SECONDS, return_when="first")

    assert [job.id for job in done] == [soon.id]
    assert not_done == [later]


def test_wait_returns_what_it_has_at_the_timeout(app):
    later = app.enqueue(keeps_none, schedule_in=3600)

    assert app.wait([later], timeout=0) == ([], [later])
    assert app.wait([], timeout=None) == ([], [])


def test_a_deleted_job_counts_as_done(app):
    later, other = (app.enqueue(keeps_none, schedule_in=3600) for _ in range(2))
    threading.Thread(target=lambda: until(waits_of(app)) and app.delete_job(later)).start()

    done, not_done = app.wait([later, other], timeout=SECONDS, return_when="first")

    assert (done, not_done) == ([later], [other])
    assert app.wait([later.id], timeout=0) == ([], [])


@pytest.mark.parametrize("id_", [-1, 2**64, 10**30])
def test_an_id_that_no_job_can_have_is_that_of_no_job(app, id_):
    job = app.enqueue(keeps_none, schedule_in=3600)

    assert app.wait([id_, job], timeout=0) == ([], [job])
    assert asyncio.run(app.wait_async([id_], timeout=SECONDS)) == ([], [])
    with pytest.raises(JobNotFound):
        app.result(id_, timeout=0)


def waits_of(app):
    return lambda: app._running.store.waits.waiters


@pytest.mark.parametrize(
    ("jobs", "options", "error", "named"),
    [
        (7, {}, TypeError, "iterable"),
        ("7", {}, TypeError, "iterable"),
        (["7"], {}, TypeError, "Job or its id"),
        ([7], {"return_when": "any"}, ValueError, "return_when"),
        ([7], {"return_when": None}, TypeError, "return_when"),
        ([keeps_none.build()], {}, JobNotFound, "built"),
    ],
)
def test_what_cannot_be_waited_for_is_refused(app, jobs, options, error, named):
    with pytest.raises(error, match=named):
        app.wait(jobs, **options)


@worker(result=True)
def waits(number: int, job: Job):
    with pytest.raises(ValueError, match="timeout"):
        app_of(job).wait([number])
    done, _ = app_of(job).wait([number], timeout=SECONDS)
    return [each.status for each in done]


def test_wait_in_a_job_needs_a_timeout(app):
    other = app.enqueue(keeps_none, schedule_in=0.1)

    assert app.enqueue(waits, {"number": other.id}).result(timeout=SECONDS) == ["completed"]


def test_many_coroutines_wait_for_jobs_without_a_thread_each(app):
    async def main():
        ids = app.enqueue_many(keeps_none, [{}] * 200, schedule_in=0.3)
        waits = [asyncio.create_task(app.wait_async([id_], timeout=SECONDS)) for id_ in ids]
        await asyncio.to_thread(until, lambda: len(waits_of(app)()) == len(ids))
        return threading.active_count(), await asyncio.gather(*waits)

    before = threading.active_count()
    threads, found = asyncio.run(main())

    assert threads - before < 100
    assert [len(done) for done, _ in found] == [1] * 200
    assert not app._running.store.waits.waiters


def test_nothing_is_left_of_waits_that_are_over(app):
    job = app.enqueue(echo, {"value": 1}, schedule_in=3600)
    for _ in range(100):
        with pytest.raises(TimeoutError):
            job.result(timeout=0)
    app.cancel_job(job)
    waits = app._running.store.waits

    until(lambda: app.wait([app.enqueue(keeps_none)], timeout=SECONDS))
    waits.index()

    assert (waits.waiters, waits._by_id, len(waits._news)) == (set(), {}, 0)


@worker(unique=Unique(args=["value"]), result=True)
def once(value: int):
    return value


def test_the_job_in_the_way_asks_the_application_that_refused(app, tmp_path):
    job = app.enqueue(once, {"value": 1}, schedule_in=3600)
    with AntQ(tmp_path / "other"):
        with pytest.raises(AlreadyExists) as caught:
            app.enqueue(once, {"value": 1})
        app.run_now(job)

        assert caught.value.job.id == job.id
        assert caught.value.job.result(timeout=SECONDS) == 1
