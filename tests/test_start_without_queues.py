"""`start(queues=False)`: one application object for a web process and for its worker."""

import subprocess
import sys

import pytest
from support.apps import Plain, settled

from antq_actors import AntQ, NotStarted, StartError, Status, UnknownQueue, Worker, otp
from antq_actors.cli import run


class Mails(Worker, queue="mail"):
    def perform(self, job):
        pass


class Elsewhere(Worker, queue="elsewhere"):
    def perform(self, job):
        pass


class Touch(Worker, name="web:Touch"):
    """As the module of WEB has it."""

    def perform(self, job):
        pass


@pytest.fixture
def described(place):
    """An application with queues, not started; stopped at the end."""
    app = AntQ(place, queues={"default": 2, "mail": 2})
    yield app
    app.stop(timeout=0)


def children_of(app):
    return [child.id for child in otp.Supervisor.which_children(app.root)]


def test_started_without_queues_only_the_storage_runs(described):
    assert described.start(queues=False) is described

    assert children_of(described) == ["storage"]
    assert described.enqueue(Plain).status is Status.ENQUEUED
    assert described.nodes() == []


def test_started_again_with_queues_they_perform_what_waits(tmp_path):
    app = AntQ(tmp_path)
    app.start(queues=False)
    job = app.enqueue(Plain)
    app.stop()

    with app:
        assert settled(app, job).status is Status.COMPLETED


@pytest.mark.parametrize("start_queues", [True, False])
@pytest.mark.parametrize("queues", [True, False, None])
def test_start_does_as_told_and_else_as_described(start_queues, queues):
    app = AntQ(start_queues=start_queues)
    app.start(queues=queues)
    try:
        assert app.runs_queues is (start_queues if queues is None else queues)
        assert app.start_queues is start_queues
        assert ("queues" in children_of(app)) is app.runs_queues
    finally:
        app.stop()
    assert not app.runs_queues


def test_with_and_run_start_as_described_after_a_stop(described):
    described.start(queues=False)
    described.stop()

    with described:
        assert described.runs_queues


def test_started_twice_it_stays_as_it_is_unless_told_otherwise(described):
    for queues, other in [(True, False), (False, True)]:
        described.start(queues=queues)
        root = described.root

        described.start()
        described.start(queues=queues)
        with pytest.raises(StartError, match=rf"stop it first.*start\(queues={other}\)"):
            described.start(queues=other)

        assert described.root == root
        assert described.runs_queues is queues
        described.stop()


@pytest.mark.parametrize("wrong", [0, 1, "mail", ["mail"], {"mail": 3}])
def test_start_takes_no_other_value_of_queues(described, wrong):
    with pytest.raises(TypeError, match=r"queues must be True, False or None.*AntQ\(queues=…\)"):
        described.start(queues=wrong)

    with pytest.raises(NotStarted):
        described.root  # noqa: B018 - nothing was started


def test_a_queue_that_is_not_listed_stays_unknown_to_enqueuers(described):
    described.start(queues=False)

    assert described.enqueue(Mails).queue_name == "mail"
    with pytest.raises(UnknownQueue, match="elsewhere"):
        described.enqueue(Elsewhere)


def test_without_its_queues_a_handle_goes_through_the_store(described):
    described.start(queues=False)
    described.enqueue(Mails)
    mail = described.queue("mail")

    mail.pause()

    status = mail.status()
    assert (status.paused, status.counts[Status.ENQUEUED]) == (True, 1)
    with pytest.raises(NotStarted, match="'mail' does not run in this process"):
        mail.ref  # noqa: B018 - it is a property
    with pytest.raises(UnknownQueue, match="mail"):
        described.queue("nail")


def test_pause_without_queues_holds_for_the_next_start(tmp_path):
    app = AntQ(tmp_path)
    app.start(queues=False)
    app.queue("default").pause()
    app.stop()

    with app:
        assert app.queue("default").status().paused


def test_repr_tells_that_it_runs_without_queues(described):
    assert repr(described).endswith(" not started>")
    described.start(queues=False)
    assert repr(described).endswith(" started without queues>")
    described.stop()
    with described:
        assert repr(described).endswith(" started>")


def test_a_fork_may_start_its_parents_application_after_a_stop(tmp_path, program):
    child = program(
        "-c",
        "import os\n"
        "from antq_actors import AntQ, ForkError, Worker\n"
        "class Plain(Worker):\n"
        "    def perform(self, job): pass\n"
        f"app = AntQ({str(tmp_path / 'store')!r}).start(queues=False)\n"
        "if os.fork():\n"
        "    os.wait()\n"
        "else:\n"
        "    try:\n"
        "        app.start(queues=False)\n"
        "    except ForkError as error:\n"
        "        print(type(error).__name__, flush=True)\n"
        "    app.stop()\n"
        "    app.start(queues=False)\n"
        "    print(app.enqueue(Plain).id, app.runs_queues, flush=True)\n"
        "    app.stop()\n"
        "    os._exit(0)\n",
    )

    assert child.end()[:2] == (0, "ForkError\n1 False\n")


# ---- antq start ------------------------------------------------------------------------------

WEB = """
from antq_actors import AntQ, Worker
class Touch(Worker):
    def perform(self, job):
        open('touched', 'w').close()
app = AntQ('store')
"""


def antq_start(tmp_path, source, *more):
    (tmp_path / "web.py").write_text(source)
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "antq_actors", "start", "web:app", *more],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_until(stream, said):
    lines = []
    for line in stream:
        lines.append(line)
        if said in line:
            break
    return "".join(lines)


@pytest.mark.parametrize(
    ("more", "up"), [((), ["Ctrl-C stops it"]), (("--processes", "2"), ["up as", "up as"])]
)
@pytest.mark.parametrize(
    "at_import", ["app.start(queues=False)", "app.start()", "app.start(queues=True)", ""]
)
def test_antq_start_runs_queues_whatever_the_import_has_started(tmp_path, at_import, more, up):
    process = antq_start(tmp_path, WEB + at_import, *more)
    try:
        # An application that its import has started performs jobs before signals are handled.
        err = "".join(read_until(process.stderr, said) for said in up)
        with AntQ(tmp_path / "store", start_queues=False) as app:
            assert settled(app, app.enqueue(Touch)).status is Status.COMPLETED
        process.terminate()
        err += process.communicate(timeout=60)[1]
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert (tmp_path / "touched").exists()


def test_several_processes_are_refused_where_a_store_cannot_be_shared(monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "darwin")

    code = run(["start", "web:app", "--processes", "2"])

    assert code != 0
    assert "on darwin only one process at a time can open a store" in capsys.readouterr().err


@pytest.mark.parametrize("more", [(), ("--processes", "2")])
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("app = AntQ('store', start_queues=False)", "was made with start_queues=False"),
        ("app = AntQ('store', start_queues=False).start()", "was made with start_queues=False"),
        ("app = AntQ.from_toml('antq.toml')", "was made with start_queues=False"),
        ("app = AntQ()", "keeps its jobs in memory"),
        ("app = AntQ().start()", "keeps its jobs in memory"),
    ],
)
def test_antq_start_refuses_what_would_run_nothing(tmp_path, source, said, more):
    (tmp_path / "antq.toml").write_text("[antq]\npath = 'store'\nstart_queues = false\n")
    process = antq_start(tmp_path, f"from antq_actors import AntQ\n{source}\n", *more)

    _, err = process.communicate(timeout=60)

    assert process.returncode != 0
    assert said in err
    assert "Traceback" not in err
