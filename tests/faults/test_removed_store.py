"""The files of a store are removed or replaced while its application runs."""

import logging
import os
import shutil
import time

import pytest
from support.apps import LONGEST, settled, until

from antq_actors import AntQ, NotStarted, Status, StorageError, Worker, maintenance
from antq_actors.jobs import current_app
from antq_actors.storage.locks import node_lock

FOUND = r"store in .* was removed or replaced while this process had it open"


class Note(Worker, name="removed:Note"):
    def perform(self, job): ...


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


def all_files(path):
    for file in path.iterdir():
        if file.is_file():
            file.unlink()


def replaced(path):
    path.rename(path.parent / "elsewhere")
    with AntQ(path.parent / "new", start_queues=False) as other:
        other.enqueue(Note)
    (path.parent / "new").rename(path)


def a_file_replaced(name):
    def replace(path):
        (path / "other").write_bytes((path / name).read_bytes())
        (path / "other").rename(path / name)

    return replace


FILES = ("data.mdb", "lock.mdb", "store.lock")
REMOVALS = {
    "directory": shutil.rmtree,
    "directory above": lambda path: shutil.rmtree(path.parent),
    "all files": all_files,
    "moved": lambda path: path.rename(path.parent / "elsewhere"),
    "replaced": replaced,
    **{name: lambda path, name=name: (path / name).unlink() for name in FILES},
    **{f"{name} replaced": a_file_replaced(name) for name in FILES},
}

WRITES = {
    "perform_async": lambda app, job: Note.perform_async(),
    "enqueue": lambda app, job: app.enqueue(Note),
    "enqueue later": lambda app, job: app.enqueue(Note, schedule_in=60),
    "enqueue_many": lambda app, job: app.enqueue_many(Note, [{}, {}]),
    "cancel": lambda app, job: app.cancel_worker(job),
    "retry": lambda app, job: app.retry_worker(job),
    "delete": lambda app, job: app.delete_worker(job),
    "pause": lambda app, job: app.queue("default").pause(),
    "resume": lambda app, job: app.queue("default").resume(),
    "import": lambda app, job: app.import_jobs(app.exported),
}


def has_ended(root):
    until(lambda: not root.is_alive(), "the end of the root")


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)
@pytest.mark.parametrize("seconds", [0, 3600], ids=["just made", "made long ago"])
def test_nothing_is_acknowledged_once_its_store_was_removed(path, remove, seconds):
    with AntQ(path, start_queues=False) as app:
        root = app.root
        os.utime(path, (time.time() - seconds,) * 2)
        app.enqueue_many(Note, [{}, {}])
        app.enqueue(Note)

        remove(path)

        with pytest.raises(StorageError, match=FOUND):
            app.enqueue(Note)
        has_ended(root)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("queues", [False, True], ids=["without queues", "with queues"])
def test_no_kind_of_write_is_acknowledged_once_its_store_was_removed(path, write, queues):
    with AntQ(path, start_queues=queues) as app:
        app.queue("default").pause()
        job = app.enqueue(Note)
        app.exported = list(app.export_jobs())
        root = app.root

        shutil.rmtree(path)

        for _ in range(2):  # the second time, the application may have ended
            with pytest.raises(StorageError, match=FOUND):
                write(app, job)
        has_ended(root)
        with pytest.raises(StorageError, match=FOUND):
            write(app, job)
    assert not path.exists()


def test_a_removed_store_is_not_shown_either(path):
    with AntQ(path, start_queues=False) as app:
        app.enqueue(Note)
        shutil.rmtree(path)

        for look in (app.count_workers, app.list_workers, app.queue_names):
            with pytest.raises(StorageError, match=FOUND):
                look()


def test_an_idle_application_with_queues_notices_by_itself(path, caplog):
    with AntQ(path) as app:
        root = app.root

        with caplog.at_level(logging.WARNING):
            shutil.rmtree(path)
            has_ended(root)

        with pytest.raises(StorageError, match=FOUND):
            Note.perform_async()
    assert "was removed or replaced" in caplog.text
    with pytest.raises(NotStarted):
        Note.perform_async()


