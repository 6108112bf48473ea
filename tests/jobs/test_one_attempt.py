"""One attempt: whatever the worker does, an outcome comes back."""

import asyncio
import logging
import math
import sys
from datetime import timedelta

import pytest
from msgspec.structs import replace

from antq_actors.errors import NotAWorker
from antq_actors.flow.limits import gate_id
from antq_actors.jobs import instant, lifecycle
from antq_actors.jobs.control import Control
from antq_actors.jobs.function_worker import worker
from antq_actors.jobs.outcome import (
    Cancel,
    Cancelled,
    Completed,
    Fail,
    Failed,
    GivenBack,
    RateLimited,
    Refused,
    Snooze,
    Snoozed,
)
from antq_actors.jobs.perform import Attempt, AttemptRunner
from antq_actors.jobs.state import GateRef, JobFlow, JobSpec, StoredJob
from antq_actors.jobs.worker import Worker

NOW = 1_000 * instant.SECOND


class Interrupt(BaseException):
    """What the layer above raises inside a performing thread."""


class Unprintable(Exception):
    def __init__(self, raises):
        self.raises = raises

    def __str__(self):
        raise self.raises


class Does(Worker):
    """Does what its only argument, a function, does."""

    def perform(self, job):
        return job.args["it"]()


def runner(
    worker=Does,
    args=None,
    *,
    number=1,
    max_attempts=1,
    name=None,
    queue="default",
    limits=(),
    load=None,
    failed=None,
    propagate=(),
):
    job = replace(worker.build(args or {}, max_attempts=max_attempts), id=4711, attempts=number)
    state = lifecycle.create(queue_name=queue, now=NOW, max_attempts=max_attempts)
    for _ in range(number):
        state = lifecycle.claim(state, node=1, now=NOW)
    flow = JobFlow(tuple(GateRef(gate_id(limit, b"a key")) for limit in limits))
    spec = JobSpec(name or job.worker, b"", NOW, flow=flow if limits else None)
    stored = StoredJob(4711, state, spec, ())
    return AttemptRunner(
        Attempt(stored, Control(), failed),
        load=lambda _stored, _read_errors: job if load is None else load(),
        run_coroutine=asyncio.run,
        clock=lambda: NOW,
        propagate=propagate,
    )


def performed(it, **options):
    """Return the outcome of a worker that does *it*."""
    return runner(Does, {"it": it}, **options).run()


def performed_on_a_loop(it, **options):
    class Work(Worker):
        async def perform(self, job):
            return await it()

    return asyncio.run(runner(Work, **options).run_async())


def raising(error):
    def it(*_):
        raise error

    return it


@pytest.mark.parametrize("value", [None, True, False, 0, "done", str, ValueError("x")])
def test_returning_any_ordinary_value_is_success(value):
    assert performed(lambda: value) == Completed()


@pytest.mark.parametrize("outcome", [Fail, Cancel, Snooze, RateLimited, Completed, Failed])
def test_an_outcome_class_without_an_instance_is_a_failed_attempt(outcome):
    said = performed(lambda: outcome)

    assert said.error.startswith(f"perform returned the class {outcome.__name__} and no instance")


@pytest.mark.parametrize(
    ("reason", "text"), [("no", "no"), (ValueError("no"), "no"), (404, "404"), ("", "")]
)
def test_a_returned_fail_is_a_failed_attempt_without_trace(reason, text):
    assert performed(lambda: Fail(reason)) == Failed(text, None)


def test_a_returned_cancel_cancels_with_its_reason():
    assert performed(lambda: Cancel("enough")) == Cancelled("enough")


@pytest.mark.parametrize("seconds", [5, 5.0, timedelta(seconds=5)])
def test_a_returned_snooze_puts_the_job_off(seconds):
    assert performed(lambda: Snooze(seconds)) == Snoozed(5.0)


@pytest.mark.parametrize("seconds", [5, 5.0, timedelta(seconds=5)])
def test_a_job_that_another_service_turned_away_is_given_back(seconds):
    assert performed(lambda: RateLimited(seconds)) == GivenBack(5.0, RateLimited(5.0))


@pytest.mark.parametrize("options", [{"limits": ["account", "proxy"]}, {"queue": "proxy"}])
def test_the_limit_that_another_service_wants_closed_may_be_named(options):
    limited = RateLimited(5.0, "proxy")

    assert performed(lambda: limited, **options) == GivenBack(5.0, limited)


