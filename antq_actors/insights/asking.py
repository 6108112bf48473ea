"""Questions about the actors of a node: answered in this process, or through the node's socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from antq_actors.app.node_report import ABOUT_ACTORS, ChaosRefused
from antq_actors.app.node_socket import NodeUnreachable, ask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from antq_actors.insights.source import Source
    from antq_actors.otp.messaging.names import Destination

T = TypeVar("T")

_REFUSALS: Final = (LookupError, ValueError, ChaosRefused)
"""What a node may raise about a question that it has understood."""


def ask_node(
    source: Source,
    node: int,
    question: str,
    options: Mapping[str, Any],
    kind: type[T],
    *,
    further: Sequence[Destination] = (),
) -> T:
    """Return what a node answers to one of `ABOUT_ACTORS`, a value of the type *kind*.

    *further*: roots of other trees of this process. Raises LookupError, ValueError and ChaosRefused
    as the node does, and NodeUnreachable.
    """
    if node == (source.runtime.node.opened_number or 0):
        here: T = ABOUT_ACTORS[question]([source.app.root, *further], options)
        return here
    try:
        answer = ask(source.runtime.path, node, question, options)
    except NodeUnreachable as error:
        for refusal in _REFUSALS:
            if error.cause == refusal.__name__:
                raise refusal(error.detail) from None
        raise
    return msgspec.convert(answer, kind)
