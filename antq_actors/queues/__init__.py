"""The actors that move jobs: queue, worker actor, rescuer, pruner; and a queue's messages."""

from antq_actors.introspection import shown
from antq_actors.queues.messages import GetStatus, Pause, QueueStatus, Resume, SetConcurrency, Wake

__all__ = ["GetStatus", "Pause", "QueueStatus", "Resume", "SetConcurrency", "Wake"]


def __dir__() -> list[str]:
    return shown(globals())
