"""Pickles of what the script of a program defines: by name, with a copy by value.

Each process has a ``__main__`` of its own, so its classes cannot be imported elsewhere. A copy by
value can be had anywhere, but is another class: after a restart of its own program, too, where
members of an enum would not equal those of the script. So a pickle names what can be found in
``__main__`` by its name, and carries the copies for processes in which it cannot be found.

Stored arguments name :func:`find` by its path, ``antq_actors.storage.main_objects.find``: this file
has to keep its place and its name.

What can be pickled and still be no argument, because it is bound to this process or broken, is
refused here as well. cloudpickle carries an open file as a copy of its text, and pickle a
connection as the number of its descriptor, which is another file elsewhere. Both are refused as a
lock is, and so is a memoryview, of which cloudpickle carries the bytes alone.
"""

from __future__ import annotations

import datetime as dt
import io
import os
import pickle
import struct
import sys
from contextlib import suppress
from copy import copy as copied
from functools import lru_cache
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

import cloudpickle  # type: ignore[import-untyped]  # it has none

from antq_actors.jobs.function_worker import FunctionWorker
from antq_actors.jobs.resolver import is_importable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from antq_actors.jobs.function_parameters import JobParameter
    from antq_actors.jobs.options import Options

Place: TypeAlias = tuple[str, str]
"""The program in whose script something is defined, and its name there."""

PROTOCOL: Final = 5

_DEFINITIONS: Final = (type, FunctionType, FunctionWorker)
_MAIN: Final = frozenset({"__main__", "__mp_main__"})
_INTERACTIVE: Final = ""
_COPIES_KEPT: Final = 64
_MARK: Final = b"\xc1antq copies\xc1"
"""Before a list of what is named and copied, so that it is found without unpickling."""
_LENGTH: Final = struct.Struct(">I")

_sent: Final[dict[Place, Any]] = {}
"""What the parent of this job process has in its script, as it was sent."""
_originals: Final[WeakKeyDictionary[Any, Place]] = WeakKeyDictionary()
"""What something is a copy of."""


def dumps(thing: object) -> bytes:
    """Return an argument pickled: what ``__main__`` defines is named, with copies by value.

    Raises TypeError for what is bound to this process, and what its parts raise that cannot be
    pickled.
    """
    refuse(thing)  # the pickler does not ask for each type
    pickled, named = _named(thing, b"")
    return _named(thing, _copies(named))[0] if named else pickled


def dumps_by_value(thing: object) -> bytes:
    """Return *thing* pickled by value for a job process, with copies of what arguments name.

    Raises what its parts raise that cannot be pickled.
    """
    buffer = io.BytesIO()
    pickler = _NotingPickler(buffer)
    pickler.dump((thing, pickler.named))  # in this order: the first fills the second
    return buffer.getvalue()


def loads_by_value(pickled: bytes) -> Any:
    """Unpickle what :func:`dumps_by_value` made, and keep its copies for later arguments."""
    thing, copies = pickle.loads(pickled)  # noqa: S301 - of the parent process
    _sent.update(copies)
    _note(copies)
    return thing


def find(program: str, name: str, copies: bytes) -> Any:
    """Return the class or function *name* of the script *program*: that itself, else a copy.

    Pickles call this, also those that are stored: it keeps its place and its parameters. Raises
    AttributeError when there is neither.
    """
    if program == _this_program():
        found = _in_main(name)
        if found is not None:
            return found
    sent = _sent.get((program, name))
    if sent is not None:
        return sent
    known = _loaded(copies)
    if (program, name) not in known:
        raise AttributeError(
            f"{name!r} of {program or 'an interactive session'} is not in this process, and could"
            " not be copied when the job was enqueued"
        )
    return known[program, name]


