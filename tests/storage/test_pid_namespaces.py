"""A store is open in one PID namespace at a time: LMDB takes equal numbers for one process."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from other_process import OtherProcess
from support.namespaces import UNSHARE, entering, needs_namespaces

from antq_actors import AntQ, Status, StorageError, Worker
from antq_actors.storage.lmdb import open_stores
from antq_actors.storage.lmdb.open_stores import open_environment
from antq_actors.storage.locks import store_lock
from antq_actors.storage.locks.file_lock import LockFile
from antq_actors.storage.locks.store_lock import StoreLock

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="PID namespaces are Linux's")

# Opens the store when it is told to, and says how that went.
OPENER = """
    import os, sys
    from antq_actors import AntQ
    from antq_actors.errors import StorageError
    print(os.getpid(), flush=True)
    app = AntQ(sys.argv[1])
    for line in sys.stdin:
        said = "done"
        try:
            match line.strip():
                case "open": app.start(queues=False)
                case "work": app.start()
                case "close": app.stop()
                case "nodes": said = str([node.alive for node in app.nodes()])
        except StorageError as error:
            said = str(error)
        print(said, flush=True)
"""


class Opener(OtherProcess):
    def __init__(self, path, within=UNSHARE, code=OPENER):
        super().__init__(code, path, within=within)

    def ask(self, line):
        self.tell(line)
        return self.read()


class Plain(Worker):
    def perform(self, job): ...


def is_refused(said):
    return "PID namespace" in said and 'pid: "service:web"' in said and "shareProcess" in said


def test_the_refusal_names_the_remedy_for_each_kind_of_container():
    said = store_lock.namespace_refusal("/jobs")

    assert is_refused(said)
    assert said.startswith("/jobs is open in a process of another PID namespace")
    assert "--pid=container:NAME" in said


def test_the_number_is_that_of_the_kernel_and_there_is_none_without_proc(monkeypatch):
    assert store_lock.pid_namespace() == Path("/proc/self/ns/pid").stat().st_ino

    def no_proc(*_args, **_kwargs):
        raise FileNotFoundError

    monkeypatch.setattr("pathlib.Path.stat", no_proc)
    assert store_lock.pid_namespace() is None


# ---- without the right to make one: the number is that of another -----------------------------


@pytest.fixture
def pretend(monkeypatch):
    """Have the next locks taken as if in the namespace of this number."""

    def pretend(number):
        monkeypatch.setattr(store_lock, "pid_namespace", lambda: number)

    return pretend


NAMESPACES = [1, 4026531836, 4026531837, 2**40 - 1]


@pytest.mark.parametrize("first", NAMESPACES)
@pytest.mark.parametrize("second", NAMESPACES)
def test_two_namespaces_never_share_a_lock_and_one_always_does(tmp_path, pretend, first, second):
    pretend(first)
    held = [StoreLock(tmp_path), StoreLock(tmp_path)]
    pretend(second)

    if first == second:
        held.append(StoreLock(tmp_path))
    else:
        with pytest.raises(StorageError, match="another PID namespace"):
            StoreLock(tmp_path)

    for lock in held:
        lock.release()
    StoreLock(tmp_path).release()


def test_a_refused_process_leaves_no_lock_behind(tmp_path, pretend):
    pretend(1)
    held = StoreLock(tmp_path)
    pretend(2)
    with pytest.raises(StorageError):
        StoreLock(tmp_path)
    pretend(1)

    StoreLock(tmp_path).release()
    assert held.take_exclusively()
    held.release()


def test_without_proc_nothing_is_refused(tmp_path, pretend):
    pretend(None)
    held = StoreLock(tmp_path)
    pretend(7)

    StoreLock(tmp_path).release()
    held.release()


def test_after_a_migration_the_namespace_is_still_that_of_the_store(tmp_path, pretend):
    pretend(3)
    held = StoreLock(tmp_path)
    assert held.take_exclusively()
    held.share()

    StoreLock(tmp_path).release()
    for other in (1, 2, 4, 5):
        pretend(other)
        with pytest.raises(StorageError, match="another PID namespace"):
            StoreLock(tmp_path)
    assert held.find_others() == []
    held.release()


@pytest.mark.parametrize("pid", [1, 2**22])
def test_sharing_again_never_looks_like_another_namespace(tmp_path, monkeypatch, pid):
    held = StoreLock(tmp_path)
    assert held.take_exclusively()
    answers = []

    def then_open(step):
        def stepped(*args, **options):
            result = step(*args, **options)
            with monkeypatch.context() as patch:
                for name, own in steps.items():
                    patch.setattr(LockFile, name, own)
                patch.setattr(store_lock.os, "getpid", lambda: pid)
                answers.append(answer_of_opening(tmp_path))
            return result

        return stepped

    steps = {name: getattr(LockFile, name) for name in ("take", "drop")}
    with monkeypatch.context() as patch:
        for name, step in steps.items():
            patch.setattr(LockFile, name, then_open(step))
        held.share()

    assert len(answers) == 5
    assert answers[0].endswith("wait until it is done")
    assert answers[-1] == "opened"
    assert set(answers) == {answers[0], "opened"}
    held.release()


def answer_of_opening(path):
    try:
        StoreLock(path).release()
    except StorageError as error:
        return str(error)
    return "opened"


def test_an_earlier_release_finds_no_process_in_the_number_of_a_namespace(tmp_path):
    """It looks for processes on all bytes, and asks the system whether each of them lives."""
    held = StoreLock(tmp_path)
    earlier = LockFile(tmp_path / store_lock.FILE)

    first = earlier.find_other(1, 0)
    second = earlier.find_other(os.getpid() + 1, 0)

    assert {first, second} - {os.getpid()} == {second}
    assert not store_lock.is_alive(second)
    earlier.release()
    held.release()


def test_namespaces_are_not_taken_for_processes(tmp_path, opener_here):
    held = StoreLock(tmp_path / "store")

    assert held.find_others() == [opener_here.pid]

    held.release()


@pytest.fixture
def opener_here(tmp_path):
    with Opener(tmp_path / "store", within=()) as other:
        assert other.ask("open") == "done"
        yield other


# ---- in real ones ---------------------------------------------------------------------------


@needs_namespaces
def test_a_second_namespace_is_refused_until_the_first_has_closed_the_store(tmp_path):
    with Opener(tmp_path / "store") as first, Opener(tmp_path / "store") as second:
        assert first.first_line == second.first_line == "1"
        assert first.ask("work") == "done"
        assert is_refused(second.ask("open"))
        assert is_refused(second.ask("work"))
        assert first.ask("nodes") == "[True]"

        assert first.ask("close") == "done"

        assert second.ask("work") == "done"
        assert is_refused(first.ask("open"))


@needs_namespaces
def test_a_namespace_that_was_killed_leaves_the_store_to_the_next(tmp_path):
    for _ in range(3):
        with Opener(tmp_path / "store") as other:
            assert other.ask("work") == "done"
            with pytest.raises(StorageError, match="another PID namespace"):
                AntQ(tmp_path / "store").start()

    with AntQ(tmp_path / "store", start_queues=False) as app:
        assert app.enqueue(Plain).status is Status.ENQUEUED


@needs_namespaces
def test_processes_that_share_a_namespace_share_the_store(tmp_path):
    with (
        Opener(tmp_path / "store") as first,
        Opener(tmp_path / "store", within=entering(first.pid, tmp_path)) as second,
        Opener(tmp_path / "store") as outsider,
    ):
        assert second.first_line != "1"
        assert first.ask("open") == second.ask("work") == "done"
        assert first.ask("nodes") == "[True]"
        assert is_refused(outsider.ask("open"))

        first.ask("close")
        assert is_refused(outsider.ask("open"))  # the second still has it

        second.ask("close")
        assert outsider.ask("open") == "done"


@needs_namespaces
def test_of_two_namespaces_that_open_at_once_never_both_have_the_store(tmp_path):
    with Opener(tmp_path / "store") as one, Opener(tmp_path / "store") as two:
        for _ in range(20):
            one.tell("open")
            two.tell("open")
            said = [one.read(), two.read()]
            assert said.count("done") == 1, said
            one.tell("close")
            two.tell("close")
            assert [one.read(), two.read()] == ["done", "done"]


@needs_namespaces
def test_without_locks_on_directories_never_both_have_it_either(tmp_path):
    """What keeps two from opening at once is not what keeps them apart."""
    code = OPENER.replace(
        "app = AntQ",
        "import fcntl\n"
        "    def refuse(*_): raise OSError(95, 'Operation not supported')\n"
        "    fcntl.flock = refuse\n"
        "    app = AntQ",
    )
    with (
        Opener(tmp_path / "store", code=code) as one,
        Opener(tmp_path / "store", code=code) as two,
    ):
        for _ in range(20):
            one.tell("open")
            two.tell("open")
            opened = [one.read(), two.read()]
            assert opened.count("done") <= 1
            assert all(said == "done" or is_refused(said) for said in opened)
            assert [one.ask("close"), two.ask("close")] == ["done", "done"]


EACH_WAY = """
    import os, subprocess, sys
    from antq_actors import AntQ, maintenance
    from antq_actors.errors import StorageError
    path, target = sys.argv[1], sys.argv[2]
    def here(name, open_it):
        try:
            open_it()
        except StorageError as error:
            print(f"{name}: {error}", flush=True)
        else:
            print(f"{name}: opened", flush=True)
    def command(*arguments):
        done = subprocess.run([sys.executable, "-m", "antq_actors", *arguments], input="",
            capture_output=True, text=True, env={**os.environ, "ANTQ_PATH": path})
        said = " ".join(done.stderr.split()) if done.returncode else "opened"
        print(f"antq {arguments[0]}: {said}", flush=True)
    here("start", AntQ(path).start)
    here("start(queues=False)", lambda: AntQ(path).start(queues=False))
    here("start_queues=False", AntQ(path, start_queues=False).start)
    here("verify", lambda: maintenance.verify(path))
    here("backup", lambda: maintenance.backup(path, target))
    for arguments in (["list"], ["count"], ["nodes"], ["show", "1"], ["cancel", "1"],
        ["retry", "1"], ["verify"], ["backup", target], ["export"], ["import"],
        ["start", "its_app:app"]):
        command(*arguments)
    print("end", flush=True)
