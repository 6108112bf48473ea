"""Jobs are claimed and settled together, and each one as if it were alone."""

from __future__ import annotations

import pytest
from stored_jobs import a_new_job

from antq_actors.jobs.outcome import Completed, Failed, GivenBack
from antq_actors.jobs.state import Status
from antq_actors.storage.format.records import Filter, Settlement
from antq_actors.storage.jobs import job_store
from antq_actors.storage.lmdb import keys


@pytest.fixture
def store(store):
    return store.has_nodes(1)


def done(*jobs):
    return [Settlement(job.id, job.state.execution, Completed()) for job in jobs]


def ids(jobs):
    return [job.id for job in jobs]


def test_a_claim_takes_due_scheduled_then_due_retrying_then_enqueued_jobs(store):
    store.insert(a_new_job(max_attempts=2))
    (first,) = store.claim()
    store.settle(Settlement(first.id, 1, Failed("no", None, 0.000005)), now=0)
    store.insert_many([a_new_job(), a_new_job(priority=5), a_new_job(due=9)])
    store.insert_many([a_new_job(due=20), a_new_job(due=8, unique=("n",), args={"n": 1})])

    claim = store.work("mail", [], node=1, limit=5, now=10)

    assert ids(claim.jobs) == [6, 4, 1, 3, 2]
    assert claim.next_due == 20
    assert [job.state.errors for job in claim.jobs] == [0, 0, 1, 0, 0]


def test_a_limit_ends_a_claim_within_a_lane(store):
    store.insert_many([a_new_job(due=due) for due in (3, 1, 2)] + [a_new_job()])

    assert ids(store.claim(limit=2, now=5)) == [2, 3]
    assert ids(store.claim(limit=2, now=5)) == [1, 4]


def test_an_outcome_of_an_earlier_execution_is_dropped_among_others(store):
    store.insert_many([a_new_job(), a_new_job()])
    old, other = store.claim(limit=2)
    store.settle(Settlement(old.id, 1, GivenBack()), now=1)
    (again,) = store.claim()

    store.work("mail", done(old, other), node=1, limit=0, now=2)

    assert store.get(old.id).state == again.state
    assert store.get(other.id).state.status is Status.COMPLETED


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ((Completed(), Failed("no", None, 0.0)), Status.COMPLETED),
        ((Failed("no", None, 0.0), Completed()), Status.FAILED),
        ((Completed(), Completed()), Status.COMPLETED),
    ],
)
def test_of_two_outcomes_of_one_execution_the_first_counts(store, outcomes, status):
    store.insert_many([a_new_job(), a_new_job()])
    job, other = store.claim(limit=2)
    twice = [Settlement(job.id, 1, outcome) for outcome in outcomes]

    store.work("mail", [*twice, *done(other)], node=1, limit=0, now=2)

    assert store.get(job.id).state.status is status
    assert store.get(other.id).state.status is Status.COMPLETED


def test_the_outcome_of_a_deleted_job_is_dropped_among_others(store):
    store.insert_many([a_new_job(), a_new_job()])
    deleted, other = store.claim(limit=2)
    store.delete(deleted.id)

    store.work("mail", done(deleted, other), node=1, limit=0, now=2)

    assert store.ids(Filter()) == [other.id]
    assert store.count([Status.COMPLETED], "mail") == 1


def test_unique_jobs_that_move_together_stay_in_the_way_by_their_status(store):
    active = a_new_job({"n": 1}, unique=("n",))
    store.insert_many([active, a_new_job({"n": 2}, unique=("n",))])

    jobs = store.claim(limit=2)
    assert store.insert_many([active]) == [None]
    store.work("mail", done(*jobs), node=1, limit=0, now=1)

    assert store.insert_many([active]) == [3]


def test_what_is_given_back_can_be_claimed_by_the_same_question(store):
    store.insert_many([a_new_job(), a_new_job()])
    first, second = store.claim(limit=2)
    settlements = [*done(first), Settlement(second.id, 1, GivenBack())]

    claim = store.work("mail", settlements, node=1, limit=5, now=1)

    assert ids(claim.jobs) == [second.id]
    assert store.counts("mail")[Status.COMPLETED] == 1


def test_verbs_of_one_transaction_see_what_moved_together(env, store):
    store.insert_many([a_new_job(), a_new_job()])

    def both(writer):
        jobs = writer.work("mail", [], node=1, limit=2, now=1).jobs
        assert writer.count([Status.RUNNING], "mail") == 2
        writer.work("mail", done(*jobs), node=1, limit=2, now=2)
        writer.retry(1, now=3)
        return writer.work("mail", [], node=1, limit=2, now=4).jobs

    assert ids(job_store.write(env, both)) == [1]
    assert store.counts("mail")[Status.COMPLETED] == 1


def test_a_job_that_the_index_names_twice_is_run_at_most_once(env, store):
    store.insert_many([a_new_job() for _ in range(3)])
    lane = keys.lane(Status.ENQUEUED, "mail")
    wrong = keys.work_key(lane, -7, 2)
    env.write(lambda txn: txn.put(wrong, b"", db=env.tables.index))

    def claims(writer):
        return writer.work("mail", [], node=1, limit=5, now=1).jobs

    assert ids(job_store.write(env, claims)).count(2) <= 1
    assert store.findings() == []
    assert store.claim(limit=5, now=2) == []
