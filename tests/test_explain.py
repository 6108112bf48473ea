"""Why a job does not run: each reason in a scenario, told by its node and by another process."""

import asyncio
import json
import pickle
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.apps import LONGEST, Plain, settled, until
from support.controlled_jobs import ControlledJobs
from support.programs import run_python
from support.stored_base import Timed

from antq_actors import (
    AntQ,
    Cancel,
    JobNotFound,
    Progress,
    QueueConfig,
    Status,
    UnknownQueue,
    Worker,
    explain,
)
from antq_actors.queues import running_attempts


class Fails(Worker, max_attempts=2):
    def perform(self, job):
        raise ValueError("no such luck")

    def calculate_delay(self, job):
        return job.args.get("delay", 3600)


class Cancels(Worker):
    def perform(self, job):
        return Cancel("not needed")


class Reports(Worker):
    def perform(self, job):
        job.progress(0.5, "half")
        _reported.set()
        _release.wait(LONGEST)


_reported, _release = threading.Event(), threading.Event()


def elsewhere(app, *what):
    """What another process without queues explains, as `antq why` writes it in JSON."""
    done = run_python("-m", "antq_actors", "why", *map(str, what), "--json", "--path", app.path)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def codes(explanation):
    return [reason.code for reason in explanation.reasons]


def codes_elsewhere(app, job):
    """The reasons there, but whether the worker is known: that process knows none of the tests."""
    found = [reason["code"] for reason in elsewhere(app, job.id)["reasons"]]
    return [code for code in found if code != "worker_unknown"]


@pytest.fixture
def mail(stored):
    """A running application with one slot, and the jobs that a test controls there."""
    config = QueueConfig(1, check_interval=0.05)
    with Timed(stored, queues={"default": config}) as app:
        controlled = ControlledJobs(app)
        yield app, controlled
        controlled.release_all()
        _release.set()


def test_an_ended_job_says_how_it_ended_and_by_what(mail):
    app, _ = mail
    done, cancelled = app.enqueue(Plain), app.enqueue(Cancels)
    failed = app.enqueue(Fails, {"delay": 0})
    for job in (done, cancelled, failed):
        settled(app, job)

    assert app.explain(done).reasons == (explain.Ended(Status.COMPLETED),)
    assert app.explain(cancelled).reasons == (explain.Ended(Status.CANCELLED, "not needed"),)
    assert app.explain(failed).reasons == (
        explain.Ended(Status.FAILED, "ValueError: no such luck"),
    )
    assert elsewhere(app, failed.id)["reasons"] == [
        {"code": "ended", "status": "failed", "cause": "ValueError: no such luck"}
    ]


def test_a_running_job_says_where_since_when_and_how_far_it_is(mail):
    app, _ = mail
    _reported.clear()
    _release.clear()
    job = app.enqueue(Reports)
    assert _reported.wait(LONGEST)

    (reason,) = app.explain(job).reasons

    started_at = app.get_job(job.id).started_at
    progress = Progress(0.5, "half", reason.progress.at)
    assert reason == explain.Running(app.node, started_at, progress)
    until(lambda: app.get_job(job.id).last_progress, "the progress as it is stored")
    (seen,) = elsewhere(app, job.id)["reasons"]
    shown = seen.pop("progress")
    assert seen == {"code": "running", "node": app.node, "since": started_at.isoformat()}
    assert (shown["fraction"], shown["note"]) == (0.5, "half")
    assert datetime.fromisoformat(shown["at"]) == progress.at


def test_a_job_that_is_cancelled_while_it_runs_is_being_ended(mail, monkeypatch):
    monkeypatch.setattr(running_attempts, "INTERRUPTION_TIMEOUT_SECONDS", LONGEST)
    app, controlled = mail
    job = controlled.job("a", wait="deaf")
    controlled.begun()
    app.cancel_job(job)

    assert codes(app.explain(job)) == ["running", "cancelling"]
    assert app.explain(job).reasons[1] == explain.Cancelling(app.node)
    assert codes_elsewhere(app, job) == ["running", "cancelling"]


