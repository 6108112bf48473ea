"""pykka's registry of living actors, at a cost that does not grow with their number.

``ActorRegistry`` keeps its refs in a list, and each end searches that twice: to see whether the ref
is there, and to remove it. With ten thousand alive that is most of what an end costs, under the
lock that every start needs. Here an ordered dict that has the same operations takes the place of
the list. pykka's lock and its methods stay, but for `stop_all`, so all that pykka documents holds,
for its own actors as for ours.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, overload

from pykka import ActorRef, ActorRegistry, Future

from antq_actors import forked_child
from antq_actors.otp.kernel import stopping
from antq_actors.otp.kernel.cell import ServerRef, living, local
from antq_actors.otp.kernel.errors import CallExit
from antq_actors.otp.kernel.messages import StopRequest
from antq_actors.otp.kernel.reasons import Shutdown
from antq_actors.otp.messaging import deadlock, names
from antq_actors.otp.messaging.calls import stop
from antq_actors.otp.messaging.deadlock import DeathWatch

if TYPE_CHECKING:
    from antq_actors.otp.kernel.cell import ActorCell


class ActorRefs(Sequence[ActorRef[Any]]):
    """The refs of living actors in start order: a list as far as pykka uses one.

    ``append``, ``remove`` and ``in`` take the same time however many there are. Unlike in a list, a
    ref that is appended twice is in it once. Its user holds a lock, as pykka does.
    """

    __slots__ = ("_refs",)

    def __init__(self, refs: Iterable[ActorRef[Any]] = ()) -> None:
        self._refs = dict.fromkeys(refs)

    def append(self, ref: ActorRef[Any]) -> None:
        """Add the *ref* of an actor that pykka's registry registers, as the last one."""
        self._refs[ref] = None

    def remove(self, ref: ActorRef[Any]) -> None:
        """Take an actor's *ref* out. Raises ValueError, as a list does, if it is not there."""
        try:
            del self._refs[ref]
        except KeyError:
            raise ValueError(f"{ref} is not registered") from None

    def clear(self) -> None:
        """Take the refs of all actors out."""
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
    """Have pykka's ActorRegistry keep its refs in an ``ActorRefs``, and stop actors by `stop_all`.

    The refs that pykka has stay in it.
    """
    ActorRegistry.stop_all = staticmethod(stop_all)  # type: ignore[method-assign,assignment]
    with ActorRegistry._actor_refs_lock:  # noqa: SLF001 - tests/otp/test_pykka_registry.py knows both
        ActorRegistry._actor_refs = ActorRefs(ActorRegistry._actor_refs)  # type: ignore[assignment]  # noqa: SLF001


def stop_all(
    *, block: bool = True, timeout: float | None = None
) -> list[bool] | list[Future[bool]]:
    """Stop all actors as pykka does, and let no supervisor among them restart a child.

    A supervisor may restart a child that is stopped alone, and pykka sends the same message for
    both. Raises pykka.Timeout if an actor does not end in time; the actors behind it live on.
    """
    refs = ActorRegistry.get_all()[::-1]
    stopped: list[Any] = []
    told = 0
    try:
        _note_stop(refs, stops=True)
        for told, ref in enumerate(refs, 1):  # noqa: B007 - it is read below
            stopped.append(ref.stop(block=block, timeout=timeout))
    except BaseException:  # pykka.Timeout, or Ctrl-C came
        _note_stop(refs[told:], stops=False)
        raise
    return stopped


def _note_stop(refs: Iterable[ActorRef[Any]], *, stops: bool) -> None:
    for ref in refs:
        if isinstance(ref, ServerRef):
            ref.cell.stopped_with_all = stops


def reset_after_fork() -> None:
    """Give pykka's registry a new lock in a forked child: a lost thread may hold the old."""
    ActorRegistry._actor_refs_lock = threading.RLock()  # noqa: SLF001


install()


STOP_TIMEOUT_SECONDS: Final = 10.0
"""Seconds that the actors without a supervisor have together for their ends."""

LATE_STOP_TIMEOUT_SECONDS: Final = 1.0
"""Seconds for those that are left when the time of all is over."""

_roots: Final[dict[ActorCell, int]] = {}


def stop_at_exit(cell: ActorCell) -> None:
    """Have the exit handler of this process stop the actor *cell*, which has no supervisor."""
    _roots[cell] = os.getpid()
    if not cell.watch(stop_at_exit, lambda _ref, _reason: _roots.pop(cell, None)):
        _roots.pop(cell, None)


def _stop_all() -> None:
    # Last started, first stopped. A forked child inherits the list, but none of the threads.
    roots = [cell for cell, pid in list(_roots.items()) if pid == os.getpid()]
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    while roots and time.monotonic() < deadline:
        with suppress(CallExit):
            stop(roots.pop().ref, Shutdown(), timeout=max(0.0, deadline - time.monotonic()))
    _stop_together(roots)


def _stop_together(cells: list[ActorCell]) -> None:
    """Stop, at the end of the program, the actors for which no time was left, all at once."""
    watches = [DeathWatch(cell.ref) for cell in cells]
    for cell in cells:
        cell.ref.deliver(StopRequest(Shutdown()))
    deadline = time.monotonic() + LATE_STOP_TIMEOUT_SECONDS
    for watch in watches:
        watch.wait(max(0.0, deadline - time.monotonic()))


atexit.register(_stop_all)
forked_child.at_end(_stop_all)


# ---- in a forked child ---------------------------------------------------------------------------


def _lose_all() -> None:
    local.cell = None
    reset_after_fork()
    for module in (stopping, names, deadlock):
        module.reset_after_fork()
    for cell in list(living):
        cell.end_after_fork()
    living.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_lose_all)
