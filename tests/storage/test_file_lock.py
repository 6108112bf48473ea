"""A lock ends with its process, and with nothing else."""

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

from antq_actors.storage.locks import node_lock
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
