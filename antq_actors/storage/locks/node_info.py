"""What a node says of itself, for whoever looks from another process."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import msgspec

from antq_actors.introspection import explain_fields

if TYPE_CHECKING:
    from collections.abc import Mapping


@explain_fields
class QueueInfo(msgspec.Struct, frozen=True):
    """How a node runs a queue, as it was configured there."""

    concurrency: int
    """Jobs it performs at once there, at most."""
    executor: str | None = None
    """What runs jobs whose worker names none; None: threads, and an event loop for coroutines."""


@explain_fields
class NodeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A process that runs queues of a path."""

    number: int = 0
    """Its number in the store."""
    pid: int = 0
    """The id of its process; 0 if that is unknown."""
    host: str = ""
    """The name of its machine."""
    queues: dict[str, QueueInfo] = msgspec.field(default_factory=dict)
    """The queues that it runs, by name."""
    alive: bool = True
    """False: it died, and its jobs will be given back in a moment."""
    running: int = 0
    """Jobs that run there."""


def of_this_process(queues: Mapping[str, QueueInfo]) -> bytes:
    """Return the metadata of this process, which runs *queues*."""
    return msgspec.json.encode(
        NodeInfo(pid=os.getpid(), host=socket.gethostname(), queues=dict(queues))
    )


def read(number: int, metadata: bytes, *, alive: bool, running: int) -> NodeInfo:
    """Return what *metadata* says of node *number*; of none that can be read, the number."""
    try:
        info = msgspec.json.decode(metadata, type=NodeInfo)
    except (msgspec.DecodeError, UnicodeDecodeError):
        info = NodeInfo()
    return msgspec.structs.replace(info, number=number, alive=alive, running=running)
