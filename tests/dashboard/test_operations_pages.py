"""The pages Errors, Error, Metrics, Store and Audit."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest
from dashboard.pages import Html
from dashboard.sites import site

from antq_actors import AntQ, Job, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE = "<script>alert(1)</script>\"'&"


class Send(Worker, queue="mail", max_attempts=1):
    def perform(self, job: Job) -> None:
        if job.args["n"] == 0:
            raise ValueError(f"no address {HOSTILE}")


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
