"""Whether ``__main__`` may still define a worker that a job names.

A script may start its application above its classes. What waited in the store is claimed at once,
and must not fail because its class statement has not been reached: it waits until ``__main__`` has
defined its worker, or has nothing more to define. An interactive one, at a prompt or in a notebook,
always has.
"""

from __future__ import annotations

import dis
import functools
import logging
import sys
import threading
from contextlib import contextmanager
from types import CodeType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

log: Final = logging.getLogger("antq_actors.jobs")

SHORTEST_WAIT_SECONDS: Final = 0.05
LONGEST_WAIT_SECONDS: Final = 30.0

_MAIN: Final = ("__main__", "__mp_main__")

_awaited: Final[dict[str, float]] = {}
"""Since when jobs wait for a worker, on the monotonic clock."""

_in_run: Final[list[bool]] = []


def may_define(name: str) -> bool:
    """Return whether ``__main__`` may still define the worker with this stored name."""
    if _in_run:
        return False
    if name.startswith("__main__:") and (hasattr(sys, "ps1") or sys.flags.interactive):
        return True
    return any(_comes_to(frame.f_code, frame.f_lasti, name) for frame in _frames())


def wait_seconds(name: str, job_id: int, now: float) -> float:
    """Return for how long the job waits until its worker is looked for again.

    As long as that has been awaited, within limits: so a script of a second costs it little, and
    many jobs that wait for long take little of their queue's time. *now*: on the monotonic clock.
    """
    since = _awaited.get(name)
    if since is None:
        since = _awaited[name] = now
        log.warning(
            "job #%d waits for __main__ to define its worker %r; start the application below its"
            " workers, and no job has to wait",
            job_id,
            name,
        )
    return min(max(now - since, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)


@contextmanager
def nothing_more_defined() -> Iterator[None]:
    """Note that ``__main__`` waits for the end of its application, and defines nothing before."""
    _in_run.append(True)
    try:
        yield
    finally:
        _in_run.pop()


def _frames() -> Iterator[FrameType]:
    """Return what runs of ``__main__``: its own code, and functions of it that were called."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001
    while frame is not None:
        if frame.f_globals.get("__name__") in _MAIN:
            yield frame
        frame = frame.f_back


@functools.lru_cache(maxsize=64)
def _comes_to(code: CodeType, position: int, name: str) -> bool:
    """Return whether *code* names the worker, or what it is defined in, after this *position*."""
    module, _, qualname = name.partition(":")
    wanted = set()
    if module == "__main__":
        wanted.add(qualname.partition(".")[0])
        inner = f"{code.co_qualname}.<locals>."
        if qualname.startswith(inner):
            wanted.add(qualname.removeprefix(inner).partition(".")[0])
    for instruction in dis.get_instructions(code):
        if instruction.offset > position:
            value = instruction.argval
            if isinstance(value, CodeType):
                if _has_constant(value, name):
                    return True
            elif value == name or not wanted.isdisjoint(_names_in(value)):
                return True
    return False


def _names_in(value: object) -> tuple[object, ...]:
    # Of two variables, where one instruction handles both.
    if isinstance(value, tuple) and all(isinstance(each, str) for each in value):
        return value
    return (value,) if isinstance(value, str) else ()


def _has_constant(code: CodeType, text: str) -> bool:
    return any(
        _has_constant(each, text) if isinstance(each, CodeType) else each == text
        for each in code.co_consts
    )
