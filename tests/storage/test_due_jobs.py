"""How many jobs of a queue could begin now, and since when: right at any size, and at what cost."""

from contextlib import ExitStack
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.stored_jobs import Store, a_new_job

from antq_actors.jobs.outcome import Completed, Failed, GivenBack
from antq_actors.jobs.state import Status
from antq_actors.storage.format.records import Filter
from antq_actors.storage.jobs import reader
from antq_actors.storage.lmdb.open_stores import open_environment

SECOND = 1_000_000
WAITING = (Status.ENQUEUED, Status.SCHEDULED, Status.RETRYING)


def due_of(store, now, queue="mail"):
    facts = store.facts(queue, now)
    return facts.due, facts.oldest_due


def test_nothing_is_due_in_an_empty_queue(store):
    assert due_of(store, 10) == (0, None)


def test_what_is_enqueued_is_due_since_it_was_stored(store):
    store.insert(a_new_job(now=5))
    store.insert(a_new_job(now=7, priority=9))
    store.insert(a_new_job(now=1, queue="other"))

    assert due_of(store, 9) == (2, 5)


def test_what_is_scheduled_is_due_from_its_very_instant_on(store):
    store.insert(a_new_job(now=0, due=10))
    store.insert(a_new_job(now=0, due=12))

    assert [due_of(store, now) for now in (9, 10, 12)] == [(0, None), (1, 10), (2, 10)]


def test_what_is_to_be_retried_is_due_when_its_delay_is_over(store):
    store.insert(a_new_job(now=0, max_attempts=2))
    (job,) = store.claim(now=1)
    store.end(job, Failed("no", None, 2.0), now=3)

    assert due_of(store, 3 + 2 * SECOND - 1) == (0, None)
    assert due_of(store, 3 + 2 * SECOND) == (1, 3 + 2 * SECOND)


def test_what_runs_or_has_ended_is_not_due(store):
    store.insert_many([a_new_job(now=1), a_new_job(now=2)])
    jobs = store.claim(limit=2, now=3)
    store.end(jobs[0], Completed(), now=4)

    assert due_of(store, 9) == (0, None)


@pytest.mark.parametrize("again", ["retried", "given back"])
def test_a_job_that_waits_again_does_not_hide_one_that_waits_longer(store, again):
    first = store.insert(a_new_job(now=1))
    (job,) = store.claim(now=2)
    if again == "retried":
        store.end(job, Completed(), now=3)
    store.insert(a_new_job(now=5))
    if again == "retried":
        store.retry(first, now=9)
    else:
        store.end(job, GivenBack(), now=9)

    assert due_of(store, 20) == (2, 5)


def test_a_paused_queue_counts_too(store):
    store.insert(a_new_job(now=5))
    store.set_paused("mail", paused=True)

    facts = store.facts("mail", 6)

    assert (facts.is_paused, facts.due, facts.oldest_due) == (True, 1, 5)
    assert facts.counts == store.counts("mail")


@pytest.mark.parametrize("due", [0, 1, 499, 500, 501, 1_000, 1_234, 2_000])
def test_any_number_of_2000_is_counted(store, due):
    at = [5] * due + [50] * (2_000 - due)
    store.insert_many([a_new_job(now=0, due=instant) for instant in at])
    store.insert_many([a_new_job(now=0, due=1, queue=queue) for queue in ("a", "z")])

    assert due_of(store, 7) == (due, 5 if due else None)


@pytest.mark.parametrize("due", [10, 2_990])
def test_counting_steps_through_no_more_than_twice_the_fewer(store, monkeypatch, due):
    at = [5] * due + [50] * (3_000 - due)
    store.insert_many([a_new_job(now=0, due=instant) for instant in at])
    read = []
    for name in ("keys_from", "keys_down_from"):
        real = getattr(reader, name)
        monkeypatch.setattr(reader, name, lambda *args, real=real: noted(read, real(*args)))

    assert due_of(store, 7)[0] == due
    assert len(read) <= 10 + reader._STEP + 2


def noted(read, keys):
    for key in keys:
        read.append(key)
        yield key


def test_the_first_of_many_enqueued_is_found_by_reading_a_few(store, monkeypatch):
    store.insert_many([a_new_job(now=n, priority=n % 3) for n in range(1, 1_000)])
    read = []
    real = reader.display.spec_for_display
    monkeypatch.setattr(
        reader.display, "spec_for_display", lambda *args: read.append(args) or real(*args)
    )

    assert due_of(store, 2_000) == (999, 1)
    assert len(read) <= 6


@pytest.fixture
def new_store(tmp_path):
    """Make an empty store, and close the one before."""
    stack, numbers = ExitStack(), count()

    def make():
        stack.close()
        env = open_environment(tmp_path / str(next(numbers)), durable=False)
        stack.callback(env.close)
        return Store(env).has_nodes(1)

    yield make
    stack.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["insert", "claim", "complete", "fail", "give back", "retry"]),
            st.integers(0, 3),
        ),
        max_size=25,
    ),
    st.integers(0, 60),
)
def test_any_history_is_counted_as_a_walk_through_all_jobs_would(new_store, history, ahead):
    store = new_store()
    running, ended, now = [], [], 0
    for deed, number in history:
        now += number
        match deed:
            case "insert":
                due = now + 10 * number if number else None
                store.insert(a_new_job(now=now, due=due, priority=number % 2, max_attempts=3))
            case "claim":
                running += store.claim(now=now)
            case "retry" if ended:
                store.retry(ended.pop(), now=now)
            case _ if running:
                job = running.pop(0)
                outcomes = {
                    "complete": Completed(),
                    "fail": Failed("no", None, number / SECOND),
                    "give back": GivenBack(),
                }
                if outcome := outcomes.get(deed):
                    store.end(job, outcome, now=now)
                    ended += [job.id] if deed == "complete" else []
    now += ahead

    states = [raw.state for raw in store.page(Filter(frozenset(WAITING), "mail"))]
    due = [state.scheduled_at for state in states if state.scheduled_at <= now]
    assert due_of(store, now) == (len(due), min(due, default=None))
