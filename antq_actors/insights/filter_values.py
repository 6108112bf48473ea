"""The values of a filter's terms: texts, numbers, instants and ages, each read, shown and compared.

Numbers and instants are bounds; an age is counted from when a job is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.checks import LONGEST_SECONDS
from antq_actors.insights.as_json import shown_leaf
from antq_actors.jobs import instant

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.jobs.instant import Instant


class _NotThere:
    """What a job has for a key of which it has nothing that may be seen."""

    def __repr__(self) -> str:
        return "NOT_THERE"


NOT_THERE: Final = _NotThere()
"""A job has nothing there: no value holds for it."""


# ---- texts ----------------------------------------------------------------------------------

_SAFE: Final = re.compile(r'[^\s,"][^\s,]*')


class Text(NamedTuple):
    """A text, or what one begins with."""

    text: str
    is_prefix: bool = False
    is_quoted: bool = False
    """Whether it is a text alone, and no JSON value."""

    def holds(self, found: str) -> bool:
        """Return whether the text that was *found* is this one, or begins with it."""
        return found.startswith(self.text) if self.is_prefix else found == self.text


def show_text(value: Text) -> str:
    """Return a text as a filter writes it, in quotes where it needs them."""
    if value.is_prefix:
        return f"{value.text}*"
    if not value.is_quoted and _SAFE.fullmatch(value.text) and not value.text.endswith("*"):
        return value.text
    escaped = value.text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# ---- numbers and instants -------------------------------------------------------------------

_MOST_DIGITS: Final = 30
_COMPARED: Final = re.compile(r"(>=|<=|>|<)(.+)", re.DOTALL)
_NUMBER: Final = re.compile(r"[0-9]+")


class Bounds(NamedTuple):
    """Which numbers pass; of instants, their microseconds."""

    low: int | None
    high: int | None
    is_low_open: bool = False
    """Whether *low* itself does not pass."""
    is_high_open: bool = False

    @property
    def is_one(self) -> bool:
        """Whether a single number passes."""
        return self.low is not None and self.low == self.high

    def holds(self, found: int) -> bool:
        """Return whether the number that was *found* passes."""
        low, high = self.low, self.high
        if low is not None and (found < low or (self.is_low_open and found == low)):
            return False
        return high is None or found < high or (found == high and not self.is_high_open)

    def show(self, number: Callable[[int], str]) -> str:
        """Return the bounds as a filter writes them, each by *number*."""
        low = "" if self.low is None else number(self.low)
        high = "" if self.high is None else number(self.high)
        if not low:
            return f"{'<' if self.is_high_open else '<='}{high}"
        if not high:
            return f"{'>' if self.is_low_open else '>='}{low}"
        return low if self.is_one else f"{low}..{high}"


def number_bounds(text: str) -> Bounds | None:
    """Return the bounds that ``7``, ``>3``, ``<=9`` or ``3..9`` write; None: it is none of them."""
    return _bounds(text, _number)


def moment_bounds(text: str) -> Bounds | None:
    """Return the bounds that ISO instants write, as numbers do; None: it is none of them."""
    return _bounds(text, _moment)


def _bounds(text: str, parse: Callable[[str], int | None]) -> Bounds | None:
    compared = _COMPARED.fullmatch(text)
    if compared is not None:
        number = parse(compared[2])
        if number is None:
            return None
        is_open = compared[1] in "<>"
        if compared[1][0] == ">":
            return Bounds(number, None, is_low_open=is_open)
        return Bounds(None, number, is_high_open=is_open)
    first, dots, last = text.partition("..")
    low, high = parse(first), parse(last) if dots else parse(first)
    return None if low is None or high is None else Bounds(low, high)


def _number(text: str) -> int | None:
    is_number = len(text) <= _MOST_DIGITS and _NUMBER.fullmatch(text)
    return int(text) if is_number else None


def _moment(text: str) -> Instant | None:
    """Return the instant that is written; without an offset it is in UTC."""
    if not text.isascii():
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.utcoffset() is None:
            moment = moment.replace(tzinfo=UTC)
        return instant.from_datetime(moment.astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def show_moment(number: Instant) -> str:
    """Return an instant as a filter writes it."""
    return instant.datetime_for_display(number).isoformat().replace("+00:00", "Z")


# ---- ages -----------------------------------------------------------------------------------

_AGE: Final = re.compile(r"(>=|<=|>|<)([0-9]+(?:\.[0-9]+)?)([smhd])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Age(NamedTuple):
    """How old something is, or how long it is until then."""

    operator: str
    amount: str
    unit: str

    @property
    def microseconds(self) -> int:
        """The age to compare with."""
        return round(float(self.amount) * _UNITS[self.unit] * instant.SECOND)

    def holds(self, found: int) -> bool:
        """Return whether the microseconds that were *found* pass."""
        limit = self.microseconds
        if self.operator == "<":
            return found < limit
        if self.operator == "<=":
            return found <= limit
        return found > limit if self.operator == ">" else found >= limit

    def bounds(self, now: Instant, *, is_wait: bool) -> Bounds:
        """Return the instants that pass, seen at *now*; of a wait, those that are ahead."""
        is_open, at = self.operator in "<>", now + (1 if is_wait else -1) * self.microseconds
        if (self.operator[0] == "<") is is_wait:
            return Bounds(None, at, is_high_open=is_open)
        return Bounds(at, None, is_low_open=is_open)

    def __str__(self) -> str:
        return f"{self.operator}{self.amount}{self.unit}"


def parse_age(text: str) -> Age | None:
    """Return the age that ``<1h`` writes; None: it is none, or longer than the calendar."""
    match = _AGE.fullmatch(text)
    if match is None or float(match[2]) * _UNITS[match[3]] > LONGEST_SECONDS:
        return None
    return Age(match[1], match[2], match[3])


# ---- arguments ------------------------------------------------------------------------------


def text_of(found: Any) -> str | None:
    """Return the text that an argument is, or is shown as; None: it is a value that JSON has."""
    if isinstance(found, str):
        return found
    if found is None or isinstance(found, int | float | list | tuple | Mapping):
        return None
    shown = shown_leaf(found)
    return shown if isinstance(shown, str) else None


def same_json(found: Any, wanted: Any) -> bool:
    """Return whether an argument is a JSON value; a bool is no number.

    >>> same_json(42, 42.0), same_json(1, True), same_json((1, None), [1, None])
    (True, False, True)
    """
    if wanted is None or isinstance(wanted, bool) or isinstance(found, bool):
        return found is wanted
    if isinstance(wanted, int | float):
        return isinstance(found, int | float) and found == wanted
    if isinstance(wanted, list):
        return (
            isinstance(found, list | tuple)
            and len(found) == len(wanted)
            and all(map(same_json, found, wanted))
        )
    if isinstance(wanted, dict):
        return (
            isinstance(found, Mapping)
            and found.keys() == wanted.keys()
            and all(same_json(found[key], wanted[key]) for key in wanted)
        )
    return isinstance(wanted, str) and isinstance(found, str) and found == wanted
