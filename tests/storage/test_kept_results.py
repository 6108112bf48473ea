"""The rows of results: sealed with the id of their job, gone with it, and checked by verify."""

import pytest
from msgspec.structs import replace
from support.stored_jobs import a_new_job

from antq_actors.errors import DamagedRecord, ResultNotKept, ResultTooLarge
from antq_actors.jobs.outcome import (
    COMPLETED,
    COMPLETED_WITH_NONE,
    KEPT_NONE,
    Completed,
    FollowUp,
    KeptResult,
    Produced,
)
from antq_actors.jobs.result import NOT_KEPT, TOO_LARGE
from antq_actors.jobs.state import Composed, JobFlow, ResultRule, Status
from antq_actors.storage.format.encoding import Signer
from antq_actors.storage.format.records import Settlement
from antq_actors.storage.format.values import encode_value
from antq_actors.storage.jobs.results import load_result, unseal
from antq_actors.storage.lmdb import keys

TTL = 50


def a_job_with_result(ttl=None):
    new = a_new_job()
    flow = JobFlow(result=ResultRule(1000, ttl))
    return new._replace(spec=replace(new.spec, flow=flow))


def completed(store, *values, ttl=None, now=0, follow_ups=()):
    """Store, claim and complete a job for each of *values* in one transaction; return their ids."""
    for _ in values:
        store.insert(a_job_with_result(ttl))
    jobs = store.claim(limit=len(values), now=now)
    produced = [
        Produced(follow_ups=follow_ups, result=KeptResult(encode_value(value), ttl))
        for value in values
    ]
    settlements = [
        Settlement(job.id, job.state.execution, Completed(each))
        for job, each in zip(jobs, produced, strict=True)
    ]
    store.work("mail", settlements, node=1, limit=0, now=now)
    return [job.id for job in jobs]


def rows(store):
    """Return the rows of the table of results, by their keys."""

    def read(txn):
        with txn.cursor(store.env.tables.further(txn, "results")) as cursor:
            return dict(cursor)

    return store.env.read(read)


def result(store, id_):
    return load_result(unseal(id_, rows(store)[keys.job_key(id_)], Signer()))


def change(store, key, row):
    """Put a row into the table of results, None: delete it."""

    def write(txn):
        table = store.env.tables.further(txn, "results")
        if row is None:
            txn.delete(key, db=table)
        else:
            txn.put(key, row, db=table)

    store.env.write(write)


@pytest.mark.parametrize("follow_ups", [(), (FollowUp(a_new_job(queue="later")),)])
def test_jobs_that_complete_together_have_a_result_each(store, follow_ups):
    ids = completed(store, "a", ["b"], None, follow_ups=follow_ups)

    assert [result(store, id_) for id_ in ids] == ["a", ["b"], None]
    assert {store.get(id_).state.status for id_ in ids} == {Status.COMPLETED}
    assert store.findings() == []


@pytest.mark.parametrize("follow_ups", [(), (FollowUp(a_new_job(queue="later")),)])
def test_the_result_none_is_in_the_record_of_its_job_and_has_no_row(store, follow_ups):
    none = Completed(Produced(follow_ups=follow_ups, result=KEPT_NONE))
    for _ in range(2):
        store.insert(a_job_with_result())
    settlements = [Settlement(job.id, 1, none) for job in store.claim(limit=2)]

    store.work("mail", settlements, node=1, limit=0, now=0)

    for each in settlements:
        assert store.get(each.id).state.composed == Composed(has_result=True, is_none=True, node=1)
    assert rows(store) == {}
    assert store.findings() == []
    assert store.retry(settlements[0].id, now=1).state.composed is None
    store.delete(settlements[1].id)
    assert store.findings() == []


def test_a_row_of_a_job_whose_result_is_none_is_found(store):
    (id_,) = completed(store, "a")
    row = rows(store)[keys.job_key(id_)]
    store.retry(id_, now=1)
    (job,) = store.claim(now=1)
    store.work(
        "mail",
        [Settlement(id_, job.state.execution, COMPLETED_WITH_NONE)],
        node=1,
        limit=0,
        now=1,
    )

    change(store, keys.job_key(id_), row)

    assert len(store.findings()) == 1


