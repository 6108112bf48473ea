"""An OS process that performs attempts: started, terminated, killed, and why it ended.

It is a new program, never a fork: a forked child would have copies of its parent's locks, threads'
leftovers and LMDB environment. It is the leader of its own group, so that what it starts ends with
it, and Ctrl-C in a terminal reaches the parent alone.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import IO, TYPE_CHECKING, Final

from antq_actors.executors.process import wire
from antq_actors.otp.messaging import timers

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.executors.process.output import StderrReader

TERM_GRACE_SECONDS: Final = 0.2
"""Seconds between SIGTERM and the kill."""

LOCATE_TIMEOUT_SECONDS: Final = 2.0
"""Seconds that the kill waits longer for the stack that the process was asked for: a busy machine
may not run it in less."""

_HAS_WAITID: Final = hasattr(os, "waitid")
"""Whether an end can be seen without taking the process off the system's list; not on macOS."""

_POLL_SECONDS: Final = 0.02
"""Seconds between two checks whether a process has ended that has no waiter."""

_STDERR_TIMEOUT_SECONDS: Final = 0.2
"""Seconds to wait for the last output of a process that died."""

_DEATH_TIMEOUT_SECONDS: Final = 2.0
"""Seconds that a killed process may take to end, such as when it waits for a disk."""

_GROUP_TIMEOUT_SECONDS: Final = 0.2
"""Seconds that what a dead process had started may take to end, which was killed with it."""

_DUMP_BYTES: Final = 65536
"""Of dumps of where it was: what is kept, the last ones."""

_CLOSED_ITS_PIPE: Final = "closed its pipe to the queue and went on, so it was killed"


