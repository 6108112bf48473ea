import gc
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lmdb
import pytest
from other_process import HOLD_OPEN, OtherProcess
from support.programs import in_a_fork
from support.stored_jobs import Store, a_new_job

from antq_actors.errors import ForkError, StorageError, StorageFull
from antq_actors.storage.format.records import Filter
from antq_actors.storage.lmdb import open_files, open_stores
from antq_actors.storage.lmdb.collector_pause import CollectorPause
from antq_actors.storage.lmdb.directory import VolatileDirectory, storage_error
from antq_actors.storage.lmdb.environment import Environment
from antq_actors.storage.lmdb.open_stores import open_environment
from antq_actors.storage.lmdb.tables import FURTHER_TABLES

INSERT_BIG = """
    from support.stored_jobs import Store, a_new_job
    store = Store(open_environment(sys.argv[1], map_size=2**20))
    print("open", flush=True)
    sys.stdin.readline()
    print(store.insert(a_new_job({"text": "x" * 2**21})), flush=True)
    sys.stdin.read()
"""


def test_what_is_stored_is_there_when_the_path_is_opened_again(tmp_path):
    env = open_environment(tmp_path / "a" / "b")
    Store(env).insert(a_new_job())
    env.close()

    again = open_environment(tmp_path / "a" / "b")

    assert Store(again).ids(Filter()) == [1]
    again.close()


def test_a_new_directory_is_for_its_owner_only(env):
    modes = {
        file.name: stat.S_IMODE(file.stat().st_mode) for file in (env.path, *env.path.iterdir())
    }

    assert modes == {"store": 0o700, "data.mdb": 0o600, "lock.mdb": 0o600, "store.lock": 0o600}


@pytest.mark.parametrize(
    ("file", "path", "said"),
    [
        ("file", "file", r"file is a file; .* give another path"),
        ("file", "file/store", "cannot be used"),
        ("data.mdb", "", "damaged, or no store of antq_actors"),
    ],
)
def test_where_a_file_is_in_the_way_is_no_store(tmp_path, file, path, said):
    (tmp_path / file).write_bytes(b"nothing of the kind" * 1000)

    with pytest.raises(StorageError, match=said):
        open_environment(tmp_path / path)


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_directory_that_others_can_write_to_is_refused(tmp_path, mode):
    tmp_path.chmod(mode)

    with pytest.raises(StorageError, match="chmod go-w"):
        open_environment(tmp_path)

    tmp_path.chmod(0o700)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o500)

    with pytest.raises(StorageError, match="not writable"):
        open_environment(tmp_path)


