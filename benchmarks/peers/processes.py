"""Worker processes: started together, looked at, stopped, and never left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

STOP_TIMEOUT_SECONDS: Final = 20.0
"""Seconds after which a worker process that was asked to stop is killed."""
PR_SET_PDEATHSIG: Final = 1


def die_with_parent(by: int = signal.SIGKILL) -> None:
    """Have the system send that signal when the parent ends, however that ends; on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, by)


class WorkerProcesses:
    """The processes that perform jobs, from start to stop."""

    def __init__(self, commands: Sequence[Sequence[str]], log: Path, stop_signal: int) -> None:
        self._log, self._stop_signal = log, stop_signal
        self.started = time.perf_counter()
        with log.open("ab") as opened:
            self._processes = [
                subprocess.Popen(command, stdout=opened, stderr=opened) for command in commands
            ]

    def check(self) -> None:
        """Raise RuntimeError, with what it said, if one has ended by itself."""
        for process in self._processes:
            if process.poll() is not None:
                said = self._log.read_text(errors="replace").strip()[-2_000:]
                raise RuntimeError(f"a worker process ended with {process.returncode}: {said}")

    def memory(self) -> float | None:
        """Return the MB of all of them and their children; what they share counts once."""
        pids = [pid for process in self._processes for pid in _family(process.pid)]
        return memory_of(pids)

    def stop(self) -> float | None:
        """Ask all to stop, and answer how many seconds that took; None if one had to be killed."""
        began = time.perf_counter()
        for process in self._processes:
            process.send_signal(self._stop_signal)
        killed = False
        for process in self._processes:
            try:
                process.wait(max(0.0, began + STOP_TIMEOUT_SECONDS - time.perf_counter()))
            except subprocess.TimeoutExpired:
                killed = True
                self._kill(process)
        return None if killed else time.perf_counter() - began

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        for pid in reversed(_family(process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def memory_of(pids: list[int]) -> float | None:
    """Return the proportional set size of all *pids* together in MB; None where /proc has none."""
    kib = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        except OSError:
            return None
        kib += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib * 1024 / 1e6


def _family(pid: int) -> list[int]:
    """Return *pid* and all that descend from it."""
    children: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            children += map(int, file.read_text(encoding="ascii").split())
    return [pid, *(one for child in children for one in _family(child))]
