"""A part of a list that is read whole: cursors are the names or numbers of its items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from antq_actors.web.refusals import bad_field

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.web.view import View

DEFAULT: Final = 100
MOST: Final = 1_000
_MOST_DIGITS: Final = 20


@dataclass(frozen=True, slots=True)
class Listed:
    """A part of a list, and the cursors of its neighbours; None: there are none."""

    items: Sequence[Any]
    next: str | None
    previous: str | None


def listed(view: View, items: Sequence[Any], key: Callable[[Any], object]) -> Listed:
    """Return the part of *items* that the query of *view* asks for; *key* of one is its cursor.

    Raises Refusal for a limit that is none, and for two cursors at once.
    """
    limit = number_in(view, "limit", DEFAULT, MOST)
    after, before = view.one("after"), view.one("before")
    if after is not None and before is not None:
        raise bad_field("give after or before, not both")
    return part_of(items, [str(key(item)) for item in items], limit, after, before)


def part_of(
    items: Sequence[Any],
    keys: Sequence[str],
    limit: int,
    after: str | None = None,
    before: str | None = None,
) -> Listed:
    """Return at most *limit* items behind or in front of a cursor.

    What a cursor names may be gone: then the list begins anew.

    >>> part_of("abcde", list("abcde"), 2, after="b")
    Listed(items='cd', next='d', previous='c')
    >>> part_of("abcde", list("abcde"), 2, before="c")
    Listed(items='ab', next='b', previous=None)
    """
    start = keys.index(after) + 1 if after in keys else 0
    end = min(len(items), start + limit)
    if before in keys:
        end = keys.index(before)
        start = max(0, end - limit)
    return Listed(
        items[start:end],
        keys[end - 1] if start < end < len(items) else None,
        keys[start] if 0 < start < end else None,
    )


def number_in(view: View, name: str, default: int, most: int) -> int:
    """Return a number of the query from 1 to *most*. Raises Refusal."""
    given = view.one(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and 1 <= int(given[:9]) <= most):
        raise bad_field(f"{name} must be a whole number from 1 to {most:,}, got {given!r}")
    return int(given)


def node_in(view: View) -> int | None:
    """Return the number of a node in the query; None: it names none. Raises Refusal."""
    given = view.one("node")
    if given is None or given == "":
        return None
    if not (given.isascii() and given.isdigit()):
        raise bad_field(f"node must be the number of a node, got {given!r}")
    return int(given[:20])


def cursor_in(view: View, name: str) -> int | None:
    """Return a cursor of the query that is a number, such as the id of a job; None: there is none.

    Raises Refusal.
    """
    given = view.one(name)
    if given is None or given == "":
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= _MOST_DIGITS):
        raise bad_field(f"{name} must be a number that a page has led to, got {given!r}")
    return int(given)
