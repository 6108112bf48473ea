"""``supervised``: the pykka actors one has, as children of a supervisor, unmodified."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from pykka import ThreadingActor

from antq_actors.checks import check_flag
from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.kernel.loop import ActorLoop

_OURS: Final = frozenset(
    name
    for cls in (GenServer, ActorLoop)
    for name in vars(cls)
    if not name.startswith(("__", "_abc")) and name != "use_daemon_thread"
)
"""What an actor must not define itself, as a GenServer's own life hangs on it."""


def supervised(actor_class: type[Any], *, crash_on_ask: bool = False) -> type[GenServer]:
    """Return a class like the pykka actor *actor_class* that is a GenServer, too.

    It can be a child (``supervised(Printer).child_spec(...)``), is told from outside to stop, and
    ends with a reason and a Down. All that pykka documents stays: ``ask``, ``tell``, proxies,
    ``on_start``, ``on_stop``, ``on_failure``; an instance is one of *actor_class*. New is that
    ``start`` returns after ``on_start``, and raises StartError if that raised. ``call`` is answered
    by ``on_receive`` like an ``ask``, but what it raises ends the actor (otp rule 69); ``cast``
    arrives there like a ``tell``.

    An exception while a plain ``ask`` or a proxy is answered goes to the asker alone, as in pykka,
    so that a supervisor never hears of it; with *crash_on_ask* it ends the actor, too.

    A GenServer class is returned as it is. Raises TypeError for what is no ThreadingActor class,
    or defines what a GenServer needs for itself.
    """
    check_flag(crash_on_ask, "crash_on_ask")
    if isinstance(actor_class, type) and issubclass(actor_class, GenServer):
        return actor_class
    if not (isinstance(actor_class, type) and issubclass(actor_class, ThreadingActor)):
        raise TypeError(f"supervised() takes a pykka.ThreadingActor class, got {actor_class!r}")
    return _make(actor_class, crash_on_ask)


@cache
def _make(actor_class: type[Any], crash_on_ask: bool) -> type[GenServer]:  # noqa: FBT001 - a key
    mine = [base for base in actor_class.__mro__ if base not in ThreadingActor.__mro__]
    taken = sorted({name for base in mine for name in vars(base)} & _OURS)
    if taken:
        raise TypeError(
            f"{actor_class.__name__} defines {', '.join(taken)}, which a GenServer needs for"
            " itself: rename it, or derive the class from GenServer and mean the callback"
        )
    return type(
        actor_class.__name__,
        (actor_class, _Supervised),
        {
            "__doc__": actor_class.__doc__,
            "__module__": actor_class.__module__,
            "__qualname__": f"supervised({actor_class.__qualname__})",
            "crash_on_ask": crash_on_ask,
        },
    )


class _Supervised(GenServer):
    """Has a call and a cast arrive where pykka's ask and tell do."""

    def handle_call(self, request: Any) -> Any:
        return self.on_receive(request)

    def handle_cast(self, request: Any) -> None:
        self.on_receive(request)
