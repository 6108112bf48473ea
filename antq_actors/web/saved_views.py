"""Lists of jobs under a name: a visitor's own, in a cookie, and those of a team, from a file.

A view is a filter, an order and a number of rows, never an address: no name leads to another page
or another site. Visitors' names are any text, which pages escape.
"""

from __future__ import annotations

import json
import os
import tomllib
import unicodedata
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from antq_actors.checks import did_you_mean, short_repr
from antq_actors.insights.filters import Filter

ORDERS: Final = ("newest", "oldest")
LIMITS: Final = (50, 100, 200)
"""Rows of a page."""
MOST_OWN: Final = 20
MOST_OF_A_TEAM: Final = 50
LONGEST_NAME: Final = 60
LONGEST_FILTER: Final = 4_000
"""Characters, as of the box that it is typed into."""
MOST_BYTES: Final = 3_500
"""Of the cookie; browsers keep 4,096 of it with its name and its path."""
_KEYS: Final = ("filter", "order", "limit")
_EXAMPLE: Final = '"Failed mail" = "status:failed queue:mail"'


@dataclass(frozen=True, slots=True)
class SavedView:
    """A list of jobs under a name."""

    name: str
    filter: str = ""
    order: str = ORDERS[0]
    limit: int = LIMITS[0]
    is_own: bool = field(default=False, compare=False)
    """Whether it is the visitor's own, who can remove it."""

    @property
    def query(self) -> dict[str, str | None]:
        """What the list is asked for; None: what it shows unless asked."""
        return {
            "q": self.filter or None,
            "order": None if self.order == ORDERS[0] else self.order,
            "limit": None if self.limit == LIMITS[0] else str(self.limit),
        }


def check_view(name: str, filter_: object, order: object, limit: object) -> SavedView:
    """Return a view. Raises TypeError and ValueError, a FilterError among them."""
    if not isinstance(filter_, str):
        raise TypeError(f"filter must be text such as 'status:failed', got {short_repr(filter_)}")
    if len(filter_) > LONGEST_FILTER:
        raise ValueError(f"filter may have {LONGEST_FILTER:,} characters, got {len(filter_):,}")
    Filter.parse(filter_)
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, got {short_repr(order)}")
    if type(limit) is not int or limit not in LIMITS:
        numbers = ", ".join(map(str, LIMITS))
        raise ValueError(f"limit must be one of {numbers}, got {short_repr(limit)}")
    if any(unicodedata.category(each) == "Cs" for each in filter_):
        raise ValueError(f"filter has half a character, which no address can hold: {filter_!a}")
    return SavedView(check_name(name), filter_, str(order), limit)


def check_name(name: str) -> str:
    """Return the name of a view with single blanks. Raises ValueError for one nobody could read.

    >>> check_name("  Failed   mail ")
    'Failed mail'
    """
    shown = " ".join(name.split())
    if not 1 <= len(shown) <= LONGEST_NAME:
        raise ValueError(
            f"the name of a view must have 1 to {LONGEST_NAME} characters, got {len(shown)}"
        )
    kinds = {unicodedata.category(each) for each in shown}
    if {"Cc", "Cs"} & kinds or not any(kind[0] in "LNPS" for kind in kinds):
        raise ValueError(
            "the name of a view must have something to read in it and no control characters, got"
            f" {short_repr(shown)}"
        )
    return shown


# ---- of a visitor --------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def views_in(cookie: str) -> tuple[SavedView, ...]:
    """Return the views in a visitor's cookie; none where we did not write it."""
    if len(cookie) > MOST_BYTES:
        return ()
    try:
        listed = json.loads(urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4)))
        found = [_kept_view(*each) for each in listed]
    except (ValueError, TypeError, RecursionError):
        return ()
    return tuple(found[:MOST_OWN])


