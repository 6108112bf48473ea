"""A job that one more interruption would fail has an isolated run on its node."""

from __future__ import annotations

import pytest
from stored_jobs import a_new_job

from antq_actors.jobs.instant import SECOND
from antq_actors.jobs.outcome import Completed, Failed
from antq_actors.jobs.state import Status
from antq_actors.storage.format.records import NodeGone, Settlement
from antq_actors.storage.jobs import job_store
from antq_actors.storage.jobs.writer import ISOLATION_MICROSECONDS


def interrupted(store, count, times, *, most=3):
    """That many jobs, each interrupted so often by the death of node 1."""
    store.insert_many([a_new_job({"n": n}) for n in range(count)])
    for _ in range(times):
        while store.claim(limit=count, now=0, node=1):
            pass
        store.rescue(node=1, now=0, max_interruptions=most, reason="it died")


def ids(jobs):
    return [job.id for job in jobs]


def done(job):
    return Settlement(job.id, job.state.execution, Completed())


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

    second = store.work("mail", [done(first.jobs[0])], node=1, limit=5, now=2)
    assert ids(second.jobs) == [2]
    third = store.work("mail", [done(second.jobs[0])], node=1, limit=5, now=3)
    assert ids(third.jobs) == [3]
    assert ids(store.work("mail", [done(third.jobs[0])], node=1, limit=5, now=4).jobs) == [4]


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
    store.settle(Settlement(1, job.state.execution, Failed("no", None, 0.0)), now=1)
    assert store.get(1).state.isolated
    (job,) = store.claim(now=2)
    assert job.state.isolated
    store.settle(done(job), now=3)

    assert not store.retry(1, now=4).state.isolated


def test_when_it_ended_all_queues_are_told(env, store):
    interrupted(store, 1, 2)
    store.insert(a_new_job(queue="other"))
    (job,) = store.claim()

    def settle(writer):
        writer.settle(done(job), now=1)
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

    store.work("mail", [done(job)], node=7, limit=0, now=2)

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
