"""Why jobs with limits do not run, as their application and another process tell it."""

import json

import pytest
from support.apps import settled, until
from support.controlled_jobs import ControlledJob, ControlledJobs
from support.programs import run_python
from support.stored_base import Timed

from antq_actors import Concurrency, RateLimit, Status, Worker, explain


class Pays(ControlledJob, concurrency=Concurrency(1, key="name"), name="test_explain_limits:Pays"):
    """A job at a time for each name."""


class Steps(
    ControlledJob,
    concurrency=Concurrency(1, key="name", order="strict"),
    name="test_explain_limits:Steps",
    max_attempts=2,
):
    """A job at a time for each name, and no other one before it has ended."""


class Calls(Worker, rate_limit=RateLimit(1, per=3600, key=["zone", "n"])):
    def perform(self, job):
        pass


class Shares(Worker, limits=[Concurrency(5, name="proxy")]):
    def perform(self, job):
        pass


@pytest.fixture
def mail(stored):
    """A running application, and the jobs that a test controls there."""
    with Timed(stored, queues={"default": 5}) as app:
        controlled = ControlledJobs(app)
        yield app, controlled
        controlled.release_all()


def elsewhere(app, *what):
    """The reasons of another process, but whether it knows the worker, and its text."""
    done = run_python("-m", "antq_actors", "why", *map(str, what), "--json", "--path", app.path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return [each for each in found["reasons"] if each["code"] != "worker_unknown"], found["text"]


def pays(app, controlled, name):
    """Enqueue a controlled job that has the name as its key."""
    args = {"controller": controlled._name, "name": name, "wait": "interruptible"}
    return app.enqueue(Pays, args)


def fail(job):
    raise ValueError("no")


def test_a_full_key_says_who_holds_it_and_who_comes_before(mail):
    app, controlled = mail
    first, second, third = (pays(app, controlled, "acme") for _ in range(3))
    controlled.begun()

    assert app.explain(second).reasons == (explain.KeyFull(Pays.antq_name, "acme", (first.id,), 0),)
    assert app.explain(third).reasons == (explain.KeyFull(Pays.antq_name, "acme", (first.id,), 1),)
    reasons, text = elsewhere(app, third.id)
    assert reasons == [
        {
            "code": "key_full",
            "limit": Pays.antq_name,
            "key": "acme",
            "holders": [first.id],
            "before": 1,
        }
    ]
    assert text.startswith(app.explain(third).text)
    assert Pays.antq_name in app.explain_queue("default").text
    assert app.limit(Pays.antq_name).status(key="acme").holders == (first.id,)

    controlled.release("acme")
    until(lambda: app.explain(second).reasons[0].code == "running")


def test_a_strict_key_says_which_job_has_to_end_first(mail):
    app, controlled = mail
    controlled.delay = lambda job: 3600.0
    args = {"controller": controlled._name, "name": "acme", "wait": "interruptible"}
    first, second = app.enqueue(Steps, args), app.enqueue(Steps, args)
    controlled.begun()
    full = explain.KeyFull(Steps.antq_name, "acme", (first.id,), 0)
    assert app.explain(second).reasons == (full, explain.HeldByOrder(first.id))

    controlled.release("acme", then=fail)
    settled(app, first, Status.RETRYING)

    assert app.explain(second).reasons == (explain.HeldByOrder(first.id),)
    assert elsewhere(app, second.id)[0] == [{"code": "held_by_order", "job": first.id}]
    app.cancel_job(first)
    until(lambda: app.explain(second).reasons[0].code == "running")


def test_a_rate_says_when_it_opens_for_the_key(mail):
    app, _ = mail
    args = {"zone": "eu", "n": 7}
    first = app.enqueue(Calls, args)
    until(lambda: app.explain(first).reasons and app.explain(first).reasons[0].code == "ended")
    second = app.enqueue(Calls, args)

    (reason,) = app.explain(second).reasons

    status = app.limit(Calls.antq_name).status(key=("eu", 7))
    assert reason == explain.RateFull(Calls.antq_name, ("eu", 7), status.opens_at)
    assert elsewhere(app, second.id)[0][0]["opens_at"] == status.opens_at.isoformat()


def test_a_paused_limit_is_told_until_it_is_resumed(mail):
    app, _ = mail
    first = app.enqueue(Shares)
    until(lambda: app.get_job(first.id).ended_at)
    app.limit("proxy").pause()
    job = app.enqueue(Shares)

    assert app.explain(job).reasons == (explain.LimitPaused("proxy", None),)
    assert elsewhere(app, job.id)[0] == [{"code": "limit_paused", "limit": "proxy", "key": None}]
    app.limit("proxy").resume()
    until(lambda: app.get_job(job.id).ended_at)


def test_a_queue_with_a_global_limit_says_how_many_run(mail):
    app, controlled = mail
    app.queue("default").set_global_concurrency(1)
    controlled.job("a")
    controlled.begun()
    job = controlled.job("b")

    assert app.explain(job).reasons == (explain.GlobalFull(1, 1),)
    assert app.explain_queue("default").reasons == (explain.GlobalFull(1, 1),)
    assert elsewhere(app, job.id)[0] == [{"code": "global_full", "running": 1, "limit": 1}]
