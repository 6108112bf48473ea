"""What ``antq start`` logs, and where."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS: Final = "antq_actors"


class LogLevel(StrEnum):
    """The least level of what is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def configure(level: LogLevel | None, mark: str = "") -> None:
    """Log to standard error, unless the user's module has set up logging; *mark*: of a process.

    Without a *level*, everything that the user's code logs at INFO or above is logged, and of this
    package, whose INFO is a line for each job, WARNING and above.
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
    """Keeps what the supervisors log until it is clear that the start has succeeded.

    One that failed raises an error that tells the same, and which the command shows.
    """

    def __init__(self) -> None:
        super().__init__()
        self._logger = logging.getLogger(f"{OURS}.otp")
        self._records: list[logging.LogRecord] | None = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep *record* for later."""
        if self._records is None:
            return True
        self._records.append(record)
        return False

    def release(self) -> None:
        """Let all be logged that was kept, and everything from now on."""
        self._logger.removeFilter(self)
        records, self._records = self._records, None
        for record in records or ():
            self._logger.handle(record)


@contextmanager
def held() -> Iterator[HeldRecords]:
    """Hold the log of the supervisors back, until it is released; not at the level DEBUG."""
    logger = logging.getLogger(f"{OURS}.otp")
    records = HeldRecords()
    if not logger.isEnabledFor(logging.DEBUG):
        logger.addFilter(records)
    try:
        yield records
    finally:
        logger.removeFilter(records)
