"""A limit as users hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from antq_actors.checks import is_utf8, short_repr, to_seconds, whole
from antq_actors.errors import UnknownLimit
from antq_actors.flow.limits import (
    GateKey,
    GateStatus,
    LimitKind,
    check_burst,
    check_limit,
    check_limit_name,
    check_per,
    microseconds,
)
from antq_actors.jobs import instant
from antq_actors.jobs.limits import gate_key
from antq_actors.jobs.worker import in_thread
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.client import StorageClient

_KINDS: Final = ("concurrency", "rate")


class LimitHandle:
    """The handle of a limit, as ``AntQ.limit`` returns it: look at it and change it at runtime.

    *key* is the value of the argument that is the limit's key, or a tuple where several are. What
    is changed holds on every node from its next claim on, also after restarts. Without *key* it is
    for all keys; what was set for one key stays. Each method raises UnknownLimit, naming the limits
    that there are, while no node that defines this one has started and no job of it was enqueued.
    A name that is no str is a TypeError then.
    """

    def __init__(self, name: str, store: StorageClient, clock: Callable[[], Instant]) -> None:
        self.name = name
        self._store = store
        self._clock = clock

    def __repr__(self) -> str:
        return f"<LimitHandle {self.name!r}>"

    def set(
        self,
        *,
        limit: int | None = None,
        per: float | timedelta | None = None,
        burst: int | None = None,
        key: Any = None,
        kind: LimitKind | None = None,
    ) -> None:
        """Have other numbers in force than the code has, until ``reset``; what is not given stays.

        With *per* or *burst* it is about the rate; else *kind* says which is meant,
        ``"concurrency"`` or ``"rate"``, where the limit has both. Lowering stops no running job.
        Raises TypeError and ValueError for numbers that make no sense, if none is given, and for a
        key of a limit that has none.
        """
        checked_numbers(limit, per, burst, kind)
        self._do("set", limit=limit, per=per, burst=burst, key=key, kind=kind)

    def reset(self, key: Any = None) -> None:
        """Have the numbers of the code in force again."""
        self._do("reset", key)

    def pause(self, key: Any = None, seconds: float | timedelta | None = None) -> None:
        """Let no job start, for so many *seconds*, or until ``resume``. Running jobs go on."""
        checked = None if seconds is None else to_seconds(seconds, "seconds")
        self._do("pause", key, checked)

    def resume(self, key: Any = None) -> None:
        """Let jobs start again; also where one returned RateLimited."""
        self._do("resume", key)

    def status(self, key: Any = None) -> GateStatus:
        """Return how the limit is doing at *key*, or without one."""
        status: GateStatus = self._do("status", key)
        return status

    def keys(self, after: str | None = None, limit: int | None = None) -> list[str]:
        """Return the keys that are in use, as text, in order.

        *after*: only what follows this one, for the next page; *limit*: at most so many.
        """
        _check_page(after, limit)
        found: list[str] = self._do("keys", after, limit)
        return found

    # ---- for coroutines -----------------------------------------------------------------------

    async def aset(
        self,
        *,
        limit: int | None = None,
        per: float | timedelta | None = None,
        burst: int | None = None,
        key: Any = None,
        kind: LimitKind | None = None,
    ) -> None:
        """Do what :meth:`set` does, without stopping the event loop that awaits it."""
        await in_thread(self.set, limit=limit, per=per, burst=burst, key=key, kind=kind)

    async def areset(self, key: Any = None) -> None:
        """Do what :meth:`reset` does, without stopping the event loop that awaits it."""
        await in_thread(self.reset, key)

    async def apause(self, key: Any = None, seconds: float | timedelta | None = None) -> None:
        """Do what :meth:`pause` does, without stopping the event loop that awaits it."""
        await in_thread(self.pause, key, seconds)

    async def aresume(self, key: Any = None) -> None:
        """Do what :meth:`resume` does, without stopping the event loop that awaits it."""
        await in_thread(self.resume, key)

    async def astatus(self, key: Any = None) -> GateStatus:
        """Do what :meth:`status` does, without stopping the event loop that awaits it."""
        return await in_thread(self.status, key)

    async def akeys(self, after: str | None = None, limit: int | None = None) -> list[str]:
        """Do what :meth:`keys` does, without stopping the event loop that awaits it."""
        return await in_thread(self.keys, after, limit)

    # ---- inside -------------------------------------------------------------------------------

    def _do(self, verb: str, *args: Any, **given: Any) -> Any:
        """Do a *verb* of this handle, whose arguments were checked, in the store."""
        check_named(self.name)
        return getattr(self, f"_{verb}")(*args, **given)

    def _set(self, *, key: object, **given: Any) -> None:
        numbers = checked_numbers(**given)
        self._store.write(
            JobStore.set_limit, self.name, self._gate(key), **numbers, now=self._clock()
        )

    def _reset(self, key: object) -> None:
        self._store.write(JobStore.reset_limit, self.name, self._gate(key), self._clock())

    def _pause(self, key: object, seconds: float | None) -> None:
        now = self._clock()
        until = None if seconds is None else instant.after(now, seconds)
        self._store.write(JobStore.pause_limit, self.name, self._gate(key), until, now)

    def _resume(self, key: object) -> None:
        self._store.write(JobStore.resume_limit, self.name, self._gate(key), self._clock())

    def _status(self, key: object) -> GateStatus:
        gate = self._gate(key)
        id_ = None if gate is None else gate.gate
        return self._store.read(JobReader.gate_status, self.name, id_, self._clock())

    def _keys(self, after: str | None, limit: int | None) -> list[str]:
        return self._store.read(JobReader.gate_keys, self.name, after, limit)

    def _gate(self, key: object) -> GateKey | None:
        return None if key is None else gate_key(self.name, key)


class LimitOfApplication(LimitHandle):
    """The handle of a limit of an application, which need not run when the handle is made.

    Each verb looks for the limit where the application runs then, and raises NotStarted where it
    does not.
    """

    def __init__(self, name: str, find: Callable[[str], LimitHandle]) -> None:
        self.name = name
        self._find = find

    def _do(self, verb: str, *args: Any, **given: Any) -> Any:
        return self._find(self.name)._do(verb, *args, **given)  # noqa: SLF001 - of its own class


def check_named(name: object) -> None:
    """Raise for what cannot be the name of a limit: TypeError, or UnknownLimit for any text."""
    try:
        check_limit_name(name, "a limit")
    except ValueError as error:
        raise UnknownLimit(str(error)) from None


def checked_numbers(limit: object, per: object, burst: object, kind: object) -> dict[str, Any]:
    """Return the arguments of ``set`` as the store takes them. Raises TypeError, ValueError."""
    if limit is None and per is None and burst is None:
        raise ValueError("nothing to set; give limit, per or burst")
    if kind is not None and kind not in _KINDS:
        error = ValueError if isinstance(kind, str) else TypeError
        raise error(f"kind must be 'concurrency' or 'rate', got {short_repr(kind)}")
    is_rate = per is not None or burst is not None
    if is_rate and kind == "concurrency":
        raise ValueError("per and burst are numbers of a rate limit, and kind is 'concurrency'")
    return {
        "kind": "rate" if is_rate else kind,
        "limit": None if limit is None else check_limit(limit, "a limit"),
        "per": None if per is None else microseconds(check_per(per, "a limit")),
        "burst": None if burst is None else check_burst(burst, "a limit"),
    }


def _check_page(after: object, limit: object) -> None:
    if after is not None and not isinstance(after, str):
        raise TypeError(f"after must be a key as text (str), got {short_repr(after)}")
    if after is not None and not is_utf8(after):
        raise ValueError(f"after must be text that UTF-8 can carry, got {short_repr(after)}")
    if limit is None:
        return
    number = whole(limit)
    if number is None:
        raise TypeError(f"limit must be a whole number (int) or None, got {short_repr(limit)}")
    if number < 0:
        raise ValueError(f"limit must not be negative, got {number}")
