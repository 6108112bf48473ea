"""What was done to an application by hand, by whom and why: an entry of the audit.

This file decides what an action may be called; what is kept of it, and for how long, is elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - explain_fields reads annotations
from typing import Final, NamedTuple

from antq_actors.checks import escaped, short_repr
from antq_actors.introspection import explain_fields

MOST_CHARACTERS: Final = 4_000
"""Of each text of an action; what is longer is cut."""
UNREADABLE: Final = "<encrypted>"
"""The target, and the reason, of an entry that no key decrypts."""
_CUT: Final = "…"


@explain_fields
@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that was done by hand, as ``AntQ.audit`` returns it."""

    at: datetime
    """When, in UTC."""
    name: str | None
    """Who has done it; None: nobody was named."""
    verb: str
    """What was done, such as ``"retry"``, ``"pause"`` or ``"bulk cancel"``."""
    target: str
    """To what: ``"job 17"``, ``"queue mail"``, or a filter."""
    count: int
    """How many jobs, or other things, it has changed."""
    reason: str | None
    """Why, as whoever did it has said; None: nothing was said."""


class Action(NamedTuple):
    """What somebody does, as its entry is to tell it."""

    name: str | None
    verb: str
    target: str
    reason: str | None


def action(name: object, verb: object, target: object, reason: object) -> Action:
    """Return an action with these texts. Raises TypeError for what is none."""
    return Action(
        _text(name, "name", " or None") if name is not None else None,
        _text(verb, "verb"),
        _text(target, "target"),
        _text(reason, "reason", " or None") if reason is not None else None,
    )


def _text(value: object, what: str, or_else: str = "") -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str{or_else}, got {short_repr(value)}")
    text = escaped(value)
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + _CUT


def mark_of(action: Action, *, hides: bool) -> str:
    """Return what charts say of an action; *hides*: not to what, as that may be a filter."""
    who = "" if action.name is None else f" by {action.name}"
    return f"{action.verb}{'' if hides else f' of {action.target}'}{who}"
