"""Events as records of the ordinary logging, and the job of each record that is made during one."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from antq_actors.checks import escaped, short_repr
from antq_actors.events import Event, field_names
from antq_actors.jobs.job import log_fields

if TYPE_CHECKING:
    from collections.abc import Callable

log: Final = logging.getLogger("antq_actors.events")

Format: TypeAlias = Literal["json", "text"]


def log_events(format: Format = "json") -> Callable[[Event], None]:  # noqa: A002 - as it is called
    """Return a listener that logs each event at INFO, to the logger ``antq_actors.events``.

    *format*: ``"json"``, an object with ``event``, the name of the event's class, and its fields,
    instants in ISO 8601; or ``"text"``, a line with the same. Raises ValueError and TypeError for
    another format.

    >>> from antq_actors import AntQ
    >>> app = AntQ()
    >>> with app.subscribe(log_events("text")):
    ...     pass
    """
    if not isinstance(format, str):
        raise TypeError(f"format must be 'json' or 'text', got {short_repr(format)}")
    if format not in _FORMATS:
        raise ValueError(f"format must be 'json' or 'text', got {format!r}")
    line_of = _FORMATS[format]

    def write(event: Event) -> None:
        if log.isEnabledFor(logging.INFO):
            log.info("%s", line_of(event))

    return write


def _as_json(event: Event) -> str:
    return json.dumps({"event": type(event).__name__, **_values(event)})


def _as_text(event: Event) -> str:
    shown = (f"{name}={value}" for name, value in _values(event).items())
    return escaped(f"{type(event).__name__} {' '.join(shown)}")


def _values(event: Event) -> dict[str, Any]:
    values = {name: getattr(event, name) for name in field_names(type(event))}
    return {name: _shown(value) for name, value in values.items()}


def _shown(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    # What stands for the meta of a job that is encrypted is no plain dict.
    return repr(value) if isinstance(value, dict) and type(value) is not dict else value


_FORMATS: Final = {"json": _as_json, "text": _as_text}


_FIELDS: Final = ("job_id", "worker", "queue", "attempt")


class JobFilter(logging.Filter):
    """Gives each log record the job that is performed where it is made, and lets all of them pass.

    The fields are ``job_id``, ``worker``, ``queue`` and ``attempt``: None outside of jobs, and what
    a record has already stays. Add it to a handler, so that records of all loggers pass by it; this
    package adds it nowhere.

    >>> handler = logging.StreamHandler()
    >>> handler.addFilter(JobFilter())
    >>> handler.setFormatter(logging.Formatter("%(job_id)s %(message)s"))
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the fields that the record does not have; return True."""
        values = log_fields() or (None,) * len(_FIELDS)
        for name, value in zip(_FIELDS, values, strict=True):
            if not hasattr(record, name):
                setattr(record, name, value)
        return True
