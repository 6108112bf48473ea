"""What can be done to queues, nodes, errors and the store from their pages, and undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from dashboard.pages import Html
from dashboard.sites import OWN, bearer, site

from antq_actors import AntQ, Job, Worker
from antq_actors.insights import Insights
from antq_actors.web import Access, Visitor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx
    from starlette.testclient import TestClient


class Send(Worker, queue="mail", max_attempts=1, result=True):
    def perform(self, job: Job) -> None:
        if job.args["n"] == 0:
            raise ValueError("no address")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[AntQ]:
    with AntQ(path=tmp_path / "jobs", queues={"mail": 2}) as app:
        yield app


@pytest.fixture
def client(app: AntQ) -> TestClient:
    return site(app, access=lambda _: Visitor(Access.OPERATE, "ada"))


def post(client: TestClient, path: str, **fields: object) -> httpx.Response:
    return client.post(path, data=fields, headers=OWN)


def followed(client: TestClient, answer: httpx.Response) -> Html:
    assert answer.status_code == 303, answer.text
    page = client.get(str(answer.url.join(answer.headers["location"])))
    assert page.status_code == 200
    return Html(page.text)


def test_pausing_asks_for_a_reason_first_where_there_are_no_scripts(
    app: AntQ, client: TestClient
) -> None:
    asked = post(client, "/queue/pause?name=mail", next="queue")
    assert asked.status_code == 200
    page = Html(asked.text)
    assert page.heading == "Pause mail"
    assert not app.queue("mail").status().paused
    form = page.one("asked") if page.all("asked") else page.tagged("main")[0].tagged("form")[-1]
    fields = {each["name"]: each["value"] for each in form.tagged("input")}
    assert fields == {"reason": "", "next": "queue", "confirm": "1"}
    done = post(client, "/queue/pause?name=mail", **{**fields, "reason": "deploy"})
    shown = followed(client, done)
    assert shown.heading == "Queue mail"
    assert "paused by ada" in shown.text
    assert "deploy" in shown.text
    assert shown.one("toast").text == "Paused."


@pytest.mark.parametrize("verb", ["pause", "resume", "concurrency"])
def test_what_was_done_to_a_queue_is_undone_once(app: AntQ, client: TestClient, verb: str) -> None:
    queue = app.queue("mail")
    if verb == "resume":
        queue.pause(by="eve", reason="before")
    before = Insights(app).queue("mail")
    fields = {"n": "5"} if verb == "concurrency" else {"confirm": "1"}
    shown = followed(client, post(client, f"/queue/{verb}?name=mail", **fields))
    undo = shown.one("undo")
    token = {each["name"]: each["value"] for each in undo.tagged("input")}
    assert Insights(app).queue("mail") != before
    again = post(client, "/undo", **token)
    assert followed(client, again).one("toast").text == "Undone."
    after = Insights(app).queue("mail")
    assert (after.paused, after.slots) == (before.paused, before.slots)
    assert post(client, "/undo", **token).status_code == 409


@pytest.mark.parametrize("token", ["", "nonsense", "x" * 500])
def test_a_token_that_undoes_nothing_is_refused(client: TestClient, token: str) -> None:
    answer = post(client, "/undo", token=token)
    assert answer.status_code in (400, 409)
    assert Html(answer.text).one("alert").text


def test_a_paused_queue_is_let_on_job_by_job(app: AntQ, client: TestClient) -> None:
    app.queue("mail").pause()
    jobs = [app.enqueue(Send, {"n": number}) for number in (1, 2, 3)]
    page = Html(client.get("/queue?name=mail").text)
    assert {"Step 1", "Step 5", f"Run this one: job {jobs[1].id}"} <= set(page.buttons)
    followed(client, post(client, "/queue/step?name=mail", id=str(jobs[1].id), next="queue"))
    assert app.result(jobs[1].id, timeout=30) is None
    followed(client, post(client, "/queue/step?name=mail", n="1", next="queue"))
    assert app.result(jobs[0].id, timeout=30) is None
    assert app.get_job(jobs[2].id).status == "enqueued"


def test_what_a_queue_refuses_is_a_sentence_and_changes_nothing(
    app: AntQ, client: TestClient
) -> None:
    for path, fields, status in (
        ("/queue/step?name=mail", {"n": "1"}, 409),
        ("/queue/step?name=mail", {"n": "0", "confirm": "1"}, 400),
        ("/queue/step?name=mail", {"n": "one"}, 400),
        ("/queue/concurrency?name=mail", {"n": "0"}, 400),
        ("/queue/concurrency?name=mail", {"n": "3", "node": "99"}, 409),
        ("/queue/pause?name=nope", {"confirm": "1"}, 404),
        ("/queue/pause", {"confirm": "1"}, 400),
        ("/queue/breakpoint?name=mail", {"on": "never"}, 400),
        ("/queue/unbreak?name=mail", {"id": "7"}, 400),
        ("/nodes/99/drain", {"confirm": "1"}, 404),
        ("/error/known?fingerprint=nope", {"version": "2"}, 404),
        ("/queue/pause?name=mail", {"confirm": "1", "colour": "red"}, 400),
        ("/queue/pause?name=mail", {"confirm": "1", "next": "https://evil.example"}, 400),
    ):
        answer = post(client, path, **fields)
        assert (path, fields, answer.status_code) == (path, fields, status)
        assert Html(answer.text).one("alert").text, path
    assert app.audit() == []
    assert not app.queue("mail").status().paused


def test_breakpoints_are_added_and_removed(app: AntQ, client: TestClient) -> None:
    fields = {"worker": "Send", "arg": "n=0", "on": "failure", "next": "queue"}
    shown = followed(client, post(client, "/queue/breakpoint?name=mail", **fields))
    row = shown.one("breakpoint-row")
    assert "fails" in row.text
    assert f"Remove breakpoint {row['data-id']}" in shown.buttons
    gone = post(client, "/queue/unbreak?name=mail", id=row["data-id"], next="queue")
    assert followed(client, gone).all("breakpoint-row") == []


def test_all_jobs_of_an_error_are_retried_after_asking(app: AntQ, client: TestClient) -> None:
    for _ in range(2):
        app.enqueue(Send, {"n": 0})
    assert app.wait_idle(timeout=30)
    path = "/error?fingerprint=" + Insights(app).errors().items[0].fingerprint
    page = Html(client.get(path).text)
    assert "Retry all 2 jobs" in page.buttons
    app.queue("mail").pause()
    assert post(client, path.replace("/error", "/error/retry")).status_code == 200
    assert app.count_jobs(status="failed") == 2
    shown = followed(client, post(client, path.replace("/error", "/error/retry"), confirm="1"))
    assert shown.one("toast").text == "Enqueued again: 2 changed."
    assert app.count_jobs(status="failed") == 0


def test_the_button_of_an_error_counts_the_jobs_that_it_retries(
    app: AntQ, client: TestClient
) -> None:
    """Not their failures: a job that was retried and failed again has two of them."""
    for _ in range(2):
        app.enqueue(Send, {"n": 0})
    assert app.wait_idle(timeout=30)
    path = "/error?fingerprint=" + Insights(app).errors().items[0].fingerprint
    for _ in range(2):
        retried = post(client, path.replace("/error", "/error/retry"), confirm="1")
        assert followed(client, retried).one("toast").text == "Enqueued again: 2 changed."
        assert app.wait_idle(timeout=30)
    page = Html(client.get(path).text)
    assert Insights(app).errors().items[0].count == 6
    assert "Retry all 2 jobs" in page.buttons

    app.queue("mail").pause()
    post(client, path.replace("/error", "/error/retry"), confirm="1")
    page = Html(client.get(path).text)
    name = "Retry all 0 jobs"
    (button,) = (
        each.attributes
        for each in page.tagged("button")
        if each.attributes.get("aria-label") == name
    )
    assert "disabled" in button
    assert button["title"].startswith("no job stands as failed")


def test_an_error_is_known_until_a_release(app: AntQ, client: TestClient) -> None:
    app.enqueue(Send, {"n": 0})
    assert app.wait_idle(timeout=30)
    fingerprint = Insights(app).errors().items[0].fingerprint
    followed(client, post(client, f"/error/known?fingerprint={fingerprint}", version="2.1"))
    assert Insights(app).error(fingerprint).known == "2.1"


def test_the_store_is_backed_up_and_verified(app: AntQ, client: TestClient, tmp_path: Path) -> None:
    target = tmp_path / "backup"
    shown = followed(client, post(client, "/store/backup", target=str(target)))
    assert str(target) in shown.text
    assert any(target.iterdir())
    assert "nothing was found" in followed(client, post(client, "/store/verify")).text
    assert post(client, "/store/backup", target=str(target)).status_code in (400, 409)


def test_a_node_is_drained_after_asking(app: AntQ, client: TestClient) -> None:
    path = f"/nodes/{app.node}/drain"
    assert post(client, path).status_code == 200
    followed(client, post(client, path, confirm="1"))
    assert [each.verb for each in app.audit()] == ["drain"]


def test_the_api_does_the_same_for_programs(app: AntQ) -> None:
    client = site(app)
    answer = client.post(
        "/api/v1/queue/pause?name=mail", json={"reason": "x"}, headers=bearer(Access.OPERATE)
    )
    assert answer.json()["changed"] == 1
    assert answer.json()["item"]["paused"]["reason"] == "x"
    low = client.post("/api/v1/queue/resume?name=mail", json={}, headers=bearer(Access.READ))
    assert low.status_code == 403
    assert "OPERATE" in low.json()["error"]["message"]
    assert app.queue("mail").status().paused
