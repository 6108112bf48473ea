"""Jobs that a filter found are changed in one transaction, as each by itself would be."""

import pytest
from support.raw_jobs import put_garbage_for_state
from support.stored_jobs import a_new_job

from antq_actors.errors import JobNotFound
from antq_actors.jobs.outcome import Completed, Failed
from antq_actors.jobs.state import ACTIVE, ENDED, Status
from antq_actors.storage.format.records import BulkResult, Chosen, Filter, Span

FAILED = Chosen(frozenset({Status.FAILED}), 100)


def failed(store, count, *, now=50, **options):
    """Store *count* jobs that failed at *now*."""
    store.insert_many([a_new_job({"n": n}, **options) for n in range(count)])
    for job in store.claim(limit=count, now=now):
        store.end(job, Failed("no"), now=now)


def statuses(store, count):
    return [store.get(id_).state.status.value for id_ in range(1, count + 1)]


def test_failed_jobs_are_enqueued_again_with_all_their_attempts(store):
    failed(store, 3)

    assert store.retry_many([1, 3], FAILED, now=200) == BulkResult(2, 0, 0, frozenset({"mail"}))

    assert statuses(store, 3) == ["enqueued", "failed", "enqueued"]
    state = store.get(1).state
    assert (state.attempts, state.scheduled_at, state.updated_at) == (0, 200, 200)
    assert [job.id for job in store.claim(limit=5, now=201)] == [1, 3]


def test_retried_jobs_are_scheduled_one_after_the_other(store):
    failed(store, 4)
    store.delete(2)

    result = store.retry_many([1, 2, 3, 4], FAILED, now=200, dues=[300, 400, 500, 600])

    assert result == BulkResult(3, 1, 0, frozenset({"mail"}))
    due = {id_: store.get(id_).state.scheduled_at for id_ in (1, 3, 4)}
    assert due == {1: 300, 3: 400, 4: 500}
    assert statuses(store, 1) == ["scheduled"]
    assert store.get(1).state.attempts == 0
    assert [job.id for job in store.claim(limit=5, now=400)] == [1, 3]


@pytest.mark.parametrize("verb", ["retry_many", "delete_many"])
def test_a_job_that_has_changed_in_the_meantime_is_skipped(store, verb):
    failed(store, 3)
    store.retry(2, now=60)
    failed_later = store.claim(now=101)
    store.end(failed_later[0], Failed("again"), now=101)
    store.delete(3)

    result = getattr(store, verb)([1, 2, 3, 4711], FAILED, now=200)

    assert result[:3] == (1, 3, 0)
    assert store.get(2).state.status is Status.FAILED


def test_a_job_that_changed_before_the_clock_was_set_back_is_no_later_one(store):
    failed(store, 1, now=5_000)

    assert store.retry_many([1], FAILED, now=200).changed == 1


def test_duplicates_of_a_unique_job_are_refused_and_the_others_retried(store):
    failed(store, 2)
    store.insert(a_new_job({"n": 7}, unique=("n",)))
    store.end(store.claim(now=60)[0], Failed("no"), now=60)
    store.insert(a_new_job({"n": 7}, unique=("n",)))
    store.end(store.claim(now=60)[0], Failed("no"), now=60)

    result = store.retry_many([1, 2, 3, 4], FAILED, now=200)

    assert result[:3] == (3, 0, 1)
    assert statuses(store, 4) == ["enqueued", "enqueued", "enqueued", "failed"]


def test_waiting_jobs_are_cancelled_and_running_ones_told_to_end(store):
    store.insert_many([a_new_job({"n": n}) for n in range(2)])
    store.insert(a_new_job(due=10**6))
    store.insert(a_new_job())
    store.end(store.claim(now=5)[0], Completed(), now=6)
    (running,) = store.claim(now=7, node=7)

    result = store.cancel_many([1, 2, 3, 4], Chosen(ACTIVE), now=200)

    assert result == BulkResult(3, 1, 0)
    assert statuses(store, 4) == ["completed", "running", "cancelled", "cancelled"]
    work = store.work("mail", [], node=7, limit=0, now=201)
    assert work.cancelled == ((2, running.state.execution),)


def test_jobs_of_any_status_are_deleted_with_all_that_there_is_of_them(store):
    failed(store, 1)
    store.insert(a_new_job({"text": "x" * 2_000}))
    store.claim(now=60)
    store.insert(a_new_job(due=10**6, unique=()))

    assert store.delete_many([1, 2, 3], Chosen(), now=200) == BulkResult(3, 0, 0)

    assert store.ids(Filter()) == []
    with pytest.raises(JobNotFound):
        store.get(2)


def test_damaged_jobs_are_retried_and_deleted_and_not_cancelled(env, store):
    failed(store, 2)
    store.insert_many([a_new_job({"n": n}) for n in range(2)])

    def damage(id_):
        env.write(lambda txn: put_garbage_for_state(txn, env.tables, id_))

    damage(1)
    assert store.retry_many([1], FAILED, now=200).changed == 1
    damage(2)
    assert store.delete_many([2], FAILED, now=200).changed == 1
    damage(3)
    assert store.cancel_many([3, 4], Chosen(ACTIVE), now=200)[:2] == (1, 1)

    assert store.ids(Filter()) == [1, 3, 4]
    assert store.get(3).state.status is Status.FAILED


def test_ids_are_read_by_page_up_to_the_last(store):
    assert store.last_id() == 0
    failed(store, 3)
    store.insert(a_new_job(queue="other"))

    assert store.last_id() == 4
    assert store.page_ids(Filter(ENDED), size=2) == [1, 2]
    assert store.page_ids(Filter(ENDED), Span(after=1, before=3), size=5) == [2]
    assert store.page_ids(Filter(), size=5) == [1, 2, 3, 4]
    assert store.page_ids(Filter(queue_name="other"), size=0) == []
