"""The pages of crons, limits, batches and workflows: what they show, and what their buttons do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from dashboard.pages import Html
from dashboard.sites import OWN, bearer, site
from support.apps import until

from antq_actors import AntQ, Concurrency, Cron, Every, Job, RateLimit, Worker, Workflow
from antq_actors.web import Access
from antq_actors.web.pages.flows import clock_changes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE = "<script>alert(1)</script>\"'&/é"


class Tenant(Worker, name="Tenant", concurrency=Concurrency(1, key="tenant", name=HOSTILE)):
    def perform(self, job: Job) -> None: ...


class Both(
    Worker,
    name="Both",
    concurrency=Concurrency(3, name="both"),
    rate_limit=RateLimit(100, per=60, burst=5, name="both"),
):
    def perform(self, job: Job) -> None: ...


class Report(Worker, name="Report"):
    def perform(self, job: Job) -> None:
        if "bad" in job.args:
            raise ValueError(HOSTILE)


CRONS = [
    Cron("0 3 * * *", tz="Europe/Berlin", worker=Report, name="nightly"),
    Every(3600, worker=Report, name=HOSTILE, args={"bad": True}, max_attempts=1),
]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[AntQ]:
    """An application that runs its queues, with periodic entries."""
    with AntQ(path=tmp_path / "jobs", queues={"default": 2}, crons=CRONS) as app:
        yield app


@pytest.fixture
def still(tmp_path: Path) -> Iterator[AntQ]:
    """An application that enqueues, and runs nothing."""
    with AntQ(path=tmp_path / "jobs").start(queues=False) as app:
        yield app


@pytest.fixture(params=["", "/a/b"], ids=["root", "below"])
def prefix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def page(app: AntQ, path: str, prefix: str = "", level: Access = Access.OPERATE) -> Html:
    answer = site(app, level, prefix).get(prefix + path)
    assert answer.status_code == 200, answer.text
    return Html(answer.text)


def press(app: AntQ, path: str, **fields: str) -> Html:
    """Send the form of a verb, and return the page that it leads to."""
    client = site(app)
    answer = client.post(path, data=fields, headers=OWN)
    assert answer.status_code == 303, answer.text
    up = answer.headers["location"].lstrip("./")
    return Html(client.get(f"/{up}").text)


def test_nothing_is_shown_of_an_empty_store_but_what_would_fill_it(still: AntQ) -> None:
    for path, heading, code in (
        ("/crons", "Crons", "crons=[Cron("),
        ("/limits", "Limits", "Concurrency("),
        ("/batches", "Batches", "app.batch("),
        ("/workflows", "Workflows", "app.start_workflow("),
    ):
        shown = page(still, path)
        assert shown.heading == heading
        assert code in shown.one("empty").text


# ---- periodic entries ----------------------------------------------------------------------------


def test_each_cron_has_a_row(app: AntQ, prefix: str) -> None:
    shown = page(app, "/crons", prefix)
    rows = {row["data-name"]: row for row in shown.all("cron-row")}
    assert set(rows) == {"nightly", HOSTILE}
    assert "Europe/Berlin" in rows["nightly"].text
    assert rows["nightly"].buttons == ["Pause cron nightly", "Run cron nightly now"]
    assert shown.scripts == ["htmx.min.js", "antq.js"]
    followed = site(app, prefix=prefix).get(f"{prefix}/{rows[HOSTILE].link.removeprefix('./')}")
    assert Html(followed.text).heading == f"Cron {HOSTILE}"


def test_a_cron_shows_its_next_five_times_in_its_zone(app: AntQ, prefix: str) -> None:
    shown = page(app, "/cron?name=nightly", prefix)
    assert shown.title == "Cron nightly · jobs · antq"
    times = [each.text for each in shown.tagged("li") if " 03:00:00 CE" in each.text]
    assert len(times) == 5


def test_a_run_is_a_dot_and_a_row_with_its_outcome(app: AntQ) -> None:
    failed = app.cron(HOSTILE).run_now()
    until(lambda: app.get_job(failed.id).status == "failed")
    shown = page(app, f"/cron?name={quote(HOSTILE, safe='')}")
    dots = [each for each in shown.tagged("a") if each.get("data-outcome")]
    assert [each["aria-label"] for each in dots] == [f"Job {failed.id}: failed"]
    assert [each["data-id"] for each in shown.tagged("tr") if each.get("data-id")] == [
        str(failed.id)
    ]


def test_a_cron_is_paused_resumed_and_run_by_its_buttons(app: AntQ) -> None:
    shown = press(app, "/cron/pause?name=nightly")
    assert shown.heading == "Cron nightly"
    assert shown.one("toast").text == "Paused."
    assert "None while it is paused." in shown.text
    assert "Resume cron nightly" in shown.buttons
    assert app.cron("nightly").info().paused
    press(app, "/cron/resume?name=nightly")
    assert not app.cron("nightly").info().paused
    press(app, "/cron/run?name=nightly")
    assert len(app.list_jobs(worker="Report")) == 1


def test_a_cron_or_limit_that_there_is_not_is_a_page_of_the_shell(app: AntQ) -> None:
    for path in ("/cron?name=nope", "/limit?name=nope"):
        answer = site(app).get(path)
        assert answer.status_code == 404, path
        assert "nope" in Html(answer.text).one("alert").text
        assert site(app).get(path.partition("?")[0]).status_code == 400


def test_a_change_of_the_clocks_is_told_of_in_a_sentence() -> None:
    zone = ZoneInfo("Europe/Berlin")
    autumn = [datetime(2026, 10, 24, 3, tzinfo=zone) + timedelta(days=n) for n in range(3)]
    (told,) = clock_changes(datetime(2026, 10, 23, tzinfo=UTC), autumn)
    assert told.startswith("The clocks go back by 1 h before 2026-10-25 03:00.")
    assert [*clock_changes(datetime(2026, 10, 25, 12, tzinfo=UTC), autumn[2:])] == []


# ---- limits --------------------------------------------------------------------------------------


def test_each_limit_has_a_row_and_one_of_two_kinds_has_two(still: AntQ, prefix: str) -> None:
    still.enqueue(Both)
    still.enqueue(Tenant, {"tenant": "acme"})
    rows = page(still, "/limits", prefix).all("limit-row")
    assert [(row["data-name"], row["data-kind"]) for row in rows] == [
        (HOSTILE, "concurrency"),
        ("both", "concurrency"),
        ("both", "rate"),
    ]
    assert "100 in 1 min, 5 together" in rows[2].text
    first = page(still, "/limits?limit=2", prefix)
    links = {each.text: each["href"] for each in first.tagged("a")}
    second = page(still, "/" + links["Next page"].removeprefix("./"), prefix)
    assert [row["data-kind"] for row in second.all("limit-row")] == ["rate"]
    assert "after=both+concurrency" in second.with_attribute("data-region")[0]["data-region"]


def test_a_limit_shows_its_keys_and_pauses_one_of_them(still: AntQ, prefix: str) -> None:
    for tenant in ("acme", HOSTILE):
        still.enqueue(Tenant, {"tenant": tenant})
    path = f"/limit?name={quote(HOSTILE, safe='')}"
    shown = page(still, path, prefix)
    assert shown.heading == f"Limit {HOSTILE}"
    keys = {row["data-key-of"] for row in shown.with_attribute("data-key-of")}
    assert keys == {"acme", HOSTILE}
    assert f"Pause limit {HOSTILE} at acme" in shown.buttons
    press(still, path.replace("?", "/pause?"), key="acme", confirm="1")
    paused = page(still, path, prefix)
    assert f"Resume limit {HOSTILE} at acme" in paused.buttons
    assert f"Pause limit {HOSTILE}" in paused.buttons


def test_the_dialog_of_a_key_has_it_in_its_box_alone(still: AntQ) -> None:
    still.enqueue(Tenant, {"tenant": "acme"})
    shown = page(still, f"/limit?name={quote(HOSTILE, safe='')}")
    (dialog,) = (
        each
        for each in shown.tagged("dialog")
        if each["aria-label"].endswith("Pause limit " + HOSTILE + " at acme")
    )
    boxes = [each for each in dialog.tagged("input") if each.get("name") == "key"]
    assert [(each["type"], each["value"]) for each in boxes] == [("text", "acme")]


def test_a_limit_of_two_kinds_sets_each_of_them(still: AntQ) -> None:
    still.enqueue(Both)
    shown = page(still, "/limit?name=both")
    assert [each for each in shown.buttons if each.startswith("Set")][1:] == [
        "Set limit both: concurrency",
        "Set limit both: rate",
    ]
    changed = press(still, "/limit/set?name=both", kind="rate", limit="7", per="30s", burst="1")
    assert "7 in 30 s" in changed.text
    assert "Changed the limit." in changed.one("toast").text
    press(still, "/limit/reset?name=both")
    assert "100 in 1 min" in page(still, "/limit?name=both").text


def test_what_a_limit_refuses_is_a_sentence_and_changes_nothing(still: AntQ) -> None:
    still.enqueue(Both)
    before = still.limits()
    answer = site(still).post(
        "/limit/set?name=both", data={"kind": "rate", "limit": "many"}, headers=OWN
    )
    assert answer.status_code == 400
    assert "many" in Html(answer.text).one("alert").text
    assert still.limits() == before


# ---- batches -------------------------------------------------------------------------------------


def test_each_batch_has_a_row_the_newest_first(still: AntQ, prefix: str) -> None:
    for name in (HOSTILE, "second"):
        still.batch(name).enqueue_many(Report, [{}, {}])
    shown = page(still, "/batches", prefix)
    rows = shown.all("batch-row")
    assert [row["data-name"] for row in rows] == ["second", HOSTILE]
    assert HOSTILE in rows[1].text
    assert "0 of 2" in rows[1].text
    followed = page(still, "/" + rows[1].link.removeprefix("./"), prefix)
    assert followed.heading == f"Batch {rows[1]['data-id']}"
    assert followed.scripts == ["htmx.min.js", "antq.js"]


def test_a_batch_names_what_failed_and_what_it_enqueued(app: AntQ) -> None:
    with app.batch("import", on_failure=Both.build(), on_success=Both.build()) as batch:
        good = batch.enqueue(Report)
        bad = batch.enqueue(Report, {"bad": 1}, max_attempts=1)
    until(lambda: not batch.status().open)
    shown = page(app, f"/batches/{batch.id}")
    values = {each["data-key"]: each["data-value"] for each in shown.with_attribute("data-key")}
    assert values == {"total": "2", "ended": "2", "completed": "1", "failed": "1", "cancelled": "0"}
    links = [each.text for each in shown.tagged("a")]
    assert f"Job {bad.id}" in links
    assert f"Job {good.id}" not in links
    assert "on failure: Both enqueued" in shown.text
    assert "on success: Both did not happen" in shown.text
    assert f"Retry failed jobs of batch {batch.id}" in shown.buttons
    again = press(app, f"/batches/{batch.id}/retry-failed")
    assert "Enqueued the failed jobs again" in again.one("toast").text


def test_a_batch_is_closed_and_cancelled_after_it_was_asked(still: AntQ) -> None:
    batch = still.batch("import")
    batch.enqueue(Report)
    path = f"/batches/{batch.id}"
    for verb, name in (("close", "Close"), ("cancel", "Cancel")):
        assert f"{name} batch {batch.id}" in page(still, path).buttons
        asked = site(still).post(f"{path}/{verb}", headers=OWN)
        assert asked.status_code == 200
        assert f"{name} batch {batch.id}" in Html(asked.text).buttons
    assert (batch.status().closed, batch.status().open) == (False, True)
    assert press(still, f"{path}/close", confirm="1").heading == f"Batch {batch.id}"
    assert batch.status().closed
    press(still, f"{path}/cancel", confirm="1")
    assert batch.status().cancelled == 1
    assert [each for each in page(still, path).buttons if "batch" in each] == []


# ---- workflows -----------------------------------------------------------------------------------


def order(name: str = "order") -> Workflow:
    """Return a workflow of two chains that come together, and a group."""
    flow = Workflow(name, key=name)
    pay = flow.add(Report, name="pay")
    pack = flow.add(Report, name=HOSTILE, after=pay)
    rows = flow.add_many(Report, [{"n": n} for n in range(3)], name="row", after=pay)
    flow.add(Report, name="send", after=[pack, rows])
    return flow


def test_each_workflow_has_a_row_and_a_page(still: AntQ, prefix: str) -> None:
    run = still.start_workflow(order(HOSTILE))
    shown = page(still, "/workflows", prefix)
    (row,) = (each for each in shown.tagged("tr") if each.get("data-id") == str(run.id))
    assert row["data-name"] == HOSTILE
    assert "1 enqueued 5 suspended" in row.text
    followed = page(still, "/" + row.link.removeprefix("./"), prefix)
    assert followed.heading == f"Workflow {run.id}"
    assert followed.scripts == ["htmx.min.js", "antq.js", "dagre.min.js", "workflow.js"]


def test_a_workflow_is_a_list_in_which_what_comes_after_is_indented(still: AntQ) -> None:
    run = still.start_workflow(order())
    shown = page(still, f"/workflows/{run.id}")
    vertices = shown.with_attribute("data-vertex")
    assert [(each["data-name"], each["class"]) for each in vertices] == [
        ("pay", "depth-0"),
        (HOSTILE, "depth-1"),
        ("row × 3", "depth-1"),
        ("send", "depth-2"),
    ]
    numbers = [each["data-vertex"] for each in vertices]
    assert vertices[3]["data-after"].split() == [numbers[1], numbers[2]]
    assert f"after {HOSTILE}, row × 3" in vertices[3].text
    nodes = shown.all("workflow-node")
    assert {int(each["data-id"]) for each in nodes} == {
        job.id for job in still.list_jobs(worker="Report")
    }
    assert {each["data-status"] for each in nodes} == {"enqueued", "suspended"}


def test_a_workflow_is_copied_as_text_that_no_name_breaks_out_of(still: AntQ) -> None:
    run = still.start_workflow(order())
    shown = page(still, f"/workflows/{run.id}")
    (copy,) = (each for each in shown.tagged("button") if each.text == "Copy as Mermaid")
    lines = copy["data-copy"].splitlines()
    assert lines[0] == "flowchart LR"
    assert [line.count('"') for line in lines[1:5]] == [2] * 4
    assert len(lines) == 1 + 4 + 4
    assert "<script>" not in copy["data-copy"]


def test_a_failed_job_of_a_workflow_is_retried_from_its_page(app: AntQ) -> None:
    flow = Workflow("order")
    bad = flow.add(Report, {"bad": 1}, max_attempts=1, name="bad")
    flow.add(Report, name="later", after=bad)
    run = app.start_workflow(flow)
    until(lambda: not run.status().open)
    shown = page(app, f"/workflows/{run.id}")
    (failed,) = (each for each in shown.all("workflow-node") if each["data-name"] == "bad")
    assert failed["data-status"] == "failed"
    assert failed.buttons == [f"Retry job {failed['data-id']}"]
    assert f"Retry failed jobs of workflow {run.id}" in shown.buttons
    assert f"Cancel workflow {run.id}" not in shown.buttons
    again = press(app, f"/workflows/{run.id}/retry-failed")
    assert again.heading == f"Workflow {run.id}"
    until(lambda: not run.status().open)
    assert app.get_job(int(failed["data-id"])).error_count == 2


def test_a_workflow_is_cancelled_after_it_was_asked(still: AntQ) -> None:
    run = still.start_workflow(order())
    path = f"/workflows/{run.id}"
    assert site(still).post(f"{path}/cancel", headers=OWN).status_code == 200
    assert run.status().open
    press(still, f"{path}/cancel", confirm="1")
    assert not run.status().open


def test_a_batch_or_workflow_that_there_is_not_is_a_page_of_the_shell(still: AntQ) -> None:
    job = still.enqueue(Report)
    for id_ in (7_000, job.id, 2**64, 10**30):
        for kind in ("batches", "workflows"):
            answer = site(still).get(f"/{kind}/{id_}")
            assert answer.status_code == 404, (kind, id_)
            assert "has the id" in Html(answer.text).one("alert").text


# ---- for all of them -----------------------------------------------------------------------------


@pytest.fixture
def paths(app: AntQ) -> list[str]:
    """The pages, each with something to show."""
    app.enqueue(Both)
    batch = app.batch("import")
    batch.enqueue(Report)
    run = app.start_workflow(order())
    lists = ["/crons", "/limits", "/batches", "/workflows"]
    return [
        *lists,
        *("/cron?name=nightly", "/limit?name=both"),
        *(f"/batches/{batch.id}", f"/workflows/{run.id}"),
    ]


def test_those_who_may_only_look_have_no_buttons(app: AntQ, paths: list[str]) -> None:
    for path in paths:
        buttons = page(app, path, level=Access.READ).buttons
        assert [each for each in buttons if each != "Copy as Mermaid"] == ["paused", "Set"], path


def test_the_api_answers_what_the_pages_show(app: AntQ, paths: list[str]) -> None:
    client = site(app)
    keys = {
        "/cron?": "next_times",
        "/limit?": "infos",
        "/batches/": "callbacks",
        "/workflows/": "jobs",
    }
    for path in paths:
        answer = client.get(f"/api/v1{path}", headers=bearer(Access.READ))
        assert answer.status_code == 200
        (key,) = [key for start, key in keys.items() if path.startswith(start)] or ["items"]
        assert key in answer.json(), path


def test_each_page_has_a_region_that_is_fetched_by_itself(
    app: AntQ, paths: list[str], prefix: str
) -> None:
    for path in paths:
        shown = page(app, path, prefix)
        (section,) = shown.with_attribute("data-region")
        part = site(app, prefix=prefix).get(f"{prefix}/region/{section['data-region']}")
        assert part.status_code == 200
        assert "<h1" not in part.text
