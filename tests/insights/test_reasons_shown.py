"""Why a job does nothing, as values: what app.explain finds, in order, with checks around it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.apps import Fails, Plain, settled

from antq_actors import AntQ, JobNotFound, UnknownQueue, Worker
from antq_actors import explain as known
from antq_actors.explain.reasons import REASONS
from antq_actors.insights import Insights
from antq_actors.insights.as_json import as_json
from antq_actors.insights.why import checks

AT = datetime(2030, 5, 1, tzinfo=UTC)


class Tells(Worker, max_attempts=2, retry_delay=3600):
    def perform(self, job):
        raise ValueError("the password is hunter2")


@pytest.fixture
def still(tmp_path):
    with AntQ(tmp_path / "jobs").start(queues=False) as app:
        yield app


def test_reasons_of_a_job_are_those_of_explain_in_its_order(still):
    still.queue("default").pause(by="ada")
    job = still.enqueue(Plain, schedule_in=3600)

    view = Insights(still).why(job.id)

    explained = still.explain(job)
    assert view.id == job.id
    assert [each["code"] for each in view.reasons] == [each.code for each in explained.reasons]
    assert [each["code"] for each in view.reasons] == ["not_due", "no_node", "paused"]
    assert view.text == explained.text
    not_due = view.reasons[0]
    assert not_due["at"] == explained.reasons[0].at
    assert not_due["text"] in explained.text


def test_json_of_why_has_the_fields_of_each_reason(still):
    job = still.enqueue(Plain)

    found = as_json(Insights(still).why(job.id))

    assert set(found) == {"id", "reasons", "text"}
    (reason,) = found["reasons"]
    assert reason["code"] == "no_node"
    assert reason["queue"] == "default"
    assert reason["nodes"] == []


def test_error_in_a_reason_is_hidden_where_redact_hides_it(run):
    app = run()
    job = settled(app, app.enqueue(Tells), "retrying")

    def redact(path, value):
        return "(hidden)" if path == "error" else value

    view = Insights(app, redact=redact).why(job.id)

    assert view.reasons[0]["code"] == "retry_due"
    assert view.reasons[0]["error"] == "(hidden)"
    assert "hunter2" in app.explain(job).text
    assert "hunter2" not in str(as_json(view))
    assert "hunter2" not in str(Insights(app, redact=redact).checks(job.id))


def test_queue_is_explained_without_an_id(still):
    still.queue("default").pause()

    view = Insights(still).queue_why("default")

    assert view.id is None
    assert [each["code"] for each in view.reasons] == ["no_node", "paused"]
    assert view.text == still.explain_queue("default").text


def test_what_is_not_there_is_refused_as_explain_does(still):
    insights = Insights(still)

    with pytest.raises(JobNotFound):
        insights.why(7)
    with pytest.raises(JobNotFound):
        insights.checks(7)
    with pytest.raises(UnknownQueue):
        insights.queue_why("nowhere")
    with pytest.raises(TypeError):
        insights.why("7")


def test_checks_of_a_waiting_job_say_what_holds_as_well(still):
    still.queue("default").pause()
    job = still.enqueue(Plain)

    found = {each.code: each.ok for each in Insights(still).checks(job.id)}

    assert found["paused"] == "no"
    assert found["no_node"] == "no"
    assert found["not_due"] == "yes"
    assert found["waits_for"] == "yes"
    assert found["worker_unknown"] == "yes"
    assert "slots_full" not in found  # no node, no slots


def test_checks_of_an_ended_job_are_its_reason_alone(run):
    app = run()
    job = settled(app, app.enqueue(Fails), "failed")

    (check,) = Insights(app).checks(job.id)

    assert (check.code, check.ok) == ("ended", "no")


REASON = st.sampled_from(
    [
        known.WaitsFor((1,), None, 1),
        known.BatchOpen(3),
        known.NotDue(AT),
        known.RetryDue(AT + timedelta(1), 1, "no"),
        known.NoNode("mail"),
        known.NodeStopping(1),
        known.Paused("mail"),
        known.GlobalFull(3, 3),
        known.KeyFull("k"),
        known.HeldByOrder(3),
        known.RateFull("k"),
        known.LimitPaused("k"),
        known.SlotsFull(1, 5, 5),
        known.KeptAlone(7, AT),
        known.TooManyAbandoned(1),
        known.StoreRefuses(AT),
        known.Behind(3),
        known.WorkerUnknown("w"),
    ]
)


@given(st.lists(REASON, unique_by=type))
def test_checks_that_do_not_hold_are_the_reasons_in_their_order(found):
    found.sort(key=lambda reason: REASONS.index(type(reason)))

    rows = checks(found, is_waiting=True)

    assert [row.code for row in rows if row.ok != "yes"] == [each.code for each in found]
    held = {row.code for row in rows if row.ok == "yes"}
    assert held.isdisjoint(each.code for each in found)
    assert [row.ok for row in rows if row.code == "worker_unknown"] in (["yes"], ["unknown"])
