"""What a route is, and how the one of a request is found."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import compile_path

from antq_actors.insights.access import Access

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from starlette.responses import Response


class Method(StrEnum):
    """How a route is asked."""

    GET = "GET"
    POST = "POST"


class Asks(Enum):
    """When a page asks before a verb is carried out: with scripts in a dialog, else on a page."""

    NEVER = "never"
    FOR_FIELDS = "for fields"
    """Unless one of its fields was sent, or ``confirm``."""
    ALWAYS = "always"
    """Unless ``confirm`` was sent: it cannot be undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page, and with the same path below ``/api/v1`` what it shows as JSON."""

    path: str
    name: str
    """Of its template, and of the page as ``next`` names it."""
    read: Callable[[Any], Any]
    """Return what is shown to a `View`: a value of :mod:`antq_actors.insights`, or a response."""
    more: Callable[[Any, Any], Mapping[str, Any]] = lambda _view, _value: {}
    """Return what the template is given beside that, by name; the API does not answer it."""
    level: Access = Access.READ
    has_api: bool = True
    has_page: bool = True
    method: Method = field(default=Method.GET, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Download(Page):
    """A file that a page leads to: no page by itself, and not of the API."""

    has_api: bool = False
    has_page: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A field of a form that a person fills."""

    name: str
    label: str
    type: str = "text"
    hint: str = ""
    """What may be written, with an example."""
    choices: tuple[str, ...] = ()
    """What is chosen from; none: anything can be written."""
    is_needed: bool = False


REASON: Final = Input(name="reason", label="Reason", hint="for the audit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """Something that changes: a form leads to a page afterwards, JSON is answered with JSON."""

    path: str
    act: Callable[[Any], Any]
    """Carry out what a `View` asks for, and return what was done, a `Done`; or a response."""
    words: str
    """What its button and its dialog are called: "Retry job {id}", of the path and the query."""
    fields: frozenset[str] = frozenset()
    """Those that it may be sent, beside ``reason``, and of forms ``confirm`` and ``next``."""
    inputs: tuple[Input, ...] = ()
    """Those of them that a dialog asks for."""
    asks: Asks = Asks.NEVER
    ask: Callable[[Any], Response] | None = None
    """Return the page that asks a `View`; None: that with its inputs."""
    next: str = "overview"
    """The page that it leads to, unless the form says another."""
    level: Access = Access.OPERATE
    has_api: bool = True
    has_page: bool = True
    method: Method = field(default=Method.POST, init=False)

    def title(self, values: Mapping[str, Any]) -> str:
        """Return its words with the *values* of the path and the query."""
        return self.words.format_map(values)

    def is_asked(self, sent: Mapping[str, Any]) -> bool:
        """Return whether a form with the fields *sent* is answered with a page that asks."""
        if "confirm" in sent or self.asks is Asks.NEVER:
            return False
        asked = {each.name for each in self.inputs}
        return self.asks is Asks.ALWAYS or not (asked & set(sent))


Route = Page | Verb

COMMON_FIELDS: Final = frozenset({"reason"})
FORM_FIELDS: Final = frozenset({"confirm", "next"})


class Routes:
    """All routes; finds that of a request."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._all = tuple(routes)
        self._verbs = {each.path: each for each in self._all if isinstance(each, Verb)}
        self._pages = {each.path for each in self._all if isinstance(each, Page) and each.has_page}
        self._plain: dict[str, list[Route]] = {}
        """Those whose paths are what they are, by path: most, found without a pattern."""
        self._patterns = []
        for route in self._all:
            if "{" in route.path:
                self._patterns.append((compile_path(route.path), route))
            else:
                self._plain.setdefault(route.path, []).append(route)

    def __iter__(self) -> Iterator[Route]:
        return iter(self._all)

    def has_page(self, path: str) -> bool:
        """Return whether there is a page with this declared path."""
        return path in self._pages

    def verb(self, path: str) -> Verb | None:
        """Return the verb of a path, as it is declared; None: there is none."""
        return self._verbs.get(path)

    def find(self, path: str) -> tuple[dict[Method, Route], Mapping[str, Any]]:
        """Return the routes of a path by their methods, and what the path holds."""
        found: dict[Method, Route] = {}
        params: dict[str, Any] = {}
        for route in self._plain.get(path, ()):
            found.setdefault(route.method, route)
        for (regex, _, convertors), route in self._patterns:
            match = regex.match(path)
            if match is None or route.method in found:
                continue
            found[route.method] = route
            params = {
                name: convertors[name].convert(value) for name, value in match.groupdict().items()
            }
        return found, params
