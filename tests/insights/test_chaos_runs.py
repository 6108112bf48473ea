"""Chaos runs of real supervisors: crashes until the time is up, or something else ends them."""

import threading
import time
from contextlib import suppress
from random import Random

import pytest
from support.apps import until

from antq_actors import AntQ, Worker
from antq_actors.app.node_report import ChaosRefused
from antq_actors.insights import Access, Forbidden, Insights, Visitor
from antq_actors.insights.changes import topics
from antq_actors.insights.chaos_plan import ChaosPlan
from antq_actors.insights.chaos_runs import begin_run
from antq_actors.insights.source import Source
from antq_actors.otp import CallExit, GenServer, Supervisor, stop

ADA = Visitor(Access.CHAOS, "ada")
EVE = Visitor(Access.CHAOS, "eve")
SPEED = 50
"""How much faster than the real one the clock of a run goes, so that its seconds are short."""
gate = threading.Event()


class Waits(Worker, name="chaos runs:Waits", max_attempts=3):
    """Runs until the gate is open."""

    def perform(self, job):
        gate.wait(60)


class Leaf(GenServer):
    """Does nothing but live."""


class Loaded(Random):
    """Picks the actors of jobs first."""

    def sample(self, population, k):
        """Return all, those of jobs first."""
        return sorted(population, key=lambda leaf: "/workers/" not in leaf.id)[:k]


def clock():
    return time.monotonic() * SPEED


@pytest.fixture
def app(tmp_path):
    gate.clear()
    with AntQ(tmp_path / "jobs", queues={"default": 2}) as app:
        yield app
        gate.set()


def begin(app, *, every=5, duration=3_600, **more):
    """Begin a run that a test has to end, or *duration* by its clock."""
    plan = ChaosPlan(every=every, duration=duration)
    more.setdefault("chance", Random(7))  # noqa: S311 - repeatable
    return begin_run(Source(app), ADA, plan, clock=clock, **more)


def ended(run):
    assert run.over.wait(60), "the run does not end"
    return run.report()


def stopped(app, run):
    Insights(app).verbs(ADA).stop_chaos_run()
    return ended(run)


def test_a_run_crashes_leaves_until_its_time_is_up_and_reports(app):
    run = begin(app, every=20, duration=120)

    report = ended(run)

    assert (report.state, report.why) == ("over", None)
    assert report.ended > report.began
    assert report.crashes == report.agreed == len(report.hits) > 0
    assert "antq/storage" not in [each.actor for each in report.hits]
    assert 0 < report.recovery.p50 <= report.recovery.max < 60
    assert all(0 < each.used <= each.max for each in report.budgets)
    assert report.gave_up == ()
    assert Insights(app).chaos_run() == report


def test_a_crash_that_is_reported_changes_what_pages_show(app):
    run = begin(app)
    until(lambda: run.report().crashes == 1, "a crash")
    stopped(app, run)
    insights = Insights(app)
    before = insights.state()

    run.add(run.report().hits[0])  # after all that the crash changed otherwise

    assert topics(before, insights.state()) == ["tree"]


def test_begin_crashes_and_end_are_noted_in_the_audit(app):
    run = begin(app, every=20, duration=100, reason="a course")

    report = ended(run)

    end, *crashes, begun = app.audit()
    assert (begun.name, begun.verb, begun.target) == ("ada", "chaos", f"node {app.node}")
    assert begun.reason == "a course"
    assert {each.reason for each in crashes} == {"chaos run"}
    assert len(crashes) == report.crashes
    assert (end.verb, end.target) == ("end", f"chaos of node {app.node}")
    assert end.reason == f"its time is up: {report.crashes} crashes"


def test_a_run_is_stopped_and_says_by_whom_and_another_may_begin_then(app):
    run = begin(app, duration=3_600)
    with pytest.raises(ChaosRefused, match=f"a chaos run of node {app.node} is under way"):
        begin(app)

    Insights(app).verbs(EVE).stop_chaos_run(reason="enough")

    report = ended(run)
    assert (report.state, report.why) == ("stopped", "eve stopped it")
    with pytest.raises(ChaosRefused, match="no chaos run of node"):
        Insights(app).verbs(EVE).stop_chaos_run()
    again = begin(app, duration=3_600)
    assert stopped(app, again).state == "stopped"
    noted = [(each.name, each.verb, each.reason) for each in app.audit()]
    assert ("eve", "stop", "enough") in noted


