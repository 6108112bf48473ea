"""The pages of the supervision trees: the tree as it is and was, harm with its prediction."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from dashboard.pages import Html
from dashboard.sites import OWN, bearer, site

from antq_actors import AntQ, otp
from antq_actors.web import Access

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient

HOSTILE = "<script>alert(1)</script>\"'&"


class Shelf(otp.GenServer):
    """Does nothing but live."""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[AntQ]:
    with AntQ(path=tmp_path / "jobs", queues={"mail": 1}) as app:
        yield app


@pytest.fixture
def root() -> Iterator[object]:
    children = [Shelf.child_spec(id=name) for name in ("a", "b", HOSTILE)]
    rules = {"strategy": otp.Strategy.REST_FOR_ONE, "max_restarts": 2, "max_seconds": 60}
    root = otp.Supervisor.start(children, name="library", **rules)
    yield root
    with suppress(otp.CallExit):
        otp.stop(root)


@pytest.fixture
def client(app: AntQ, root: object) -> TestClient:
    return site(app, Access.CHAOS, trees=["library"], chaos=True)


def actors(page: Html) -> dict[str, object]:
    return {each["data-name"]: each for each in page.all("actor")}


def test_the_tree_of_the_process_is_a_treegrid(client: TestClient, app: AntQ) -> None:
    page = Html(client.get("/tree").text)
    grid = page.one("tree")
    assert grid["role"] == "treegrid"
    assert grid["aria-label"] == f"Supervision tree of node {app.node}"
    rows = actors(page)
    assert {"antq", "library", "a", "b", HOSTILE} <= set(rows)
    assert rows["library"]["aria-level"] == "1"
    assert rows["library"]["aria-expanded"] == "true"
    assert rows["a"]["aria-level"] == "2"
    assert rows["a"].get("aria-expanded") is None
    assert rows["library"].one("budget")["data-left"] == "2"
    meter = rows["library"].tagged("meter")[0]
    assert meter["aria-label"] == "Restarts left of library"
    assert page.scripts.count("inline") == 0


@pytest.mark.parametrize("prefix", ["", "/a/b"])
def test_the_map_has_the_same_actors_in_a_picture(app: AntQ, root: object, prefix: str) -> None:
    client = site(app, prefix=prefix, trees=["library"])
    grid = Html(client.get(f"{prefix}/tree").text)
    picture = Html(client.get(f"{prefix}/tree?view=map").text)
    svg = next(each for each in picture.tagged("svg") if each.get("class") == "map")
    assert {each["data-name"] for each in svg.all("actor")} == set(actors(grid))


def test_harm_asks_with_what_it_would_lead_to_and_shows_it_beside_what_came(
    client: TestClient, app: AntQ
) -> None:
    id_ = actors(Html(client.get("/tree").text))["a"]["data-id"]
    sent = {"node": str(app.node), "actor": id_}
    asked = client.post("/tree/crash", data=sent, headers=OWN)
    assert asked.status_code == 200
    page = Html(asked.text)
    assert page.heading == "Prediction"
    assert "Crash a" in page.buttons
    assert "Started again" in page.one("prediction").text
    form = page.tagged("main")[0].tagged("form")[-1]
    fields = {
        each["name"]: each["value"] if each.get("value") else "" for each in form.tagged("input")
    }
    assert fields["confirm"] == "1"
    done = client.post("/tree/crash", data=fields, headers=OWN)
    assert done.status_code == 303
    shown = Html(client.get(str(done.url.join(done.headers["location"]))).text)
    assert shown.one("prediction")["data-agrees"] == "yes"
    assert shown.one("actual").text.removeprefix("Actual") == shown.one(
        "prediction"
    ).text.removeprefix("Predicted")
    assert actors(shown)["library"].one("budget")["data-left"] == "1"
    events = shown.all("event-row")
    assert any("crash" in each.text or "exited" in each.text for each in events)
    assert [each.verb for each in app.audit()] == ["crash"]


def test_a_slider_shows_the_tree_as_it_was(client: TestClient, app: AntQ) -> None:
    id_ = actors(Html(client.get("/tree").text))["a"]["data-id"]
    sent = {"node": str(app.node), "actor": id_, "confirm": "1"}
    assert client.post("/tree/crash", data=sent, headers=OWN).status_code == 303
    now = Html(client.get("/tree").text)
    slider = next(each for each in now.tagged("input") if each.get("type") == "range")
    assert slider["aria-label"] == f"Events of node {app.node}"
    assert slider["value"] == slider["max"]
    last = int(slider["max"])
    beyond = client.get(f"/tree?at={last + 1}")
    assert beyond.status_code == 400
    assert (
        f"from 0 to {last}, which is now; got '{last + 1}'" in Html(beyond.text).one("alert").text
    )
    before = Html(client.get("/tree?at=0").text)
    assert actors(before)["library"].one("budget")["data-left"] == "2"
    assert actors(now)["library"].one("budget")["data-left"] == "1"


def test_what_would_follow_is_a_page_and_json(client: TestClient, app: AntQ) -> None:
    rows = actors(Html(client.get("/tree").text))
    path = f"/tree/predict?node={app.node}&verb=kill&actor={rows['b']['data-id']}"
    assert Html(client.get(path).text).title == "Prediction · jobs · antq"
    found = client.get("/api/v1" + path, headers=bearer(Access.READ)).json()
    assert found["restarted"] == [rows["b"]["data-id"], rows[HOSTILE]["data-id"]]
    assert (found["gives_up"], found["parent"]) == (False, "stays")


def test_json_has_prediction_and_actual(client: TestClient, app: AntQ) -> None:
    id_ = actors(Html(client.get("/tree").text))[HOSTILE]["data-id"]
    done = client.post(
        "/api/v1/tree/kill",
        json={"node": app.node, "actor": id_},
        headers=bearer(Access.CHAOS),
    ).json()
    assert done["agrees"] is True
    assert done["prediction"] == done["actual"] or done["prediction"]["restarted"] == [id_]


@pytest.mark.parametrize("verb", ["crash", "exit", "kill", "hang", "slow"])
def test_each_harm_takes_seconds_as_its_form_does(client: TestClient, app: AntQ, verb: str) -> None:
    id_ = actors(Html(client.get("/tree").text))[HOSTILE]["data-id"]
    for seconds, status in (("soon", 400), (0.01, 200)):
        sent = {"node": app.node, "actor": id_, "seconds": seconds}
        answer = client.post(f"/api/v1/tree/{verb}", json=sent, headers=bearer(Access.CHAOS))
        assert answer.status_code == status, answer.text
        if status == 400:
            assert "seconds must be" in answer.json()["error"]["message"]


@pytest.mark.parametrize("level", [Access.READ, Access.OPERATE, Access.CHAOS])
@pytest.mark.parametrize("chaos", [False, True])
def test_harm_takes_the_level_and_the_option(
    app: AntQ, root: object, level: Access, *, chaos: bool
) -> None:
    client = site(app, level, trees=["library"], chaos=chaos)
    page = Html(client.get("/tree").text)
    is_allowed = chaos and level is Access.CHAOS
    assert ("Crash a" in page.buttons) is is_allowed
    assert bool(page.all("red-frame")) is is_allowed
    sent = {"actor": "library/a", "confirm": "1"}
    if not is_allowed:
        assert client.post("/tree/crash", data=sent, headers=OWN).status_code == 403
    assert app.audit() == []


def test_what_is_not_there_is_refused_and_changes_nothing(client: TestClient, app: AntQ) -> None:
    for path, fields, status in (
        ("/tree/crash", {"actor": "nope", "confirm": "1"}, 404),
        ("/tree/crash", {"actor": "nope"}, 404),
        ("/tree/hang", {"actor": "library/a", "seconds": "-1", "confirm": "1"}, 400),
        ("/tree/crash", {"confirm": "1"}, 400),
    ):
        answer = client.post(path, data=fields, headers=OWN)
        assert (path, fields, answer.status_code) == (path, fields, status)
    for path in ("/tree?node=99", "/tree/predict?actor=nope&verb=crash"):
        assert client.get(path).status_code == 404, path
    for path in ("/tree?view=cube", "/tree?at=x", "/tree?node=one", "/tree/predict?actor=a"):
        assert client.get(path).status_code == 400, path
    assert app.audit() == []


def test_trees_of_further_supervisors_that_have_ended_are_left_out(
    client: TestClient, root: object
) -> None:
    otp.stop(root)
    assert "library" not in actors(Html(client.get("/tree").text))
