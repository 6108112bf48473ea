"""A window into the living tree: looked at from outside, while it works.

It asks no one. A supervisor publishes its children as a value that is never changed (`restart.py`),
so a reader takes what is there now, also while the supervisor is busy starting or stopping a child.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from antq_actors.otp.kernel.child_spec import ChildSpec
from antq_actors.otp.kernel.messages import described
from antq_actors.otp.kernel.reasons import Crash, ExitReason
from antq_actors.otp.messaging.names import find_living
from antq_actors.otp.supervision.restart import Child, ChildState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.kernel.child_spec import ChildType
    from antq_actors.otp.messaging.names import Destination


LONG: Final = 0.1
"""Seconds at one message after which `Node.to_text` says so; what is shorter comes and goes."""


@dataclass(frozen=True, slots=True)
class Handling:
    """What an actor is at."""

    callback: str
    """The method that runs: "init", "handle_call", "terminate", …"""
    message: Any
    """The message that it was given."""
    seconds: float
    """How long it has been at it."""


@dataclass(frozen=True, slots=True)
class Node:
    """One actor in the tree, as it was when `tree` looked."""

    name: str
    """Its registered name, else the id of its child spec, else how it is logged."""
    kind: ChildType
    state: ChildState
    """"running", "suspended", "restarting" or "stopped"; a child that ended and is kept stays."""
    incarnation: int
    """How many times this child was started; 1 for the first."""
    restarts: int
    """How many of those its supervisor decided itself."""
    mailbox_length: int
    """Messages that wait."""
    uptime: float
    """Seconds since it started; 0.0 for an actor that does not run."""
    last_exit: ExitReason | None
    """Why it ended the last time, if it ever did."""
    children: tuple[Node, ...] = ()
    """In start order."""
    handling: Handling | None = None
    """What it is at now; None when it waits for messages, or does not run."""
    waits_for: str | None = None
    """What it waits for: the actor that it calls, or the child that it starts or stops."""
    max_restarts: int | None = None
    """How many restarts this supervisor allows within its window; None for a worker."""
    restarts_left: int | None = None
    """How many of those are left now; at one more it gives up."""

    def walk(self) -> Iterator[Node]:
        """Yield this actor's node of the tree and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def to_text(self) -> str:
        """Return the tree of actors as text, drawn with lines, one actor a line."""
        return "\n".join([self._line(), *_branches(self.children)])

    def to_mermaid(self) -> str:
        """Return the tree of actors as a Mermaid flowchart."""
        lines = ["graph TD"]
        self._draw(lines, "n0")
        return "\n".join(lines)

    def _line(self) -> str:
        facts = [self.kind, self.state.value]
        if self.incarnation != 1:
            facts.append(f"incarnation {self.incarnation}")
        if self.restarts:
            facts.append(f"restarts {self.restarts}")
        if self.mailbox_length:
            facts.append(f"mailbox {self.mailbox_length}")
        if self.last_exit is not None:
            facts.append(f"last exit {_reason_text(self.last_exit)}")
        if self.restarts_left != self.max_restarts:
            facts.append(f"{self.restarts_left} of {self.max_restarts} restarts left")
        if self.handling is not None and self.handling.seconds >= LONG:
            facts.append(f"in {self.handling.callback} for {self.handling.seconds:.1f} s")
            if self.waits_for is not None:
                facts.append(f"waits for {self.waits_for}")
        return f"{self.name}  [{', '.join(facts)}]"

    def _draw(self, lines: list[str], key: str) -> None:
        label = self.name.replace('"', "#quot;").replace("\n", " ")
        if self.state is not ChildState.RUNNING:
            label += f"<br/>{self.state.value}"
        opening, closing = ("[", "]") if self.kind == "supervisor" else ("([", "])")
        lines.append(f'    {key}{opening}"{label}"{closing}')
        for number, child in enumerate(self.children):
            child_key = f"{key}_{number}"
            child._draw(lines, child_key)  # noqa: SLF001 - of the same class
            lines.append(f"    {key} --> {child_key}")


