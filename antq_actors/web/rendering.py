"""Values as pages: the templates, and what they may call.

Everything is escaped: no template and no filter marks a text as safe.
"""

from __future__ import annotations

import gzip
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from antq_actors.errors import AntqError
from antq_actors.insights.access import Access
from antq_actors.insights.as_json import as_json, dump_json
from antq_actors.web.settings import settings_of
from antq_actors.web.shell import shell_of
from antq_actors.web.static_files import static_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from antq_actors.web.refusals import Refusal
    from antq_actors.web.routes import Page
    from antq_actors.web.view import View


_AWAY: Final = 503
_LEVEL: Final = 3
"""Of compression: a tenth larger than at the usual level, in a third of the time."""


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the environment of all templates, made once."""
    made = Environment(
        loader=PackageLoader("antq_actors.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        digest=_digest,
        ago=ago,
        duration=duration,
        instant=instant,
        number=number,
        short=short,
        compact=compact,
        field_names=lambda value: list(as_json(value)),
        field_values=lambda value: list(as_json(value).values()),
    )
    made.globals.update(quoted=quoted)
    return made


def render(view: View, name: str, value: Any, status: int = 200, **more: Any) -> Response:
    """Return the page *name*, which shows *value* as ``it``."""
    template = environment().get_template(f"{name}.html")
    text = template.render(_context(view, name, value), **more)
    body, headers = encoded(view.request, text)
    return HTMLResponse(body, status, headers)


def is_compressed(request: Request) -> bool:
    """Return whether a page is sent compressed: where the browser takes it."""
    return "gzip" in request.headers.get("accept-encoding", "")


def encoded(request: Request, text: str) -> tuple[bytes, dict[str, str]]:
    """Return the HTML *text* as it is sent, with the headers that say how."""
    body = text.encode("utf-8", "replace")
    headers = {"vary": "accept-encoding"}
    if is_compressed(request):
        body = gzip.compress(body, _LEVEL, mtime=0)
        headers["content-encoding"] = "gzip"
    return body, headers


def render_region(view: View, name: str, value: Any, **more: Any) -> str:
    """Return the block "region" of a page alone."""
    template = environment().get_template(f"{name}.html")
    return template.render({**_context(view, name, value), "is_region": True}, **more)


def has_region(page: Page) -> bool:
    """Return whether a page has a part that is fetched anew by itself."""
    return page.has_page and "region" in environment().get_template(f"{page.name}.html").blocks


def _context(view: View, name: str, value: Any) -> dict[str, Any]:
    """Return what every template can use."""
    return {
        "is_region": False,
        "shell": shell_of(view, name),
        "settings": settings_of(view.request),
        "visitor": view.visitor,
        "can": partial(_can, view),
        "url": view.url,
        "action": view.action,
        "target_of": lambda row: view.url("/") + row.target,
        "static": lambda file: view.url(static_path(file)),
        "query": view.one,
        "names": view.names,
        "it": value,
        "now": view.now,
    }


def _can(view: View, level: str) -> bool:
    """Return whether the visitor may do what takes a *level*; below it there are no buttons."""
    return view.visitor.access >= Access.named(level)


def render_refusal(request: Request, refusal: Refusal, headers: Mapping[str, str]) -> Response:
    """Return the page of a refused request: for those who may look, a page like the others."""
    view: View | None = request.scope.get("antq.view")
    depth = str(request.scope["antq.path"]).strip("/").count("/")
    up = "../" * depth or "./"
    context: dict[str, Any] = {
        "settings": settings_of(request),
        "static": lambda file: up + static_path(file),
        "shell": None,
    }
    if view is not None and view.visitor.access >= Access.READ and refusal.status != _AWAY:
        with suppress(AntqError):  # the store went away meanwhile: without what is around a page
            context = _context(view, "refusal", None)
    context["refusal"] = refusal
    name = "refusal" if context["shell"] else "refusal_bare"
    text = environment().get_template(f"{name}.html").render(context)
    return HTMLResponse(text.encode("utf-8", "replace"), refusal.status, headers=dict(headers))


# ---- filters ------------------------------------------------------------------------------------

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR


def duration(seconds: float | None) -> str:
    """Return a duration as people say it, with two units at most.

    >>> [duration(each) for each in (0.0004, 0.25, 3.21, 75, 7380, 200_000)]
    ['0 ms', '250 ms', '3.2 s', '1 min 15 s', '2 h 3 min', '2 d 7 h']
    """
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1_000:.0f} ms"
    if seconds < 10:  # noqa: PLR2004 - below, tenths of a second are of interest
        return f"{seconds:.1f} s".replace(".0 ", " ")
    for unit, size, lower, part in (
        ("min", _MINUTE, "s", 1),
        ("h", _HOUR, "min", _MINUTE),
        ("d", _DAY, "h", _HOUR),
    ):
        if seconds < size:
            break
        if unit == "d" or seconds < size * (24 if unit == "h" else 60):
            whole, rest = divmod(int(seconds), size)
            return (
                f"{whole:,} {unit} {rest // part} {lower}" if rest // part else f"{whole:,} {unit}"
            )
    return f"{seconds:.0f} s"


def ago(at: datetime | None, now: datetime) -> str:
    """Return how long ago an instant was, or in how long it will be."""
    if at is None:
        return "–"
    seconds = (now - at).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"{duration(seconds)} ago" if seconds > 0 else f"in {duration(-seconds)}"


def instant(at: datetime) -> str:
    """Return an instant in UTC, as a person reads it."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _digest(text: str) -> str:
    """Return a short name for a text, of letters and digits alone, for the ``id`` of an element."""
    return f"f{crc32(text.encode()):08x}-"


def compact(value: Any, most: int = 200) -> str:
    """Return a value as JSON on one line, of at most *most* characters."""
    return short(dump_json(value), most)


def quoted(text: str) -> str:
    r"""Return a text as a quoted value of a filter, which finds that text alone.

    >>> print(quoted('a "b"'))
    "a \"b\""
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def number(value: float | None) -> str:
    """Return a number with its thousands apart; – for None.

    >>> number(12_000), number(12.34), number(0.0304), number(0.0)
    ('12,000', '12.3', '0.0304', '0')
    """
    if value is None:
        return "–"
    if isinstance(value, float) and abs(value) < 1:
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}".removesuffix(".0")


def short(text: str, most: int = 120) -> str:
    """Return a text of at most *most* characters, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
