"""How states look: a shape, a colour and a word each, as on the dashboard; in Unicode or in ASCII.

Every text of a view is made here, so that nothing of a store comes to a terminal as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.text import Text

from antq_actors.insights.attention import BAD, WARNING
from antq_actors.top.texts import shown, shown_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antq_actors.otp.inspect.snapshot import Budget

QUIET: Final = "bright_black"
WARN: Final = "yellow"
ALARM: Final = "bold red"
STRONG: Final = "bold"

_LONGEST_CELL: Final = 200
"""Characters of a text in a table."""
_MOST_PARTS: Final = 10
"""Of a bar: of more, each part stands for several."""


class Shape(NamedTuple):
    """How one state is drawn."""

    drawn: str
    in_ascii: str
    style: str


SHAPES: Final[Mapping[str, Shape]] = {
    "enqueued": Shape("○", "o", "blue"),
    "scheduled": Shape("◷", "@", "bright_blue"),
    "suspended": Shape("◌", ":", QUIET),
    "running": Shape("▶", ">", "green"),
    "retrying": Shape("↻", "~", WARN),
    "completed": Shape("✓", "+", QUIET),
    "failed": Shape("■", "#", "red"),
    "cancelled": Shape("⊘", "/", "magenta"),
    # Nodes
    "up": Shape("●", "*", "green"),
    "gone": Shape("○", "o", "red"),
    # Actors, whose "running" and "suspended" are those of jobs
    "restarting": Shape("↻", "~", WARN),
    "stopped": Shape("○", "o", QUIET),
    # What needs attention
    BAD: Shape("■", "#", ALARM),
    WARNING: Shape("▲", "!", WARN),
    "well": Shape("✓", "+", "green"),
    "paused": Shape("‖", "=", WARN),
}
_UNKNOWN: Final = Shape("?", "?", "")


@dataclass(frozen=True, slots=True)
class Look:
    """How everything is written; with *ascii_only* in the characters that every terminal has."""

    ascii_only: bool = False

    def text(self, value: object, style: str = "", *, longest: int = _LONGEST_CELL) -> Text:
        """Return a value on one line."""
        return Text(shown(str(value), longest, ascii_only=self.ascii_only), style, no_wrap=True)

    def number(self, value: object, style: str = "") -> Text:
        """Return a value that stands at the right of its column."""
        found = self.text(value, style)
        found.justify = "right"
        return found

    def lines(self, value: str, style: str = "", indent: str = "") -> list[Text]:
        """Return the lines of a long text."""
        lines = shown_lines(value, ascii_only=self.ascii_only)
        return [Text(indent + line, style) for line in lines]

    def shape(self, state: str) -> Text:
        """Return the shape of a state alone."""
        shape = SHAPES.get(state, _UNKNOWN)
        return Text(shape.in_ascii if self.ascii_only else shape.drawn, shape.style)

    def state(self, state: str, word: str | None = None) -> Text:
        """Return a state as shape and word; *word* in place of its own."""
        style = SHAPES.get(state, _UNKNOWN).style
        return self.shape(state).append(" ").append_text(self.text(word or state, style))

    def bar(self, used: int, most: int) -> Text:
        """Return how much of something is used, part by part.

        >>> Look().bar(2, 5).plain, Look(ascii_only=True).bar(50, 100).plain
        ('●●○○○', '*****.....')
        """
        full, empty = ("*", ".") if self.ascii_only else ("●", "○")
        parts = min(max(used, most), _MOST_PARTS)
        if parts == 0:
            return Text()
        # Rounded up, so that one of a thousand is seen.
        filled = min(parts, -(-used * parts // max(used, most)))
        return Text(full * filled, "green").append(empty * (parts - filled), QUIET)

    def budget(self, budget: Budget | None) -> Text:
        """Return the restarts that a supervisor has used up, and what it has left."""
        if budget is None:
            return Text()
        style = ALARM if budget.left == 0 else WARN if budget.left == 1 < budget.max else QUIET
        found = self.bar(budget.used, budget.max)
        return found.append(f" {budget.used} of {budget.max} in {budget.seconds:g} s", style)

    @property
    def gap(self) -> str:
        """What is between two facts on a line."""
        return " | " if self.ascii_only else " · "

    def joined(self, *parts: Text) -> Text:
        """Return facts on one line; those without text are left out."""
        found = Text(no_wrap=True)
        for part in parts:
            if part.plain:
                found.append(self.gap if found.plain else "", QUIET).append_text(part)
        return found
