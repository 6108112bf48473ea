"""Harm to actors: who may do it, what it is predicted to do, and what it does."""

import threading

import pytest
from support.apps import until

from antq_actors import AntQ, Worker
from antq_actors.app.node_report import ChaosRefused
from antq_actors.insights import Access, Forbidden, Insights, Visitor
from antq_actors.insights.chaos import Aim, do_chaos
from antq_actors.insights.source import Source
from antq_actors.otp import DynamicSupervisor, GenServer, Restart, Supervisor, stop

ADA = Visitor(Access.CHAOS, "ada")
gate = threading.Event()


def harm(app, visitor, aim, *, reason=None, trees=()):
    return do_chaos(Source(app), visitor, aim, reason, trees)


class Waits(Worker, name="waits", max_attempts=3):
    """Runs until the gate is open."""

    def perform(self, job):
        gate.wait(60)


class Leaf(GenServer):
    """Does nothing but live."""


@pytest.fixture
def app(tmp_path):
    gate.clear()
    with AntQ(tmp_path / "jobs", queues={"default": 2}) as app:
        yield app
        gate.set()


@pytest.fixture
def running(app):
    """A job that runs, and the id of its worker actor."""
    job = Waits.perform_async()
    return job, until(lambda: [*Insights(app).tree().jobs], "its worker actor")[0]


def actor_of(app, end):
    actors = (each.id for tree in Insights(app).tree().trees for each in tree.walk())
    return next(id_ for id_ in actors if id_.endswith(end))


def test_a_killed_worker_actor_costs_its_job_an_attempt(app, running):
    job, actor = running

    done = harm(app, ADA, Aim(verb="kill", actor=actor))

    assert done.agrees
    assert done.prediction.jobs.retried == done.actual.jobs.retried == (job.id,)
    assert app.get_job(job.id).error_count == 1


def test_a_crashed_queue_gives_its_jobs_back(app, running):
    job, _ = running

    done = harm(app, ADA, Aim(verb="crash", actor=actor_of(app, "default/queue")))

    assert done.agrees
    assert done.prediction.jobs.interrupted == done.actual.jobs.interrupted == (job.id,)
    assert [each.rpartition("/")[2] for each in done.actual.restarted] == ["workers", "queue"]
    assert app.get_job(job.id).interruptions == 1


@pytest.mark.parametrize(("path", "fate"), [("jobs", "interrupted"), (None, "lost")])
def test_an_application_whose_root_is_killed_is_gone_with_its_jobs(tmp_path, path, fate):
    gate.clear()
    with AntQ(path and tmp_path / path, queues={"default": 1}) as app:
        job = Waits.perform_async()
        until(lambda: Insights(app).tree().jobs)
        (root,) = Insights(app).tree().trees

        done = harm(app, ADA, Aim(verb="kill", actor=root.id))
        gate.set()

    assert done.agrees
    assert done.actual.stopped == (root.id,)
    assert getattr(done.prediction.jobs, fate) == getattr(done.actual.jobs, fate) == (job.id,)


@pytest.mark.parametrize("verb", ["hang", "slow"])
def test_what_ends_nothing_costs_no_job_anything(app, running, verb):
    actor = actor_of(app, "/pruner")

    done = harm(app, ADA, Aim(verb=verb, actor=actor, seconds=0.1))

    assert done.agrees
    assert done.actual.restarted == done.actual.stopped == done.actual.jobs.interrupted == ()


def test_harm_is_noted_in_the_audit_and_what_is_refused_is_not(app):
    actor = actor_of(app, "/pruner")

    harm(app, ADA, Aim(verb="crash", actor=actor), reason="a lesson")
    with pytest.raises(LookupError, match="no actor 'antq/none'"):
        harm(app, ADA, Aim(verb="crash", actor="antq/none"))

    (entry,) = app.audit()
    assert (entry.name, entry.verb, entry.target) == ("ada", "crash", f"actor {actor}")
    assert entry.reason == "a lesson"


def test_a_verb_reads_its_fields_and_answers_what_the_api_does(app):
    actor = actor_of(app, "/pruner")

    done = Insights(app).verbs(ADA).chaos("crash", actor, str(app.node), reason="a lesson")
    hung = Insights(app).verbs(ADA).chaos("hang", actor, seconds="0.1s")

    assert set(done.answer()) == {"changed", "item", "prediction", "actual", "agrees"}
    assert done.answer()["agrees"]
    assert done.answer()["actual"].restarted == (actor,)
    assert hung.answer()["agrees"]
    with pytest.raises(ValueError, match="seconds must be a span of time"):
        Insights(app).verbs(ADA).chaos("slow", actor, seconds="soon")
    with pytest.raises(ValueError, match="seconds is for hang and slow, and this is kill"):
        Insights(app).verbs(ADA).chaos("kill", actor, seconds=1)
    with pytest.raises(ValueError, match="actor is missing"):
        Insights(app).verbs(ADA).chaos("kill")
    with pytest.raises(Forbidden, match="CHAOS"):
        Insights(app).verbs(Visitor(Access.OPERATE)).chaos("exit", actor)


