"""The exception of a log record that comes from another process, as handlers here get it.

It is what was raised there, if it travels, and its cause is the traceback from there as text, as
`concurrent.futures` has it. What names a class that this process has not imported does not travel:
a log record must not import anything. Then a `RemoteError` stands for it.
"""

from __future__ import annotations

import io
import pickle
import sys
from typing import TYPE_CHECKING, Any

from antq_actors.jobs.attempt_error import describe, summary

if TYPE_CHECKING:
    from types import TracebackType

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


class RemoteError(Exception):
    """Stands for an exception of another process; its text is the class and text of that."""


class RemoteTraceback(Exception):
    """The traceback of an exception in the process where it was raised, as text."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def pack(error: BaseException) -> bytes:
    """Return *error* pickled, for :func:`exc_info`; empty if it cannot be."""
    try:
        return pickle.dumps(error, pickle.HIGHEST_PROTOCOL)
    except Exception:  # noqa: BLE001 - any exception may refuse to travel
        return b""


def shown(error: BaseException) -> str:
    """Return the text of what stands for *error* where it does not travel."""
    return summary(describe(error), type(error).__name__)


def exc_info(pickled: bytes, shown_as: str, trace: str) -> ExcInfo:
    """Return what a record has as ``exc_info``. It has no traceback but the text *trace*."""
    error = _unpacked(pickled) or RemoteError(shown_as)
    error.__cause__ = RemoteTraceback(trace)
    return type(error), error, None


def _unpacked(pickled: bytes) -> BaseException | None:
    try:
        found = _Unpickler(io.BytesIO(pickled)).load()
    except BaseException:  # noqa: BLE001 - its own class may run code when it is made
        return None
    return found if isinstance(found, BaseException) else None


class _Unpickler(pickle.Unpickler):
    """Imports nothing: finds what this process has imported already."""

    def find_class(self, module: str, name: str, /) -> Any:
        if module not in sys.modules:
            raise pickle.UnpicklingError(f"{module} is not imported here")
        return super().find_class(module, name)