def test_a_job_for_later_says_when(mail):
    app, _ = mail
    job = app.enqueue(Plain, schedule_in=3600)

    found = app.explain(job)

    assert found.reasons == (explain.NotDue(job.scheduled_at),)
    assert job.scheduled_at.isoformat() in found.text
    assert codes_elsewhere(app, job) == ["not_due"]


def test_a_job_that_failed_says_when_it_is_tried_again(mail):
    app, _ = mail
    job = settled(app, app.enqueue(Fails), Status.RETRYING)

    assert app.explain(job).reasons == (
        explain.RetryDue(job.scheduled_at, 1, "ValueError: no such luck"),
    )
    assert codes_elsewhere(app, job) == ["retry_due"]


def test_where_no_node_lives_nobody_runs_it(mail):
    app, _ = mail
    app.stop()
    with app.start(queues=False):
        job = app.enqueue(Plain)

        assert app.explain(job).reasons == (explain.NoNode("default", ()),)
        assert app.explain_queue("default").reasons == (explain.NoNode("default", ()),)


def test_the_nodes_that_live_are_named_with_their_queues(stored):
    with AntQ(stored, start_queues=False) as app:
        job = app.enqueue(Plain, queue="third")
    with Timed(stored, queues={"mail": 1, "web": 1}) as app:
        found = app.explain(job)

        assert found.reasons == (
            explain.NoNode("third", (explain.NodeQueues(app.node, ("mail", "web")),)),
        )
        assert f"node {app.node} runs 'mail', 'web'" in found.text
        assert elsewhere(app, job.id)["reasons"][0] == {
            "code": "no_node",
            "queue": "third",
            "nodes": [{"number": app.node, "queues": ["mail", "web"]}],
        }


def test_a_node_that_stops_takes_nothing_more(mail):
    app, controlled = mail
    controlled.job("a", wait="deaf")
    controlled.begun()
    job = app.enqueue(Plain)
    stopping = threading.Thread(target=app.stop)
    stopping.start()

    until(lambda: "node_stopping" in codes(app.explain(job)), "the beginning of the stop")
    found = app.explain(job)
    there = codes_elsewhere(app, job)
    controlled.release("a")
    stopping.join(LONGEST)

    assert codes(found) == there == ["node_stopping", "slots_full"]


def test_a_paused_queue_is_a_reason_until_it_is_resumed(mail):
    app, _ = mail
    app.queue("default").pause()
    job = app.enqueue(Plain)

    assert app.explain(job).reasons == (explain.Paused("default"),)
    assert codes_elsewhere(app, job) == ["paused"]
    app.queue("default").resume()
    assert settled(app, job).status is Status.COMPLETED


def test_full_slots_are_a_reason_until_there_are_more(mail):
    app, controlled = mail
    controlled.job("a")
    controlled.begun()
    job = controlled.job("b")

    assert app.explain(job).reasons == (explain.SlotsFull(app.node, 1, 1),)
    assert codes_elsewhere(app, job) == ["slots_full"]
    app.queue("default").set_concurrency(2)
    assert controlled.begun() == ["b"]
    third = controlled.job("c")
    assert app.explain(third).reasons == (explain.SlotsFull(app.node, 2, 2),)
    assert elsewhere(app, third.id)["reasons"][0]["concurrency"] == 2


class Held(Worker):
    """Runs until its gate, a file, is there; in any process."""

    def perform(self, job):
        while not Path(job.args["gate"]).exists():
            time.sleep(0.005)


ANOTHER_NODE = """
import sys, test_explain
from antq_actors import AntQ
queues = {"default": int((sys.argv[2:] or [1])[0])}
with AntQ(sys.argv[1], queues=queues, max_interruptions=2) as app:
    print(app.node, flush=True)
    sys.stdin.read()
"""


