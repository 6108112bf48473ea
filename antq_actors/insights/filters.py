r"""The grammar of filters, and whether a job passes one: text in, values out.

    terms   blank-separated, all of them must hold
    term    ["-"] key ":" value ("," value)*      one of the values must hold; "-": none of them
    value   up to the next blank or comma, or in double quotes, in which \" and \\ are escapes

What a job has is found by who calls; what it has not is `NOT_THERE`, which holds for no value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, TypeAlias

from antq_actors.checks import did_you_mean, short_repr
from antq_actors.insights.filter_values import (
    NOT_THERE,
    Age,
    Bounds,
    Text,
    moment_bounds,
    number_bounds,
    parse_age,
    same_json,
    show_moment,
    show_text,
    text_of,
)
from antq_actors.jobs.state import Status

if TYPE_CHECKING:
    from antq_actors.jobs.instant import Instant

_WORDS: Final = frozenset({"status"})
_COUNTS: Final = frozenset({"id", "attempts"})
_NUMBERS: Final = frozenset({"batch", "workflow"})
TIMES: Final = frozenset({"inserted", "started", "ended", "due"})
_TEXTS: Final = frozenset({"queue", "worker", "error", "node", "cron"})
_NESTED: Final = frozenset({"arg", "meta"})

KEYS: Final = (
    *("status", "queue", "worker", "error", "node", "id", "attempts"),
    *("inserted", "started", "ended", "due", "cron", "batch", "workflow", "arg.PATH", "meta.KEY"),
)
"""All keys, as an error lists them."""

_FORMS: Final = {
    "id": "id:7, id:>3, id:<=9 or id:1000..2000",
    "attempts": "attempts:7, attempts:>3, attempts:<=9 or attempts:3..9",
    "batch": "batch:7",
    "workflow": "workflow:7",
    "inserted": "inserted:<1h, inserted:>2026-05-01T09:00Z or inserted:2026-05-01..2026-05-02",
    "started": "started:<1h, started:>2026-05-01T09:00Z or started:2026-05-01..2026-05-02",
    "ended": "ended:<1h, ended:>2026-05-01T09:00Z or ended:2026-05-01..2026-05-02",
    "due": "due:<1h, due:>2026-05-01T09:00Z or due:2026-05-01..2026-05-02",
}
"""What to write instead of a value that does not fit."""

Value: TypeAlias = Text | Bounds | Age
Find: TypeAlias = Callable[["Term"], Any]
"""Returns what a job has for the key of a term, or `NOT_THERE`."""


class FilterError(ValueError):
    """The text is no filter: where, and what to write instead."""

    def __init__(self, sentence: str, position: int) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        """What is wrong, and the right form."""
        self.position = position
        """The index in the text at which it goes wrong."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it with its position."""
        return FilterError, (self.sentence, self.position)


class Term(NamedTuple):
    """One condition of a filter."""

    key: str
    values: tuple[Value, ...]
    is_negated: bool = False

    @property
    def name(self) -> str:
        """The key without the path of an argument, or the key in ``meta``."""
        return self.key.partition(".")[0]

    @property
    def path(self) -> tuple[str, ...]:
        """Where the argument is, or its key in ``meta``; empty for all other keys."""
        name, _, rest = self.key.partition(".")
        return tuple(rest.split(".")) if name == "arg" else (rest,) if rest else ()

    def holds(self, found: Any, now: Instant) -> bool:
        """Return whether the term holds for a job that has *found* for its key."""
        if found is NOT_THERE:
            return self.is_negated
        return self._has_one(found, now) is not self.is_negated

    def _has_one(self, found: Any, now: Instant) -> bool:
        name = self.name
        return any(_value_holds(name, value, found, now) for value in self.values)

    def bounds(self, now: Instant) -> tuple[int | None, int | None]:
        """Return the smallest and the largest number that may pass; None: there is no end."""
        spans = [
            value.bounds(now, is_wait=self.key == "due") if isinstance(value, Age) else value
            for value in self.values
            if isinstance(value, Age | Bounds)
        ]
        lows = [each.low + each.is_low_open for each in spans if each.low is not None]
        highs = [each.high - each.is_high_open for each in spans if each.high is not None]
        return (
            min(lows) if len(lows) == len(self.values) else None,
            max(highs) if len(highs) == len(self.values) else None,
        )

    def __str__(self) -> str:
        values = ",".join(self._shown(value) for value in self.values)
        return f"{'-' if self.is_negated else ''}{self.key}:{values}"

    def _shown(self, value: Value) -> str:
        if isinstance(value, Text):
            return show_text(value)
        if isinstance(value, Bounds):
            return value.show(show_moment if self.key in TIMES else str)
        return str(value)


@dataclass(frozen=True, slots=True)
class Filter:
    """What jobs must have in common; one without terms lets all pass.

    >>> str(Filter.parse('status:failed,retrying  -queue:"low"  arg.user.id:42'))
    'status:failed,retrying -queue:low arg.user.id:42'
    """

    terms: tuple[Term, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Filter:
        """Return the filter that *text* writes. Raises FilterError, and TypeError for no text."""
        if not isinstance(text, str):
            raise TypeError(f"a filter is text such as 'status:failed', got {short_repr(text)}")
        return cls(tuple(_Parser(str(text)).terms()))

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))

    def holds(self, find: Find, now: Instant) -> bool:
        """Return whether a job passes of which *find* returns what it has for a term."""
        return all(term.holds(find(term), now) for term in self.terms)

    def required(self, name: str) -> tuple[Term, ...]:
        """Return the terms with this key that are not negated."""
        return tuple(term for term in self.terms if term.name == name and not term.is_negated)


