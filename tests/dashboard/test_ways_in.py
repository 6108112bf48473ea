"""The token of the URL, the names of an ``--auth`` file, and Bearer tokens: whom they let in."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from antq_actors import AntQ
from antq_actors.insights import Access, Visitor
from antq_actors.web import ways_in
from antq_actors.web.application import Dashboard
from antq_actors.web.options import Options
from antq_actors.web.ways_in import (
    COOKIE,
    FAILURE_SECONDS,
    NO_ACCESS,
    OuterSite,
    Passwords,
    UrlToken,
    bearer_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.responses import Response

    from antq_actors.web.ways_in import WayIn

TOKEN = "t" * 40
USERS = {"ada": ("s" * 20, Access.READ), "bob:o": ("ü" * 20, Access.CHAOS)}
PROGRAMS = {"p" * 32: Visitor(Access.READ, "p"), "q" * 32: Visitor(Access.OPERATE)}


@pytest.fixture
def enter(tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """Return a client of a dashboard with a way in."""
    with AntQ(path=tmp_path / "jobs", queues={"default": 1}) as app:

        def client(way_in: WayIn, url: str = "http://localhost", root: str = "") -> TestClient:
            made = Dashboard(app, Options(hosts=()), way_in)
            return TestClient(made, url, root_path=root, follow_redirects=False)

        yield client


def basic(name: str, secret: str, scheme: str = "Basic") -> dict[str, str]:
    """Return the header of a name and a secret."""
    return {"authorization": f"{scheme} {base64.b64encode(f'{name}:{secret}'.encode()).decode()}"}


def level_on(page: Response) -> str:
    """Return the level that a page says its visitor has."""
    assert page.status_code == 200
    return page.text.partition('data-access="')[2].partition('"')[0]  # type: ignore[attr-defined]


# ---- the token of the URL -----------------------------------------------------------------------


def test_token_of_the_url_becomes_a_cookie_that_is_not_the_token(enter):
    client = enter(UrlToken(TOKEN, Access.OPERATE))

    entered = client.get(f"/jobs?t={TOKEN}")

    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    name, _, rest = entered.headers["set-cookie"].partition("=")
    value, *how = rest.split("; ")
    assert name == COOKIE
    assert len(value) == 64
    assert TOKEN not in value
    assert sorted(how) == ["HttpOnly", "Path=/", "SameSite=strict"]
    assert level_on(client.get("/")) == "operate"


def test_cookie_is_for_the_mount_alone_and_over_https_for_https_alone(enter):
    client = enter(UrlToken(TOKEN, Access.READ), "https://localhost", "/a/b")

    entered = client.get(f"/a/b/?t={TOKEN}")

    assert entered.headers["location"] == "/a/b/"
    assert "; Path=/a/b/;" in entered.headers["set-cookie"]
    assert entered.headers["set-cookie"].endswith("; Secure")


@pytest.mark.parametrize("token", ["", "t", TOKEN + "t", TOKEN.upper(), "\udc80", "ü" * 40])
def test_wrong_token_of_the_url_lets_nobody_in(enter, token):
    client = enter(UrlToken(TOKEN, Access.READ))

    refused = client.get("/", params={"t": token.encode(errors="surrogateescape")})

    assert refused.status_code == 403
    assert "set-cookie" not in refused.headers
    assert "Open the URL that antq printed when it started: it has the token." in refused.text


@pytest.mark.parametrize("cookie", ["", TOKEN, "0" * 64, "ü" * 64])
def test_wrong_cookie_lets_nobody_in(enter, cookie):
    client = enter(UrlToken(TOKEN, Access.READ))

    sent = f"{COOKIE}={cookie}".encode("latin-1")

    assert client.get("/", headers={"cookie": sent}).status_code == 403
    assert client.get("/").status_code == 403


def test_cookie_of_one_token_is_none_of_another(enter):
    first, second = enter(UrlToken(TOKEN, Access.READ)), enter(UrlToken("u" * 40, Access.READ))
    first.get(f"/?t={TOKEN}")

    assert second.get("/", headers={"cookie": f"{COOKIE}={first.cookies[COOKIE]}"}).status_code == (
        403
    )


def test_cookie_outlives_the_server_where_the_token_does(enter):
    client = enter(UrlToken(TOKEN, Access.READ))
    client.get(f"/?t={TOKEN}")
    again = enter(UrlToken(TOKEN, Access.READ))

    answer = again.get("/", headers={"cookie": f"{COOKIE}={client.cookies[COOKIE]}"})

    assert answer.status_code == 200


# ---- names and secrets --------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_name_and_secret_let_in_at_the_level_of_the_line(enter, scheme):
    client = enter(Passwords(USERS))

    page = client.get("/", headers=basic("ada", "s" * 20, scheme))

    assert level_on(page) == "read"


def test_secret_may_be_any_text(enter):
    users = {"bob": ("ü:" * 10, Access.OPERATE)}

    assert level_on(enter(Passwords(users)).get("/", headers=basic("bob", "ü:" * 10))) == "operate"


def test_visitor_with_a_secret_has_the_name_of_the_line(enter):
    client = enter(Passwords({"ada": ("s" * 20, Access.OPERATE)}))
    headers = {**basic("ada", "s" * 20), "sec-fetch-site": "same-origin"}
    client.post("/queue/pause?name=default", data={"confirm": "1"}, headers=headers)

    assert ">ada<" in client.get("/audit", headers=headers).text.replace(" ", "")


@pytest.mark.parametrize(
    "header",
    [
        basic("ada", "s" * 19),
        basic("ada", ""),
        basic("", ""),
        basic("nobody", ""),
        basic("nobody", "s" * 20),
        basic("ada", "s" * 20, "Bearer"),
        {"authorization": "Basic " + "*" * 8},
        {"authorization": basic("ada", "s" * 20)["authorization"] + "*"},
        {"authorization": "Basic a"},
        {"authorization": "Basic"},
        {"authorization": ""},
    ],
    ids=str,
)
def test_wrong_name_or_secret_is_answered_late_and_asks_for_a_right_one(
    enter, caplog, monkeypatch, header
):
    monkeypatch.setattr(ways_in, "FAILURE_SECONDS", 0.05)
    client = enter(Passwords(USERS))
    began = time.monotonic()

    refused = client.get("/", headers=header)

    assert time.monotonic() - began >= 0.05
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == 'Basic realm="antq", charset="UTF-8"'
    assert "A name and a secret of the --auth file are needed." in refused.text
    assert [each.getMessage() for each in caplog.records if each.name == "antq_actors.web"] == [
        "a wrong name or secret was refused"
    ]


def test_a_wrong_secret_is_answered_after_half_a_second():
    assert FAILURE_SECONDS == 0.5


def test_who_sends_no_secret_is_asked_for_one_without_a_log_record(enter, caplog):
    assert enter(Passwords(USERS)).get("/").status_code == 401
    assert [each for each in caplog.records if each.name == "antq_actors.web"] == []


# ---- the site around it -------------------------------------------------------------------------


@pytest.mark.parametrize("found", [Access.READ, Visitor(Access.READ, "ada")], ids=str)
def test_the_outer_site_says_the_level_and_may_say_the_name(enter, found):
    asked = []

    async def later(request):
        asked.append(request.url.path)
        return found

    for access in (
        lambda request: asked.append(request.url.path) or found,
        later,
        lambda request: later(request),  # noqa: PLW0108 - no coroutine function itself
    ):
        assert level_on(enter(OuterSite(access)).get("/about")) == "read"

    assert asked == ["/about"] * 3


@pytest.mark.parametrize(
    ("access", "says"),
    [
        (lambda _: 1 / 0, "access= of the dashboard raised, so the request was refused"),
        (
            lambda _: "chaos",
            (
                "access= of the dashboard must return an Access or a Visitor, got 'chaos' (str), so"
                " the request was refused"
            ),
        ),
        (
            lambda _: 3,
            (
                "access= of the dashboard must return an Access or a Visitor, got 3 (int), so the"
                " request was refused"
            ),
        ),
    ],
    ids=["raises", "text", "number"],
)
def test_outer_site_that_says_nothing_of_use_lets_nobody_in_and_is_logged(
    enter, caplog, access, says
):
    refused = enter(OuterSite(access)).get("/")

    assert refused.status_code == 403
    assert "You have no access to this dashboard." in refused.text
    assert NO_ACCESS not in refused.text
    assert [each.getMessage() for each in caplog.records if each.name == "antq_actors.web"] == [
        says
    ]


def test_refusals_say_how_to_get_in():
    assert OuterSite(None).refusal() == (403, NO_ACCESS, {})
    assert OuterSite(lambda _: Access.NONE).refusal() == (
        403,
        "You have no access to this dashboard.",
        {},
    )
    assert UrlToken(TOKEN, Access.READ).refusal() == (
        403,
        "Open the URL that antq printed when it started: it has the token.",
        {},
    )
    status, sentence, headers = Passwords(USERS).refusal()
    assert (status, sentence) == (401, "A name and a secret of the --auth file are needed.")
    assert list(headers) == ["www-authenticate"]


# ---- Bearer tokens ------------------------------------------------------------------------------


def request(header: str | None) -> Request:
    headers = [] if header is None else [(b"authorization", header.encode("latin-1"))]
    return Request({"type": "http", "headers": headers})


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize(("token", "visitor"), PROGRAMS.items())
def test_bearer_token_is_for_its_visitor(scheme, token, visitor):
    assert bearer_of(request(f"{scheme} {token}"), PROGRAMS) == visitor
    assert bearer_of(request(f"{scheme}  {token} "), PROGRAMS) == visitor


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "p" * 32,
        f"Basic {'p' * 32}",
        f"Bearer {'p' * 31}",
        "Bearer ü",
    ],
)
def test_what_is_no_known_bearer_token_is_for_nobody(header):
    assert bearer_of(request(header), PROGRAMS) is None


def test_no_token_is_known_where_there_are_none():
    assert bearer_of(request(f"Bearer {'p' * 32}"), None) is None
