"""What a killed node left comes before what was enqueued later."""

import threading
from typing import ClassVar

import pytest
from support.apps import settled

from antq_actors import AntQ, StorageError, Worker
from antq_actors.otp import Supervisor

PRELUDE = """
import sys, threading
from antq_actors import AntQ, Worker

class Noted(Worker, name="rescue-first:Noted"):
    def perform(self, job):
        print(job.id, flush=True)
        threading.Event().wait()

"""

PROGRAM = """
queues = sys.argv[2:]
with AntQ(sys.argv[1], queues=dict.fromkeys(queues, 1)) as app:
    for queue in queues:
        for _ in range(6):
            app.enqueue(Noted, queue=queue)
    print("enqueued", flush=True)
    threading.Event().wait()
"""

PERFORM = """
with AntQ(sys.argv[1], queues={"default": 1}) as app:
    threading.Event().wait()
"""


class Noted(Worker, name="rescue-first:Noted"):
    guard = threading.Lock()
    begun: ClassVar = {}

    def perform(self, job):
        with self.guard:
            self.begun.setdefault(job.queue_name, []).append(job.id)


@pytest.fixture
def killed(program, tmp_path):
    """Kill a node that runs one job of each queue; return its path."""
    Noted.begun.clear()

    def kill(*queues):
        node = program("-c", PRELUDE + PROGRAM, tmp_path / "store", *queues)
        for _ in ("enqueued", *queues):
            node.line()
        node.kill()
        return tmp_path / "store"

    return kill


def performed(path, *queues):
    """Perform all jobs of the path; return them, in the order in which they began."""
    with AntQ(path, queues=dict.fromkeys(queues, 1)) as app:
        for job in app.list_workers():
            settled(app, job)
        return Noted.begun


@pytest.mark.parametrize("attempt", range(4))
def test_an_interrupted_job_comes_before_those_enqueued_later(killed, attempt):
    path = killed("default")

    begun = performed(path, "default")["default"]

    assert begun == sorted(begun)


def test_in_each_queue_the_interrupted_job_comes_first(killed):
    queues = ("first", "second", "third")
    path = killed(*queues)

    begun = performed(path, *queues)

    assert {queue: ids == sorted(ids) for queue, ids in begun.items()} == dict.fromkeys(
        queues, True
    )


def test_of_two_nodes_that_start_together_neither_begins_a_later_job_first(killed, program):
    path = killed("default")

    nodes = [program("-c", PRELUDE + PERFORM, path) for _ in range(2)]

    assert sorted(int(node.line()) for node in nodes) == [1, 2]


def test_a_node_that_cannot_rescue_becomes_none_and_claims_nothing(killed):
    path = killed("default")
    (lock,) = (path / "nodes").iterdir()
    lock.unlink()
    lock.mkdir()  # so that nobody can return whether it lives

    with pytest.raises(StorageError, match=str(lock)):
        AntQ(path).start()

    with AntQ(path, start_queues=False) as look:
        assert look.count_workers(status="running") == 1
        assert len(look.list_workers(status="enqueued")) == 5
    lock.rmdir()
    assert performed(path, "default")["default"] == [1, 2, 3, 4, 5, 6]


def test_the_children_of_the_tree_and_their_order_are_as_before(tmp_path):
    with AntQ(tmp_path / "store") as app:
        ids = [child.id for child in Supervisor.which_children(app.root)]

    assert ids == ["storage", "queues", "rescuer", "pruner"]
