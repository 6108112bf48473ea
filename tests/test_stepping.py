"""A queue that is let on job by job, as users have it."""

import asyncio

import pytest
from support.apps import Fails, Plain, settled, until
from support.controlled_jobs import ControlledJob, ControlledJobs
from support.programs import run_python

from antq_actors import (
    AntQ,
    AntqError,
    Breakpoint,
    Concurrency,
    QueueConfig,
    QueueNotPaused,
    Status,
    Upcoming,
    explain,
)
from antq_actors.telemetry import QueuePaused

NOT_WHOLE = ("1", 1.5, None, True)


class OnePerName(ControlledJob, concurrency=Concurrency(1, key="name")):
    pass


@pytest.fixture(params=["volatile", "durable"])
def app(request, tmp_path):
    path = None if request.param == "volatile" else tmp_path / "store"
    with AntQ(path, queues={"default": 2}) as app:
        app.queue("default").pause()
        yield app


@pytest.fixture
def controlled():
    jobs = ControlledJobs()
    yield jobs
    jobs.release_all()


def ids_of(app, **status):
    return [job.id for job in app.list_jobs(**status)]


def test_a_paused_queue_is_let_on_step_by_step(app):
    queue = app.queue("default")
    ids = app.enqueue_many(Plain, [{"n": n} for n in range(5)])

    assert queue.preview(2) == [
        Upcoming(ids[0], Plain.antq_name, "id"),
        Upcoming(ids[1], Plain.antq_name, "id"),
    ]
    assert queue.step() == ids[:1]
    assert settled(app, app.get_job(ids[0])).status is Status.COMPLETED
    assert queue.step(2) == ids[1:3]
    for id_ in ids[1:3]:
        settled(app, app.get_job(id_))
    assert ids_of(app, status="enqueued") == ids[3:]
    assert queue.step(9) == ids[3:]
    assert queue.step() == []


def test_a_job_that_was_let_through_takes_a_slot_when_one_is_free(app, controlled):
    queue = app.queue("default")
    first, second, *left = controlled.jobs("abcd", app=app)
    queue.set_concurrency(1)

    assert queue.step(2) == [first.id, second.id]
    assert controlled.begun() == ["a"]
    assert [each.code for each in app.explain(second).reasons] == ["slots_full"]
    controlled.release("a")
    assert controlled.begun() == ["b"]
    controlled.release("b")

    assert settled(app, second).status is Status.COMPLETED
    assert ids_of(app, status="enqueued") == [job.id for job in left]


def test_an_explanation_of_a_job_that_was_let_through_does_not_name_the_pause(tmp_path):
    with AntQ(tmp_path / "store", start_queues=False) as app:
        queue = app.queue("default")
        queue.pause()
        first, second, third = (app.enqueue(Plain) for _ in range(3))
        queue.step(2)

        no_node = explain.NoNode("default", ())
        assert app.explain(first).reasons == (no_node,)
        assert app.explain(second).reasons == (no_node, explain.Behind(1))
        assert app.explain(third).reasons == (
            no_node,
            explain.Paused("default"),
            explain.Behind(2),
        )
        assert app.explain_queue("default").reasons == (no_node, explain.Paused("default"))


def test_a_step_holds_after_a_restart_and_in_whichever_process(tmp_path):
    path = tmp_path / "store"
    with AntQ(path, start_queues=False) as app:
        ids = app.enqueue_many(Plain, [{"n": n} for n in range(3)])
        app.queue("default").pause()
        assert app.queue("default").step(1) == ids[:1]
        number = app.queue("default").add_breakpoint(on="failure")

    with AntQ(path) as app:
        assert settled(app, app.get_job(ids[0])).status is Status.COMPLETED
        assert [each.id for each in app.queue("default").breakpoints()] == [number]
        code = f"""
from antq_actors import AntQ
with AntQ({str(path)!r}, start_queues=False) as app:
    print(app.queue("default").step())
"""
        done = run_python("-c", code, check=True)
        assert done.stdout == f"[{ids[1]}]\n"
        assert settled(app, app.get_job(ids[1])).status is Status.COMPLETED
        assert ids_of(app, status="enqueued") == [ids[2]]


