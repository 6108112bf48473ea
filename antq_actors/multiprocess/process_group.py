"""The running processes as a group, for signals to all of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


STOP: Final = signal.SIGTERM
"""From the parent: stop, and let running jobs end. Others may send it as well, and twice."""
STOP_NOW: Final = signal.SIGINT
"""From the parent: do not wait for running jobs any longer."""
STACKS: Final = signal.SIGQUIT
"""From the parent: print the stacks of all threads, and stop."""


_UP: Final = b"u"
_DRAINED: Final = b"d"
"""What a process sends its parent, a byte each."""


class NodeProcess:
    """A process that runs *command*, with ``--lifeline`` and the number of its socket added.

    It is a fresh interpreter: nothing of this one is carried through a fork. It has a session of
    its own, so that a Ctrl-C reaches it only as what its parent makes of it. *ended* is called
    with it in another thread, once, when it has ended.
    """

    def __init__(self, command: Sequence[str], ended: Callable[[NodeProcess], None]) -> None:
        self._lifeline, theirs = socket.socketpair()
        with theirs:
            try:
                self._popen = subprocess.Popen(  # noqa: S603 - our own command
                    [*command, "--lifeline", str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except BaseException:
                self._lifeline.close()
                raise
        self._stop_requested = False
        self.was_up = False
        """Whether it came up before it ended."""
        self.was_drained = False
        """Whether it ended since its node was drained from outside."""
        self._has_ended = threading.Event()
        name = f"antq-wait-for-{self.pid}"
        threading.Thread(target=self._wait, args=(ended,), name=name, daemon=True).start()

    @property
    def pid(self) -> int:
        """The number of one of the application's several OS processes."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """The exit code of one of the application's processes, or minus its signal, or None."""
        return self._popen.returncode

    @property
    def end(self) -> str:
        """How one of the application's several OS processes ended, in words."""
        code = self.returncode
        if code is not None and code < 0:
            return f"was ended by {_name(-code)}"
        return f"ended with exit code {code}"

    def comes_up(self) -> bool:
        """Wait until one of the application's processes is up; return False if it ends first."""
        with suppress(OSError):  # closed, since it has ended
            self.was_up = self._lifeline.recv(1) != b""
        return self.was_up

    def stop(self) -> None:
        """Send one of the application's processes SIGTERM, once: its running jobs may end."""
        if not self._stop_requested:
            self._stop_requested = True
            self._popen.send_signal(STOP)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to one of the application's several OS processes."""
        self._popen.send_signal(number)

    def wait(self) -> None:
        """Wait until one of the application's several OS processes has ended."""
        self._has_ended.wait()

    def _wait(self, ended: Callable[[NodeProcess], None]) -> None:
        self._popen.wait()
        with suppress(OSError):  # there may be nothing to read
            rest = self._lifeline.recv(len(_UP + _DRAINED), socket.MSG_DONTWAIT)
            self.was_up |= rest != b""
            self.was_drained = _DRAINED in rest
        with suppress(OSError):
            # Not only closed: a fork of it may hold the other end, and a thread wait for a byte.
            self._lifeline.shutdown(socket.SHUT_RDWR)
        self._lifeline.close()
        self._has_ended.set()
        ended(self)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


class ParentLifeline:
    """The end of the process that was started; *fd* is the socket it has inherited."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.set_inheritable(False)
        threading.Thread(target=self._watch, name="antq-lifeline", daemon=True).start()

    def report_up(self) -> None:
        """Send the parent of the application's processes, by a socket, that this one is up."""
        with suppress(OSError):
            self._socket.send(_UP)

    def report_drained(self) -> None:
        """Send the parent, by the same socket, that this process ends, and is not to come back."""
        with suppress(OSError):
            self._socket.send(_DRAINED)

    def _watch(self) -> None:
        with suppress(OSError):
            self._socket.recv(1)  # the parent sends nothing: this is its end
        os.kill(os.getpid(), STOP)


CLEAN: Final = (0, -STOP, -STACKS)
"""The last two are of a process that got the signal before it could handle it."""


class NodeProcessGroup:
    """Starts processes and stops all that are running.

    A supervisor terminates its children one by one, waits for each, and handles no messages in the
    meantime. The processes must stop side by side, and a signal must reach them at any time. So
    signals do not go through the tree but through this object, from any thread.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._living: set[NodeProcess] = set()
        self._changing = threading.Lock()
        self.stopping = threading.Event()
        """Set when all are being stopped and no more are started."""
        self.has_booted = False
        """Whether a process has come up: a process that fails now may succeed the next time."""
        self.all_drained = False
        """Whether no process is left, as their nodes were drained from outside."""
        self._failed_to_boot = False
        """Whether the process that ended last had not come up, and has printed the reason."""
        self.unclean: list[str] = []
        """How processes ended that were stopped and did not end as they should."""

    def start(self, number: int, ended: Callable[[], None]) -> NodeProcess | None:
        """Start the application's OS process of this *number*; None when all are being stopped.

        *ended* is called in another thread when it has ended.
        """

        def note(process: NodeProcess) -> None:
            with self._changing:
                self._living.discard(process)
                self._failed_to_boot = not process.was_up
                if self.stopping.is_set() and process.returncode not in CLEAN:
                    self.unclean.append(f"process {number} {process.end}")
                elif process.was_drained and not self._living:
                    self.all_drained = True
                    self.stopping.set()
            ended()

        # A stop in the meantime waits for the lock, and then stops this process, too.
        with self._changing:
            if self.stopping.is_set():
                return None
            command = [*self._command, "--number", str(number)]
            if self._failed_to_boot:
                command.append("--without-traceback")
            process = NodeProcess(command, note)
            self._living.add(process)
        return process

    def stop(self) -> bool:
        """Send all processes of the application SIGTERM, start none; False if that was done."""
        with self._changing:
            if self.stopping.is_set():
                return False
            self.stopping.set()
            for process in self._living:
                process.stop()
        return True

    def print_stacks(self) -> None:
        """Send all processes of the application SIGQUIT: they print their stacks and stop."""
        with self._changing:
            for process in self._living:
                process.send(STACKS)

    def stop_now(self) -> None:
        """Send all processes of the application SIGINT: they stop without waiting for jobs."""
        with self._changing:
            for process in self._living:
                process.send(STOP_NOW)
