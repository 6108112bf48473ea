"""Who may do what: the levels of those that look at an application, and who they are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NoReturn

from antq_actors.checks import short_repr
from antq_actors.errors import AntqError


class Access(IntEnum):
    """What a visitor may do; each level includes those below it."""

    NONE = 0
    """Nothing: every page is refused."""
    READ = 1
    """Look at everything, change nothing."""
    OPERATE = 2
    """Change jobs, queues, crons and limits, as the commands of ``antq`` do."""
    CHAOS = 3
    """Also crash, stop and slow down actors, to see what supervision makes of it."""

    @classmethod
    def named(cls, name: str) -> Access:
        """Return the level with this name, in any case. Raises ValueError that lists the names."""
        try:
            return cls[name.upper()]
        except KeyError:
            names = ", ".join(level.name.lower() for level in cls)
            raise ValueError(f"a level is one of {names}, got {short_repr(name)}") from None


@dataclass(frozen=True, slots=True)
class Visitor:
    """Someone who looks at an application: what they may do, and who they are.

    *name* goes into the audit; None: unknown. Raises TypeError for anything else.
    """

    access: Access
    name: str | None = None

    def __post_init__(self) -> None:
        """Raise TypeError for what is no level and no name."""
        if not isinstance(self.access, Access):
            raise TypeError(f"access must be an Access, got {short_repr(self.access)}")
        if self.name is not None and not isinstance(self.name, str):
            raise TypeError(f"name must be a str, got {short_repr(self.name)}")

    def check(self, needed: Access) -> None:
        """Raise Forbidden unless the visitor's level is at least the *needed* one."""
        if self.access < needed:
            _refuse(self, needed)


class Forbidden(AntqError):
    """A visitor's level is too low for what was asked; the message names the one that it takes."""


def _refuse(visitor: Visitor, needed: Access) -> NoReturn:
    raise Forbidden(f"this takes the level {needed.name}, and yours is {visitor.access.name}")
