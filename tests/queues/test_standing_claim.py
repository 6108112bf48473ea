"""What a queue's state makes of a standing claim: jobs to start, and outcomes that wait."""

import pytest

from antq_actors.jobs import lifecycle
from antq_actors.jobs.control import Control
from antq_actors.jobs.outcome import COMPLETED, GivenBack
from antq_actors.jobs.perform import Attempt
from antq_actors.jobs.state import JobSpec, StoredJob
from antq_actors.otp import Shutdown
from antq_actors.queues.queue_state import HOLD_SECONDS, MOST_HELD, QueueState
from antq_actors.queues.verdict import RunningAttempt
from antq_actors.storage.format.records import Claim
from antq_actors.storage.requests import StandingClaim

NODE = 1
SPEC = JobSpec("w", b"", 0, None)


def a_state_with(concurrency, limit, *, claimed=0):
    """The state of a queue that has left a claim, which was served so many jobs if any."""
    state = QueueState(concurrency, check_interval=5, max_orphans=2, max_interruptions=3)
    left = StandingClaim(None, "mail", NODE, lambda: 0, lambda: None, limit=limit)
    state.next_fetch()
    state.fetched(Claim([], None), left)
    if claimed:
        jobs = [
            StoredJob(n, lifecycle.create(queue_name="mail", now=0), SPEC, ())
            for n in range(claimed)
        ]
        left.claim, left.commits = Claim(jobs, None), [None]
        left.rest = StandingClaim(
            None, "mail", NODE, lambda: 0, lambda: None, limit=limit - claimed
        )
    return state


def test_a_queue_with_a_standing_claim_requests_nothing():
    assert a_state_with(3, 3).next_fetch() is None


@pytest.mark.parametrize(
    "event",
    [
        QueueState.drain_began,
        lambda state: state.orphans_counted(2),
        lambda state: setattr(state, "backing_off", True),
        lambda state: state.concurrency_set(2),
    ],
    ids=["drain", "orphans", "backing off", "fewer slots"],
)
def test_a_standing_claim_that_has_become_too_large_is_withdrawn_at_once(event):
    state = a_state_with(3, 3)
    standing = state.standing

    event(state)

    assert state.next_fetch().withdrawn is standing


def test_a_queue_is_drained_only_when_its_standing_claim_is_withdrawn():
    state = a_state_with(3, 3)
    state.drain_began()
    assert not state.is_drained

    state.next_fetch()
    state.fetched(Claim([], None), StandingClaim(None, "mail", NODE, lambda: 0, lambda: None))

    assert state.is_drained


def test_a_queue_requests_more_when_its_standing_claim_was_served_in_full():
    state = a_state_with(100, 64, claimed=64)

    claim = state.take_served(0.0)

    assert len(state.accept(claim)) == 64
    assert state.take_served(0.0) is None
    assert state.next_fetch() == ([], 64, None)


def test_served_jobs_beyond_a_lowered_limit_are_given_back():
    state = a_state_with(3, 3, claimed=3)
    state.concurrency_set(1)

    assert [job.id for job in state.accept(state.take_served(0.0))] == [0]

    assert [(each.id, each.outcome) for each in state.unsent] == [
        (1, GivenBack()),
        (2, GivenBack()),
    ]


def test_jobs_that_are_about_to_start_take_slots_from_those_that_were_served_with_them():
    state = a_state_with(3, 3, claimed=3)
    claim = state.take_served(0.0)

    assert [job.id for job in state.accept(claim, starting=2)] == [0]

    assert ids(state.unsent) == [1, 2]


# ---- outcomes are held for the transaction that stores the next job ----------------------------


def a_state_that_holds(*, concurrency=4, gap=HOLD_SECONDS / 2):
    """The state of a queue that was served twice, so much apart, and whose first job has ended."""
    state = QueueState(concurrency, check_interval=5, max_orphans=2, max_interruptions=3)
    state.next_fetch()
    left = StandingClaim(*(None, "mail", NODE, lambda: 0, lambda: None), limit=concurrency)
    left.outcomes = state.unsent
    state.fetched(Claim([], None), left)
    for n, now in enumerate((0.0, gap)):
        serve(state, n, now)
    state.exited("actor 0", Shutdown(COMPLETED))
    return state


def serve(state, n, now):
    """Let the standing claim of a queue be served a job, and its outcomes be stored."""
    served = state.standing
    job = StoredJob(n, lifecycle.create(queue_name="mail", now=0), SPEC, ())
    stored = len(served.outcomes)
    served.claim, served.commits = Claim([job], None), [None]
    served.rest = StandingClaim(
        *(None, "mail", NODE, lambda: 0, lambda: None),
        limit=served.limit - 1,
        outcomes=served.outcomes,
        stored=stored,
    )
    assert [each.id for each in state.accept(state.take_served(now))] == [n]
    state.started(RunningAttempt(Attempt(job, Control()), f"actor {n}"))


