"""Jobs as tables, text and JSON.

What users stored may hold anything, so nothing here trusts it: no terminal control characters,
no markup, and JSON for whatever the arguments are.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

from antq_actors import AttemptError, Job

STATUS_STYLES: Final = {
    "enqueued": "cyan",
    "running": "bold blue",
    "scheduled": "cyan",
    "retrying": "yellow",
    "completed": "green",
    "failed": "bold red",
    "cancelled": "magenta",
}

MAX_ARGS: Final = 300
"""Longest arguments shown in a table, in characters."""

_COLUMNS: Final = ("id", "status", "queue", "attempts", "worker", "when", "args")
_LEFT_OUT_FIRST: Final = ("args", "when", "attempts", "queue", "worker", "status")
_NARROWEST: Final = {"queue": 8, "worker": 12, "args": 8}
"""To so many characters a column is narrowed before any is left out; the others are not."""
_GAP: Final = 2
"""Spaces between two columns."""

_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
del _CONTROL[ord("\n")], _CONTROL[ord("\t")]
# JSON escapes the first 32 itself, and has escapes of its own.
_CONTROL_IN_JSON: Final = {code: f"\\u{code:04x}" for code in range(127, 160)}


def table(jobs: Iterable[Job]) -> "JobTable":
    """Return one row a job: short enough for a terminal; ``text`` and JSON tell everything."""
    return JobTable([_cells(job) for job in jobs])


class JobTable:
    """What rich shows as one row a job, on a console of any width."""

    def __init__(self, rows: list[tuple[Text, ...]]) -> None:
        self._columns = {
            title: [row[number] for row in rows] for number, title in enumerate(_COLUMNS)
        }
        self._widths: dict[str, int] = {
            title: max(cell.cell_len for cell in (Text(title), *cells))
            for title, cells in self._columns.items()
        }

    @property
    def narrowest(self) -> int:
        """The columns of a terminal that ids need."""
        return self._widths["id"]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Table]:
        yield self._fitted(options.max_width)

    def _fitted(self, width: int) -> Table:
        """Return the table for so many columns of a terminal.

        Where there is no room for all, some are narrowed, and then left out; ids never are.
        """
        natural = self._widths
        least = {title: min(natural[title], _NARROWEST.get(title, width)) for title in natural}
        least["id"] = self.narrowest
        for title in _LEFT_OUT_FIRST:
            if _table_width(least) > width:
                del least[title]
        spare = width - _table_width(least)
        shown = _new_table()
        for title, narrowest in least.items():
            more = min(max(0, spare), natural[title] - narrowest)
            spare -= more
            shown.add_column(
                title,
                justify="right" if title == "id" else "left",
                no_wrap=True,
                width=narrowest + more,
            )
        for cells in zip(*(self._columns[title] for title in least), strict=True):
            shown.add_row(*cells)
        return shown


class PlainTable:
    """Rows under titles; where the terminal is too narrow for them, a few lines for each row."""

    def __init__(self, *titles: str) -> None:
        self._titles = titles
        self._rows: list[list[Text]] = []

    def add(self, *cells: str | Text) -> None:
        """Add a row."""
        self._rows.append([Text(cell) if isinstance(cell, str) else cell for cell in cells])

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Table | Text]:
        yield self._fitted(options.max_width)

    def _fitted(self, width: int) -> Table | Text:
        """Return the table for so many columns of a terminal."""
        shown = _new_table()
        widths = {}
        for number, title in enumerate(self._titles):
            cells = [Text(title), *(row[number] for row in self._rows)]
            widths[title] = max(cell.cell_len for cell in cells)
            shown.add_column(title, no_wrap=True)
        for row in self._rows:
            shown.add_row(*row)
        return shown if _table_width(widths) <= width else self._lines()

    def _lines(self) -> Text:
        lines = []
        for row in self._rows:
            lines += [
                Text(f"{title} " if title else "").append_text(cell)
                for title, cell in zip(self._titles, row, strict=True)
                if cell.plain
            ]
            lines.append(Text())
        return Text("\n", no_wrap=True, overflow="ignore").join(lines[:-1])


def _new_table() -> Table:
    return Table(box=None, pad_edge=False, header_style="bold")


def _cells(job: Job) -> tuple[Text, ...]:
    """Return what the columns say of a job."""
    return (
        Text(str(job.id)),
        Text(job.status, STATUS_STYLES[job.status]),
        Text(printable(job.queue_name)),
        Text(f"{job.attempts}/{job.max_attempts}"),
        Text(printable(job.worker.rpartition(":")[2])),
        Text(f"{job.scheduled_at or job.updated_at:%Y-%m-%d %H:%M:%S}"),
        Text(printable(repr(dict(job.args)))[:MAX_ARGS]),
    )


def _table_width(columns: Mapping[str, int]) -> int:
    return sum(columns.values()) + _GAP * (len(columns) - 1)


def text(job: Job, place: str = "") -> str:
    """Describe one job completely, errors and stack traces included; *place*: where it runs."""
    options = ", ".join(f"{name}={value!r}" for name, value in job.opts.items())
    rows = {
        "status": f"{job.status} on {place}" if place else job.status,
        "worker": job.worker,
        "queue": f"{job.queue_name}, priority {job.priority}",
        "args": repr(dict(job.args)),
        "attempts": f"{job.attempts} of {job.max_attempts}",
        "interruptions": str(job.interruptions),
        "scheduled": _moment(job.scheduled_at) if job.scheduled_at else "-",
        "inserted": _moment(job.inserted_at),
        "updated": _moment(job.updated_at),
        "options": options or "-",
    }
    lines = [f"Job {job.id}"]
    lines += [f"  {name:<14}{value}" for name, value in rows.items()]
    lines.append(_errors_title(job))
    for error in job.errors:
        lines += _error_lines(error)
    return printable("\n".join(lines))


def as_json(value: Any, *, ascii_only: bool = False) -> str:
    """Return a job, or several, or any plain value, as one JSON document."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=ascii_only)
    return _encodable(text.translate(_CONTROL_IN_JSON))


def plain(value: Any) -> Any:
    """Answer *value* in JSON's types; what has no counterpart there is shown as its ``repr``.

    >>> plain({"at": (1, 2.5), 7: object})
    {'at': [1, 2.5], '7': "<class 'object'>"}
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    return _container(value)


def printable(text: str) -> str:
    """Answer *text* with its control characters spelt out, so that it cannot drive a terminal."""
    return _encodable(text.translate(_CONTROL))


def _encodable(text: str) -> str:
    """Spell out lone surrogates, half characters that no output accepts."""
    return text.encode("utf-8", "backslashreplace").decode()


def _container(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return plain(msgspec.structs.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return repr(value)


def _errors_title(job: Job) -> str:
    if not job.errors:
        return "  errors        none"
    if job.error_count <= len(job.errors):
        return "  errors, newest first:"
    newest = len(job.errors) - 1
    return f"  errors, newest first: the newest {newest} and the first of {job.error_count:,}"


def _error_lines(error: AttemptError) -> list[str]:
    head = f"    attempt {error.attempt}, {_moment(error.attempted_at)}: {error.error}"
    trace = error.stack_trace or ""
    return [head, *(f"      {line}" for line in trace.splitlines())]


def _moment(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S}.{when.microsecond // 1000:03}Z"
