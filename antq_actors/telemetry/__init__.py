"""What an application does, seen from outside: its events, and listeners that are ready.

``app.subscribe(listener, JobEnded)`` delivers events, one class for each thing that can happen.
What they are, their classes say.
"""

from __future__ import annotations

from antq_actors.events import (
    Committed,
    ConcurrencyChanged,
    Event,
    JobCancelled,
    JobEnded,
    JobEvent,
    JobInterrupted,
    JobRefused,
    JobsEnqueued,
    JobStarted,
    JobTimedOut,
    NodeDied,
    NodeStarted,
    NodeStopped,
    Pruned,
    QueueEvent,
    QueuePaused,
    QueueResumed,
    QueueStarted,
    QueueStopped,
    Rescued,
)
from antq_actors.events.hub import Subscription
from antq_actors.introspection import shown
from antq_actors.telemetry.event_log import log_events
from antq_actors.telemetry.job_filter import JobFilter

__all__ = [
    "Committed",
    "ConcurrencyChanged",
    "Event",
    "JobCancelled",
    "JobEnded",
    "JobEvent",
    "JobFilter",
    "JobInterrupted",
    "JobRefused",
    "JobStarted",
    "JobTimedOut",
    "JobsEnqueued",
    "NodeDied",
    "NodeStarted",
    "NodeStopped",
    "Pruned",
    "QueueEvent",
    "QueuePaused",
    "QueueResumed",
    "QueueStarted",
    "QueueStopped",
    "Rescued",
    "Subscription",
    "log_events",
]


def __dir__() -> list[str]:
    return shown(globals())
