"""What a supervisor has to know about a child, checked the moment it is written down."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

from antq_actors.checks import check_flag, is_number


class Restart(Enum):
    """When a child that has ended is started again; OTP's table, see `restart.py`."""

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """Only after a crash: not when it ended with ``Normal`` or ``Shutdown``."""
    TEMPORARY = "temporary"
    """Never; its supervisor forgets it as soon as it has ended."""


class Strategy(Enum):
    """Which children are started again together with one that is."""

    ONE_FOR_ONE = "one_for_one"
    """Only the one that ended."""
    ONE_FOR_ALL = "one_for_all"
    """All of them: they are stopped, then started in order."""
    REST_FOR_ONE = "rest_for_one"
    """The one that ended, and those started after it."""


class AutoShutdown(Enum):
    """Whether a supervisor stops when its significant children have ended by themselves."""

    NEVER = "never"
    """It does not; no child may be significant."""
    ANY_SIGNIFICANT = "any_significant"
    """It stops when the first of them has."""
    ALL_SIGNIFICANT = "all_significant"
    """It stops when the last of them has."""


class _BrutalKill(Enum):
    BRUTAL_KILL = "BRUTAL_KILL"

    def __repr__(self) -> str:
        return self.value


BRUTAL_KILL: Final = _BrutalKill.BRUTAL_KILL
"""As ``shutdown`` of a spec: the child is killed at once, its ``terminate`` does not run."""

ShutdownTime: TypeAlias = float | Literal[_BrutalKill.BRUTAL_KILL]
"""Seconds (``math.inf``: as long as it takes) or ``BRUTAL_KILL``."""

ChildType: TypeAlias = Literal["worker", "supervisor"]


@dataclass(frozen=True)
class ChildSpec:
    """How to start, restart and stop one child.

    A value of the wrong type is a ``TypeError``, one out of range a ``ValueError``; both name the
    field. Nothing is started before it is whole.

    >>> ChildSpec("clock", print).shutdown
    5.0
    >>> ChildSpec("clock", print, shutdown=-1)
    Traceback (most recent call last):
        ...
    ValueError: shutdown of child 'clock' must be 0 seconds or more, got -1
    """

    id: Hashable
    """Names the child among its siblings."""
    start: Callable[..., Any]
    """Run as ``start(*args, **kwargs)`` in the supervisor's thread, answers a ref or ``IGNORE``."""
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    restart: Restart = Restart.PERMANENT
    """When the child comes back."""
    shutdown: ShutdownTime | timedelta | None = None
    """Seconds it gets to stop before it is killed; None reads back as 5.0, ``math.inf`` for a
    supervisor, which needs the time for its own children."""
    type: ChildType = "worker"
    """What the tree shows it as, and the default of ``shutdown``."""
    significant: bool = False
    """Its end counts for the ``auto_shutdown`` of its supervisor."""
    drain: bool = False
    """Whether it handles the messages it has before it heeds the order to stop, as in OTP; by
    default that order comes first."""

    def __post_init__(self) -> None:
        checked_id(self.id)
        who = f"of child {self.id!r}"
        if not callable(self.start):
            raise TypeError(f"start {who} must be callable, got {self.start!r}")
        if isinstance(self.args, str | bytes) or not isinstance(self.args, Sequence):
            raise TypeError(f"args {who} must be a tuple, got {self.args!r}")
        object.__setattr__(self, "args", tuple(self.args))
        if not isinstance(self.kwargs, Mapping) or not all(isinstance(k, str) for k in self.kwargs):
            raise TypeError(f"kwargs {who} must map names to values, got {self.kwargs!r}")
        object.__setattr__(self, "kwargs", dict(self.kwargs))
        if not isinstance(self.restart, Restart):
            raise TypeError(
                f"restart {who} must be a Restart, got {self.restart!r}{member_hint(Restart)}"
            )
        if not isinstance(self.type, str):
            raise TypeError(f"type {who} must be 'worker' or 'supervisor', got {self.type!r}")
        if self.type not in ("worker", "supervisor"):
            raise ValueError(f"type {who} must be 'worker' or 'supervisor', got {self.type!r}")
        object.__setattr__(self, "shutdown", _shutdown_time(self.shutdown, self.type, who))
        self._check_flags(who)

    def _check_flags(self, who: str) -> None:
        check_flag(self.significant, f"significant {who}")
        if self.significant and self.restart is Restart.PERMANENT:
            raise ValueError(
                f"significant {who} must be False for a permanent child: it never ends for good; "
                "make it Restart.TRANSIENT or Restart.TEMPORARY"
            )
        check_flag(self.drain, f"drain {who}")
        if self.drain and self.shutdown is BRUTAL_KILL:
            raise ValueError(f"drain {who} must be False: BRUTAL_KILL leaves it no time for that")

    def with_more_args(self, args: tuple[Any, ...]) -> ChildSpec:
        """Return a copy of this spec whose child is started with *args*, too.

        All else is checked already, so this costs a fifth of a new spec.
        """
        spec = object.__new__(ChildSpec)
        spec.__dict__.update(self.__dict__, args=self.args + args)
        return spec

    @property
    def shutdown_time(self) -> ShutdownTime:
        """How long the child may take to stop: seconds or ``BRUTAL_KILL``."""
        return self.shutdown  # type: ignore[return-value]  # __post_init__ filled the default in


