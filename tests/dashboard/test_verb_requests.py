"""A verb is sent as a form or as JSON, and done by insights for whoever has sent it."""

import pytest
from dashboard.sites import OWN, bearer, site
from support.apps import Plain

from antq_actors import AntQ, Status
from antq_actors.insights import Access
from antq_actors.web import Visitor
from antq_actors.web.routes import Routes, Verb
from antq_actors.web.verbs import act

VERBS = (
    Verb(path="/jobs/{id:int}/cancel", act=act("cancel", "id"), words="Cancel job {id}"),
    Verb(
        path="/jobs/{id:int}/reschedule",
        act=act("reschedule", "id"),
        words="Reschedule job {id}",
        fields=frozenset({"at", "in"}),
    ),
    Verb(
        path="/queue/step",
        act=act("step", "name"),
        words="Step",
        fields=frozenset({"n", "id"}),
    ),
    Verb(path="/nodes/{number:int}/drain", act=act("drain", "number"), words="Drain {number}"),
)


def client_of(app, **options):
    """Return a client of a dashboard that has these verbs."""
    client = site(app, **options)
    ours = {verb.path for verb in VERBS}
    others = [route for route in client.app.routes if route.path not in ours]
    client.app.routes = Routes([*others, *VERBS])
    return client


@pytest.fixture
def still(tmp_path):
    with AntQ(tmp_path / "jobs").start(queues=False) as app:
        yield app


def test_form_leads_to_a_page_and_notes_who_sent_it(still):
    job = still.enqueue(Plain)
    client = client_of(still, access=lambda _request: Visitor(Access.OPERATE, "ada"))

    answer = client.post(f"/jobs/{job.id}/cancel", data={"reason": "late"}, headers=OWN)

    assert answer.status_code == 303
    (entry,) = still.audit()
    assert (entry.name, entry.verb, entry.reason) == ("ada", "cancel", "late")


def test_json_is_answered_with_the_number_and_the_item(still):
    job = still.enqueue(Plain)
    operate = bearer(Access.OPERATE)

    answer = client_of(still).post(f"/api/v1/jobs/{job.id}/cancel", json={}, headers=operate)

    assert answer.status_code == 200
    assert set(answer.json()) == {"changed", "item"}
    assert answer.json()["changed"] == 1
    assert answer.json()["item"]["status"] == "cancelled"


def test_word_of_python_is_a_field_and_a_step_answers_ids(still):
    job = still.enqueue(Plain)
    client, operate = client_of(still), bearer(Access.OPERATE)
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

    answer = client_of(still).post(f"/api/v1/{path}", json=sent, headers=bearer(Access.OPERATE))

    assert (answer.status_code, answer.json()["error"]["code"]) == refused
    assert says in answer.json()["error"]["message"]
    assert still.get_job(job.id) == job
    assert still.audit() == []


def test_level_below_operate_is_refused_by_its_name(still):
    job = still.enqueue(Plain)

    answer = client_of(still).post(
        f"/api/v1/jobs/{job.id}/cancel", json={}, headers=bearer(Access.READ)
    )

    assert answer.status_code == 403
    assert "OPERATE" in answer.json()["error"]["message"]
    assert still.get_job(job.id) == job
