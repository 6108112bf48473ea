"""A verb is sent as a form or as JSON, and done by insights for whoever has sent it."""

from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from dashboard.sites import OWN, bearer, site
from support.apps import Plain

from antq_actors import AntQ, Status
from antq_actors.insights import Access
from antq_actors.web import Visitor
from antq_actors.web.routes import Asks
from antq_actors.web.verbs import ROUTES

OPERATE = bearer(Access.OPERATE)


@pytest.fixture
def still(tmp_path):
    with AntQ(tmp_path / "jobs").start(queues=False) as app:
        yield app


def test_form_leads_to_a_page_and_notes_who_sent_it(still):
    job = still.enqueue(Plain)
    client = site(still, access=lambda _request: Visitor(Access.OPERATE, "ada"))

    answer = client.post(f"/jobs/{job.id}/cancel", data={"reason": "late"}, headers=OWN)

    assert answer.status_code == 303
    (entry,) = still.audit()
    assert (entry.name, entry.verb, entry.reason) == ("ada", "cancel", "late")


def test_json_is_answered_with_the_number_and_the_item(still):
    job = still.enqueue(Plain)
    operate = bearer(Access.OPERATE)

    answer = site(still).post(f"/api/v1/jobs/{job.id}/cancel", json={}, headers=operate)

    assert answer.status_code == 200
    assert set(answer.json()) == {"changed", "item"}
    assert answer.json()["changed"] == 1
    assert answer.json()["item"]["status"] == "cancelled"


def test_word_of_python_is_a_field_and_a_step_answers_ids(still):
    job = still.enqueue(Plain)
    client, operate = site(still), bearer(Access.OPERATE)
    path = f"/api/v1/jobs/{job.id}"

    assert client.post(f"{path}/reschedule", json={"in": "1h"}, headers=operate).is_success
    assert still.get_job(job.id).status is Status.SCHEDULED
    other = still.enqueue(Plain)
    still.queue("default").pause()
    step = client.post("/api/v1/queue/step?name=default", json={"n": 1}, headers=operate)
    assert step.json()["ids"] == [other.id]


@pytest.mark.parametrize(
    ("path", "sent", "refused", "says"),
    [
        ("jobs/1/reschedule", {"in": "soon"}, (400, "bad_field"), "in must be a span of time"),
        ("jobs/1/reschedule", {}, (400, "InvalidSchedule"), "give either at"),
        ("jobs/99/cancel", {}, (404, "not_found"), "99"),
        ("queue/step?name=default", {}, (409, "QueueNotPaused"), "not paused"),
        ("queue/step?name=nowhere", {}, (404, "not_found"), "nowhere"),
        ("queue/step", {}, (400, "bad_field"), "name is missing"),
        ("nodes/99/drain", {}, (404, "not_found"), "no living node 99"),
    ],
)
def test_refused_verb_says_why_and_changes_nothing(still, path, sent, refused, says):
    job = still.enqueue(Plain)

    answer = site(still).post(f"/api/v1/{path}", json=sent, headers=bearer(Access.OPERATE))

    assert (answer.status_code, answer.json()["error"]["code"]) == refused
    assert says in answer.json()["error"]["message"]
    assert still.get_job(job.id) == job
    assert still.audit() == []


def test_level_below_operate_is_refused_by_its_name(still):
    job = still.enqueue(Plain)

    answer = site(still).post(f"/api/v1/jobs/{job.id}/cancel", json={}, headers=bearer(Access.READ))

    assert answer.status_code == 403
    assert "OPERATE" in answer.json()["error"]["message"]
    assert still.get_job(job.id) == job


def filled(route):
    """Return the URL of a verb about something that is not there."""
    path = route.path.replace("{id:int}", "99").replace("{number:int}", "99")
    query = "?fingerprint=0123456789abcdef" if "/error/" in path else "?name=nowhere"
    return path + query


@pytest.mark.parametrize("sent", ["5", "soon", "", "\x00<script>", "9" * 50])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_no_verb_breaks_whatever_its_fields_hold(still, tmp_path, route, sent):
    if "target" in route.fields and sent not in ("", "\x00<script>"):
        sent = str(tmp_path / f"copy-{sent}")
    fields = dict.fromkeys(route.fields, sent)

    answer = site(still).post(f"/api/v1{filled(route)}", json=fields, headers=OPERATE)

    assert answer.status_code in {200, 400, 404, 409}, answer.text
    assert answer.is_success or answer.json()["error"]["message"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_verb_that_asks_changes_nothing_before_it_was_confirmed(still, route):
    job = still.enqueue(Plain)
    path = filled(route).replace("99", str(job.id)).replace("nowhere", "default")

    answer = site(still).post(path, data={}, headers=OWN)

    if route.asks is not Asks.NEVER:
        assert answer.status_code == 200
        assert 'name="confirm"' in answer.text
        assert still.audit() == []
    else:
        assert answer.status_code in {303, 400, 404, 409}


@pytest.mark.parametrize("prefix", ["", "/a/b"])
@pytest.mark.parametrize(
    ("path", "sent", "where"),
    [
        ("jobs/1/cancel", {}, "/jobs/1"),
        ("jobs/1/cancel", {"next": "jobs"}, "/jobs"),
        ("queue/pause?name=default", {"reason": "deploy"}, "/queue"),
        ("store/verify", {}, "/store"),
    ],
)
def test_verb_leads_to_the_page_of_what_it_was_done_to(still, prefix, path, sent, where):
    still.enqueue(Plain)

    answer = site(still, prefix=prefix).post(f"{prefix}/{path}", data=sent, headers=OWN)

    led = urlsplit(urljoin(f"http://localhost{prefix}/{path}", answer.headers["location"]))
    assert led.path == prefix + where
    assert parse_qs(led.query)["changed"] == ["1"]


def test_pause_is_undone_by_the_token_of_the_page_it_leads_to(still):
    still.enqueue(Plain)
    client = site(still)
    led = client.post("/queue/pause?name=default", data={"confirm": "1"}, headers=OWN)
    token = parse_qs(urlsplit(led.headers["location"]).query)["undo"]

    undone = client.post("/undo", data={"token": token}, headers=OWN)
    again = client.post("/undo", data={"token": token}, headers=OWN)

    assert (undone.status_code, again.status_code) == (303, 409)
    assert not still.queue("default").status().paused


def test_request_that_is_too_large_is_refused(still):
    sent = f"reason={'x' * 2**20}".encode()
    headers = {**OWN, "content-type": "application/x-www-form-urlencoded"}

    answer = site(still).post("/queue/pause?name=default", content=sent, headers=headers)

    assert answer.status_code == 413
    assert still.audit() == []