def to_spec(child: object) -> ChildSpec:
    """Return the ChildSpec of *child*: a spec itself, or a GenServer class, asked for its own.

    ``TypeError`` for anything else.
    """
    if isinstance(child, ChildSpec):
        return child

    make = getattr(child, "child_spec", None) if isinstance(child, type) else None
    if not callable(make):
        raise TypeError(f"a child is a ChildSpec or a GenServer class, got {child!r}{_hint(child)}")
    spec = make()
    if not isinstance(spec, ChildSpec):
        raise TypeError(f"{child!r}.child_spec() must answer a ChildSpec, got {spec!r}")
    return spec


def _hint(child: object) -> str:
    if isinstance(child, type) and hasattr(child, "on_receive"):
        return f"; write supervised({child.__name__}), which makes a child of a pykka actor"
    if not isinstance(child, type) and callable(child):
        return "; a function becomes a child with Task.child_spec(fn, *args)"
    if hasattr(child, "await_"):
        return "; it runs already: its supervisor starts it, of Task.child_spec(fn, *args)"
    if hasattr(child, "actor_urn"):  # an actor or a ref; nothing is imported here to ask pykka
        return "; the supervisor starts its children itself: give the class, or its child_spec(...)"
    return ""


def member_hint(kind: type[Enum]) -> str:
    """Return how the members of an Enum are written, as the end of an error's text."""
    return "; write " + " or ".join(str(member) for member in kind)


def check_significant(spec: ChildSpec, auto_shutdown: AutoShutdown) -> None:
    """Raise ValueError for a significant child whose supervisor never looks at that."""
    if spec.significant and auto_shutdown is AutoShutdown.NEVER:
        raise ValueError(
            f"significant of child {spec.id!r} must be False: its supervisor has "
            "auto_shutdown=AutoShutdown.NEVER"
        )


def checked_id(child_id: Hashable) -> Hashable:
    """Return *child_id*; TypeError unless it can be the id of a child."""
    try:
        hash(child_id)
    except TypeError:
        raise TypeError(f"id of a child must be hashable, got {child_id!r}") from None
    return child_id


def _shutdown_time(
    given: ShutdownTime | timedelta | None, child_type: ChildType, who: str
) -> ShutdownTime:
    if given is None:
        return math.inf if child_type == "supervisor" else 5.0
    if isinstance(given, _BrutalKill):
        return given
    if isinstance(given, timedelta):
        given = given.total_seconds()
    if not is_number(given):
        raise TypeError(f"shutdown {who} must be seconds, math.inf or BRUTAL_KILL, got {given!r}")
    if not given >= 0:  # also catches NaN
        raise ValueError(f"shutdown {who} must be 0 seconds or more, got {given!r}")
    return math.inf if given > sys.float_info.max else float(given)