def test_after_one_application_lost_its_store_the_others_are_enqueued_into(path, tmp_path):
    with AntQ(tmp_path / "other", start_queues=False) as other:
        with AntQ(path, start_queues=False) as app:
            shutil.rmtree(path)
            root = app.root
            with pytest.raises(StorageError, match=FOUND):
                Note.perform_async()
            has_ended(root)
            until(lambda: current_app.latest() is other, "the turn of the other application")

            Note.perform_async()

        assert other.count_workers() == 1


def test_a_running_job_does_not_hold_up_the_end_of_an_application_without_a_store(path, controlled):
    with AntQ(path) as app:
        root = app.root
        controlled.job("held", app=app, wait="deaf")
        controlled.begun()

        shutil.rmtree(path)
        with pytest.raises(StorageError, match=FOUND):
            app.enqueue(Note)

        has_ended(root)
        controlled.release("held")
        began = time.monotonic()
    assert time.monotonic() - began < LONGEST


def test_an_application_whose_store_was_removed_starts_anew_with_what_is_put_there(
    path, tmp_path, request
):
    app = AntQ(path, start_queues=False).start()
    request.addfinalizer(app.stop)
    app.enqueue(Note)
    app.backup(tmp_path / "backup")
    shutil.rmtree(path)
    with pytest.raises(StorageError, match=FOUND):
        app.enqueue(Note)
    app.stop()
    maintenance.restore(tmp_path / "backup", path)

    with app.start():
        assert [job.worker for job in app.list_workers()] == ["removed:Note"]
        app.enqueue(Note)


def test_a_store_that_took_the_place_of_a_removed_one_keeps_its_nodes(path, program, request):
    """The two have nodes of one number; the end of the old one must not delete the new one's."""
    app = AntQ(path).start()
    request.addfinalizer(app.stop)
    root = app.root
    path.rename(path.parent / "elsewhere")
    code = (
        "import sys; from antq_actors import AntQ\n"
        "with AntQ(sys.argv[1]) as app: print('up', flush=True); sys.stdin.readline()"
    )
    other = program("-c", code, path)
    assert other.line() == "up"

    has_ended(root)
    app.stop()

    with AntQ(path, start_queues=False) as look:
        (node,) = look.nodes()
        assert (node.pid, node.alive) == (other.process.pid, True)
        assert not node_lock.is_dead(path, node.number)


def test_run_ends_with_an_error_when_the_store_is_removed(path, program):
    code = (
        "import sys; from antq_actors import AntQ\n"
        "app = AntQ(sys.argv[1])\n"
        "from antq_actors.app import signals\n"
        "signals.run(app, when_up=lambda: print('up', flush=True))"
    )
    node = program("-c", code, path)
    assert node.line() == "up"

    shutil.rmtree(path)

    status, _, errors = node.end()
    assert status == 1
    assert "the supervision tree gave up" in errors
    assert "was removed or replaced while this process had it open" in errors


def test_a_volatile_store_lives_on_without_its_directory():
    """Nobody else looks for it, and it is gone with its process anyway."""
    with AntQ() as app:
        shutil.rmtree(app.path)

        assert settled(app, app.enqueue(Note)).status is Status.COMPLETED


def test_who_may_not_look_at_the_path_any_more_still_stores(path, program):
    """As after setuid(): that is no removal."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    code = (
        "import os, sys; from antq_actors import AntQ, Worker\n"
        "class Note(Worker):\n    def perform(self, job): ...\n"
        "with AntQ(sys.argv[1], start_queues=False) as app:\n"
        "    os.setuid(65534)\n"
        "    print(app.enqueue(Note).id)"
    )
    path.parent.chmod(0o700)

    status, said, errors = program("-c", code, path).end()

    assert (status, said.strip()) == (0, "1"), errors
