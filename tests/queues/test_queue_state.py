"""What a queue decides, as plain values: never too many, none forgotten, no idle request."""

from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from antq_actors.jobs import lifecycle
from antq_actors.jobs.control import Control
from antq_actors.jobs.outcome import (
    COMPLETED,
    Cancelled,
    Completed,
    Failed,
    GivenBack,
    Interrupted,
    KeptResult,
    NotRun,
    Produced,
    Refused,
    Snoozed,
)
from antq_actors.jobs.perform import Attempt
from antq_actors.jobs.state import JobSpec, StoredJob
from antq_actors.otp import Crash, Killed, NoProc, Normal, Shutdown
from antq_actors.queues.outage import REMINDER_SECONDS, Outage, Retry
from antq_actors.queues.queue_state import (
    BACK_OFF_SECONDS,
    MAX_CLAIM_JOBS,
    SLOTS_PER_CLAIM,
    FetchRequest,
    QueueState,
)
from antq_actors.queues.verdict import RunningAttempt, StopCause
from antq_actors.storage.format.records import Claim, Settlement

BY_ITSELF, TIMEOUT, STOP, CANCEL = None, StopCause.TIMEOUT, StopCause.STOP, StopCause.CANCEL
INTERVAL = 30.0
COMPLETED_EXIT = Shutdown(COMPLETED)


def a_state(concurrency=5, **settings):
    return QueueState(
        concurrency,
        **{"check_interval": INTERVAL, "max_orphans": 2, "max_interruptions": 3, **settings},
    )


def a_job(id_, *, timeout=None, attempts=1):
    state = lifecycle.create(queue_name="default", now=0, max_attempts=9)
    for _ in range(attempts):
        state = lifecycle.claim(state, node=1, now=0)
    return StoredJob(id_, state, JobSpec("w", b"", 0, timeout), ())


def running(id_, *, failed=None, cause=None, **job):
    """A running attempt; the job's id is its cell as well."""
    return RunningAttempt(Attempt(a_job(id_, **job), Control(), failed=failed), id_, None, cause)


def settlement(id_, outcome=None, execution=1):
    end = Completed() if outcome is None else outcome
    return Settlement(id_, execution, end, worker="w")


def jobs(*ids):
    return [a_job(id_) for id_ in ids]


def ids(those):
    return [job.id for job in those]


# ---- what is requested, and when ----------------------------------------------------------


def test_a_new_queue_requests_as_many_jobs_as_may_run():
    assert a_state(concurrency=5).next_fetch() == FetchRequest([], 5)


def test_one_request_is_in_flight_at_a_time():
    state = a_state()
    state.next_fetch()
    state.settled(a_job(1), Completed())

    assert state.next_fetch() is None
    state.fetched(Claim([], None))
    assert state.next_fetch() == FetchRequest([settlement(1)], 5)
    assert state.unsent == []


def test_after_a_claim_that_came_back_short_it_requests_no_more():
    state = a_state()
    state.next_fetch()

    assert state.fetched(Claim(jobs(1, 2, 3, 4), None)) == jobs(1, 2, 3, 4)
    assert state.next_fetch() is None


def test_a_wake_while_a_request_is_in_flight_is_not_forgotten():
    state = a_state()
    state.next_fetch()
    state.woken()
    state.fetched(Claim([], None))

    assert state.next_fetch() == FetchRequest([], 5)
    state.fetched(Claim([], None))
    assert state.next_fetch() is None


def test_a_command_is_fetched_once_also_without_a_free_slot():
    state = a_state(concurrency=1)
    state.started(running(1))
    state.woken()
    assert state.next_fetch() is None

    state.woken(check_commands=True)
    state.woken()

    assert state.next_fetch() == FetchRequest([], 0)
    state.fetched(Claim([], None))
    assert state.next_fetch() is None


