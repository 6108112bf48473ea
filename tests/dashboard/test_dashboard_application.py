"""Who is let in, which requests are refused, and what every answer says to the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from dashboard.sites import OWN, bearer, site

from antq_actors import AntQ
from antq_actors.web import Access, Visitor, dashboard
from antq_actors.web.guard import POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def app(tmp_path: Path) -> Iterator[AntQ]:
    with AntQ(path=tmp_path / "jobs", queues={"mail": 2}) as app:
        yield app


def test_without_access_every_page_is_refused_with_the_line_to_add(app: AntQ) -> None:
    refused = site(app, None).get("/")
    assert refused.status_code == 403
    assert "dashboard(app, access=" in refused.text


@pytest.mark.parametrize(
    "access", [lambda _: 1 / 0, lambda _: "read", lambda _: None], ids=["raises", "text", "none"]
)
def test_access_that_raises_or_says_nothing_lets_nobody_in(app: AntQ, access: object) -> None:
    assert site(app, access=access).get("/").status_code == 403


def test_access_may_be_a_coroutine_and_may_name_the_visitor(app: AntQ) -> None:
    async def who(_request: object) -> Visitor:
        return Visitor(Access.READ, "ada")

    page = site(app, access=who).get("/")
    assert page.status_code == 200
    assert 'data-access="read"' in page.text


@pytest.mark.parametrize("prefix", ["", "/a/b"])
def test_a_page_names_its_store_and_its_place(app: AntQ, prefix: str) -> None:
    page = site(app, prefix=prefix).get(f"{prefix}/")
    assert "<title>Overview · jobs · antq</title>" in page.text
    assert page.text.count("<h1>") == 1
    assert 'data-testid="nav-overview" aria-current="page"' in page.text


def test_every_answer_has_the_headers_that_keep_a_page_to_itself(app: AntQ) -> None:
    client = site(app)
    for answer in (
        client.get("/"),
        client.get("/nothing"),
        client.get("/api/v1/overview"),
        client.post("/settings", data={"theme": "dark"}, headers=OWN),
        client.get("/healthz"),
    ):
        assert answer.headers["content-security-policy"] == POLICY.format("'none'")
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_frame_ancestors_take_the_place_of_the_refusal_to_be_framed(app: AntQ) -> None:
    page = site(app, frame_ancestors=["https://intranet.example"]).get("/")
    assert page.headers["content-security-policy"].endswith(
        "frame-ancestors https://intranet.example"
    )
    assert "x-frame-options" not in page.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 303),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://localhost"}, 403),
        ({"origin": "http://localhost"}, 303),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({}, 403),
    ],
    ids=str,
)
def test_a_form_of_another_site_changes_nothing(
    app: AntQ, headers: dict[str, str], status: int
) -> None:
    answer = site(app).post("/settings", data={"theme": "dark"}, headers=headers)
    assert answer.status_code == status
    assert ("set-cookie" in answer.headers) is (status == 303)


def test_hosts_are_those_given_addresses_and_this_machine(app: AntQ) -> None:
    client = site(app, hosts=["jobs.example.org"])
    for host in ("JOBS.example.org:80", "127.0.0.1:1", "[::1]:8420", "localhost", "a.localhost"):
        assert client.get("/", headers={"host": host}).status_code == 200, host
    for host in ("evil.example", "jobs.example.org.evil.example", "", "a b"):
        assert client.get("/", headers={"host": host}).status_code == 400, host


def test_the_api_takes_a_bearer_token_alone(app: AntQ) -> None:
    client = site(app)
    assert client.get("/api/v1/overview").status_code == 401
    wrong = client.get("/api/v1/overview", headers={"authorization": "Bearer " + "x" * 40})
    assert wrong.json()["error"]["code"] == "unauthorized"
    right = client.get("/api/v1/overview", headers=bearer(Access.READ))
    assert right.json()["store"] == "jobs"


def test_what_is_not_there_is_a_page_like_the_others(app: AntQ) -> None:
    missing = site(app).get("/nothing")
    assert missing.status_code == 404
    assert 'data-testid="nav-overview"' in missing.text
    assert 'role="alert"' in missing.text


@pytest.mark.parametrize(
    ("referer", "location"),
    [
        ("http://localhost/a/b/jobs?q=status%3Afailed&did=x", "./jobs?q=status%3Afailed"),
        ("http://localhost/a/b/jobs/7?at=2", "./jobs/7?at=2"),
        ("http://localhost/a/b/about", "./about"),
        ("http://localhost/a/b/queue/pause?name=mail", "./queues"),  # a verb is no page
        ("http://localhost/elsewhere", "./queues"),
        ("http://evil.example/a/b/about", "./queues"),
        ("http://[localhost/a/b/about", "./queues"),
        ("", "./queues"),
    ],
)
def test_settings_lead_back_to_the_page_of_ours_that_sent_them(
    app: AntQ, referer: str, location: str
) -> None:
    answer = site(app, prefix="/a/b").post(
        "/a/b/settings",
        data={"theme": "dark", "next": "queues"},
        headers={**OWN, "referer": referer},
    )
    assert (answer.status_code, answer.headers["location"]) == (303, location)


def test_settings_are_kept_for_the_mount_alone(app: AntQ) -> None:
    answer = site(app, prefix="/a/b").post(
        "/a/b/settings", data={"theme": "dark", "zone": "UTC"}, headers=OWN
    )
    assert answer.status_code == 303
    assert "Path=/a/b/;" in answer.headers["set-cookie"]
    client = site(app)
    client.cookies.set("antq_theme", "dark")
    assert 'data-theme="dark"' in client.get("/").text


@pytest.mark.parametrize(
    "fields", [{"theme": "pink"}, {"zone": "Mars"}, {"colour": "red"}, {"next": "//evil.example"}]
)
def test_a_setting_that_there_is_not_is_refused(app: AntQ, fields: dict[str, str]) -> None:
    answer = site(app).post("/settings", data=fields, headers=OWN)
    assert answer.status_code == 400
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("options", "kind", "name"),
    [
        ({"access": 5}, TypeError, "access"),
        ({"tokens": ["x" * 32]}, TypeError, "tokens"),
        ({"tokens": {"short": Access.READ}}, ValueError, "32"),
        ({"hosts": ["https://jobs.example.org"]}, ValueError, "hosts"),
        ({"hosts": "jobs.example.org"}, TypeError, "hosts"),
        ({"frame_ancestors": ["a; script-src *"]}, ValueError, "frame_ancestors"),
        ({"csp": "a\nb"}, ValueError, "csp"),
        ({"redact": "password"}, TypeError, "redact"),
        ({"chaos": 1}, TypeError, "chaos"),
        ({"prometheus": "yes"}, TypeError, "prometheus"),
        ({"trees": "shop"}, TypeError, "trees"),
        ({"trees": ["shop", 5]}, TypeError, r"trees .* 5 \(int\)"),
    ],
    ids=str,
)
def test_a_wrong_option_is_named(
    app: AntQ, options: dict[str, object], kind: type[Exception], name: str
) -> None:
    with pytest.raises(kind, match=name):
        dashboard(app, **options)  # type: ignore[arg-type] - wrong on purpose


def test_a_store_that_is_away_is_said_so(tmp_path: Path) -> None:
    client = site(AntQ(path=tmp_path / "jobs", queues={"mail": 1}))
    assert client.get("/").status_code == 503
    assert client.get("/healthz").status_code == 503
    assert client.get("/api/v1/overview", headers=bearer(Access.READ)).status_code == 503


def test_metrics_are_served_where_they_are_wanted_also_to_programs(app: AntQ) -> None:
    closed = site(app, Access.NONE, prometheus=True)
    assert closed.get("/metrics").status_code == 403
    assert closed.get("/metrics", headers={"authorization": "Bearer nonsense"}).status_code == 403
    scraped = closed.get("/metrics", headers=bearer(Access.READ))
    assert scraped.status_code == 200
    assert scraped.headers["content-type"].startswith("text/plain")
    assert 'antq_jobs{queue="mail"' in scraped.text
    assert site(app, Access.READ, prometheus=True).get("/metrics").status_code == 200
    assert site(app, Access.READ).get("/metrics").status_code == 404
    assert site(app, Access.NONE).get("/", headers=bearer(Access.READ)).status_code == 403
