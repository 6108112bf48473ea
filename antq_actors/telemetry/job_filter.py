"""Log records that carry the job during which they were made."""

from __future__ import annotations

import logging
from typing import Final

from antq_actors.jobs.job import log_fields

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
