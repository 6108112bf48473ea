"""Jobs with limits whose records, or those of their gates, are damaged: no count drifts."""

import pytest
from support.raw_jobs import put_garbage_for_state, put_spec
from support.stored_jobs import Store, a_new_job, gate

from antq_actors.flow.limits import DISCARD, ConcurrencyRule, LimitRule
from antq_actors.jobs.outcome import Completed, GivenBack
from antq_actors.jobs.state import Status
from antq_actors.storage.format.records import Settlement
from antq_actors.storage.jobs import job_store
from antq_actors.storage.jobs.gates import GateTable
from antq_actors.storage.lmdb import keys, scan


@pytest.fixture
def store(env):
    store = Store(env).has_nodes(1, 2)
    rules = [
        LimitRule(name, keyed=True, concurrency=ConcurrencyRule(n))
        for name, n in (("account", 1), ("pair", 2), ("three", 3))
    ]
    store.declare_limits(rules, replace=True, now=0)
    return store


def insert(store, *limits, count=1, **options):
    return store.insert_many([a_new_job(gates=limits, **options)] * count)


def ids(jobs):
    return [job.id for job in jobs]


def write(store, verb):
    """Do a verb in a store that does not verify before it."""
    return job_store.write(store.env, verb)


def garble(store, id_):
    store.env.write(lambda txn: put_garbage_for_state(txn, store.env.tables, id_))


def damage_gate(store, *of_gate):
    tables = store.env.tables
    store.env.write(lambda txn: txn.put(gate(*of_gate), b"\xff", db=tables.further(txn, "gates")))


def running_at(store, *of_gate):
    tables = store.env.tables
    return store.env.read(lambda txn: GateTable(txn, tables).gate(gate(*of_gate), 0)).running


def test_jobs_that_complete_with_a_damaged_one_leave_their_limit_once(store):
    insert(store, ("three", 7), count=6)
    first, second, _ = store.claim(limit=9)
    store.env.write(lambda txn: put_spec(txn, store.env.tables, first.id, b"\xff garbage"))
    done = [Settlement(job.id, job.state.execution, Completed()) for job in (first, second)]

    claim = write(store, lambda jobs: jobs.work("mail", done, node=1, limit=9, now=0))

    assert ids(claim.jobs) == [4, 5]
    assert running_at(store, "three", 7) == 3
    assert [finding.split(":")[0] for finding in store.findings()] == ["job 1"]


def test_a_job_that_goes_before_a_damaged_one_is_not_counted_as_running(store):
    insert(store, ("pair", 7), count=2)
    one, two = store.claim(limit=9)
    insert(store, ("pair", 7), count=2)
    store.end(two, Completed())  # then job 3 is in front
    garble(store, 3)

    write(store, lambda jobs: jobs.settle(Settlement(one.id, 1, GivenBack()), now=0))

    assert running_at(store, "pair", 7) == 0
    assert store.findings() == []
    assert ids(store.claim(limit=9)) == [1, 4]


def test_a_new_job_goes_before_a_damaged_one(store):
    insert(store, ("pair", 7), count=2)
    garble(store, 1)

    new = a_new_job(gates=[("account", 1), ("pair", 7)], priority=5)
    write(store, lambda jobs: jobs.insert(new))

    assert store.findings() == []
    assert ids(store.claim(limit=9)) == [3, 2]


def test_a_job_that_comes_due_at_a_damaged_gate_runs_only_if_it_may(store):
    insert(store, ("account", 7), count=1)
    (first,) = store.claim(limit=9)
    insert(store, ("account", 7), due=5)
    damage_gate(store, "account", 7)

    claim = write(store, lambda jobs: jobs.work("mail", [], node=1, limit=9, now=9))

    assert claim.jobs == []
    assert running_at(store, "account", 7) == 1
    store.end(first, Completed())
    assert ids(store.claim(limit=9, now=9)) == [2]


def test_a_damaged_job_that_was_scheduled_leaves_its_limit(store):
    insert(store, ("account", 7), due=5)
    (first,) = store.claim(limit=9, now=5)
    garble(store, first.id)

    write(store, lambda jobs: jobs.settle(Settlement(first.id, 1, Completed()), now=9))

    assert running_at(store, "account", 7) == 0
    assert store.findings() == []


def test_a_job_that_is_missing_in_its_room_is_failed(store):
    insert(store, ("account", 7), count=2)
    (first,) = store.claim(limit=9)

    def lose(txn):
        table, key = GateTable(txn, store.env.tables), gate("account", 7)
        table.gate(key, 0)
        prefix, index = keys.room_prefix(table.place(key), "mail"), store.env.tables.index
        (place,) = list(scan.keys_with(txn, index, prefix))
        txn.delete(place, db=index)

    store.env.write(lose)

    write(store, lambda jobs: jobs.settle(Settlement(first.id, 1, Completed()), now=9))

    assert store.findings() == []
    assert store.get(2).state.status is Status.FAILED
    (third,) = insert(store, ("account", 7))
    assert ids(store.claim(limit=9)) == [third]


def test_a_damaged_gate_is_counted_anew_by_an_enqueue_that_is_refused(store):
    rule = LimitRule("one", keyed=True, concurrency=ConcurrencyRule(1, when_full=DISCARD))
    store.declare_limits([rule], replace=True, now=0)
    insert(store, ("one", 1))
    insert(store, ("account", 7))
    assert len(store.claim(limit=9)) == 2
    damage_gate(store, "account", 7)

    (refused,) = write(
        store, lambda jobs: jobs.insert_many([a_new_job(gates=[("account", 7), ("one", 1)])])
    )

    assert refused is None
    assert running_at(store, "account", 7) == 1
    assert store.findings() == []