def test_a_path_is_open_once_in_a_process_however_it_is_written(env, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(env.path)

    with pytest.raises(StorageError, match="already open in this process"):
        open_environment(link)


def test_the_same_owner_gets_the_environment_that_is_open(tmp_path):
    owner = object()
    env = open_environment(tmp_path, owner=owner)

    successor = open_environment(tmp_path, owner=owner)

    assert successor is env
    env.close()


def test_a_path_that_was_closed_can_be_opened(env):
    env.close()
    env.close()

    again = open_environment(env.path)

    again.close()


def test_a_closed_environment_says_so(env):
    env.close()

    with pytest.raises(StorageError, match="was closed"):
        env.read(lambda txn: txn.id())


def test_several_processes_may_open_a_path(env):
    with OtherProcess(HOLD_OPEN, env.path) as other:
        assert other.first_line == "open"
        assert Store(env).insert(a_new_job()) == 1


def test_the_environment_of_another_program_is_left_alone(tmp_path):
    with lmdb.open(str(tmp_path)) as other, other.begin(write=True) as txn:
        txn.put(b"theirs", b"1")

    with pytest.raises(StorageError, match="of another program"):
        open_environment(tmp_path)

    with lmdb.open(str(tmp_path)) as other, other.begin() as txn:
        assert dict(txn.cursor()) == {b"theirs": b"1"}


def test_a_newer_format_is_refused(env):
    env.write(lambda txn: txn.put(b"format", b"99", db=env.tables.meta))
    env.close()

    with pytest.raises(StorageError, match=r"newer antq_actors \(format 99; .*upgrade"):
        open_environment(env.path)


def test_a_further_table_is_opened_by_the_transaction_that_needs_it(env):
    def put(txn, *, fails=False):
        txn.put(b"a", b"b", db=env.tables.further(txn, "crons"))
        if fails:
            raise KeyError

    with pytest.raises(KeyError):
        env.write(lambda txn: put(txn, fails=True))
    empty = env.read(lambda txn: txn.get(b"a", db=env.tables.further(txn, "crons")))
    env.write(put)

    assert empty is None
    assert env.read(lambda txn: txn.get(b"a", db=env.tables.further(txn, "crons"))) == b"b"
    assert env.inspect(lambda txn: txn.get(b"a", db=env.tables.further(txn, "limits"))) is None


def test_the_map_grows_with_what_is_stored(tmp_path):
    env = open_environment(tmp_path, durable=False, map_size=2**17)
    store = Store(env)

    ids = store.insert_many([a_new_job({"text": "x" * 2**16}) for _ in range(32)])

    assert ids == list(range(1, 33))
    assert store.ids(Filter()) == ids
    env.close()


def test_a_volatile_map_has_room_for_all_of_it_when_another_process_enlarged_the_store():
    volatile = VolatileDirectory()
    env = open_environment(volatile.path, durable=False)
    with OtherProcess(INSERT_BIG, volatile.path) as other:
        other.tell("insert")
        assert other.read() == "1"

        assert Store(env).insert(a_new_job()) == 2

        room = (volatile.path / "data.mdb").stat().st_blocks * 512
        assert env._env.info()["map_size"] <= room
        env.close()
    volatile.remove()


def test_a_map_that_another_process_enlarged_is_adopted(tmp_path):
    with OtherProcess(INSERT_BIG, tmp_path) as other:
        assert other.first_line == "open"
        env = open_environment(tmp_path, map_size=2**20)
        other.tell("insert")
        assert other.read() == "1"

        assert Store(env).ids(Filter()) == [1]
        assert Store(env).insert(a_new_job()) == 2
        env.close()


@pytest.mark.parametrize(
    "place", [(open_files, "open_tables"), (open_stores, "Migration")], ids=["tables", "format"]
)
def test_a_store_that_another_process_enlarges_can_be_opened_meanwhile(
    tmp_path, monkeypatch, place
):
    with OtherProcess(INSERT_BIG, tmp_path) as other:
        assert other.first_line == "open"
        opens = getattr(*place)

        def open_after_that(*args, **options):
            if is_first.pop():
                other.tell("insert")
                assert other.read() == "1"
            return opens(*args, **options)

        is_first = [False, True]
        monkeypatch.setattr(*place, open_after_that)
        env = open_environment(tmp_path, map_size=2**20)

        assert is_first == []  # it was repeated
        assert Store(env).ids(Filter()) == [1]
        env.close()


@pytest.mark.parametrize(
    "look", [lambda env: env.inspect(lambda txn: txn.id()), Environment.sizes], ids=["all", "sizes"]
)
def test_a_store_that_another_process_enlarged_can_be_looked_at_beside_others(tmp_path, look):
    with OtherProcess(INSERT_BIG, tmp_path) as other:
        assert other.first_line == "open"
        env = open_environment(tmp_path, map_size=2**20)
        env.inspect(lambda txn: txn.id())  # the further tables have been opened
        other.tell("insert")
        assert other.read() == "1"

        assert look(env)

        env.close()


def test_work_that_raises_changes_nothing(env):
    def work(txn):
        txn.put(b"key", b"1", db=env.tables.meta)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        env.write(work)

    assert env.read(lambda txn: txn.get(b"key", db=env.tables.meta)) is None


def test_a_handler_may_write_before_a_transaction_begins_and_another_one_within_it(
    env, monkeypatch
):
    begin, keys = env._begin_write, [b"early", b"late"]

    def handle_signal(key):
        if key in keys:
            keys.remove(key)
            env.write(lambda txn: txn.put(key, b"", db=env.tables.meta))

    def handle_and_begin(database):
        handle_signal(b"early")
        return begin(database)

    def work(txn):
        handle_signal(b"late")
        return [txn.get(key, db=env.tables.meta) for key in (b"early", b"late")]

    monkeypatch.setattr(env, "_begin_write", handle_and_begin)

    assert env.write(work) == [b"", b""]


@pytest.mark.parametrize("name", FURTHER_TABLES)
def test_a_transaction_opens_a_table_though_a_handler_has_aborted_it(env, name):
    handlers = [lambda: env.write(lambda txn: txn.put(b"late", b"", db=env.tables.meta))]

    def work(txn):
        if handlers:
            handlers.pop()()
        return txn.stat(env.tables.further(txn, name))["entries"]

    assert env.write(work) == 0


def test_commits_of_other_processes_show_in_the_last_transaction(env):
    before = env.last_transaction()

    Store(env).insert(a_new_job())

    assert env.last_transaction() > before


def test_a_fork_does_not_use_its_parents_environment_but_may_open_its_own(env):
    Store(env).insert(a_new_job())

    def use_both():
        with pytest.raises(ForkError, match="after the fork"):
            env.read(lambda txn: txn.id())
        env.close()
        own = open_environment(env.path)
        inserted = Store(own).insert(a_new_job())
        own.close()
        return inserted

    assert in_a_fork(use_both) == "2"
    assert Store(env).ids(Filter()) == [1, 2]


def test_a_fork_closes_its_copy_while_other_threads_look_at_the_store(env):
    is_over = threading.Event()

    def look():
        while not is_over.is_set():
            env.last_transaction()

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        said = [in_a_fork(lambda: "there") for _ in range(50)]
    finally:
        is_over.set()
        for thread in threads:
            thread.join()

    assert said == ["'there'"] * 50


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (lmdb.Error("mdb_txn_commit: No space left on device"), StorageFull, "is full"),
        (OSError(28, "No space left on device"), StorageFull, "is full"),
        (lmdb.CorruptedError("located page was wrong type"), StorageError, "verify"),
        (lmdb.VersionMismatchError("version"), StorageError, "the release of antq_actors"),
        (lmdb.ReadersFullError("readers"), StorageError, "too many processes"),
        (lmdb.DiskError("Input/output error"), StorageError, "cannot be used"),
    ],
)
def test_what_lmdb_says_is_said_in_words_that_help(tmp_path, error, kind, text):
    told = storage_error(error, tmp_path)

    assert type(told) is kind
    assert text in str(told)
    assert str(tmp_path) in str(told)


