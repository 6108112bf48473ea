"""A disk that fills up under a running node, and has room again: nothing is lost or repeated."""

import pytest
from obedient import noted
from support.apps import ENDED, STORE_TIMEOUT_SECONDS, until
from support.findings import findings

from antq_actors import AntQ, Status, StorageError, StorageFull


@pytest.fixture(params=["small_disk", "ext4_disk"])
def disk(request):
    return request.getfixturevalue(request.param)


def test_a_node_whose_disk_was_full_for_a_while_ends_all_that_was_acknowledged_once(
    disk, a_node, tmp_path
):
    store, journal, gate = disk.path / "store", tmp_path / "journal", tmp_path / "gate"
    args = {"journal": str(journal)}
    node = a_node(store)
    held = node.enqueue(count=4, gate=str(gate), last_words=300_000, **args)
    until(lambda: len(noted(journal, "begin")) == 4, "the start of four jobs")
    waiting = node.enqueue(count=20, **args)

    disk.fill()
    waiting += node.fill(20_000, **args) + node.fill(0, **args)
    gate.touch()
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
    store, journal, gate = disk.path / "store", tmp_path / "journal", tmp_path / "gate"
    args = {"journal": str(journal)}
    node = a_node(store)
    held = node.enqueue(count=4, gate=str(gate), last_words=300_000, **args)
    until(lambda: len(noted(journal, "begin")) == 4, "the start of four jobs")
    disk.fill()
    waiting = node.fill(20_000, **args) + node.fill(0, **args)
    gate.touch()
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