def meant_by(encoded: bytes) -> dict[Place, Any]:
    """Return the classes and functions of this process's script that pickles in arguments name.

    Nothing is unpickled.
    """
    program = _this_program()
    things: dict[Place, Any] = {}
    start = encoded.find(_MARK)
    while start >= 0:
        with suppress(struct.error, ValueError):  # a text that looks like the mark
            places, _ = _listed(encoded, start)
            things.update((each, _in_main(each[1])) for each in places if each[0] == program)
        start = encoded.find(_MARK, start + len(_MARK))
    return {place: thing for place, thing in things.items() if thing is not None}


def _copies(named: Mapping[Place, Any]) -> bytes:
    """Return pickled copies of the *named* classes and functions, behind a list of their names."""
    listed = "\0".join(part for place in named for part in place).encode("utf-8", "surrogatepass")
    try:
        copies = _copied(named)
    except Exception:  # noqa: BLE001 - what cannot be copied is still found by its own program
        copies = pickle.dumps({}, PROTOCOL)
    return _MARK + _LENGTH.pack(len(listed)) + listed + copies


def _listed(pickled: bytes, start: int) -> tuple[list[Place], int]:
    """Return the names that a pickle lists behind the mark at *start*, and where the list ends."""
    start += len(_MARK)
    (length,) = _LENGTH.unpack_from(pickled, start)
    start += _LENGTH.size
    parts = pickled[start : start + length].decode("utf-8", "surrogatepass").split("\0")
    return list(zip(parts[::2], parts[1::2], strict=True)), start + length


@lru_cache(_COPIES_KEPT)
def _loaded(copies: bytes) -> Mapping[Place, Any]:
    _, end = _listed(copies, 0)
    things: Mapping[Place, Any] = pickle.loads(copies[end:])  # noqa: S301 - as the pickle around it
    _note(things)
    return things


def _note(copies: Mapping[Place, Any]) -> None:
    for place, copy in copies.items():
        with suppress(TypeError):  # a metaclass may forbid to hash its classes
            _originals[copy] = place


class _CopyingPickler(cloudpickle.CloudPickler):  # type: ignore[misc]  # it has no types
    """Pickles by value what cannot be imported, workers that are functions and applications too."""

    def __init__(self, buffer: io.BytesIO) -> None:
        super().__init__(buffer, PROTOCOL)

    def reducer_override(self, obj: Any) -> Any:
        """Return how to pickle *obj* of a job's arguments, so that any process can load it."""
        if isinstance(obj, FunctionWorker) and not is_importable(obj):
            return _made_again, (obj.function, obj.antq_options, obj.antq_name, obj.antq_job)
        if hasattr(type(obj), "antq_described"):  # an application that a worker refers to
            return obj.antq_described()
        return super().reducer_override(obj)


class _NotingPickler(_CopyingPickler):
    """Does the same, and notes what can be found by its name."""

    def __init__(self, buffer: io.BytesIO) -> None:
        super().__init__(buffer)
        self.named: dict[Place, Any] = {}

    def reducer_override(self, obj: Any) -> Any:
        """Return how to pickle *obj* of a job's arguments; note it if ``__main__`` defines it."""
        if isinstance(obj, _DEFINITIONS) and (place := _place(obj)) is not None:
            self.named[place] = obj
        return super().reducer_override(obj)


class _NamingPickler(_CopyingPickler):
    """Names what can be found by its name, and refuses what is bound to this process."""

    def __init__(self, buffer: io.BytesIO, copies: bytes) -> None:
        super().__init__(buffer)
        self._copies = copies
        self.named: dict[Place, Any] = {}

    def reducer_override(self, obj: Any) -> Any:
        """Return how to pickle *obj* of a job's arguments: by name if ``__main__`` defines it."""
        if not isinstance(obj, _DEFINITIONS):
            refuse(obj)
        elif (place := _place(obj)) is not None:
            self.named[place] = obj
            return find, (*place, self._copies)
        return super().reducer_override(obj)


