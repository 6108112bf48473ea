"""The pages Errors, Error, Metrics, Store and Audit."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from dashboard.pages import Html
from dashboard.sites import bearer, site

from antq_actors import AntQ, Job, Worker
from antq_actors.testing import TestClock
from antq_actors.web import Access

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE = "<script>alert(1)</script>\"'&"


class Send(Worker, queue="mail", max_attempts=1):
    def perform(self, job: Job) -> None:
        if job.args["n"] == 0:
            raise ValueError(f"no address {HOSTILE}")


class Unlike(Worker, queue="mail", max_attempts=1):
    def perform(self, job: Job) -> None:
        raise (KeyError, OSError, RuntimeError, TypeError)[job.args["n"]]("no two are alike")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[AntQ]:
    with AntQ(path=tmp_path / "jobs", queues={"mail": 2}) as app:
        yield app


@pytest.fixture(params=["", "/a/b"], ids=["root", "below"])
def prefix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def page(app: AntQ, path: str, prefix: str = "", status: int = 200) -> Html:
    answer = site(app, prefix=prefix).get(prefix + path)
    assert answer.status_code == status, answer.text
    return Html(answer.text)


def fail(app: AntQ, count: int = 2) -> None:
    for _ in range(count):
        app.enqueue(Send, {"n": 0})
    assert app.wait_idle(timeout=30)


def test_failures_that_are_alike_are_one_row_that_leads_to_its_page(app: AntQ, prefix: str) -> None:
    fail(app, 3)
    client = site(app, prefix=prefix)
    row = Html(client.get(f"{prefix}/errors").text).one("error-row")
    assert [each["data-value"] for each in row.with_attribute("data-key")] == ["3"]
    assert HOSTILE in row.text
    followed = client.get(f"{prefix}/{row.link.removeprefix('./')}")
    shown = Html(followed.text)
    assert shown.title == "Error · jobs · antq"
    assert "ValueError" in shown.text
    assert HOSTILE in shown.text
    assert sum(int(cells[1]) for cells in shown.one("chart-table").rows[1:]) == 3


def test_failures_are_a_list_with_a_limit_and_cursors(app: AntQ) -> None:
    fail(app)
    for number in range(4):
        app.enqueue(Unlike, {"n": number})
    assert app.wait_idle(timeout=30)
    client, read = site(app), bearer(Access.READ)

    def ask(**query: Any) -> Any:
        answer = client.get("/api/v1/errors", params={"limit": 2, **query}, headers=read)
        assert answer.status_code == 200, answer.text
        return answer.json()

    all_ = [each["fingerprint"] for each in ask(limit=100)["items"]]
    assert len(all_) == 5
    first = ask()
    second = ask(after=first["next"])
    third = ask(after=second["next"])
    pages = (first, second, third)
    assert [[each["fingerprint"] for each in page["items"]] for page in pages] == [
        all_[:2],
        all_[2:4],
        all_[4:],
    ]
    assert (first["previous"], third["next"]) == (None, None)
    assert ask(before=third["previous"])["items"] == second["items"]
    assert ask(before=second["previous"]) == first


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=two", "after=-", "after=x", "before=1-2", "after=1&before=2"]
)
def test_a_wrong_limit_or_cursor_of_failures_is_refused(app: AntQ, query: str) -> None:
    answer = site(app).get(f"/api/v1/errors?{query}", headers=bearer(Access.READ))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_field")


def test_failures_that_there_are_not_cannot_be_known(app: AntQ) -> None:
    fail(app)
    client, operate = site(app), bearer(Access.OPERATE)
    path = "/api/v1/error/known?fingerprint=0123456789abcdef"
    answer = client.post(path, json={"version": "2.1"}, headers=operate)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert app.audit() == []


def test_nothing_has_failed_yet(app: AntQ) -> None:
    assert "has failed" in page(app, "/errors").one("empty").text


def test_a_filter_that_is_none_lists_nothing_and_stays_in_its_box(app: AntQ) -> None:
    fail(app)
    shown = page(app, '/errors?q=colour:"red', status=400)
    assert shown.one("filter-error").text
    assert shown.all("error-row") == []
    assert 'colour:"red' in [each.get("value") for each in shown.tagged("input")]


@pytest.mark.parametrize("path", ["/error?fingerprint=0123456789abcdef", "/error?fingerprint="])
def test_an_error_that_there_is_not_is_a_page_of_the_shell(app: AntQ, path: str) -> None:
    assert page(app, path, status=404).one("alert").text


def test_every_chart_has_the_table_of_its_numbers(app: AntQ, prefix: str) -> None:
    app.enqueue(Send, {"n": 1})
    assert app.wait_idle(timeout=30)
    shown = page(app, "/charts?window=15m", prefix)
    names = [each["data-name"] for each in shown.all("chart")]
    assert "Jobs" in names
    assert len(shown.all("chart-table")) == len(names)
    jobs = shown.all("chart-table")[names.index("Jobs")].rows
    assert jobs[0] == ["From", "enqueued", "completed", "failures"]
    assert len(jobs) == 16
    assert [sum(int(row[column]) for row in jobs[1:]) for column in (1, 2, 3)] == [1, 1, 0]


def test_metrics_are_of_a_queue_a_worker_and_a_node(app: AntQ) -> None:
    app.enqueue(Send, {"n": 1})
    assert app.wait_idle(timeout=30)
    for about, count in (
        ("queue=mail", 1),
        ("worker=Send", 1),
        (f"node={app.node}", 1),
        ("worker=Other", 0),
        ("queue=nope", 0),
    ):
        rows = page(app, f"/charts?{about}").all("chart-table")[0].rows
        assert sum(int(row[2]) for row in rows[1:]) == count, about


def test_metrics_are_compared_with_last_week_in_picture_table_and_file(tmp_path: Path) -> None:
    clock = TestClock()
    with AntQ(path=tmp_path / "jobs", queues={"mail": 2}, clock=clock) as app:
        for days in (0.001, 7):
            clock.advance(timedelta(days=days))
            app.enqueue(Send, {"n": 1})
            assert app.wait_idle(timeout=30)
        shown = page(app, "/charts?window=7d&compare=week")
        (tick,) = (each for each in shown.tagged("input") if each.get("name") == "compare")
        assert "checked" in tick.attributes
        rows = shown.all("chart-table")[0].rows
        assert rows[0][4:] == [f"{name}, a week before" for name in rows[0][1:4]]
        assert sum(int(row[2]) for row in rows[1:]) == 1
        assert sum(float(row[5]) for row in rows[1:] if row[5] != "–") == 1
        quieter = [each for each in shown.tagged("polyline") if "before" in each["class"]]
        assert quieter
        plain = page(app, "/charts?window=7d")
        assert plain.all("chart-table")[0].rows[0][1:] == rows[0][1:4]
        text = site(app).get("/charts.csv?window=7d&compare=week").text
        assert "completed_week_before (jobs)" in text.splitlines()[0].split(",")
        asked = site(app).get("/api/v1/charts?compare=week", headers=bearer(Access.READ)).json()
        assert list(asked) == ["window", "step", "at", "series", "marks"]
        assert "completed_week_before" in [each["name"] for each in asked["series"]]
        assert page(app, "/charts?compare=day", status=400).one("alert").text


def test_a_supervisor_that_gave_up_is_marked_on_the_overview_and_metrics(app: AntQ) -> None:
    app.antq_here().store.mark_in_charts("gave_up", f"supervisor {HOSTILE} of node 1 gave up")
    for path in ("/", "/charts"):
        shown = page(app, path)
        assert [each["class"] for each in shown.tagged("line") if "gave_up" in each["class"]]
        assert f"supervisor {HOSTILE} of node 1 gave up" in shown.text, path


def test_a_window_that_there_is_not_is_refused(app: AntQ) -> None:
    assert "15m, 1h" in page(app, "/charts?window=1y", status=400).one("alert").text


def test_charts_are_a_file_for_a_spreadsheet(app: AntQ) -> None:
    answer = site(app).get("/charts.csv?window=24h")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0][0] == "at"
    assert len(rows) == 97


def test_the_store_shows_its_file_and_who_reads(app: AntQ, prefix: str, tmp_path: Path) -> None:
    app.backup(tmp_path / "backup")
    shown = page(app, "/store", prefix)
    assert str(tmp_path / "jobs") in shown.text
    assert str(tmp_path / "backup") in shown.text
    assert shown.all("reader-row") or shown.one("empty")
    assert "not known yet" in shown.one("forecast").text


def test_the_store_shows_how_long_commits_take_and_when_it_is_full(tmp_path: Path) -> None:
    clock = TestClock()
    with AntQ(path=tmp_path / "jobs", start_queues=False, clock=clock) as app:
        store = app.antq_here().store
        for _ in range(2):
            clock.advance(timedelta(hours=1))
            app.enqueue_many(Send, [{"n": 1, "text": "x" * 900}] * 200)
            store.counts.due = 0.0
            store.write(lambda _: None)
        shown = page(app, "/store")
        assert "full in" in shown.one("forecast").text
        assert "last 1 h" in shown.one("forecast").text
        (commit,) = (e for e in shown.with_attribute("data-key") if e["data-key"] == "commit")
        assert float(commit["data-value"]) > 0
        asked = site(app).get("/api/v1/store", headers=bearer(Access.READ)).json()
        assert asked["commit"] == float(commit["data-value"])
        assert list(asked)[-3:] == ["verify", "signed", "encrypted"]


def test_what_was_done_by_hand_is_listed_page_by_page(app: AntQ, prefix: str) -> None:
    for number in range(3):
        with app.antq_acting("ada", "pause", f"queue mail {number} {HOSTILE}", "deploy"):
            (app.queue("mail").resume if number % 2 else app.queue("mail").pause)()
    client = site(app, prefix=prefix)
    first = Html(client.get(f"{prefix}/audit?limit=2").text)
    assert [row["data-name"] for row in first.all("audit-row")] == ["pause", "pause"]
    assert HOSTILE in first.all("audit-row")[0].text
    link = next(each["href"] for each in first.tagged("a") if each.text == "Next page")
    second = Html(client.get(f"{prefix}/{link.removeprefix('./')}").text)
    assert len(second.all("audit-row")) == 1
    assert "queue mail 0" in second.one("audit-row").text


def test_nothing_was_done_by_hand_yet(app: AntQ) -> None:
    assert page(app, "/audit").one("empty").text