@pytest.mark.parametrize(
    "event",
    [
        lambda state: state.drain_began(),
        lambda state: state.orphans_counted(2),
        lambda state: state.not_started(running(1).attempt),
    ],
    ids=["drain", "orphans", "backing off"],
)
def test_outcomes_are_stored_while_nothing_may_be_claimed(event):
    state = a_state()
    event(state)
    state.unsent.clear()
    assert state.next_fetch() is None

    state.settled(a_job(7), Completed())

    assert state.next_fetch() == FetchRequest([settlement(7)], 0)


@given(concurrency=st.integers(1, 3_000), busy=st.integers(0, 200), ended=st.integers(0, 100))
def test_a_request_is_for_no_more_than_is_free_nor_for_more_than_a_claim(concurrency, busy, ended):
    state = a_state(concurrency)
    for id_ in range(busy):
        state.started(running(id_))
    for id_ in range(ended):
        state.settled(a_job(id_), Completed())

    request = state.next_fetch()

    most = max(MAX_CLAIM_JOBS, ended, concurrency // SLOTS_PER_CLAIM)
    limit = max(0, min(concurrency - busy, most))
    assert request == (
        FetchRequest([settlement(id_) for id_ in range(ended)], limit) if limit or ended else None
    )
    assert (MAX_CLAIM_JOBS, SLOTS_PER_CLAIM) == (64, 32)


def test_it_requests_again_at_once_while_claims_come_back_full():
    state = a_state(concurrency=2 * MAX_CLAIM_JOBS)
    some = jobs(*range(MAX_CLAIM_JOBS))

    first = state.next_fetch()
    state.fetched(Claim(some, None))
    second = state.next_fetch()
    state.fetched(Claim(some[1:], None))

    assert (first, second) == (FetchRequest([], MAX_CLAIM_JOBS), FetchRequest([], MAX_CLAIM_JOBS))
    assert state.next_fetch() is None


# ---- what a reply leads to ----------------------------------------------------------------


def test_claimed_jobs_beyond_a_lowered_limit_are_released():
    state = a_state(concurrency=3)
    state.started(running(1))
    state.next_fetch()
    state.concurrency_set(2)

    to_start = state.fetched(Claim(jobs(2, 3), None))

    assert ids(to_start) == [2]
    assert state.unsent == [settlement(3, GivenBack())]


def test_jobs_claimed_for_a_draining_queue_are_released():
    state = a_state()
    state.next_fetch()
    state.drain_began()

    to_start = state.fetched(Claim(jobs(1, 2), None))

    assert to_start == []
    assert state.unsent == [settlement(1, GivenBack()), settlement(2, GivenBack())]


def test_a_limit_set_by_another_process_holds_for_the_jobs_of_that_reply():
    state = a_state(concurrency=5)
    state.next_fetch()

    to_start = state.fetched(Claim(jobs(1, 2, 3), None, 2))

    assert (ids(to_start), state.concurrency) == ([1, 2], 2)
    assert state.free == 2


def test_attempts_of_cancelled_jobs_are_to_stop_and_no_others():
    state = a_state()
    first, second = running(1), running(2, attempts=2)
    state.started(first)
    state.started(second)

    assert state.cancelled(((1, 1), (2, 1), (9, 1))) == [first]


def test_a_changed_limit_is_followed_by_a_request():
    state = a_state(concurrency=1)
    state.next_fetch()
    state.fetched(Claim([], None))
    assert state.next_fetch() is None

    state.concurrency_set(2)

    assert state.next_fetch() == FetchRequest([], 2)


# ---- the next check -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backing_off", "due_in", "wait"),
    [
        (False, None, INTERVAL),
        (False, 4.0, 4.0),
        (False, INTERVAL + 1, INTERVAL),
        (True, None, BACK_OFF_SECONDS),
        (True, 0.5, 0.5),
        (True, 4.0, BACK_OFF_SECONDS),
    ],
)
def test_the_store_is_checked_when_a_job_is_due_and_in_the_interval(backing_off, due_in, wait):
    state = a_state(backing_off=backing_off, maybe_due=False)

    assert state.next_check(due_in, 100.0) == wait
    assert state.check_at == 100.0 + wait
    assert not state.maybe_due


