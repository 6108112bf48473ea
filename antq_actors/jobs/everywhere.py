"""Middleware of a whole process: every application in it calls it, as the outermost.

Integrations add it that are switched on once for a program, also while applications run there. What
uses the middleware of an application follows these changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakKeyDictionary, WeakSet

from antq_actors.jobs.middleware import Pipeline

if TYPE_CHECKING:
    from antq_actors.jobs.middleware import Middleware


class Follower(Protocol):
    """Uses the middleware of an application."""

    def equip(self) -> None:
        """Take what `current` returns from now on."""


_added: Final[list[Pipeline]] = []
"""One for each middleware, so that each is set up once."""
_combined: Final[WeakKeyDictionary[Pipeline, Pipeline]] = WeakKeyDictionary()
_alone: Final[list[Pipeline]] = []
"""What applications without middleware call, if anything."""
_followers: Final[WeakSet[Follower]] = WeakSet()


class _Combined(Pipeline):
    """Some pipelines, one around the other."""

    def __init__(self, parts: list[Pipeline]) -> None:
        super().__init__(
            [each for part in parts for each in part.middleware],
            [each for part in parts for each in part.given],
        )
        self._parts = parts

    def set_up(self) -> None:
        for part in self._parts:
            try:
                part.set_up()
            finally:
                self.begun = part.begun


def current(given: Pipeline | None) -> Pipeline | None:
    """Return what an application that was *given* this calls now; None: nothing.

    What it was given an instance of itself is not called twice.
    """
    if not _added:
        return given
    if given is None:
        if not _alone:
            _alone.append(_Combined(_added.copy()))
        return _alone[0]
    known = _combined.get(given)
    if known is None:
        own = {type(each) for each in given.middleware}
        others = [each for each in _added if type(each.middleware[0]) not in own]
        known = _combined[given] = _Combined([*others, given]) if others else given
    return known


def follow(follower: Follower) -> None:
    """Equip what uses middleware now, and whenever that of the process changes."""
    follower.equip()
    _followers.add(follower)


def add(middleware: Middleware) -> None:
    """Have every application of this process call a middleware."""
    _added.append(Pipeline([middleware], [middleware]))
    _changed()


def remove(middleware: Middleware) -> None:
    """Have no application call a middleware any more that was added."""
    _added[:] = [each for each in _added if each.middleware[0] is not middleware]
    _changed()


def _changed() -> None:
    _alone.clear()
    _combined.clear()
    for follower in list(_followers):
        follower.equip()
