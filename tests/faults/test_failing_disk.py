"""A file system that fails every write from one moment on, under a running node."""

import errno
import os
import signal
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pytest
from disks import FLUSH, FLUSH_THE_LOG
from obedient import hold_jobs, journal_in, noted
from support.apps import ENDED, STORE_TIMEOUT_SECONDS, until
from support.findings import findings

from antq_actors import AntQ, Status, StorageError


@pytest.mark.parametrize("how", [FLUSH, FLUSH_THE_LOG])
def test_a_node_whose_file_system_fails_says_so_and_stops_in_time_and_the_next_goes_on(
    ext4_disk, a_node, tmp_path, how
):
    store, journal, args = ext4_disk.path / "store", tmp_path / "journal", journal_in(tmp_path)
    node, other = a_node(store), a_node(store, queues={"other": 1})
    done = node.enqueue(count=3, **args)
    until(lambda: node.count(Status.COMPLETED) == 3, "the end of the first jobs")
    held, let_go = hold_jobs(node, tmp_path)
    waiting = node.enqueue(count=5, **args)

    ext4_disk.shut_down(how)

    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(StorageError, match=os.strerror(errno.EIO)):
            node.enqueue(**args)
        assert time.monotonic() - began < STORE_TIMEOUT_SECONDS
    let_go()
    until(lambda: len(noted(journal, "end")) == 7, "the end of four jobs")
    until(lambda: node.warnings("until the store can be used"), "a warning")
    for each in (node, other):
        with suppress(StorageError):
            assert each.rescue() == 0  # it has looked at the lock of the other node
    assert node.count() == len(done + held + waiting)

    for each in (node, other):
        assert each.stop(timeout=1.0) < STORE_TIMEOUT_SECONDS
        assert each.leave() == 0
        assert each.warnings("gives up") == []
        assert each.warnings("Traceback") == []
    ext4_disk.unmount()
    ext4_disk.mount()
    total = len(done + held + waiting)
    with AntQ(store) as app:
        until(lambda: app.count_workers(status=Status.COMPLETED) == total, "the end of all jobs")
        cut = [job.id for job in app.list_workers() if job.interruptions]
    assert cut == held
    assert sorted(noted(journal, "end")) == sorted([*done, *held, *held, *waiting])
    assert findings(store) == []


def test_a_store_on_a_file_system_that_is_read_only_is_refused(ext4_disk, a_node):
    store = ext4_disk.path / "store"
    with AntQ(store, start_queues=False):
        pass
    before = (store / "data.mdb").read_bytes()
    ext4_disk.make_read_only()

    with pytest.raises(StorageError, match=r"not writable|Read-only"):
        a_node(store)

    assert (store / "data.mdb").read_bytes() == before


@contextmanager
def refusing(node):
    """Let a process write no more. It needs no privileges: files may not be that large."""
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("prlimit is Linux's")
    size = node.process.pid, resource.RLIMIT_FSIZE
    _, hard = resource.prlimit(*size)
    resource.prlimit(*size, (4096, hard))
    yield
    if node.process.poll() is None:
        resource.prlimit(*size, (hard, hard))


def test_a_node_that_may_write_no_more_goes_on_when_it_may_again(a_node, tmp_path):
    store, journal, args = tmp_path / "store", tmp_path / "journal", journal_in(tmp_path)
    node = a_node(store)
    ids = node.enqueue(count=4, seconds=0.3, **args)
    until(lambda: len(noted(journal, "begin")) == 4, "the start of four jobs")

    with refusing(node):
        with pytest.raises(StorageError, match=os.strerror(errno.EFBIG)):
            node.enqueue(**args)
        until(lambda: len(noted(journal, "end")) == 4, "the end of four jobs")
        assert node.count(Status.RUNNING) == 4

    until(lambda: node.count(*ENDED) == 4, "the end of all jobs")
    assert node.enqueue(**args) == [5]
    until(lambda: node.count(*ENDED) == 5, "the end of all jobs")
    assert sorted(noted(journal, "end")) == [*ids, 5]


def test_a_second_signal_does_not_wait_for_a_store_that_refuses(program, tmp_path):
    code = """
import logging, signal, sys, time
from antq_actors import AntQ, Worker
class Told(logging.Handler):
    def emit(self, record):
        if "outcomes, until the store can be used" in record.getMessage():
            print("refused", flush=True)
logging.getLogger("antq_actors.queues").addHandler(Told())
class Wait(Worker):
    def perform(self, job):
        while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            time.sleep(0.01)
        print("begun", flush=True)
        sys.stdin.readline()
app = AntQ(sys.argv[1])
app.start()
Wait.perform_async()
app.run()
"""
    one = program("-c", code, tmp_path / "store")
    assert one.line() == "begun"

    with refusing(one):
        one.send(signal.SIGTERM)
        one.process.stdin.write("end\n")
        one.process.stdin.flush()
        assert one.line() == "refused"
        began = time.monotonic()
        one.send(signal.SIGINT)  # the system may deliver two of a kind as one
        assert one.process.wait(60) == 0

    assert time.monotonic() - began < STORE_TIMEOUT_SECONDS


def wait_for_further_refusals(node):
    until(lambda: node.failed_restarts() == ["queue"] * 3, "three starts that fail")


def wait_until_it_refuses(node):
    until(lambda: node.warnings("restarts child 'storage'"), "its restart")
    with pytest.raises(StorageError, match=os.strerror(errno.EFBIG)):
        node.enqueue(journal="none")


def wait_until_it_answers(node):
    until(lambda: node.warnings("restarts child 'rescuer'"), "its restart")
    assert node.rescue() == 0


@pytest.mark.parametrize(
    ("victim", "wait_for_its_successor"),
    [
        (("queues", "default", "queue"), wait_for_further_refusals),
        (("storage",), wait_until_it_refuses),
        (("rescuer",), wait_until_it_answers),
    ],
    ids=["queue", "storage", "rescuer"],
)
def test_an_actor_that_is_killed_while_nothing_can_be_written_comes_back_when_it_can(
    a_node, tmp_path, victim, wait_for_its_successor
):
    store = tmp_path / "store"
    node = a_node(store)
    held, let_go = hold_jobs(node, tmp_path)
    waiting = node.enqueue(count=10, **journal_in(tmp_path))

    with refusing(node):
        node.kill_actor(*victim)
        wait_for_its_successor(node)
        let_go()

    until(lambda: node.count(Status.COMPLETED) == len(held + waiting), "the end of all jobs")
    cut = [id_ for id_, _, _, interruptions in node.jobs() if interruptions]
    assert cut == (held if "queues" in victim else [])
    node.stop()
    assert node.leave() == 0
    assert findings(store) == []


def test_other_processes_know_since_when_a_node_is_refused(a_node, tmp_path):
    store, journal, args = tmp_path / "store", tmp_path / "journal", journal_in(tmp_path)
    node = a_node(store)
    before = datetime.now(UTC)
    node.enqueue(count=4, seconds=0.3, **args)
    (waiting,) = node.enqueue(**args)
    until(lambda: len(noted(journal, "begin")) == 4, "the start of four jobs")

    with AntQ(store, start_queues=False) as app:
        with refusing(node):
            found = until(
                lambda: [r for r in app.explain(waiting).reasons if r.code == "store_refuses"],
                "the refusal",
            )
            assert before < found[0].since < datetime.now(UTC)

        until(lambda: node.count(*ENDED) == 5, "the end of all jobs")
        until(lambda: app.explain_queue("default").reasons == (), "the end of the refusal")
