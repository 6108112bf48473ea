"""Names: whom a destination means, and which actor is registered as what (otp rule 62).

A name has one actor at a time, and is free again before anyone is told of that actor's end.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from antq_actors.checks import close_matches
from antq_actors.otp.kernel.cell import ServerRef, fence, local
from antq_actors.otp.kernel.errors import CallExit, OtpError, UnknownRegistry
from antq_actors.otp.kernel.reasons import NoProc
from antq_actors.otp.messaging.deadlock import DeathWatch

if TYPE_CHECKING:
    from collections.abc import Hashable

    from antq_actors.otp.kernel.cell import ActorCell

NAME_TIMEOUT_SECONDS: Final = 5.0
"""Seconds that an actor has to free its name after its supervisor was killed."""

_SHOWN: Final = 10
"""Names that an error's text lists at most."""

_lock = threading.RLock()
_cells: Final[dict[str, ActorCell]] = {}


class AlreadyStarted(OtpError):
    """The name, or the child, is taken by a running actor."""

    def __init__(self, ref: ServerRef, message: str | None = None) -> None:
        self.ref = ref
        """The one that runs."""
        super().__init__(message or f"already started: {ref}")


class AlreadyRegistered(OtpError):
    """The key is taken."""

    def __init__(self, ref: ServerRef, message: str | None = None) -> None:
        self.ref = ref
        """The one that has it."""
        super().__init__(message or f"already registered: {ref}")


def check_key(key: object) -> None:
    """Raise TypeError unless *key* can be the key of an actor in a registry."""
    try:
        hash(key)
    except TypeError:
        raise TypeError(f"a key must be hashable, got {key!r}") from None


@dataclass(frozen=True, slots=True)
class Via:
    """The actor that *registry* has under *key*: a name for ``start``, and a destination.

    *registry* is a unique Registry, or a PartitionSupervisor, by name or ref. As a name the actor
    is registered with *value* before its ``init`` runs. As a destination it is looked up whenever
    it is used; when nobody has the key, or there is no such registry, that is like an actor that
    has ended. A registry of duplicate keys is a ValueError then, and what can be no registry or
    no key a TypeError at once. Elixir's ``{:via, …}``.
    """

    registry: Any
    key: Hashable
    value: Any = field(default=None, compare=False)

    def __post_init__(self) -> None:
        registry = self.registry
        if not isinstance(registry, str | Via | ServerRef):
            raise TypeError(f"the registry of a Via is a name or a ServerRef, got {registry!r}")
        check_key(self.key)

    def __str__(self) -> str:
        return f"{self.registry}/{self.key}"


Destination: TypeAlias = "ServerRef | str | Via"
"""Whom to talk to: a reference, or a registered name."""


def find(dest: Destination) -> ActorCell | None:
    """Return the cell of the actor that *dest* refers to or names; None if there is no such name.

    Raises TypeError for anything that is no destination, ValueError for a Via into a registry of
    duplicate keys, and CallExit in the thread of an actor that was declared dead.
    """
    me = local.cell
    if me is not None and me.reason is not None:
        fence()
    if isinstance(dest, str):
        cell = _cells.get(dest)
        return None if cell is None or cell.reason is not None else cell
    if isinstance(dest, ServerRef):
        return dest.cell
    if isinstance(dest, Via):
        return find_named(dest)
    raise TypeError(f"a destination is a ServerRef, a registered name or a Via, got {dest!r}")


def find_living(dest: Destination) -> ActorCell:
    """Return the cell of the actor *dest*. Raises CallExit(NoProc()) if none lives."""
    cell = find(dest)
    if cell is None:
        raise not_registered(dest)
    if cell.reason is not None:
        raise CallExit(NoProc(), f"{dest!r} has ended")
    return cell


def not_registered(dest: Destination) -> CallExit:
    """Return the CallExit for *dest*, a name that no actor has, with names that are close."""
    assert isinstance(dest, str | Via)  # noqa: S101 - a ref always leads to its actor
    return CallExit(NoProc(), f"no actor is registered as {dest!r}{why_absent(dest)}")


# ---- the table of names --------------------------------------------------------------------------


def check_name(name: object) -> None:
    """Raise TypeError unless *name* can be the name of an actor."""
    if not isinstance(name, str | Via):
        raise TypeError(f"a name is a str or a Via, got {name!r} ({type(name).__name__})")


def register(name: str | Via, cell: ActorCell) -> None:
    """Give *name* to the actor *cell*, or raise AlreadyStarted with its holder (otp rule 61).

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
    """Give *name* to the actor *cell*, or return the actor that has it."""
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
            if not cell.add_cleanup(_release):  # killed already, by one that found it here
                _release.on_exit(cell)
        return holder


def _living(name: str) -> ActorCell | None:
    # One that has died, and did not come to freeing its name yet, does not have it any more.
    cell = _cells.get(name)
    return None if cell is None or cell.reason is not None else cell


def _ends_with_parent(cell: ActorCell | None) -> bool:
    """Return whether a supervisor anywhere above *cell* was killed, so that *cell* ends, too."""
    while cell is not None and not cell.killed_with_parent:
        cell = None if cell.parent is None else cell.parent.cell
    return cell is not None


class _Release:
    """Frees the name of an actor that has ended."""

    def on_exit(self, cell: ActorCell) -> None:
        """Free the name of the actor *cell*, which has ended, if it still has it."""
        with _lock:
            if cell.name is not None and _cells.get(cell.name) is cell:
                del _cells[cell.name]


_release: Final = _Release()


def whereis(name: str | Via) -> ServerRef | None:
    """Return the actor with this name, if one lives. Raises TypeError for what is no name."""
    check_name(name)
    cell = find_named(name)
    return None if cell is None else cell.ref


def find_named(name: str | Via) -> ActorCell | None:
    """Return the cell of the actor with this name, if one lives."""
    if isinstance(name, Via):
        directory = _directory(name)
        found: ActorCell | None = None if directory is None else directory.find(name)
        return found
    return _living(name)


def _directory(via: Via) -> Any:
    """Return the table of names of the registry of *via*; None if there is no such registry."""
    registry = via.registry
    cell = find_named(registry) if isinstance(registry, str | Via) else registry.cell
    return None if cell is None or cell.reason is not None else cell.directory


def why_absent(name: str | Via) -> str:
    """Return why no actor has *name*, as the end of an error's text; "" if there is nothing to add.

    There may be no such registry, or a similar name.
    """
    if isinstance(name, str):
        hint = _close_matches(name, registered())
        return f"; {hint}" if hint else ""
    if _directory(name) is None:
        return f": {no_registry(name.registry)}"
    return f": {str(name.registry)!r} is there, and has no actor under {name.key!r}"


def no_registry(registry: object) -> str:
    """Return the text that there is no *registry*, and which there are."""
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
    close = close_matches(name, among, 3)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else ""


def registries() -> list[str]:
    """Return the names of the actors a Via may lead into: registries and partition supervisors."""
    with _lock:
        living = [name for name, each in _cells.items() if each.directory is not None]
    return sorted(name for name in living if _living(name) is not None)


def registered() -> list[str]:
    """Return all names that actors have now, as Erlang's ``registered/0``."""
    with _lock:
        return list(_cells)


def reset_after_fork() -> None:
    """Empty, in a forked child, the table of actors' names, whose lock a lost thread may hold."""
    global _lock  # noqa: PLW0603 - the old one cannot be freed
    _lock = threading.RLock()
    _cells.clear()
