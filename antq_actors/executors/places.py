"""Where an attempt is at this moment, as text: read from outside when its time is over.

A thread is where its innermost frame is, a coroutine where its chain of awaits ends. Both begin
with the user's first frame, as stored traces do. An attempt that runs coroutines may have more
tasks than its own; those are shown as well, as its own often only waits for them.
"""

from __future__ import annotations

import linecache
import re
import sys
import threading
from traceback import FrameSummary, StackSummary
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.jobs import perform
from antq_actors.jobs.attempt_error import is_users
from antq_actors.otp.kernel.stopping import Interruptible

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable
    from types import FrameType

    from antq_actors.otp.kernel.cell import ActorCell

_MOST_FRAMES: Final = 1_000
"""Innermost frames that are read: an endless recursion must not hold up the reader."""

_MOST_TASKS: Final = 10
"""Tasks that are shown beside the attempt's own."""

_PERFORMING: Final = perform.__file__
_HEAD: Final = "Traceback (most recent call last):\n"
_DUMPED: Final = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")


class _Loop(NamedTuple):
    """A coroutine that a thread runs, on a loop of its own."""

    coroutine: Any
    loop: asyncio.AbstractEventLoop


_loops: Final[dict[int, _Loop]] = {}
"""By the numbers of the threads; changed by single operations only."""


def enter_coroutine(coroutine: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Note that this thread runs the *coroutine* of its job's attempt on *loop* from now on."""
    _loops[threading.get_ident()] = _Loop(coroutine, loop)


def leave_coroutine() -> None:
    """Forget the coroutine that this thread was noted to run for an attempt."""
    _loops.pop(threading.get_ident(), None)


def of_worker_actor(cell: ActorCell) -> str | None:
    """Return the stack of the attempt that a worker actor performs in its own thread, as text.

    None: it performs none at this moment, or not in its thread.
    """
    interruptible = cell.interruptible
    if not isinstance(interruptible, Interruptible):
        return None
    found = interruptible.look(_frames_of_thread)
    return None if found is None else _of_thread(*found)


def of_this_thread(frame: FrameType | None) -> str:
    """Return the stack of the attempt that this thread performs at *frame*, as text."""
    return _of_thread(threading.get_ident(), _frames_above(frame))


def _frames_of_thread(thread_id: int) -> tuple[int, list[FrameSummary]] | None:
    frame = sys._current_frames().get(thread_id)  # noqa: SLF001 - documented
    return None if frame is None else (thread_id, _frames_above(frame))


def _of_thread(thread_id: int, frames: list[FrameSummary]) -> str:
    found = _loops.get(thread_id)
    if found is None or _begin_of_users(frames) is not None:
        return _text(frames)
    import asyncio  # noqa: PLC0415 - it is there already

    # The thread waits in the loop for something to do.
    tasks = asyncio.all_tasks(found.loop)
    others = [task for task in tasks if task.get_coro() is not found.coroutine]
    return of_coroutine(found.coroutine, others)


def of_frames(frame: FrameType | None) -> str:
    """Return the stack of an attempt whose thread is at *frame*, as text."""
    return _text(_frames_above(frame))


def of_coroutine(coroutine: Any, others: Iterable[asyncio.Task[Any]]) -> str:
    """Return the stacks of an attempt's other tasks, then of its suspended *coroutine*, as text."""
    lines = []
    for task in list(others)[:_MOST_TASKS]:
        frames = _chain(task.get_coro())
        if frames:
            lines.append(f"Task {task.get_name()!r} of the job waits at (most recent call last):\n")
            lines += [_formatted(frames), "\n"]
    return "".join([*lines, _text(_chain(coroutine))])


def of_dump(dump: bytes) -> str | None:
    """Return the attempt's stack in a dump of `faulthandler`, the last one of several, as text."""
    text = dump.decode("ascii", "replace")
    last = text[text.rfind("(most recent call first)") :]
    frames = [
        _summary(_ESCAPE.sub(_unescaped, filename), int(line), name)
        for filename, line, name in _DUMPED.findall(last)
    ]
    return _text(frames[::-1]) if frames else None


def _frames_above(frame: FrameType | None) -> list[FrameSummary]:
    """Return the frames of a thread's stack down to *frame*, outermost first."""
    found: list[FrameSummary] = []
    while frame is not None and len(found) < _MOST_FRAMES:
        found.append(_summary_of(frame))
        frame = frame.f_back
    return found[::-1]


def _chain(coroutine: Any) -> list[FrameSummary]:
    """Return the stack frames of a suspended *coroutine* along what it awaits, outermost first."""
    found: list[FrameSummary] = []
    while coroutine is not None and len(found) < _MOST_FRAMES:
        kind = next(
            (each for each in ("cr", "gi", "ag") if hasattr(coroutine, f"{each}_frame")), ""
        )
        frame = getattr(coroutine, f"{kind}_frame", None)
        if frame is None:
            break
        found.append(_summary_of(frame))
        coroutine = getattr(coroutine, "gi_yieldfrom" if kind == "gi" else f"{kind}_await", None)
    return found


def _summary_of(frame: FrameType) -> FrameSummary:
    code = frame.f_code
    linecache.lazycache(code.co_filename, frame.f_globals)
    return _summary(code.co_filename, frame.f_lineno, code.co_name)


def _summary(filename: str, line: int | None, name: str) -> FrameSummary:
    return FrameSummary(filename, line, name, lookup_line=False)


def _text(frames: list[FrameSummary]) -> str:
    return _HEAD + _formatted(frames)


def _formatted(frames: list[FrameSummary]) -> str:
    return "".join(StackSummary.from_list(frames[_begin_of_users(frames) or 0 :]).format())


def _begin_of_users(frames: list[FrameSummary]) -> int | None:
    """Return the index of the first frame of user code in an attempt's stack; None: it has none."""
    names = [frame.filename for frame in frames]
    # What is above the attempt is its thread's, and may be of any package.
    above = names.index(_PERFORMING) if _PERFORMING in names else 0
    return next((at for at in range(above, len(names)) if is_users(names[at])), None)


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[found.lastindex or 0], 16))
