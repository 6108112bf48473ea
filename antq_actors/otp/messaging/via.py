"""Via: a name that a registry of one's own keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable


def check_key(key: object) -> None:
    """Raise TypeError unless *key* can be the key of a registry."""
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
        # A ServerRef; refs stand on names, and names on this file.
        if not isinstance(registry, str | Via) and not hasattr(registry, "cell"):
            raise TypeError(f"the registry of a Via is a name or a ServerRef, got {registry!r}")
        check_key(self.key)

    def __str__(self) -> str:
        return f"{self.registry}/{self.key}"
