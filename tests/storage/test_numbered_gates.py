"""Gates have numbers, in whose order they are stored, and those of format 5 go on without."""

import lzma
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.stored_jobs import Store, a_new_job, gate

from antq_actors import AntQ
from antq_actors.flow.limits import ConcurrencyRule, LimitRule
from antq_actors.jobs.outcome import Completed
from antq_actors.jobs.state import Status
from antq_actors.storage.format.records import Settlement
from antq_actors.storage.jobs import job_store
from antq_actors.storage.jobs.gates import GateTable
from antq_actors.storage.lmdb import keys, scan
from antq_actors.storage.lmdb.open_stores import open_environment


@pytest.fixture
def store(env):
    store = Store(env).has_nodes(1)
    rule = LimitRule("account", keyed=True, concurrency=ConcurrencyRule(1))
    store.declare_limits([rule], replace=True, now=0)
    return store


def insert(store, *accounts, count=1):
    for account in accounts:
        store.insert_many([a_new_job(gates=[("account", account)])] * count)


def number_of(store, account):
    def look(txn):
        table, key = GateTable(txn, store.env.tables), gate("account", account)
        table.gate(key, 0)
        return keys.number_in(table.place(key))

    return store.env.read(look)


def rows(store, start=b""):
    def look(txn):
        return list(scan.items_with(txn, store.env.tables.further(txn, "gates"), start))

    return store.env.read(look)


def put(store, key, value):
    store.env.write(lambda txn: txn.put(key, value, db=store.env.tables.further(txn, "gates")))


def write(store, verb):
    """Do a verb in a store that does not verify before it."""
    return job_store.write(store.env, verb)


def end(store, job, now=0):
    done = [Settlement(job.id, job.state.execution, Completed())]
    return write(store, lambda jobs: jobs.work("mail", done, node=1, limit=9, now=now)).jobs


def drain(store):
    """Let all jobs complete; return their ids in the order in which they started."""
    started, found = [], write(store, lambda jobs: jobs.work("mail", [], node=1, limit=9, now=0))
    running = found.jobs
    while running:
        started.append(running[0].id)
        running = running[1:] + end(store, running[0])
    return started


def test_records_and_rooms_are_in_the_order_in_which_keys_came_first(store):
    accounts = [7, 3, 9, 1, 5]
    insert(store, *accounts, count=3)

    numbers = [number_of(store, account) for account in accounts]

    assert numbers == sorted(numbers)
    assert len(rows(store, keys.NUMBERED)) == len(accounts)
    waiting = store.env.read(
        lambda txn: list(scan.keys_with(txn, store.env.tables.index, keys.HELD))
    )
    assert [keys.id_at_end(key) for key in waiting] == [2, 3, 5, 6, 8, 9, 11, 12, 14, 15]


def test_a_key_that_is_forgotten_comes_back_with_another_number(store):
    insert(store, 1, 2)
    first = number_of(store, 1)

    drain(store)
    assert rows(store) == []
    insert(store, 1, count=2)

    assert number_of(store, 1) > first
    assert drain(store) == [3, 4]


@pytest.mark.parametrize("damage", [b"\xff", b"", b"\0" * 8, b"\0" * 7 + b"\x63"])
def test_a_damaged_number_is_found_by_the_jobs_that_wait(store, damage):
    insert(store, 1, 2, count=3)
    running = store.claim(limit=9)
    number = number_of(store, 1)
    put(store, gate("account", 1), damage)
    assert any("gates: " in finding for finding in store.findings())

    write(store, lambda jobs: jobs.insert_many([a_new_job(gates=[("account", 1)])]))

    assert store.findings() == []
    assert number_of(store, 1) == number
    assert len(end(store, running[0])) == 1


def test_a_damaged_record_keeps_its_number(store):
    insert(store, 1, count=3)
    (first,) = store.claim(limit=9)
    number = number_of(store, 1)
    put(store, keys.gate_place(b"", number), b"\xff")

    (second,) = end(store, first)

    assert (second.id, number_of(store, 1)) == (2, number)
    assert store.findings() == []


def test_a_record_that_no_gate_has_is_a_finding_and_goes_when_gates_are_counted(store):
    insert(store, 1, count=2)
    put(store, keys.gate_place(b"", 77), b"\xff")
    assert store.findings() == [
        f"gates: the record {keys.gate_place(b'', 77).hex()} belongs to no gate"
    ]

    put(store, gate("account", 2), b"\xff")
    insert_one = [a_new_job(gates=[("account", 2)])]
    write(store, lambda jobs: jobs.insert_many(insert_one))

    assert store.findings() == []


def test_jobs_that_wait_by_two_numbers_are_a_finding_and_do_not_block_the_others(store):
    insert(store, 1, count=3)
    (first,) = store.claim(limit=9)

    def wait_apart(txn):
        jobs = job_store.JobStore(txn, store.env.tables)
        record = jobs._jobs.record(3)
        limited = replace(record.state.limited, number=50)
        jobs._jobs.relocate(3, record, replace(record.state, limited=limited))

    store.env.write(wait_apart)
    assert any("by several numbers" in finding for finding in store.findings())

    put(store, keys.gate_place(b"", number_of(store, 1)), b"\xff")
    (second,) = end(store, first)

    assert second.id == 2
    assert store.get(3).state.status is Status.FAILED
    assert store.findings() == []


# ---- as a release of format 5 has written it ------------------------------------------------


@pytest.fixture
def older(tmp_path):
    path = tmp_path / "store"
    path.mkdir(mode=0o700)
    packed = Path(__file__).with_name("store_of_format_5.xz").read_bytes()
    (path / "data.mdb").write_bytes(lzma.decompress(packed))
    return path


def test_the_limits_of_a_store_of_format_5_hold_on(older):
    with AntQ(older, start_queues=False, retention=None) as app:
        assert app.verify() == []
        assert {info.name: (info.keys, info.waiting) for info in app.limits()} == {
            "old:Pay": (3, 5),
            "old:Sync": (1, 3),
        }
        assert app.limit("old:Pay").status(key="a").waiting == 2
        assert app.limit("old:Pay").keys() == ["a", "b", "paused"]
        assert [job.args["n"] for job in app.list_jobs()] == list(range(10))


def test_the_jobs_of_a_store_of_format_5_run_and_its_keys_get_numbers(older):
    env = open_environment(older)
    store = Store(env).has_nodes(9)
    store.rescue(node=1, now=5, max_interruptions=9, reason="it is gone")
    assert rows(store, keys.NUMBERED) == []
    started = []
    found = store.work("default", [], node=9, limit=9, now=2**52)
    while found.jobs:
        started += [job.id for job in found.jobs]
        done = [Settlement(job.id, job.state.execution, Completed()) for job in found.jobs]
        found = store.work("default", done, node=9, limit=9, now=2**52)

    assert sorted(started) == list(range(1, 10))
    assert [id_ for id_ in started if id_ in (7, 8, 9)] == [7, 8, 9]
    assert store.get(10).state.status is Status.ENQUEUED  # its key is paused
    assert len(rows(store)) == len(("a key that is paused", "one of which a number was set"))
    store.insert_many([a_new_job(gates=[("old:Pay", "new")], queue="default")])
    assert len(rows(store, keys.NUMBERED)) == 1
    env.close()
