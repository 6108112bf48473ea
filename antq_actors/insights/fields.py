"""What a verb is told, read from what forms, queries and JSON carry: texts, or JSON's own values.

A field that was not given, or left empty, is None. Anything that makes no sense is a ValueError
that names the field, shows what was given, and says what to write.
"""

from __future__ import annotations

import ast
import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from antq_actors.checks import LONGEST_SECONDS, is_number, is_utf8, is_whole, short_repr

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST_CHARACTERS: Final = 10_000
"""Of a text: more than a reason or a name needs, and little enough to be shown."""
_MOST_DIGITS: Final = 18
_YES: Final = ("1", "true", "yes", "on")
_NO: Final = ("0", "false", "no", "off")
_SPAN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


def is_given(value: object) -> bool:
    """Return whether a field was given, and is no box that was left empty."""
    return value is not None and not (isinstance(value, str) and not value.strip())


def text(value: object, name: str) -> str | None:
    """Return a text.

    >>> text("deploy", "reason"), text("  ", "reason")
    ('deploy', None)
    """
    if not is_given(value):
        return None
    if not isinstance(value, str):
        raise _wrong(name, "a text", value)
    if len(value) > MOST_CHARACTERS:
        raise ValueError(
            f"{name} must have at most {MOST_CHARACTERS:,} characters, got {len(value):,}"
        )
    if not is_utf8(value):
        raise _wrong(name, "text that UTF-8 can carry", value)
    return str(value)


def needed_text(value: object, name: str) -> str:
    """Return a text that must be given."""
    found = text(value, name)
    if found is None:
        raise ValueError(f"{name} is missing; give it as a text")
    return found


def flag(value: object, name: str) -> bool:
    """Return whether something is wanted; a field that is not given says no.

    >>> flag("1", "fresh"), flag("off", "fresh"), flag(True, "fresh"), flag(None, "fresh")
    (True, False, True, False)
    """
    if not is_given(value):
        return False
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, str | int) else ""
    if word in _YES or word in _NO:
        return word in _YES
    raise _wrong(name, "true or false", value)


def number(value: object, name: str, least: int = 1) -> int | None:
    """Return a whole number of at least *least*.

    >>> number("5", "n"), number(5, "n"), number("", "n")
    (5, 5, None)
    """
    if not is_given(value):
        return None
    found: int | None = None
    if is_whole(value):
        found = value
    elif isinstance(value, str) and _is_digits(value.strip()):
        found = int(value)
    if found is None or found < least or found >= 10**_MOST_DIGITS:
        raise _wrong(name, f"a whole number of at least {least}, such as {max(least, 5)}", value)
    return found


def needed_number(value: object, name: str, least: int = 1) -> int:
    """Return a whole number that must be given."""
    found = number(value, name, least)
    if found is None:
        raise ValueError(f"{name} is missing; give a whole number, such as {max(least, 5)}")
    return found


def _is_digits(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS


def seconds(value: object, name: str) -> float | None:
    """Return a span of time in seconds: a number of them, or one with a unit.

    >>> seconds("5m", "in"), seconds("90", "in"), seconds(1.5, "in"), seconds("1h30m", "in")
    (300.0, 90.0, 1.5, 5400.0)
    """
    if not is_given(value):
        return None
    found: float | None = None
    if is_number(value):
        found = float(value) if abs(value) <= LONGEST_SECONDS else None
    elif isinstance(value, str) and value.isascii():
        found = _span(value.strip().replace(" ", ""))
    # Also no NaN: it is no larger and no smaller than anything.
    if found is None or not 0 <= found <= LONGEST_SECONDS:
        raise _wrong(name, "a span of time, such as 30, 30s, 5m, 2h or 1d", value)
    return found


def _span(written: str) -> float | None:
    parts = _SPAN.findall(written)
    is_whole_text = "".join(amount + unit for amount, unit in parts) == written
    # One number without a unit is of seconds; of several, each has to say what it counts.
    if not parts or not is_whole_text or (len(parts) > 1 and not all(unit for _, unit in parts)):
        return None
    return sum(float(amount) * _SECONDS[unit] for amount, unit in parts)


def moment(value: object, name: str) -> datetime | None:
    """Return an instant.

    >>> moment("2030-05-01T09:00+02:00", "at")
    datetime.datetime(2030, 5, 1, 7, 0, tzinfo=datetime.timezone.utc)
    """
    if not is_given(value):
        return None
    right = "an instant with its zone, such as 2030-05-01T09:00Z or 2030-05-01T09:00+02:00"
    found: datetime | None = None
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, str) and value.isascii():
        try:
            found = datetime.fromisoformat(value.strip())
        except ValueError:
            raise _wrong(name, right, value) from None
    if found is None or found.utcoffset() is None:
        raise _wrong(name, right, value)
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise _wrong(name, right, value) from None


def arguments(value: object, name: str) -> dict[str, Any] | None:
    """Return arguments of jobs, given as ``K=V`` once or several times; V is JSON, or else text.

    >>> arguments("user=42", "arg"), arguments(["to=ann", "n=[1]"], "arg"), arguments("", "arg")
    ({'user': 42}, {'to': 'ann', 'n': [1]}, None)
    """
    if not is_given(value):
        return None
    pairs: Iterable[object] = value if isinstance(value, list) else [value]
    found: dict[str, Any] = {}
    for pair in pairs:
        if not is_given(pair):
            continue
        key, separator, written = pair.partition("=") if isinstance(pair, str) else ("", "", "")
        if not separator or not key or key in found:
            raise _wrong(name, "K=V, each K once, such as user=42", pair)
        found[key] = json_or_text(written)
    return found or None


def json_or_text(written: str) -> Any:
    """Return the value that a text is as JSON, or the text itself.

    >>> json_or_text("5"), json_or_text("acme"), json_or_text("NaN")
    (5, 'acme', 'NaN')
    """
    try:
        return json.loads(written, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return written


def _no_constant(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity are no JSON


def key_meanings(value: object, name: str) -> tuple[Any, ...]:
    """Return what a key of a limit may mean, the likeliest first; none: it was not given.

    A list is a key of several arguments. A text may be JSON, the text itself, or how a key of the
    limit is shown.

    >>> key_meanings("5", "key"), key_meanings("acme", "key"), key_meanings(["acme", 5], "key")
    ((5, '5'), ('acme',), (('acme', 5),))
    >>> key_meanings("('acme', 5)", "key")
    ("('acme', 5)", ('acme', 5))
    """
    if not is_given(value):
        return ()
    if not isinstance(value, str):
        return (tuple(value) if isinstance(value, list) else value,)
    if text(value, name) is None:
        return ()
    found = [json_or_text(value), value]
    with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
        found.append(ast.literal_eval(value))
    meanings: list[Any] = []
    for each in found:
        meaning = tuple(each) if isinstance(each, list) else each
        is_there = any(type(meaning) is type(other) and meaning == other for other in meanings)
        if meaning is not None and not is_there:
            meanings.append(meaning)
    return tuple(meanings)


def python_names(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields by the names of parameters: ``in`` is a word of Python's, and becomes ``in_``.

    >>> python_names({"in": "5m", "reason": "late"})
    {'in_': '5m', 'reason': 'late'}
    """
    return {"in_" if name == "in" else name: value for name, value in fields.items()}


def _wrong(name: str, right: str, value: object) -> ValueError:
    return ValueError(f"{name} must be {right}, got {short_repr(value)}")
