"""Checks of what users give, and what their errors say; both halves of the package use them.

A wrong value is a TypeError or a ValueError that names the argument and shows what was given. A
bool is never a number, and numbers of others, such as numpy's, become plain ones where jobs take
them.
"""

from __future__ import annotations

import math
import operator
import sys
from _thread import TIMEOUT_MAX  # of `threading`, which what only decides does not import
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from numbers import Real
from typing import TYPE_CHECKING, Final, SupportsIndex, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_SECONDS: Final = (
    datetime.max.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
).total_seconds()
"""Seconds from 1970 to the last instant a datetime can show; no duration may be longer."""

_LONGEST_REPR: Final = 80
"""Most characters of a value in an error."""

_LONGEST_EXAMPLE: Final = 30
"""Most characters of a value in what an error says to write."""


# ---- numbers and flags ----------------------------------------------------------------------


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether an argument's *value* is an int, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether an argument's *value* is an int or a float, and no bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_flag(value: object, what: str) -> bool:
    """Return an argument if it is True or False; else raise TypeError, which names it *what*."""
    if not isinstance(value, bool):
        raise TypeError(f"{what} must be True or False, got {value!r}")
    return value


def check_whole(value: object, what: str, least: int, *, none: str = "") -> int:
    """Return an argument if it is an int of at least *least*; *none* is for what may be None.

    Raises TypeError or ValueError.
    """
    if not is_whole(value):
        raise TypeError(f"{what} must be a whole number{none}, got {value!r}")
    if value < least:
        raise ValueError(f"{what} must be {least} or more, got {value}")
    return value


def whole(value: object) -> int | None:
    """Return an argument's *value* as an int if it is a whole number, else None.

    >>> whole(5), whole(5.0), whole(True)
    (5, None, None)
    """
    if type(value) is int:
        return value
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        return None
    try:
        return operator.index(value)
    except TypeError:  # a bool of numpy, or an array of several numbers
        return None


def real(value: object) -> int | float | None:
    """Return an argument's *value* as an int or a float if it is a real number, else None.

    >>> real(5), real(0.5), real("5")
    (5, 0.5, None)
    """
    if type(value) is float:
        return value
    number = whole(value)
    if number is not None or isinstance(value, bool) or not isinstance(value, Real):
        return number
    try:
        return float(value)
    except OverflowError:
        return -math.inf if operator.index(math.floor(value)) < 0 else math.inf


# ---- durations ------------------------------------------------------------------------------


def to_seconds(value: object, what: str) -> float:
    """Return an argument, a number or a timedelta, in seconds, zero or more; errors name it *what*.

    Raises TypeError for what is no real number and no timedelta, ValueError for what is negative,
    not finite or longer than the calendar.

    >>> to_seconds(timedelta(minutes=1), "timeout")
    60.0
    """
    # An int of 400 digits fits no float; the comparison below still refuses it.
    seconds = value.total_seconds() if isinstance(value, timedelta) else real(value)
    if seconds is None:
        raise TypeError(
            f"{what} must be a number of seconds or a timedelta, got {short_repr(value)}"
        )

    if isinstance(seconds, float) and not math.isfinite(seconds):
        raise ValueError(f"{what} must be finite, got {seconds}")
    if seconds < 0:
        raise ValueError(f"{what} must not be negative, got {short_repr(value)}")
    if seconds > LONGEST_SECONDS:
        raise ValueError(f"{what} is too long: {short_repr(value)} ends after the year 9999")
    return float(seconds)


def timeout_seconds(timeout: float | timedelta | None, what: str = "timeout") -> float | None:
    """Return a *timeout* argument in seconds; None: no limit, or more than a lock can wait.

    Raises TypeError for what is no time, ValueError for a negative one or NaN, both naming *what*.

    >>> timeout_seconds(timedelta(minutes=1)), timeout_seconds(2), timeout_seconds(float("inf"))
    (60.0, 2, None)
    """
    if timeout is None or (type(timeout) is float and 0 <= timeout < TIMEOUT_MAX):
        return timeout  # nearly always, and every call asks
    if isinstance(timeout, timedelta):
        timeout = timeout.total_seconds()
    if not is_number(timeout):
        raise TypeError(f"{what} must be seconds, a timedelta or None, got {timeout!r}")
    if not timeout >= 0:  # also catches NaN
        raise ValueError(f"{what} must be 0 seconds or more, got {timeout!r}")
    return timeout if timeout < TIMEOUT_MAX else None


def finite_seconds(given: float | timedelta | None, what: str) -> float:
    """Return the time argument *given* in seconds, for what happens when they are over.

    Raises what `timeout_seconds` raises, and ValueError for None and infinity, too.
    """
    checked = timeout_seconds(given, what)
    if checked is not None:
        return checked
    if isinstance(given, timedelta):
        return given.total_seconds()
    if given is None or given == math.inf:
        raise ValueError(f"{what} must be 0 or more, and finite, got {given!r}")
    return float(min(given, sys.float_info.max))  # an int may be more


