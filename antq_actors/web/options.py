"""What a dashboard is told when it is made, checked before anything is answered."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from antq_actors.checks import check_flag, short_repr
from antq_actors.insights.access import Access, Visitor
from antq_actors.otp import ServerRef, Via
from antq_actors.web.guard import host_name
from antq_actors.web.saved_views import team_views

if TYPE_CHECKING:
    from collections.abc import Iterable

    from antq_actors.web.saved_views import SavedView

SHORTEST_TOKEN: Final = 32
"""Characters that a Bearer token needs at least."""

_SOURCE: Final = re.compile(r"'self'|https?:|(https?://)?[\w*.:\[\]-]+(/[^\s;,]*)?", re.ASCII)
"""What may stand in a policy as one of the sources of ``frame-ancestors``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of :func:`~antq_actors.web.dashboard`. What is wrong with one is raised."""

    access: Callable[[Any], Any] | None = None
    tokens: Mapping[str, Visitor] | None = None
    """Whom each Bearer token is for."""
    trees: Sequence[Any] = ()
    hosts: Sequence[str] | None = None
    frame_ancestors: Sequence[str] = ()
    csp: str | None = None
    redact: Callable[[str, Any], Any] | None = None
    prometheus: bool = False
    chaos: bool = False
    views: tuple[SavedView, ...] = ()
    """Those that all visitors see."""


def check_options(
    *,
    access: object,
    tokens: object,
    trees: object,
    hosts: object,
    frame_ancestors: object,
    csp: object,
    redact: object,
    prometheus: object,
    chaos: object,
    views: object,
) -> Options:
    """Return the options of a dashboard. Raises TypeError and ValueError that name the option."""
    if csp is not None and not isinstance(csp, str):
        raise TypeError(f"csp must be a str, got {short_repr(csp)}")
    if csp is not None and not (csp.isascii() and csp.isprintable() and csp.strip()):
        raise ValueError(f"csp must be one line of ASCII, got {short_repr(csp)}")
    return Options(
        access=_checked_callable(access, "access", "of the request, that returns an Access"),
        tokens=None if tokens is None else _checked_tokens(tokens),
        trees=_checked_trees(trees),
        hosts=None if hosts is None else _checked_hosts(hosts),
        frame_ancestors=_checked_ancestors(frame_ancestors),
        csp=csp,
        redact=_checked_callable(redact, "redact", "of a path and a value, that returns a value"),
        prometheus=check_flag(prometheus, "prometheus"),
        chaos=check_flag(chaos, "chaos"),
        views=() if views is None else team_views(views),
    )


def _checked_callable(given: object, what: str, kind: str) -> Callable[..., Any] | None:
    if given is not None and not callable(given):
        raise TypeError(f"{what} must be a function {kind}, got {short_repr(given)}")
    return given


def _checked_several(given: object, what: str, kind: str) -> tuple[Any, ...]:
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Sequence):
        raise TypeError(f"{what} must be a sequence of {kind}, got {short_repr(given)}")
    return tuple(given)


def _checked_trees(given: object) -> tuple[Any, ...]:
    several = _checked_several(given, "trees", "refs or registered names")
    for each in several:
        if not isinstance(each, ServerRef | str | Via):
            raise TypeError(
                f"trees must be a sequence of refs or names, got {short_repr(each)} in it"
            )
    return several


def _checked_texts(given: object, what: str, kind: str) -> tuple[str, ...]:
    several = _checked_several(given, what, kind)
    for each in several:
        if not isinstance(each, str):
            raise TypeError(f"{what} must be a sequence of {kind} (str), got {short_repr(each)}")
    return several


def _checked_hosts(given: object) -> tuple[str, ...]:
    names = _checked_texts(given, "hosts", "names")
    for name in names:
        if host_name(name) != name.lower():
            raise ValueError(
                f"hosts must be names without scheme, port and path, such as 'jobs.example.org',"
                f" got {short_repr(name)}"
            )
    return names


def _checked_ancestors(given: object) -> tuple[str, ...]:
    sources = _checked_texts(given, "frame_ancestors", "origins")
    for source in sources:
        if not _SOURCE.fullmatch(source):
            raise ValueError(
                "frame_ancestors must be origins, such as 'https://intranet.example.org', got"
                f" {short_repr(source)}"
            )
    return sources


def _checked_tokens(given: object) -> dict[str, Visitor]:
    if not isinstance(given, Mapping):
        raise TypeError(f"tokens must be a mapping of tokens to Access, got {short_repr(given)}")
    for token, access in given.items():
        if not isinstance(token, str):
            raise TypeError(f"tokens must have tokens (str) as keys, got {type(token).__name__}")
        if not isinstance(access, Access):
            raise TypeError(f"tokens must have Access as values, got {short_repr(access)}")
    check_tokens(given, "tokens")
    return {token: Visitor(access) for token, access in given.items()}


def check_tokens(tokens: Iterable[str], what: str) -> None:
    """Raise ValueError for a token that is too short, or that no header can hold."""
    for token in tokens:
        if len(token) < SHORTEST_TOKEN:
            raise ValueError(
                f"{what} must have at least {SHORTEST_TOKEN} characters each, got one of"
                f" {len(token)}; write the output of `openssl rand -hex 32`"
            )
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise ValueError(f"{what} must be of ASCII without blanks: they are sent in a header")
