"""One job on its own: its executions, history and film; who is related; where its thread is."""

import json

import pytest
from support.apps import LONGEST, Fails, Plain, settled

from antq_actors import AntQ, JobNotFound, Snooze, Status, Worker, chain
from antq_actors.insights import Access, Insights, Visitor
from antq_actors.insights.as_json import dump_json
from antq_actors.insights.values import JobItem


class Flaky(Worker, max_attempts=3, retry_delay=0):
    """Fails its first attempt."""

    def perform(self, job):
        if job.attempts == 1:
            raise ValueError(f"no {job.args['secret_token']}")


class Snoozes(Worker):
    def perform(self, job):
        return Snooze(3600)


@pytest.fixture
def seen(app):
    return Insights(app)


def test_a_job_has_what_a_list_shows_of_it_and_its_runs(app, seen):
    job = settled(app, app.enqueue(Flaky, {"secret_token": "x", "n": 1}))

    view = seen.job(job.id)

    (item,) = seen.jobs(f"id:{job.id}").items
    assert all(getattr(view, name) == getattr(item, name) for name in JobItem.__dataclass_fields__)
    assert view.args == {"secret_token": "<redacted>", "n": 1}
    first, second = view.runs
    assert (first.attempt, first.node, first.outcome) == (1, app.node, "failed")
    assert (first.error, first.error_type) == ("no x", "ValueError")
    assert "perform" in first.stack_trace
    assert first.fingerprint == seen.job(job.id).runs[0].fingerprint
    assert len(first.fingerprint) == 16
    assert (second.attempt, second.outcome, second.error) == (2, "completed", None)
    assert second.started_at == job.started_at
    assert second.ended_at == job.ended_at
    assert second.duration == (job.ended_at - job.started_at).total_seconds()
    assert 0 <= second.waited < LONGEST
    assert list(view.history) == app.history(job)
    assert (view.progress, view.stack, view.related) == (None, None, {})


def test_a_job_that_waits_has_no_run_and_one_that_runs_has_no_end(controlled, run):
    controlled.app = app = run()
    job = controlled.job("long")
    controlled.begun()
    waiting = app.enqueue(Plain, schedule_in=3600)

    assert Insights(app).job(waiting.id).runs == ()
    view = Insights(app).job(job.id)

    (only,) = view.runs
    assert (only.ended_at, only.duration, only.outcome) == (None, None, None)
    assert "in perform" in view.stack
    assert app.get_job(job.id).status is Status.RUNNING


def test_how_a_run_ended_without_an_error_is_said(app, seen):
    job = settled(app, app.enqueue(Snoozes), Status.SCHEDULED)

    (only,) = seen.job(job.id).runs

    assert (only.outcome, only.error, only.fingerprint) == ("snoozed", None, None)


def test_the_wait_of_a_scheduled_job_begins_when_it_is_due(app, seen):
    job = settled(app, app.enqueue(Plain, schedule_in=0.2))

    (only,) = seen.job(job.id).runs

    due = job.inserted_at.timestamp() + 0.2
    assert only.waited == pytest.approx(job.started_at.timestamp() - due, abs=0.001)


def test_what_redact_hides_is_hidden_in_errors_of_runs_and_history(app):
    job = settled(app, app.enqueue(Flaky, {"secret_token": "hidden text"}))
    seen = Insights(app, redact=lambda path, value: "***" if path == "error" else value)

    view, film = seen.job(job.id), seen.film(job.id)

    assert view.runs[0].error == "***"
    assert [each.cause for each in view.history if each.cause] == ["***"]
    assert [stop.cause for stop in film if stop.cause] == ["***"]


def test_the_film_has_a_stop_for_each_change_of_status_with_what_differs(paused):
    job = paused.enqueue(Plain, {"n": 1}, schedule_in=3600)
    paused.reschedule(job, schedule_in=7200)
    paused.cancel_job(job)

    first, last = Insights(paused).film(job.id)

    assert (first.status, last.status) == (Status.SCHEDULED, Status.CANCELLED)
    assert first.at == job.inserted_at
    assert first.due > job.scheduled_at
    assert first.args == last.args == {"n": 1}
    assert last.changes == {
        "status": (Status.SCHEDULED, Status.CANCELLED),
        "cause": (None, "cancel"),
        "due": (first.due, None),
    }


def test_related_are_those_before_and_behind_and_those_that_are_alike(app, seen):
    app.start_workflow(chain(Plain.build({"n": 1}), Plain.build({"n": 2})))
    assert app.wait_idle(timeout=LONGEST)
    failed = [settled(app, app.enqueue(Fails, {"n": n}, max_attempts=1)) for n in (7, 7, 8)]
    first, second = (job.id for job in app.list_jobs(worker=Plain))

    assert seen.job(second).related["parents"] == (first,)
    related = seen.job(failed[0].id).related
    assert related == {
        "same_args": (failed[1].id,),
        "same_error": (failed[2].id, failed[1].id),
    }


def test_a_job_is_json_with_the_keys_of_the_api(app, seen):
    job = settled(app, app.enqueue(Flaky, {"secret_token": 2**70}))

    found = json.loads(dump_json(seen.job(job.id)))

    assert {"id", "actions", "runs", "history", "progress", "related", "stack"} <= set(found)
    assert set(found["runs"][0]) == {
        *("attempt", "node", "waited", "started_at", "ended_at", "duration"),
        *("outcome", "error", "error_type", "fingerprint", "stack_trace"),
    }
    assert set(found["history"][0]) == {"at", "status", "attempt", "node", "cause"}
    assert json.loads(dump_json(seen.film(job.id)))[-1]["status"] == "completed"


def test_what_is_no_job_is_refused():
    with AntQ(start_queues=False) as app:
        with pytest.raises(JobNotFound):
            Insights(app).job(4711)
        with pytest.raises(TypeError, match="Job or its id"):
            Insights(app).film("x")


def test_copy_and_the_job_that_it_was_made_of_are_related(app, seen):
    app.queue("default").pause()
    job = app.enqueue(Plain, {"n": 1})
    copy = seen.verbs(Visitor(Access.OPERATE)).again(job.id).item

    assert seen.job(copy.id).related == {"original": (job.id,), "same_args": (job.id,)}
    assert seen.job(job.id).related == {"copies": (copy.id,), "same_args": (copy.id,)}


def test_meta_of_a_user_that_names_no_job_relates_to_none(app, seen):
    app.queue("default").pause()
    job = app.enqueue(Plain, meta={"again_of": "yesterday"})

    assert seen.job(job.id).related == {}


def test_what_is_hidden_of_a_job_is_hidden_in_its_meta_and_stack_traces(app):
    given = {"tenant": "acme", "api_token": "hidden text"}
    job = settled(app, app.enqueue(Flaky, {"secret_token": "x"}, meta=given))
    seen = Insights(app, redact=lambda path, value: "***" if path == "stack_trace" else value)

    view = seen.job(job.id)

    assert view.meta == {"tenant": "acme", "api_token": "<redacted>"}
    assert [each.stack_trace for each in view.errors] == ["***"]