# ---- text -----------------------------------------------------------------------------------


def exact_str(text: str) -> str:
    """Return the argument *text* as a plain str, also of an enum's member or another subclass."""
    return str.__str__(text)


def is_utf8(text: str) -> bool:
    """Return whether UTF-8 can carry *text*: not if it has a lone surrogate.

    >>> is_utf8("ü"), is_utf8(chr(0xDCFF))
    (True, False)
    """
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def escaped(text: str) -> str:
    r"""Return *text* with escapes for what UTF-8 cannot carry.

    >>> escaped("ü"), escaped(chr(0xDCFF))
    ('ü', '\\udcff')
    """
    return text if is_utf8(text) else text.encode("utf-8", "backslashreplace").decode()


# ---- what errors say ------------------------------------------------------------------------


def short_repr(value: object) -> str:
    """Return *value* and its type as an error shows them, whatever its ``repr`` does."""
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001 - the error about a value must not be one of its repr
        return f"a {type(value).__qualname__}"
    if len(shown) > _LONGEST_REPR:
        shown = f"{shown[:_LONGEST_REPR]}…"
    return f"{shown} ({type(value).__qualname__})"


def example_repr(value: object) -> str:
    """Return *value* as an error message writes it in its example; … if it is long."""
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001 - the error about a value must not be one of its repr
        return "…"
    return shown if len(shown) <= _LONGEST_EXAMPLE else "…"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown *name*: the closest known one, or all.

    >>> did_you_mean("concurency", ["concurrency", "executor"])
    "; did you mean 'concurrency'?"
    >>> did_you_mean("colour", ["concurrency", "executor"])
    '; known are concurrency, executor'
    """
    names = sorted(known)
    close = close_matches(name, names)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known are {', '.join(names)}"


def list_known(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown *name*: all known ones, and the closest.

    >>> list_known("mial", ["mail", "default"])
    "; there are 'default', 'mail' (did you mean 'mail'?)"
    >>> list_known("mial", [])
    '; there are none'
    """
    names = sorted(known)
    if not names:
        return "; there are none"
    close = close_matches(name, names)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"; there are {', '.join(map(repr, names))}{hint}"


def close_matches(name: str, names: Iterable[str], most: int = 1) -> list[str]:
    """Return the *names* spelled most like *name*, the closest first, *most* at most.

    >>> close_matches("mial", ["mail", "default"])
    ['mail']
    """
    from difflib import get_close_matches  # noqa: PLC0415 - no program without a mistake needs it

    return get_close_matches(name, names, most)


MOST_META_BYTES: Final = 4_096
"""Of the keys and values of what is stored beside the arguments of a job, in UTF-8, together."""


def checked_meta(meta: object) -> dict[str, str] | None:
    """Return the ``meta`` of a job as it is stored, None for an empty one.

    Raises TypeError for what does not map text to text, ValueError for what is too long or no text
    that UTF-8 can carry.
    """
    if meta is None:
        return None
    if not isinstance(meta, Mapping):
        raise TypeError(
            f"meta must map str to str, such as {{'tenant': 'a'}}, got {short_repr(meta)}"
        )
    checked: dict[str, str] = {}
    size = 0
    for key, value in meta.items():
        for each, what in ((key, "keys"), (value, "values")):
            if not isinstance(each, str):
                raise TypeError(f"the {what} of meta must be str, got {short_repr(each)}")
            if not is_utf8(each):
                raise ValueError(
                    f"the {what} of meta must be text that UTF-8 can carry, got {short_repr(each)}"
                )
            size += len(each.encode())
        checked[exact_str(key)] = exact_str(value)
    if size > MOST_META_BYTES:
        raise ValueError(
            f"meta must have at most {MOST_META_BYTES:,} bytes of keys and values together, got"
            f" {size:,}; what a job works on belongs in its arguments"
        )
    return checked or None


def checked_abandoned(abandoned: object) -> str:
    """Return what becomes of a batch or workflow whose process dies before it is complete.

    Raises TypeError and ValueError.
    """
    text = f"abandoned must be 'keep' or 'cancel', got {short_repr(abandoned)}"
    if not isinstance(abandoned, str):
        raise TypeError(text)
    if abandoned not in ("keep", "cancel"):
        raise ValueError(text)
    return exact_str(abandoned)


def checked_open(is_open: object) -> bool | None:
    """Return the filter ``open`` of a list. Raises TypeError for what is no bool or None."""
    if is_open is None or isinstance(is_open, bool):
        return is_open
    raise TypeError(f"open must be True, False or None, got {short_repr(is_open)}")
