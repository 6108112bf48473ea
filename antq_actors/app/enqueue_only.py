"""Whether applications run no queues here, whatever their module says.

A command that enqueues a job imports the worker's module. If that starts its application, the
command must not begin to perform what waits there.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_depth: Final[list[None]] = []


def is_enforced() -> bool:
    """Return whether ``start`` starts no queues and ``run`` does not wait."""
    return bool(_depth)


@contextmanager
def enforced() -> Iterator[None]:
    """Have applications that are started meanwhile, in any thread, run no queues."""
    _depth.append(None)
    try:
        yield
    finally:
        _depth.pop()
