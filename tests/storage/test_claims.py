"""Jobs are claimed and settled together, each as if it were alone; some run isolated."""

import pytest
from support.stored_jobs import a_new_job

from antq_actors.jobs.instant import SECOND
from antq_actors.jobs.outcome import Completed, Failed, GivenBack
from antq_actors.jobs.state import Status
from antq_actors.storage.format.records import Filter, NodeGone, Settlement
from antq_actors.storage.jobs import job_store
from antq_actors.storage.jobs.writer import ISOLATION_MICROSECONDS
from antq_actors.storage.lmdb import keys


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


# ---- a job that one more interruption would fail has an isolated run ----------------------------


def interrupted(store, count, times, *, most=3):
    """That many jobs, each interrupted so often by the death of node 1."""
    store.insert_many([a_new_job({"n": n}) for n in range(count)])
    for _ in range(times):
        while store.claim(limit=count, now=0, node=1):
            pass
        store.rescue(node=1, now=0, max_interruptions=most, reason="it died")


def test_after_the_first_of_three_interruptions_jobs_go_on_together(store):
    interrupted(store, 3, 1)

    assert ids(store.claim(limit=5)) == [1, 2, 3]


def test_after_the_last_but_one_they_begin_one_at_a_time(store):
    interrupted(store, 3, 2)
    store.insert(a_new_job())

    first = store.work("mail", [], node=1, limit=5, now=0)
    assert ids(first.jobs) == [1]
    assert first.next_due == ISOLATION_MICROSECONDS
    assert ids(store.claim(limit=5, now=1)) == []

    second = store.work("mail", done(*first.jobs), node=1, limit=5, now=2)
    assert ids(second.jobs) == [2]
    third = store.work("mail", done(*second.jobs), node=1, limit=5, now=3)
    assert ids(third.jobs) == [3]
    assert ids(store.work("mail", done(*third.jobs), node=1, limit=5, now=4).jobs) == [4]


def test_those_before_it_in_line_begin_first_and_then_it(store):
    interrupted(store, 1, 2)
    store.insert(a_new_job(priority=9))

    claim = store.work("mail", [], node=1, limit=5, now=7)
    assert ids(claim.jobs) == [2]
    assert claim.next_due == 7  # look again at once
    assert ids(store.claim(limit=5, now=8)) == [1]


def test_a_long_job_has_its_node_for_itself_for_a_while_only(store):
    interrupted(store, 1, 2)
    store.insert(a_new_job())
    assert ids(store.claim(limit=5, now=SECOND)) == [1]

    held = store.work("mail", [], node=1, limit=5, now=SECOND + ISOLATION_MICROSECONDS - 1)
    assert (ids(held.jobs), held.next_due) == ([], SECOND + ISOLATION_MICROSECONDS)

    assert ids(store.claim(limit=5, now=SECOND + ISOLATION_MICROSECONDS)) == [2]


def test_it_holds_up_all_queues_of_its_node_and_no_other_node(store):
    interrupted(store, 1, 2)
    store.insert_many([a_new_job(queue="other"), a_new_job(queue="other")])
    assert ids(store.claim(limit=5)) == [1]

    assert ids(store.claim(limit=1, queue="other", node=1)) == []
    assert ids(store.claim(limit=1, queue="other", node=2)) == [2]


def test_a_clock_that_was_set_back_holds_up_nobody(store):
    interrupted(store, 1, 2)
    store.insert(a_new_job())
    assert ids(store.claim(limit=5, now=100 * SECOND)) == [1]

    assert ids(store.claim(limit=5, now=99 * SECOND)) == [2]


@pytest.mark.parametrize("most", [1, 2])
def test_however_few_interruptions_are_allowed_a_new_job_never_waits_for_others(store, most):
    store.insert_many([a_new_job() for _ in range(3)])

    assert ids(store.claim(limit=5)) == [1, 2, 3]
    store.rescue(node=1, now=0, max_interruptions=most, reason="it died")

    assert ids(store.claim(limit=5)) == ([] if most == 1 else [1])


def test_it_stays_on_isolated_over_failed_attempts_until_it_is_retried(store):
    store.insert(a_new_job(max_attempts=3))
    for _ in range(2):
        store.claim()
        store.rescue(node=1, now=0, max_interruptions=3, reason="it died")
    (job,) = store.claim()
    store.end(job, Failed("no", None, 0.0), now=1)
    assert store.get(1).state.isolated
    (job,) = store.claim(now=2)
    assert job.state.isolated
    store.end(job, Completed(), now=3)

    assert not store.retry(1, now=4).state.isolated


def test_when_it_ended_all_queues_are_told(env, store):
    interrupted(store, 1, 2)
    store.insert(a_new_job(queue="other"))
    (job,) = store.claim()

    def settle(writer):
        writer.settle(*done(job), now=1)
        return writer.due

    assert job_store.write(env, settle) == {"mail", "other"}


# ---- nodes that were declared dead ------------------------------------------------------------


def test_a_node_that_was_declared_dead_gets_nothing_more(store):
    store.insert_many([a_new_job(), a_new_job()])
    store.claim(node=7)
    store.rescue(node=7, now=1, max_interruptions=3, reason="it died")
    store.remove_node(7)

    with pytest.raises(NodeGone, match="node 7 was declared dead"):
        store.claim(node=7)

    assert store.count([Status.ENQUEUED], "mail") == 2


def test_its_outcomes_are_dropped_without_an_error(store):
    store.insert(a_new_job())
    (job,) = store.claim(node=7)
    store.rescue(node=7, now=1, max_interruptions=3, reason="it died")
    store.remove_node(7)

    store.work("mail", done(job), node=7, limit=0, now=2)

    assert store.get(1).state.status is Status.ENQUEUED


# ---- word left for nodes ----------------------------------------------------------------------


def test_word_for_a_node_is_taken_once_by_its_queue(store):
    store.set_concurrency_command("mail", 7, [1, 2])

    assert store.work("other", [], node=1, limit=0, now=0).concurrency is None
    assert store.work("mail", [], node=1, limit=0, now=0).concurrency == 7
    assert store.work("mail", [], node=1, limit=0, now=0).concurrency is None
    assert store.work("mail", [], node=2, limit=5, now=0).concurrency == 7


def test_word_for_a_node_that_ended_goes_with_it(env, store):
    store.set_concurrency_command("mail", 7, [7])
    store.remove_node(7)
    store.add_node(7)

    assert store.work("mail", [], node=7, limit=0, now=0).concurrency is None
