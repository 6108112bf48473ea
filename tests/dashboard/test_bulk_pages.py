"""Changes of many jobs: what the dry run says, and that it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from dashboard.pages import Html
from dashboard.sites import OWN, bearer, site
from support.apps import until

from antq_actors import AntQ, Job, Worker
from antq_actors.insights import Insights
from antq_actors.web import Access, Visitor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx
    from starlette.testclient import TestClient


class Send(Worker, queue="mail", max_attempts=1):
    def perform(self, job: Job) -> None:
        if job.args["n"] == 0:
            raise ValueError("no address")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[AntQ]:
    with AntQ(path=tmp_path / "jobs", queues={"mail": 2}) as app:
        for number in (0, 0, 0, 1):
            app.enqueue(Send, {"n": number})
        assert app.wait_idle(timeout=30)
        app.queue("mail").pause()
        yield app


@pytest.fixture
def client(app: AntQ) -> TestClient:
    return site(app, access=lambda _: Visitor(Access.OPERATE, "ada"))


def fields_of(page: Html) -> list[tuple[str, str]]:
    form = page.one("bulk-dialog").tagged("form")[0]
    return [(each["name"], each.get("value") or "") for each in form.tagged("input")]


def send(client: TestClient, fields: list[tuple[str, str]]) -> httpx.Response:
    data: dict[str, list[str]] = {}
    for name, value in fields:
        data.setdefault(name, []).append(value)
    return client.post("/bulk", data=data, headers=OWN)


@pytest.mark.parametrize("prefix", ["", "/a/b"])
def test_a_dry_run_says_what_would_change_and_changes_nothing(app: AntQ, prefix: str) -> None:
    client = site(app, prefix=prefix)
    page = Html(client.get(f"{prefix}/bulk?verb=retry&q=queue:mail").text)
    assert page.heading == "Bulk"
    assert page.one("count")["data-value"] == "4"
    keys = {each["data-key"]: each["data-value"] for each in page.with_attribute("data-key")}
    assert (keys["changes"], keys["refused"]) == ("3", "1")
    assert "Retry all 4 matching jobs" in page.buttons
    assert "antq retry" in page.text
    assert app.count_jobs(status="failed") == 3


def test_all_that_match_are_retried_after_typing_their_number(
    app: AntQ, client: TestClient
) -> None:
    page = Html(client.get("/bulk?verb=retry&q=status:failed").text)
    assert "Type 3 to confirm" in page.text
    fields = [
        (name, value or "3" if name == "expect" else value) for name, value in fields_of(page)
    ]
    answer = send(client, fields)
    assert answer.status_code == 303
    shown = Html(client.get(answer.headers["location"]).text)
    assert shown.heading.startswith("Bulk ")
    assert shown.all("bulk-progress")
    number = int(shown.heading.removeprefix("Bulk "))
    until(lambda: Insights(app).bulk(number).state == "done")
    done = Html(client.get(f"/bulk/{number}").text)
    assert done.one("bulk-progress")["value"] == "3"
    assert app.count_jobs(status="failed") == 0
    entry = app.audit()[0]
    assert (entry.name, entry.verb, entry.target, entry.count) == (
        *("ada", "bulk retry", "status:failed", 3),
    )


def test_all_jobs_are_changed_where_no_filter_is_typed(app: AntQ, client: TestClient) -> None:
    page = Html(client.get("/bulk?verb=delete&q=").text)
    number = page.one("count")["data-value"] or ""
    assert int(number) == len(app.list_jobs()) > 0
    fields = [
        (name, value or number if name == "expect" else value) for name, value in fields_of(page)
    ]
    answer = send(client, fields)
    assert answer.status_code == 303
    until(lambda: app.list_jobs() == [])
    assert send(client, [("verb", "delete"), ("expect", "0")]).status_code == 400


def test_ticked_jobs_are_cancelled_and_that_is_undone(app: AntQ, client: TestClient) -> None:
    ids = [app.enqueue(Send, {"n": 2}).id for _ in range(3)]
    page = Html(client.get(f"/bulk?verb=cancel&id={ids[0]}&id={ids[2]}").text)
    assert "Cancel 2 jobs" in page.buttons
    answer = send(client, fields_of(page))
    assert answer.status_code == 303
    until(lambda: app.count_jobs(status="cancelled") == 2)
    shown = Html(client.get(answer.headers["location"]).text)
    token = {each["name"]: each["value"] for each in shown.one("undo").tagged("input")}
    assert client.post("/undo", data=token, headers=OWN).status_code == 303
    assert app.count_jobs(status="cancelled") == 0


def test_what_is_wrong_is_refused_and_changes_nothing(app: AntQ, client: TestClient) -> None:
    for fields, status in (
        ({"verb": "retry", "q": "status:failed", "expect": "2"}, 409),
        ({"verb": "retry", "q": "status:failed"}, 400),
        ({"verb": "retry", "q": "status:failed", "expect": "three"}, 400),
        ({"verb": "explode", "q": "status:failed", "expect": "3"}, 400),
        ({"verb": "retry", "q": "colour:red", "expect": "3"}, 400),
        ({"verb": "retry", "q": "status:failed", "id": "1", "expect": "3"}, 400),
        ({"verb": "delete", "q": "status:failed", "expect": "3", "spread": "60"}, 400),
    ):
        answer = client.post("/bulk", data=fields, headers=OWN)
        assert (fields, answer.status_code) == (fields, status)
    for path in ("/bulk", "/bulk?verb=explode", "/bulk?verb=retry&q=colour:red"):
        assert client.get(path).status_code == 400, path
    assert client.get("/bulk/99").status_code == 404
    assert client.post("/bulk/99/stop", headers=OWN).status_code == 404
    assert app.count_jobs(status="failed") == 3
    assert app.audit() == []


def test_below_operate_the_dry_run_alone_is_shown(app: AntQ) -> None:
    client = site(app, Access.READ)
    page = Html(client.get("/bulk?verb=delete&q=status:failed").text)
    assert page.all("bulk-confirm") == []
    fields = {"verb": "delete", "q": "status:failed", "expect": "3"}
    assert client.post("/bulk", data=fields, headers=OWN).status_code == 403
    assert app.count_jobs(status="failed") == 3


def test_programs_try_it_then_begin_it(app: AntQ) -> None:
    client = site(app)
    asked = {"verb": "delete", "q": "status:failed"}
    low = bearer(Access.READ)
    tried = client.post("/api/v1/bulk", json={**asked, "dry_run": True}, headers=low)
    assert set(tried.json()) == {
        *("matches", "exact", "changes", "refused", "sample", "cli", "python"),
    }
    assert client.post("/api/v1/bulk", json={**asked, "expect": 3}, headers=low).status_code == 403
    begun = client.post("/api/v1/bulk", json={**asked, "expect": 3}, headers=bearer(Access.OPERATE))
    assert begun.status_code == 202
    assert set(begun.json()) == {"id", "href"}
    until(lambda: client.get(begun.json()["href"], headers=low).json()["state"] == "done")
    assert client.get(begun.json()["href"], headers=low).json()["changed"] == 3
    assert app.count_jobs(status="failed") == 0
