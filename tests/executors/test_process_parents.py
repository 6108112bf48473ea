"""The end of a program ends its processes, whatever they are at."""

import os
import signal

import psutil
import pytest
from support.apps import until
from support.programs import is_alive

from antq_actors import AntQ, Status


@pytest.fixture
def parent(program, tmp_path):
    """A program with two jobs that take no notice of anything."""
    parent = program("busy_jobs.py", tmp_path)
    assert parent.line() == "ready"
    return parent


@pytest.fixture
def children(parent):
    children = psutil.Process(parent.process.pid).children(recursive=True)
    assert len(children) == 2
    return children


def test_a_killed_program_leaves_no_process(parent, children):
    parent.send(signal.SIGKILL)

    until(lambda: not any(is_alive(child.pid) for child in children), "the end of all")


def test_ctrl_c_ends_a_program_which_gives_its_jobs_back(parent, children, tmp_path):
    assert all(os.getsid(child.pid) == child.pid for child in children)  # not its terminal's

    parent.send(signal.SIGINT)

    code, _, err = parent.end()
    assert (code, "Traceback" in err) == (0, False), err
    with AntQ(tmp_path / "store", start_queues=False) as app:
        jobs = app.list_workers()
    assert [(job.status, job.attempts) for job in jobs] == [(Status.ENQUEUED, 0)] * 2
    until(lambda: not any(is_alive(child.pid) for child in children), "the end of all")
