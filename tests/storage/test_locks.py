"""A lock ends with its process, and with nothing else; a lock that was lost is taken again."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from other_process import OtherProcess
from support.programs import in_a_fork
from support.stored_jobs import Store, a_new_job

from antq_actors.storage.admin import maintenance
from antq_actors.storage.lmdb.open_stores import open_environment
from antq_actors.storage.locks import node_lock, store_lock
from antq_actors.storage.locks.file_lock import LockFile, try_lock

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks of an open file")

TRY = """
    from antq_actors.storage.locks import node_lock
    from antq_actors.storage.locks.file_lock import try_lock
    print("ready", flush=True)
    for line in sys.stdin:
        print(try_lock(Path(sys.argv[1]) / "file") is not None, node_lock.is_dead(
            Path(sys.argv[1]), 7), flush=True)
"""

# A node with a lock on a file, and a child; whoever reads the line may kill the node.
PARENT = """
    import ctypes, os, subprocess, sys, time
    from pathlib import Path
    from antq_actors.storage.locks import node_lock
    from antq_actors.storage.locks.file_lock import try_lock
    home = Path(sys.argv[1])
    lock = try_lock(home / "file")
    node_lock.hold(home, 7, b"")
    {make_a_child}
    {then}
"""
CHILDREN = {
    "os.fork": "if not os.fork(): os.write(1, b'child %d\\n' % os.getpid()); time.sleep(60)",
    "fork of a fork": (
        "if not os.fork(): os.fork() and os._exit(0);"
        " os.write(1, b'child %d\\n' % os.getpid()); time.sleep(60)"
    ),
    "subprocess": (
        "subprocess.Popen([sys.executable, '-c', "
        "'import os,time; os.write(1, b\"child %d\\\\n\" % os.getpid()); time.sleep(60)'],"
        " close_fds=False)"
    ),
    "posix_spawn": (
        "os.posix_spawn(sys.executable, [sys.executable, '-c', "
        "'import os,time; os.write(1, b\"child %d\\\\n\" % os.getpid()); time.sleep(60)'],"
        " os.environ)"
    ),
}
OF_C_CODE = (
    "if not ctypes.CDLL(None).fork(): os.write(1, b'child %d\\n' % os.getpid()); time.sleep(60)"
)


@pytest.fixture
def other(tmp_path):
    """Another process that tells whether it can lock the file, and whether node 7 is dead."""
    with OtherProcess(TRY, tmp_path) as process:

        def ask():
            process.tell("look")
            can_lock, is_dead = process.read().split()
            return can_lock == "True", is_dead == "True"

        yield ask


@pytest.fixture
def family(tmp_path):
    """Start a process with both locks that makes a child; return it and the child's number."""
    processes, children = [], []

    def start(make_a_child, then="time.sleep(60)"):
        code = textwrap.dedent(PARENT).format(make_a_child=make_a_child, then=then)
        parent = subprocess.Popen(  # noqa: S603 - it runs this test's own code
            [sys.executable, "-c", code, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(parent)
        word, child = parent.stdout.readline().split()
        assert word == "child"
        children.append(int(child))
        return parent

    yield start
    for child in children:
        os.kill(child, signal.SIGKILL)  # it is there: it outlived its parent
    for parent in processes:
        parent.kill()
        parent.communicate()


def both_locked(directory):
    lock = try_lock(directory / "file")
    node_lock.hold(directory, 7)
    return lock


@pytest.mark.parametrize(
    "use",
    [
        lambda home: shutil.copytree(home, home.parent / f"{home.name}-copy"),
        lambda home: [file.read_bytes() for file in home.rglob("*") if file.is_file()],
        lambda home: [file.open("ab").close() for file in home.rglob("*") if file.is_file()],
        lambda home: shutil.make_archive(f"{home}-archive", "tar", home),
    ],
    ids=["copied", "read", "opened for writing", "archived"],
)
def test_a_lock_outlives_other_uses_of_its_file_in_the_program(tmp_path, other, use):
    lock = both_locked(tmp_path)

    use(tmp_path)

    assert other() == (False, False)
    lock.release()
    node_lock.release(tmp_path, 7)
    assert other() == (True, True)


@pytest.mark.parametrize("make_a_child", CHILDREN.values(), ids=CHILDREN)
def test_no_child_keeps_a_lock_of_its_dead_parent(family, other, make_a_child):
    parent = family(make_a_child)

    parent.kill()
    parent.wait()

    assert other() == (True, True)


def test_a_child_that_c_code_forked_does_not_keep_the_node_alive(family, other):
    parent = family(OF_C_CODE)

    parent.kill()
    parent.wait()

    _, is_dead = other()
    assert is_dead


def test_a_child_that_c_code_forked_does_not_keep_a_released_lock(family, other):
    parent = family(OF_C_CODE, "input(); lock.release(); print('gone', flush=True); input()")

    parent.stdin.write("go on\n")
    parent.stdin.flush()

    assert parent.stdout.readline() == "gone\n"
    assert other() == (True, False)


def test_a_child_cannot_release_what_its_parent_holds(tmp_path, other):
    lock = both_locked(tmp_path)

    in_a_fork(lambda: (lock.release(), node_lock.release(tmp_path, 7)))

    assert other() == (False, False)
    lock.release()
    node_lock.release(tmp_path, 7)


def test_a_fork_amid_many_locks_being_taken_keeps_none(tmp_path):
    """In another thread, between the opening of a file and the note that it is open."""
    over = threading.Event()

    def lock_on():
        while not over.is_set():
            LockFile(tmp_path / "file").release()

    before = open_files()
    locker = threading.Thread(target=lock_on)
    locker.start()
    try:
        kept = [int(in_a_fork(lambda: len(open_files()))) for _ in range(200)]
    finally:
        over.set()
        locker.join()

    assert max(kept) <= len(before) + 2  # the pipe


def open_files():
    return list(Path("/proc/self/fd").iterdir())


# ---- LMDB's own lock and ours are compared before a store is opened, and taken again ------------


# Opens the store when it is told to, and says how that went; closes it, or is told to read.
OPENER = """
    from antq_actors import maintenance
    from antq_actors.errors import StorageError
    print("ready", flush=True)
    env = None
    for line in sys.stdin:
        said = "done"
        try:
            match line.strip():
                case "open": env = open_environment(sys.argv[1])
                case "close": env.close()
                case "compact": maintenance.compact(sys.argv[1])
                case "lose": open(sys.argv[1] + "/lock.mdb").close()
                case "sweep": env.clear_dead_readers()
        except StorageError as error:
            said = str(error)
        print(said, flush=True)
"""


@pytest.fixture
def env(tmp_path):
    env = open_environment(tmp_path / "store")
    yield env
    env.close()


class Opener(OtherProcess):
    def ask(self, line):
        self.tell(line)
        return self.read()


@pytest.fixture
def opener(tmp_path):
    with Opener(OPENER, tmp_path / "store") as other:
        yield other


def copied(path):
    """What drops the POSIX locks that this process has on the files."""
    shutil.copytree(path, path.parent / "copy")


def touched(path):
    (path / "lock.mdb").open("rb").close()


def deleted(path):
    (path / "lock.mdb").unlink()


def replaced(path):
    (path / "lock.new").write_bytes((path / "lock.mdb").read_bytes())
    (path / "lock.new").rename(path / "lock.mdb")


@pytest.mark.parametrize("lose", [copied, touched, deleted, replaced])
def test_a_store_whose_lmdb_lock_was_lost_is_refused_with_a_sentence(env, opener, lose):
    lose(env.path)

    said = opener.ask("open")

    assert f"is open in process {os.getpid()}, which lost LMDB's lock on its lock.mdb" in said
    assert "Then repeat this" in said
    assert (env.path / "lock.mdb").exists() is (lose is not deleted)


@pytest.mark.parametrize("lose", [copied, touched, deleted, replaced])
def test_nothing_can_have_alone_what_is_open_with_a_lost_lock(env, opener, lose):
    lose(env.path)

    assert "another process has" in opener.ask("compact")


def test_a_deleted_store_lock_does_not_let_another_have_the_store_alone(env, opener):
    (env.path / "store.lock").unlink()

    assert "without the lock that says so (was its store.lock deleted?)" in opener.ask("compact")


def test_a_lost_lock_comes_back_with_the_next_write(env, opener):
    copied(env.path)
    env._locks_due = 0.0  # a second has passed

    Store(env).insert(a_new_job())

    assert opener.ask("open") == "done"
    assert maintenance.findings(env) == []


def test_a_lost_lock_comes_back_with_the_next_sweep(env, opener):
    copied(env.path)

    env.clear_dead_readers()

    assert opener.ask("open") == "done"


def test_a_reader_whose_lock_was_lost_is_not_forgotten_by_others(env, opener):
    Store(env).insert_many([a_new_job({"text": "x" * 5_000}) for _ in range(50)])
    assert opener.ask("open") == "done"

    def read(txn):
        """See the store as it is now, while the rest changes."""
        cursor = txn.cursor(env.tables.payloads)
        cursor.first()
        copied(env.path)
        assert opener.ask("sweep") == "done"
        assert str(os.getpid()) in env._env.readers()
        return sum(1 for _ in cursor)

    assert env.inspect(read) == 50


def test_of_two_that_have_it_open_the_one_that_lost_its_lock_is_no_dead_reader(env, opener):
    assert opener.ask("open") == "done"

    touched(env.path)

    assert opener.ask("sweep") == "done"
    assert env.read(lambda txn: txn.stat(env.tables.jobs)["entries"]) == 0


def test_a_process_that_died_with_its_lock_lost_is_in_nobodys_way(tmp_path, opener):
    with Opener(OPENER, tmp_path / "store") as lost:
        assert lost.ask("open") == "done"
        assert lost.ask("lose") == "done"
        assert "is open in process" in opener.ask("open")

        lost.kill()

    assert opener.ask("open") == "done"


def test_processes_that_open_and_close_all_the_time_never_refuse_each_other(tmp_path):
    with (
        Opener(OPENER, tmp_path / "store") as one,
        Opener(OPENER, tmp_path / "store") as two,
        Opener(OPENER, tmp_path / "store") as three,
    ):
        others = [one, two, three]
        for _ in range(60):
            for line in ("open", "close"):
                for other in others:
                    other.tell(line)
            assert [other.read() for other in others] == ["done"] * 3
            assert [other.read() for other in others] == ["done"] * 3


def test_a_process_that_was_stopped_while_it_opens_a_store_keeps_nobody_out(tmp_path, monkeypatch):
    monkeypatch.setattr(store_lock, "_OPENING_TIMEOUT_SECONDS", 0.1)
    directory = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)

    open_environment(tmp_path).close()

    os.close(directory)


def test_a_file_system_without_locks_on_directories_can_hold_a_store(tmp_path, monkeypatch):
    def refuse(_descriptor, _operation):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)

    env = open_environment(tmp_path)

    assert Store(env).insert(a_new_job()) == 1
    env.close()