"""
ALONE = """
    import sys
    from antq_actors import maintenance
    from antq_actors.errors import StorageError
    for name in ("compact", "migrate", "reseal"):
        try:
            getattr(maintenance, name)(sys.argv[1])
        except StorageError as error:
            print(error, flush=True)
"""


@needs_namespaces
def test_each_way_to_open_a_store_is_refused_in_another_namespace(tmp_path):
    (tmp_path / "its_app.py").write_text("from antq_actors import AntQ\napp = AntQ('store')\n")
    with AntQ(tmp_path / "store") as app:
        done = in_another_namespace(EACH_WAY, tmp_path, app.path, tmp_path / "target")

    *ways, end = done.stdout.splitlines()
    assert end == "end", done.stderr
    assert len(ways) == 16
    assert [way for way in ways if not is_refused(way)] == []
    assert not (tmp_path / "target").exists()


@needs_namespaces
def test_what_needs_the_store_alone_is_refused_as_in_one_namespace(tmp_path):
    with AntQ(tmp_path / "store") as app:
        done = in_another_namespace(ALONE, tmp_path, app.path)

    assert done.stdout.count("this needs it alone: stop the applications that use it") == 3


def in_another_namespace(code, directory, *arguments, within=UNSHARE):
    return subprocess.run(  # noqa: S603 - this test's own code
        [*within, sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )


@needs_namespaces
def test_a_fork_into_a_new_namespace_is_refused_its_parents_store(tmp_path):
    code = """
        import os, sys
        from antq_actors import AntQ
        from antq_actors.errors import StorageError
        app = AntQ(sys.argv[1]).start(queues=False)
        os.unshare(os.CLONE_NEWPID) if hasattr(os, "unshare") else __import__("ctypes").CDLL(
            None).unshare(0x20000000)
        if os.fork() == 0:
            try:
                AntQ(sys.argv[1]).start(queues=False)
            except StorageError as error:
                print(os.getpid(), error, flush=True)
            os._exit(0)
        os.wait()
        print(app.count_workers(), flush=True)
        app.stop()
    """
    done = in_another_namespace(code, tmp_path, tmp_path / "store", within=())

    refused, count = done.stdout.splitlines()
    assert refused.startswith("1 ")
    assert is_refused(refused)
    assert count == "0"


# ---- systems on which LMDB cannot be shared ---------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "can"),
    [("linux", True), ("win32", True), ("darwin", False), ("freebsd14", False), ("sunos5", False)],
)
def test_stores_are_shared_where_lmdb_outlives_a_killed_writer(platform, can):
    assert store_lock.can_be_shared(platform) is can


@pytest.fixture
def on_a_mac(monkeypatch):
    """Decide as on a Mac; the locks themselves are those of this system."""
    monkeypatch.setattr(store_lock.sys, "platform", "darwin")


ON_A_MAC = OPENER.replace("app = AntQ", 'sys.platform = "darwin"\n    app = AntQ')


def test_on_a_mac_a_second_process_is_refused_until_the_first_has_closed(tmp_path):
    with (
        Opener(tmp_path / "store", within=(), code=ON_A_MAC) as one,
        Opener(tmp_path / "store", within=(), code=ON_A_MAC) as two,
    ):
        for first, second in [(one, two), (two, one)]:
            assert first.ask("work") == "done"
            said = second.ask("open")
            assert "on darwin one at a time may" in said
            assert "in one process" in said
            assert first.ask("close") == "done"
        assert one.ask("work") == "done"
        one.kill()
        assert two.ask("work") == "done"


def test_on_a_mac_one_process_opens_and_migrates_and_closes_as_elsewhere(tmp_path, on_a_mac):
    env = open_environment(tmp_path)
    assert not env.is_shared
    assert env.lock.take_exclusively()
    env.lock.share()
    with pytest.raises(StorageError, match="on darwin one at a time"):
        StoreLock(tmp_path)
    env.close()

    assert open_stores.opened(tmp_path) is None
    open_environment(tmp_path).close()
