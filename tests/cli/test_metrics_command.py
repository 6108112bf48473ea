"""``antq metrics`` serves the gauges of a path, whatever runs there."""

import re
import signal
import socket
import sys
import urllib.error
import urllib.request

import pytest

from antq_actors import AntQ, Worker
from antq_actors.cli import run

METRICS = ("-m", "antq_actors", "metrics")


class Wait(Worker, queue="mail"):
    def perform(self, job):
        pass


def get(url):
    with urllib.request.urlopen(url, timeout=30) as found:  # noqa: S310 - our own program
        return found.headers, found.read().decode()


@pytest.fixture
def path(tmp_path):
    """A path of which another process runs the queues: this one."""
    with AntQ(tmp_path / "store", queues={"mail": 3}) as app:
        app.queue("mail").pause()
        app.enqueue(Wait)
        yield tmp_path / "store"


def test_it_serves_the_gauges_of_all_processes_until_it_is_told_to_end(path, program):
    command = program(*METRICS, "--path", path, "--port", 0)
    line = command.process.stderr.readline()
    url = re.search(r"http://127\.0\.0\.1:\d+/metrics", line)[0]

    headers, text = get(url)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(url.removesuffix("metrics"))
    command.send(signal.SIGTERM)

    assert headers["Content-Type"].startswith("text/plain")
    assert 'antq_jobs{queue="mail",status="enqueued"} 1.0' in text
    assert 'antq_slots{node="1",queue="mail"} 3.0' in text
    assert "antq_nodes 1.0" in text
    assert "antq_jobs_ended" not in text
    assert "antq_commit_seconds" not in text
    code, out, errors = command.end()
    assert (code, out, errors) == (0, "", "antq: stopped\n")


@pytest.fixture
def path_at_rest(tmp_path):
    with AntQ(tmp_path / "store"):
        pass
    return tmp_path / "store"


def test_a_port_that_is_taken_is_refused_in_one_line(path_at_rest, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code = run(["metrics", "--path", str(path_at_rest), "--port", str(port)])

    assert code == 1
    refusal = rf"antq: cannot listen at port {port} of 127\.0\.0\.1: .*\n"
    assert re.fullmatch(refusal, capsys.readouterr().err)


def test_without_a_store_it_is_wrong_usage(tmp_path, capsys):
    code = run(["metrics", "--path", str(tmp_path / "none")])

    assert code == 2
    assert "there is no store" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_without_its_library_it_names_what_to_install(path_at_rest, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "antq_actors.telemetry.prometheus", raising=False)

    code = run(["metrics", "--path", str(path_at_rest)])

    assert code == 1
    assert re.fullmatch(r"antq: .*antq-actors\[prometheus\].*\n", capsys.readouterr().err)