def _value_holds(name: str, value: Value, found: Any, now: Instant) -> bool:
    if isinstance(value, Bounds):
        return value.holds(found)
    if isinstance(value, Age):
        return value.holds(found - now if name == "due" else now - found)
    if name == "error":
        return value.text in found
    if name == "worker":
        return value.holds(found) or value.holds(found.rpartition(":")[2])
    if name != "arg":
        return value.holds(str(found))
    return _argument_holds(value, found)


def _argument_holds(value: Text, found: Any) -> bool:
    """Return whether an argument is this text or, of a bare one, the JSON value it spells."""
    text = text_of(found)
    if text is not None and value.holds(text):
        return True
    if value.is_prefix or value.is_quoted or isinstance(found, str):
        return False
    return same_json(found, _spelled(value.text))


@lru_cache(maxsize=256)
def _spelled(text: str) -> Any:
    """Return the JSON value that a bare value spells, `NOT_THERE` if it spells none."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return NOT_THERE


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


# ---- reading the text -----------------------------------------------------------------------

_KEY: Final = re.compile(r"[^\s:]+")
_BARE: Final = re.compile(r"[^\s,]+")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_ESCAPE: Final = re.compile(r'\\(["\\])')


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Return where that ends which matches *pattern* from *start* on."""
    match = pattern.match(text, start)
    return start if match is None else match.end()


class _Parser:
    """Reads a text from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def terms(self) -> list[Term]:
        found: list[Term] = []
        while True:
            self._skip_blanks()
            if self._at == len(self._text):
                return found
            found.append(self._term())

    def _skip_blanks(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1

    def _term(self) -> Term:
        start = self._at
        minus = self._text[start] == "-"
        end = _end_of(_KEY, self._text, start + minus)
        key = self._text[start + minus : end]
        if not self._text.startswith(":", end):
            self._refuse_word(self._text[start:end], start)
        self._check_key(key, start + minus)
        self._at = end + 1
        values = [self._value(key)]
        while self._text.startswith(",", self._at):
            self._at += 1
            values.append(self._value(key))
        return Term(key, tuple(values), minus)

    def _refuse_word(self, word: str, position: int) -> NoReturn:
        shown = short(word)
        raise FilterError(
            f"'{shown}' has no key; write key:value, such as error:{shown.lstrip('-') or 'Timeout'}"
            f"; the keys are {', '.join(KEYS)}",
            position,
        )

    def _check_key(self, key: str, position: int) -> None:
        name, dot, rest = key.partition(".")
        if name in _NESTED:
            if rest and (name == "meta" or "" not in rest.split(".")):
                return
            form = "arg.user.id:42" if name == "arg" else "meta.tenant:acme"
            raise FilterError(
                f"'{short(key)}' names no {'argument' if name == 'arg' else 'key'}; write for"
                f" example {form}",
                position,
            )
        if dot or name not in KEYS:
            hint = did_you_mean(name, KEYS).partition("; known are")[0]
            raise FilterError(
                f"unknown key '{short(key)}'{hint}; the keys are {', '.join(KEYS)}", position
            )

    def _value(self, key: str) -> Value:
        start = self._at
        is_quoted = self._text.startswith('"', start)
        text = self._quoted(key) if is_quoted else self._bare(key)
        return _checked(key, text, start, is_quoted=is_quoted)

    def _bare(self, key: str) -> str:
        start, self._at = self._at, _end_of(_BARE, self._text, self._at)
        if start == self._at:
            raise FilterError(
                f"a value of '{short(key)}' is missing; write for example"
                f' {_FORMS.get(key) or f"{key}:VALUE"}, and an empty text as ""',
                start,
            )
        return self._text[start : self._at]

    def _quoted(self, key: str) -> str:
        start = self._at
        match = _QUOTED.match(self._text, start)
        if match is None:
            raise FilterError(
                f"the text in quotes of '{short(key)}' has no end, or a backslash before something"
                ' else than " and \\; write for example error:"no such \\"user\\"" and C:\\\\x',
                start,
            )
        self._at = end = match.end()
        if end < len(self._text) and not (self._text[end].isspace() or self._text[end] == ","):
            raise FilterError(
                f"after the text in quotes of '{short(key)}' comes a blank or a comma, not"
                f" '{short(self._text[end:])}'; write \\\" for quotes within it",
                end,
            )
        return _ESCAPE.sub(r"\1", match[1])


def _checked(key: str, text: str, position: int, *, is_quoted: bool) -> Value:
    """Return the value that a key is given. Raises FilterError for one that does not fit."""
    if key in _WORDS:
        return _status(text, position)
    found: Value | None
    if key in _COUNTS:
        found = number_bounds(text)
    elif key in _NUMBERS:
        found = number_bounds(text)
        found = found if found is not None and found.is_one else None
    elif key in TIMES:
        found = parse_age(text) or moment_bounds(text)
    else:
        return _text(key, text, is_quoted=is_quoted)
    if found is None:
        raise FilterError(f"'{short(text)}' does not fit '{key}'; write {_FORMS[key]}", position)
    return found


def _status(text: str, position: int) -> Text:
    if text not in set(Status):
        raise FilterError(
            f"'{short(text)}' is no status; write one of {', '.join(Status)}, or several as"
            " status:failed,retrying",
            position,
        )
    return Text(text)


def _text(key: str, text: str, *, is_quoted: bool) -> Text:
    is_prefix = key != "error" and not is_quoted and text.endswith("*")
    return Text(text[:-1] if is_prefix else text, is_prefix, is_quoted and key.startswith("arg."))


_MOST_SHOWN: Final = 60


def short(text: str) -> str:
    """Return *text* as a sentence shows what was typed: not more than fits a line."""
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
