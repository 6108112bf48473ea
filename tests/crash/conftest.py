import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class Program:
    """A program in a process of its own, whose lines can be read and that can be killed."""

    def __init__(self, arguments):
        self.process = subprocess.Popen(  # noqa: S603 - it runs this test's own code
            [sys.executable, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=HERE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, HERE.parent, HERE)))},
        )

    def line(self):
        line = self.process.stdout.readline()
        assert line, f"the program ended: {self.process.stderr.read()}"
        return line.strip()

    def lines_until(self, last):
        lines = []
        while (line := self.line()) != last:
            lines.append(line)
        return lines

    def send(self, signal):
        self.process.send_signal(signal)

    def kill(self):
        """Kill it at once; answer the lines it had printed."""
        self.process.kill()
        # Not communicate(), which passes over what readline() has read ahead.
        lines = self.process.stdout.read().split()
        self.process.wait()
        return lines

    def end(self, timeout=30):
        """Wait for its end; answer exit code, output, errors."""
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, err


@pytest.fixture
def program():
    """Start a program of this folder, or other code with "-c"; afterwards it is killed."""
    started = []

    def start(*arguments):
        program = Program(arguments)
        started.append(program)
        return program

    yield start
    for program in started:
        program.process.kill()
        program.process.communicate()
