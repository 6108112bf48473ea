"""Applications: where their stores are, which one is current, what cannot start."""

import os
import stat
import subprocess
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.apps import Plain, settled

import antq_actors
from antq_actors import (
    AntQ,
    NotStarted,
    QueueHandle,
    StartError,
    Status,
    StorageError,
    UnknownQueue,
    Worker,
    otp,
    worker,
)
from antq_actors.storage.format.records import PauseRecord
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.testing import TestClock


class Mails(Worker, queue="mail"):
    def perform(self, job):
        pass


@worker
def function(n=1):
    pass


# ---- before the start, and after the stop ---------------------------------------------------


@pytest.mark.parametrize("stopped", [False, True], ids=["never started", "stopped"])
def test_without_a_running_tree_everything_is_not_started(stopped):
    app = AntQ()
    if stopped:
        app.start()
        app.stop()
    asked = [
        lambda: app.root,
        lambda: app.path,
        lambda: app.enqueue(Plain),
        lambda: app.enqueue_many(Plain, [{}]),
        app.list_workers,
        app.count_workers,
        lambda: app.get_worker(1),
        lambda: app.cancel_worker(1),
        lambda: app.retry_worker(1),
        lambda: app.delete_worker(1),
        lambda: app.queue("default"),
        Plain.perform_async,
        function.perform_async,
        lambda: function.options(priority=1).perform_async(),
    ]

    for ask in asked:
        with pytest.raises(NotStarted, match="start"):
            ask()


def test_a_durable_application_knows_its_path_before_it_starts(tmp_path):
    assert AntQ(tmp_path / "store").path == tmp_path / "store"
    assert AntQ(str(tmp_path / "store")).path == tmp_path / "store"
    assert not (tmp_path / "store").exists()


def test_starting_answers_the_application_and_twice_is_once():
    app = AntQ()
    try:
        assert app.start() is app
        root = app.root
        assert app.start() is app
        assert app.root == root
    finally:
        app.stop()


def test_stop_before_start_does_nothing_and_start_after_stop_works(place):
    app = AntQ(place)
    app.stop()
    app.stop()
    for _ in range(2):
        with app as entered:
            assert entered is app
            assert settled(app, app.enqueue(Plain)).status is Status.COMPLETED


def test_a_durable_store_keeps_its_jobs_and_a_volatile_one_goes(tmp_path):
    with AntQ(tmp_path / "store", start_queues=False) as app:
        job = app.enqueue(Plain, {"n": 1})
    with AntQ(start_queues=False) as app:
        volatile = app.path
        app.enqueue(Plain)

    assert not volatile.exists()
    with AntQ(tmp_path / "store", start_queues=False) as app:
        assert app.list_workers() == [job]
        assert app.enqueue(Plain).id == job.id + 1


def test_ids_never_repeat_not_even_after_the_newest_was_deleted(tmp_path):
    with AntQ(tmp_path / "store", start_queues=False) as app:
        first = app.enqueue(Plain)
        app.delete_worker(first)
    with AntQ(tmp_path / "store", start_queues=False) as app:
        assert app.enqueue(Plain).id == first.id + 1


# ---- several applications --------------------------------------------------------------------


def test_perform_async_uses_the_application_started_last_that_still_runs(tmp_path):
    first, second = AntQ(tmp_path / "1", start_queues=False), AntQ(start_queues=False)
    with first:
        with second:
            Plain.perform_async({"at": 2})
            first.enqueue(Plain, {"at": 1})
            assert [job.args["at"] for job in second.list_workers()] == [2]
            assert [job.args["at"] for job in first.list_workers()] == [1]
        Plain.perform_async({"at": 3})
        assert [job.args["at"] for job in first.list_workers()] == [1, 3]
    with pytest.raises(NotStarted):
        Plain.perform_async()


def test_stopping_an_earlier_application_leaves_the_later_one_current(tmp_path):
    first, second = AntQ(start_queues=False).start(), AntQ(start_queues=False).start()
    try:
        first.stop()

        job = Plain.perform_async()

        assert second.get_worker(job.id) == job
    finally:
        second.stop()


def test_applications_of_one_process_perform_side_by_side(tmp_path):
    with AntQ(tmp_path / "1") as first, AntQ(tmp_path / "2") as second:
        jobs = [(app, app.enqueue(Plain)) for app in (first, second) * 5]

        assert {settled(app, job).status for app, job in jobs} == {Status.COMPLETED}
        assert first.count_workers() == second.count_workers() == 5


