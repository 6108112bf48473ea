"""Jobs and other facts as text, as JSON, and as tables on a terminal of any width.

Stored jobs can contain anything, so this code does not trust them: it escapes terminal control
characters, interprets no markup, and has JSON for arguments of any type.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

from antq_actors import Status
from antq_actors.cli import output
from antq_actors.cli.output import encodable, local_time, one_line, printable
from antq_actors.storage.format.cipher import SHOWN, Encrypted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from antq_actors import AttemptError, Job
    from antq_actors.app.results import ShownResult
    from antq_actors.insights.values import JobItem

# JSON escapes the first 32 itself, with escapes of its own.
_CONTROL_IN_JSON: Final = {code: f"\\u{code:04x}" for code in range(127, 160)}


def job_text(
    job: Job,
    place: str = "",
    steps: Sequence[tuple[str, datetime]] = (),
    result: ShownResult | None = None,
) -> str:
    """Return one job as text for ``antq show``, with errors; *place* tells where it runs.

    *steps*: the names of its steps, and when they were taken. *result*: what it returned.
    """
    options = ", ".join(f"{name}={value!r}" for name, value in job.opts.items())
    rows = {
        "status": f"{job.status} on {place}" if place else job.status,
        "worker": job.worker,
        "queue": f"{job.queue_name}, priority {job.priority}",
        "args": mapping_text(job.args),
        "attempts": f"{job.attempts} of {job.max_attempts}",
        "interruptions": str(job.interruptions),
        "scheduled": _moment(job.scheduled_at),
        "inserted": _moment(job.inserted_at),
        "started": _moment(job.started_at),
        "ended": _moment(job.ended_at),
        "updated": _moment(job.updated_at),
        "options": options or "-",
    }
    if job.meta or isinstance(job.meta, Encrypted):
        rows["meta"] = mapping_text(job.meta)
    if job.last_progress is not None:
        fraction, note, at = job.last_progress
        rows["progress"] = f"{fraction:.0%}{f', {one_line(note)}' if note else ''} ({_moment(at)})"
    if job.cron is not None:
        rows["cron"] = job.cron
        rows["scheduled for"] = _moment(job.scheduled_for)
    if result is not None:
        rows["result"] = _result_text(result)
    lines = [f"Job {job.id}"]
    lines += [f"  {name:<14}{value}" for name, value in rows.items()]
    if steps:
        lines.append("  steps, in the order in which they were taken:")
        lines += [f"    {_moment(at)}: {one_line(name)}" for name, at in steps]
    lines.append(_errors_title(job))
    for error in job.errors:
        lines += _error_lines(error)
    return printable("\n".join(lines))


def _result_text(result: ShownResult) -> str:
    """Return what a job returned as text, cut where it is long."""
    if result.why_not is not None:
        return f"not kept: {one_line(result.why_not)}"
    text = repr(result.value)
    if len(text) <= _LONGEST_RESULT:
        return text
    return f"{text[:_LONGEST_RESULT]}… ({len(text):,} characters; --json has all)"


_LONGEST_RESULT: Final = 2_000
"""Characters of a result as text."""


def mapping_text(values: Mapping[str, Any]) -> str:
    """Return the arguments of a job, or what is kept beside them, as a dict prints them."""
    return repr(values if isinstance(values, Encrypted) else dict(values))


def write_json(value: Any) -> None:
    """Write a value to standard output as one JSON document, in characters that can be encoded.

    Raises AntqError if it cannot be written.
    """
    with output.writing():
        output.print_line(as_json(value, ascii_only=not output.has_all_characters()))


def as_json(value: Any, *, ascii_only: bool = False) -> str:
    """Return a job, several jobs or any plain value as the JSON document that a command prints."""
    text = json.dumps(json_value(value), indent=2, ensure_ascii=ascii_only)
    return encodable(text.translate(_CONTROL_IN_JSON))


def json_value(value: Any) -> Any:
    """Return *value* in JSON's types for a command; any other becomes its ``repr``.

    >>> json_value({"at": (1, 2.5), 7: object})
    {'at': [1, 2.5], '7': "<class 'object'>"}
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    return _container(value)


