"""What is offered to somebody who types a filter: keys, and names that the store knows."""

import pytest
from dashboard.sites import bearer, site
from support.apps import Plain

from antq_actors import AntQ, Status
from antq_actors.insights import Filter, Insights
from antq_actors.insights.names import LONGEST_NAME, MOST_NAMES
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.web import Access

HOSTILE = ('two words "quoted"', "<img src=x onerror=alert(1)>", 'q\\"\u202e', "ends in *", "a,b")


@pytest.fixture
def app(tmp_path):
    with AntQ(path=tmp_path / "jobs", start_queues=False) as app:
        yield app


def asked(app, level=Access.READ, prefix=""):
    answer = site(app, level, prefix=prefix).get(f"{prefix}/suggestions")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def texts(app, key):
    return [each["text"] for each in asked(app)["values"].get(key, ())]


@pytest.mark.parametrize("prefix", ["", "/a/b"])
def test_all_keys_are_offered_with_what_follows_them(app, prefix):
    keys = [each["text"] for each in asked(app, prefix=prefix)["keys"]]

    assert keys[:3] == ["status:", "queue:", "worker:"]
    assert keys[-2:] == ["arg.", "meta."]


def test_names_come_from_what_is_stored(app):
    app.enqueue(Plain, queue="mail")
    with app.batch(name="nightly import") as batch:
        batch.enqueue(Plain, {}, queue="mail")

    found = asked(app)["values"]

    assert texts(app, "status") == [status.value for status in Status]
    assert "mail" in texts(app, "queue")
    assert any(each["text"].endswith(":Plain") for each in found["worker"])
    assert found["batch"] == [{"text": str(batch.id), "note": "nightly import"}]


def test_nodes_are_offered_with_their_hosts(tmp_path):
    with AntQ(path=tmp_path / "jobs", queues={"mail": 1}) as app:
        [node] = asked(app)["values"]["node"]

        assert (node["text"], node["note"]) == ("1", app.nodes()[0].host)


def test_each_value_that_is_offered_is_a_filter_that_finds_that_name(app):
    for name in HOSTILE:
        app.enqueue(Plain, queue=name)

    for key, names in asked(app)["values"].items():
        for each in names:
            assert Filter.parse(f"{key}:{each['text']}").terms[0].key == key
    for name in HOSTILE:
        found = [
            text
            for text in texts(app, "queue")
            if [job.queue_name for job in Insights(app).jobs(f"queue:{text}").items] == [name]
        ]
        assert len(found) == 1, name


def test_names_that_are_too_many_or_too_long_are_left_out(app):
    for size in (LONGEST_NAME, LONGEST_NAME + 1):
        app.enqueue(type("Long", (Plain,), {}, name="A" * size))
    for number in range(MOST_NAMES + 20):
        app.enqueue(Plain, queue=f"many {number:03}")

    assert len(texts(app, "queue")) == MOST_NAMES
    assert [len(each) for each in texts(app, "worker") if each[:2] == "AA"] == [LONGEST_NAME]


def test_names_that_have_not_changed_are_not_sent_again(app):
    client = site(app, Access.READ)
    first = client.get("/suggestions")

    again = client.get("/suggestions", headers={"if-none-match": first.headers["etag"]})
    app.enqueue(Plain, queue="new")
    changed = client.get("/suggestions", headers={"if-none-match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert changed.status_code == 200
    assert first.headers["cache-control"] == "no-store"


def test_no_job_is_read_for_them(app, monkeypatch):
    app.enqueue_many(Plain, [{"n": n} for n in range(50)])
    read = []
    for name in ("page", "some", "get", "stored_among", "page_ids"):
        monkeypatch.setattr(JobReader, name, lambda *_, name=name, **__: read.append(name))

    asked(app)

    assert read == []


def test_they_take_the_level_read_and_are_not_of_the_api(app):
    assert site(app, Access.NONE).get("/suggestions").status_code == 403
    api = site(app).get("/api/v1/suggestions", headers=bearer(Access.READ))
    assert api.status_code == 404
