"""The end of a program ends its processes, whatever they are at."""

import os
import signal

import psutil
from apps import until


def test_a_killed_program_leaves_no_process_and_ctrl_c_reaches_the_program_alone(program, tmp_path):
    parent = program("burdened.py", tmp_path)
    assert parent.line() == "ready"
    children = psutil.Process(parent.process.pid).children(recursive=True)
    assert len(children) == 2
    assert all(os.getsid(child.pid) == child.pid for child in children)  # not its terminal's

    parent.send(signal.SIGKILL)

    until(lambda: not any(lives(child) for child in children), "the end of all")


def lives(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
