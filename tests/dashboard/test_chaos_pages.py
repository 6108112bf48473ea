"""Chaos runs and the quiz on the page of the tree, asked without a network."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from dashboard.pages import Html
from dashboard.sites import OWN, bearer, site
from support.apps import until

from antq_actors import AntQ, otp
from antq_actors.insights import Insights
from antq_actors.web import Access, Visitor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient

QUIZ = {"cookie": "antq_quiz=on"}
ADA = Visitor(Access.CHAOS, "ada")


class Shelf(otp.GenServer):
    """Does nothing but live."""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[AntQ]:
    with AntQ(path=tmp_path / "jobs", queues={"mail": 1}) as app:
        yield app


@pytest.fixture
def root() -> Iterator[object]:
    children = [Shelf.child_spec(id=name) for name in ("a", "b", "<c>")]
    rules = {"strategy": otp.Strategy.REST_FOR_ONE, "max_restarts": 20, "max_seconds": 60}
    root = otp.Supervisor.start(children, name="library", **rules)
    yield root
    with suppress(otp.CallExit):
        otp.stop(root)


@pytest.fixture
def client(app: AntQ, root: object) -> TestClient:
    return site(app, Access.CHAOS, trees=["library"], chaos=True)


def id_of(client: TestClient, name: str) -> str:
    rows = Html(client.get("/tree").text).all("actor")
    return str(next(each["data-id"] for each in rows if each["data-name"] == name))


def post(client: TestClient, path: str, **sent: object) -> Html:
    """Send a form, and return the page that it leads to."""
    done = client.post(path, data=sent, headers=OWN)
    assert done.status_code == 303, done.text
    return Html(client.get(str(done.url.join(done.headers["location"]))).text)


# ---- runs ---------------------------------------------------------------------------------------


def test_a_run_is_begun_watched_and_stopped(client: TestClient, app: AntQ) -> None:
    assert "Begin chaos run" in Html(client.get("/tree").text).buttons
    asked = client.post("/tree/chaos", data={"node": str(app.node)}, headers=OWN)
    assert asked.status_code == 200
    assert Insights(app).chaos_run() is None

    begun = post(client, "/tree/chaos", node=app.node, every="30s", duration="10m", confirm="1")
    assert begun.heading == "Chaos run"
    assert begun.one("chaos-state")["data-state"] == "running"
    until(lambda: Html(client.get(f"/tree/chaos?node={app.node}").text).all("chaos-hit"))
    page = Html(client.get(f"/tree/chaos?node={app.node}").text)
    assert "Stop chaos run" in page.buttons
    assert "Begin chaos run" not in page.buttons
    assert page.one("chaos-hit")["data-agrees"] == "yes"
    assert "1, of which 1 went as predicted" in page.one("chaos-report").text
    assert "under way" in Html(client.get("/tree").text).text
    second = client.post("/tree/chaos", data={"node": app.node, "confirm": "1"}, headers=OWN)
    assert second.status_code == 409

    post(client, "/tree/chaos/stop", node=app.node)
    page = until(lambda: is_over(Html(client.get(f"/tree/chaos?node={app.node}").text)))
    assert page.one("chaos-state")["data-state"] == "stopped"
    assert "Begin chaos run" in page.buttons


def is_over(page: Html) -> Html | None:
    return None if page.one("chaos-state")["data-state"] == "running" else page


def test_the_api_begins_reads_and_stops_a_run(client: TestClient, app: AntQ) -> None:
    chaos, read = bearer(Access.CHAOS), bearer(Access.READ)
    assert client.get("/api/v1/tree/chaos", headers=read).json() is None
    sent = {"node": app.node, "every": 30, "duration": "10m", "reason": "a course"}

    begun = client.post("/api/v1/tree/chaos", json=sent, headers=chaos).json()
    again = client.post("/api/v1/tree/chaos", json=sent, headers=chaos)
    stopped = client.post("/api/v1/tree/chaos/stop", json={"node": app.node}, headers=chaos)

    assert (begun["changed"], begun["item"]["state"]) == (1, "running")
    assert (begun["item"]["every"], begun["item"]["duration"]) == (30.0, 600.0)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "ChaosRefused")
    assert stopped.json()["item"]["node"] == app.node
    until(lambda: client.get("/api/v1/tree/chaos", headers=read).json()["ended"])


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ({"every": "0.2"}, "every must be at least 1 s"),
        ({"duration": "2h"}, "duration must be at most 60 minutes"),
        ({"duration": "long"}, "duration must be a span of time"),
        ({"seconds": "5"}, "there is no field"),
        ({"node": "99"}, "no living node 99"),
    ],
)
def test_a_run_out_of_bounds_is_refused(
    client: TestClient, app: AntQ, sent: dict[str, str], text: str
) -> None:
    refused = client.post("/tree/chaos", data={"confirm": "1", **sent}, headers=OWN)

    assert refused.status_code in (400, 404)
    assert text in Html(refused.text).text
    assert Insights(app).chaos_run() is None
    assert app.audit() == []


@pytest.mark.parametrize("chaos", [False, True])
@pytest.mark.parametrize("level", [Access.READ, Access.OPERATE, Access.CHAOS])
def test_a_run_takes_the_level_and_the_option(app: AntQ, level: Access, *, chaos: bool) -> None:
    client = site(app, level, chaos=chaos)
    is_allowed = chaos and level is Access.CHAOS

    page, report = Html(client.get("/tree").text), Html(client.get("/tree/chaos").text)
    sent = {"every": "30", "duration": "60", "confirm": "1"}
    done = client.post("/tree/chaos", data=sent, headers=OWN)

    assert ("Begin chaos run" in page.buttons) is is_allowed
    assert ("Begin chaos run" in report.buttons) is is_allowed
    assert report.one("empty").text.startswith("No chaos run was begun here")
    assert done.status_code == (303 if is_allowed else 403)
    if is_allowed:
        until(lambda: Insights(app).verbs(ADA).stop_chaos_run().item.ended)


# ---- the quiz --------------------------------------------------------------------------------


def test_the_quiz_is_off_until_a_visitor_ticks_its_box(client: TestClient) -> None:
    page = Html(client.get("/tree").text)
    boxes = [each for each in page.tagged("input") if each.get("name") == "quiz"]
    done = client.post("/settings", data={"quiz": ["off", "on"], "next": "tree"}, headers=OWN)

    assert [each.get("type") for each in boxes] == ["hidden", "checkbox"]
    assert boxes[1].get("checked") is None
    assert done.headers["location"] == "./tree"
    assert "antq_quiz=on" in done.headers["set-cookie"]
    assert client.post("/settings", data={"quiz": "maybe"}, headers=OWN).status_code == 400


def test_in_quiz_mode_a_viewer_answers_before_the_prediction_is_shown(
    client: TestClient, app: AntQ
) -> None:
    b, a = id_of(client, "b"), id_of(client, "a")
    sent = {"node": str(app.node), "actor": b}

    asked = Html(client.post("/tree/crash", data=sent, headers={**OWN, **QUIZ}).text)
    assert asked.heading == "Prediction"
    assert asked.all("prediction") == []
    names = {each["value"] for each in asked.tagged("input") if each.get("name") == "guess"}
    assert {a, b, "library"} <= names
    query = [("node", str(app.node)), ("actor", b), ("verb", "crash"), ("gives_up", "no")]
    guesses = [("guess", b), ("guess", a)]
    page = Html(client.get("/tree/predict", params=[*query, *guesses], headers=QUIZ).text)
    answer = page.one("answer")
    assert answer["data-ok"] == "no"
    assert "Right: b is started again." in answer.text
    assert "Wrong: a is not started again." in answer.text
    assert "Missed: <c> is started again." in answer.text
    assert "Started again" in page.one("prediction").text

    form = {"guess": [b, a], "gives_up": "no", "confirm": "1", **sent}
    shown = post(client, "/tree/crash", **form)
    assert shown.one("prediction")["data-agrees"] == "yes"
    assert shown.one("actual").text
    assert "Missed: <c>" in shown.one("answer").text


def test_without_quiz_mode_pages_are_as_ever(client: TestClient, app: AntQ) -> None:
    sent = {"node": str(app.node), "actor": id_of(client, "a")}

    asked = Html(client.post("/tree/crash", data=sent, headers=OWN).text)
    shown = post(client, "/tree/crash", confirm="1", **sent)

    assert "Started again" in asked.one("prediction").text
    assert asked.all("answer") == shown.all("answer") == []
    assert len(shown.all("prediction")) == len(shown.all("actual")) == 1


def test_what_is_no_answer_is_refused_and_the_api_takes_none(client: TestClient, app: AntQ) -> None:
    a = id_of(client, "a")
    path = f"/tree/predict?node={app.node}&actor={a}&verb=crash&gives_up=perhaps"
    sent = {"node": app.node, "actor": a, "gives_up": "no"}

    refused = client.get(path, headers=QUIZ)
    done = client.post("/api/v1/tree/crash", json=sent, headers=bearer(Access.CHAOS))
    foreseen = client.get(
        f"/api/v1/tree/predict?node={app.node}&actor={a}&verb=crash",
        headers={**bearer(Access.READ), **QUIZ},
    )

    assert refused.status_code == done.status_code == 400
    assert "gives_up must be yes or no" in Html(refused.text).text
    assert "quiz" in done.json()["error"]["message"]
    assert foreseen.json()["gives_up"] is False
    assert app.audit() == []