def test_slots_count_if_no_living_node_has_one(mail, program, tmp_path):
    app, _ = mail
    held = {"gate": str(tmp_path / "gate")}
    settled(app, app.enqueue(Held, held), Status.RUNNING)
    other = program("-c", ANOTHER_NODE, app.path)
    number = int(other.line())
    app.queue("default").pause()
    second = app.enqueue(Held, held)

    assert codes(app.explain(second)) == ["paused"]
    app.queue("default").resume()
    assert settled(app, second, Status.RUNNING).node == number
    third = app.enqueue(Held, held)
    assert app.explain(third).reasons == (
        explain.SlotsFull(app.node, 1, 1),
        explain.SlotsFull(number, 1, 1),
    )
    other.kill()
    until(
        lambda: (
            app.explain(third).reasons == (explain.SlotsFull(app.node, 1, 1), explain.Behind(1))
        ),
        "the end of its node",
    )
    Path(held["gate"]).touch()
    settled(app, third)


def test_too_many_abandoned_threads_are_a_reason(stored, monkeypatch):
    monkeypatch.setattr(running_attempts, "INTERRUPTION_TIMEOUT_SECONDS", 0.02)
    config = QueueConfig(2, check_interval=0.05, max_abandoned=1)
    with Timed(stored, queues={"default": config}) as app:
        controlled = ControlledJobs(app)
        stuck = controlled.job("a", wait="deaf")
        controlled.begun()
        app.cancel_job(stuck)
        settled(app, stuck)
        job = controlled.job("b")
        until(lambda: codes(app.explain(job)) == ["too_many_abandoned"], "giving up")

        assert app.explain(job).reasons == (explain.TooManyAbandoned(app.node),)
        assert codes_elsewhere(app, job) == ["too_many_abandoned"]
        controlled.release("a")
        until(lambda: codes(app.explain(job)) == ["running"], "its start")
        controlled.release_all()


def test_a_node_that_the_store_refuses_says_since_when(stored, program, tmp_path):
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("prlimit is Linux's")
    held = {"gate": str(tmp_path / "gate")}
    with Timed(stored, start_queues=False) as app:
        node = program("-c", ANOTHER_NODE, stored)
        node.line()
        job = settled(app, app.enqueue(Held, held), Status.RUNNING)
        before = datetime.now(UTC)
        second = app.enqueue(Plain)
        size = node.process.pid, resource.RLIMIT_FSIZE
        _, hard = resource.prlimit(*size)

        resource.prlimit(*size, (4096, hard))
        Path(held["gate"]).touch()
        until(lambda: "store_refuses" in codes(app.explain(second)), "the refusal")

        found = {each.code: each for each in app.explain(second).reasons}
        assert before < found["store_refuses"].since < datetime.now(UTC)
        assert "store_refuses" in codes_elsewhere(app, second)
        resource.prlimit(*size, (hard, hard))
        settled(app, second)
        settled(app, job)


def test_a_job_that_may_have_killed_its_node_keeps_the_next_one_for_a_while(
    stored, program, tmp_path
):
    gate = tmp_path / "gate"
    with Timed(stored, start_queues=False) as app:
        job = app.enqueue(Held, {"gate": str(gate)})
        first = program("-c", ANOTHER_NODE, stored, 2)
        first.line()
        settled(app, job, Status.RUNNING)
        first.kill()
        first.process.wait()
        second = app.enqueue(Plain)
        program("-c", ANOTHER_NODE, stored, 2)

        (reason,) = until(lambda: reasons_of(app, second, explain.KeptAlone), "its time alone")

        assert reason.job == job.id
        assert app.get_job(job.id).interruptions == 1
        gate.touch()
        settled(app, job)
        settled(app, second)


def reasons_of(app, job, kind):
    return [reason for reason in app.explain(job).reasons if type(reason) is kind]


def test_of_many_jobs_before_another_it_says_that_there_are_more_than_a_thousand(stored):
    with Timed(stored, start_queues=False) as app:
        job = app.enqueue(Plain, queue="other")
        urgent = app.enqueue(Plain, queue="other", priority=1)

        held = explain.NoNode("other"), explain.Paused("other")
        assert app.explain(job).reasons == (*held, explain.Behind("more than 1,000"))
        assert app.explain(urgent).reasons == held


