"""A record planted by hand is refused without executing anything and without stopping its queue."""

import os
import stat

import pytest
from support.apps import settled

from antq_actors import AntQ, StorageError, Worker
from antq_actors.jobs import lifecycle
from antq_actors.jobs.state import JobSpec, NewJob
from antq_actors.storage.format import values
from antq_actors.storage.format.encoding import Signer
from antq_actors.storage.jobs import job_store
from antq_actors.storage.lmdb.open_stores import open_environment

KEY = b"k" * 32


SEEN = []


class Genuine(Worker, name="security:Genuine"):
    def perform(self, job):
        SEEN.append(dict(job.args))


def a_function(job):
    raise AssertionError("called")


class NoWorker:
    def __init__(self):
        raise AssertionError("made")

    def perform(self, job):
        raise AssertionError("called")


class Bomb:
    def __init__(self, file):
        self._file = file

    def __reduce__(self):
        return os.mkdir, (str(self._file),)


def plant(path, worker, args, *, signer=None):
    """Store a job as someone does who can write to the store, and has no key."""
    env = open_environment(path)
    spec = JobSpec(worker=worker, args=args, inserted_at=0)
    new = NewJob(lifecycle.create(queue_name="default", now=0), spec)

    def insert(txn):
        store = job_store.JobStore(txn, env.tables, signer)
        id_ = store.insert(new)
        store.flush()
        return id_

    try:
        return env.write(insert)
    finally:
        env.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def key_file(tmp_path):
    file = tmp_path / "key"
    file.write_bytes(KEY)
    file.chmod(0o600)
    return file


def refused(path, id_, **options):
    """Run the queue over what was planted, and a genuine job behind it; answer the planted one."""
    SEEN.clear()
    with AntQ(path, queues={"default": 1}, **options) as app:
        app.list_workers()
        good = app.enqueue(Genuine, {"n": 1})
        bad = settled(app, app.get_worker(id_))
        assert settled(app, good).status == "completed"
        assert SEEN == [{"n": 1}]
    assert bad.status == "failed"
    return bad.errors[0].error


@pytest.mark.parametrize("name", ["a_function", "NoWorker", "Bomb.__reduce__", "os", "plant"])
def test_what_is_no_worker_is_never_called_or_made(path, name):
    id_ = plant(path, f"{__name__}:{name}", values.encode_args({}))

    assert "neither a subclass of Worker nor decorated" in refused(path, id_)


@pytest.mark.parametrize("args", [b"", b"\x01", b"\x07junk", b"\x01" + b"\xff" * 50])
def test_arguments_that_are_none_are_a_failed_attempt(path, args):
    id_ = plant(path, "security:Genuine", args)

    assert "cannot be read" in refused(path, id_)


def test_with_a_key_a_planted_pickle_is_not_loaded(path, key_file, tmp_path):
    bomb = values.encode_args({"x": Bomb(tmp_path / "ran")})
    id_ = plant(path, "security:Genuine", bomb)

    assert "it is not signed" in refused(path, id_, signing_key_file=key_file)
    assert not (tmp_path / "ran").exists()


def test_with_a_key_the_worker_of_a_planted_job_is_not_imported(path, key_file, tmp_path):
    module = tmp_path / "planted_module.py"
    module.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    id_ = plant(path, "planted_module:Planted", values.encode_args({}))

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        assert "it is not signed" in refused(path, id_, signing_key_file=key_file)
    assert not (tmp_path / "ran").exists()


def test_a_signature_by_another_key_or_of_another_job_is_worth_nothing(path, key_file):
    args = values.encode_args({"n": 5})
    id_ = plant(path, "security:Genuine", args, signer=Signer([b"x" * 32]))

    assert "its signature is wrong" in refused(path, id_, signing_key_file=key_file)


def test_while_a_key_is_exchanged_both_are_accepted(path, tmp_path):
    old, new = "o" * 32, "n" * 32
    file = tmp_path / "keys"

    def jobs_with(*keys, enqueue):
        file.write_text("\n".join(keys))
        file.chmod(0o600)
        with AntQ(path, start_queues=not enqueue, signing_key_file=file) as app:
            if enqueue:
                return app.enqueue(Genuine, {})
            return [settled(app, job).status for job in app.list_workers()]

    jobs_with(old, enqueue=True)
    jobs_with(new, old, enqueue=True)
    jobs_with(old, new, enqueue=True)

    assert jobs_with(new, old, enqueue=False) == ["completed"] * 3


def test_listing_a_planted_pickle_executes_nothing(path, tmp_path):
    bomb = values.encode_args({"x": Bomb(tmp_path / "ran")})
    id_ = plant(path, "security:Genuine", bomb)

    with AntQ(path, start_queues=False) as app:
        (job,) = app.list_workers()
        assert "opaque" in repr(job.args)
        assert app.verify() == []
        list(app.export_jobs())
        app.backup(tmp_path / "copy")
        app.cancel_worker(id_)
        app.retry_worker(id_)

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o720, 0o777])
def test_a_directory_that_others_can_write_to_is_refused(path, mode):
    path.mkdir()
    path.chmod(mode)

    with pytest.raises(StorageError, match=rf"mode {mode:03o}.*chmod go-w"):
        AntQ(path).start()

    assert list(path.iterdir()) == []


def test_all_that_is_made_is_for_its_owner_only(path, key_file):
    with AntQ(path) as app:
        app.enqueue(Genuine, {})
        for file in (path, *path.rglob("*")):
            assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file
