"""The executor ``ray``: what comes of attempts that are tasks on a cluster."""

import os

import pytest
from ray_nodes import NODE
from ray_workers import Coroutine, Does, Far, Nowhere, Renamed, function
from support.apps import settled, until
from support.programs import is_alive

from antq_actors import AntQ, QueueConfig, Status, otp

ray = pytest.importorskip("ray")


def noted(notes, job, attempt=1):
    """Wait until an attempt has begun; answer the number of its process."""
    (found,) = until(lambda: list(notes.glob(f"{job.id}-{attempt}-*")), f"attempt {attempt}")
    return int(found.name.rpartition("-")[2])


@pytest.mark.parametrize(
    ("do", "status", "error"),
    [
        ("nothing", Status.COMPLETED, None),
        ("fail", Status.FAILED, "no such lead"),
        ("answer_fail", Status.FAILED, "not today"),
        ("answer_cancel", Status.CANCELLED, "not any more"),
        ("answer_snooze", Status.SCHEDULED, None),
        ("exit", Status.FAILED, "3"),
        ("end_process", Status.FAILED, "its Ray worker process died"),
        ("terminate", Status.FAILED, "its Ray worker process died"),
        ("crash", Status.FAILED, "its Ray worker process died"),
    ],
)
def test_an_attempt_ends_as_its_worker_does(app, notes, do, status, error):
    job = app.enqueue(Does, {"do": do, "notes": str(notes)})

    ended = settled(app, job, status)

    assert noted(notes, job) != os.getpid()
    assert (ended.errors[0].error if ended.errors else None) == error or (
        ended.errors[0].error.startswith(error)
    )
    assert ended.interruptions == 0


def test_a_failure_has_its_stack_trace_and_begins_with_the_worker(app, notes):
    job = app.enqueue(Does, {"do": "fail", "notes": str(notes)})

    trace = settled(app, job).errors[0].stack_trace

    assert "ray_workers.py" in trace
    assert "ValueError: no such lead" in trace
    assert "ray_tasks" not in trace


def test_attempts_are_repeated_by_the_store_and_counted_there(app, notes):
    job = app.enqueue(Does, {"do": "succeed_at_third", "notes": str(notes)}, max_attempts=5)

    ended = settled(app, job)

    assert (ended.status, ended.attempts) == (Status.COMPLETED, 3)
    assert [entry.error for entry in ended.errors] == ["attempt 2", "attempt 1"]


def test_an_attempt_whose_process_died_is_repeated_as_the_worker_sets(app, notes):
    job = app.enqueue(Does, {"do": "end_process", "notes": str(notes)}, max_attempts=2)

    ended = settled(app, job)

    assert (ended.status, ended.attempts) == (Status.FAILED, 2)
    assert len(list(notes.iterdir())) == 2


def test_workers_of_all_kinds_run(app, notes):
    jobs = [
        app.enqueue(Coroutine, {"notes": str(notes)}),
        app.enqueue(Renamed, {"notes": str(notes)}),
        function.perform_async(notes=str(notes)),
    ]

    assert [settled(app, job).status for job in jobs] == [Status.COMPLETED] * 3
    assert int((notes / "function").read_text()) != os.getpid()


def test_a_job_that_takes_too_long_loses_its_process_and_frees_its_slot(cluster, tmp_path, notes):
    with AntQ(tmp_path / "store", queues={"default": 1}) as app:
        job = app.enqueue(Does, {"do": "sleep", "notes": str(notes)}, timeout=1.5)
        pid = noted(notes, job)

        ended = settled(app, job)

        assert ended.status is Status.FAILED
        assert ended.errors[0].error == "timed out after 1.5 s"
        until(lambda: not is_alive(pid), "the end of its process")
        settled(app, app.enqueue(Does, {"do": "nothing", "notes": str(notes)}), Status.COMPLETED)


