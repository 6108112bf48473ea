"""The dashboard below a path of a site: of ASGI and of WSGI, with the real frameworks."""

import re
from urllib.parse import urljoin

import pytest
from dashboard.sites import OWN
from fastapi import FastAPI
from flask import Flask
from hypercorn.middleware import DispatcherMiddleware as AsgiDispatcher
from litestar import Litestar, asgi
from quart import Quart
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from support.apps import Plain
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from antq_actors import AntQ
from antq_actors.web import Access, Visitor, dashboard


@pytest.fixture
def app(tmp_path):
    with AntQ(tmp_path / "jobs", queues={"default": 1}).start(queues=False) as app:
        app.enqueue(Plain)
        yield app


def who(request):
    return Visitor(Access.OPERATE, request.headers.get("x-user"))


def starlette_site(board):
    inner = Starlette(routes=[Mount("/b", board)])
    return Starlette(routes=[Mount("/a", inner)])


def fastapi_site(board):
    site, inner = FastAPI(), FastAPI()
    inner.mount("/b", board)
    site.mount("/a", inner)
    return site


def litestar_site(board):
    mounted = asgi("/a/b", is_mount=True, copy_scope=True)(board)
    return Litestar([mounted])


def quart_site(board):
    return AsgiDispatcher({"/a/b": board, "/": Quart("shop")})


def asgi_client(site):
    return TestClient(site, base_url="http://localhost", follow_redirects=False)


class WsgiClient:
    """A client of a site of WSGI that answers as the one of Starlette does."""

    def __init__(self, site):
        self._client = Client(site)

    def get(self, path, headers=None):
        return self._ask("GET", path, headers=headers)

    def post(self, path, data=None, headers=None):
        return self._ask("POST", path, data=data, headers=headers)

    def _ask(self, method, path, **sent):
        answer = self._client.open(
            path, method=method, base_url="http://localhost", buffered=True, **sent
        )
        answer.autocorrect_location_header = False
        return answer


def flask_site(board):
    site = Flask("shop")
    site.wsgi_app = DispatcherMiddleware(site.wsgi_app, {"/a/b": board.wsgi()})
    return WsgiClient(site)


SITES = {
    "starlette": lambda board: asgi_client(starlette_site(board)),
    "fastapi": lambda board: asgi_client(fastapi_site(board)),
    "litestar": lambda board: asgi_client(litestar_site(board)),
    "quart": lambda board: asgi_client(quart_site(board)),
    "flask": flask_site,
}


@pytest.fixture(params=SITES)
def mounted(request, app):
    """A client of a site that has the dashboard at /a/b."""
    return SITES[request.param](dashboard(app, access=who))


def links(text):
    """Return what a page loads and leads to."""
    return re.findall(r'(?:href|src|action)="([^"#]+)"', text)


@pytest.mark.parametrize("path", ["/a/b/", "/a/b/jobs", "/a/b/jobs/1", "/a/b/queue?name=default"])
def test_links_and_files_of_a_page_are_below_the_mount(mounted, path):
    page = mounted.get(path)

    assert page.status_code == 200, page.text
    found = {urljoin(f"http://localhost{path}", link) for link in links(page.text)}
    assert found
    for url in found:
        assert url.startswith("http://localhost/a/b/"), url
    files = [url for url in found if "/static/" in url]
    assert files
    for url in files:
        answer = mounted.get(url.removeprefix("http://localhost").partition("#")[0])
        assert answer.status_code == 200, url


def test_path_of_the_mount_without_a_slash_leads_to_the_one_with_it(mounted):
    answer = mounted.get("/a/b")

    assert answer.status_code in {307, 308}
    assert urljoin("http://localhost/a/b", answer.headers["location"]) == "http://localhost/a/b/"


def test_verb_is_done_and_leads_back_below_the_mount(mounted, app):
    path = "/a/b/queue/pause?name=default"
    sent = {"reason": "stock-taking"}

    answer = mounted.post(path, data=sent, headers={**OWN, "x-user": "ada"})

    assert answer.status_code == 303
    url = urljoin(f"http://localhost{path}", answer.headers["location"])
    assert url.startswith("http://localhost/a/b/queue?name=default")
    assert [(entry.name, entry.verb, entry.reason) for entry in app.audit()] == [
        ("ada", "pause", "stock-taking")
    ]


def test_settings_are_kept_for_the_mount_alone(mounted):
    answer = mounted.post("/a/b/settings", data={"theme": "dark", "zone": "utc"}, headers=OWN)

    assert answer.status_code == 303
    assert "Path=/a/b/" in answer.headers["set-cookie"]


def test_form_of_another_site_is_refused(mounted, app):
    headers = {"origin": "http://evil.example"}

    assert mounted.post("/a/b/queue/pause?name=default", headers=headers).status_code == 403

    assert app.audit() == []


def test_pages_over_wsgi_ask_for_changes_and_are_no_streams(app):
    client = flask_site(dashboard(app, access=who))

    assert 'data-live="poll"' in client.get("/a/b/").text
    assert client.get("/a/b/live").status_code == 503
    region = client.get("/a/b/region/overview")
    assert region.status_code == 200
    again = client.get("/a/b/region/overview", headers={"if-none-match": region.headers["etag"]})
    assert again.status_code in {200, 304}


def test_wsgi_application_is_always_the_same_and_answers_what_is_no_http(app):
    board = dashboard(app, access=who)

    assert board.wsgi() is board.wsgi()
    for wrong in ({"PATH_INFO": "/\xff"}, {"QUERY_STRING": "a=\xfc"}, {"CONTENT_LENGTH": "x"}):
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", **wrong}
        begun = []
        content = board.wsgi()(environ, lambda *start, begun=begun: begun.append(start))
        assert b"".join(content)
        assert begun[0][0].startswith("400")


def test_pages_over_asgi_hear_of_changes(app):
    assert (
        'data-live="stream"'
        in asgi_client(starlette_site(dashboard(app, access=who))).get("/a/b/").text
    )


def test_application_of_a_site_may_start_after_the_dashboard_is_mounted(tmp_path):
    app = AntQ(tmp_path / "jobs", queues={"default": 1})
    client = asgi_client(starlette_site(dashboard(app, access=who)))

    assert client.get("/a/b/").status_code == 503
    with app.start(queues=False):
        assert client.get("/a/b/").status_code == 200