def test_a_run_ends_when_a_supervisor_gives_up_and_names_it(app):
    # Its first crash is one too many; who is above starts it again.
    fragile = Supervisor.child_spec([Leaf.child_spec(id="a")], id="fragile", max_restarts=0)
    with AntQ(queues={"default": 1}, start_queues=False) as small:
        top = Supervisor.start([fragile], name="top")
        try:
            run = begin(small, duration=3_600, further=["top"])

            report = ended(run)
        finally:
            with suppress(CallExit):
                stop(top)

    assert report.state == "gave up"
    assert report.why == "the supervisor top/fragile gave up"
    assert report.gave_up == ("top/fragile",)
    assert report.hits[-1].actual.parent == "restarted"
    assert report.agreed == report.crashes


def test_a_job_that_runs_on_a_killed_leaf_is_in_the_report(app):
    job = Waits.perform_async()
    until(lambda: Insights(app).tree().jobs, "its worker actor")
    run = begin(app, chance=Loaded())

    until(lambda: run.report().crashes)

    report = stopped(app, run)
    assert (report.hits[0].verb, report.jobs.retried) == ("kill", (job.id,))
    assert report.jobs.lost == ()


def test_a_run_ends_with_its_application(tmp_path):
    with AntQ(tmp_path / "jobs", queues={"default": 1}) as app:
        run = begin(app, duration=3_600)
        until(lambda: run.report().crashes)

    report = ended(run)

    assert report.state == "failed"


@pytest.mark.parametrize("level", [Access.NONE, Access.READ, Access.OPERATE])
def test_a_run_takes_the_level_chaos(app, level):
    visitor = Visitor(level, "bob")
    with pytest.raises(Forbidden, match="CHAOS"):
        Insights(app).verbs(visitor).begin_chaos_run()
    with pytest.raises(Forbidden, match="CHAOS"):
        Insights(app).verbs(visitor).stop_chaos_run()

    assert Insights(app).chaos_run() is None
    assert app.audit() == []


def test_a_node_refuses_a_run_when_its_environment_says_so(app, monkeypatch):
    monkeypatch.setenv("ANTQ_NO_CHAOS", "1")

    with pytest.raises(ChaosRefused, match="ANTQ_NO_CHAOS"):
        Insights(app).verbs(ADA).begin_chaos_run()

    assert Insights(app).chaos_run() is None
    assert app.audit() == []


def test_a_verb_reads_its_fields_as_spans_of_time(app):
    verbs = Insights(app).verbs(ADA)
    with pytest.raises(ValueError, match="duration must be at most 60 minutes"):
        verbs.begin_chaos_run(duration="2h")
    with pytest.raises(ValueError, match="every must be a span of time"):
        verbs.begin_chaos_run(every="often")
    with pytest.raises(ValueError, match="every must be at least 1 s"):
        verbs.begin_chaos_run(every="0.5")
    with pytest.raises(LookupError, match="no living node 99"):
        verbs.begin_chaos_run(99)

    begun = verbs.begin_chaos_run(str(app.node), every="30s", duration="5m").item

    assert (begun.every, begun.duration, begun.by, begun.state) == (30.0, 300.0, "ada", "running")
    until(lambda: verbs.stop_chaos_run().item.ended)


# ---- other processes ------------------------------------------------------------------------

NODE = """
import os, sys
from antq_actors import AntQ

os.environ["ANTQ_NO_CHAOS"] = "".join(sys.argv[2:])
with AntQ(sys.argv[1], queues={"default": 1}) as app:
    print("runs", flush=True)
    sys.stdin.read()
"""


def test_a_run_of_another_nodes_actors_goes_through_its_socket(program, tmp_path):
    node = program("-c", NODE, tmp_path / "jobs")
    assert node.line() == "runs"
    with AntQ(tmp_path / "jobs", queues={"default": 1}, start_queues=False) as app:
        run = begin(app, every=20, duration=100)

        report = ended(run)

        assert report.state == "over"
        assert report.agreed == report.crashes > 0
        assert report.recovery.max < 60
        crashed = {each.actor for each in Insights(app).tree().events}
        assert {each.actor for each in report.hits} <= crashed


def test_a_run_ends_where_another_node_refuses_harm_or_is_gone(program, tmp_path):
    node = program("-c", NODE, tmp_path / "jobs", "1")
    assert node.line() == "runs"
    with AntQ(tmp_path / "jobs", queues={"default": 1}, start_queues=False) as app:
        report = ended(begin(app, duration=3_600))

    assert (report.state, report.crashes) == ("failed", 0)
    assert "ANTQ_NO_CHAOS" in report.why
