"""What a worker actor's end says about its job: a table."""

import pytest

from antq_actors.executors.base import Assignment, Died, Elsewhere, Finished, Lost, Unready
from antq_actors.jobs import lifecycle
from antq_actors.jobs.control import Control
from antq_actors.jobs.outcome import Cancelled, Completed, Failed, GivenBack, Refused, Snoozed
from antq_actors.jobs.state import JobSpec, StoredJob
from antq_actors.otp import Crash, Killed, NoProc, Normal, Shutdown
from antq_actors.queues.execution import RunningAttempt, StopCause, Unreported, verdict

BY_ITSELF, TIMEOUT, STOP, CANCEL = (
    None,
    StopCause.TIMEOUT,
    StopCause.STOP,
    StopCause.CANCEL,
)
CANCELLED = Cancelled("cancelled while it was running")
COMPLETED = Shutdown(Finished(Completed()))
TIMED_OUT = Unreported("timed out after 1.5 s", None, "TimeoutError")
FAILED = Shutdown(Finished(Failed("no", "trace", 3.0)))


def an_execution(*, timeout=None, attempts=1, failure=None, cause=None):
    state = lifecycle.create(queue_name="default", now=0, max_attempts=9)
    for _ in range(attempts):
        state = lifecycle.claim(state, node=1, now=0)
    job = StoredJob(7, state, JobSpec("w", b"", 0, timeout), ())
    return RunningAttempt(Assignment(job, Control(), failure), ref=None, stop_cause=cause)


@pytest.mark.parametrize(
    ("reason", "cause", "outcome"),
    [
        (COMPLETED, BY_ITSELF, Completed()),
        (FAILED, BY_ITSELF, Failed("no", "trace", 3.0)),
        (Shutdown(Finished(Snoozed(4.0))), BY_ITSELF, Snoozed(4.0)),
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
        (Shutdown(Finished(Died("segfault", "tail"))), BY_ITSELF, Unreported("segfault", "tail")),
        (Shutdown(Finished(Died("segfault"))), STOP, GivenBack()),
        (Shutdown(Finished(Died("segfault"))), CANCEL, CANCELLED),
        (Shutdown(Finished(Died("x"))), TIMEOUT, TIMED_OUT),
        (Shutdown(Finished(Lost("node"))), BY_ITSELF, Lost("node")),
        (Shutdown(Finished(Lost("node"))), STOP, GivenBack()),
        (Shutdown(Finished(Unready("no loop"))), BY_ITSELF, Unready("no loop")),
        (Shutdown(Finished(Unready("no loop"))), STOP, GivenBack()),
        (Shutdown(Finished(Elsewhere("async"))), BY_ITSELF, Elsewhere("async")),
        (Shutdown(Finished(Elsewhere("async"))), STOP, GivenBack()),
        (Shutdown(Finished(Elsewhere("async"))), CANCEL, CANCELLED),
        (Shutdown(Finished(Refused("no worker"))), BY_ITSELF, Refused("no worker")),
        # Ended by others, or by accident.
        (Killed(), BY_ITSELF, Unreported("worker actor was killed")),
        (Crash(ValueError("x")), BY_ITSELF, Unreported("worker actor crashed: ValueError: x")),
        (Shutdown(), BY_ITSELF, Unreported("worker actor ended: Shutdown()")),
        (Normal(), BY_ITSELF, Unreported("worker actor ended: Normal()")),
        (NoProc(), BY_ITSELF, Unreported("worker actor ended: NoProc()")),
    ],
)
def test_the_end_of_a_worker_actor_is_an_outcome(reason, cause, outcome):
    assert verdict(an_execution(timeout=1.5, cause=cause), reason) == outcome


@pytest.mark.parametrize("cause", [BY_ITSELF, TIMEOUT, STOP])
@pytest.mark.parametrize("reason", [Killed(), Shutdown(TIMEOUT), Crash(ValueError()), Normal()])
def test_a_failure_whose_delay_could_not_be_worked_out_gets_the_default(reason, cause):
    execution = an_execution(attempts=2, failure="timed out after 1 s", cause=cause)

    assert verdict(execution, reason) == Failed("timed out after 1 s", None, 20.0)


@pytest.mark.parametrize("cause", [BY_ITSELF, TIMEOUT, STOP])
def test_a_failure_whose_delay_was_worked_out_has_that(cause):
    execution = an_execution(failure="killed", cause=cause)

    assert verdict(execution, FAILED) == Failed("no", "trace", 3.0)


@pytest.mark.parametrize(
    ("timeout", "text"), [(30.0, "30"), (0.25, "0.25"), (1e-3, "0.001"), (3600.0, "3600")]
)
def test_a_timeout_is_told_in_seconds_as_one_writes_them(timeout, text):
    execution = an_execution(timeout=timeout, cause=TIMEOUT)

    assert verdict(execution, Killed()) == Unreported(
        f"timed out after {text} s", None, "TimeoutError"
    )


def test_a_timeout_has_the_place_where_the_attempt_was():
    execution = an_execution(timeout=1.5, cause=TIMEOUT)
    execution.assignment.control.place = "Traceback:\n  in perform\n"

    trace = "Traceback:\n  in perform\nTimeoutError: timed out after 1.5 s\n"
    assert verdict(execution, Killed()) == Unreported(
        "timed out after 1.5 s", trace, "TimeoutError"
    )
