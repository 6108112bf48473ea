"""`testing`: an application for a test. Its jobs wait, or are performed where they are enqueued."""

import asyncio
import threading
from pathlib import Path

import pytest

from antq_actors import Fail, JobFailed, Middleware, NotStarted, Worker, chain, current_job, worker
from antq_actors.jobs import current_app
from antq_actors.testing import assert_enqueued, drain, recorded, refute_enqueued, testing

done = []


@worker(max_attempts=2)
def note(n, *, fails=False):
    done.append((n, threading.current_thread().name))
    if fails:
        raise ValueError(f"no {n}")


@worker
def spread(n):
    note.perform_async(n=n)
    note.perform_async(n=n + 1)


@worker(executor="process")
def for_a_process():
    note.perform_async(n=current_job().id)


@worker
async def in_a_loop():
    await note.aperform_async(n=1)
    note.perform_async(n=2)


class Follows(Worker):
    def perform(self, job):
        job.follow_up(note, {"n": 1})
        refute_enqueued(note)


class Tags(Middleware):
    def on_enqueue(self, draft):
        draft.meta["tag"] = "x"

    def around_job(self, job, call):
        done.append(job.meta["tag"])
        return call()


@worker
def returns_fail():
    return Fail("broken")


@pytest.fixture(autouse=True)
def fresh():
    done.clear()


def numbers():
    return [each[0] for each in done]


def test_manual_jobs_are_stored_and_no_more():
    with testing() as app:
        note.options(queue="any name").perform_async(n=1)

        assert app.count_jobs(status="enqueued") == 1
    assert done == []


def test_inline_jobs_are_performed_where_they_are_enqueued():
    with testing("inline") as app:
        job = note.perform_async(n=1)
        later = note.options(schedule_in=60).perform_async(n=2)

        assert app.get_job(job.id).status == "completed"
        assert app.get_job(later.id).status == "scheduled"
    assert done == [(1, threading.current_thread().name)]


def test_inline_jobs_run_within_the_middleware():
    with testing("inline", middleware=[Tags()]):
        note.perform_async(n=1)

    assert done[0] == "x"


def test_an_inline_failure_is_stored_and_raised_at_the_enqueue():
    with testing("inline") as app:
        with pytest.raises(ValueError, match="no 1"):
            note.perform_async(n=1, fails=True)
        (job,) = app.list_jobs()
        assert (job.status, job.errors[0].error) == ("retrying", "no 1")

        with pytest.raises(JobFailed, match=r"^broken$"):
            returns_fail.perform_async()


def test_inline_all_of_enqueue_many_and_what_they_enqueue_is_performed():
    with testing("inline") as app:
        ids = app.enqueue_many(spread, [{"n": 1}, {"n": 10}])

        assert len(ids) == 2
        assert app.count_jobs(status="completed") == 6
    assert numbers() == [1, 2, 10, 11]


def test_inline_a_job_for_a_process_runs_here_and_a_coroutine_in_a_loop_of_its_own():
    async def main():
        await in_a_loop.aperform_async()
        in_a_loop.perform_async()

    with testing("inline"):
        job = for_a_process.perform_async()
        assert numbers() == [job.id]
        in_a_loop.perform_async()
        asyncio.run(main())

    assert numbers()[1:] == [1, 2] * 3


def test_inline_what_a_job_leaves_behind_is_performed_after_it():
    with testing("inline") as app:
        Follows.perform_async()
        app.start_workflow(chain(note.build(n=2), note.build(n=3)))
        with app.batch("mail") as batch:
            batch.enqueue(note, {"n": 4})

        assert app.count_jobs(status="completed") == app.count_jobs()
    assert numbers() == [1, 2, 3, 4]


def test_inline_threads_perform_what_they_have_enqueued_themselves():
    def work(n):
        for each in range(20):
            note.perform_async(n=n * 100 + each)

    with testing("inline"):
        threads = [threading.Thread(target=work, args=(n,), name=f"thread {n}") for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(done) == 80
    assert all(name == f"thread {n // 100}" for n, name in done)


def test_blocks_nest_and_leave_nothing():
    with testing() as outer:
        with testing() as inner:
            note.perform_async(n=1)
            path = Path(inner.path)
            assert inner.count_jobs() == 1
            assert current_app.current() is inner
        note.perform_async(n=2)
        assert outer.count_jobs() == 1
        assert not path.exists()

    with pytest.raises(NotStarted):
        note.perform_async(n=3)


def test_a_wrong_mode_is_refused():
    with pytest.raises(ValueError, match="inlined"):
        testing(mode="inlined")
    with pytest.raises(TypeError, match="mode"):
        testing(mode=None)


def test_pytest_does_not_take_the_function_for_a_test():
    assert testing.__test__ is False


def test_what_is_enqueued_is_recorded_in_order_whatever_becomes_of_it():
    with testing("inline"), recorded() as outer:
        note.perform_async(n=1)
        with recorded() as inner:
            thread = threading.Thread(target=spread.perform_async, kwargs={"n": 5})
            thread.start()
            thread.join()
        with pytest.raises(ValueError, match="no 9"):
            note.perform_async(n=9, fails=True)
        with pytest.raises(TypeError):
            note.perform_async(m=1)

    assert isinstance(outer, list)
    assert [job.args["n"] for job in inner] == [5, 5, 6]
    assert [job.args["n"] for job in outer] == [1, 5, 5, 6, 9]
    assert {job.status for job in outer} == {"enqueued"}


def test_recording_needs_an_application():
    with pytest.raises(NotStarted), recorded():
        pass


def test_in_one_block_jobs_can_be_asserted_and_then_drained():
    with testing() as app:
        spread.perform_async(n=1)
        assert_enqueued(spread, {"n": 1}, count=1)
        drain(app)
        refute_enqueued(spread)
