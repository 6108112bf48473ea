"""Measure how much memory this process uses.

On Linux the pages of the mapped store are not counted as the program's own: the kernel takes them
back whenever it needs memory.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")
_KIB: Final = 1024


def own() -> int:
    """Return the bytes that the program itself uses, or the peak where that is unknown."""
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
        kib = next(line.split()[1] for line in lines if line.startswith("RssAnon:"))
    except (OSError, StopIteration):
        return peak()
    return int(kib) * _KIB


def peak() -> int:
    """Return the most bytes that were ever resident, including the mapped store."""
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * _KIB