def test_a_check_that_is_planned_early_enough_is_not_planned_again():
    state = a_state()
    state.next_check(None, 100.0)

    assert state.next_check(None, 100.0) is None
    assert state.next_check(40.0, 110.0) is None
    assert state.check_at == 130.0
    assert state.next_check(5.0, 110.0) == 5.0
    assert state.check_at == 115.0


@pytest.mark.parametrize("due_in", [0.0, -2.0])
def test_a_job_that_became_due_in_the_meantime_is_requested_at_once(due_in):
    state = a_state(maybe_due=False)

    assert state.next_check(due_in, 0.0) == INTERVAL
    assert state.next_fetch() == FetchRequest([], 5)


def test_a_check_ends_the_backing_off():
    state = a_state(maybe_due=False, backing_off=True)
    state.next_check(None, 0.0)

    state.check_due()

    assert state.next_fetch() == FetchRequest([], 5)
    assert state.check_at is None
    assert state.next_check(None, 1.0) == INTERVAL


# ---- a store that refuses -----------------------------------------------------------------


def test_a_refused_request_is_repeated_less_and_less_often_but_within_seconds():
    state = a_state()
    request = state.next_fetch()

    retries = [state.refused(now) for now in (0.0, 1.0, 2.0, 3.0, 4.0, 34.0)]

    assert [retry.seconds for retry in retries] == [0.2, 0.4, 0.8, 1.6, 3.0, 3.0]
    assert [retry.is_logged for retry in retries] == [True, False, False, False, False, True]
    assert retries[0] == Retry(0.2, is_logged=True)
    assert state.in_flight is request
    assert state.next_fetch() is None


def test_the_reply_after_refusals_has_the_seconds_of_the_outage():
    state = a_state()
    state.next_fetch()
    state.refused(10.0)
    state.refused(12.0)

    assert state.recovered(15.0) == 5.0
    assert state.fetched(Claim([], None)) == []
    assert state.recovered(16.0) is None


def test_it_reports_since_when_the_store_refuses():
    state = a_state()
    state.next_fetch()
    assert state.report.refused_since is None

    state.refused(10.0, 100)
    state.refused(12.0, 102)
    assert state.report.refused_since == 100

    state.recovered(15.0)
    assert state.report.refused_since is None


def test_outcomes_wait_while_the_store_refuses():
    state = a_state()
    state.settled(*jobs(1), GivenBack())
    state.next_fetch()
    state.refused(10.0)
    state.settled(*jobs(2), GivenBack())

    assert len(state.unstored) == 2
    state.fetched(Claim([], None))
    assert len(state.unstored) == 1


def test_an_outage_is_logged_again_when_it_lasts():
    outage = Outage()

    logged = [second for second in range(100) if outage.refused(float(second))]

    assert logged == [0, 30, 60, 90]
    assert REMINDER_SECONDS == 30


@given(gaps=st.lists(st.floats(0.0, 100.0), min_size=1))
def test_reminders_of_an_outage_are_apart_and_its_end_has_its_length(gaps):
    outage, now, logged = Outage(), 5.0, []
    for gap in gaps:
        now += gap
        if outage.refused(now):
            logged.append(now)

    assert logged[0] == 5.0 + gaps[0]
    assert all(b - a >= REMINDER_SECONDS for a, b in pairwise(logged))
    assert outage.refusals == len(gaps)
    assert outage.over(now) == now - logged[0]
    assert outage.over(now) is None
    assert outage.refused(now)


def test_outcomes_in_flight_are_not_stored_yet():
    state = a_state()
    state.settled(a_job(1), Completed())
    state.next_fetch()
    state.settled(a_job(2), Completed())

    assert state.unstored == [settlement(1), settlement(2)]
    state.fetched(Claim([], None))
    assert state.unstored == [settlement(2)]


