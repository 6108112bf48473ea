"""One request, as the functions that answer it see it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from antq_actors.web.refusals import Refusal, bad_field
from antq_actors.web.routes import FORM_FIELDS, Method, Page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from antq_actors import AntQ
    from antq_actors.insights.access import Visitor
    from antq_actors.insights.reader import Insights
    from antq_actors.insights.verbs import Verbs
    from antq_actors.web.options import Options
    from antq_actors.web.results import Results
    from antq_actors.web.routes import Routes, Verb

MOST_BODY_BYTES: Final = 2**20
"""Of a form or of the JSON of a verb."""

NEXT_PAGES: Final = ("overview", "jobs", "job", "queues", "queue", "tree", "errors")
"""What a form may name as ``next``."""

SAID: Final = ("did", "changed", "result", "undo")
"""What the query of a page says of the verb that led to it."""

LIST_QUERY: Final = ("q", "order", "limit", "after", "before")
"""What the list of jobs is asked for."""

_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
_OF_IDS: Final = {
    "job": "jobs",
    "batch": "batches",
    "workflow": "workflows",
    "bulk_progress": "bulk",
}
"""Pages of one thing with an id, by name; and the lists of these."""
_OF_NAMES: Final = {"queue": "queues", "cron": "crons", "limit": "limits"}
"""The same, of those with a name."""


@dataclass(frozen=True, slots=True)
class Action:
    """A verb, about something: what its button is called, and where its form is sent."""

    verb: Verb
    title: str
    url: str


@dataclass(slots=True, kw_only=True)
class View:
    """A request that is answered: who sent it, what it asks for, and the application."""

    request: Request
    app: AntQ
    insights: Insights
    options: Options
    routes: Routes
    results: Results
    visitor: Visitor
    is_api: bool
    path: str
    """Of the page, below the mount; links are relative to it."""
    params: Mapping[str, Any]
    """What the path holds: an id, a number."""
    query: Mapping[str, Sequence[str]]
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What a verb was sent; of forms lists of texts, of JSON any value."""

    @property
    def verbs(self) -> Verbs:
        """What can be done for the visitor."""
        return self.insights.verbs(self.visitor)

    @property
    def depth(self) -> int:
        """How many folders the page is below the mount."""
        return self.path.strip("/").count("/")

    @property
    def names(self) -> dict[str, Any]:
        """What path, query and form hold, the first value of each."""
        sent = {} if self.is_api else self.fields
        found = {name: texts[0] for name, texts in (*sent.items(), *self.query.items()) if texts}
        return {**found, **self.params}

    @property
    def root(self) -> str:
        """The path of the mount, with a slash at its end: that of the cookies."""
        return str(self.request.scope.get("root_path", "")).rstrip("/") + "/"

    def url(self, path: str, **query: object) -> str:
        """Return the URL of a path below the mount, relative to this request's.

        Relative, so that it is right behind whatever prefix the site is seen.
        """
        up = "../" * self.depth or "./"
        texts = {name: str(value) for name, value in query.items() if value is not None}
        return up + quote(path.lstrip("/")) + (f"?{urlencode(texts)}" if texts else "")

    def action(self, path: str, **values: object) -> Action | None:
        """Return a verb by its declared path, with the *values* of its path and its query.

        None: there is no such verb.
        """
        verb = self.routes.verb(path)
        if verb is None:
            return None
        query = {name: value for name, value in values.items() if f"{{{name}" not in path}
        filled = _PARAMETER.sub(lambda found: str(values[found[1]]), path)
        return Action(verb, verb.title(values), self.url(filled, **query))

    def one(self, name: str, default: str | None = None) -> str | None:
        """Return a value of the query; *default* where there is none. Raises Refusal for two."""
        given = self.query.get(name, ())
        if len(given) > 1:
            raise bad_field(f"{name} is given {len(given)} times, and can be given once")
        return given[0] if given else default

    def needed(self, name: str) -> str:
        """Return a value of the query that has to be there. Raises Refusal."""
        found = self.one(name)
        if found is None:
            raise bad_field(f"{name} is missing: write ?{name}=…")
        return found

    def kept(self) -> Any:
        """Return the result of the verb that led here; None: there is none, or no more."""
        return self.results.get(self.one("result"))

    def sent(self, name: str) -> Any:
        """Return a field that a verb was sent; None: it was not, or the box was left empty.

        Raises Refusal for one that was sent twice.
        """
        given = self.fields.get(name)
        if self.is_api or given is None:
            return given
        if len(given) > 1:
            raise bad_field(f"{name} is given {len(given)} times, and can be given once")
        return given[0] or None

    def sent_all(self, name: str) -> list[Any]:
        """Return all values of a field that may be sent several times."""
        given = self.fields.get(name, [])
        return given if isinstance(given, list) else [given]

    def sent_fields(self) -> dict[str, Any]:
        """Return what a verb was sent, without what is only a form's."""
        names = (name for name in self.fields if name not in FORM_FIELDS)
        return {name: value for name in names if (value := self.sent(name)) is not None}

    def next_page(self, default: str) -> str:
        """Return the URL of the page that a form names as ``next``; *default*: of another.

        A name of ours, never a URL, so that no form leads to another site. Raises Refusal.
        """
        name = self.sent("next")
        if name is None:
            return self.page_url(default)
        if name not in NEXT_PAGES:
            raise bad_field(f"next must be one of {', '.join(NEXT_PAGES)}, got {name!r}")
        return self.page_url(name)

    def came_from(self) -> str | None:
        """Return the URL of the page of ours that a form says it is on; None: none of ours.

        Browsers say it in ``Referer``. Only the path of a page below the mount counts, and its
        query but for what was done there, so that no form leads to another site.
        """
        try:
            said = urlsplit(self.request.headers.get("referer", ""))
        except ValueError:
            return None
        if said.netloc != self.request.headers.get("host") or not said.path.startswith(self.root):
            return None
        path = "/" + said.path.removeprefix(self.root)
        page = self.routes.find(path)[0].get(Method.GET)
        if not isinstance(page, Page) or not page.has_page:
            return None
        query = [each for each in parse_qsl(said.query) if each[0] not in SAID]
        return self.url(path) + (f"?{urlencode(query)}" if query else "")

    @property
    def place(self) -> dict[str, str]:
        """What the query says of a part of the list of jobs."""
        return {name: self.query[name][0] for name in LIST_QUERY if name in self.query}

    def page_url(self, name: str) -> str:
        """Return the URL of a page: of one job or queue, say, that which the request is about.

        Of the list of jobs, the part of it that the query names.
        """
        id_ = self.names.get("id")
        if name in _OF_IDS and id_ is not None and str(id_).isdecimal():
            return self.url(f"/{_OF_IDS[name]}/{id_}")
        if name == "jobs":
            return self.url("/jobs", **self.place)
        if name in _OF_NAMES and "name" in self.query:
            return self.url(f"/{name}", name=self.query["name"][0])
        path = _OF_IDS.get(name) or _OF_NAMES.get(name) or name
        return self.url("/" if path == "overview" else f"/{path}")


