"""What an operator does to a store as a whole, also while applications run."""

import re
import stat
import threading

import pytest
from support.apps import settled
from support.raw_jobs import drop_spec, put_spec

from antq_actors import AntQ, Status, StorageError, Unique, Worker, maintenance
from antq_actors.otp import Killed, exit  # noqa: A004 - as OTP calls it
from antq_actors.storage.admin.maintenance import DATA_FILE, sizes
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.open_stores import open_environment

KEY = b"k" * 32


class Note(Worker, name="maintenance:Note", max_attempts=2):
    def perform(self, job):
        if job.args.get("fail") and job.attempts == 1:
            raise ValueError("once")

    def calculate_delay(self, job):
        return 0.0


class Alone(Worker, name="maintenance:Alone", unique=Unique(args=["n"])):
    def perform(self, job): ...


class Held(Worker, name="maintenance:Held"):
    go_on = threading.Event()

    def perform(self, job):
        self.go_on.wait(30)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


def filled(path, jobs=20):
    with AntQ(path, start_queues=False) as app:
        app.enqueue_many(Note, ({"n": n} for n in range(jobs)))
        app.enqueue(Alone, {"n": 1}, schedule_in=3600)


def damage(path, table, change):
    env = open_environment(path)
    env.write(lambda txn: change(txn, getattr(env.tables, table, env.tables)))
    env.close()


# ---- verify ---------------------------------------------------------------------------------


def test_a_sound_store_has_no_findings_stopped_or_running(path):
    filled(path)

    assert maintenance.verify(path) == []
    with AntQ(path) as app:
        assert app.verify() == []
        assert maintenance.verify(path) == []


def put(key, value):
    return lambda txn, db: txn.put(key, value, db=db)


def drop(key):
    return lambda txn, db: txn.pop(key, db=db)


def first(txn, db):
    cursor = txn.cursor(db)
    cursor.first()
    return bytes(cursor.key())


def drop_first(txn, db):
    txn.pop(first(txn, db), db=db)


def add_a_stray(txn, db):
    txn.put(first(txn, db)[:-1] + b"\xff", b"", db=db)


def damage_spec(txn, tables):
    put_spec(txn, tables, 3, b"x")


def lose_spec(txn, tables):
    drop_spec(txn, tables, 3)


MISCOUNT = keys.COUNT + keys.lane(Status.ENQUEUED, "default"), (7).to_bytes(8, "big")


@pytest.mark.parametrize(
    ("table", "change", "finding"),
    [
        ("index", drop_first, "index: .* of job 1 is missing"),
        ("index", add_a_stray, "index: .* belongs to no job"),
        ("unique", drop_first, "unique: .* of job 21 is missing"),
        ("meta", put(*MISCOUNT), "counts: default has 20 enqueued jobs, but 7"),
        ("all", damage_spec, "job 3: "),
        ("all", lose_spec, "payloads: .* of job 3 is missing"),
        ("payloads", put(keys.job_key(3), b"x"), "payloads: .* belongs to no job"),
        ("jobs", put(keys.job_key(4), b"\0x"), "job 4: the job is damaged"),
        ("jobs", put(b"odd", b"\0x"), "jobs: b'odd' is no key"),
        ("meta", put(b"next:id", b"5"), "meta: ids from 5 on would be given again, up to 21"),
        ("meta", put(b"next:id", b"?"), "meta: the counter next:id is damaged"),
        ("errors", put(keys.error_key(2, 0), b"x"), "errors: .* belongs to no job"),
    ],
)
def test_each_disagreement_of_the_tables_is_found(path, table, change, finding):
    filled(path)
    damage(path, table, change)

    findings = maintenance.verify(path)

    assert any(re.search(finding, found) for found in findings), findings


