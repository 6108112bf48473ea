"""``antq web`` and ``antq start --web`` as programs: where they listen, whom they let in."""

import re
import signal
import socket
import stat
import time
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from support.apps import Plain, until

from antq_actors import AntQ

ANTQ = ("-m", "antq_actors")
TOKEN = "t" * 40
WRONG_USAGE = 2
HERE = ("--port", "0")
APP = """
from antq_actors import AntQ, worker

@worker(result=True)
def greet(name):
    return name

app = AntQ("store", queues={"default": 2})
"""


@pytest.fixture
def store(tmp_path):
    with AntQ(tmp_path / "store", queues={"default": 1}).start(queues=False) as app:
        app.enqueue(Plain)
    return tmp_path / "store"


@pytest.fixture
def web(program, store):
    """A function that starts antq web with some options."""
    return lambda *options: program(*ANTQ, "web", "--path", store, *options)


@pytest.fixture
def start(program, tmp_path, monkeypatch):
    """A function that starts antq start of an application with some options."""
    (tmp_path / "site_app.py").write_text(APP, encoding="utf-8")
    code = (
        f"import os, sys; os.chdir({str(tmp_path)!r}); sys.path.insert(0, '');"
        "from antq_actors.cli import main; sys.exit(main())"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return lambda *options: program("-c", code, "start", "site_app:app", *options)


def url_of(started):
    """Return the URL at the end of the first line."""
    return started.line().rpartition(" ")[2]


@contextmanager
def came_in(url):
    """Open a client that has exchanged the token of the URL for the cookie."""
    base, _, token = url.partition("?t=")
    headers = {"sec-fetch-site": "same-origin"}
    with httpx.Client(base_url=base, headers=headers, timeout=30) as client:
        answer = client.get("/", params={"t": token})
        assert answer.status_code == 303
        assert answer.headers["location"] == "/"
        assert "HttpOnly" in answer.headers["set-cookie"]
        yield client


def ended(started, number=signal.SIGTERM):
    """Send a signal; return the exit code and how many seconds the end took."""
    began = time.monotonic()
    started.send(number)
    code, _, errors = started.end()
    return code, errors, time.monotonic() - began


def refused(started):
    code, out, errors = started.end()
    assert out == ""
    return code, errors


def test_first_line_ends_with_the_url_whose_token_lets_in(web):
    started = web(*HERE)
    url = url_of(started)

    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?t=[\w-]{43}", url)
    with httpx.Client(base_url=url.partition("?")[0]) as stranger:
        assert stranger.get("/").status_code == 403
        assert stranger.get("/?t=" + "x" * 43).status_code == 403
        assert stranger.get("/api/v1/overview").status_code == 401
        assert stranger.get("/healthz").json() == {"status": "ok"}
        assert stranger.get("/", headers={"host": "evil.example"}).status_code == 400
    for _ in range(2):  # two browsers
        with came_in(url) as client:
            page = client.get("/jobs/1")
            assert page.status_code == 200
            assert 'data-access="operate"' in page.text
            assert "server" not in page.headers
            assert client.post("/jobs/1/cancel").status_code == 303


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_with_0_also_while_streams_are_open(web, number):
    started = web(*HERE)
    with came_in(url_of(started)) as client, ExitStack() as open_streams:
        for _ in range(4):
            stream = open_streams.enter_context(client.stream("GET", "/live"))
            assert next(stream.iter_lines()).startswith("event: counts")

        code, errors, seconds = ended(started, number)

    assert (code, errors) == (0, "")
    assert seconds < 10  # a busy machine; the streams by themselves would never end


@pytest.mark.parametrize(
    ("option", "level", "status"), [("--read-only", "read", 403), ("--chaos", "chaos", 303)]
)
def test_level_is_that_of_the_option(web, option, level, status):
    with came_in(url_of(web(*HERE, option))) as client:
        assert f'data-access="{level}"' in client.get("/").text
        assert client.post("/jobs/1/cancel").status_code == status


def test_token_of_the_environment_outlives_the_server_and_is_a_bearer_token(web, monkeypatch):
    monkeypatch.setenv("ANTQ_WEB_TOKEN", TOKEN)
    first = web(*HERE)
    url = url_of(first)
    assert url.endswith(f"?t={TOKEN}")
    with came_in(url) as client:
        cookies = dict(client.cookies)
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert client.get("/api/v1/overview", headers=bearer).json()["store"] == "store"
    assert TOKEN not in cookies["antq_web"]
    assert ended(first)[0] == 0

    again = url_of(web(*HERE)).partition("?")[0]
    assert httpx.get(again, cookies=cookies).status_code == 200


def test_port_may_be_given_and_one_that_is_taken_is_exit_code_1(web):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, errors = refused(web("--port", port))

    assert code == 1
    assert f"cannot listen at 127.0.0.1:{port}" in errors


def test_path_without_a_store_is_exit_code_1_and_makes_nothing(program, tmp_path):
    place = tmp_path / "nothing"

    code, errors = refused(program(*ANTQ, "web", "--path", place, *HERE))

    assert code == 1
    assert "there is no store at" in errors
    assert not place.exists()


@pytest.mark.parametrize(
    ("token", "says"), [("short-secret", "32"), ("with blank " * 5, "ASCII"), ("", "32")]
)
def test_wrong_token_is_exit_code_2_and_is_not_shown(web, monkeypatch, token, says):
    monkeypatch.setenv("ANTQ_WEB_TOKEN", token)

    code, errors = refused(web(*HERE))

    assert code == WRONG_USAGE
    assert "ANTQ_WEB_TOKEN" in errors
    assert says in errors
    assert not token or token not in errors


SECRET = "correct-horse-battery"  # noqa: S105 - of no one


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        (f"ada:operate:{SECRET}", 0o644, "chmod 600"),
        (f"ada:boss:{SECRET}", 0o600, "line 1"),
        (f"ada:operate:{SECRET}\nbob:read:{SECRET[:9]}", 0o600, "line 2"),
        (f"ada:{SECRET}", 0o600, "NAME:LEVEL:SECRET"),
        ("", 0o600, "no line"),
        (None, 0, "cannot be read"),
    ],
    ids=["open", "level", "short", "parts", "empty", "missing"],
)
def test_wrong_auth_file_is_exit_code_2_and_shows_no_secret(web, tmp_path, text, mode, says):
    file = tmp_path / "visitors"
    if text is not None:
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)

    code, errors = refused(web(*HERE, "--auth", file))

    assert code == WRONG_USAGE
    assert says in errors
    assert SECRET[:9] not in errors


