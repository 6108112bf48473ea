"""The end of a process that was forked in a job, or in a callback of an actor.

Such a child has one thread, which stands in the code that its parent's threads serve. When it
comes back to that code it must not go on there: it would perform its parent's jobs, or wait for
work that never comes. It ends then, as a child that was forked in a plain thread does.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

generation = 0
"""A number that is another one in a forked child."""
_at_end: Final[list[Callable[[], object]]] = []


def at_end(fn: Callable[[], object]) -> None:
    """Register *fn*, to be called when a forked child process ends here, as by `end`."""
    _at_end.append(fn)


def end_if_forked(since: int, error: BaseException | None = None) -> None:
    """End this process if it was forked after *since*, a `generation`; see `end`."""
    if since != generation:
        end(error)


def end(error: BaseException | None = None) -> NoReturn:
    """End this forked child process, as if its code had returned or raised *error*.

    The exit code is 0, that of a SystemExit, or 1 with a traceback on stderr. Threads that it has
    started, and that are no daemons, are waited for. The exit handlers of the parent do not run.
    """
    code = 1
    try:
        code = _exit_code(error)
        for fn in reversed(_at_end):
            with suppress(Exception):
                fn()
        threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001 - as multiprocessing does
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # it may be closed, or None
                stream.flush()
    finally:
        os._exit(code)


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if not isinstance(error, SystemExit):
        traceback.print_exception(error)
        return 1
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    with suppress(Exception):
        print(error.code, file=sys.stderr)  # noqa: T201 - as Python does
    return 1


def _count() -> None:
    global generation  # noqa: PLW0603 - there is one in a process
    generation += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count)