# ---- attempts -----------------------------------------------------------------------------


def test_an_attempt_runs_until_its_worker_actor_exited():
    state = a_state(concurrency=2)
    first, second = running(2), running(1)
    state.started(first)
    state.started(second)
    assert (state.running_ids, state.free) == ((1, 2), 0)

    assert state.exited(2, Shutdown(Completed())) == (first, Completed())

    assert (state.running_ids, state.free) == ((1,), 1)
    assert state.unsent == [settlement(2)]
    assert state.exited(2, Shutdown(Completed())) is None


def test_completed_attempts_are_taken_from_the_exits_up_to_the_first_other():
    state = a_state()
    for id_ in (1, 2, 4):
        state.started(running(id_))
    state.started(stopped := running(3, cause=CANCEL))
    others = [(3, COMPLETED_EXIT), (4, COMPLETED_EXIT)]
    exits = deque([(2, COMPLETED_EXIT), (1, COMPLETED_EXIT), *others])

    state.take_completed(exits)

    assert state.unsent == [settlement(2), settlement(1)]
    assert list(exits) == others
    assert state.exited(*exits.popleft()) == (stopped, Completed())
    state.take_completed(exits)
    assert (state.running_ids, list(exits)) == ((), [])


def test_an_attempt_with_a_result_is_taken_as_any_that_completed():
    state = a_state()
    state.started(running(1))
    outcome = Completed(Produced(result=KeptResult(b"value")))
    exits = deque([(1, Shutdown(outcome))])

    state.take_completed(exits)

    assert (state.unsent, list(exits)) == ([settlement(1, outcome)], [])


@pytest.mark.parametrize("reason", [Shutdown(), Killed(), Shutdown(Snoozed(4.0)), Crash(OSError())])
def test_an_exit_that_may_need_more_is_not_taken_as_completed(reason):
    state = a_state()
    state.started(running(1))
    exits = deque([(1, reason)])

    state.take_completed(exits)

    assert (state.unsent, state.running_ids, list(exits)) == ([], (1,), [(1, reason)])


def test_an_exit_that_is_seen_twice_is_not_taken_as_completed():
    state = a_state()
    state.started(running(1))
    exits = deque([(1, COMPLETED_EXIT)] * 2)

    state.take_completed(exits)

    assert state.exited(*exits.popleft()) is None
    assert (state.unsent, list(exits)) == ([settlement(1)], [])


def test_more_attempts_than_a_lowered_limit_leave_no_slot_free():
    state = a_state(concurrency=2)
    state.started(running(1))
    state.started(running(2))
    state.concurrency_set(1)

    assert state.free == 0
    assert state.next_fetch() is None


def test_an_attempt_is_requested_to_stop_once():
    state, one = a_state(), running(1)

    assert state.note_stop(one, CANCEL)
    assert not state.note_stop(one, STOP)
    assert one.stop_cause is CANCEL


def test_a_job_that_cannot_start_is_released_and_the_queue_backs_off():
    state = a_state()

    assert state.not_started(running(1).attempt)
    assert not state.not_started(running(2).attempt)

    assert state.unsent == [settlement(1, GivenBack()), settlement(2, GivenBack())]
    assert state.next_fetch() == FetchRequest(
        [settlement(1, GivenBack()), settlement(2, GivenBack())], 0
    )


def test_a_failure_whose_delay_cannot_be_asked_for_is_stored_without_one():
    state, failed = a_state(), Failed("worker actor was killed", retry_in=None)

    state.not_started(running(1, failed=failed).attempt)

    assert state.unsent == [settlement(1, failed)]


def test_too_many_orphans_end_the_claims_and_are_reported_once():
    state = a_state(max_orphans=2)

    assert [state.orphans_counted(n) for n in (1, 2, 3)] == [False, True, False]
    assert state.next_fetch() is None
    assert not state.orphans_counted(1)
    assert state.next_fetch() == FetchRequest([], 5)
    assert state.orphans_counted(2)


