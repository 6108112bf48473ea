"""From a destination, a ref or a name, to the actor behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from antq_actors.otp.kernel import current
from antq_actors.otp.kernel.errors import CallExit
from antq_actors.otp.kernel.reasons import NoProc
from antq_actors.otp.kernel.ref import ServerRef
from antq_actors.otp.messaging import names
from antq_actors.otp.messaging.via import Via

if TYPE_CHECKING:
    from antq_actors.otp.kernel.cell import ActorCell

Destination: TypeAlias = "ServerRef | str | Via"
"""Whom to talk to: a reference, or a registered name."""


def find(dest: Destination) -> ActorCell | None:
    """Answer the actor that *dest* names; None if there is no such name.

    Raises TypeError for anything that is no destination, ValueError for a Via into a registry of
    duplicate keys, and CallExit in the thread of an actor that was declared dead.
    """
    current.fence()
    if isinstance(dest, ServerRef):
        return dest.cell
    if isinstance(dest, str | Via):
        return names.find(dest)
    raise TypeError(f"a destination is a ServerRef, a registered name or a Via, got {dest!r}")


def find_living(dest: Destination) -> ActorCell:
    """Answer the actor that *dest* names. Raises CallExit(NoProc()) if there is none that lives."""
    cell = find(dest)
    if cell is None:
        raise nobody(dest)
    if cell.reason is not None:
        raise CallExit(NoProc(), f"{dest!r} has ended")
    return cell


def nobody(dest: Destination) -> CallExit:
    """Return the error of a call to *dest*, a name that no actor has; it says what is close."""
    assert isinstance(dest, str | Via)  # noqa: S101 - a ref always leads to its actor
    return CallExit(NoProc(), f"no actor is registered as {dest!r}{names.why_absent(dest)}")
