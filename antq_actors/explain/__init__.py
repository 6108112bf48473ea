"""Why a job does not run: the reasons that ``AntQ.explain`` gives, a closed set of values.

reasons.py    the reasons, in the order in which they are given
judge.py      facts in, reasons out; claims ask it as well
sentences.py  the reasons as text
"""

from antq_actors.explain.reasons import (
    BatchOpen,
    Behind,
    Cancelling,
    Ended,
    Explanation,
    GlobalFull,
    HeldByOrder,
    KeptAlone,
    KeyFull,
    LimitPaused,
    NodeQueues,
    NodeStopping,
    NoNode,
    NotDue,
    Paused,
    RateFull,
    Reason,
    RetryDue,
    Running,
    SlotsFull,
    StoreRefuses,
    TooManyAbandoned,
    WaitsFor,
    WorkerUnknown,
)

__all__ = [
    "BatchOpen",
    "Behind",
    "Cancelling",
    "Ended",
    "Explanation",
    "GlobalFull",
    "HeldByOrder",
    "KeptAlone",
    "KeyFull",
    "LimitPaused",
    "NoNode",
    "NodeQueues",
    "NodeStopping",
    "NotDue",
    "Paused",
    "RateFull",
    "Reason",
    "RetryDue",
    "Running",
    "SlotsFull",
    "StoreRefuses",
    "TooManyAbandoned",
    "WaitsFor",
    "WorkerUnknown",
]