def test_a_running_job_can_be_cancelled(app, notes):
    job = app.enqueue(Does, {"do": "sleep", "notes": str(notes)})
    pid = noted(notes, job)

    app.cancel_worker(job)

    assert settled(app, job).status is Status.CANCELLED
    until(lambda: not is_alive(pid), "the end of its process")


def test_a_job_that_waits_for_what_no_node_has_can_be_cancelled(app, notes):
    job = app.enqueue(Nowhere, {"do": "nothing", "notes": str(notes)})
    settled(app, job, Status.RUNNING)

    app.cancel_worker(job)

    assert settled(app, job).status is Status.CANCELLED
    assert list(notes.iterdir()) == []


def test_a_stop_gives_running_jobs_back_and_leaves_ray_as_it_was(cluster, tmp_path, notes):
    with AntQ(tmp_path / "store", queues={"default": 1}) as app:
        job = app.enqueue(Does, {"do": "sleep", "notes": str(notes)})
        pid = noted(notes, job)
        app.stop(timeout=0)

    until(lambda: not is_alive(pid), "the end of its process")
    assert ray.is_initialized()
    with AntQ(tmp_path / "store", start_queues=False) as app:
        given_back = app.get_worker(job.id)
    assert (given_back.status, given_back.errors) == (Status.ENQUEUED, ())


def test_when_the_actor_of_the_executor_is_killed_its_jobs_are_interrupted_and_run_again(
    app, notes
):
    job = app.enqueue(Does, {"do": "sleep", "seconds": 1, "notes": str(notes)})
    pid = noted(notes, job)
    executor = otp.whereis("antq.workers.default.ray")

    otp.exit(executor, otp.Killed())

    until(lambda: not is_alive(pid), "the end of its process")
    ended = settled(app, job)
    assert (ended.status, ended.attempts, ended.interruptions) == (Status.COMPLETED, 1, 1)


def test_a_queue_can_name_the_executor_and_shows_how_it_is(cluster, tmp_path, notes):
    queues = {"default": QueueConfig(2, executor="ray")}
    with AntQ(tmp_path / "store", queues=queues) as app:
        job = app.enqueue(Does, {"do": "sleep", "notes": str(notes)})
        noted(notes, job)

        (health,) = app.queue("default").status().executors

        assert (health.kind, health.running) == ("ray", 1)
        assert cluster.address in health.detail
        app.stop(timeout=0)


def test_without_a_host_a_job_that_enqueues_another_hears_what_to_do(app, notes):
    job = app.enqueue(Does, {"do": "enqueue", "notes": str(notes)})

    assert "cluster.host(path" in settled(app, job).errors[0].stack_trace


def test_resources_choose_the_node(app, far, notes):
    jobs = [app.enqueue(Far, {"do": "nothing", "notes": str(notes)}) for _ in range(3)]

    assert {settled(app, job).status for job in jobs} == {Status.COMPLETED}


def test_large_arguments_travel(app, notes):
    blob = os.urandom(3_000_000)

    job = app.enqueue(Does, {"do": "nothing", "notes": str(notes), "blob": blob})

    assert settled(app, job).status is Status.COMPLETED


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_a_node_that_is_lost_is_an_interruption_and_no_job_is(app, cluster, far, notes, how):
    args = {"notes": str(notes), "do": "sleep"}
    held = [app.enqueue(Far, {**args, "seconds": 1}) for _ in range(2)]
    many = [app.enqueue(Does, {**args, "seconds": 0.3}) for _ in range(20)]
    for job in held:
        noted(notes, job)

    cluster.remove_node(far, allow_graceful=how == "ended")
    ids = [job.id for job in held]
    interrupted = until(lambda: [j for j in map(app.get_worker, ids) if j.interruptions])
    another = cluster.add_node(num_cpus=4, resources={"far": 4}, **NODE)

    ended = [settled(app, job) for job in held + many]
    cluster.remove_node(another)
    assert {job.status for job in ended} == {Status.COMPLETED}
    assert {job.attempts for job in ended} == {1}
    assert interrupted[0].errors[0].error.startswith("interrupted")