@pytest.mark.parametrize("limits", [[], ["account", "proxies"]])
@pytest.mark.parametrize("name", ["proxy", "", chr(0xDCFF)])
def test_a_limit_that_the_job_does_not_have_is_a_failure_as_any_other(limits, name, caplog):
    class Refused(Worker, retry_delay=0.5):
        def perform(self, job):
            return RateLimited(60, name)

    outcome = runner(Refused, max_attempts=2, limits=limits).run()

    assert isinstance(outcome, Failed)
    assert repr(name) in outcome.error
    assert outcome.retry_in == 0.5
    assert "has no limit of that name" in caplog.text


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, "5", None, True, 1e300])
def test_a_snooze_with_a_bad_value_is_a_failed_attempt(seconds):
    outcome = performed(lambda: Snooze(seconds))

    assert isinstance(outcome, Failed)
    assert outcome.error.startswith("Snooze(seconds)")
    assert "in perform" in outcome.stack_trace


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no such address"), "no such address"),
        (ValueError(), "ValueError"),
        (SystemExit(3), "3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (StopIteration(), "StopIteration"),
        (ExceptionGroup("both", [ValueError("a"), KeyError("b")]), "both (2 sub-exceptions)"),
        (Unprintable(ValueError("again")), "Unprintable"),
        (Unprintable(SystemExit()), "Unprintable"),
        (Interrupt("unasked for"), "unasked for"),
    ],
)
def test_raising_anything_is_a_failed_attempt_with_text_and_trace(error, text):
    outcome = performed(raising(error))

    assert outcome.error == text
    assert "Traceback (most recent call last)" in outcome.stack_trace
    assert "in perform" in outcome.stack_trace
    assert "jobs/perform.py" not in outcome.stack_trace.replace(__file__, "")


def test_an_endless_recursion_is_a_failed_attempt():
    def it():
        return it()

    assert "recursion" in performed(it).error


@pytest.mark.parametrize("run", [performed, performed_on_a_loop])
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(None, Completed()), (Cancel("enough"), Cancelled("enough")), (Snooze(5), Snoozed(5.0))],
)
def test_a_coroutine_is_run_to_its_end_and_its_answer_counts(run, answer, outcome):
    async def work():
        await asyncio.sleep(0)
        return answer

    assert run(work) == outcome


def failing(error):
    async def work():
        await asyncio.sleep(0)
        raise error("no")

    return work


def test_a_coroutine_that_raises_is_a_failed_attempt():
    assert performed(failing(ValueError)).error == "no"


@pytest.mark.parametrize(
    "error", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError]
)
def test_on_an_event_loop_whatever_is_raised_is_a_failed_attempt(error):
    outcome = performed_on_a_loop(failing(error), max_attempts=2)

    assert (outcome.error, outcome.retry_in) == ("no", 10.0)


def test_on_an_event_loop_a_cancellation_passes_through():
    class Work(Worker):
        async def perform(self, job):
            await asyncio.get_running_loop().create_future()

    async def run():
        task = asyncio.ensure_future(runner(Work, propagate=(asyncio.CancelledError,)).run_async())
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())


def test_a_worker_is_made_anew_for_each_attempt():
    seen = []

    class Once(Worker):
        def perform(self, job):
            seen.append(self)

    runner(Once).run()
    runner(Once).run()

    assert len(set(map(id, seen))) == 2


def test_a_worker_that_cannot_be_made_is_a_failed_attempt():
    class Needy(Worker):
        def __init__(self, needs): ...

    assert "needs" in runner(Needy).run().error


def test_a_function_worker_gets_its_args_by_keyword():
    seen = []

    @worker
    def note(a, b=2):
        seen.append((a, b))
        return Cancel("seen")

    made = note.build(a=1)

    outcome = runner(name=made.worker, load=lambda: made).run()

    assert (outcome, seen) == (Cancelled("seen"), [(1, 2)])


def test_a_missing_worker_is_a_failed_attempt_that_will_be_retried():
    outcome = runner(name="shop_nowhere:Mail", max_attempts=2).run()

    assert outcome.error.startswith("job 4711 names the worker 'shop_nowhere:Mail'")
    assert outcome.retry_in == 10.0


def test_what_is_no_worker_is_refused_without_loading_the_args():
    loaded = []

    outcome = runner(name="os:system", load=lambda: loaded.append(1)).run()

    assert isinstance(outcome, Refused)
    assert loaded == []


@pytest.mark.parametrize("error", [ModuleNotFoundError("No module named 'x'"), SystemExit(3)])
def test_args_that_cannot_be_read_are_a_failed_attempt(error):
    outcome = runner(load=raising(error), max_attempts=2).run()

    assert outcome.error == (
        f"the arguments of job 4711 cannot be read: {type(error).__name__}: {error}"
    )
    assert outcome.retry_in == 10.0


