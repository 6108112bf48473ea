"""What one actor does for a while, recorded for a visitor who may ask for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from antq_actors.checks import is_number, short_repr, whole
from antq_actors.insights.access import Access
from antq_actors.insights.trees import node_of
from antq_actors.otp.inspect.sequence import Recording

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.insights.access import Visitor
    from antq_actors.insights.source import Source
    from antq_actors.otp.messaging.names import Destination

DEFAULT_MESSAGES: Final = 20
DEFAULT_SECONDS: Final = 10.0


def start_recording(
    source: Source,
    visitor: Visitor,
    actor: str,
    *,
    node: int | None = None,
    messages: int = DEFAULT_MESSAGES,
    seconds: float = DEFAULT_SECONDS,
    reason: str | None = None,
    further: Sequence[Destination] = (),
) -> Recording:
    """Record what an actor does, until so many *messages* or *seconds* have passed.

    It is noted in the audit as a trace. Raises Forbidden for a visitor below OPERATE, ValueError
    for messages or seconds that are none, LookupError for an actor or a node that is not there, and
    NodeUnreachable.
    """
    visitor.check(Access.OPERATE)
    if whole(messages) is None:
        raise ValueError(f"messages must be a whole number, got {short_repr(messages)}")
    if not is_number(seconds):
        raise ValueError(f"seconds must be a number, got {short_repr(seconds)}")
    number = node_of(source, node, further)
    options = {"actor": actor, "messages": messages, "seconds": seconds}
    with source.app.antq_acting(visitor.name, "trace", f"actor {actor}", reason) as acting:
        found = source.ask_node(number, "record", options, Recording, further=further)
        acting.note()
    return found


def read_recording(
    source: Source, actor: str, node: int | None = None, further: Sequence[Destination] = ()
) -> Recording:
    """Return what was recorded of an actor last, so far.

    Raises LookupError if nothing was, or for a node that is not there, and NodeUnreachable.
    """
    number = node_of(source, node, further)
    return source.ask_node(number, "recording", {"actor": actor}, Recording, further=further)
