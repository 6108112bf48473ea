"""A job for a queue that nobody runs is not silent, and who has no queues asks which there are."""

import json
import logging

import pytest
from support.apps import until

from antq_actors import AntQ, StorageError, Worker, worker
from antq_actors.app.enqueue import EnqueueTargets
from antq_actors.cli import run

LOGGER = "antq_actors.app"


class Plain(Worker, max_attempts=1):
    def perform(self, job):
        raise ValueError("on purpose")


@worker(queue="wrok")
def misspelt():
    pass


# A node that runs the queues it is given, and ends with its standard input.
NODE = """
import sys
from antq_actors import AntQ
with AntQ(sys.argv[1], queues={name: 1 for name in sys.argv[2:]}) as app:
    while not app.nodes():
        pass
    print("up", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def node(tmp_path, program):
    """Start a node of the store with these queues; return its program when it is up."""

    def start(*queues):
        started = program("-c", NODE, tmp_path / "store", *queues)
        assert started.line() == "up"
        return started

    return start


@pytest.fixture
def enqueuer(tmp_path):
    """An application that enqueues into whatever queue it is told, and runs none."""
    with AntQ(tmp_path / "store", start_queues=False) as app:
        yield app


@pytest.fixture
def warnings(caplog):
    """Return the warnings of applications so far."""
    caplog.set_level(logging.WARNING, logger=LOGGER)

    def said():
        return [each.getMessage() for each in caplog.records if each.name == LOGGER]

    return said


def leave(started):
    started.process.stdin.write("\n")
    started.process.stdin.flush()
    assert started.end()[0] == 0


# ---- the warning ----------------------------------------------------------------------------


def test_a_queue_that_no_living_node_runs_is_warned_about_once(enqueuer, node, warnings):
    node("work", "mail")

    for _ in range(3):
        enqueuer.enqueue(misspelt)
    enqueuer.enqueue_many(misspelt, [{}] * 3)

    assert warnings() == [
        (
            "no living node runs queue 'wrok', so what is enqueued there waits; there are 'mail',"
            " 'work' (did you mean 'work'?)"
        )
    ]


def test_each_queue_has_a_warning_of_its_own(enqueuer, node, warnings):
    node("work")

    enqueuer.enqueue_many(Plain, [{}], queue="one")
    enqueuer.enqueue(Plain, queue="two")
    enqueuer.enqueue(Plain, queue="work")

    assert [said.split("'")[1] for said in warnings()] == ["one", "two"]


def test_nothing_is_said_while_no_node_lives(enqueuer, node, warnings):
    enqueuer.enqueue(misspelt)
    leave(node("work"))
    enqueuer.enqueue(Plain, queue="mail")

    assert warnings() == []


def test_what_was_enqueued_before_the_first_node_lived_is_looked_at_again(enqueuer, node, warnings):
    enqueuer.enqueue(misspelt)
    node("work")

    enqueuer.enqueue(Plain, queue="work")

    assert [said.split("'")[1] for said in warnings()] == ["wrok"]


def test_a_node_that_leaves_or_is_killed_runs_nothing_any_more(enqueuer, node, warnings):
    node("work")
    mail, news = node("mail"), node("news")
    enqueuer.enqueue(Plain, queue="mail")
    enqueuer.enqueue(Plain, queue="news")
    assert warnings() == []
    leave(mail)
    news.kill()

    def both_said():
        enqueuer.enqueue(Plain, queue="mail")
        enqueuer.enqueue(Plain, queue="news")
        return len(warnings()) == 2

    until(both_said, "the second look")


def test_a_listed_queue_that_the_nodes_do_not_run_is_warned_about(tmp_path, node, warnings):
    node("work")
    app = AntQ(tmp_path / "store", queues={"mail": 1}).start(queues=False)
    try:
        app.enqueue(Plain)
    finally:
        app.stop()

    assert [said.split("'")[1] for said in warnings()] == ["mail"]


def test_who_runs_queues_itself_is_not_warned(tmp_path, node, warnings):
    node("work")
    with AntQ(tmp_path / "store", queues={"mail": 1}) as app:
        app.enqueue(Plain)
        app.queue("mail").pause()
        app.enqueue(Plain)

    assert warnings() == []


def test_a_retry_into_a_queue_that_nobody_runs_is_warned_about(enqueuer, node, warnings):
    started = node("mail")
    job = enqueuer.enqueue(Plain, queue="mail")
    until(lambda: enqueuer.get_job(job.id).status == "failed", "the end of the job")
    leave(started)
    node("work")

    enqueuer.retry_job(job)

    assert [said.split("'")[1] for said in warnings()] == ["mail"]


def test_a_store_that_fails_at_the_look_spoils_no_enqueue(enqueuer, node, warnings, monkeypatch):
    def fail():
        raise StorageError("not now")

    node("work")
    monkeypatch.setattr(enqueuer._running.store, "served_queues", fail)
    assert enqueuer.enqueue(misspelt).id == 1
    monkeypatch.undo()
    assert warnings() == []

    assert enqueuer.enqueue(misspelt).id == 2

    assert len(warnings()) == 1


def test_a_look_is_taken_once_a_second_however_much_is_enqueued():
    class Store:
        looks = 0

        def served_queues(self):
            self.looks += 1
            return ["work"]

    store, now = Store(), [100.0]
    served = EnqueueTargets(store, lambda: now[0])

    for _ in range(1000):
        served.note("work")
    assert store.looks == 1

    now[0] += 1.0
    for _ in range(1000):
        served.note("work")
    assert store.looks == 2


def test_started_without_queues_a_volatile_application_says_that_nothing_performs(warnings):
    app = AntQ()
    app.start(queues=False)
    app.stop()
    with AntQ(start_queues=False), AntQ():
        pass

    (said,) = warnings()
    assert "nothing can perform them" in said
    assert "AntQ('jobs')" in said


# ---- the default queue ------------------------------------------------------------------------


def test_without_queues_of_its_own_the_default_is_that_of_a_living_node(enqueuer, node):
    assert enqueuer.default_queue == "default"
    first = node("mail", "news")
    assert enqueuer.default_queue == "mail"
    second = node("default", "work")
    assert enqueuer.default_queue == "mail"

    leave(first)

    assert enqueuer.default_queue == "default"
    second.kill()
    assert enqueuer.default_queue == "default"


def test_jobs_go_to_the_default_queue_of_the_living_node(enqueuer, node):
    assert enqueuer.enqueue(Plain).queue_name == "default"
    node("mail")

    def goes_to_mail():
        return enqueuer.enqueue(Plain).queue_name == "mail"

    until(goes_to_mail, "the next look")
    assert Plain.build().queue_name == "mail"
    ids = enqueuer.enqueue_many(Plain, [{}, {}])
    assert {enqueuer.get_job(id_).queue_name for id_ in ids} == {"mail"}
    assert enqueuer.enqueue(misspelt).queue_name == "wrok"


def test_jobs_of_a_worker_follow_the_default_queue_from_node_to_node(enqueuer, node):
    first = node("mail")
    assert enqueuer.enqueue(Plain).queue_name == "mail"
    node("news")
    assert enqueuer.enqueue(Plain).queue_name == "mail"

    leave(first)

    until(lambda: enqueuer.enqueue(Plain).queue_name == "news", "the next look")


@pytest.mark.parametrize(
    ("described", "started", "default"),
    [
        ({"start_queues": False}, None, "mail"),
        ({"start_queues": False, "queues": {"own": 1}}, None, "own"),
        ({"start_queues": False}, True, "default"),
        ({}, False, "default"),
        ({"queues": {"own": 1}}, False, "own"),
    ],
)
def test_the_default_queue_is_by_description(tmp_path, node, described, started, default):
    node("mail")
    app = AntQ(tmp_path / "store", **described)
    app.start(queues=started)
    try:
        assert app.default_queue == default
        assert app.enqueue(Plain).queue_name == default
    finally:
        app.stop()
    assert app.default_queue in {"own", "default"}


def test_a_settings_file_without_queues_has_none_of_its_own(tmp_path, node):
    node("mail")
    (tmp_path / "antq.toml").write_text("[antq]\npath = 'store'\nstart_queues = false\n")

    with AntQ.from_toml(tmp_path / "antq.toml") as app:
        assert app.default_queue == "mail"


# ---- the commands ---------------------------------------------------------------------------


@pytest.fixture
def antq(tmp_path, capsys):
    """Run the command on the store; return what it wrote to standard output and error."""

    def command(*arguments):
        assert run([*arguments, "--path", str(tmp_path / "store")]) == 0
        return capsys.readouterr()

    return command


@pytest.fixture
def misdirected(tmp_path):
    """A store with a job in "wrok", two in "news" and one in "work"."""
    with AntQ(tmp_path / "store", start_queues=False) as app:
        app.enqueue(misspelt)
        app.enqueue(Plain, queue="news")
        app.enqueue(Plain, queue="news", schedule_in=3600)
        app.enqueue(Plain, queue="work", schedule_in=3600)
    return app


WAITS = ["news: 2 wait, no node runs it", "wrok: 1 waits, no node runs it"]


def test_nodes_names_the_queues_that_no_living_node_runs(misdirected, node, antq):
    assert "no node runs it" not in antq("nodes").out
    node("work")

    assert antq("nodes").out.splitlines()[-2:] == WAITS
    assert json.loads(antq("nodes", "--json").out)["unserved"] == {"news": 2, "wrok": 1}


def test_count_names_them_on_standard_error(misdirected, node, antq):
    assert antq("count") == ("4\n", "")
    started = node("work")

    assert antq("count") == ("4\n", "\n".join([*WAITS, ""]))
    assert antq("count", "--queue", "wrok") == ("1\n", f"{WAITS[1]}\n")
    assert antq("count", "--queue", "work") == ("1\n", "")
    assert antq("count", "--status", "completed") == ("0\n", "")
    by_status = antq("count", "--by-status", "--status", "enqueued")
    assert (by_status.out.split(), by_status.err.splitlines()) == (["enqueued", "2"], WAITS)
    as_json = antq("count", "--json", "--queue", "news")
    assert json.loads(as_json.out)["scheduled"] == 1
    assert as_json.err == f"{WAITS[0]}\n"

    started.kill()

    assert antq("count") == ("4\n", "")
    assert json.loads(antq("nodes", "--json").out)["unserved"] == {}


def test_retry_on_the_command_line_warns_of_a_queue_that_nobody_runs(
    misdirected, node, antq, warnings
):
    antq("cancel", "1")
    node("work")

    antq("retry", "1")

    assert [said.split("'")[1] for said in warnings()] == ["wrok"]
