"""Logging in a process of jobs: records go to the parent, which has the handlers for them.

Modules set up the same handlers there, as they are imported there, too. Were both called, each line
would be written twice. Only a handler that a job itself adds is this process's own.
"""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class LogsToParent:
    """Has *handler* called with each record that a logger lets pass, in place of its handlers.

    *is_performing*: whether a job runs, so that what is added now is the job's.
    """

    def __init__(self, handler: logging.Handler, is_performing: Callable[[], bool]) -> None:
        self._handler = handler
        self._is_performing = is_performing
        self._own: weakref.WeakSet[logging.Handler] = weakref.WeakSet()
        self._call_handlers = logging.Logger.callHandlers
        self._add_handler = logging.Logger.addHandler

    def begin(self, levels: Mapping[str, int]) -> None:
        """Do so from now on; *levels*: those that loggers have in the parent."""
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        # A root logger without one would be given one by `logging.info()`.
        logging.getLogger().addHandler(self._handler)

        # Loggers of every class and name, with or without propagation, come by here.
        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            if not self._own or not self._is_kept_here(logger, record):
                self._handler.handle(record)

        def add_handler(logger: logging.Logger, handler: logging.Handler) -> None:
            if self._is_performing():
                self._own.add(handler)
            self._add_handler(logger, handler)

        logging.Logger.callHandlers = call_handlers  # type: ignore[assignment, method-assign]
        logging.Logger.addHandler = add_handler  # type: ignore[assignment, method-assign]

    def end(self) -> None:
        """Leave logging as it is in every process: this is a fork that a job has made."""
        logging.Logger.callHandlers = self._call_handlers  # type: ignore[method-assign]
        logging.Logger.addHandler = self._add_handler  # type: ignore[method-assign]
        logging.getLogger().removeHandler(self._handler)

    def _is_kept_here(self, logger: logging.Logger, record: logging.LogRecord) -> bool:
        """Call the job's own handlers; return whether it has set them up to keep what they get."""
        was_handled = False
        while True:
            for handler in logger.handlers:
                if handler in self._own and record.levelno >= handler.level:
                    handler.handle(record)
                    was_handled = True
            if not logger.propagate:
                return was_handled
            if logger.parent is None:
                return False
            logger = logger.parent
