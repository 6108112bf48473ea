"""What a view shows, as values: some lines, and a table below them; and as plain text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

_GAP: Final = "  "


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table."""

    key: str
    """What it is about; the same in the next frame. Unique in its table."""
    cells: tuple[Text, ...]
    target: str = ""
    """The path of the page of the dashboard that it leads to; "": to none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a tab shows."""

    head: tuple[Text, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    empty: Text
    """What is shown in place of a table without rows."""
    node: int | None = None
    """The node whose tree it is; None: it is no tree of one."""
    nodes: tuple[int, ...] = ()
    """The nodes whose trees there are."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is shown in detail."""

    kind: str
    """"job", "queue", "actor" or "keys"."""
    key: str = ""
    """The job's id, the queue's name, the actor's id."""
    node: int | None = None
    """The node of the actor."""

    @property
    def job(self) -> int | None:
        """The id of the job that it is; None: it is no job."""
        return int(self.key) if self.kind == "job" else None


# ---- as plain text -----------------------------------------------------------------------------


def frame_lines(frame: Frame) -> Iterator[str]:
    """Yield a frame as lines, its columns as wide as what is in them."""
    for line in frame.head:
        yield f"  {line.plain}".rstrip()
    if not frame.rows:
        yield f"  {frame.empty.plain}".rstrip()
        return
    widths = [
        max(cell_len(title), *(row.cells[place].cell_len for row in frame.rows))
        for place, title in enumerate(frame.columns)
    ]
    columns = range(len(widths))
    yield _line([_filled(frame.columns[each], widths[each]) for each in columns])
    for row in frame.rows:
        yield _line([_cell(row.cells[each], widths[each]) for each in columns])


def _line(cells: list[str]) -> str:
    return f"  {_GAP.join(cells)}".rstrip()


def _cell(cell: Text, width: int) -> str:
    return _filled(cell.plain, width, at_right=cell.justify == "right")


def _filled(text: str, width: int, *, at_right: bool = False) -> str:
    spaces = " " * (width - cell_len(text))
    return spaces + text if at_right else text + spaces
