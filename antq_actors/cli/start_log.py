"""The logging of ``antq start``."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS: Final = "antq_actors"


class LogLevel(StrEnum):
    """The lowest level that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def configure(level: LogLevel | None, mark: str = "") -> None:
    """Log to standard error, unless the user's module has set up logging.

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


class HeldRecords(logging.Filter):
    """Holds back the log of the supervisors until the start has succeeded.

    A start that fails raises an error with the same facts, and the command shows that error.
    """

    def __init__(self) -> None:
        super().__init__()
        self._logger = logging.getLogger(f"{OURS}.otp")
        self._records: list[logging.LogRecord] | None = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Hold *record* back until the release."""
        if self._records is None:
            return True
        self._records.append(record)
        return False

    def release(self) -> None:
        """Log the records that were held back, and log later records at once."""
        self._logger.removeFilter(self)
        records, self._records = self._records, None
        for record in records or ():
            self._logger.handle(record)


@contextmanager
def held() -> Iterator[HeldRecords]:
    """Hold back the log of the supervisors until it is released; not at the level DEBUG."""
    logger = logging.getLogger(f"{OURS}.otp")
    records = HeldRecords()
    if not logger.isEnabledFor(logging.DEBUG):
        logger.addFilter(records)
    try:
        yield records
    finally:
        logger.removeFilter(records)