class Delays(Worker):
    """Fails, then delays as its argument says."""

    def perform(self, job):
        raise ValueError("no")

    def calculate_delay(self, job):
        return job.args["delay"](job)


def delayed(delay, **options):
    options = {"number": 2, "max_attempts": 3} | options
    return runner(Delays, {"delay": delay}, **options).run().retry_in


def test_by_default_the_delay_is_ten_seconds_times_attempts():
    assert performed(raising(ValueError()), number=3, max_attempts=5).retry_in == 30.0


@pytest.mark.parametrize(
    ("answer", "seconds"), [(7, 7.0), (0, 0.0), (0.5, 0.5), (timedelta(minutes=1), 60.0)]
)
def test_a_worker_may_calculate_its_own_delay(answer, seconds):
    assert delayed(lambda job: answer) == seconds


@pytest.mark.parametrize(
    "delay",
    [
        *(lambda job, it=it: it for it in (-1, math.nan, math.inf, "5", None, True, 10**400)),
        raising(ValueError("no")),
        raising(SystemExit(3)),
        raising(Unprintable(ValueError())),
    ],
)
def test_a_delay_that_is_nonsense_or_raises_is_logged_and_the_default_is_used(delay, caplog):
    assert delayed(delay) == 20.0

    assert "no delay from calculate_delay" in caplog.text


def test_a_coroutine_as_delay_is_closed_and_the_default_is_used():
    async def later(job):
        return 5

    assert delayed(later) == 20.0


def test_a_delay_sees_the_failure_as_the_newest_error():
    seen = []

    delayed(lambda job: seen.append(job) or 5)

    newest = seen[0].errors[0]
    assert (seen[0].attempts, newest.attempt, newest.error) == (2, 2, "no")
    assert newest.attempted_at == instant.to_datetime(NOW)


def test_after_the_last_attempt_no_delay_is_asked_for():
    seen = []

    delayed(seen.append, number=3)

    assert seen == []


@pytest.mark.parametrize(
    ("number", "level", "said"),
    [
        (1, logging.WARNING, "failed on attempt 1/2, will retry: ValueError: no"),
        (2, logging.ERROR, "failed permanently after attempt 2/2: ValueError: no"),
    ],
    ids=["attempts left", "the last"],
)
def test_a_failure_is_a_warning_while_attempts_are_left_and_then_an_error(
    caplog, number, level, said
):
    performed(raising(ValueError("no")), number=number, max_attempts=2)

    line = f"{__name__}:Does (job #4711) {said}"
    assert caplog.record_tuples == [("antq_actors.jobs", level, line)]


def test_a_refusal_is_logged_as_an_error(caplog):
    runner(name="os:system").run()

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "(job #4711) was refused: NotAWorker: " in record.getMessage()
    assert record.exc_info[0] is NotAWorker
    assert record.job_id == 4711


def raises_key_error():
    return {}["user_id"]


def test_the_type_of_an_exception_is_kept_beside_its_text():
    outcome = performed(raises_key_error)

    assert (outcome.error, outcome.error_type) == ("'user_id'", "KeyError")


@pytest.mark.parametrize("said", [Fail("no"), Fail(ValueError("no")), Fail])
def test_a_failure_without_an_exception_has_no_type(said):
    assert performed(lambda: said).error_type is None


@pytest.mark.parametrize("number", [1, 2])
def test_the_record_of_a_failed_attempt_has_the_exception_from_the_users_frame_on(caplog, number):
    performed(raises_key_error, number=number, max_attempts=2)

    (record,) = caplog.records
    kind, error, frames = record.exc_info
    assert record.getMessage().endswith(": KeyError: 'user_id'")
    assert (kind, error.args) == (KeyError, ("user_id",))
    assert frames.tb_frame.f_code is Does.perform.__code__
    assert record.stack_info is None


def test_the_record_of_a_coroutine_that_failed_has_the_exception(caplog):
    async def fails():
        return raises_key_error()

    asyncio.run(runner(Does, {"it": fails}).run_async())

    (record,) = caplog.records
    assert record.exc_info[0] is KeyError
    assert record.exc_info[2].tb_frame.f_code is fails.__code__


def test_a_record_says_of_which_attempt_it_is(caplog):
    made = runner(Does, {"it": raises_key_error}, number=2, max_attempts=3, queue="mail")

    made.run()

    (record,) = caplog.records
    assert (record.job_id, record.worker) == (4711, f"{__name__}:Does")
    assert (record.queue, record.attempt) == ("mail", 2)