def _named(thing: object, copies: bytes) -> tuple[bytes, dict[Place, Any]]:
    buffer = io.BytesIO()
    pickler = _NamingPickler(buffer, copies)
    pickler.dump(thing)
    return buffer.getvalue(), pickler.named


def _copied(thing: object) -> bytes:
    buffer = io.BytesIO()
    _CopyingPickler(buffer).dump(thing)
    return buffer.getvalue()


def _place(thing: Any) -> Place | None:
    """Return the script and name under which ``__main__`` has a class or function, or None."""
    module = thing.__module__
    if not isinstance(module, str) or module not in _MAIN:  # a class may have anything there
        return None
    name: str = thing.__qualname__
    if _in_main(name) is thing:
        return _this_program(), name
    with suppress(TypeError):
        return _originals.get(thing)
    return None


def _in_main(name: str) -> Any:
    """Return the class or function that the script of this process calls *name*, or None."""
    found: Any = sys.modules.get("__main__")
    for part in name.split("."):
        if not isinstance(found, ModuleType | type):
            return None
        found = vars(found).get(part)  # so that no code of its own is run
    is_own = isinstance(found, _DEFINITIONS) and found.__module__ in _MAIN
    return found if is_own else None


def _this_program() -> str:
    """Return the path of this program's script; empty for a notebook."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.abspath(file) if isinstance(file, str) else _INTERACTIVE  # noqa: PTH100 - links are kept


def _made_again(
    function: Callable[..., Any], options: Options, name: str, job: JobParameter | None = None
) -> FunctionWorker[..., ..., Any]:
    return FunctionWorker.antq_made_again(function, options, name, job)


# ---- what is bound to its process -----------------------------------------------------------

_TYPES_KEPT: Final = 1_024
_IN_MEMORY: Final = (io.BytesIO, io.StringIO)
_FILE: Final = io.IOBase.__mro__[1]  # the base in C, since isinstance() of an abstract one is slow

_VIEW: Final = "it shows memory of its process, and would arrive as bytes; write bytes(...) of it"

# By their names, so that nothing is imported for them.
_BOUND: Final = {
    ("multiprocessing.connection", "_ConnectionBase"): "a connection belongs to its process",
    ("tempfile", "TemporaryDirectory"): "the directory is removed with the object",
    ("asyncio.mixins", "_LoopBoundMixin"): "it belongs to an event loop of its process",
    ("builtins", "memoryview"): _VIEW,
    ("pickle", "PickleBuffer"): _VIEW,
}


def refuse(value: object) -> None:
    """Raise TypeError if *value*, as an argument of a job, is bound to this process or broken."""
    reason = _bound(type(value))  # type: ignore[arg-type]  # it takes __hash__ for that of instances
    if reason is not None:
        raise TypeError(reason)
    if isinstance(value, dt.datetime | dt.time):
        _refuse_zone(value)


@lru_cache(_TYPES_KEPT)
def _bound(kind: type) -> str | None:
    if issubclass(kind, _FILE) and not issubclass(kind, _IN_MEMORY):
        return "an open file belongs to its process"
    if hasattr(kind, "antq_described"):
        return "an application belongs to its process"
    names = ((base.__module__, base.__qualname__) for base in kind.__mro__)
    return next((_BOUND[name] for name in names if name in _BOUND), None)


def _refuse_zone(value: dt.datetime | dt.time) -> None:
    zone = value.tzinfo
    kind = type(zone)
    if zone is None or kind is dt.timezone or (kind is ZoneInfo and _has_key(zone)):
        return
    try:
        copied(zone)  # as its pickle would make it
        if isinstance(value, dt.datetime):
            value.utcoffset()
    except Exception as error:
        raise TypeError(
            f"its time zone is broken, {type(error).__name__}: {error}; use datetime.UTC or a"
            " zoneinfo.ZoneInfo"
        ) from error


def _has_key(zone: Any) -> bool:
    return zone.key is not None
