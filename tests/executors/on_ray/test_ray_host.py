"""The application that a Ray actor hosts: used from every process, and restarted by Ray."""

import asyncio
import inspect
import os
import pickle
import traceback
from datetime import UTC, datetime, timedelta

import pytest
from ray_workers import Does, Far, Limited, Renamed
from support.apps import settled, until

from antq_actors import AntQ, Every, Status, Unique, errors, explain, maintenance
from antq_actors.app import signing_keys

ray = pytest.importorskip("ray")

from antq_actors import cluster as hosting  # noqa: E402 - it imports Ray


@pytest.fixture
def app(cluster, tmp_path):
    client = hosting.host(tmp_path / "store", queues={"default": 3, "mail": 2})
    yield client
    client.stop(timeout=0)


def test_jobs_are_enqueued_and_seen_from_any_process(app, far, notes):
    job = Does.perform_async({"do": "nothing", "notes": str(notes)})

    @ray.remote(resources={"far": 1}, num_cpus=0)
    def elsewhere(folder):
        with hosting.connect() as other:
            job = Far.perform_async({"do": "nothing", "notes": folder})
            return settled(other, job).status, [each.id for each in other.list_workers()]

    status, seen = ray.get(elsewhere.remote(str(notes)))

    assert settled(app, job).status is Status.COMPLETED
    assert (status, seen) == (Status.COMPLETED, [job.id, job.id + 1])
    assert app.count_workers(status=Status.COMPLETED) == 2


def test_a_job_enqueues_another_from_its_task(app, notes):
    Does.perform_async({"do": "enqueue", "notes": str(notes)})

    until(lambda: app.count_workers(status="completed") == 2)


def test_a_job_enqueues_within_the_middleware_in_its_own_task(cluster, tmp_path, notes):
    app = hosting.host(tmp_path / "store", middleware=["middlewares:Parents"])
    try:
        job = Does.perform_async({"do": "enqueue", "notes": str(notes)})
        until(lambda: app.count_workers(status="completed") == 2)
        first, second = app.list_jobs()
    finally:
        app.stop(timeout=0)

    [file] = notes.glob(f"{job.id}-*")
    assert first.meta["on"].startswith("None in ")
    assert second.meta == {"on": f"{job.id} in {file.name.rpartition('-')[2]}", "around": "one"}


def test_errors_of_the_host_arrive_as_themselves(app, notes):
    app.queue("default").pause()
    unique = {"unique": Unique(args=["do"])}
    args = {"do": "nothing", "notes": str(notes)}
    job = app.enqueue(Does, args, **unique)

    with pytest.raises(errors.AlreadyExists) as exists:
        app.enqueue(Does, args, **unique)
    with pytest.raises(errors.JobNotFound):
        app.get_worker(4711)
    with pytest.raises(errors.UnknownQueue):
        app.queue("mial")
    with pytest.raises(errors.NotRetryable):
        app.retry_worker(job)
    with pytest.raises(TypeError, match="unknown option"):
        app.enqueue(Does, args, timout=3)
    with pytest.raises(TypeError, match="lock"):
        app.enqueue(Does, {"lock": __import__("threading").Lock()})

    assert type(exists.value) is errors.AlreadyExists
    assert exists.value.job == job


def test_many_jobs_come_in_batches_and_a_bad_item_is_named(app, notes):
    app.queue("default").pause()
    args = {"do": "nothing", "notes": str(notes)}

    ids = app.enqueue_many(Does, (args for _ in range(2500)))
    with pytest.raises(errors.BatchError) as refused:
        app.enqueue_many(Does, [*[args] * 1200, 5])

    assert ids == list(range(1, 2501))
    assert (refused.value.index, len(refused.value.ids)) == (1200, 1200)
    assert isinstance(refused.value.__cause__, TypeError)
    assert app.count_workers() == 3700


def test_jobs_and_queues_are_managed_from_afar(app, notes):
    queue = app.queue("default")
    queue.pause()
    queue.set_concurrency(3)
    job = app.enqueue(Does, {"do": "nothing", "notes": str(notes)})

    assert (queue.status().paused, queue.status().concurrency) == (True, 3)
    assert [(each.id, each.rule) for each in queue.preview()] == [(job.id, "id")]
    number = queue.add_breakpoint(worker=Does, args={"do": "fail"}, on="failure")
    assert [(each.id, each.args) for each in queue.breakpoints()] == [(number, {"do": "fail"})]
    queue.remove_breakpoint(number)
    assert app.cancel_worker(job).status is Status.CANCELLED
    assert app.retry_worker(job).status is Status.ENQUEUED
    assert [each.id for each in app.list_workers(worker=Does, args={"do": "nothing"})] == [job.id]
    queue.resume()
    settled(app, job, Status.COMPLETED)
    app.delete_worker(job)
    assert app.list_workers() == []


OF_ITS_PROCESS = {"run", "start", "hurry", "running_jobs", "from_toml"}
"""What an application does for the process that it runs in."""


