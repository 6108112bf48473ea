"""An OS process that performs attempts: started, told to end, killed, and why it ended.

It is a new program, never a fork: a forked child would have copies of its parent's locks, threads'
leftovers and LMDB environment. It is the leader of its own group, so that what it starts ends with
it, and Ctrl-C in a terminal reaches the parent alone.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Final

from antq_actors.executors.processes import wire
from antq_actors.otp import timers

if TYPE_CHECKING:
    from antq_actors.executors.processes.stderr import Stderr, Tail

MERCY: Final = 0.2
"""Seconds between the word to end and the kill."""

_PROGRAM: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[3]);"
    " from antq_actors.executors.processes.child import main; main()"
)


class OsProcess:
    """A new process. Raises OSError when the system has none to give."""

    def __init__(self, stderr: Stderr) -> None:
        ours, theirs = socket.socketpair()
        try:
            known = [theirs.fileno(), os.getpid(), json.dumps(sys.path)]
            self._process = subprocess.Popen(  # noqa: S603 - this very program
                [sys.executable, "-c", _PROGRAM, *map(str, known)],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        assert self._process.stderr is not None  # noqa: S101 - asked for
        self.pipe = Connection(ours.detach())
        self.tail: Tail = stderr.follow(self._process.stderr)
        self.pid = self._process.pid
        self._sending = threading.Lock()

    def send(self, message: object) -> None:
        """Send it a message, from any thread. Raises OSError when it has ended."""
        with self._sending:
            wire.send(self.pipe, message)

    def has_died(self) -> bool:
        """Say whether it has ended by itself."""
        return self._process.poll() is not None

    def end_soon(self) -> None:
        """Tell it to end, and kill it if it has not in a moment. Waits for nothing."""
        self._signal(signal.SIGTERM)
        timers.call_after(self.kill, MERCY)

    def kill(self) -> None:
        """Kill it, and all that it has started. Waits for nothing; once more is no error."""
        self._signal(signal.SIGKILL)

    def close(self) -> str:
        """End it for good and say why it ended; what it started ends with it."""
        with suppress(OSError):
            self.pipe.close()
        try:
            code = self._process.wait(MERCY)  # without its pipe it ends by itself, unless busy
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._process.wait()
        # Whatever is left of its group: nobody else would end that.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return _why(code)

    def _signal(self, number: signal.Signals) -> None:
        # Not reaped yet, its number cannot be that of another process.
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)


def _why(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if -code == signal.SIGKILL:
        return f"was killed by {name}, as the system does when memory runs out"
    return f"was killed by {name}"