@pytest.mark.parametrize("level", [Access.NONE, Access.READ, Access.OPERATE])
def test_harm_takes_the_level_chaos(app, level):
    with pytest.raises(Forbidden, match="CHAOS"):
        harm(app, Visitor(level), Aim(verb="kill", actor=actor_of(app, "/pruner")))

    assert Insights(app).tree().events == ()


@pytest.mark.parametrize(
    ("verb", "seconds", "text"),
    [
        ("explode", None, "crash, exit, kill, hang, slow"),
        ("hang", "5", "seconds must be a number, got '5'"),
        ("hang", 61, "at most 60"),
        ("hang", -1, "above 0"),
    ],
)
def test_what_cannot_be_done_is_refused(app, verb, seconds, text):
    with pytest.raises(ValueError, match=text):
        harm(app, ADA, Aim(verb=verb, actor=actor_of(app, "/pruner"), seconds=seconds))


def test_a_node_refuses_harm_when_its_environment_says_so(app, monkeypatch):
    monkeypatch.setenv("ANTQ_NO_CHAOS", "1")

    with pytest.raises(ChaosRefused, match="ANTQ_NO_CHAOS"):
        harm(app, ADA, Aim(verb="kill", actor=actor_of(app, "/pruner")))

    assert app.audit() == []


def test_a_busy_actor_cannot_crash_but_can_be_killed(app, running, monkeypatch):
    _, actor = running

    with pytest.raises(ChaosRefused, match="kill ends it at once"):
        harm(app, ADA, Aim(verb="crash", actor=actor))

    assert harm(app, ADA, Aim(verb="kill", actor=actor)).agrees


def test_harm_reaches_further_trees_and_children_that_are_folded(app):
    visitors = DynamicSupervisor.start(name="visitors")
    try:
        for _ in range(60):
            DynamicSupervisor.start_child(visitors, Leaf.child_spec(restart=Restart.TEMPORARY))
        last = f"visitors/{DynamicSupervisor.which_children(visitors)[-1].ref}"
        shown = Insights(app).tree(trees=["visitors"]).trees[1]
        asked = Insights(app).tree(trees=["visitors"], shown=last).trees[1]

        done = harm(app, ADA, Aim(verb="kill", actor=last), trees=["visitors"])

        assert last not in [each.id for each in shown.children]
        assert last in [each.id for each in asked.children]
        assert done.agrees
        assert done.actual.stopped == (last,)
        assert DynamicSupervisor.count_children(visitors).active == 59
    finally:
        stop(visitors)


def test_a_root_that_has_ended_is_left_out(app):
    root = Supervisor.start([Leaf.child_spec(id="a")], name="soon gone")
    stop(root)

    assert len(Insights(app).tree(trees=["soon gone", root]).trees) == 1


# ---- other processes ------------------------------------------------------------------------

NODE = """
import sys, threading
from antq_actors import AntQ, Worker

class Waits(Worker, name="waits"):
    def perform(self, job):
        print("runs", flush=True)
        threading.Event().wait(60)

with AntQ(sys.argv[1], queues={"default": 1}) as app:
    Waits.perform_async()
    sys.stdin.read()
"""


@pytest.fixture
def other(program, tmp_path):
    """An application without queues, of a store that another process is a node of."""
    node = program("-c", NODE, tmp_path / "jobs")
    assert node.line() == "runs"
    with AntQ(tmp_path / "jobs", queues={"default": 1}, start_queues=False) as app:
        yield app


def test_harm_is_done_by_the_node_that_runs_the_actor(other):
    queue = actor_of(other, "default/queue")

    done = harm(other, ADA, Aim(verb="kill", actor=queue))

    assert done.agrees
    assert done.actual.jobs.interrupted == (1,)
    assert queue in [each.actor for each in Insights(other).tree().events]
    assert other.audit()[0].target == f"actor {queue}"


def test_what_another_node_refuses_is_the_same_error_as_here(other):
    (actor,) = Insights(other).tree().jobs

    with pytest.raises(ChaosRefused, match="busy or suspended"):
        harm(other, ADA, Aim(verb="crash", actor=actor))
    with pytest.raises(ValueError, match=r"^seconds must be above 0"):
        harm(other, ADA, Aim(verb="hang", actor=actor, seconds=99))