@pytest.mark.parametrize(
    "other",
    [
        lambda store: store,
        os.path.relpath,
        lambda store: store.parent / "x" / ".." / store.name,
        lambda store: (store.parent / "link", (store.parent / "link").symlink_to(store))[0],
    ],
    ids=["the same", "relative", "with dots", "a link"],
)
def test_the_same_path_twice_in_a_process_is_a_storage_error(tmp_path, other):
    store = tmp_path / "store"
    with AntQ(store, start_queues=False) as app:
        with pytest.raises(StorageError, match="already open"):
            AntQ(other(store)).start()

        assert app.enqueue(Plain).id == 1
        assert Plain.perform_async().id == 2


def test_two_applications_over_one_path_may_follow_each_other(tmp_path):
    for number in (1, 2, 3):
        with AntQ(tmp_path / "store", start_queues=False) as app:
            assert app.enqueue(Plain).id == number


# ---- what cannot start -----------------------------------------------------------------------


def a_file(tmp_path):
    file = tmp_path / "store"
    file.write_text("mine")
    return file


def below_a_file(tmp_path):
    return a_file(tmp_path) / "store"


def open_to_all(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    store.chmod(0o777)
    return store


def of_another_program(tmp_path):
    store = tmp_path / "store"
    store.mkdir(mode=0o755)
    (store / "data.mdb").write_bytes(b"something else" * 1000)
    return store


def of_a_long_name(tmp_path):
    return tmp_path / ("n" * 300)


def of_a_long_path(tmp_path):
    return tmp_path.joinpath("store", *["n" * 200] * 30)


def in_a_circle(tmp_path):
    (tmp_path / "store").symlink_to(tmp_path / "store")
    return tmp_path / "store"


def with_a_directory_for_a_file(tmp_path):
    (tmp_path / "store").mkdir(0o700)
    (tmp_path / "store" / "store.lock").mkdir()
    return tmp_path / "store"


UNUSABLE = [a_file, below_a_file, open_to_all, of_another_program, of_a_long_name]
UNUSABLE += [of_a_long_path, in_a_circle, with_a_directory_for_a_file]


@pytest.mark.parametrize("unusable", UNUSABLE)
def test_a_path_that_cannot_be_a_store_is_a_storage_error_and_a_start_error(tmp_path, unusable):
    app = AntQ(unusable(tmp_path))

    with pytest.raises(StorageError, match="store") as refused:
        app.start()

    assert isinstance(refused.value, StartError)
    assert refused.value.__cause__ is not None
    with pytest.raises(NotStarted):
        Plain.perform_async()
    app.stop()


def test_a_refused_store_is_told_without_the_frames_of_the_package(tmp_path):
    with (
        AntQ(tmp_path / "jobs", start_queues=False),
        pytest.raises(StorageError, match="already open in this process") as refused,
    ):
        AntQ(tmp_path / "jobs").start()

    cause = refused.value.__cause__
    assert isinstance(cause, otp.StartError)
    assert isinstance(cause.__cause__, StorageError)
    told = "".join(traceback.format_exception(refused.value))
    assert f"{os.sep}otp{os.sep}" not in told
    assert f"{os.sep}storage{os.sep}" not in told
    assert f'"{__file__}"' in told


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_path_that_is_not_writable_is_a_storage_error(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="store"):
            AntQ(tmp_path / "store").start()
    finally:
        tmp_path.chmod(0o700)


def test_a_place_where_nothing_can_be_made_is_a_storage_error():
    with pytest.raises(StorageError, match="/proc/"):
        AntQ("/proc/antq-store").start()


def test_a_start_that_failed_may_be_tried_again(tmp_path):
    file = a_file(tmp_path)
    app = AntQ(file)
    with pytest.raises(StorageError):
        app.start()
    file.unlink()

    with app:
        assert settled(app, app.enqueue(Plain)).status is Status.COMPLETED


def test_an_application_starts_beside_an_actor_that_has_the_name_it_would_take():
    class Taken(otp.GenServer):
        pass

    with AntQ(start_queues=False) as app:
        its_name = app.root.cell.name
    squatter = Taken.start(name=its_name)
    try:
        with AntQ() as app:
            assert settled(app, app.enqueue(Plain)).status is Status.COMPLETED
    finally:
        otp.stop(squatter)


def test_the_directory_is_made_for_its_owner_alone(tmp_path):
    with AntQ(tmp_path / "a" / "b", start_queues=False) as app:
        assert stat.S_IMODE(app.path.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) & 0o077 for file in app.path.iterdir()} == {0}


# ---- queues ----------------------------------------------------------------------------------


def test_the_default_queue_is_the_first_one_configured():
    with AntQ(queues={"slow": 1, "default": 1}, start_queues=False) as app:
        assert Plain.perform_async().queue_name == "slow"
        assert Plain.build().queue_name == "slow"
        assert Mails.perform_async().queue_name == "mail"
        assert app.default_queue == "slow"


