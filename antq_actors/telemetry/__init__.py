"""What an application does, seen from outside: its events, and listeners that are ready.

``app.subscribe(listener, JobEnded)`` delivers events, one class for each thing that can happen.
What they are, their classes say.
"""

from __future__ import annotations

from antq_actors.events import (
    BackedUp,
    BatchEnded,
    Committed,
    Compacted,
    ConcurrencyChanged,
    CronFired,
    CronMissed,
    Event,
    ExecutorDied,
    ExecutorStarted,
    JobCancelled,
    JobEnded,
    JobEvent,
    JobInterrupted,
    JobRefused,
    JobsEnqueued,
    JobStarted,
    JobTimedOut,
    LimitClosed,
    MapGrown,
    NodeDied,
    NodeStarted,
    NodeStopped,
    OutageBegan,
    OutageEnded,
    Pruned,
    QueueEvent,
    QueuePaused,
    QueueResumed,
    QueueStarted,
    QueueStopped,
    Rescued,
    WorkflowEnded,
)
from antq_actors.events.hub import Subscription
from antq_actors.introspection import shown
from antq_actors.telemetry.event_log import JobFilter, log_events

__all__ = [
    "BackedUp",
    "BatchEnded",
    "Committed",
    "Compacted",
    "ConcurrencyChanged",
    "CronFired",
    "CronMissed",
    "Event",
    "ExecutorDied",
    "ExecutorStarted",
    "JobCancelled",
    "JobEnded",
    "JobEvent",
    "JobFilter",
    "JobInterrupted",
    "JobRefused",
    "JobStarted",
    "JobTimedOut",
    "JobsEnqueued",
    "LimitClosed",
    "MapGrown",
    "NodeDied",
    "NodeStarted",
    "NodeStopped",
    "OutageBegan",
    "OutageEnded",
    "Pruned",
    "QueueEvent",
    "QueuePaused",
    "QueueResumed",
    "QueueStarted",
    "QueueStopped",
    "Rescued",
    "Subscription",
    "WorkflowEnded",
    "log_events",
]


def __dir__() -> list[str]:
    return shown(globals())