def test_a_failure_without_an_exception_is_logged_without_one(caplog):
    performed(lambda: Fail("card declined"))

    (record,) = caplog.records
    assert record.getMessage().endswith(": card declined")
    assert (record.exc_info, record.stack_info) == (None, None)


def test_a_failure_from_outside_is_logged_with_the_place_where_it_was(caplog):
    runner(failed=Failed("timed out after 5 s", "Traceback: here", None, "TimeoutError")).run()

    (record,) = caplog.records
    assert record.getMessage().endswith("1/1: TimeoutError: timed out after 5 s")
    assert (record.exc_info, record.stack_info) == (None, "Traceback: here")


def test_calculate_delay_sees_the_type_of_the_error():
    seen = []

    class Asks(Worker):
        def perform(self, job):
            raise KeyError("user_id")

        def calculate_delay(self, job):
            seen.append((job.errors[0].error_type, job.errors[0].summary))
            return 1.0

    runner(Asks, max_attempts=2).run()

    assert seen == [("KeyError", "KeyError: 'user_id'")]


@pytest.fixture
def raising_handler():
    class Raising(logging.Handler):
        def emit(self, record):
            raise SystemExit

    handler = Raising()
    logger = logging.getLogger("antq_actors.jobs")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


@pytest.mark.usefixtures("raising_handler")
def test_a_log_handler_that_raises_changes_no_outcome():
    assert performed(raising(ValueError("no"))).error == "no"


def interrupt():
    raise Interrupt


class InterruptedDelay(Does):
    def calculate_delay(self, job):
        interrupt()


@pytest.mark.parametrize(
    ("worker", "options"),
    [
        (Does, {"args": {"it": interrupt}}),
        (Does, {"args": {"it": raising(Unprintable(Interrupt()))}}),
        (Does, {"args": {"it": lambda: Fail(Unprintable(Interrupt()))}}),
        (Does, {"load": interrupt}),
        (Does, {"load": raising(Unprintable(Interrupt()))}),
        (InterruptedDelay, {"args": {"it": raising(ValueError())}, "max_attempts": 2}),
    ],
    ids=["perform", "text", "reason", "load", "text of load", "delay"],
)
def test_an_interruption_the_caller_asks_for_leaves_run_from_anywhere(worker, options):
    with pytest.raises(Interrupt):
        runner(worker, **options, propagate=(Interrupt,)).run()


def test_an_interruption_at_any_line_leaves_run_or_comes_after_it():
    """Raise an Interrupt at the n-th line of the executor, for every n there is."""

    def fail():  # by another exception each time: the traceback of one that is raised again grows
        raise ValueError("no")

    args = {"it": fail}
    left = lines = 0

    while True:
        lines += 1
        made = runner(InterruptibleDelay, args, max_attempts=2, propagate=(Interrupt,))
        tracer = InterruptAt(lines)
        sys.settrace(tracer)
        try:
            made.run()
        except Interrupt:
            left += 1
        else:
            break
        finally:
            sys.settrace(None)

    assert left > 50
    assert tracer.remaining > 0


class InterruptibleDelay(Does):
    def calculate_delay(self, job):
        return 5


class InterruptAt:
    """A trace function that raises at the n-th line run in the files of the jobs layer."""

    def __init__(self, n):
        self.remaining = n

    def __call__(self, frame, event, arg):
        if "antq_actors/jobs/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            self.remaining -= 1
            if self.remaining == 0:
                raise Interrupt
        return self


def test_an_attempt_ended_from_outside_asks_its_worker_for_the_delay(caplog):
    args = {"delay": lambda job: len(job.errors[0].error)}
    timed_out = Failed("timed out after 5 s", retry_in=None)

    outcome = runner(Delays, args, max_attempts=2, failed=timed_out).run()

    assert outcome == Failed("timed out after 5 s", None, 19.0)
    assert "failed on attempt 1/2, will retry: timed out after 5 s" in caplog.text


@pytest.mark.parametrize(
    "options",
    [{"name": "shop_nowhere:Mail"}, {"name": "os:system"}, {"load": raising(SystemExit())}],
    ids=["no module", "no worker", "no args"],
)
def test_an_attempt_ended_from_outside_has_the_default_delay_without_its_worker(options):
    killed = Failed("killed", retry_in=None)

    outcome = runner(max_attempts=2, failed=killed, **options).run()

    assert outcome == Failed("killed", None, 10.0)