def test_those_with_and_without_results_complete_in_one_transaction(store):
    store.insert(a_new_job())
    (plain,) = store.claim()
    store.insert(a_job_with_result())
    (kept,) = store.claim()
    outcome = Completed(Produced(result=KeptResult(encode_value(1))))

    store.work(
        "mail",
        [
            Settlement(kept.id, 1, outcome),
            Settlement(plain.id, 1, COMPLETED),
            Settlement(99, 1, outcome),
        ],
        node=1,
        limit=0,
        now=0,
    )

    assert list(rows(store)) == [keys.job_key(kept.id)]
    assert store.get(plain.id).state.composed is None
    assert store.findings() == []


def test_the_result_of_an_execution_that_does_not_count_is_dropped(store):
    store.insert(a_job_with_result())
    (job,) = store.claim()

    store.work(
        "mail",
        [Settlement(job.id, 7, Completed(Produced(result=KeptResult(b"\x02"))))],
        node=1,
        limit=0,
        now=0,
    )

    assert rows(store) == {}
    assert store.get(job.id).state.status is Status.RUNNING


@pytest.mark.parametrize("ttl", [None, TTL])
@pytest.mark.parametrize("verb", ["delete", "retry", "prune"])
def test_a_result_goes_with_its_job_and_by_a_retry(store, verb, ttl):
    (id_,) = completed(store, "a", ttl=ttl)

    if verb == "prune":
        store.prune(finished_before=1, limit=10)
    else:
        getattr(store, verb)(id_, now=1)

    assert rows(store) == {}
    assert store.findings() == []


def test_a_retried_job_is_as_if_it_had_never_had_a_result(store):
    (id_,) = completed(store, "a")

    assert store.retry(id_, now=1).state.composed is None


def test_results_whose_time_is_over_are_deleted(store):
    ids = completed(store, "a", "b", ttl=TTL)
    (kept,) = completed(store, "c")

    assert store.delete_results(expired_at=TTL - 1, limit=10) == 0
    assert store.delete_results(expired_at=TTL, limit=1) == 1
    assert store.delete_results(expired_at=TTL, limit=10) == 1

    assert list(rows(store)) == [keys.job_key(kept)]
    assert store.findings() == []
    store.delete(ids[0])
    assert store.findings() == []


def test_new_results_make_room_for_themselves(store):
    completed(store, "a", "b", "c", ttl=TTL)

    (new,) = completed(store, "d", ttl=TTL, now=TTL)

    left = [key for key in rows(store) if len(key) == len(keys.job_key(0))]
    assert len(left) == 2
    assert keys.job_key(new) in left


def test_the_row_of_another_job_is_no_result(store):
    one, other = completed(store, "a", "b")
    swapped = rows(store)[keys.job_key(other)]

    with pytest.raises(DamagedRecord, match=f"result of job {one}"):
        unseal(one, swapped, Signer())
    change(store, keys.job_key(one), swapped)
    assert len(store.findings()) == 1


def test_a_changed_row_is_damaged_and_with_keys_an_unsigned_one(store):
    (id_,) = completed(store, "a")
    row = rows(store)[keys.job_key(id_)]

    with pytest.raises(DamagedRecord, match="checksum"):
        unseal(id_, row[:-1] + b"x", Signer())
    with pytest.raises(DamagedRecord, match="not signed"):
        unseal(id_, row, Signer([b"k" * 32]))


def test_verify_names_results_that_are_missing_and_those_of_no_job(store):
    (id_,) = completed(store, "a")
    key = keys.job_key(id_)
    row = rows(store)[key]

    change(store, key, None)
    assert store.findings() == [f"results: the result of job {id_} is missing"]
    change(store, key, row)
    change(store, keys.job_key(77), row)
    assert len(store.findings()) == 2
    change(store, keys.job_key(77), None)
    change(store, b"nonsense", b"")
    assert any("nonsense" in finding for finding in store.findings())


@pytest.mark.parametrize(
    ("mark", "error"), [(TOO_LARGE, ResultTooLarge), (NOT_KEPT, ResultNotKept)]
)
def test_what_is_not_kept_says_why(mark, error):
    with pytest.raises(error, match="because") as caught:
        load_result(mark + b"because")
    assert type(caught.value) is error