def test_one_job_runs_at_once_on_all_nodes_where_the_queue_says_so(tmp_path, controlled):
    queues = {"default": QueueConfig(5, global_concurrency=1)}
    with AntQ(tmp_path / "store", queues=queues) as app:
        app.queue("default").pause()
        first, second = controlled.jobs("ab", app=app)

        assert app.queue("default").step(2) == [first.id, second.id]
        assert controlled.begun() == ["a"]
        assert explain.GlobalFull(1, 1) in app.explain(second).reasons
        controlled.release("a")
        assert controlled.begun() == ["b"]
        controlled.release("b")


def test_a_job_waits_for_its_limit_though_it_was_let_through(app, controlled):
    queue = app.queue("default")
    args = {"controller": controlled._name, "name": "a", "wait": "interruptible"}
    first, second = app.enqueue(OnePerName, args), app.enqueue(OnePerName, args)

    assert queue.preview() == [Upcoming(first.id, OnePerName.antq_name, "ticket")]
    assert queue.step(2) == [first.id]
    assert controlled.begun() == ["a"]
    assert queue.preview() == []
    with pytest.raises(ValueError, match=f"job {second.id} could not start now"):
        queue.step(job=second)
    controlled.release("a")
    settled(app, first)
    assert queue.step(job=second) == [second.id]
    assert controlled.begun() == ["a"]


def test_a_queue_stops_before_a_job_and_says_who_has_stopped_it(app):
    heard = []
    app.subscribe(heard.append, QueuePaused)
    queue = app.queue("default")
    number = queue.add_breakpoint(worker=Plain, args={"to": {"id": 7}})
    queue.resume()

    first = app.enqueue(Plain, {"to": {"id": 1}})
    stopped = app.enqueue(Plain, {"to": {"id": 7, "name": "ada"}})
    settled(app, first)
    until(lambda: queue.status().paused, "the pause")
    (event,) = until(lambda: heard, "the event")

    assert app.get_job(stopped.id).status is Status.ENQUEUED
    assert (event.queue, event.by) == ("default", f"breakpoint {number}")
    assert event.reason == f"job {stopped.id} of {Plain.antq_name} is about to start"
    assert queue.breakpoints() == [
        Breakpoint(number, Plain.antq_name, {"to": {"id": 7}}, "claim", 1)
    ]
    queue.resume()
    assert settled(app, stopped).status is Status.COMPLETED
    assert not queue.status().paused


def test_a_queue_stops_after_an_attempt_has_failed(app):
    queue = app.queue("default")
    queue.add_breakpoint(worker=Fails.antq_name, on="failure")
    queue.resume()

    failed = app.enqueue(Fails, max_attempts=1)
    assert settled(app, failed).status is Status.FAILED

    until(lambda: queue.status().paused, "the pause")
    after = app.enqueue(Plain)
    assert app.explain(after).reasons == (explain.Paused("default"),)
    assert queue.step(job=after) == [after.id]
    settled(app, after)