def test_a_client_has_all_methods_of_an_application():
    methods = {
        name
        for name, _ in inspect.getmembers(AntQ, callable)
        if not name.startswith(("_", "antq_"))  # what parts of the library ask of each other
    }

    assert methods - OF_ITS_PROCESS <= set(dir(hosting.Client))


def test_many_jobs_are_changed_from_afar(app, notes):
    app.queue("default").pause()
    ids = app.enqueue_many(Does, [{"do": "nothing", "n": n, "notes": str(notes)} for n in range(9)])

    assert app.cancel_jobs(worker=Does, args={"n": 3}, dry_run=True).changed == 1
    assert app.cancel_jobs(worker=Does, limit=8).changed == 8
    assert app.retry_jobs(status="cancelled", queue="default", spread=600).changed == 8
    dues = [job.scheduled_at for job in app.list_jobs(status="scheduled")]
    assert dues[-1] - dues[0] == timedelta(seconds=600)
    assert asyncio.run(app.adelete_jobs(status="scheduled", limit=6)).changed == 6
    with pytest.raises(ValueError, match="without a filter"):
        app.delete_jobs()
    assert [job.id for job in app.list_jobs(newest_first=True, limit=2)] == [ids[8], ids[7]]


def test_a_job_is_brought_forward_put_off_and_explained_from_afar(app, notes):
    queue = app.queue("default")
    queue.pause()
    job = app.enqueue(Does, {"do": "nothing", "notes": str(notes)}, schedule_in=3600)

    later = app.reschedule(job, schedule_in=7200)
    assert later.scheduled_at > job.scheduled_at
    why = [explain.NotDue(later.scheduled_at), explain.Paused("default")]
    assert app.explain(job).reasons == tuple(why)
    assert app.run_now(job).scheduled_at <= datetime.now(UTC)
    assert app.explain_queue("default").reasons == (explain.Paused("default"),)
    assert [each.cause for each in app.history(job)] == [None, "reschedule", "run-now"]
    assert asyncio.run(app.ahistory(job)) == app.history(job)
    assert asyncio.run(app.aaudit()) == app.audit() == []
    with pytest.raises(errors.NotStarted):
        app.antq_acting("ada", "pause", "queue default")
    with pytest.raises(errors.InvalidSchedule):
        app.reschedule(job)
    with pytest.raises(errors.JobNotFound):
        app.explain(4711)
    queue.resume()
    assert app.wait_idle(timeout=60)
    with pytest.raises(errors.NotRetryable, match="completed"):
        app.run_now(job)


def test_periodic_entries_are_made_and_changed_from_afar(app):
    handle = app.cron("hourly")
    with pytest.raises(errors.UnknownCron):
        handle.info()

    handle.set(Every(3600, worker=Renamed, args={"notes": "none"}))
    handle.pause()
    job = handle.run_now()
    ids = handle.backfill(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))

    assert (job.worker, job.cron, len(ids)) == ("old.module:Name", "hourly", 24)
    assert [(info.name, info.paused) for info in app.crons()] == [("hourly", True)]
    assert len(handle.next(3)) == 3
    handle.delete()
    assert app.crons() == []


def test_limits_are_looked_at_and_changed_from_afar(app, notes):
    app.queue("default").pause()
    app.enqueue(Limited, {"to": "jane"})
    handle = app.limit(Limited.antq_name)

    handle.set(limit=5, key="jane")
    handle.pause(seconds=3600)

    assert [(each.name, each.limit) for each in app.limits()] == [(Limited.antq_name, 2)]
    assert (handle.status("jane").waiting, handle.keys()) == (1, ["jane"])
    with pytest.raises(errors.UnknownLimit):
        app.limit("nothing").reset()
    with pytest.raises(ValueError, match="nothing to set"):
        handle.set()
    app.queue("default").set_global_concurrency(1)


def test_a_client_and_its_handles_can_be_sent_to_another_process(app):
    held = [app, app.queue("mail"), app.cron("hourly"), app.limit("a")]
    sent = pickle.loads(pickle.dumps(held))  # noqa: S301 - of this test

    assert sent[0].queue_names() == app.queue_names()
    assert sent[1].status().concurrency == 2
    assert [each.name for each in sent[1:]] == ["mail", "hourly", "a"]


def test_the_store_is_checked_and_copied_where_it_is_and_exported_there_alone(app, tmp_path):
    assert app.verify() == []
    assert app.backup(tmp_path / "copy") == tmp_path / "copy"
    assert app.path == tmp_path / "store"
    assert [node.alive for node in app.nodes()] == [True]
    for refused in (app.export_jobs, lambda: app.import_jobs([])):
        with pytest.raises(errors.NotStarted, match="on the node of its files"):
            refused()


def test_a_name_that_nothing_knows_is_a_warning_of_the_client(app):
    with pytest.warns(UserWarning, match="'mial'"):
        assert app.list_jobs(queue="mial") == []


def test_progress_arrives_and_a_job_that_checks_ends_by_itself(app, notes):
    reports = app.enqueue(Does, {"do": "report", "notes": str(notes)})
    progress = until(lambda: app.queue("default").status().progress.get(reports.id))
    assert progress[:2] == (0.5, "half of it")
    looks = app.enqueue(Does, {"do": "look", "notes": str(notes)})
    until((notes / "looking").exists)

    app.cancel_worker(looks)
    app.cancel_worker(reports)

    until((notes / "looked").exists, "the end of the job by itself")
    settled(app, looks)
    settled(app, reports)


