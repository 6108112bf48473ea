"""Any text of a store as a terminal may show it; numbers and times in few characters.

Names, arguments and errors of jobs can contain anything. What would control a terminal, reverse
the text around it or take no room is shown as an escape.
"""

from __future__ import annotations

from typing import Final

LONGEST_CHARACTERS: Final = 4_000
"""Of a text that is shown whole; of a longer one, its beginning."""

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_FEW: Final = 10
"""Numbers below have a digit behind the point."""


def shown(text: str, longest: int = LONGEST_CHARACTERS, *, ascii_only: bool = False) -> str:
    r"""Return *text* on one line, without anything that is not a visible character.

    >>> shown("a\x1b[31mb\n" + chr(0x202E) + "c")
    'a\\x1b[31mb\\n\\u202ec'
    >>> shown("naïve", ascii_only=True), shown("abcdef", 4)
    ('na\\xefve', 'abc…')
    """
    if len(text) > longest:
        end = "..." if ascii_only else "…"
        text = text[: max(0, longest - len(end))] + end
    if text.isprintable() and (not ascii_only or text.isascii()):
        return text
    return "".join(map(_ascii if ascii_only else _visible, text))


def _visible(character: str) -> str:
    return character if character.isprintable() else _ascii(character)


def _ascii(character: str) -> str:
    is_plain = character.isascii() and character.isprintable()
    return character if is_plain else ascii(character)[1:-1]


def shown_lines(text: str, *, ascii_only: bool = False) -> list[str]:
    """Return the lines of *text*, such as those of a traceback, each as `shown` does."""
    if len(text) > LONGEST_CHARACTERS:
        text = f"{text[:LONGEST_CHARACTERS]}\n({len(text) - LONGEST_CHARACTERS:,} more characters)"
    # Not splitlines(): it also breaks at what is no line break to a terminal.
    lines = text.replace("\r\n", "\n").split("\n")
    return [shown(line.expandtabs(4), ascii_only=ascii_only) for line in lines]


def duration(seconds: float) -> str:
    """Return a duration in its largest unit.

    >>> [duration(each) for each in (0.035, 1.25, 12, 200, 7_300, 200_000)]
    ['35 ms', '1.2 s', '12 s', '3 min', '2 h', '2 d']
    """
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{1_000 * seconds:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s" if seconds < _FEW else f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min"
    return f"{seconds // _HOUR:.0f} h" if seconds < 2 * _DAY else f"{seconds // _DAY:.0f} d"


def ago(seconds: float) -> str:
    """Return how long ago something was; of a time to come, when it will be.

    >>> ago(200), ago(-7_300), ago(2.2), ago(0.2)
    ('3 min ago', 'in 2 h', '2 s ago', 'just now')
    """
    if abs(seconds) < 1:
        return "just now"
    length = abs(seconds)
    text = f"{length:.0f} s" if length < _FEW else duration(length)
    return f"in {text}" if seconds < 0 else f"{text} ago"


def rate(per_minute: float) -> str:
    """Return a number of jobs a minute; nothing for none.

    >>> rate(0.0), rate(0.42), rate(1234.5)
    ('', '0.4', '1,234')
    """
    if not per_minute:
        return ""
    return f"{per_minute:.1f}" if per_minute < _FEW else f"{per_minute:,.0f}"
