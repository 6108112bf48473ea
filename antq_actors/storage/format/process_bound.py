"""What can be pickled and still not be an argument: it is bound to this process, or broken.

cloudpickle carries an open file as a copy of its text, and pickle a connection as the number of
its descriptor, which is another file elsewhere. Both are refused as a lock is.
"""

from __future__ import annotations

import copy
import datetime as dt
import io
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

_TYPES_KEPT: Final = 1_024
_IN_MEMORY: Final = (io.BytesIO, io.StringIO)
_FILE: Final = io.IOBase.__mro__[1]  # the base in C, since isinstance() of an abstract one is slow

# By their names, so that nothing is imported for them.
_BOUND: Final = {
    ("multiprocessing.connection", "_ConnectionBase"): "a connection belongs to its process",
    ("tempfile", "TemporaryDirectory"): "the directory is removed with the object",
    ("asyncio.mixins", "_LoopBoundMixin"): "it belongs to an event loop of its process",
}


def refuse(value: object) -> None:
    """Raise TypeError when *value* cannot be an argument, or a part of one."""
    reason = _bound(type(value))  # type: ignore[arg-type]  # it takes __hash__ for that of instances
    if reason is not None:
        raise TypeError(reason)
    if isinstance(value, dt.datetime | dt.time):
        _refuse_zone(value)


def is_usual_zone(zone: dt.tzinfo | None) -> bool:
    """Whether any process can have *zone* from its pickle."""
    kind = type(zone)
    return zone is None or kind is dt.timezone or (kind is ZoneInfo and _has_key(zone))


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
    if is_usual_zone(zone):
        return
    try:
        copy.copy(zone)  # as its pickle would make it
        if isinstance(value, dt.datetime):
            value.utcoffset()
    except Exception as error:
        raise TypeError(
            f"its time zone is broken, {type(error).__name__}: {error}; use datetime.UTC or a"
            " zoneinfo.ZoneInfo"
        ) from error


def _has_key(zone: Any) -> bool:
    return zone.key is not None
