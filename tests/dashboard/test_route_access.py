"""Every route, as a page and in the API, by every level and method; and requests of others."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

import pytest
from dashboard.sites import OWN, bearer, site
from support.apps import Plain

from antq_actors import AntQ
from antq_actors.insights.reader import Insights
from antq_actors.web import Access
from antq_actors.web.routes import Download

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from httpx import Response
    from starlette.testclient import TestClient

    from antq_actors.web.routes import Route

_JOB_VERBS = ("again", "cancel", "delete", "reschedule", "retry", "run-now")
_QUEUE_VERBS = ("breakpoint", "concurrency", "pause", "resume", "step", "unbreak")

TABLE: dict[tuple[str, str], Access] = {
    **{
        ("GET", path): Access.READ
        for path in (
            *("/", "/about", "/audit", "/batches", "/batches/{id:int}", "/bulk", "/bulk/{id:int}"),
            *("/charts", "/charts.csv", "/cron", "/crons", "/error", "/errors", "/jobs"),
            *("/jobs/{id:int}", "/jobs/{id:int}/why", "/learn", "/limit", "/limits", "/live"),
            *("/metrics", "/nodes", "/queue", "/queue/why", "/queues", "/region/{name}", "/store"),
            *("/suggestions", "/tree", "/tree/chaos", "/tree/predict", "/workflows"),
            "/workflows/{id:int}",
        )
    },
    ("POST", "/settings"): Access.READ,
    ("POST", "/bulk"): Access.READ,  # of a dry run; the verb itself asks for OPERATE beyond that
    **{
        ("POST", path): Access.OPERATE
        for path in (
            *(f"/jobs/{{id:int}}/{verb}" for verb in _JOB_VERBS),
            *(f"/queue/{verb}" for verb in _QUEUE_VERBS),
            *("/nodes/{number:int}/drain", "/error/retry", "/error/known"),
            *("/store/backup", "/store/verify", "/cron/pause", "/cron/resume", "/cron/run"),
            *("/limit/set", "/limit/pause", "/limit/resume", "/limit/reset", "/undo"),
            *("/batches/{id:int}/cancel", "/batches/{id:int}/retry-failed"),
            *("/batches/{id:int}/close", "/workflows/{id:int}/cancel"),
            *("/workflows/{id:int}/retry-failed", "/bulk/{id:int}/stop", "/tree/trace"),
            "/learn/{lesson}/{step}",
        )
    },
    **{
        ("POST", f"/tree/{verb}"): Access.CHAOS
        for verb in ("crash", "exit", "kill", "hang", "slow", "chaos", "chaos/stop")
    },
}
"""The level that each route takes, as the documentation has them."""

LEVELS = (Access.NONE, Access.READ, Access.OPERATE, Access.CHAOS)
QUERY = {
    "name": "default",
    "fingerprint": "0",
    "verb": "retry",
    "q": "status:failed",
    "node": "1",
    "actor": "1",
}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[AntQ]:
    with AntQ(path=tmp_path / "jobs", queues={"default": 1}).start(queues=False) as app:
        app.enqueue(Plain)
        yield app


def routes_of(client: TestClient) -> list[Route]:
    return list(client.app.routes)  # type: ignore[attr-defined] - of a dashboard


def filled(path: str) -> str:
    """Return a path of a route with what it may hold."""
    return re.sub(r"\{\w+(:int)?\}", lambda found: "1" if found[1] else "overview", path)


def ask(
    client: TestClient, method: str, path: str, headers: dict[str, str], *, is_api: bool
) -> Response:
    """Send a request that names a field which no verb has, so that what may is not done."""
    path = f"/api/v1{path}" if is_api else path
    if method == "GET":  # a stream would not end
        verb = "HEAD" if path == "/live" else "GET"
        return client.request(verb, path, params=QUERY, headers=headers)
    sent = {"json" if is_api else "data": {"no_such_field": "1"}}
    return client.post(path, params=QUERY, headers=headers, **sent)  # type: ignore[arg-type]


def stored(app: AntQ) -> object:
    """Return what a verb could have changed."""
    queues = [(each.name, each.paused, each.slots) for each in Insights(app).queues()]
    files = sorted(each.name for each in app.path.parent.iterdir())
    breakpoints = app.queue("default").breakpoints()
    return app.list_jobs(), queues, breakpoints, app.audit(), app.antq_is_running, files


def test_each_route_has_its_level_in_the_table(app: AntQ) -> None:
    found = {(route.method.value, route.path): route for route in routes_of(site(app))}

    assert not found.keys() - TABLE.keys(), "routes without an entry in TABLE"
    assert {key: route.level for key, route in found.items()} == {key: TABLE[key] for key in found}


@pytest.mark.parametrize(("level", "is_api"), list(product(LEVELS, (False, True))), ids=str)
def test_each_route_is_open_to_its_level_alone_and_by_its_method(
    app: AntQ, level: Access, *, is_api: bool
) -> None:
    client = site(app, level, chaos=True, prometheus=True)
    headers = bearer(level) if is_api and level is not Access.NONE else dict(OWN)
    routes = routes_of(client)
    methods: dict[str, set[str]] = {}
    for route in routes:
        if route.has_api if is_api else route.has_page or isinstance(route, Download):
            methods.setdefault(route.path, set()).add(route.method.value)
    before = stored(app)

    for path, method in product(sorted({route.path for route in routes}), ("GET", "POST")):
        answer = ask(client, method, filled(path), headers, is_api=is_api)
        where = f"{method} {path} for {level.name}: {answer.status_code} {answer.text[:200]}"
        if level is Access.NONE:
            assert answer.status_code == (401 if is_api else 403), where
        elif path not in methods:
            assert answer.status_code == 404, where
        elif method not in methods[path]:
            assert answer.status_code == 405, where
        elif level < TABLE[method, path]:
            assert answer.status_code == 403, where
            assert TABLE[method, path].name in answer.text, where
        elif method == "POST":
            assert answer.status_code == 400, where
            assert "no_such_field" in answer.text, where
        else:
            assert answer.status_code in {200, 400, 404}, where

    assert stored(app) == before


@pytest.mark.parametrize(
    ("level", "headers"),
    [
        (Access.CHAOS, {**OWN, "host": "evil.example"}),
        (Access.CHAOS, {"sec-fetch-site": "cross-site"}),
        (Access.CHAOS, {"sec-fetch-site": "same-site", "origin": "http://localhost"}),
        (Access.CHAOS, {"origin": "http://evil.example"}),
        (Access.CHAOS, {"origin": "null"}),
        (Access.CHAOS, {}),
        (Access.NONE, OWN),
        (Access.READ, OWN),
    ],
    ids=str,
)
def test_verb_that_is_not_from_the_site_itself_changes_nothing(
    app: AntQ, level: Access, headers: dict[str, str]
) -> None:
    client = site(app, level, hosts=["jobs.example.org"], chaos=True)
    before = stored(app)

    for route in routes_of(client):
        if route.method.value == "POST" and route.path != "/settings":
            sent = {"confirm": "1", "n": "1", "reason": "because", "limit": "1"}
            sent = {name: text for name, text in sent.items() if name in {"confirm", *route.fields}}  # type: ignore[union-attr]
            answer = client.post(filled(route.path), params=QUERY, data=sent, headers=headers)
            assert answer.status_code == (400 if "host" in headers else 403), route.path
            assert "location" not in answer.headers

    assert stored(app) == before


def test_api_knows_no_cookie_no_access_and_no_wrong_token(app: AntQ) -> None:
    client = site(app, Access.CHAOS)
    client.cookies.set("antq_web", "0" * 64)
    before = stored(app)

    for headers in (OWN, {"authorization": "Bearer " + "x" * 40}, {"authorization": "Basic eDp5"}):
        for verb in ("cancel", "delete"):
            answer = client.post(f"/api/v1/jobs/1/{verb}", json={}, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"

    assert stored(app) == before


def test_api_takes_json_alone_so_that_no_form_of_another_site_reaches_it(app: AntQ) -> None:
    client, operate = site(app), bearer(Access.OPERATE)
    before = stored(app)

    for sent in ({"data": {"reason": "x"}}, {"content": b"{}"}, {"json": [1]}, {"json": "x"}):
        answer = client.post("/api/v1/jobs/1/cancel", headers=operate, **sent)  # type: ignore[arg-type]
        assert answer.status_code == 400, sent

    assert stored(app) == before


def test_pages_know_no_bearer_token(app: AntQ) -> None:
    assert site(app, None).get("/", headers=bearer(Access.CHAOS)).status_code == 403


def test_crashing_actors_is_off_for_every_level_unless_the_dashboard_says_so(app: AntQ) -> None:
    client = site(app, Access.CHAOS)

    for route in routes_of(client):
        if route.level is Access.CHAOS:
            sent = {"actor": "1", "node": "1"}
            page = client.post(route.path, data={**sent, "confirm": "1"}, headers=OWN)
            api = client.post(f"/api/v1{route.path}", json=sent, headers=bearer(Access.CHAOS))
            assert (page.status_code, api.status_code) == (403, 403)
            assert "chaos=True" in page.text


def test_no_answer_lets_another_site_read_it(app: AntQ) -> None:
    client = site(app)

    for path in ("/", "/api/v1/overview", "/healthz", "/nothing"):
        headers = {**bearer(Access.READ), "origin": "http://evil.example"}
        answer = client.get(path, headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "server" not in answer.headers
