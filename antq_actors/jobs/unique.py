"""Which jobs are the same job: what a worker declares, and the digest the store compares.

Two unique jobs of one worker and queue share a digest exactly when the named arguments are equal.
Equal means equal in Python: ``1 == 1.0 == True``, a dict in any order, a set by its members, an
instant in any time zone; a list is no tuple. ``hash()`` is not used: it differs between processes.

Each value becomes a tag, a length and its content, so that no two different values run together.
What has no rule of its own is taken apart as pickle would (``__reduce_ex__``) and its parts follow
the rules; pickled bytes themselves would not do, because they depend on which parts are the same
object and, for sets, on the seed of ``hash()``.
"""

from __future__ import annotations

import hashlib
import math
import types
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from numbers import Integral, Rational, Real
from pathlib import PurePath
from typing import Any, Final, Literal
from uuid import UUID

from antq_actors.checks import did_you_mean, is_utf8, short_repr
from antq_actors.introspection import explain_fields
from antq_actors.jobs.state import ACTIVE, Status, Statuses

_ALL: Final = frozenset(Status)


@explain_fields
@dataclass(frozen=True, slots=True, init=False)
class Unique:
    """No second job with equal values of *args* while one is in one of *statuses*.

    A job that lacks one of the named arguments, or has None for it, is not checked. Without
    statuses nothing is ever in the way.

    >>> Unique(args=["email"]).args
    ('email',)
    """

    args: tuple[str, ...]
    """The arguments that are compared, as given, each once."""
    statuses: frozenset[Status]
    """The statuses in which a job is in the way."""

    def __init__(
        self,
        args: Sequence[str],
        statuses: Statuses | Literal["all"] = ACTIVE,
    ) -> None:
        object.__setattr__(self, "args", _names(args))
        object.__setattr__(self, "statuses", _statuses(statuses))


def unique_digest(
    worker: str, queue: str, args: Mapping[str, Any], names: Collection[str]
) -> bytes | None:
    """Return the 16 bytes that jobs of *worker* in *queue* share when the named args are equal.

    None when one of *names* is missing in *args* or None: such a job is never a duplicate. The
    bytes are the same in every process. Raises TypeError naming an argument that cannot be
    compared by its content.
    """
    named = [(name, args.get(name)) for name in sorted(set(names))]
    if any(value is None for _, value in named):
        return None

    digest = hashlib.blake2b(digest_size=16)
    for text in (worker, queue):
        digest.update(canonical(text))
    for name, value in named:
        digest.update(canonical(name))
        try:
            digest.update(canonical(value))
        except Exception as error:
            raise TypeError(
                f"the argument {name!r} cannot be unique: {short_repr(value)} cannot be compared by"
                f" its content ({error}); name other arguments in Unique(args=…)"
            ) from error
    return digest.digest()


def _names(args: object) -> tuple[str, ...]:
    if isinstance(args, str):
        raise TypeError(f"args of Unique must be a list of names: write Unique(args=[{args!r}])")
    if not isinstance(args, Collection) or isinstance(args, Mapping | bytes | bytearray):
        raise TypeError(f"args of Unique must be a list of names, got {short_repr(args)}")
    for name in args:
        if not isinstance(name, str):
            raise TypeError(f"args of Unique must be names (str), got {short_repr(name)}")
        if not is_utf8(name):
            raise ValueError(
                f"args of Unique must be text that UTF-8 can carry, got {short_repr(name)}"
            )
    if not args:
        raise ValueError("args of Unique must name at least one argument, got none")
    return tuple(dict.fromkeys(args))


def _statuses(given: object) -> frozenset[Status]:
    if isinstance(given, str):
        return _ALL if given == "all" else frozenset({_status(given)})
    if not isinstance(given, Collection) or isinstance(given, Mapping | bytes | bytearray):
        raise TypeError(
            "statuses of Unique must be a Status, a collection of them or 'all',"
            f" got {short_repr(given)}"
        )
    return frozenset(_status(status) for status in given)


def _status(given: object) -> Status:
    if not isinstance(given, str):
        raise TypeError(f"statuses of Unique must be Status or str, got {short_repr(given)}")
    try:
        return Status(given)
    except ValueError:
        known = [status.value for status in Status]
        raise ValueError(
            f"unknown status {given!r} in Unique(statuses=…){did_you_mean(given, known)}"
        ) from None


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PRIME: Final = 2**521 - 1
_PROTOCOL: Final = 4
_MOVED: Final = {"pathlib._local": "pathlib"}
"""Modules of the standard library that newer releases of Python name otherwise."""


