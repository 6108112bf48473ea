"""Which page of the dashboard shows the same as a view of the terminal, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from antq_actors.top.frame import Subject
from antq_actors.top.tabs import Tab

if TYPE_CHECKING:
    from antq_actors.top.jobs_tab import Place

URL_VARIABLE: Final = "ANTQ_WEB_URL"
"""The environment variable that says where the dashboard of the store is."""

_PATHS: Final = {
    Tab.OVERVIEW: "",
    Tab.JOBS: "jobs",
    Tab.QUEUES: "queues",
    Tab.TREE: "tree",
    Tab.NODES: "nodes",
}


def page_of_tab(tab: Tab, place: Place, node: int | None) -> str:
    """Return the path of the page that shows a tab, below the dashboard's own.

    >>> from antq_actors.top.jobs_tab import Place
    >>> page_of_tab(Tab.JOBS, Place("status:failed", after=7), None)
    'jobs?q=status%3Afailed&after=7'
    """
    query: dict[str, object] = {}
    if tab is Tab.JOBS:
        query = {"q": place.filter or None, "after": place.after, "before": place.before}
    elif tab is Tab.TREE:
        query = {"node": node}
    return _with_query(_PATHS[tab], query)


def page_of(subject: Subject) -> str:
    """Return the path of the page that shows one thing.

    >>> page_of(Subject("job", "7")), page_of(Subject("queue", "a&b"))
    ('jobs/7', 'queue?name=a%26b')
    """
    if subject.kind == "job":
        return f"jobs/{quote(subject.key)}"
    if subject.kind == "queue":
        return _with_query("queue", {"name": subject.key})
    return _with_query("tree", {"node": subject.node}) if subject.kind == "actor" else ""


def _with_query(path: str, query: dict[str, object]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def url_of(base: str | None, page: str) -> str | None:
    """Return the URL of a page of the dashboard at *base*; None: that is no http or https URL.

    The query of *base*, such as the token of `antq web`, is not passed on.

    >>> url_of("http://127.0.0.1:8420/antq/?t=secret", "jobs/7")
    'http://127.0.0.1:8420/antq/jobs/7'
    """
    try:
        parts = urlsplit(base or "")
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + "/", "", "")) + page


def target_of(page: str) -> tuple[Tab, Subject | None, str] | None:
    """Return the tab that shows a page of the dashboard, what of it, and by which filter.

    None: no tab shows it.
    """
    path, _, query = page.partition("?")
    values = dict(parse_qsl(query))
    if path == "queue" and "name" in values:
        return Tab.QUEUES, Subject("queue", values["name"]), ""
    tabs = {each: tab for tab, each in _PATHS.items() if each}
    return (tabs[path], None, values.get("q", "")) if path in tabs else None