def tree(dest: Destination) -> Node:
    """Return a snapshot of the actors below *dest*, without waiting for any of them.

    Raises CallExit(NoProc()) if there is no such actor, or it has ended.
    """
    return _node(entry_of(find_living(dest)))


def entry_of(cell: ActorCell) -> Child:
    """Return an actor as its supervisor has it in its table, or as one would."""
    child = line_of(cell)
    if child is not None:
        return child
    kind = cell.ref.actor_class.child_type
    spec = ChildSpec(str(cell), cell.ref.actor_class.start_link, type=kind)
    return Child(spec, ChildState.RUNNING, cell.ref, incarnation=1)


def line_of(cell: ActorCell) -> Child | None:
    """Return the entry of the actor *cell* in its supervisor's table of children, or None."""
    supervisor = None if cell.parent is None else _actor(cell.parent.cell)
    return next((child for child in table_of(supervisor) if child.ref is cell.ref), None)


def _children(actor: Any) -> tuple[Node, ...]:
    return tuple(_node(child) for child in table_of(actor))


def table_of(actor: Any) -> tuple[Child, ...]:
    """Return the children of an actor object, in start order; none of what supervises nobody."""
    table: tuple[Child, ...] = getattr(actor, "published_children", ())
    return table


def _node(child: Child) -> Node:
    node, actor = facts_of(child)
    return node if actor is None else replace(node, children=_children(actor))


def facts_of(child: Child) -> tuple[Node, Any]:
    """Return an entry of a supervisor's table as a node of the tree, without what is below it.

    And the actor object, if it lives.
    """
    spec = child.spec
    cell: ActorCell | None = child.ref.cell if child.is_running else None
    actor = None if cell is None else _actor(cell)
    node = Node(
        name=str(spec.id) if cell is None or cell.name is None else cell.name,
        kind=spec.type,
        state=_state(child, cell, actor),
        incarnation=child.incarnation,
        restarts=child.restarts,
        mailbox_length=0 if cell is None else len(cell.mailbox),
        uptime=0.0,
        last_exit=cell.reason if cell and cell.reason else child.last_exit,
    )
    if cell is None or actor is None:
        return node, None
    waits_for = cell.awaited()
    supervises = hasattr(actor, "published_children")
    facts = replace(
        node,
        uptime=time.monotonic() - cell.started_at,
        handling=_handling(cell),
        waits_for=None if waits_for is None else str(waits_for),
        max_restarts=actor.max_restarts if supervises else None,
        restarts_left=actor.restarts_left if supervises else None,
    )
    return facts, actor


def _state(child: Child, cell: ActorCell | None, actor: Any) -> ChildState:
    if cell is None:
        return child.state
    if actor is None:
        return ChildState.STOPPED  # ended, and its supervisor has not seen that yet
    return ChildState.SUSPENDED if cell.mailbox.suspended else child.state


def _handling(cell: ActorCell) -> Handling | None:
    current_message = cell.current_message
    if current_message is None:
        return None
    what, since = current_message
    return Handling(*described(what, cell.ref.actor_class), max(0.0, time.monotonic() - since))


def _actor(cell: ActorCell) -> Any:
    """Return the actor object of *cell* if it lives, else None."""
    return cell.ref._actor_weakref() if cell.reason is None else None  # noqa: SLF001 - pykka's


def _branches(children: Iterable[Node]) -> Iterator[str]:
    nodes = list(children)
    for node in nodes:
        is_last = node is nodes[-1]
        yield ("└── " if is_last else "├── ") + node._line()  # noqa: SLF001 - drawn here
        for line in _branches(node.children):
            yield ("    " if is_last else "│   ") + line


def _reason_text(reason: ExitReason) -> str:
    return str(reason) if isinstance(reason, Crash) else type(reason).__name__