def test_an_encrypted_job_is_stopped_and_the_breakpoint_shows_nothing_without_the_key(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("one key that is long enough for it\n")
    keys.chmod(0o600)
    path = tmp_path / "store"
    with AntQ(path, encryption_key_file=keys) as app:
        queue = app.queue("default")
        queue.add_breakpoint(args={"secret": "sesame"})
        app.enqueue(Plain, {"secret": "other"})
        stopped = app.enqueue(Plain, {"secret": "sesame"})
        until(lambda: queue.status().paused, "the pause")
        assert app.get_job(stopped.id).status is Status.ENQUEUED
        assert queue.breakpoints()[0].args == {"secret": "sesame"}

    assert b"sesame" not in (path / "data.mdb").read_bytes()
    with AntQ(path, start_queues=False) as app:
        (shown,) = app.queue("default").breakpoints()
        assert "sesame" not in repr(shown)
        assert [each.id for each in app.queue("default").preview()] == [stopped.id]
        assert app.queue("default").step() == [stopped.id]


def test_each_has_an_asynchronous_twin(app):
    queue = app.queue("default")
    job = app.enqueue(Plain, {"n": 1})

    async def use():
        number = await queue.aadd_breakpoint(worker=Plain, args={"n": 1}, on="failure")
        found = await queue.abreakpoints()
        await queue.aremove_breakpoint(number)
        return [each.id for each in found], await queue.apreview(1), await queue.astep(job=job)

    (number,), preview, ids = asyncio.run(use())

    assert isinstance(number, int)
    assert preview == [Upcoming(job.id, Plain.antq_name, "id")]
    assert ids == [job.id]
    settled(app, job)


def test_steps_of_a_queue_that_runs_are_refused(app):
    queue = app.queue("default")
    queue.resume()

    with pytest.raises(QueueNotPaused, match="queue 'default' is not paused") as refused:
        queue.step()

    assert isinstance(refused.value, AntqError)


@pytest.mark.parametrize("n", NOT_WHOLE)
def test_what_is_no_number_of_jobs_is_refused(app, n):
    with pytest.raises(TypeError, match="n must be a whole number"):
        app.queue("default").step(n)
    with pytest.raises(TypeError, match="n must be a whole number"):
        app.queue("default").preview(n)


@pytest.mark.parametrize("n", [0, -1])
def test_a_number_of_jobs_below_one_is_refused(app, n):
    with pytest.raises(ValueError, match="n must be 1 or more"):
        app.queue("default").step(n)
    with pytest.raises(ValueError, match="n must be 1 or more"):
        app.queue("default").preview(n)


def test_any_larger_number_of_jobs_is_as_many_as_there_are(app):
    job = app.enqueue(Plain)

    assert [each.id for each in app.queue("default").preview(10**30)] == [job.id]
    assert app.queue("default").step(10**30) == [job.id]
    settled(app, job)


def test_a_job_that_could_not_start_now_is_refused_by_name(app):
    queue = app.queue("default")
    later = app.enqueue(Plain, schedule_in=3600)

    for job in (later, later.id, 999):
        with pytest.raises(ValueError, match=f"job {getattr(job, 'id', job)} could not start now"):
            queue.step(job=job)
    with pytest.raises(TypeError, match="give a Job or its id"):
        queue.step(job="7")
    with pytest.raises(ValueError, match="give n or job"):
        queue.step(2, job=later)


def test_what_is_no_breakpoint_is_refused_and_stores_nothing(app):
    queue = app.queue("default")

    with pytest.raises(ValueError, match="on must be 'claim' or 'failure', got 'start'"):
        queue.add_breakpoint(on="start")
    for wrong in ({"on": 1}, {"worker": 7}, {"args": [1]}, {"args": {1: 2}}):
        with pytest.raises(TypeError):
            queue.add_breakpoint(**wrong)
    with pytest.raises(ValueError, match="no worker has an empty name"):
        queue.add_breakpoint(worker="")
    with pytest.raises(ValueError, match=r"no worker has the name 'a\\udcff': it is no text"):
        queue.add_breakpoint(worker="a\udcff")
    with pytest.raises(ValueError, match=r"at most 65,536 bytes, got 70,0\d\d"):
        queue.add_breakpoint(args={"body": "x" * 70_000})
    with pytest.raises(ValueError, match="queue 'default' has no breakpoint 3; it has none"):
        queue.remove_breakpoint(3)
    with pytest.raises(TypeError, match="the id of a breakpoint is a number"):
        queue.remove_breakpoint("3")

    assert queue.breakpoints() == []


def test_a_number_of_a_breakpoint_is_never_given_again(app):
    queue = app.queue("default")
    first = queue.add_breakpoint()
    queue.remove_breakpoint(first)
    second = queue.add_breakpoint()

    with pytest.raises(ValueError, match=f"has no breakpoint {first}; it has {second}"):
        queue.remove_breakpoint(first)

    assert second > first


def test_a_backup_has_breakpoints_and_what_was_let_through(tmp_path):
    with AntQ(tmp_path / "store", start_queues=False) as app:
        job = app.enqueue(Plain)
        app.queue("default").pause()
        app.queue("default").add_breakpoint(worker=Plain)
        app.queue("default").step()
        app.backup(tmp_path / "backup")

    with AntQ(tmp_path / "backup") as app:
        assert settled(app, job).status is Status.COMPLETED
        assert [each.worker for each in app.queue("default").breakpoints()] == [Plain.antq_name]
        assert app.verify() == []