def test_auth_file_lets_in_by_name_and_secret(web, tmp_path):
    file = tmp_path / "visitors"
    file.write_text(f"ada:operate:{SECRET}\nbob:read:{SECRET}-2\n", encoding="utf-8")
    file.chmod(0o600)
    url = url_of(web(*HERE, "--auth", file))

    assert "?t=" not in url
    with httpx.Client(base_url=url, headers={"sec-fetch-site": "same-origin"}) as client:
        nobody = client.get("/")
        assert nobody.status_code == 401
        assert nobody.headers["www-authenticate"].startswith("Basic")
        assert client.get("/", auth=("ada", f"{SECRET}-2")).status_code == 401
        assert client.get("/", auth=("ada", SECRET)).status_code == 200
        assert client.post("/jobs/1/cancel", auth=("bob", f"{SECRET}-2")).status_code == 403
        assert client.post("/jobs/1/cancel", auth=("ada", SECRET)).status_code == 303
        bearer = {"authorization": f"Bearer {SECRET}"}
        (entry,) = client.get("/api/v1/audit", headers=bearer).json()["items"]
        assert (entry["name"], entry["verb"]) == ("ada", "cancel")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read"),
        ("a = \nb = ''", "line 1"),
        ("Failed = 'stauts:failed'", "view 'Failed': unknown key 'stauts'"),
        ("Failed = {filtre = ''}", "view 'Failed': unknown key 'filtre'"),
    ],
    ids=["missing", "toml", "filter", "key"],
)
def test_wrong_file_of_views_is_exit_code_2_and_says_where(web, tmp_path, text, says):
    file = tmp_path / "views.toml"
    if text is not None:
        file.write_text(text, encoding="utf-8")

    code, errors = refused(web(*HERE, "--views", file))

    assert code == WRONG_USAGE
    assert says in " ".join(errors.split())
    assert "views.toml" in errors


def test_views_of_a_file_are_on_the_page_of_jobs(web, tmp_path):
    file = tmp_path / "views.toml"
    file.write_text('"Failed mail" = "status:failed queue:mail"', encoding="utf-8")
    url = url_of(web(*HERE, "--views", file))

    with httpx.Client(follow_redirects=True) as client:
        client.get(url)
        page = client.get(httpx.URL(url).copy_with(path="/jobs", query=None)).text

    assert 'href="./jobs?q=status%3Afailed+queue%3Amail"' in page


def test_address_that_others_reach_needs_an_auth_file(web):
    code, errors = refused(web("--host", "0.0.0.0", *HERE))  # noqa: S104 - refused

    assert code == WRONG_USAGE
    assert "--auth" in errors


def test_unix_socket_is_for_the_owner_alone_and_goes_with_the_program(web, tmp_path):
    place = tmp_path / "web.sock"
    started = web("--uds", place)

    assert url_of(started) == f"http+unix://{place}"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(place))) as client:
        assert client.get("http://localhost/healthz").status_code == 200
        second = web("--uds", place)
        assert refused(second)[0] == 1
        assert client.get("http://localhost/healthz").status_code == 200
    assert ended(started)[0] == 0
    assert not place.exists()


def test_start_serves_the_dashboard_beside_the_workers(start, tmp_path):
    started = start("--web", "--web-address", "127.0.0.1:0")
    url = url_of(started)

    with came_in(url) as client:
        assert 'data-access="operate"' in client.get("/").text
        tree = client.get("/tree")
        assert tree.status_code == 200
        assert 'data-testid="actor"' in tree.text
        with client.stream("GET", "/live") as stream:
            assert next(stream.iter_lines()).startswith("event: counts")
            code, errors, seconds = ended(started)
    assert code == 0, errors
    assert seconds < 10
    assert (tmp_path / "store").exists()


def test_first_of_several_processes_serves_the_dashboard(start):
    started = start("--processes", "2", "--web", "--web-address", "127.0.0.1:0")
    url = url_of(started)

    with came_in(url) as client:
        until(lambda: client.get("/nodes").text.count('data-testid="node-row"') == 2)
    code, errors, _ = ended(started)
    assert code == 0, errors


def test_port_that_is_taken_ends_start_before_it_makes_a_store(start, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, errors = refused(start("--web", "--web-address", address))

    assert code == 1
    assert f"cannot listen at {address}" in errors
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--web", "--web-address", "8420"), "HOST:PORT"),
        (("--web", "--web-address", "127.0.0.1:x"), "HOST:PORT"),
        (("--web", "--web-address", "127.0.0.1:70000"), "HOST:PORT"),
        (("--web-address", "127.0.0.1:0"), "add --web"),
        (("--web", "--web-address", "0.0.0.0:0"), "antq web has that option"),
    ],
    ids=str,
)
def test_wrong_address_of_start_is_exit_code_2(start, tmp_path, options, says):
    code, errors = refused(start(*options))

    assert code == WRONG_USAGE
    assert says in " ".join(errors.split())
    assert not (tmp_path / "store").exists()
