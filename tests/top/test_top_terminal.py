"""``antq top`` as a program in a real terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest
from support.apps import LONGEST, settled
from support.terminals import HOSTILE, FailsOnce

from antq_actors import AntQ

LEAVES_SCREEN = "\x1b[?1049l"


class RealTerminal:
    """A terminal in which the command runs, and all that it was sent."""

    def __init__(self, *arguments):
        self._ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
        self.before = termios.tcgetattr(its)
        self._its = its
        sizes = {"COLUMNS", "LINES"}  # of the terminal of who runs the tests
        environment = {name: each for name, each in os.environ.items() if name not in sizes}
        self.process = subprocess.Popen(  # noqa: S603 - it runs the tests' own code
            [sys.executable, "-m", "antq_actors", "top", *map(str, arguments)],
            stdin=its,
            stdout=its,
            stderr=its,
            start_new_session=True,
            env=environment | {"TERM": "xterm-256color", "LANG": "C.UTF-8"},
        )
        self.seen = ""

    def shows(self, text):
        """Read until the terminal was sent a text."""
        deadline = time.monotonic() + LONGEST
        while text not in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.seen):
            assert time.monotonic() < deadline, self.seen
            self._read()

    def type(self, keys):
        os.write(self._ours, keys.encode())

    def ends(self):
        """Read until the program has ended; return its exit code."""
        deadline = time.monotonic() + LONGEST
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.seen
            self._read()
        self._read()
        return self.process.returncode

    def attributes(self):
        return termios.tcgetattr(self._its)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._its)

    def _read(self):
        while select.select([self._ours], [], [], 0.05)[0]:
            self.seen += os.read(self._ours, 2**16).decode("utf-8", "replace")


@pytest.fixture
def path(tmp_path):
    with AntQ(tmp_path / "shop", queues={"default": 1}) as app:
        settled(app, FailsOnce.perform_async({"text": HOSTILE}))
    return tmp_path / "shop"


@pytest.fixture
def terminal(path):
    opened = RealTerminal("--path", path, "--interval", "0.2")
    yield opened
    opened.close()


def test_it_starts_shows_the_store_and_ends_at_q_with_the_terminal_as_it_was(terminal):
    terminal.shows("All is well")
    terminal.type("2")
    terminal.shows("all jobs")
    terminal.type("q")

    assert terminal.ends() == 0
    assert LEAVES_SCREEN in terminal.seen
    assert terminal.attributes() == terminal.before


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_ends_it_with_the_terminal_as_it_was(terminal, name):
    terminal.shows("All is well")
    terminal.process.send_signal(getattr(signal, name))

    assert terminal.ends() == 0
    assert LEAVES_SCREEN in terminal.seen
    assert terminal.attributes() == terminal.before


def test_ctrl_c_ends_it(terminal):
    terminal.shows("All is well")
    terminal.type("\x03")

    assert terminal.ends() == 0


def test_the_escape_sequences_of_a_job_do_not_reach_the_terminal(terminal):
    terminal.shows("All is well")
    terminal.type("2")
    terminal.shows(r"\x1b[2J")
    terminal.type("\r")
    terminal.shows("Why is this job not running?")
    terminal.type("q")

    assert terminal.ends() == 0
    for sequence in ("\x1b[2J\x1b]0;owned", "\x9b31m", "\u202e", "\u2028"):
        assert sequence not in terminal.seen