@pytest.mark.parametrize(
    ("events", "is_drained"),
    [
        ([], False),
        (["drain"], True),
        (["drain", "run"], False),
        (["drain", "settle"], False),
        (["fetch", "drain"], False),
        (["fetch", "drain", "refuse"], False),
        (["fetch", "drain", "refuse", "timeout"], True),
        (["fetch", "drain", "timeout"], False),
        (["fetch", "drain", "refuse", "timeout", "run"], False),
        (["fetch", "refuse", "timeout"], False),
    ],
)
def test_a_drain_waits_for_jobs_and_until_its_timeout_for_the_store(events, is_drained):
    state = a_state()
    happens = {
        "drain": state.drain_began,
        "run": lambda: state.started(running(1)),
        "settle": lambda: state.settled(a_job(1), Completed()),
        "fetch": state.next_fetch,
        "refuse": lambda: state.refused(0.0),
        "timeout": state.drain_timeout,
    }
    for event in events:
        happens[event]()

    assert state.is_drained is is_drained


# ---- how an attempt ended -----------------------------------------------------------------

CANCELLED = Cancelled("cancelled while it was running")
TIMED_OUT = Failed("timed out after 1.5 s", None, None, "TimeoutError")
FAILED = Shutdown(Failed("no", "trace", 3.0))
DIED = Failed("segfault", "tail", None)


@pytest.mark.parametrize(
    ("reason", "cause", "end"),
    [
        (Shutdown(Completed()), BY_ITSELF, Completed()),
        (FAILED, BY_ITSELF, Failed("no", "trace", 3.0)),
        (Shutdown(Snoozed(4.0)), BY_ITSELF, Snoozed(4.0)),
        # Told to stop, it may still end by itself.
        (Shutdown(Completed()), STOP, Completed()),
        (FAILED, STOP, Failed("no", "trace", 3.0)),
        (Shutdown(STOP), STOP, GivenBack()),
        (Killed(), STOP, GivenBack()),
        (Crash(ValueError("x")), STOP, GivenBack()),
        # Too late is too late.
        (Shutdown(Completed()), TIMEOUT, TIMED_OUT),
        (FAILED, TIMEOUT, TIMED_OUT),
        (Shutdown(TIMEOUT), TIMEOUT, TIMED_OUT),
        (Killed(), TIMEOUT, TIMED_OUT),
        # What was cancelled may still end by itself; the lifecycle knows that it was cancelled.
        (Shutdown(Completed()), CANCEL, Completed()),
        (FAILED, CANCEL, Failed("no", "trace", 3.0)),
        (Shutdown(CANCEL), CANCEL, CANCELLED),
        (Killed(), CANCEL, CANCELLED),
        # What ran it has died, was lost, or could not run it.
        (Shutdown(DIED), BY_ITSELF, DIED),
        (Shutdown(DIED), STOP, GivenBack()),
        (Shutdown(DIED), CANCEL, CANCELLED),
        (Shutdown(DIED), TIMEOUT, TIMED_OUT),
        (Shutdown(Interrupted("node")), BY_ITSELF, Interrupted("node", 3)),
        (Shutdown(Interrupted("node")), STOP, GivenBack()),
        (Shutdown(NotRun("no loop")), BY_ITSELF, NotRun("no loop")),
        (Shutdown(NotRun("no loop")), STOP, GivenBack()),
        (Shutdown(NotRun("elsewhere", "async")), BY_ITSELF, NotRun("elsewhere", "async")),
        (Shutdown(NotRun("elsewhere", "async")), STOP, GivenBack()),
        (Shutdown(NotRun("elsewhere", "async")), CANCEL, CANCELLED),
        (Shutdown(Refused("no worker")), BY_ITSELF, Refused("no worker")),
        # Ended by others, or by accident.
        (Killed(), BY_ITSELF, Failed("worker actor was killed", retry_in=None)),
        (
            Crash(ValueError("x")),
            BY_ITSELF,
            Failed("worker actor crashed: ValueError: x", retry_in=None),
        ),
        (Shutdown(), BY_ITSELF, Failed("worker actor ended: Shutdown()", retry_in=None)),
        (Normal(), BY_ITSELF, Failed("worker actor ended: Normal()", retry_in=None)),
        (NoProc(), BY_ITSELF, Failed("worker actor ended: NoProc()", retry_in=None)),
    ],
)
def test_the_exit_of_a_worker_actor_is_the_end_of_its_attempt(reason, cause, end):
    state, one = a_state(), running(1, timeout=1.5, cause=cause)
    state.started(one)

    assert state.exited(1, reason) == (one, end)

    needs_more = isinstance(end, NotRun) or (isinstance(end, Failed) and end.retry_in is None)
    assert state.unsent == ([] if needs_more else [settlement(1, end)])


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (Shutdown(NotRun("no loop")), GivenBack()),
        (Shutdown(NotRun("elsewhere", "async")), GivenBack()),
        (Killed(), Failed("worker actor was killed", retry_in=None)),
        (Shutdown(Completed()), Completed()),
    ],
)
def test_when_the_queue_ends_each_end_is_an_outcome(reason, outcome):
    state, one = a_state(), running(1)
    state.started(one)

    assert state.exited(1, reason, is_last=True) == (one, outcome)
    assert state.unsent == [settlement(1, outcome)]


