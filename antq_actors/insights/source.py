"""What every reading is given: the application, its store, its time, and what is hidden.

The store is looked up at each reading, as an application may be stopped and started in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from antq_actors.insights.redaction import Redactor

if TYPE_CHECKING:
    from antq_actors.app.antq import AntQ
    from antq_actors.app.runtime import Runtime
    from antq_actors.insights.redaction import Redact
    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.client import StorageClient


@dataclass(frozen=True, slots=True)
class Source:
    """Where the values of insights come from."""

    app: AntQ
    redact: Redact | None = None
    """What the user hides beyond what is always hidden; None: nothing."""

    @property
    def runtime(self) -> Runtime:
        """What runs in this process. Raises NotStarted, also where another process runs it."""
        return self.app.antq_here()

    @property
    def redactor(self) -> Redactor:
        """What hides what is not shown."""
        return Redactor(self.redact)

    @property
    def store(self) -> StorageClient:
        """The store of the application, to read. Raises NotStarted."""
        return self.runtime.store

    def now(self) -> Instant:
        """Return the time by which the application goes."""
        return self.app.antq_clock()
