"""The log of ``antq start``, on standard error."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final


class LogLevel(StrEnum):
    """The lowest level that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


OURS: Final = "antq_actors"


def configure_log(level: LogLevel | None, mark: str = "") -> None:
    """Set up logging of ``antq start`` to standard error, unless the user's module has done so.

    *mark* identifies the process in each line. Without a *level*, the user's code logs INFO and
    above, and this package WARNING and above, since its INFO is a line for each job.
    """
    least = logging.INFO if level is None else logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(
        level=least, format=f"%(asctime)s %(levelname)-7s {mark}%(name)s: %(message)s"
    )
    ours = logging.getLogger(OURS)
    if level is not None:
        ours.setLevel(least)
    elif ours.level == logging.NOTSET:
        ours.setLevel(logging.WARNING)


class HeldLogRecords(logging.Filter):
    """Holds back the log of the supervisors until the start has succeeded.

    A start that fails raises an error with the same facts, and the command shows that error.
    """

    def __init__(self) -> None:
        super().__init__()
        self._logger = logging.getLogger(f"{OURS}.otp")
        self._records: list[logging.LogRecord] | None = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a supervisor's log *record* back while ``antq start`` starts; return False then."""
        if self._records is None:
            return True
        self._records.append(record)
        return False

    def release(self) -> None:
        """Log the supervisors' records that ``antq start`` kept back, and later ones at once."""
        self._logger.removeFilter(self)
        records, self._records = self._records, None
        for record in records or ():
            self._logger.handle(record)


@contextmanager
def held_log() -> Iterator[HeldLogRecords]:
    """Hold back the log of the supervisors while ``antq start`` starts; not at the level DEBUG."""
    logger = logging.getLogger(f"{OURS}.otp")
    records = HeldLogRecords()
    if not logger.isEnabledFor(logging.DEBUG):
        logger.addFilter(records)
    try:
        yield records
    finally:
        logger.removeFilter(records)
