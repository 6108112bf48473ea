"""A disk that fills up under a running node, and has room again: nothing is lost or repeated.

A map that is full grows under two running processes, and nobody notices.
"""

import os
from contextlib import closing

import pytest
from obedient import hold_jobs, journal_in, noted
from support.apps import ENDED, STORE_TIMEOUT_SECONDS, until
from support.findings import findings
from support.stored_jobs import Store, a_new_job

from antq_actors import AntQ, Status, StorageError, StorageFull
from antq_actors.storage.format.records import Filter
from antq_actors.storage.lmdb.open_stores import open_environment

TINY = 2**18


@pytest.fixture(params=["small_disk", "ext4_disk"])
def disk(request):
    return request.getfixturevalue(request.param)


def test_a_node_whose_disk_was_full_for_a_while_ends_all_that_was_acknowledged_once(
    disk, a_node, tmp_path
):
    store, journal, args = disk.path / "store", tmp_path / "journal", journal_in(tmp_path)
    node = a_node(store)
    held, let_go = hold_jobs(node, tmp_path, last_words=300_000)
    waiting = node.enqueue(count=20, **args)

    disk.fill()
    waiting += node.fill(20_000, **args) + node.fill(0, **args)
    let_go()
    until(lambda: len(noted(journal, "end")) == 4, "the end of four jobs")
    until(lambda: node.warnings("until the store can be used"), "a warning")

    with pytest.raises(StorageFull, match="Make room, then repeat it"):
        node.enqueue(noise=20_000, **args)
    assert node.count() == len(held + waiting)
    assert node.count(Status.RUNNING) == 4
    disk.make_room()
    until(lambda: node.count(*ENDED) == len(held + waiting), "the end of all jobs")

    assert sorted(noted(journal, "begin")) == held + waiting
    assert sorted(noted(journal, "end")) == held + waiting
    assert {(attempts, cut) for _, _, attempts, cut in node.jobs()} == {(1, 0)}
    assert [id_ for id_, status, *_ in node.jobs() if status == Status.CANCELLED] == held
    assert len(node.warnings("outcomes, until the store can be used")) == 1
    assert len(node.warnings("in which 4 outcomes waited")) == 1
    assert node.warnings("gives up") == []
    node.stop()
    assert node.leave() == 0
    assert findings(store) == []


def test_a_node_that_is_stopped_while_its_disk_is_full_repeats_what_it_could_not_store(
    disk, a_node, tmp_path
):
    store, journal, args = disk.path / "store", tmp_path / "journal", journal_in(tmp_path)
    node = a_node(store)
    held, let_go = hold_jobs(node, tmp_path, last_words=300_000)
    disk.fill()
    waiting = node.fill(20_000, **args) + node.fill(0, **args)
    let_go()
    until(lambda: len(noted(journal, "end")) == 4, "the end of four jobs")

    took = node.stop(timeout=1.0)

    assert took < STORE_TIMEOUT_SECONDS
    assert node.leave() == 0
    assert len(node.warnings("what became of 4 jobs cannot be stored")) == 1
    disk.make_room()
    with AntQ(store) as app:
        until(lambda: app.count_workers(status=ENDED) == len(held + waiting), "the end of all jobs")
        cut = [job.id for job in app.list_workers() if job.interruptions]
    assert sorted(noted(journal, "end")) == sorted([*held, *held, *waiting])
    assert cut == held
    assert findings(store) == []


@pytest.mark.parametrize("is_there", [True, False])
def test_a_node_that_starts_on_a_full_disk_is_told_so_and_starts_when_there_is_room(
    disk, a_node, is_there
):
    store = disk.path / "store"
    if is_there:
        store.mkdir(0o700)
    disk.fill()

    with pytest.raises(StorageError, match=r"is full; .* Make room"):
        a_node(store)

    disk.make_room()
    node = a_node(store)
    assert node.count() == 0


@pytest.fixture(params=[True, False], ids=["durable", "volatile"])
def store_on_a_small_disk(small_disk, request):
    with closing(open_environment(small_disk.path / "store", durable=request.param)) as env:
        yield Store(env)


def test_on_a_full_disk_what_was_stored_stays_and_room_can_be_made(store_on_a_small_disk):
    store, stored = store_on_a_small_disk, []

    def store_noise():
        return store.insert(a_new_job({"noise": os.urandom(20_000)}))

    with pytest.raises(StorageFull, match="is full"):
        stored.extend(store_noise() for _ in range(10_000))

    assert store.ids(Filter(), size=10_000) == stored
    for id_ in stored[:10]:
        store.delete(id_)
    assert store_noise() == stored[-1] + 1


def test_two_nodes_fill_a_tiny_map_together_and_every_job_is_done_once(a_node, tmp_path):
    store, journal = tmp_path / "store", tmp_path / "journal"
    nodes = [a_node(store, map_size=TINY) for _ in range(2)]
    assert {node.map_size() for node in nodes} == {TINY}

    ids = []
    for _ in range(15):
        for node in nodes:
            ids += node.enqueue(count=10, noise=5_000, journal=str(journal))
    until(lambda: nodes[0].count(Status.COMPLETED) == len(ids), "the end of all jobs")

    assert sorted(noted(journal, "end")) == sorted(ids) == list(range(1, 301))
    for node in nodes:
        assert node.map_size() >= 2**20
        assert node.warnings() == []
        node.stop()
        assert node.leave() == 0
    assert (store / "data.mdb").stat().st_size > 300 * 5_000
    assert findings(store) == []
