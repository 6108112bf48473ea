"""A program copies its own data directory, with the store in it, while the application runs."""

import shutil
import sys
import threading

import pytest
from support.apps import settled

from antq_actors import AntQ, Worker, maintenance

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks of an open file")

SECOND = """
import sys
from antq_actors import AntQ, StorageError
try:
    with AntQ(sys.argv[1], queues={"other": 1}) as app:
        print("started")
except StorageError as error:
    print("refused:", error)
"""
COMPACT = """
import sys
from antq_actors import StorageError, maintenance
try:
    maintenance.compact(sys.argv[1])
    print("compacted")
except StorageError as error:
    print("refused:", error)
"""


class Held(Worker, name="copied:Held"):
    begun = threading.Semaphore(0)
    go_on = threading.Event()

    def perform(self, job):
        self.begun.release()
        self.go_on.wait(30)


@pytest.fixture
def copied(tmp_path):
    """An application with a running job, whose directory was copied by its own program."""
    Held.go_on.clear()
    with AntQ(tmp_path / "store") as app:
        job = app.enqueue(Held)
        assert Held.begun.acquire(timeout=30)
        shutil.copytree(tmp_path / "store", tmp_path / "copy")
        yield app, job
        Held.go_on.set()


def test_a_node_that_copied_its_store_is_not_taken_for_dead_by_another(copied, program):
    app, job = copied

    status, said, errors = program("-c", SECOND, app.path).end()

    assert (status, said.partition(":")[0].strip()) in {(0, "started"), (0, "refused")}, errors
    Held.go_on.set()
    done = settled(app, job)
    assert (done.status, done.interruptions) == ("completed", 0)
    assert not Held.begun.acquire(blocking=False), "it was performed twice"


def test_a_store_that_was_copied_while_open_cannot_be_compacted(copied, program):
    app, _ = copied

    _, said, errors = program("-c", COMPACT, app.path).end()

    assert said.startswith("refused: another process has"), said + errors
    late = [app.enqueue(Held, {"n": n}).id for n in range(5)]
    Held.go_on.set()
    app.stop()
    with AntQ(app.path, start_queues=False) as again:
        assert set(late) <= {job.id for job in again.list_workers()}


def test_others_may_open_a_copied_store_again_when_it_has_stored_something(copied, program):
    app, job = copied
    Held.go_on.set()
    settled(app, job)

    def start_another():
        app.enqueue(Held)
        return program("-c", SECOND, app.path).end()[1].strip()

    tries = (start_another() for _ in range(10))
    assert "started" in tries
    assert maintenance.verify(app.path) == []
