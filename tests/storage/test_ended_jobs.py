"""Ended jobs are in their listing lane and in the row of their time, until they are pruned."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.raw_jobs import change_state, put_garbage_for_state
from support.stored_jobs import Store, a_new_job

from antq_actors.errors import JobNotFound
from antq_actors.jobs.outcome import Completed
from antq_actors.jobs.state import Status
from antq_actors.storage.format.records import Filter, Settlement
from antq_actors.storage.jobs import job_store
from antq_actors.storage.lmdb import keys, scan

COMPLETED = Filter(frozenset({Status.COMPLETED}))


def rows(env):
    """Return the rows of ended jobs: their time and ids."""

    def read(txn):
        return [
            (keys.order_in(key), list(map(int.from_bytes, keys.ids_in(row))))
            for key, row in scan.items_with(txn, env.tables.index, keys.ENDS)
        ]

    return env.read(read)


def jobs_that_ended(store, count, *, now):
    """Store jobs that ended together, and return their ids."""
    store.insert_many([a_new_job() for _ in range(count)])
    jobs = store.claim(limit=count, now=now)
    done = [Settlement(job.id, job.state.execution, Completed()) for job in jobs]
    store.work("mail", done, node=1, limit=0, now=now)
    return [job.id for job in jobs]


def change(env, how):
    env.write(lambda txn: how(txn, env.tables))


def prune(env, **options):
    """Prune without a check of the tables before it."""
    return job_store.write(env, lambda store: store.prune(**options))


def test_jobs_that_end_together_share_a_row(env, store):
    jobs_that_ended(store, 3, now=5)
    jobs_that_ended(store, 2, now=6)

    assert rows(env) == [(5, [1, 2, 3]), (6, [4, 5])]
    assert store.ids(COMPLETED) == [1, 2, 3, 4, 5]


def test_the_index_has_nothing_to_do_when_all_jobs_have_ended(env, store):
    jobs_that_ended(store, 3, now=5)

    work = env.read(lambda txn: list(scan.first_keys(txn, env.tables.index, b"", 9, keys.ENDS)))

    assert [key for key in work if key < keys.ENDS] == []


def test_pruning_stops_in_the_middle_of_a_row_and_goes_on_there(env, store):
    jobs_that_ended(store, 5, now=5)

    assert store.prune(finished_before=6, limit=2) == 2
    assert rows(env) == [(5, [3, 4, 5])]
    assert store.prune(finished_before=6, limit=9) == 3
    assert rows(env) == []
    assert store.ids(Filter()) == []


def test_pruning_takes_no_job_that_ended_at_the_very_instant(store):
    jobs_that_ended(store, 2, now=5)

    assert store.prune(finished_before=5, limit=9) == 0


@pytest.mark.parametrize("id_", [1, 2, 3])
def test_a_job_that_is_deleted_or_retried_leaves_its_row(env, store, id_):
    ids = jobs_that_ended(store, 3, now=5)
    rest = [each for each in ids if each != id_]

    store.retry(id_, now=6)
    assert rows(env) == [(5, rest)]

    store.delete(rest[0])
    assert rows(env) == [(5, rest[1:])]
    assert store.prune(finished_before=9, limit=9) == 1
    assert store.ids(Filter()) == [id_]


def test_a_job_that_ends_twice_at_one_time_is_in_a_row_once(env, store):
    jobs_that_ended(store, 3, now=5)
    store.retry(1, now=5)

    (job,) = store.claim(now=5)
    store.end(job, Completed(), now=5)

    assert [sorted(ids) for _, ids in rows(env)] == [[1, 2, 3]]
    assert store.prune(finished_before=6, limit=9) == 3


def test_rows_of_one_time_are_told_by_their_first_job(env, store):
    store.insert_many([a_new_job() for _ in range(6)])
    jobs = {job.id: job for job in store.claim(limit=6)}
    for ids in ([1, 4], [2, 6], [3], [5]):
        done = [Settlement(id_, jobs[id_].state.execution, Completed()) for id_ in ids]
        store.work("mail", done, node=1, limit=0, now=5)

    assert rows(env) == [(5, [1, 4]), (5, [2, 6]), (5, [3]), (5, [5])]

    for id_ in (4, 6, 3):
        store.delete(id_)

    assert rows(env) == [(5, [1]), (5, [2]), (5, [5])]


@given(st.lists(st.integers(1, 2**17) | st.integers(1, keys.LARGEST_ID), max_size=9), st.data())
def test_a_row_names_the_jobs_whose_ids_are_in_it_and_no_other(ids, data):
    row = b"".join(map(keys.job_key, ids))
    shifted = [row[at : at + 8] for at in range(max(0, len(row) - 7))]
    anyone = st.integers(0, 2**17).map(keys.job_key)
    key = data.draw(st.sampled_from(shifted) | anyone if shifted else anyone)

    assert keys.is_in_row(key, row) == (key in keys.ids_in(row))


def test_verifying_splits_a_row_once_however_many_jobs_it_names(env, store, monkeypatch):
    jobs_that_ended(store, 30, now=5)
    split, rows_split = keys.ids_in, []
    monkeypatch.setattr(keys, "ids_in", lambda row: rows_split.append(row) or split(row))

    assert store.findings() == []
    assert len(rows_split) == 1


# ---- what is damaged ------------------------------------------------------------------------


def ended_row(time, *ids):
    """Return a change that writes a row."""
    row = b"".join(map(keys.job_key, ids))
    key = keys.ends_prefix(time) + keys.job_key(ids[0])
    return lambda txn, tables: txn.put(key, row, db=tables.index)


def no_row(txn, tables):
    txn.delete(keys.ends_prefix(5) + keys.job_key(1), db=tables.index)


def an_odd_row(txn, tables):
    txn.put(keys.ENDS + b"odd", b"", db=tables.index)


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (no_row, "index: no row of ended jobs has job 2"),
        (ended_row(5, 1, 3), "index: no row of ended jobs has job 2"),
        (ended_row(4, 2), "in a row of ended jobs belongs to no job of that time"),
        (ended_row(5, 1, 2, 3, 9), "in a row of ended jobs belongs to no job of that time"),
        (ended_row(5, 2), "index: the rows of ended jobs name 4, and there are 3"),
        (an_odd_row, "is no key of a row of ended jobs"),
    ],
)
def test_verify_finds_what_is_wrong_with_rows(env, damage, finding):
    store = Store(env).has_nodes(1)
    jobs_that_ended(store, 3, now=5)

    change(env, damage)

    findings = store.findings()
    assert any(finding in found for found in findings), findings


def test_a_row_that_names_a_job_that_has_not_ended_prunes_nothing_and_is_gone(env):
    store = Store(env).has_nodes(1)
    store.insert_many([a_new_job(), a_new_job()])
    change(env, ended_row(5, 1, 9))

    prune(env, finished_before=6, limit=9)

    assert rows(env) == []
    assert store.ids(Filter()) == [1, 2]
    assert store.findings() == []


def test_a_row_that_names_a_job_that_ended_later_prunes_nothing(env):
    store = Store(env).has_nodes(1)
    jobs_that_ended(store, 1, now=7)
    change(env, ended_row(5, 1))

    prune(env, finished_before=6, limit=9)

    assert rows(env) == [(7, [1])]
    assert store.findings() == []


def test_a_damaged_job_is_pruned_by_its_row(env):
    store = Store(env).has_nodes(1)
    jobs_that_ended(store, 3, now=5)
    change(env, lambda txn, tables: put_garbage_for_state(txn, tables, 2))

    assert prune(env, finished_before=6, limit=9) == 3

    assert store.ids(Filter()) == []
    assert store.findings() == []


def test_a_job_that_was_said_to_have_ended_is_failed_when_it_is_retried(env):
    store = Store(env).has_nodes(1)
    store.insert_many([a_new_job(), a_new_job()])
    change(env, lambda txn, tables: change_state(txn, tables, 1, status=Status.COMPLETED))

    retried = job_store.write(env, lambda store: store.retry(1, now=6))

    assert retried.state.status is Status.ENQUEUED
    assert "the index does not" in store.errors(1, count=1)[0].error
    assert store.findings() == []


def test_deleting_a_job_twice_finds_it_once(store):
    jobs_that_ended(store, 2, now=5)
    store.delete(1)

    with pytest.raises(JobNotFound):
        store.delete(1)