OPEN_WHEN_TOLD = """
    print("ready", flush=True)
    for path in sys.stdin:
        open_environment(path.strip()).close()
        print("opened", flush=True)
"""


def test_several_processes_may_make_a_store_at_the_same_time(tmp_path):
    with (
        OtherProcess(OPEN_WHEN_TOLD) as one,
        OtherProcess(OPEN_WHEN_TOLD) as two,
        OtherProcess(OPEN_WHEN_TOLD) as three,
    ):
        others = [one, two, three]
        assert [other.first_line for other in others] == ["ready"] * 3
        for number in range(40):
            for other in others:
                other.tell(tmp_path / str(number))
            assert [other.read() for other in others] == ["opened"] * 3


# ---- directories of volatile stores -------------------------------------------------------------


MAKE = """
    from antq_actors.storage.lmdb.directory import VolatileDirectory
    print(VolatileDirectory(Path(sys.argv[1])).path, flush=True)
    sys.stdin.read()
"""


def test_a_volatile_directory_is_private_and_gone_when_removed(tmp_path):
    directory = VolatileDirectory(tmp_path)
    mode = directory.path.stat().st_mode & 0o777

    directory.remove()
    directory.remove()

    assert mode == 0o700
    assert list(tmp_path.iterdir()) == []


def test_two_of_a_process_do_not_meet(tmp_path):
    first, second = VolatileDirectory(tmp_path), VolatileDirectory(tmp_path)

    first.remove()

    assert list(tmp_path.iterdir()) == [second.path]
    second.remove()


def test_what_a_killed_process_left_is_swept_by_the_next(tmp_path):
    with OtherProcess(MAKE, tmp_path) as other:
        left = Path(other.first_line)
        while_it_lives = VolatileDirectory(tmp_path)
        assert left.is_dir()

        other.kill()
        after_its_death = VolatileDirectory(tmp_path)

    assert not left.exists()
    assert set(tmp_path.iterdir()) == {while_it_lives.path, after_its_death.path}
    while_it_lives.remove()
    after_its_death.remove()


def test_what_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "antq-1-theirs").mkdir()
    (tmp_path / "other").mkdir()

    VolatileDirectory(tmp_path).remove()

    assert {path.name for path in tmp_path.iterdir()} == {"antq-1-theirs", "other"}


def test_a_fork_leaves_the_directory_to_its_parent(tmp_path):
    directory = VolatileDirectory(tmp_path)

    in_a_fork(lambda: (directory.remove(), VolatileDirectory(tmp_path).remove()))

    assert directory.path.is_dir()
    directory.remove()


def test_no_room_is_said_with_a_way_out(tmp_path):
    with pytest.raises(StorageError, match="give AntQ a path on a disk instead"):
        VolatileDirectory(tmp_path / "missing")


# ---- the collector is off in a transaction ------------------------------------------------------


@pytest.fixture
def pause():
    yield CollectorPause()
    gc.enable()


def test_the_collector_is_off_within_and_on_again_afterwards(pause):
    with pause:
        assert not gc.isenabled()

    assert gc.isenabled()


def test_the_collector_is_off_in_each_transaction(env):
    assert not env.write(lambda txn: gc.isenabled())
    assert not env.read(lambda txn: gc.isenabled())
    assert gc.isenabled()


def test_it_is_on_again_when_the_last_thread_has_left(pause):
    def stay_a_while():
        with pause:
            pass
        return gc.isenabled()

    with ThreadPoolExecutor(1) as pool, pause:
        was_on = pool.submit(stay_a_while).result()

    assert not was_on
    assert gc.isenabled()


def test_a_program_that_has_none_gets_none(pause):
    gc.disable()

    with pause:
        pass

    assert not gc.isenabled()


def test_a_stretch_that_was_left_anywhere_can_be_ended(pause):
    pause.__enter__()
    pause._lock.acquire()

    pause.end_for_thread()

    assert gc.isenabled()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(pause._lock.acquire, timeout=1).result()
