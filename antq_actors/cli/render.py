"""Jobs as text and JSON.

Stored jobs can contain anything, so this code does not trust them: it escapes terminal control
characters, and has JSON for arguments of any type.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from antq_actors.cli import output
from antq_actors.cli.moment import moment
from antq_actors.cli.output import encodable, printable

if TYPE_CHECKING:
    from antq_actors import AttemptError, Job

# JSON escapes the first 32 itself, with escapes of its own.
_CONTROL_IN_JSON: Final = {code: f"\\u{code:04x}" for code in range(127, 160)}


def text(job: Job, place: str = "") -> str:
    """Return one job as text, with errors and stack traces; *place* tells where it runs."""
    options = ", ".join(f"{name}={value!r}" for name, value in job.opts.items())
    rows = {
        "status": f"{job.status} on {place}" if place else job.status,
        "worker": job.worker,
        "queue": f"{job.queue_name}, priority {job.priority}",
        "args": repr(dict(job.args)),
        "attempts": f"{job.attempts} of {job.max_attempts}",
        "interruptions": str(job.interruptions),
        "scheduled": _moment(job.scheduled_at),
        "inserted": _moment(job.inserted_at),
        "started": _moment(job.started_at),
        "ended": _moment(job.ended_at),
        "updated": _moment(job.updated_at),
        "options": options or "-",
    }
    lines = [f"Job {job.id}"]
    lines += [f"  {name:<14}{value}" for name, value in rows.items()]
    lines.append(_errors_title(job))
    for error in job.errors:
        lines += _error_lines(error)
    return printable("\n".join(lines))


def write_json(value: Any) -> None:
    """Write a value as one JSON document, in characters that standard output can encode.

    Raises AntqError if it cannot be written.
    """
    with output.writing():
        output.print_line(as_json(value, ascii_only=not output.has_all_characters()))


def as_json(value: Any, *, ascii_only: bool = False) -> str:
    """Return a job, several jobs or any plain value as one JSON document."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=ascii_only)
    return encodable(text.translate(_CONTROL_IN_JSON))


def plain(value: Any) -> Any:
    """Return *value* in JSON's types; a value without a counterpart becomes its ``repr``.

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
    head, *rest = error.summary.splitlines() or [""]
    trace = (error.stack_trace or "").splitlines()
    return [
        f"    attempt {error.attempt}, {_moment(error.attempted_at)}: {head}",
        *(f"      {line}" for line in (*rest, *trace)),
    ]


def _moment(when: datetime | None) -> str:
    return "-" if when is None else moment(when, milliseconds=True)
