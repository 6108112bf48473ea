"""What a worker actor's end says about its job: a table."""

import pytest

from antq_actors.jobs import lifecycle
from antq_actors.jobs.control import Control
from antq_actors.jobs.outcome import (
    Cancelled,
    Completed,
    Failed,
    GivenBack,
    Interrupted,
    NotRun,
    Refused,
    Snoozed,
)
from antq_actors.jobs.perform import Attempt
from antq_actors.jobs.state import JobSpec, StoredJob
from antq_actors.otp import Crash, Killed, NoProc, Normal, Shutdown
from antq_actors.queues.execution import RunningAttempt, StopCause, verdict

BY_ITSELF, TIMEOUT, STOP, CANCEL = (
    None,
    StopCause.TIMEOUT,
    StopCause.STOP,
    StopCause.CANCEL,
)
OTHER_EXECUTOR = NotRun("its worker wants another executor", "async")
CANCELLED = Cancelled("cancelled while it was running")
COMPLETED = Shutdown(Completed())
TIMED_OUT = Failed("timed out after 1.5 s", None, None, "TimeoutError")
FAILED = Shutdown(Failed("no", "trace", 3.0))


def died(error, stack_trace=None):
    """Return a failure whose worker has not been asked for the delay."""
    return Failed(error, stack_trace, retry_in=None)


def an_execution(*, timeout=None, attempts=1, failure=None, cause=None):
    state = lifecycle.create(queue_name="default", now=0, max_attempts=9)
    for _ in range(attempts):
        state = lifecycle.claim(state, node=1, now=0)
    job = StoredJob(7, state, JobSpec("w", b"", 0, timeout), ())
    return RunningAttempt(Attempt(job, Control(), failure), ref=None, stop_cause=cause)


@pytest.mark.parametrize(
    ("reason", "cause", "outcome"),
    [
        (COMPLETED, BY_ITSELF, Completed()),
        (FAILED, BY_ITSELF, Failed("no", "trace", 3.0)),
        (Shutdown(Snoozed(4.0)), BY_ITSELF, Snoozed(4.0)),
        # Told to stop, it may still end by itself.
        (COMPLETED, STOP, Completed()),
        (FAILED, STOP, Failed("no", "trace", 3.0)),
        (Shutdown(STOP), STOP, GivenBack()),
        (Killed(), STOP, GivenBack()),
        (Crash(ValueError("x")), STOP, GivenBack()),
        # Too late is too late.
        (COMPLETED, TIMEOUT, TIMED_OUT),
        (FAILED, TIMEOUT, TIMED_OUT),
        (Shutdown(TIMEOUT), TIMEOUT, TIMED_OUT),
        (Killed(), TIMEOUT, TIMED_OUT),
        # What was cancelled may still end by itself; the lifecycle knows that it was cancelled.
        (COMPLETED, CANCEL, Completed()),
        (FAILED, CANCEL, Failed("no", "trace", 3.0)),
        (Shutdown(CANCEL), CANCEL, CANCELLED),
        (Killed(), CANCEL, CANCELLED),
        # What ran it has died, was lost, or was none that could run it.
        (Shutdown(died("segfault", "tail")), BY_ITSELF, died("segfault", "tail")),
        (Shutdown(died("segfault")), STOP, GivenBack()),
        (Shutdown(died("segfault")), CANCEL, CANCELLED),
        (Shutdown(died("x")), TIMEOUT, TIMED_OUT),
        (Shutdown(Interrupted("node")), BY_ITSELF, Interrupted("node")),
        (Shutdown(Interrupted("node")), STOP, GivenBack()),
        (Shutdown(NotRun("no loop")), BY_ITSELF, NotRun("no loop")),
        (Shutdown(NotRun("no loop")), STOP, GivenBack()),
        (Shutdown(OTHER_EXECUTOR), BY_ITSELF, OTHER_EXECUTOR),
        (Shutdown(OTHER_EXECUTOR), STOP, GivenBack()),
        (Shutdown(OTHER_EXECUTOR), CANCEL, CANCELLED),
        (Shutdown(Refused("no worker")), BY_ITSELF, Refused("no worker")),
        # Ended by others, or by accident.
        (Killed(), BY_ITSELF, died("worker actor was killed")),
        (Crash(ValueError("x")), BY_ITSELF, died("worker actor crashed: ValueError: x")),
        (Shutdown(), BY_ITSELF, died("worker actor ended: Shutdown()")),
        (Normal(), BY_ITSELF, died("worker actor ended: Normal()")),
        (NoProc(), BY_ITSELF, died("worker actor ended: NoProc()")),
    ],
)
def test_the_end_of_a_worker_actor_is_an_outcome(reason, cause, outcome):
    assert verdict(an_execution(timeout=1.5, cause=cause), reason) == outcome


@pytest.mark.parametrize("cause", [BY_ITSELF, TIMEOUT, STOP])
@pytest.mark.parametrize(
    "reason",
    [Killed(), Shutdown(TIMEOUT), Crash(ValueError()), Normal(), Shutdown(died("segfault"))],
)
def test_a_failure_whose_delay_could_not_be_worked_out_gets_the_default(reason, cause):
    execution = an_execution(attempts=2, failure=died("timed out after 1 s"), cause=cause)

    assert verdict(execution, reason) == Failed("timed out after 1 s", None, 20.0)


@pytest.mark.parametrize("cause", [BY_ITSELF, TIMEOUT, STOP])
def test_a_failure_whose_delay_was_worked_out_has_that(cause):
    execution = an_execution(failure=died("killed"), cause=cause)

    assert verdict(execution, FAILED) == Failed("no", "trace", 3.0)


@pytest.mark.parametrize(
    ("timeout", "text"), [(30.0, "30"), (0.25, "0.25"), (1e-3, "0.001"), (3600.0, "3600")]
)
def test_a_timeout_is_told_in_seconds_as_one_writes_them(timeout, text):
    execution = an_execution(timeout=timeout, cause=TIMEOUT)

    assert verdict(execution, Killed()) == Failed(
        f"timed out after {text} s", None, None, "TimeoutError"
    )


def test_a_timeout_has_the_place_where_the_attempt_was():
    execution = an_execution(timeout=1.5, cause=TIMEOUT)
    execution.attempt.control.place = "Traceback:\n  in perform\n"

    trace = "Traceback:\n  in perform\nTimeoutError: timed out after 1.5 s\n"
    assert verdict(execution, Killed()) == Failed(
        "timed out after 1.5 s", trace, None, "TimeoutError"
    )