def test_jobs_that_come_first_are_counted(mail):
    app, _ = mail
    app.queue("default").pause()
    first = app.enqueue(Plain)
    second = app.enqueue(Plain)
    urgent = app.enqueue(Plain, priority=9)

    assert codes(app.explain(urgent)) == ["paused"]
    assert app.explain(first).reasons[-1] == explain.Behind(1)
    assert app.explain(second).reasons[-1] == explain.Behind(2)
    assert codes_elsewhere(app, second) == ["paused", "behind"]


def test_a_worker_that_cannot_be_found_here_is_a_reason_here(mail):
    app, _ = mail
    app.queue("default").pause()

    class Local(Worker):
        def perform(self, job):
            pass

    job = app.enqueue(Local)

    assert codes(app.explain(job)) == ["paused"]
    assert elsewhere(app, job.id)["reasons"][-1] == {
        "code": "worker_unknown",
        "worker": f"{__name__}:{Local.__qualname__}",
    }


def test_an_explanation_is_a_frozen_value_that_can_be_pickled(mail):
    app, _ = mail
    job = app.enqueue(Plain, schedule_at=datetime.now(UTC) + timedelta(hours=1))

    found = app.explain(job)

    assert found == app.explain(job.id)
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 - our own
    with pytest.raises(AttributeError):
        found.text = ""
    with pytest.raises(AttributeError):
        found.reasons[0].at = None


def test_coroutines_have_both_as_well(mail):
    app, _ = mail
    job = app.enqueue(Plain, schedule_in=3600)

    async def both():
        return await app.aexplain(job), await app.aexplain_queue("default")

    assert asyncio.run(both()) == (app.explain(job), app.explain_queue("default"))


@pytest.mark.parametrize("wrong", ["7", 7.5, None])
def test_what_is_no_job_is_refused(light, wrong):
    with pytest.raises(TypeError, match="give a Job or its id"):
        light.explain(wrong)


def test_what_is_not_stored_is_not_found(light):
    with pytest.raises(JobNotFound):
        light.explain(4711)
    with pytest.raises(JobNotFound):
        light.explain(Plain.build())


def test_an_unknown_queue_is_refused_with_those_there_are(light):
    with pytest.raises(UnknownQueue, match="default"):
        light.explain_queue("defualt")
    with pytest.raises(TypeError, match="queue must be a name"):
        light.explain_queue(7)


# ---- queues ------------------------------------------------------------------------------------


def test_a_queue_is_explained_by_what_holds_for_all_its_jobs(mail):
    app, controlled = mail
    controlled.job("a")
    controlled.begun()
    app.enqueue(Plain)
    app.queue("default").pause()

    found = app.explain_queue("default")

    assert codes(found) == ["paused", "slots_full"]
    assert "1 job could begin now, and 1 run" in found.text
    there = elsewhere(app, "--queue", "default")
    assert [reason["code"] for reason in there["reasons"]] == ["paused", "slots_full"]
    assert there["text"] == found.text


def test_an_idle_queue_says_who_could_run_what_waits(mail):
    app, _ = mail

    found = app.explain_queue("default")

    assert found.reasons == ()
    assert f"node {app.node} (runs 0 of 1)" in found.text


def test_a_job_in_a_job_process_asks_its_parent(tmp_path):
    queues = {"default": QueueConfig(1, executor="process")}
    with AntQ(tmp_path, queues=queues) as app:
        later = app.enqueue(Plain, schedule_in=3600)
        asks = settled(app, app.enqueue(Asks, {"id": later.id, "path": str(tmp_path)}))

        assert asks.status is Status.CANCELLED, asks.errors
        assert asks.errors[0].error == "['not_due', 'slots_full'] ['slots_full']"


class Asks(Worker):
    def perform(self, job):
        app = AntQ(job.args["path"])
        found = app.explain(job.args["id"]), app.explain_queue("default")
        return Cancel(" ".join(str(codes(each)) for each in found))
