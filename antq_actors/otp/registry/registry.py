"""Registry: names of one's own, unique or shared, with values, that go when their actor ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, get_args

from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.kernel.cell import ServerRef, current_cell
from antq_actors.otp.kernel.errors import UnknownRegistry
from antq_actors.otp.messaging import names
from antq_actors.otp.messaging.names import check_key, find
from antq_actors.otp.registry.table import Keys, RegistryLocks, RegistryTable

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.messaging.names import Destination
    from antq_actors.otp.registry.table import Pair

T = TypeVar("T")


class Registry(GenServer):
    """Maps keys to actors: one for each key (*keys* ``"unique"``) or many (``"duplicate"``).

    An actor registers itself, and is found until it ends: its entries are gone before anyone hears
    of that. With unique keys they serve as names (`Via`), with duplicate ones for publish and
    subscribe (`dispatch`). Registering links the actor to the registry, so that one whose entries
    were lost ends, too, and registers again when its supervisor has started it. As with any link,
    one that traps exits (a supervisor does) lives on, and all do after a registry that ended
    normally: let a supervisor that starts its children again together have the registry as the
    first of them (as in Elixir).

    None of the functions waits for the registry's own thread, and all raise UnknownRegistry when
    there is no such registry.
    """

    def __init__(self, keys: Keys = "unique") -> None:
        super().__init__()
        if not isinstance(keys, str):
            raise TypeError(f"keys must be 'unique' or 'duplicate', got {keys!r}")
        if keys not in get_args(Keys):
            raise ValueError(f"keys must be 'unique' or 'duplicate', got {keys!r}")
        cell = self._otp_cell
        # Those who register are linked to it, and the end of none of them is the end of it.
        cell.trap_exit = True
        cell.exit_filter = lambda _ref, _reason: True
        cell.directory = _Directory(keys, cell)
        cell.add_cleanup(cell.directory)

    # ---- for the calling actor ------------------------------------------------------------

    @staticmethod
    def register(registry: Destination, key: Hashable, value: Any = None) -> None:
        """Register the calling actor under *key*, and link it to the registry.

        Raises AlreadyRegistered (``ref``: the actor that has it) if the key is unique and taken,
        RuntimeError outside an actor (otp rule 64), TypeError for a key that cannot be hashed.
        """
        check_key(key)
        table = _directory(registry)
        table.add(key, _me("register"), value)

    @staticmethod
    def unregister(registry: Destination, key: Hashable) -> None:
        """Remove *key* of the calling actor from the registry. RuntimeError outside an actor."""
        check_key(key)
        _directory(registry).remove(key, _me("unregister"))

    @staticmethod
    def update_value(registry: Destination, key: Hashable, fn: Callable[[Any], Any]) -> Any:
        """Store ``fn(value)`` in the registry for the calling actor's unique key, and return it.

        Raises NotFound if the actor does not have the key, ValueError with duplicate keys.
        """
        check_key(key)
        _check_function(fn, "update_value")
        table = _directory(registry)
        if not table.is_unique:
            raise ValueError("update_value() is for unique keys: of duplicate ones, which?")
        return table.update(key, _me("update_value"), fn)

    # ---- for everyone ---------------------------------------------------------------------

    @staticmethod
    def lookup(registry: Destination, key: Hashable) -> list[Pair]:
        """Return ``(ref, value)`` of each living actor registered under *key*, the oldest first."""
        check_key(key)
        return [entry.pair for entry in _directory(registry).of_key(key)]

    @staticmethod
    def keys(registry: Destination, ref: ServerRef) -> list[Any]:
        """Return the registry's keys of the actor *ref*; a key registered twice is there twice."""
        return [entry.key for entry in _directory(registry).of_cell(_cell(ref))]

    @staticmethod
    def values(registry: Destination, key: Hashable, ref: ServerRef) -> list[Any]:
        """Return the values that the actor *ref* has registered under *key*."""
        check_key(key)
        entries = _directory(registry).of_cell(_cell(ref))
        return [entry.value for entry in entries if entry.key == key]

    @staticmethod
    def dispatch(registry: Destination, key: Hashable, fn: Callable[[list[Pair]], object]) -> None:
        """Call ``fn(lookup(registry, key))`` in this thread, if an actor has registered *key*."""
        _check_function(fn, "dispatch")
        pairs = Registry.lookup(registry, key)
        if pairs:
            fn(pairs)

    @staticmethod
    def count(registry: Destination) -> int:
        """Return how many registrations of living actors the registry has."""
        return len(_directory(registry).all())

    @staticmethod
    def select(
        registry: Destination, predicate: Callable[[Any, ServerRef, Any], object]
    ) -> list[tuple[Any, ServerRef, Any]]:
        """Return ``(key, ref, value)`` of the registrations for which *predicate* of them holds."""
        _check_function(predicate, "select")
        triples = [(entry.key, *entry.pair) for entry in _directory(registry).all()]
        return [triple for triple in triples if predicate(*triple)]

    @staticmethod
    def lock(registry: Destination, key: Hashable, fn: Callable[[], T]) -> T:
        """Return ``fn()``, called in this thread while it holds the registry's lock *key*.

        Lock keys have nothing to do with registered ones. A killed actor gives its locks up. Raises
        RuntimeError if the caller holds it already, CallCycle if waiting would close a ring of
        actors (one that plain threads are part of goes unseen), TypeError for a key that cannot be
        hashed.
        """
        check_key(key)
        _check_function(fn, "lock")
        with _directory(registry).locks.held(key):
            return fn()


class _Directory(RegistryTable):
    """What a registry keeps; its cell holds it, and it ends with that actor."""

    def __init__(self, keys: Keys, owner: ActorCell) -> None:
        super().__init__(keys, owner)
        self.locks = RegistryLocks()

    def on_exit(self, cell: ActorCell) -> None:
        if cell is self._owner:
            self.locks.close()
            self.close()
        else:
            super().on_exit(cell)


def _directory(registry: Destination) -> _Directory:
    cell = find(registry)
    directory = None if cell is None or cell.reason is not None else cell.directory
    if not isinstance(directory, _Directory):
        raise UnknownRegistry(names.no_registry(registry))
    return directory


def _me(what: str) -> ActorCell:
    me = current_cell()
    if me is None:
        raise RuntimeError(
            f"{what}() is for actors: each registers itself, and this thread runs none;"
            " start(name=Via(registry, key)) registers a new one"
        )
    return me


def _check_function(fn: object, what: str) -> None:
    if not callable(fn):
        raise TypeError(f"{what}() takes a function, got {fn!r}")


def _cell(ref: object) -> ActorCell:
    if not isinstance(ref, ServerRef):
        raise TypeError(f"whose keys? a ServerRef is needed, got {ref!r}")
    return ref.cell
