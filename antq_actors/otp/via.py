"""Via: a name that a registry of one's own keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable


@dataclass(frozen=True, slots=True)
class Via:
    """The actor that *registry* has under *key*: a name for ``start``, and a destination.

    *registry* is a unique Registry, or a PartitionSupervisor, by name or ref. As a name the actor
    is registered with *value* before its ``init`` runs. As a destination it is looked up whenever
    it is used; when nobody has the key, or there is no such registry, that is like an actor that
    has ended. A registry of duplicate keys is a ValueError. Elixir's ``{:via, …}``.
    """

    registry: Any
    key: Hashable
    value: Any = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.registry}/{self.key}"