def _container(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return json_value(msgspec.structs.asdict(value))
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: json_value(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        is_hidden = isinstance(value, Encrypted)
        return SHOWN if is_hidden else {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return json_value(value._asdict())
    if isinstance(value, list | tuple | set | frozenset):
        return [json_value(item) for item in value]
    return repr(value)


def _errors_title(job: Job) -> str:
    if not job.errors:
        return "  errors        none"
    if job.error_count <= len(job.errors):
        return "  errors, newest first:"
    newest = len(job.errors) - 1
    return f"  errors, newest first: the newest {newest} and the first of {job.error_count:,}"


def _error_lines(error: AttemptError) -> list[str]:
    head, *rest = error.summary.splitlines() or [""]
    trace = (error.stack_trace or "").splitlines()
    return [
        f"    attempt {error.attempt}, {_moment(error.attempted_at)}: {head}",
        *(f"      {line}" for line in (*rest, *trace)),
    ]


def _moment(when: datetime | None) -> str:
    return "-" if when is None else local_time(when, milliseconds=True)


STATUS_STYLES: Final = {
    "enqueued": "cyan",
    "running": "bold blue",
    "scheduled": "cyan",
    "retrying": "yellow",
    "completed": "green",
    "failed": "bold red",
    "cancelled": "magenta",
    "suspended": "cyan",
}

MAX_ARGS_CHARACTERS: Final = 300
"""The longest arguments that a table shows, in characters."""

_COLUMNS: Final = ("id", "status", "queue", "attempts", "worker", "when", "error", "args")
_LEFT_OUT_FIRST: Final = ("args", "error", "when", "attempts", "queue", "worker", "status")
_NARROWEST: Final = {"queue": 8, "worker": 12, "error": 16, "args": 8}
"""Columns are narrowed to these widths before one is left out; the others are not narrowed."""
_SHOW_ERROR: Final = frozenset({Status.RETRYING, Status.FAILED})
"""Statuses that the newest error explains."""
MAX_ERROR_CHARACTERS: Final = 200
"""The longest error that a table shows, in characters."""
_GAP: Final = 2
"""Spaces between two columns."""

_PIPE_WIDTH: Final = 1_000
"""The width when there is no terminal: enough for any line."""


def write_table(table: JobTable | PlainTable | str) -> None:
    """Write a command's table as wide as the terminal, or, without a terminal, in full.

    Raises AntqError if standard output cannot be written.
    """
    with output.writing():
        console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)
        if isinstance(table, JobTable):
            # An id that is wider than the terminal is not cut: it continues on the next line.
            console.width = max(console.width, table.narrowest)
        console.print(table, soft_wrap=not isinstance(table, JobTable))


def job_table(jobs: Iterable[Job | JobItem]) -> JobTable:
    """Return the table of jobs for ``antq list``; ``job_text`` and JSON are complete."""
    return JobTable([_cells(job) for job in jobs])


class JobTable:
    """A table with one row per job, on a console of any width."""

    def __init__(self, rows: list[tuple[Text, ...]]) -> None:
        self._columns = {
            title: [row[number] for row in rows] for number, title in enumerate(_COLUMNS)
        }
        if not any(cell.plain for cell in self._columns["error"]):
            del self._columns["error"]
        self._widths: dict[str, int] = {
            title: max(cell.cell_len for cell in (Text(title), *cells))
            for title, cells in self._columns.items()
        }

    @property
    def narrowest(self) -> int:
        """Return the width of the ids column, which ``antq list`` always shows."""
        return self._widths["id"]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Table]:
        yield self._fitted(options.max_width)

    def _fitted(self, width: int) -> Table:
        """Return the table of jobs for a terminal of this *width*.

        If the columns do not fit, some are narrowed, and then left out; the ids never are.
        """
        natural = self._widths
        least = {title: min(natural[title], _NARROWEST.get(title, width)) for title in natural}
        least["id"] = self.narrowest
        for title in _LEFT_OUT_FIRST:
            if title in least and _table_width(least) > width:
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
    """Rows under titles, or, on a terminal that is too narrow, a few lines for each row."""

    def __init__(self, *titles: str) -> None:
        self._titles = titles
        self._rows: list[list[Text]] = []

    def add(self, *cells: str | Text) -> None:
        """Add a row to a command's table."""
        self._rows.append([Text(cell) if isinstance(cell, str) else cell for cell in cells])

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Table | Text]:
        yield self._fitted(options.max_width)

    def _fitted(self, width: int) -> Table | Text:
        """Return the rows as a table, or as lines, for a terminal of this *width*."""
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


def _cells(job: Job | JobItem) -> tuple[Text, ...]:
    """Return the cells of a job's row in the table of ``antq list``."""
    return (
        Text(str(job.id)),
        Text(job.status, STATUS_STYLES[job.status]),
        Text(printable(job.queue_name)),
        Text(f"{job.attempts}/{job.max_attempts}"),
        Text(printable(job.worker.rpartition(":")[2])),
        Text(local_time(job.scheduled_at or job.updated_at)),
        Text(_error(job)),
        Text(printable(mapping_text(job.args))[:MAX_ARGS_CHARACTERS]),
    )


def _error(job: Job | JobItem) -> str:
    """Return the job's newest error for ``antq list``, on one line, if it explains the status."""
    if job.status not in _SHOW_ERROR or not job.errors:
        return ""
    return printable(" ".join(job.errors[0].summary[:MAX_ERROR_CHARACTERS].split()))


def _table_width(columns: Mapping[str, int]) -> int:
    return sum(columns.values()) + _GAP * (len(columns) - 1)
