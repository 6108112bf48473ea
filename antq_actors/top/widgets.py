"""The widgets of the terminal view: the table of a frame, and what lies over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import DataTable, Static

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from antq_actors.top.frame import Frame, Row, Subject


class FrameTable(DataTable[Text]):
    """Shows frames one after another; what is the same in the next one is left alone.

    Its cursor stays on what it is on, whatever comes or goes.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(cursor_type="row", zebra_stripes=False, **options)
        self._titles: tuple[str, ...] = ()
        self._rows: tuple[Row, ...] = ()

    @property
    def chosen(self) -> Row | None:
        """The row that the cursor is on; None: there is none."""
        return self._rows[self.cursor_row] if 0 <= self.cursor_row < len(self._rows) else None

    @property
    def shown_rows(self) -> tuple[Row, ...]:
        """The rows of the frame that is shown."""
        return self._rows

    def show_frame(self, frame: Frame) -> None:
        """Show the next frame."""
        keys = [row.key for row in frame.rows]
        if frame.columns == self._titles and keys == [row.key for row in self._rows]:
            self._update(frame)
        else:
            self._fill(frame)
        self._titles, self._rows = frame.columns, frame.rows

    def _update(self, frame: Frame) -> None:
        for old, new in zip(self._rows, frame.rows, strict=True):
            for title, before, after in zip(frame.columns, old.cells, new.cells, strict=True):
                if before != after or before.spans != after.spans:
                    self.update_cell(new.key, title, after, update_width=True)

    def _fill(self, frame: Frame) -> None:
        chosen, line, offset = self.chosen, self.cursor_row, self.scroll_offset
        is_same_table = frame.columns == self._titles
        self.clear(columns=not is_same_table)
        if not is_same_table:
            for title in frame.columns:
                self.add_column(Text(title), key=title)
        for row in frame.rows:
            self.add_row(*row.cells, key=row.key)
        keys = [row.key for row in frame.rows]
        if not keys or not is_same_table:
            return
        if chosen is not None and chosen.key in keys:
            line = keys.index(chosen.key)
        self.move_cursor(row=min(line, len(keys) - 1), animate=False, scroll=False)
        self.scroll_to(offset.x, offset.y, animate=False, immediate=True)


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