def query_of(raw: bytes) -> dict[str, list[str]]:
    """Return the values of a query string or of a form, by name, in order."""
    found: dict[str, list[str]] = {}
    text = raw.decode("utf-8", "replace")
    for name, value in parse_qsl(text, keep_blank_values=True, errors="replace"):
        found.setdefault(name, []).append(value)
    return found


async def body_of(request: Request) -> bytes:
    """Return the body of a request. Raises Refusal for one of more than `MOST_BODY_BYTES`."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BODY_BYTES:
            raise Refusal(413, "too_large", f"a request may have {MOST_BODY_BYTES:,} bytes")
        parts.append(part)
    return b"".join(parts)


def media_type(request: Request) -> str:
    """Return the type of a request's body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def form_of(request: Request, body: bytes) -> dict[str, list[str]]:
    """Return the fields of a form. Raises Refusal for a body of another type."""
    if body and media_type(request) != "application/x-www-form-urlencoded":
        raise bad_field("a form must be sent as application/x-www-form-urlencoded")
    return query_of(body)


def json_of(request: Request, body: bytes) -> dict[str, Any]:
    """Return the fields of a verb of the API. Raises Refusal for anything but a JSON object."""
    if media_type(request) != "application/json":
        raise bad_field("the body must be a JSON object, sent as application/json")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise bad_field(f"the body is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise bad_field("the body must be a JSON object")
    return found