@pytest.mark.parametrize("cause", [BY_ITSELF, TIMEOUT, STOP, CANCEL])
def test_an_attempt_killed_with_all_others_was_interrupted(cause):
    state, one = a_state(max_interruptions=7), running(1, timeout=1.5, cause=cause)
    state.started(one)

    _, end = state.exited(1, Killed(), killed_with_parent=True)

    assert end == Interrupted("its queue's workers were killed", 7)
    assert state.unsent == [settlement(1, end)]


@pytest.mark.parametrize("cause", [BY_ITSELF, TIMEOUT, STOP])
@pytest.mark.parametrize(
    "reason", [Killed(), Shutdown(TIMEOUT), Crash(ValueError()), Normal(), Shutdown(DIED)]
)
def test_a_failure_whose_delay_could_not_be_worked_out_gets_the_default(reason, cause):
    state = a_state()
    failed = Failed("timed out after 1 s", None, None, "TimeoutError")
    state.started(running(1, attempts=2, failed=failed, cause=cause))

    _, end = state.exited(1, reason)

    assert end == Failed("timed out after 1 s", None, 20.0, "TimeoutError")
    assert state.unsent == [settlement(1, end, execution=2)]


@pytest.mark.parametrize("cause", [BY_ITSELF, TIMEOUT, STOP])
def test_a_failure_whose_delay_was_worked_out_has_that(cause):
    state = a_state()
    state.started(running(1, failed=Failed("killed", retry_in=None), cause=cause))

    assert state.exited(1, FAILED)[1] == Failed("no", "trace", 3.0)


@pytest.mark.parametrize(
    ("timeout", "text"), [(30.0, "30"), (0.25, "0.25"), (1e-3, "0.001"), (3600.0, "3600")]
)
def test_a_timeout_is_shown_in_seconds_without_padding(timeout, text):
    state = a_state()
    state.started(running(1, timeout=timeout, cause=TIMEOUT))

    _, end = state.exited(1, Killed())

    assert end == Failed(f"timed out after {text} s", None, None, "TimeoutError")


def test_a_timeout_has_the_place_where_the_attempt_was():
    state, one = a_state(), running(1, timeout=1.5, cause=TIMEOUT)
    one.attempt.control.place = "Traceback:\n  in perform\n"
    state.started(one)

    trace = "Traceback:\n  in perform\nTimeoutError: timed out after 1.5 s\n"
    assert state.exited(1, Killed())[1] == Failed(
        "timed out after 1.5 s", trace, None, "TimeoutError"
    )


