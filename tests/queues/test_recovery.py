"""What is killed comes back, and its jobs are given back: once, and counted as interruptions."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.apps import settled, until
from support.findings import findings
from support.trees import child, kill

from antq_actors import NotStarted, Status, StorageError
from antq_actors.otp import DynamicSupervisor


def another(app, old, *path):
    """Wait for the actor that takes the place of *old*."""

    def look():
        ref = child(app.root, *path)
        return ref if hasattr(ref, "cell") and ref != old and ref.is_alive() else None

    return until(look, f"the restart of {path}")


def test_jobs_of_a_killed_queue_actor_are_released_once_without_an_attempt(run, controlled):
    app = controlled.app = run()
    jobs = controlled.jobs(["a", "b"])
    controlled.begun(2)

    kill(app.queue("default").ref)

    assert sorted(controlled.begun(2)) == ["a", "b"]
    controlled.release("a", "b")
    for job in jobs:
        done = settled(app, job)
        assert (done.status, done.attempts, done.interruptions) == (Status.COMPLETED, 1, 1)
        assert [entry.error.split(":")[0] for entry in done.errors] == ["interrupted"]
        assert done.errors[0].stack_trace is None
    assert not controlled.has_begun_more()
    assert controlled.most_at_once == 2


def test_the_third_interruption_fails_a_job(run, controlled):
    app = controlled.app = run()
    job = controlled.job("a")

    for _ in range(3):
        controlled.begun()
        queue = app.queue("default").ref
        kill(queue)
        another(app, queue, "queues", "default", "queue")

    failed = settled(app, job)
    assert (failed.status, failed.attempts, failed.interruptions) == (Status.FAILED, 0, 3)
    assert len(failed.errors) == 3
    assert not controlled.has_begun_more()


def test_max_interruptions_is_the_interruption_that_fails_a_job(run, controlled):
    app = controlled.app = run(max_interruptions=1)
    job = controlled.job("a")
    controlled.begun()

    kill(app.queue("default").ref)

    assert settled(app, job).status is Status.FAILED


def test_killing_the_supervisor_of_workers_ends_its_queue_alone(run, controlled):
    app = controlled.app = run(queues=("default", "mail"))
    here, there = controlled.job("here"), controlled.job("there", queue="mail")
    controlled.begun(2)

    kill(child(app.root, "queues", "default", "workers"))

    assert controlled.begun() == ["here"]
    controlled.release("here", "there")
    assert settled(app, here).status is Status.COMPLETED
    assert settled(app, here).interruptions == 1
    assert settled(app, there).errors == ()


def test_a_queue_that_crashes_too_often_is_restarted_one_level_up(run, controlled):
    app = controlled.app = run(max_interruptions=100)
    job = controlled.job("a")

    for _ in range(5):
        controlled.begun()
        kill(app.queue("default").ref)

    controlled.begun()
    controlled.release("a")
    assert settled(app, job).interruptions == 5


def test_killing_the_storage_actor_under_load_loses_and_doubles_no_job(run, controlled, tmp_path):
    app = controlled.app = run(tmp_path / "store", concurrency=8)
    controlled.release_all()
    total, made = 300, []

    def enqueue(numbers):
        made.extend(controlled.job(number) for number in numbers)

    with ThreadPoolExecutor(3) as pool:
        enqueues = [pool.submit(enqueue, range(n, total, 3)) for n in range(3)]
        for share in (1, 2):
            until(lambda share=share: len(made) >= total * share // 3, "the load")
            storage = child(app.root, "storage")
            kill(storage)
            another(app, storage, "storage")

    assert [each.exception() for each in enqueues] == [None] * 3
    until(lambda: app.count_workers(status="completed") == total, "the end of all jobs")
    assert len({job.id for job in made}) == total
    assert app.count_workers() == total
    assert sorted(controlled.begun(total)) == list(range(total))
    assert not controlled.has_begun_more()
    app.stop()
    assert findings(tmp_path / "store") == []


def test_running_jobs_end_as_usual_when_the_storage_actor_is_killed(run, controlled):
    app = controlled.app = run()
    jobs = controlled.jobs(["a", "b"])
    controlled.begun(2)

    kill(child(app.root, "storage"))
    controlled.release("a", "b")

    for job in jobs:
        done = settled(app, job)
        assert (done.status, done.attempts, done.interruptions) == (Status.COMPLETED, 1, 0)


def test_callers_stop_waiting_when_the_root_ends(run, controlled):
    app = controlled.app = run()
    controlled.job("a")
    controlled.begun()
    root = app.root

    kill(root)

    until(lambda: not root.is_alive(), "the end of the root")
    with pytest.raises(StorageError):
        app.count_workers()
    with pytest.raises(StorageError):
        controlled.job("b")


def test_perform_async_without_a_running_tree_raises_not_started(run, controlled):
    from support.controlled_jobs import ControlledJob  # noqa: PLC0415 - shown where it is used

    app = run()
    kill(app.root)

    def refused():
        try:
            ControlledJob.perform_async({})
        except NotStarted:
            return True
        except StorageError:
            return False
        return False

    until(refused, "NotStarted")


def test_an_application_whose_root_was_killed_can_be_stopped_and_started_again(
    run, controlled, tmp_path
):
    app = controlled.app = run(tmp_path / "store")
    job = controlled.job("a")
    controlled.begun()
    root = app.root

    kill(root)
    until(lambda: not root.is_alive(), "the end of the root")
    app.stop()
    app.start()

    controlled.begun()
    controlled.release("a")
    done = settled(app, job)
    assert (done.status, done.attempts) == (Status.COMPLETED, 1)


def test_a_storage_actor_that_always_crashes_ends_the_application(run, controlled):
    app = controlled.app = run()
    controlled.job("a")
    controlled.begun()
    root = app.root

    for _ in range(4):
        storage = until(lambda: alive(app, "storage"), "a storage actor")
        kill(storage)

    until(lambda: not root.is_alive(), "the end of the root")
    with pytest.raises(StorageError):
        app.count_workers()
    app.stop()


def alive(app, *path):
    """The child, if it is alive, and True when there is no tree any more."""
    try:
        ref = child(app.root, *path)
    except Exception:  # noqa: BLE001 - the tree is gone
        return app.root
    return ref if hasattr(ref, "cell") and ref.is_alive() else None


def test_workers_of_a_queue_can_be_found_in_the_tree(run, controlled):
    app = controlled.app = run()
    controlled.jobs(["a", "b"])
    controlled.begun(2)

    workers = DynamicSupervisor.which_children(child(app.root, "queues", "default", "workers"))

    assert len(workers) == 2
    assert all(info.ref.is_alive() for info in workers)
