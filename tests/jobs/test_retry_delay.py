"""How long a failed job waits, as its option says."""

import asyncio
import functools
import math
from datetime import timedelta

import pytest
from msgspec.structs import replace
from support.apps import settled

from antq_actors import Backoff, Worker, current_job, otp, worker
from antq_actors.jobs import lifecycle
from antq_actors.jobs.control import Control
from antq_actors.jobs.outcome import Failed
from antq_actors.jobs.perform import Attempt, AttemptRunner
from antq_actors.jobs.retry_delay import check_retry_delay
from antq_actors.jobs.state import JobSpec, StoredJob


def by_attempts(job):
    return 7 * job.attempts


class AsyncCallable:
    async def __call__(self, job):
        return 1


def failing(name=None, **options):
    class Fails(Worker, name=name, **options):
        def perform(self, job):
            raise ConnectionError("503")

    return Fails


def retry_in(fails, attempt):
    """The seconds to the next attempt, after *attempt* of a job of *fails* failed."""
    job = replace(fails.build(), id=1, attempts=attempt)
    state = lifecycle.create(queue_name="default", now=0, max_attempts=attempt + 1)
    for _ in range(attempt):
        state = lifecycle.claim(state, node=1, now=0)
    stored = StoredJob(1, state, JobSpec(job.worker, b"", 0), ())
    outcome = AttemptRunner(Attempt(stored, Control()), lambda *_: job, asyncio.run).run()
    assert isinstance(outcome, Failed)
    return outcome.retry_in


@pytest.mark.parametrize(
    ("retry_delay", "seconds"),
    [
        (0, [0, 0, 0]),
        (2.5, [2.5, 2.5, 2.5]),
        (timedelta(minutes=1), [60, 60, 60]),
        (Backoff(first=10, longest=35), [10, 20, 35]),
        (Backoff(first=timedelta(seconds=1), longest=3600, factor=10), [1, 10, 100]),
        (by_attempts, [7, 14, 21]),
        (lambda job: timedelta(seconds=job.attempts), [1, 2, 3]),
        (functools.partial(lambda seconds, job: seconds, 5), [5, 5, 5]),
        (lambda job: len(job.errors), [1, 1, 1]),
        (lambda job: current_job().attempts, [1, 2, 3]),
        (None, [10, 20, 30]),
    ],
)
def test_a_failed_job_waits_as_its_retry_delay_says(retry_delay, seconds):
    one = failing(retry_delay=retry_delay)

    @worker(retry_delay=retry_delay)
    def fails():
        raise ConnectionError("503")

    for attempt, wanted in enumerate(seconds, start=1):
        assert retry_in(one, attempt) == wanted
        assert retry_in(fails, attempt) == wanted


def test_jitter_moves_each_delay_by_up_to_its_share():
    shaken = failing(retry_delay=Backoff(first=100, longest=100, jitter=0.5))

    delays = {retry_in(shaken, 1) for _ in range(50)}

    assert len(delays) > 1
    assert all(50 <= delay <= 150 for delay in delays)


@pytest.mark.parametrize(
    "wrong", ["10", b"1", True, [10], {}, object(), Backoff, float, lambda: 1, lambda a, b: 1]
)
def test_a_retry_delay_of_the_wrong_type_is_refused_at_definition(wrong):
    with pytest.raises(TypeError, match="retry_delay"):
        failing(retry_delay=wrong)
    with pytest.raises(TypeError, match="retry_delay"):
        worker(retry_delay=wrong)(lambda: None)


@pytest.mark.parametrize(
    "wrong",
    [
        *(-1, -0.1, math.nan, math.inf, 1e300, timedelta(seconds=-1)),
        Backoff(first=1, longest=1e300),  # which would wait beyond the calendar
    ],
)
def test_a_retry_delay_out_of_range_is_refused_at_definition(wrong):
    with pytest.raises(ValueError, match="retry_delay"):
        failing(retry_delay=wrong)


def test_a_coroutine_function_is_no_retry_delay():
    async def later(job):
        return 1

    for wrong in (later, AsyncCallable()):
        with pytest.raises(TypeError, match="retry_delay is called and not awaited"):
            failing(retry_delay=wrong)


def test_a_retry_delay_beside_a_calculate_delay_is_refused():
    class Own:
        def calculate_delay(self, job):
            return 1

    with pytest.raises(TypeError, match="retry_delay beside a calculate_delay"):

        class Both(Own, Worker, retry_delay=5):
            def perform(self, job): ...

    with pytest.raises(TypeError, match="write one of them"):

        class Beside(Worker, retry_delay=5):
            def perform(self, job): ...

            def calculate_delay(self, job):
                return 1


def test_a_retry_delay_is_inherited_and_can_be_set_anew():
    base = failing(retry_delay=5)

    class Same(base): ...

    class Other(base, retry_delay=6): ...

    class Default(base, retry_delay=None): ...

    class Own(base):
        def calculate_delay(self, job):
            return 2 * super().calculate_delay(job)

    assert [retry_in(each, 1) for each in (Same, Other, Default, Own)] == [5, 6, 10, 10]


@pytest.mark.parametrize(
    "nonsense",
    [
        lambda job: 1 / 0,
        lambda job: "soon",
        lambda job: None,
        lambda job: -1,
        lambda job: math.nan,
        lambda job: Backoff(),
    ],
)
def test_a_function_without_a_delay_is_logged_and_the_default_used(nonsense, caplog):
    assert retry_in(failing(retry_delay=nonsense), 3) == 30
    (record,) = [each for each in caplog.records if "no delay" in each.getMessage()]
    assert record.levelname == "WARNING"
    assert "no delay from retry_delay" in record.getMessage()


def test_a_retry_delay_is_no_option_of_one_job():
    with pytest.raises(TypeError, match="unknown option 'retry_delay'"):
        failing().build({}, retry_delay=5)


def test_the_backoff_of_jobs_is_that_of_supervisors():
    assert Backoff is otp.Backoff
    assert check_retry_delay(Backoff()) == Backoff()


def test_a_failed_job_is_due_again_after_its_retry_delay(paused):
    soon = failing("soon", retry_delay=0, max_attempts=2)
    late = failing("late", retry_delay=Backoff(first=1000, longest=1000), max_attempts=2)
    jobs = [each.perform_async() for each in (soon, late)]

    paused.queue("default").resume()

    assert settled(paused, jobs[0]).attempts == 2
    waits = settled(paused, jobs[1], "retrying")
    assert 999 < (waits.scheduled_at - waits.errors[0].attempted_at).total_seconds() < 1001