def test_enqueueing_to_a_queue_that_does_not_run_is_an_unknown_queue(app):
    for enqueue in (
        lambda: Plain.perform_async(queue="reports"),
        lambda: app.enqueue(Plain, {}, queue="reports"),
        lambda: app.enqueue_many(Plain, [{}], queue="reports"),
        lambda: app.enqueue_many(Plain, [], queue="reports"),
        lambda: function.options(queue="reports").perform_async(),
    ):
        with pytest.raises(UnknownQueue, match=r"'reports'.*'default', 'mail'"):
            enqueue()
    assert app.count_workers() == 0


def test_without_queues_a_job_of_any_queue_is_accepted_and_waits():
    with AntQ(start_queues=False) as app:
        job = Plain.perform_async(queue="reports")

        assert (job.queue_name, job.status) == ("reports", Status.ENQUEUED)
        assert app.queue("reports").status().counts[Status.ENQUEUED] == 1


def test_an_unknown_queue_names_those_that_exist(app):
    assert isinstance(app.queue("mail"), QueueHandle)
    for name in ("mial", "nope", "", "x" * 200):
        with pytest.raises(UnknownQueue, match="'default', 'mail'"):
            app.queue(name)
    for thing in (5, None, b"mail"):
        with pytest.raises(TypeError):
            app.queue(thing)


def test_without_queues_a_handle_works_through_the_store_and_has_no_ref(tmp_path):
    with AntQ(tmp_path, queues={"mail": 3}, start_queues=False) as app:
        handle = app.queue("mail")

        handle.pause()
        assert handle.status().paused
        handle.resume()
        assert not handle.status().paused
        with pytest.raises(NotStarted):
            _ = handle.ref
        with pytest.raises(NotStarted):
            handle.set_concurrency(2)
        with pytest.raises(UnknownQueue, match="'mail'"):
            app.queue("nope")


@pytest.mark.parametrize("queues", [True, False])
def test_who_paused_a_queue_is_kept_until_it_is_resumed(tmp_path, queues):
    clock = TestClock()
    clock.freeze()
    with AntQ(tmp_path / "jobs", start_queues=queues, clock=clock) as app:
        handle = app.queue("default")
        handle.pause(by="ada", reason="a deploy")
        handle.pause()

        assert pause_of(app) == PauseRecord("ada", "a deploy", app.antq_clock())
        handle.pause(by="bob")
        assert pause_of(app).by == "bob"
        handle.resume()
        assert pause_of(app) is None


@pytest.mark.parametrize("queues", [True, False])
@pytest.mark.parametrize("name", ["by", "reason"])
def test_a_pause_for_a_reason_that_cannot_be_stored_is_refused(tmp_path, queues, name):
    with AntQ(tmp_path / "jobs", start_queues=queues) as app:
        with pytest.raises(ValueError, match=f"{name} must be text that UTF-8 can carry"):
            app.queue("default").pause(**{name: "deploy \udcff"})

        assert pause_of(app) is None


def pause_of(app):
    return app.antq_here().store.read(JobReader.pause_of, "default")


def test_a_node_tells_its_release_and_since_when_it_runs(tmp_path):
    before = datetime.now(UTC)
    with AntQ(tmp_path / "jobs") as app:
        (node,) = app.nodes()

    assert before <= node.started_at <= datetime.now(UTC)
    assert node.version == antq_actors.__version__


def test_a_paused_queue_is_known_without_queues_although_it_is_empty(tmp_path):
    with AntQ(tmp_path, queues={"mail": 1}) as app:
        app.queue("mail").pause()
    with AntQ(tmp_path, start_queues=False) as app:
        app.queue("mail").resume()
    with AntQ(tmp_path, queues={"mail": 1}) as app:
        assert settled(app, Mails.perform_async()).status is Status.COMPLETED


PAUSES = """
import sys
from antq_actors import AntQ
with AntQ(sys.argv[1], start_queues=False) as app:
    app.queue("mail").pause()
"""


def test_another_process_knows_a_queue_that_runs_here_although_it_is_empty(tmp_path):
    with AntQ(tmp_path / "store", queues={"mail": 1}) as app:
        subprocess.run([sys.executable, "-c", PAUSES, app.path], timeout=60, check=True)  # noqa: S603

        assert app.queue("mail").status().paused


def test_without_queues_nothing_runs_but_the_store():
    with AntQ(start_queues=False) as app:
        assert [info.id for info in otp.Supervisor.which_children(app.root)] == ["storage"]


def test_kept_for_ever_nothing_prunes():
    with AntQ(retention=None) as app:
        ids = [info.id for info in otp.Supervisor.which_children(app.root)]
        assert ids == ["storage", "queues", "rescuer", "cron", "flow"]


def test_a_volatile_application_lives_in_a_private_directory(light):
    assert isinstance(light.path, Path)
    assert stat.S_IMODE(light.path.stat().st_mode) == 0o700
