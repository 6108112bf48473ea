"""The tree of an application, as a value."""

import signal
import socket
import threading

import msgspec
import pytest
from support.apps import until

from antq_actors import AntQ, Status, Worker
from antq_actors.app import node_socket
from antq_actors.app.node_report import TreeReport
from antq_actors.app.node_socket import NodeUnreachable, ask, socket_path
from antq_actors.insights import Insights, predict
from antq_actors.otp.inspect.snapshot import ActorView


def test_the_tree_of_an_application_has_its_actors_with_their_budgets(app):
    view = Insights(app).tree()

    (root,) = view.trees
    ids = {each.id.partition("/")[2]: each for each in root.walk()}
    assert {"storage", "queues", "queues/default", "queues/default/queue"} <= set(ids)
    assert ids["queues/default"].strategy == "one_for_all"
    assert ids["queues/default"].budget.left == ids["queues/default"].budget.max
    assert ids["storage"].budget is None
    assert view.missing is None


def test_a_tree_survives_being_sent_to_another_process(app):
    (root,) = Insights(app).tree().trees

    sent = msgspec.msgpack.encode(root)

    assert msgspec.msgpack.decode(sent, type=ActorView) == root


def test_a_crashed_queue_actor_takes_its_workers_along(app):
    tree = Insights(app).tree()
    queue = next(
        each.id for each in tree.trees[0].walk() if each.id.endswith("queues/default/queue")
    )

    prediction = predict(tree, queue, "crash")

    assert [each.rpartition("/")[2] for each in prediction.restarted] == ["workers", "queue"]
    assert not prediction.gives_up


@pytest.mark.parametrize("node", [True, 1.5, "1"])
def test_what_is_no_number_of_a_node_is_refused(app, node):
    with pytest.raises(TypeError, match="node must be the number of a node or None"):
        Insights(app).tree(node)


def test_an_application_that_runs_no_queues_has_a_tree_as_well(tmp_path):
    with AntQ(tmp_path / "jobs", start_queues=False) as app:
        view = Insights(app).tree()

    assert view.node == 0
    assert len(view.trees[0].children) == 1  # the storage actor


# ---- other processes ------------------------------------------------------------------------


gate = threading.Event()


class Held(Worker, name="held"):
    """Runs until the gate is open."""

    def perform(self, job):
        gate.wait(60)


@pytest.fixture
def node(tmp_path):
    """An application with queues, and a client of its store, as another process has one."""
    with AntQ(tmp_path / "jobs", queues={"default": 2}) as app:
        yield app


def test_a_node_answers_for_its_tree_and_the_jobs_in_it(node):
    job = Held.perform_async()
    until(lambda: Insights(node).tree().jobs, "its worker actor")

    answer = ask(node.path, node.node, "tree", {})

    here = Insights(node).tree()
    assert [each.id for each in msgspec.convert(answer, TreeReport).tree.walk()] == [
        each.id for each in here.trees[0].walk()
    ]
    ((actor, id_),) = here.jobs.items()
    assert id_ == job.id
    assert predict(here, actor, "kill").jobs.retried == (job.id,)
    queue = next(each for each in here.trees[0].walk() if each.id.endswith("default/queue")).id
    assert predict(here, queue, "crash").jobs.interrupted == (job.id,)
    assert "gate.wait(60)" in ask(
        node.path, node.node, "stack", {"queue": "default", "job": job.id}
    )
    gate.set()


def test_harm_through_the_socket_comes_out_as_predicted(node):
    queue = next(
        each.id for each in Insights(node).tree().trees[0].walk() if each.id.endswith("/queue")
    )

    harm = ask(node.path, node.node, "harm", {"actor": queue, "verb": "kill"})

    assert harm["agrees"], harm
    events = Insights(node).tree().events
    assert [(each.kind, each.actor) for each in events][-1:] == [("exited", queue)]


def test_a_prediction_wants_a_tree(node):
    with pytest.raises(TypeError, match=r"what Insights\.tree"):
        predict(Insights(node).tree().trees, "antq", "crash")


def test_only_the_owner_may_use_the_socket_and_it_goes_with_its_node(node):
    path = socket_path(node.path, node.node)

    assert path.stat().st_mode & 0o777 == 0o600
    node.stop()
    assert not path.exists()
    with pytest.raises(NodeUnreachable, match="has no socket"):
        ask(path.parent, 1, "tree", {})


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (["dance", {}], "does not know the question"),
        (["stack", {"queue": "default", "job": "x"}], "ValueError"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(node, sent, text):
    with pytest.raises(NodeUnreachable, match=text):
        ask(node.path, node.node, *sent)


@pytest.mark.parametrize("sent", [b"", b"\xff\xff\xff\xff", b"\0\0\0\1\xc1", b"\0\0\0\x09x"])
def test_garbage_closes_the_connection_and_harms_nobody(node, sent):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(socket_path(node.path, node.node)))
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(30)
        assert connection.recv(1) == b""

    assert ask(node.path, node.node, "tree", {})


def test_a_store_deep_in_the_file_system_has_a_socket_too(tmp_path):
    deep = tmp_path / ("d" * 60) / ("e" * 60) / "jobs"

    with AntQ(deep) as app:
        assert ask(app.path, app.node, "tree", {})


NODE = """
import sys, threading
from antq_actors import AntQ, Status, Worker

class Held(Worker, name="held"):
    def perform(self, job):
        print("held", flush=True)
        threading.Event().wait(60)

with AntQ(sys.argv[1], queues={"default": 1}) as app:
    Held.perform_async()
    sys.stdin.read()
"""


@pytest.fixture
def other_process(program, tmp_path):
    """A node in another process, which performs a job; and an application of its store here."""
    other = program("-c", NODE, tmp_path / "jobs")
    assert other.line() == "held"
    with AntQ(tmp_path / "jobs", queues={"default": 1}, start_queues=False) as app:
        yield other, app


def test_where_the_thread_of_a_job_is_comes_from_the_node_that_runs_it(other_process):
    _, app = other_process

    view = Insights(app).job(1)

    assert view.status is Status.RUNNING
    assert "in perform" in view.stack
    assert Insights(app).tree().jobs


def test_a_node_that_does_not_answer_is_not_waited_for_long(other_process, monkeypatch):
    other, app = other_process
    monkeypatch.setattr(node_socket, "TIMEOUT_SECONDS", 0.2)
    other.send(signal.SIGSTOP)

    view = Insights(app).tree()

    assert (view.trees, view.missing) == ((), "node 1 does not answer: timed out")
    assert Insights(app).job(1).stack is None


def test_a_node_deletes_the_sockets_of_dead_nodes_alone(other_process, tmp_path):
    dead = socket_path(tmp_path / "jobs", 77)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dead))
    _, client = other_process
    client.stop()

    with AntQ(tmp_path / "jobs", queues={"default": 1}) as app:
        assert not dead.exists()
        assert ask(app.path, 1, "tree", {})
        assert ask(app.path, app.node, "tree", {})
    assert [each.name for each in app.path.glob("node-*")] == ["node-1.sock"]


def test_why_there_is_no_tree_is_said(node, tmp_path):
    other = AntQ(tmp_path / "other", start_queues=False)
    with other:
        assert Insights(other).tree().missing is None
    with pytest.raises(LookupError, match="no living node 99"):
        Insights(node).tree(99)
