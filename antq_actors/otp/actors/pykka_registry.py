"""pykka's registry of living actors, at a cost that does not grow with their number.

``ActorRegistry`` keeps its refs in a list, and each end searches that twice: to see whether the ref
is there, and to remove it. With ten thousand alive that is most of what an end costs, under the
lock that every start needs. Here an ordered dict that knows the same operations takes the place
of the list. pykka's methods and its lock stay, so all that it documents holds, for its own actors
as for ours.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from pykka import ActorRef, ActorRegistry


class ActorRefs(Sequence[ActorRef[Any]]):
    """The refs of living actors in start order: a list as far as pykka uses one.

    ``append``, ``remove`` and ``in`` take the same time however many there are. Unlike in a list, a
    ref that is appended twice is in it once. Its user holds a lock, as pykka does.
    """

    __slots__ = ("_refs",)

    def __init__(self, refs: Iterable[ActorRef[Any]] = ()) -> None:
        self._refs = dict.fromkeys(refs)

    def append(self, ref: ActorRef[Any]) -> None:
        """Add *ref* as the last one."""
        self._refs[ref] = None

    def remove(self, ref: ActorRef[Any]) -> None:
        """Take *ref* out. Raises ValueError, as a list does, if it is not there."""
        try:
            del self._refs[ref]
        except KeyError:
            raise ValueError(f"{ref} is not registered") from None

    def clear(self) -> None:
        """Take all out."""
        self._refs.clear()

    def __contains__(self, ref: object) -> bool:
        return ref in self._refs

    def __iter__(self) -> Iterator[ActorRef[Any]]:
        return iter(self._refs)

    def __len__(self) -> int:
        return len(self._refs)

    @overload
    def __getitem__(self, index: int) -> ActorRef[Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[ActorRef[Any]]: ...

    def __getitem__(self, index: int | slice) -> ActorRef[Any] | list[ActorRef[Any]]:
        return list(self._refs)[index]

    def __repr__(self) -> str:
        return f"ActorRefs({list(self._refs)!r})"


def install() -> None:
    """Have pykka keep its refs in an ``ActorRefs``; those that it has stay in it."""
    with ActorRegistry._actor_refs_lock:  # noqa: SLF001 - tests/otp/test_actor_registry.py knows both
        ActorRegistry._actor_refs = ActorRefs(ActorRegistry._actor_refs)  # type: ignore[assignment]  # noqa: SLF001


def renew() -> None:
    """Begin anew in a forked child: the lock may be held by a thread that is not there."""
    ActorRegistry._actor_refs_lock = threading.RLock()  # noqa: SLF001


install()
