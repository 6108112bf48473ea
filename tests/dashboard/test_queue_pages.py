"""The pages Overview, Queues, Queue, Nodes and About: what they show of queues and nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from dashboard.pages import Html
from dashboard.sites import site

from antq_actors import AntQ, Job, Worker
from antq_actors.web import Access

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE = "<script>alert(1)</script>\"'&"


class Send(Worker, queue="mail"):
    def perform(self, job: Job) -> None:
        if job.args["n"] == 0:
            raise ValueError("no address")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[AntQ]:
    with AntQ(path=tmp_path / "jobs", queues={"mail": 2, HOSTILE: 1}) as app:
        yield app


@pytest.fixture(params=["", "/a/b"], ids=["root", "below"])
def prefix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def page(app: AntQ, path: str, prefix: str = "", level: Access = Access.OPERATE) -> Html:
    answer = site(app, level, prefix).get(prefix + path)
    assert answer.status_code == 200, answer.text
    return Html(answer.text)


def test_an_idle_system_looks_healthy(app: AntQ, prefix: str) -> None:
    shown = page(app, "/", prefix)
    assert "All is well" in shown.one("all-well").text
    assert shown.heading == "Overview"


def test_numbers_are_shown_with_their_keys(app: AntQ) -> None:
    app.queue("mail").pause()
    app.enqueue(Send, {"n": 1})
    app.enqueue(Send, {"n": 2})
    shown = page(app, "/")
    keys = {each["data-key"]: each["data-value"] for each in shown.with_attribute("data-key")}
    assert keys["waiting"] == "2"
    assert keys["slots"] == "3"
    assert set(keys) == {
        *("waiting", "oldest_due", "running", "slots", "done_per_minute", "failed_per_minute"),
        *("retries_due", "store_fill"),
    }


def test_a_paused_queue_with_due_jobs_needs_attention_and_leads_to_its_page(app: AntQ) -> None:
    app.queue(HOSTILE).pause(by="ada", reason="deploy")
    app.enqueue(Send, {"n": 1}, queue=HOSTILE)
    client = site(app)
    shown = Html(client.get("/").text)
    row = shown.one("attention-row")
    assert row["data-rule"] == "paused"
    assert "by ada (deploy)" in row.text
    followed = client.get("/" + row.link.removeprefix("./"))
    assert f"Queue {HOSTILE}" == Html(followed.text).heading


def test_the_hour_is_a_picture_and_a_table_of_the_same_numbers(app: AntQ) -> None:
    app.enqueue(Send, {"n": 1})
    assert app.wait_idle(timeout=10)
    shown = page(app, "/")
    assert shown.one("chart")["data-name"] == "Jobs in the last hour"
    table = shown.one("chart-table")
    assert table.rows[0] == ["From", "enqueued", "completed", "failures"]
    assert sum(int(row[1]) for row in table.rows[1:]) == 1


def test_each_queue_has_a_row(app: AntQ, prefix: str) -> None:
    app.queue("mail").pause(by="ada", reason=HOSTILE)
    app.enqueue(Send, {"n": 1})
    rows = {row["data-name"]: row for row in page(app, "/queues", prefix).all("queue-row")}
    assert set(rows) == {"mail", HOSTILE}
    assert "paused by ada" in rows["mail"].text
    assert HOSTILE in rows["mail"].text
    values = {
        each["data-key"]: each["data-value"] for each in rows["mail"].with_attribute("data-key")
    }
    assert (values["waiting"], values["due"], values["slots"]) == ("1", "1", "2")


def test_a_queue_shows_its_slots_and_what_comes_next(app: AntQ, prefix: str) -> None:
    app.queue("mail").pause()
    job = app.enqueue(Send, {"n": 1})
    shown = page(app, "/queue?name=mail", prefix)
    assert [slot["data-state"] for slot in shown.all("slot")] == ["free", "free"]
    assert shown.one("upcoming-row")["data-id"] == str(job.id)
    assert shown.title == "Queue mail · jobs · antq"


def test_a_queue_shows_its_concurrency_on_each_node_and_on_all(app: AntQ) -> None:
    app.queue("mail").set_concurrency(3)
    shown = page(app, "/queue?name=mail")
    (table,) = (each for each in shown.tagged("table") if each.get("aria-labelledby") == "on-nodes")
    head, node, everything = table.rows
    assert head == ["Node", "At once", "Configured", "Running", "Executor"]
    assert node == [f"Node {app.node}", "3", "2", "0", "thread"]
    assert everything == ["All", "3", "", "0", ""]


def test_a_queue_that_there_is_not_is_a_page_of_the_shell(app: AntQ) -> None:
    answer = site(app).get("/queue?name=nope")
    assert answer.status_code == 404
    assert "there is no queue 'nope'" in Html(answer.text).one("alert").text


def test_a_hostile_name_is_text_and_a_link_that_works(app: AntQ, prefix: str) -> None:
    shown = page(app, f"/queue?name={quote(HOSTILE)}", prefix)
    assert shown.heading == f"Queue {HOSTILE}"
    assert shown.scripts == ["htmx.min.js", "antq.js"]


def test_a_node_has_a_row_that_leads_to_its_tree(app: AntQ, prefix: str) -> None:
    row = page(app, "/nodes", prefix).one("node-row")
    assert row["data-id"] == str(app.node)
    assert "mail (2)" in row.text


def test_about_says_what_is_set_and_what_comes_with_it(app: AntQ) -> None:
    shown = page(app, "/about", level=Access.READ)
    assert "htmx.org 4.0.1" in shown.text
    assert "Ctrl+K" in shown.text


def test_those_who_may_only_look_have_no_buttons(app: AntQ) -> None:
    app.queue("mail").pause()
    app.enqueue(Send, {"n": 1})
    for path in ("/queues", "/queue?name=mail", "/nodes"):
        shown = page(app, path, level=Access.READ)
        assert shown.buttons == ["paused", "Set"], path
