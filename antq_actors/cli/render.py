"""Jobs as tables, text and JSON.

What users stored may hold anything, so nothing here trusts it: no terminal control characters,
no markup, and JSON for whatever the arguments are.
"""

import json
import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
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

_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
del _CONTROL[ord("\n")], _CONTROL[ord("\t")]
# JSON escapes the first 32 itself, and has escapes of its own.
_CONTROL_IN_JSON: Final = {code: f"\\u{code:04x}" for code in range(127, 160)}


def table(jobs: Iterable[Job]) -> Table:
    """Answer one row a job: short enough for a terminal; ``text`` and JSON tell everything."""
    answer = Table(box=None, pad_edge=False, header_style="bold")
    answer.add_column("id", justify="right", no_wrap=True)
    for title in ("status", "queue", "attempts", "worker"):
        answer.add_column(title, no_wrap=True)
    answer.add_column("when", no_wrap=True)
    # The one column that may be narrowed; its texts do not wrap all the same.
    answer.add_column("args")
    for job in jobs:
        answer.add_row(
            str(job.id),
            Text(job.status, STATUS_STYLES[job.status]),
            Text(printable(job.queue_name)),
            f"{job.attempts}/{job.max_attempts}",
            Text(printable(job.worker.rpartition(":")[2])),
            f"{job.scheduled_at or job.updated_at:%Y-%m-%d %H:%M:%S}",
            _args(job),
        )
    return answer


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


def as_json(value: Any) -> str:
    """Answer a job, or several, or any plain value, as one JSON document."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False)
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


def _args(job: Job) -> Text:
    text = printable(repr(dict(job.args)))
    return Text(text[:MAX_ARGS], no_wrap=True, overflow="ellipsis")


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
