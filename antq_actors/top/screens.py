"""What lies over the tabs in a terminal: one thing in detail, and a question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from antq_actors.top.frame import Subject


class DetailsScreen(Screen[None]):
    """One thing in detail, as lines; Escape leads back."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape,backspace", "app.leave", show=False),
    ]

    def __init__(self, subject: Subject, keys: Text, lines: Sequence[Text] = ()) -> None:
        super().__init__()
        self.subject = subject
        self._keys = keys
        self._lines = Text("\n").join(lines) if lines else Text("…")

    def compose(self) -> ComposeResult:
        """Make the lines, and the two below them."""
        with VerticalScroll(id="details"):
            yield Static(self._lines, id="lines")
        yield Static(id="status")
        yield Static(self._keys, id="keys")

    def show_lines(self, lines: Sequence[Text]) -> None:
        """Show what there is now; what is scrolled to stays where it is."""
        self.query_one("#lines", Static).update(Text("\n").join(lines))

    def scroll_lines(self, lines: int) -> None:
        """Scroll down by some lines; up by fewer than none."""
        self.query_one("#details").scroll_relative(y=lines, animate=False)


class Question(ModalScreen[bool]):
    """Asks whether to do what cannot be undone; everything but "y" is no."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("y", "answer(True)", show=False),
        Binding("n,escape,enter,q", "answer(False)", show=False),
    ]

    def __init__(self, text: Text) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """Make the question."""
        yield Static(self._text.copy().append("\n\ny: yes    n: no"), id="question")

    def action_answer(self, answer: bool) -> None:  # noqa: FBT001 - called by Textual
        """Take the answer back to who asked."""
        self.dismiss(answer)