class OsProcess:
    """A new process. Raises OSError when the system has none to give, Closed without *stderr*.

    Its starter's thread must live as long as it does: Linux kills it with that thread. It starts
    when those of the same *owner* that were killed are dead.
    """

    def __init__(self, stderr: StderrReader, owner: str = "") -> None:
        _wait_for_killed(owner)
        self.owner = owner
        ours, theirs = socket.socketpair()
        dumps, dumped = _pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this very program
                _command(theirs.fileno(), dumped.fileno()),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno(), dumped.fileno()],
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            dumps.close()
            raise
        finally:
            theirs.close()
            dumped.close()
        self._dumps = dumps
        self._dump = b""
        self.was_located = False
        """Whether the process was asked where its attempt is."""
        self.pipe = Connection(ours.detach())
        self.pid = self._process.pid
        self._sending = threading.Lock()
        self._stop_pending: bytes | None = None
        """What asks for the stop of its attempt, and was not sent yet."""
        # Its number is its own until it is taken off the system's list, so that is never done
        # while a signal is on its way to it.
        self._reaping = threading.Lock()
        self._closing = threading.Lock()
        self._stderr = stderr
        assert self._process.stderr is not None  # noqa: S101 - asked for
        try:
            self._tail = stderr.follow(self._process.stderr)
        except BaseException:
            self.pipe.close()
            self._dumps.close()
            self._process.kill()
            self._process.wait()
            raise

    # ---- messages -----------------------------------------------------------------------------

    def send(self, message: object) -> None:
        """Send the process a message over its pipe. Raises OSError when it has ended."""
        with self._sending:
            wire.send(self.pipe, message)
        if self._stop_pending is not None:
            self._send_stop()

    def request_stop(self, *, is_cancelled: bool) -> None:
        """Send the process, over its pipe, a request to stop its attempt. Never waits or raises.

        *is_cancelled*: because its job was cancelled.
        """
        self._stop_pending = wire.STOPS[is_cancelled]
        self._send_stop()

    def _send_stop(self) -> None:
        # A thread that is sending at this moment does it afterwards.
        if self._sending.acquire(blocking=False):
            try:
                request, self._stop_pending = self._stop_pending, None
                if request is not None:
                    with suppress(OSError), self._socket() as ours:
                        frame = len(request).to_bytes(4, "big") + request
                        ours.send(frame, socket.MSG_DONTWAIT)
            finally:
                self._sending.release()

    def _socket(self) -> socket.socket:
        """Return another handle of the process's pipe. Raises OSError when that is closed."""
        with self._closing:
            return socket.socket(fileno=os.dup(self.pipe.fileno()))

    # ---- where its attempt is -----------------------------------------------------------------

    def locate(self) -> None:
        """Signal the process to dump the stack of its attempt, which it does even in C code."""
        with self._reaping:
            if self._process.returncode is None:
                self._read_dump()
                self._dump = b""  # of an earlier attempt, which then ended by itself
                self.was_located = True
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(self.pid, wire.LOCATE)

    def dump(self) -> bytes:
        """Return the stacks that the process has dumped so far; reads its pipe, never waits."""
        with self._reaping:
            self._read_dump()
            return self._dump

    def _read_dump(self) -> None:
        if not self._dumps.closed:
            while chunk := self._dumps.read(_DUMP_BYTES):  # None: there is nothing now
                self._dump = (self._dump + chunk)[-_DUMP_BYTES:]

    # ---- its standard error ---------------------------------------------------------------------

    def forget_stderr(self) -> None:
        """Forget what the process has written to its standard error so far."""
        self._tail.forget()

    def last_stderr(self) -> str:
        """Return the last standard error of the dead process; waits a little for it."""
        self._tail.closed.wait(_STDERR_TIMEOUT_SECONDS)
        return self._tail.text()

    # ---- its end ------------------------------------------------------------------------------

    def has_died(self) -> bool:
        """Return whether the process has ended; if so, reap it and kill the rest of its group."""
        with self._reaping:
            if self._process.returncode is not None:
                return True
            if _HAS_WAITID:
                if not _has_ended(self.pid):
                    return False
                self._kill_group()  # while its number is still its own
            if self._process.poll() is None:
                return False
            if not _HAS_WAITID:
                self._kill_group()
            self._stderr.leave(self._tail)
            self._read_dump()
            self._dumps.close()
            _killed.pop(self, None)
            self._reap_group()
            return True

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _reap_group(self) -> None:
        """Reap what the dead process had started, so that the system lists it no more.

        That falls to this program only where it is the first process, as in a container, or a
        subreaper. No other child has its group.
        """
        with suppress(ChildProcessError):
            while os.waitpid(-self.pid, os.WNOHANG)[0]:
                pass

    def terminate(self) -> None:
        """Send the process SIGTERM, and have a timer kill it if need be. Waits for nothing."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # a stopped one would heed no other signal
        deadline = time.monotonic() + TERM_GRACE_SECONDS + LOCATE_TIMEOUT_SECONDS
        timers.call_after(lambda: self._kill_when_located(deadline), TERM_GRACE_SECONDS)

    def _kill_when_located(self, deadline: float) -> None:
        is_awaited = self.was_located and not self.has_died() and not self.dump()
        if is_awaited and time.monotonic() < deadline:
            timers.call_after(lambda: self._kill_when_located(deadline), _POLL_SECONDS)
        else:
            self.kill()

    def kill(self) -> None:
        """Kill the process and all that it has started. Waits for nothing; again is no error."""
        if not self.has_died():
            _killed[self] = None
            self._signal(signal.SIGKILL)
        # What it forked may have the other end, and then its end would not be noticed.
        with suppress(OSError), self._socket() as ours:
            ours.shutdown(socket.SHUT_RDWR)

    def retire(self) -> None:
        """Close the process's pipe, so that it ends or a timer kills it; return at once."""
        self._close_pipe()
        self._reap_until(time.monotonic() + TERM_GRACE_SECONDS)

    def reap(self) -> None:
        """Reap the process once it has ended, by a timer that kills it; return at once."""
        self._reap_until(time.monotonic())

    def close(self) -> str:
        """Close the process's pipe, kill it if need be, wait for its death; return why it ended."""
        self._close_pipe()
        has_ended = self._ends_within(
            TERM_GRACE_SECONDS
        )  # without its pipe it ends by itself, unless busy
        if not has_ended:
            self.kill()
            if not self._ends_within(_DEATH_TIMEOUT_SECONDS):
                self.retire()
                return _CLOSED_ITS_PIPE
        _within(_GROUP_TIMEOUT_SECONDS, self._is_group_gone)
        return _why(self._process.returncode) if has_ended else _CLOSED_ITS_PIPE

    def _reap_until(self, deadline: float) -> None:
        if self.has_died():
            return
        if time.monotonic() >= deadline:
            self._signal(signal.SIGKILL)
        timers.call_after(lambda: self._reap_until(deadline), _POLL_SECONDS)

    def _ends_within(self, seconds: float) -> bool:
        return _within(seconds, self.has_died)

    def _is_group_gone(self) -> bool:
        self._reap_group()
        try:
            os.killpg(self.pid, 0)
        except (ProcessLookupError, PermissionError):
            return True
        return False

    def _close_pipe(self) -> None:
        with self._closing, suppress(OSError):
            self.pipe.close()

    def _signal(self, number: signal.Signals) -> None:
        with self._reaping:
            if self._process.returncode is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, number)


_killed: Final[dict[OsProcess, None]] = {}
"""Those that were killed and may not be dead yet; changed by single operations only."""


def _wait_for_killed(owner: str) -> None:
    """Wait until killed processes of the same *owner* are dead: their jobs may run again now."""
    for process in [each for each in list(_killed) if each.owner == owner]:
        _within(_DEATH_TIMEOUT_SECONDS, process.has_died)
        _killed.pop(process, None)


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline, pause = time.monotonic() + seconds, 0.0005
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, _POLL_SECONDS)
    return True


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    """Make an OS pipe; return its ends, unbuffered; neither reading nor writing ever waits."""
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return os.fdopen(ends[0], "rb", 0), os.fdopen(ends[1], "wb", 0)


def _command(pipe: int, dumped: int) -> list[str]:
    # Where modules are found comes first: with "-c" the present folder is one of the places.
    path = [place for place in sys.path if isinstance(place, str)]
    program = (
        f"import sys; sys.path[:] = {path!r};"
        " from antq_actors.executors.process.child import main; main()"
    )
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined] # noqa: SLF001
    return [sys.executable, *flags, "-c", program, str(pipe), str(os.getpid()), str(dumped)]


def _has_ended(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # the program has all its children taken off by the system
        return True


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
