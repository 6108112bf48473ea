"""Registered names: one actor each, free again before anyone hears of its end (otp rule 62)."""

from __future__ import annotations

import threading
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from antq_actors.otp.kernel.errors import AlreadyStarted, UnknownRegistry
from antq_actors.otp.messaging.via import Via
from antq_actors.otp.messaging.watch import DeathWatch

if TYPE_CHECKING:
    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.kernel.ref import ServerRef

NAME_TIMEOUT_SECONDS: Final = 5.0
"""Seconds that an actor has to free its name after its supervisor was killed."""

_SHOWN: Final = 10
"""Names that an error's text lists at most."""

_lock = threading.RLock()
_cells: Final[dict[str, ActorCell]] = {}


def check(name: object) -> None:
    """Raise TypeError unless *name* can be a name."""
    if not isinstance(name, str | Via):
        raise TypeError(f"a name is a str or a Via, got {name!r} ({type(name).__name__})")


def register(name: str | Via, cell: ActorCell) -> None:
    """Give *name* to *cell*, or raise AlreadyStarted with who has it (otp rule 61).

    For a Via: UnknownRegistry if its registry is not there, ValueError if that can give no names.
    """
    while (holder := _take(name, cell)) is not None:
        if not _ends_with_parent(holder):
            raise AlreadyStarted(holder.ref, f"the name {str(name)!r} is taken by {holder.ref}")
        # A supervisor above the holder was killed, and this may be the one in its place: the
        # holder ends, or is made to, before its name counts as taken (otp rule 49).
        if DeathWatch(holder.ref).wait(NAME_TIMEOUT_SECONDS) is None:
            holder.kill()


def _take(name: str | Via, cell: ActorCell) -> ActorCell | None:
    """Give *name* to *cell*, or answer who has it."""
    if isinstance(name, Via):
        directory = _directory(name)
        if directory is None:
            raise UnknownRegistry(f"the name {name} has no place: {no_registry(name.registry)}")
        cell.name = str(name)
        holder: ActorCell | None = directory.take(name, cell)
        return holder
    with _lock:
        holder = _living(name)
        if holder is None:
            _cells[name] = cell
            cell.name = name
        return holder


def _living(name: str) -> ActorCell | None:
    # One that has died, and did not come to freeing its name yet, does not have it any more.
    cell = _cells.get(name)
    return None if cell is None or cell.reason is not None else cell


def _ends_with_parent(cell: ActorCell | None) -> bool:
    """Tell whether *cell* ends because a supervisor above it, however far, was killed."""
    while cell is not None and not cell.killed_with_parent:
        cell = None if cell.parent is None else cell.parent.cell
    return cell is not None


def release(cell: ActorCell) -> None:
    """Free the name of *cell*, if it has one."""
    if cell.name is None:
        return
    with _lock:
        if _cells.get(cell.name) is cell:
            del _cells[cell.name]


def whereis(name: str | Via) -> ServerRef | None:
    """Answer the actor with this name, if one lives. Raises TypeError for what is no name."""
    check(name)
    cell = find(name)
    return None if cell is None else cell.ref


def find(name: str | Via) -> ActorCell | None:
    """Answer the actor with this name, if one lives."""
    if isinstance(name, Via):
        directory = _directory(name)
        found: ActorCell | None = None if directory is None else directory.find(name)
        return found
    return _living(name)


def _directory(via: Via) -> Any:
    """Answer what the registry of *via* keeps its names in; None if there is no such registry."""
    registry = via.registry
    cell = find(registry) if isinstance(registry, str | Via) else registry.cell
    return None if cell is None or cell.reason is not None else cell.directory


def why_absent(name: str | Via) -> str:
    """Return why nobody has *name*, as the end of an error's text; "" if there is nothing to add.

    There may be no such registry, or another name may be meant.
    """
    if isinstance(name, str):
        hint = _close_matches(name, registered())
        return f"; {hint}" if hint else ""
    if _directory(name) is None:
        return f": {no_registry(name.registry)}"
    return f": {str(name.registry)!r} is there, and has no actor under {name.key!r}"


def no_registry(registry: object) -> str:
    """Return that there is no *registry*, and which there are."""
    if not isinstance(registry, str):
        return f"there is no registry {registry!r}: it has ended, or is another kind of actor"
    there = [name for name in registries() if name != registry]
    if _living(registry) is not None:
        found = f"there is no registry {registry!r}, which is the name of another kind of actor"
    else:
        found = f"there is no registry {registry!r}"
    if not there:
        return f"{found}, and none runs that has a name"
    listed = ", ".join(map(repr, there[:_SHOWN])) + (", …" if len(there) > _SHOWN else "")
    if len(there) == 1:
        return f"{found}; there is {listed}"
    hint = _close_matches(registry, there)
    return f"{found}; there are {listed}{hint and f' ({hint})'}"


def _close_matches(name: str, among: list[str]) -> str:
    close = get_close_matches(name, among, 3)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else ""


def registries() -> list[str]:
    """Return the names of what a Via may lead into: registries and partition supervisors."""
    with _lock:
        living = [name for name, each in _cells.items() if each.directory is not None]
    return sorted(name for name in living if _living(name) is not None)


def registered() -> list[str]:
    """Answer all names that are taken now, as Erlang's ``registered/0``."""
    with _lock:
        return list(_cells)


def renew() -> None:
    """Begin anew in a forked child: the lock may be held by a thread that is not there."""
    global _lock  # noqa: PLW0603 - the old one cannot be freed
    _lock = threading.RLock()
    _cells.clear()