def ids(settlements):
    return [each.id for each in settlements]


def test_while_jobs_arrive_quickly_outcomes_wait_for_the_next_and_are_stored_with_it():
    state = a_state_that_holds()
    assert state.next_fetch() is None
    assert state.hold()
    assert not state.hold()  # one timer is enough
    assert ids(state.unstored) == [0]

    serve(state, 2, HOLD_SECONDS)

    assert state.unstored == []
    state.hold_over(1.5 * HOLD_SECONDS)
    assert state.next_fetch() is None
    assert not state.hold()  # there is nothing to hold


def test_a_standing_claim_gets_the_slots_that_become_free_while_outcomes_are_held():
    state = a_state_that_holds()
    assert state.standing.limit == 2

    state.next_fetch()

    assert state.standing.limit == state.free == 3


def test_outcomes_are_held_again_while_jobs_go_on_arriving():
    state = a_state_that_holds()
    state.next_fetch()
    state.hold()
    serve(state, 2, 1.25 * HOLD_SECONDS)
    state.exited("actor 1", Shutdown(COMPLETED))

    state.hold_over(1.5 * HOLD_SECONDS)

    assert state.is_holding is False
    assert state.next_fetch() is None
    assert state.hold()
    state.hold_over(2.5 * HOLD_SECONDS)  # the last one came too long ago
    assert ids(state.next_fetch().settlements) == [1]


def test_so_many_outcomes_are_held_and_no_more():
    state = a_state_that_holds()
    state.unsent += (MOST_HELD - 2) * state.unsent
    assert state.next_fetch() is None

    state.unsent += state.unsent[:1]

    assert len(state.next_fetch().settlements) == MOST_HELD


def test_a_queue_that_was_left_no_claim_requests_again_although_its_claim_came_back_short():
    state = QueueState(3, check_interval=5, max_orphans=2, max_interruptions=3)
    state.next_fetch()

    state.fetched(Claim([], None), StandingClaim(None, "mail", NODE, lambda: 0, lambda: None))

    assert state.next_fetch() == ([], 3, None)


def test_outcomes_are_sent_when_no_other_job_arrives_in_time():
    state = a_state_that_holds()
    state.next_fetch()
    state.hold()

    state.hold_over(2 * HOLD_SECONDS)

    assert ids(state.next_fetch().settlements) == [0]


def test_jobs_arrive_quickly_if_they_are_less_than_the_hold_apart():
    state = a_state_that_holds()
    serve(state, 2, 16.0)
    assert not state.arrive_quickly
    serve(state, 3, 16.0 + HOLD_SECONDS / 2)
    assert state.arrive_quickly
    state.served_at = 0.0

    state.hold_over(HOLD_SECONDS)

    assert not state.arrive_quickly


def test_outcomes_that_were_stored_with_a_job_are_not_sent():
    state = a_state_that_holds()
    serve(state, 2, 11.0)
    state.exited("actor 1", Shutdown(COMPLETED))

    request = state.next_fetch()

    assert ids(request.settlements) == [1]
    assert (state.unsent, state.stored) == ([], 0)


def test_what_was_stored_while_a_request_took_the_outcomes_with_it_is_sent_twice_at_most():
    state = a_state_that_holds(gap=HOLD_SECONDS)
    standing = state.standing
    request = state.next_fetch()
    state.settled(StoredJob(7, lifecycle.create(queue_name="mail", now=0), SPEC, ()), GivenBack())

    serve(state, 2, 11.0)  # before the store did the request

    assert request.withdrawn is standing
    assert ids(state.unstored) == [0, 7]


@pytest.mark.parametrize(
    "event",
    [
        QueueState.drain_began,
        QueueState.woken,
        lambda state: state.woken(check_commands=True),
        lambda state: state.concurrency_set(2),
        lambda state: state.unsent.extend((MOST_HELD - 1) * state.unsent),
        lambda state: setattr(state, "standing", None),
    ],
    ids=["drain", "wake", "commands", "fewer slots", "too many", "no claim"],
)
def test_outcomes_are_held_for_nothing_else(event):
    state = a_state_that_holds()

    event(state)

    assert ids(state.next_fetch().settlements)[0] == 0
    assert not state.hold()


def test_outcomes_are_not_held_while_a_caller_waits_for_them():
    state = a_state_that_holds()

    assert ids(state.next_fetch(is_awaited=True).settlements) == [0]


def test_outcomes_are_not_held_when_jobs_arrive_slowly():
    state = a_state_that_holds(gap=HOLD_SECONDS)

    assert ids(state.next_fetch().settlements) == [0]
