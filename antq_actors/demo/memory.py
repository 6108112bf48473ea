"""How much memory this process uses.

On Linux the pages of the mapped store are told apart: the kernel takes those back whenever it
needs room, so they say nothing about what the program holds.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")
_KIB: Final = 1024


def own() -> int:
    """Answer the bytes that are the program's own; the highest use so far where that is unknown."""
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
        kib = next(line.split()[1] for line in lines if line.startswith("RssAnon:"))
    except (OSError, StopIteration):
        return peak()
    return int(kib) * _KIB


def peak() -> int:
    """Answer the most bytes that were ever resident, the mapped store included."""
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * _KIB
