"""What looks at jobs and changes them has a twin for coroutines, which does the same."""

import asyncio
import inspect
import threading

import pytest
from support.apps import Plain

from antq_actors import (
    AntQ,
    InvalidSchedule,
    JobNotFound,
    NotCancellable,
    NotRetryable,
    NotStarted,
    Status,
)
from antq_actors.app.queries import ListFilters

TWINS = {
    "alist_jobs": "list_jobs",
    "acount_jobs": "count_jobs",
    "aget_job": "get_job",
    "acancel_job": "cancel_job",
    "aretry_job": "retry_job",
    "adelete_job": "delete_job",
    "arun_now": "run_now",
    "areschedule": "reschedule",
    "aenqueue": "enqueue",
    "aenqueue_many": "enqueue_many",
}


@pytest.fixture
def stored(light):
    """Four jobs, of which the second is cancelled."""
    light.enqueue_many(Plain, ({"n": n} for n in range(4)))
    light.cancel_job(2)
    return light


@pytest.mark.parametrize("twin", TWINS)
def test_a_twin_takes_what_the_method_takes(twin):
    own = getattr(AntQ, twin)
    parameters = inspect.signature(getattr(AntQ, TWINS[twin])).parameters

    assert inspect.iscoroutinefunction(own)
    assert f":meth:`{TWINS[twin]}`" in own.__doc__
    if twin == "alist_jobs":
        assert set(ListFilters.__annotations__) == set(parameters) - {"self"}
    else:
        assert inspect.signature(own).parameters == parameters


def test_twins_look_at_jobs_as_the_methods_do(stored):
    async def look():
        return (
            await stored.alist_jobs(status="enqueued", newest_first=True, limit=2),
            await stored.alist_jobs(worker=Plain, args={"n": 1}),
            await stored.acount_jobs(status="enqueued", queue="default", worker=Plain),
            await stored.aget_job(3),
        )

    page, found, number, job = asyncio.run(look())

    assert page == stored.list_jobs(status="enqueued", newest_first=True, limit=2)
    assert [each.id for each in found] == [2]
    assert number == 3
    assert job == stored.get_job(3)


def test_twins_change_jobs_as_the_methods_do(stored):
    async def change():
        cancelled = await stored.acancel_job(1)
        retried = await stored.aretry_job(cancelled)
        later = await stored.areschedule(retried, schedule_in=60)
        due = await stored.arun_now(later)
        await stored.adelete_job(due)
        return cancelled, retried, later, due

    cancelled, retried, later, due = asyncio.run(change())

    assert (cancelled.status, retried.status) == (Status.CANCELLED, Status.ENQUEUED)
    assert (later.status, due.status) == (Status.SCHEDULED, Status.SCHEDULED)
    assert retried.scheduled_at < due.scheduled_at < later.scheduled_at
    with pytest.raises(JobNotFound):
        stored.get_job(1)


@pytest.mark.parametrize(
    ("look", "error"),
    [
        (lambda app: app.aget_job(4711), JobNotFound),
        (lambda app: app.acancel_job("1"), TypeError),
        (lambda app: app.aretry_job(1), NotRetryable),
        (lambda app: app.adelete_job(4711), JobNotFound),
        (lambda app: app.arun_now(2), NotRetryable),
        (lambda app: app.areschedule(1), InvalidSchedule),
        (lambda app: app.alist_jobs(limit=-1), ValueError),
        (lambda app: app.alist_jobs(status="odd"), ValueError),
        (lambda app: app.acount_jobs(queue=5), TypeError),
    ],
)
def test_twins_refuse_what_the_methods_refuse(stored, look, error):
    with pytest.raises(error):
        asyncio.run(look(stored))


def test_what_has_ended_is_not_cancelled_by_a_twin(app):
    job = app.enqueue(Plain)
    assert app.wait_idle(timeout=60)

    with pytest.raises(NotCancellable) as refused:
        asyncio.run(app.acancel_job(job))

    assert refused.value.status is Status.COMPLETED


def test_a_filter_that_does_not_exist_is_refused_with_a_hint(stored):
    with pytest.raises(TypeError, match=r"'newest'.*did you mean 'newest_first'\?"):
        asyncio.run(stored.alist_jobs(newest=True))


def test_a_twin_warns_of_an_unknown_name_where_it_is_awaited(stored):
    async def look():
        await stored.alist_jobs(queue="defualt")
        await stored.acount_jobs(worker="Plian")

    with pytest.warns(UserWarning, match="no job") as warned:
        asyncio.run(look())

    assert [each.filename for each in warned] == [__file__] * 2
    assert "did you mean 'default'?" in str(warned[0].message)


def test_a_twin_leaves_its_event_loop_free(stored):
    began, let_go = threading.Event(), threading.Event()

    class Slow:
        def __ne__(self, _other):
            began.set()
            return not let_go.wait(60)

    async def look():
        looking = asyncio.create_task(stored.alist_jobs(args={"n": Slow()}, limit=1))
        assert await asyncio.to_thread(began.wait, 60)
        let_go.set()  # by the loop, while the list is being made
        return await looking

    assert [job.id for job in asyncio.run(look())] == [1]


def test_twins_of_an_application_that_does_not_run_raise_not_started():
    with pytest.raises(NotStarted):
        asyncio.run(AntQ().alist_jobs())


def test_an_error_about_an_argument_of_a_verb_names_the_application():
    with pytest.raises(TypeError, match=r"^AntQ\.get_job\(\)"):
        AntQ().get_job(number=1)