def test_a_host_that_dies_is_restarted_and_nothing_is_lost(app, notes):
    args = {"do": "sleep", "seconds": 0.2, "notes": str(notes)}
    ids = app.enqueue_many(Does, [args] * 30)
    until(lambda: app.count_workers(status="completed") >= 5)

    ray.kill(ray.get_actor("antq", namespace=hosting.NAMESPACE), no_restart=False)

    until(lambda: app.count_workers(status="completed") == 30)
    jobs = app.list_workers()
    assert [job.id for job in jobs] == ids
    assert any(job.interruptions for job in jobs)
    assert {job.attempts for job in jobs} == {1}


class Deadly:
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (1,)


@pytest.mark.parametrize(
    ("method", "named"),
    [("delete_job", "delete_job"), ("_step_bulk", "the change of the last 500")],
)
def test_a_change_is_not_made_again_when_the_host_died_during_it(app, method, named):
    with pytest.raises(errors.StorageError, match=f"whether {named}.* was done is not known"):
        app.call(method, Deadly())

    assert app.count_jobs() == 0


def test_when_its_node_is_gone_it_can_be_hosted_where_its_files_are(cluster, far, tmp_path):
    @ray.remote(resources={"far": 1}, num_cpus=0)
    def host_there(path):
        hosting.host(path, queues={"default": 3}).queue("default").pause()

    ray.get(host_there.remote(tmp_path / "store"))
    app = hosting.connect()
    job = app.enqueue(Does, {"do": "nothing"})

    cluster.remove_node(far, allow_graceful=False)
    until(lambda: says_that_the_node_has_left(app))
    with hosting.host(tmp_path / "store", queues={"default": 3}):
        assert app.get_worker(job.id) == job

    app.stop()


def says_that_the_node_has_left(app):
    try:
        app.count_workers()
    except errors.NotStarted as error:
        return "its node has left" in str(error)
    return False


def test_what_cannot_start_after_a_restart_is_tried_again(app, tmp_path):
    (tmp_path / "store").rename(tmp_path / "aside")
    (tmp_path / "store").touch()

    ray.kill(ray.get_actor("antq", namespace=hosting.NAMESPACE), no_restart=False)

    until(lambda: says_that_it_cannot_be_opened(app))
    (tmp_path / "store").unlink()
    (tmp_path / "aside").rename(tmp_path / "store")
    until(lambda: not says_that_it_cannot_be_opened(app))
    assert app.count_workers() == 0


def says_that_it_cannot_be_opened(app):
    try:
        app.count_workers()
    except errors.StorageError:
        return True
    return False


def test_an_application_is_hosted_once(app, tmp_path):
    again = hosting.host(tmp_path / "store", queues={"default": 3, "mail": 2})
    again.close()

    with pytest.raises(errors.ConfigError, match="hosted on this Ray cluster already"):
        hosting.host(tmp_path / "other")


def test_a_failed_host_raises_the_reason_and_leaves_nothing(cluster, tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(TypeError):
        hosting.host(tmp_path / "store", retention="long")
    with pytest.raises(errors.StorageError):
        hosting.host(tmp_path / "file", name="other")
    with pytest.raises(errors.NotStarted, match=r"cluster.host\("):
        hosting.connect("other")


def test_the_keys_of_the_environment_sign_what_is_hosted_and_are_shown_nowhere(
    cluster, tmp_path, monkeypatch, notes
):
    key = "a-key-that-is-long-enough-for-the-signing-of-jobs"
    monkeypatch.setenv(signing_keys.VARIABLE, key)

    app = hosting.host(tmp_path / "store")
    try:
        job = settled(app, Does.perform_async({"do": "nothing", "notes": str(notes)}))
    finally:
        app.stop(timeout=0)

    assert job.status is Status.COMPLETED
    assert maintenance.verify(tmp_path / "store", signing_keys=[key.encode()]) == []
    assert maintenance.verify(tmp_path / "store", signing_keys=[b"another" * 10]) != []


def test_a_key_that_is_too_short_is_refused_by_the_host_without_being_shown(
    cluster, tmp_path, monkeypatch
):
    monkeypatch.setenv(signing_keys.VARIABLE, "too-short-a-key")

    with pytest.raises(errors.ConfigError, match="15 characters") as refused:
        hosting.host(tmp_path / "store")

    assert "too-short-a-key" not in f"{refused.value!r} {refused.value.__cause__!r}"


def test_a_key_in_the_place_of_its_file_is_refused_by_the_host_without_being_shown(
    cluster, tmp_path
):
    key = "a-key-that-is-long-enough-for-the-signing-of-jobs"

    with pytest.raises(errors.ConfigError, match="could be a key") as refused:
        hosting.host(tmp_path / "store", signing_key_file=key)

    assert key not in "".join(traceback.format_exception(refused.value))
