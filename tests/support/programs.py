"""Programs in processes of their own, whose lines can be read and that can be killed."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

TESTS = Path(__file__).parent.parent
ROOT = TESTS.parent


def is_alive(pid):
    """Whether there is such a process; one that nobody has waited for yet is not alive."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def run_python(*arguments, timeout=60, check=False, **options):
    """Run Python with *arguments* to its end; return the process, with what it printed as text."""
    return subprocess.run(  # noqa: S603 - it runs the tests' own code
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=check,
        **options,
    )


def in_a_fork(work):
    """Do *work* in a forked child, which then is gone; return the repr of its result or error."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        said = "nothing"
        try:
            said = repr(work())
        except BaseException as error:  # noqa: BLE001 - it is told
            said = repr(error)
        finally:
            os.write(writer, said.encode())
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as said:
        return said.read()


class Program:
    """Python code that runs in the folder *home*, and may import what is there and in tests/.

    Its errors are for `end`, unless they go to the file *errors*.
    """

    def __init__(self, arguments, home, *, errors=subprocess.PIPE):
        paths = os.pathsep.join(map(str, (ROOT, TESTS, home)))
        self.process = subprocess.Popen(  # noqa: S603 - it runs the tests' own code
            [sys.executable, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=home,
            env={**os.environ, "PYTHONPATH": paths},
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