def canonical(value: object) -> bytes:  # noqa: PLR0911 - one return for each kind of value
    """Return bytes for the digest of unique jobs: the same for equal values, else different.

    Raises TypeError or ValueError for what cannot be taken apart, such as a lock or a lambda, and
    RecursionError for what contains itself.
    """
    match value:
        case None:
            return _tagged(b"0", b"")
        case str():
            return _tagged(b"s", value.encode(errors="surrogatepass"))
        case int() | float() | Decimal() | complex() | Real():
            return _tagged(b"n", _number(value))
        case bytes() | bytearray() | memoryview():
            return _tagged(b"b", bytes(value))
        case Mapping():
            pairs = (canonical(key) + canonical(item) for key, item in value.items())
            return _tagged(b"d", b"".join(sorted(pairs)))
        case AbstractSet():
            return _tagged(b"e", b"".join(sorted(map(canonical, value))))
        case list():
            return _tagged(b"l", _joined(value))
        case tuple():
            return _tagged(b"t", _joined(value))
        case date() | time() | timedelta() | UUID():
            return _moment(value)
    return _taken_apart(value)


def _tagged(tag: bytes, content: bytes) -> bytes:
    return b"%b%d:%b" % (tag, len(content), content)


def _joined(values: Iterable[object]) -> bytes:
    return b"".join(map(canonical, values))


def _number(value: Any) -> bytes:  # noqa: PLR0911 - one return for each kind of number
    """Return the same bytes for all numbers that are equal, whatever their types.

    As Python's own ``hash()`` of numbers does it: the fraction modulo a prime, so that Decimal
    1E+999999 need not be written out. The prime is much larger here; no two numbers met in
    practice share a remainder.
    """
    if isinstance(value, complex):
        if value.imag:
            return _number(value.real) + b"+i" + _number(value.imag)
        value = value.real
    if isinstance(value, int | Integral):
        return _residue(int(value), 1)
    if isinstance(value, Rational):
        return _residue(int(value.numerator), pow(int(value.denominator), -1, _PRIME))
    if isinstance(value, Decimal):
        if not value.is_finite():
            return b"nan" if value.is_nan() else str(float(value)).encode()
        sign, digits, exponent = value.as_tuple()
        whole = int("".join(map(str, digits))) * (-1 if sign else 1)
        return _residue(whole, pow(10, int(exponent), _PRIME))
    value = float(value)
    if not math.isfinite(value):
        return str(value).encode()
    numerator, denominator = value.as_integer_ratio()
    return _residue(numerator, pow(denominator, -1, _PRIME))


def _residue(number: int, factor: int) -> bytes:
    return b"%b%x" % (b"-" if number < 0 else b"", number * factor % _PRIME)


def _moment(value: date | time | timedelta | UUID) -> bytes:
    match value:
        case datetime():
            if value.utcoffset() is None:
                return _tagged(b"w", value.isoformat().encode())
            return _tagged(b"i", b"%d" % ((value - _EPOCH) // timedelta(microseconds=1)))
        case date():
            return _tagged(b"a", value.isoformat().encode())
        case time():
            offset = value.utcoffset()
            bare = datetime.combine(_EPOCH, value, UTC) - _EPOCH
            tag = b"c" if offset is None else b"z"
            return _tagged(tag, _moment(bare - (offset or timedelta())))
        case timedelta():
            return _tagged(b"y", b"%d" % (value // timedelta(microseconds=1)))
        case UUID():
            return _tagged(b"u", value.bytes)


def _taken_apart(value: Any) -> bytes:
    if _is_global(value):
        if "<" in value.__qualname__:
            raise TypeError(f"{value.__qualname__} has no name of its own")
        module = _MOVED.get(value.__module__, value.__module__)
        return _tagged(b"g", f"{module}:{value.__qualname__}".encode())

    reduced: str | tuple[Any, ...] = value.__reduce_ex__(_PROTOCOL)
    if isinstance(reduced, str):
        return _tagged(b"g", f"{type(value).__module__}:{reduced}".encode())
    function, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    if isinstance(value, PurePath) and type(value).__reduce__ is PurePath.__reduce__:
        arguments = value.parts  # from Python 3.12 on, they are the segments that it was made of
    parts = (function, arguments, state, list(items or ()), list(pairs or ()))
    return _tagged(b"o", _joined(parts))


def _is_global(value: Any) -> bool:
    """Return whether pickle stores *value*, an argument of a unique job, by its name alone."""
    if isinstance(value, types.BuiltinFunctionType):
        return isinstance(value.__self__, types.ModuleType)  # else a method of some object
    return isinstance(value, type | types.FunctionType)