def cut_a_page(path):
    """Fill a page in the middle of the file with what no page is."""
    takes = sizes(path)
    with (path / DATA_FILE).open("r+b") as file:
        file.seek(4096 * ((takes.file - takes.reserved) // 4096 // 2))
        file.write(b"\xff" * 4096)


def test_a_damaged_page_is_found_without_being_mapped(path):
    filled(path, 500)
    cut_a_page(path)

    assert maintenance.verify(path) != []


# ---- backup and restore ---------------------------------------------------------------------


def test_a_backup_under_load_is_whole_and_its_jobs_complete_elsewhere(path, tmp_path):
    copies = []
    with AntQ(path, queues={"default": 20}) as app:
        done = threading.Event()

        def produce():
            n = 0
            while not done.is_set():
                app.enqueue_many(Note, ({"n": n, "fail": n % 5 == 0} for n in range(n, n + 20)))
                n += 20

        producer = threading.Thread(target=produce)
        producer.start()
        try:
            copies += [app.backup(tmp_path / f"backup{n}") for n in range(5)]
        finally:
            done.set()
            producer.join()

    for n, copy in enumerate(copies):
        assert maintenance.verify(copy) == []
        elsewhere = tmp_path / f"elsewhere{n}"
        jobs = maintenance.restore(copy, elsewhere)
        assert maintenance.verify(elsewhere) == []
        with AntQ(elsewhere, queues={"default": 20}) as app:
            assert app.count_workers() == jobs
            for job in app.list_workers(status=["enqueued", "running", "retrying"]):
                settled(app, job)
            assert app.count_workers(status="completed") == jobs
            assert not any(job.interruptions for job in app.list_workers())


def test_a_job_that_ran_at_the_backup_is_given_back_uncounted(path, tmp_path):
    Held.go_on.clear()
    with AntQ(path) as app:
        job = app.enqueue(Held)
        settled(app, job, "running")
        app.backup(tmp_path / "backup")
        Held.go_on.set()

    assert maintenance.restore(tmp_path / "backup", tmp_path / "new") == 1

    with AntQ(tmp_path / "new", start_queues=False) as app:
        (found,) = app.list_workers()
        assert (found.status, found.attempts, found.interruptions) == ("enqueued", 0, 0)
        assert found.errors == ()


def test_a_backup_is_private_and_holds_nothing_but_the_data(path, tmp_path):
    filled(path)

    copy = maintenance.backup(path, tmp_path / "deep" / "backup")

    assert [file.name for file in copy.iterdir()] == [DATA_FILE]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o700
    assert stat.S_IMODE((copy / DATA_FILE).stat().st_mode) == 0o600
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["backup"]


def test_a_backup_replaces_nothing(path, tmp_path):
    filled(path)
    target = tmp_path / "target"
    target.mkdir()
    (target / "precious").touch()

    with pytest.raises(StorageError, match="is no empty directory"):
        maintenance.backup(path, target)

    assert [file.name for file in target.iterdir()] == ["precious"]


@pytest.mark.parametrize("target", [None, 1, b"copies", ["copies"]])
def test_what_is_no_path_is_refused(path, target):
    filled(path)

    with pytest.raises(TypeError, match=r"a path must be a str or an os\.PathLike, got "):
        maintenance.backup(path, target)
    with pytest.raises(TypeError, match=r"a path must be a str or an os\.PathLike, got "):
        maintenance.verify(target)


def test_a_restore_replaces_no_store(path, tmp_path):
    filled(path)
    copy = maintenance.backup(path, tmp_path / "backup")

    with pytest.raises(StorageError, match=r"there is a store in .*: move it away first"):
        maintenance.restore(copy, path)

    assert maintenance.verify(path) == []


def damage_a_job(copy):
    damage(copy, "jobs", put(keys.job_key(4), b"\0x"))


@pytest.mark.parametrize(("harm", "finding"), [(damage_a_job, ": job 4: "), (cut_a_page, "")])
def test_a_damaged_backup_is_not_restored(path, tmp_path, harm, finding):
    filled(path, 500)
    copy = maintenance.backup(path, tmp_path / "backup")
    harm(copy)

    with pytest.raises(StorageError, match=rf"is damaged and was not restored{finding}"):
        maintenance.restore(copy, tmp_path / "new")

    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("act", ["verify", "compact", "migrate", "reseal"])
def test_where_no_store_is_nothing_is_made(tmp_path, act):
    with pytest.raises(StorageError, match="there is no store in"):
        getattr(maintenance, act)(tmp_path / "none")

    assert list(tmp_path.iterdir()) == []


def test_verify_and_backup_wait_for_a_storage_actor_that_is_being_restarted(path, tmp_path):
    with AntQ(path) as app:
        app.enqueue(Note, {})
        exit(app._running.names.storage, Killed())
        assert app.verify() == []

        exit(app._running.names.storage, Killed())
        copy = app.backup(tmp_path / "copy")

        assert app.enqueue(Note, {}).id == 2
    assert maintenance.verify(copy) == []


# ---- what needs the store alone -------------------------------------------------------------


def test_compacting_gives_room_back_and_keeps_every_job(path):
    with AntQ(path, start_queues=False) as app:
        ids = app.enqueue_many(Note, ({"text": "x" * 10_000} for _ in range(500)))
        for id_ in ids[:-10]:
            app.delete_worker(id_)

    before, after = maintenance.compact(path)

    assert before > 5_000_000
    assert after < before / 10
    assert stat.S_IMODE((path / DATA_FILE).stat().st_mode) == 0o600
    assert maintenance.verify(path) == []
    with AntQ(path, start_queues=False) as app:
        assert [job.id for job in app.list_workers()] == ids[-10:]
        assert app.enqueue(Note, {}).id == ids[-1] + 1


def test_the_sizes_of_a_store_say_what_compacting_gives_back(path):
    with AntQ(path, start_queues=False) as app:
        for job in app.enqueue_many(Note, ({"text": "x" * 10_000} for _ in range(500))):
            app.delete_worker(job)
        running = sizes(path)

    stopped = sizes(path)
    before, after = maintenance.compact(path)
    compacted = sizes(path)

    assert stopped.file == running.file  # what charts show is written at the stop
    assert before == stopped.file == stopped.used + stopped.free + stopped.reserved
    assert stopped.free > 5_000_000 > 10 * stopped.used
    assert compacted == (after, compacted.used, compacted.free, 0)
    assert after <= stopped.used


@pytest.mark.parametrize("act", ["compact", "migrate", "reseal"])
@pytest.mark.parametrize("start_queues", [True, False])
def test_what_needs_the_store_alone_is_refused_here_while_it_is_open(path, act, start_queues):
    with AntQ(path, start_queues=start_queues) as app:
        with pytest.raises(StorageError, match="is open in this process"):
            getattr(maintenance, act)(path)
        assert app.enqueue(Note, {}).id == 1


# ---- signatures -----------------------------------------------------------------------------


def test_reseal_signs_what_is_there_and_only_that_is_run(path, tmp_path, monkeypatch):
    filled(path, 3)
    key_file = tmp_path / "key"
    key_file.write_bytes(KEY)
    key_file.chmod(0o600)

    assert maintenance.reseal(path, [KEY]) == 4
    with AntQ(path, start_queues=False) as app:
        planted = app.enqueue(Note, {})

    assert maintenance.verify(path, signing_keys=[KEY]) != []
    with AntQ(path, signing_key_file=key_file) as app:
        for id_ in (1, 2, 3):
            assert settled(app, app.get_worker(id_)).status == "completed"
        refused = settled(app, planted)
        assert refused.status == "failed"
        assert "it is not signed" in refused.errors[0].error
        genuine = app.enqueue(Note, {})
        assert settled(app, genuine).status == "completed"
        assert app.verify() != []
        app.delete_worker(refused)
        assert app.verify() == []


# ---- paths that are none ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "unusable",
    ["n" * 300, "/".join(["n" * 200] * 30), "a\0b", "a\ud800b", "file", "file/below", "circle"],
)
@pytest.mark.parametrize("act", ["verify", "backup", "restore", "compact", "migrate", "reseal"])
def test_a_path_that_cannot_be_a_store_is_a_storage_error(tmp_path, act, unusable):
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    path = f"{tmp_path}/{unusable}"
    more = {"backup": [tmp_path / "to"], "restore": [tmp_path / "to"]}.get(act, [])

    with pytest.raises(StorageError, match=re.escape(str(tmp_path))):
        getattr(maintenance, act)(path, *more)

    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    "unusable", ["n" * 300, "/".join(["n" * 200] * 30), "a\0b", "a\ud800b", "file", "file/below"]
)
def test_a_target_that_cannot_be_made_is_a_storage_error(path, tmp_path, unusable):
    filled(path)
    (tmp_path / "file").touch()
    target = f"{tmp_path}/{unusable}"

    for act in (maintenance.backup, maintenance.restore):
        with pytest.raises(StorageError, match=re.escape(str(tmp_path))):
            act(path, target)


def test_a_directory_in_the_place_of_the_data_file_is_a_storage_error(path):
    (path / DATA_FILE).mkdir(parents=True)

    for act in (maintenance.verify, maintenance.compact):
        with pytest.raises(StorageError, match=re.escape(str(path))):
            act(path)
