"""What the names and the calls in a pickle stand for.

Only the makers of plain data are called. All else that a pickle names, calls or instantiates is an
:class:`~antq_actors.storage.format.plain.opaque.Opaque` of the same name.
"""

from __future__ import annotations

import collections
import datetime as dt
import zoneinfo
from typing import Any, Final

from antq_actors.errors import StorageError
from antq_actors.storage.format.plain import makers
from antq_actors.storage.format.plain.opaque import Opaque, class_name, named

_CALL_COST: Final = 8
_DEQUE_COST: Final = 32
_ZONE_COST: Final = 4_000
_TEXT_UNIT: Final = 16

# cloudpickle describes a class that has no module to import it from by calling this, with the
# class's name second and its namespace fourth.
_CLASS_BY_VALUE: Final = "cloudpickle.cloudpickle._make_skeleton_class"

# What a script defines is called by its name, with copies for other processes.
_IN_A_SCRIPT: Final = "antq_actors.storage.main_objects.find"

# A time zone names its own way to be made: getattr(ZoneInfo, "_unpickle").
_GETATTR: Final = "builtins.getattr"
_ZONE_MAKER: Final = "zoneinfo.ZoneInfo._unpickle"


# Made by code of its own, a zone is opaque, and so is a time in it.
_IN_ZONES: Final = frozenset({dt.datetime, dt.time})


def meant(module: Any, name: Any) -> Any:
    """Return the class of plain data that is named so, else an Opaque."""
    if type(module) is not str or type(name) is not str:
        raise StorageError("it names something by what is no text")
    return makers.PLAIN.get((module, name)) or named(module, name)


def cost_of_call(called: Any, args: tuple[Any, ...]) -> int:
    """Return what :func:`result_of_call` will cost, as the machine counts it."""
    cost = _CALL_COST + len(args)
    if args and type(args[0]) is str:
        cost += len(args[0]) // _TEXT_UNIT
    if called is collections.deque:
        return cost + _DEQUE_COST
    if type(called) is Opaque and called.name == _ZONE_MAKER:
        return cost + _ZONE_COST
    return cost


def result_of_call(called: Any, args: tuple[Any, ...]) -> Any:
    """Return what calling, or instantiating, *called* would give, made or not."""
    if isinstance(called, type):
        # One of the few classes that a pickle gets by their names: they are plain data.
        maker = makers.MAKERS.get(called)
        try:
            return maker(*args) if maker else class_name(called)
        except Exception:  # noqa: BLE001 - makers raise anything for what they do not accept
            return _not_made(called, args)
    if type(called) is not Opaque:
        raise StorageError(f"it calls a {type(called).__name__}")
    return _result_of_opaque(called, args)


def _not_made(cls: type, args: tuple[Any, ...]) -> Opaque:
    shown = class_name(cls)
    if cls in _IN_ZONES and args and type(args[-1]) is Opaque:
        return named(f"{shown.name} in {args[-1].name}")
    return shown


def _result_of_opaque(called: Opaque, args: tuple[Any, ...]) -> Any:
    if called.name == _ZONE_MAKER:
        return _zone(args)
    if called.name == _CLASS_BY_VALUE and len(args) > 3:  # noqa: PLR2004 - see above
        namespace = args[3] if type(args[3]) is dict else {}
        return named(namespace.get("__module__"), args[1])
    if called.name == _IN_A_SCRIPT and len(args) == 3:  # noqa: PLR2004 - see there
        return named("__main__", args[1])
    if called.name == _GETATTR and len(args) == 2:  # noqa: PLR2004 - an object and a name
        owner = class_name(args[0]) if isinstance(args[0], type) else args[0]
        return named(owner.name if type(owner) is Opaque else None, args[1])
    return called


def _zone(args: tuple[Any, ...]) -> Any:
    try:
        return makers.zone(*args)
    except Exception:  # noqa: BLE001 - whatever looking for a zone raises, there is none
        return class_name(zoneinfo.ZoneInfo)
