"""Two ways to see where a running program spends its time. Both answer seconds for each part.

py-spy looks from outside, a few hundred times a second, which thread holds the interpreter, and
stops nothing for it: that would make the program three times slower. So what it reads may change
meanwhile; how often it did is a part as well. It needs the right to read another process's memory
(ptrace).

Without it, a thread of the program itself reads how much processor time each other thread used
since the last look, and counts it to where that thread is. It needs no right, but it looks only
when it gets the interpreter: what gives that up often (waits, LMDB) is seen too often, and what
runs in between too seldom.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from measure import new_folder
from parts import part_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

RATE: Final = 250
"""Looks a second of py-spy."""
POLL_SECONDS: Final = 0.002
"""Seconds between two looks of the sampler inside."""
_FILE: Final = re.compile(r"\(([^()]*?)(?::\d+)?\)$")
_UNREAD: Final = re.compile(r"Errors: ([1-9]\d*)")
UNREAD: Final = "unknown: it changed while py-spy looked"
_ANYONE: Final = (0x59616D61, -1)
"""prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY)"""


def py_spy() -> str | None:
    """Return the program, if it is installed beside this Python or elsewhere."""
    return shutil.which("py-spy", path=Path(sys.executable).parent) or shutil.which("py-spy")


def spy_on_me(program: str, seconds: float) -> dict[str, float]:
    """Let py-spy look for so many seconds. Raises RuntimeError when it cannot, with its reason."""
    with suppress(AttributeError, OSError):  # elsewhere than on Linux
        ctypes.CDLL(None).prctl(*_ANYONE, 0, 0, 0)  # a child may look, where only parents could
    with new_folder() as folder:
        stacks = Path(folder, "stacks.txt")
        command = [program, "record", "--pid", str(os.getpid()), "--duration", f"{seconds:.0f}"]
        command += ["--rate", str(RATE), "--gil", "--nonblocking"]
        command += ["--format", "raw", "--output", str(stacks)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as spy:
            if hasattr(os, "sched_setaffinity"):
                # A target that is pinned to one core keeps it for itself.
                os.sched_setaffinity(spy.pid, range(os.cpu_count() or 1))
            said, _ = spy.communicate()
        if spy.returncode or not stacks.exists():
            raise RuntimeError(f"py-spy could not look: {said.strip() or 'no stacks'}")
        found = _seconds(stacks.read_text(encoding="utf-8"))
    if unread := _UNREAD.search(said):
        found[UNREAD] = int(unread[1]) / RATE
    return found


def _seconds(stacks: str) -> dict[str, float]:
    """Read py-spy's lines: ``outer (file.py:1);inner (other.py:2) 17``."""
    found: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        matches = map(_FILE.search, reversed(frames.split(";")))
        found[part_of(match[1] for match in matches if match)] += int(count)
    return {part: count / RATE for part, count in found.items()}


def look_from_inside(seconds: float) -> dict[str, float]:
    """Count each thread's processor time to where it is found, for so many seconds."""
    if not hasattr(time, "pthread_getcpuclockid"):
        raise RuntimeError("this system tells no thread how much another one worked: use py-spy")
    used: dict[int, float] = {}
    found: defaultdict[str, float] = defaultdict(float)
    me = threading.get_ident()
    over = time.monotonic() + seconds
    while time.monotonic() < over:
        for thread, frame in sys._current_frames().items():  # noqa: SLF001 - there is no other way
            if thread == me:
                continue
            now = _processor_time(thread)
            found[part_of(_files(frame))] += now - used.setdefault(thread, now)
            used[thread] = now
        time.sleep(POLL_SECONDS)
    return dict(found)


def _processor_time(thread: int) -> float:
    return time.clock_gettime(time.pthread_getcpuclockid(thread))


def _files(frame: FrameType | None) -> Iterator[str]:
    while frame is not None:
        yield frame.f_code.co_filename
        frame = frame.f_back
