"""What every reading is given: the application, its store, its time, and what is hidden.

The store is looked up at each reading, as an application may be stopped and started in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from antq_actors.app.node_report import ABOUT_ACTORS, ChaosRefused
from antq_actors.app.node_socket import NodeUnreachable, ask
from antq_actors.insights.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from antq_actors.app.antq import AntQ
    from antq_actors.app.runtime import Runtime
    from antq_actors.insights.redaction import Redact
    from antq_actors.jobs.instant import Instant
    from antq_actors.otp.messaging.names import Destination
    from antq_actors.storage.client import StorageClient

T = TypeVar("T")

_REFUSALS: Final = (LookupError, ValueError, ChaosRefused)
"""What a node may raise about a question that it has understood."""


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

    def ask_node(
        self,
        node: int,
        question: str,
        options: Mapping[str, Any],
        kind: type[T],
        *,
        further: Sequence[Destination] = (),
    ) -> T:
        """Return what a node answers to one of `ABOUT_ACTORS`, a value of the type *kind*.

        It is answered here if it is about this process, or else through the node's socket.
        *further*: roots of other trees of this process. Raises LookupError, ValueError and
        ChaosRefused as the node does, and NodeUnreachable.
        """
        if node == (self.runtime.node.opened_number or 0):
            here: T = ABOUT_ACTORS[question]([self.app.root, *further], options)
            return here
        try:
            answer = ask(self.runtime.path, node, question, options)
        except NodeUnreachable as error:
            for refusal in _REFUSALS:
                if error.cause == refusal.__name__:
                    raise refusal(error.detail) from None
            raise
        return msgspec.convert(answer, kind)