# ---- whatever happens, in whatever order --------------------------------------------------


class AnyQueue(RuleBasedStateMachine):
    """A queue, and a store that holds due jobs, against what each of them must have in the end."""

    @initialize(concurrency=st.integers(1, 6), max_orphans=st.integers(1, 3))
    def begin(self, concurrency, max_orphans):
        self.state = a_state(concurrency, max_orphans=max_orphans)
        self.concurrency = concurrency
        self.max_orphans = max_orphans
        self.now = 0.0
        self.due = []
        """Ids of the jobs that the store holds and that nobody has claimed."""
        self.next_id = 1
        self.is_paused = False
        self.request = None
        self.refused_since = None
        self.running = {}
        self.cancelled = set()
        self.is_backing_off = self.is_draining = self.is_drain_over = False
        self.orphans = 0
        self.expected = []
        """Ids of the jobs whose execution ended, or that were given back, one for each time."""
        self.stored = []
        self.advance()

    def claims(self):
        """Whether the queue may claim jobs now."""
        return not (self.is_draining or self.is_backing_off or self.orphans >= self.max_orphans)

    def advance(self):
        request = self.state.next_fetch()
        if request is None:
            return
        assert self.request is None
        free = max(0, self.concurrency - len(self.running)) if self.claims() else 0
        assert request.limit == min(free, MAX_CLAIM_JOBS)
        self.request = request

    def plan(self, due_in):
        before, wait = self.state.check_at, self.state.next_check(due_in, self.now)
        if wait is None:
            assert before is not None
            assert before <= self.now + INTERVAL
        else:
            assert 0 < wait <= (BACK_OFF_SECONDS if self.is_backing_off else INTERVAL)
            assert self.state.check_at == self.now + wait

    def insert(self, count):
        self.due += range(self.next_id, self.next_id + count)
        self.next_id += count

    @rule(count=st.integers(1, 5))
    def jobs_are_inserted(self, count):
        self.insert(count)
        self.state.woken()
        self.advance()

    @rule(count=st.integers(1, 5))
    def jobs_become_due_and_no_event_says_so(self, count):
        self.insert(count)

    @rule()
    def the_queue_is_paused(self):
        self.is_paused = True

    @rule()
    def the_queue_is_resumed(self):
        self.is_paused = False
        self.state.woken()
        self.advance()

    @precondition(lambda self: self.request is not None)
    @rule(
        can_start=st.booleans(),
        concurrency=st.none() | st.integers(1, 6),
        due_in=st.none() | st.floats(0.01, 100.0),
    )
    def the_store_replies(self, can_start, concurrency, due_in):
        request, self.request = self.request, None
        limit = 0 if self.is_paused else request.limit
        claimed, self.due = self.due[:limit], self.due[limit:]
        self.stored += [one.id for one in request.settlements]
        if concurrency is not None:
            self.concurrency = concurrency
        free = 0 if self.is_draining else max(0, self.concurrency - len(self.running))

        since, self.refused_since = self.refused_since, None
        assert self.state.recovered(self.now) == (None if since is None else self.now - since)
        to_start = self.state.fetched(Claim(jobs(*claimed), None, concurrency))
        assert ids(to_start) == claimed[:free]
        self.expected += claimed[free:]
        to_stop = self.state.cancelled([(id_, 1) for id_ in self.cancelled])
        assert {each.cell for each in to_stop} == self.cancelled & set(self.running)
        self.cancelled.clear()
        for job in to_start:
            one = running(job.id, timeout=1.5)
            if can_start:
                self.state.started(one)
                self.running[job.id] = one
            else:
                assert self.state.not_started(one.attempt) is not self.is_backing_off
                self.is_backing_off = True
                self.expected.append(job.id)
        self.plan(due_in)
        self.advance()

    @precondition(lambda self: self.request is not None)
    @rule()
    def the_store_refuses(self):
        retry = self.state.refused(self.now)

        assert 0.2 <= retry.seconds <= 3.0
        assert retry.is_logged or self.refused_since is not None
        if self.refused_since is None:
            self.refused_since = self.now

    @precondition(lambda self: self.running)
    @rule(data=st.data(), outcome=st.sampled_from([Completed(), Failed("no", None, 1.0), None]))
    def an_attempt_ends(self, data, outcome):
        ref = data.draw(st.sampled_from(sorted(self.running)))
        one = self.running.pop(ref)
        ended, end = self.state.exited(ref, Killed() if outcome is None else Shutdown(outcome))

        assert ended is one
        if isinstance(end, Failed) and end.retry_in is None:
            self.state.settled(one.attempt.job, end)  # as a worker that knows no delay
        self.expected.append(ref)
        assert self.state.exited(ref, Killed()) is None
        self.advance()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def a_running_job_is_cancelled(self, data):
        self.cancelled.add(data.draw(st.sampled_from(sorted(self.running))))
        self.state.woken(check_commands=True)
        self.advance()

    @precondition(lambda self: self.running)
    @rule(data=st.data(), cause=st.sampled_from(StopCause))
    def an_attempt_is_to_stop(self, data, cause):
        one = self.running[data.draw(st.sampled_from(sorted(self.running)))]
        before = one.stop_cause

        assert self.state.note_stop(one, cause) is (before is None)
        assert one.stop_cause is (before or cause)

    @rule(n=st.integers(1, 6))
    def the_concurrency_is_set(self, n):
        self.concurrency = n
        self.state.concurrency_set(n)
        self.advance()

    @rule(number=st.integers(0, 4))
    def orphans_are_counted(self, number):
        before, self.orphans = self.orphans, number

        are_new = number >= self.max_orphans > before
        assert self.state.orphans_counted(number) is are_new
        self.advance()

    @precondition(lambda self: self.state.check_at is not None)
    @rule()
    def the_time_of_the_check_comes(self):
        self.now = max(self.now, self.state.check_at)
        self.state.check_due()
        self.is_backing_off = False
        self.advance()
        if self.state.check_at is None:
            self.plan(None)
        is_free = self.claims() and self.concurrency > len(self.running)
        assert self.request is not None or not is_free

    @rule(seconds=st.floats(0.0, 20.0))
    def time_passes(self, seconds):
        if self.state.check_at is None or self.now + seconds < self.state.check_at:
            self.now += seconds

    @rule()
    def a_drain_begins(self):
        self.is_draining = True
        self.state.drain_began()
        self.advance()

    @precondition(lambda self: self.is_draining)
    @rule()
    def a_drain_has_had_its_time(self):
        self.is_drain_over = True
        self.state.drain_timeout()

    @invariant()
    def a_request_or_a_check_is_to_come(self):
        assert self.request is not None or self.state.check_at is not None

    @invariant()
    def no_outcome_waits_while_the_store_could_take_it(self):
        assert self.request is not None or not self.state.unsent

    @invariant()
    def every_outcome_is_stored_or_on_its_way_once(self):
        on_its_way = [one.id for one in self.state.unstored]
        assert sorted(self.stored + on_its_way) == sorted(self.expected)

    @invariant()
    def what_runs_is_known(self):
        assert self.state.running == self.running
        assert self.state.running_ids == tuple(sorted(self.running))
        assert self.state.concurrency == self.concurrency

    @invariant()
    def a_drain_is_over_when_nothing_is_left(self):
        busy = bool(self.state.unstored or self.request)
        waits = busy and not (self.is_drain_over and self.refused_since is not None)
        assert self.state.is_drained is (self.is_draining and not self.running and not waits)


TestAnyQueue = AnyQueue.TestCase
