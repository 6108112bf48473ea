"""Another process, told line by line what to do, that can be killed."""

import subprocess
import sys
import textwrap
from pathlib import Path

PRELUDE = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from antq_actors.storage.lmdb.open_stores import open_environment
"""

HOLD_OPEN = """
    env = open_environment(sys.argv[1])
    print("open", flush=True)
    sys.stdin.read()
"""
"""Has a store open until its end."""


class OtherProcess:
    """Runs *code*, which prints a line when it is ready and may read lines from its input.

    Before that it has imported what the prelude does, and may import what is in tests/.
    *within* is the command that runs it, such as one that makes a namespace for it.
    """

    def __init__(self, code, *arguments, within=()):
        self._process = subprocess.Popen(  # noqa: S603 - it runs this test's own code
            [*within, sys.executable, "-c", PRELUDE + textwrap.dedent(code), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.first_line = self.read()

    @property
    def pid(self):
        return self._process.pid

    def read(self):
        return self._process.stdout.readline().strip()

    def tell(self, line):
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def kill(self):
        self._process.kill()
        self._process.communicate()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