def _kept_view(name: str, filter_: str, order: str, limit: int) -> SavedView:
    """Return a view of a cookie. Raises TypeError and ValueError for one that was never kept."""
    (name + filter_).encode()  # what has half a character, or is no text, was never kept
    if order not in ORDERS or limit not in LIMITS:
        raise ValueError("a cookie of ours has no such order or limit")
    return SavedView(name, filter_, order, int(limit), is_own=True)


def cookie_of(views: tuple[SavedView, ...]) -> str:
    """Return the cookie that keeps *views*.

    >>> cookie = cookie_of((SavedView("Failed", "status:failed"),))
    >>> [each.name for each in views_in(cookie)]
    ['Failed']
    """
    listed = [astuple(each)[:4] for each in views]
    text = json.dumps(listed, ensure_ascii=False, separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def with_view(views: tuple[SavedView, ...], new: SavedView) -> tuple[SavedView, ...]:
    """Return a visitor's views with another one, which replaces the one of its name.

    Raises ValueError where a browser cannot keep it.
    """
    names = [each.name for each in views]
    at = names.index(new.name) if new.name in names else len(views)
    found = (*views[:at], new, *views[at + 1 :])
    instead = "; remove one first, or put it into the file of antq web --views"
    if len(found) > MOST_OWN:
        raise ValueError(f"a browser keeps {MOST_OWN} views, and has them{instead}")
    if (size := len(cookie_of(found))) > MOST_BYTES:
        raise ValueError(
            f"a browser keeps {MOST_BYTES:,} bytes of views, and these would be {size:,}{instead}"
        )
    return found


def without_view(views: tuple[SavedView, ...], name: str) -> tuple[SavedView, ...]:
    """Return a visitor's views without the one of a name."""
    return tuple(each for each in views if each.name != name)


# ---- of a team -----------------------------------------------------------------------------------


def team_views(given: object) -> tuple[SavedView, ...]:
    """Return the views of a mapping, or of the TOML file at a path.

    Raises TypeError and ValueError that name the file and the view.
    """
    if isinstance(given, str | os.PathLike):
        return read_views(Path(given))
    if not isinstance(given, Mapping):
        raise TypeError(
            "views must be a mapping of names to filters, or the path of a TOML file, got"
            f" {short_repr(given)}"
        )
    return _checked(given, "views")


def read_views(path: Path) -> tuple[SavedView, ...]:
    """Return the views of a TOML file: names with filters, or with tables.

    Raises ValueError that names the line or the view.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"the views in {path} cannot be read: {error}") from None
    if not document:
        raise ValueError(f"{path} has no views; write lines such as {_EXAMPLE}")
    return _checked(document, str(path))


def _checked(given: Mapping[Any, Any], where: str) -> tuple[SavedView, ...]:
    if len(given) > MOST_OF_A_TEAM:
        raise ValueError(f"{where} may have {MOST_OF_A_TEAM} views, got {len(given)}")
    found: dict[str, SavedView] = {}
    for name, value in given.items():
        if not isinstance(name, str):
            raise TypeError(f"{where} must have names (str) as keys, got {short_repr(name)}")
        try:
            view = _view_of(name, value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}, view {name[:LONGEST_NAME]!r}: {error}") from None
        if view.name in found:
            raise ValueError(f"{where}, view {name[:LONGEST_NAME]!r}: this name is there twice")
        found[view.name] = view
    return tuple(found.values())


def _view_of(name: str, value: object) -> SavedView:
    if isinstance(value, str):
        value = {"filter": value}
    if not isinstance(value, Mapping):
        raise TypeError(
            f"it must be a filter, as in {_EXAMPLE}, or a table of {', '.join(_KEYS)}, got"
            f" {short_repr(value)}"
        )
    for key in value:
        if key not in _KEYS:
            raise ValueError(f"unknown key {short_repr(key)}{did_you_mean(str(key), _KEYS)}")
    if "filter" not in value:
        raise ValueError('filter is missing; write for example filter = "status:failed"')
    order, limit = value.get("order", ORDERS[0]), value.get("limit", LIMITS[0])
    return check_view(name, value["filter"], order, limit)
