"""A job that eats memory until the kernel kills its process: it is failed, and no other is."""

import os
import signal
from pathlib import Path

import pytest
from obedient import noted
from support.apps import until

from antq_actors import Status

LIMIT = 256 * 2**20
ROOT = Path("/sys/fs/cgroup")
NAME = f"antq-test-{os.getpid()}"


@pytest.fixture
def cage():
    """A control group whose processes have little memory; answers what puts a process into it."""
    directory = a_memory_group()
    yield lambda pid: (directory / "cgroup.procs").write_text(str(pid))
    until(lambda: not (directory / "cgroup.procs").read_text(), "the end of the killed")
    directory.rmdir()


def a_memory_group():
    # Version 1 has a tree for memory alone; in version 2 the root has to pass the memory on.
    for parent, limits in (
        (ROOT / "memory", {"memory.limit_in_bytes": LIMIT}),
        (ROOT, {"memory.max": LIMIT, "memory.swap.max": 0}),
    ):
        directory = parent / NAME
        try:
            directory.mkdir()
        except OSError:
            continue
        try:
            for file, limit in limits.items():
                (directory / file).write_text(str(limit))
        except OSError:
            directory.rmdir()
            continue
        return directory
    return pytest.skip("no memory control group can be made here")


def test_a_job_that_gets_its_process_killed_is_failed_at_last_and_all_others_complete(
    cage, a_node, tmp_path
):
    store, journal = tmp_path / "store", tmp_path / "journal"
    keeper = a_node(store, queues={"default": 4}, max_interruptions=3)
    victim = a_node(store, queues={"default": 2, "risky": 1})
    ids = victim.enqueue(count=20, journal=str(journal))
    (glutton,) = victim.enqueue("Glutton", queue="risky", journal=str(journal), cage=NAME)

    for death in (1, 2, 3):
        cage(victim.process.pid)
        assert victim.process.wait(60) == -signal.SIGKILL
        until(lambda death=death: interruptions(keeper, glutton) == death, "the rescue")
        ids += keeper.enqueue(count=20, journal=str(journal))
        if death < 3:
            victim = a_node(store, queues={"default": 2, "risky": 1})

    until(lambda: keeper.count(Status.COMPLETED) == len(ids), "the end of all others")
    jobs = {id_: (status, attempts, cut) for id_, status, attempts, cut in keeper.jobs()}
    assert jobs.pop(glutton) == (Status.FAILED, 0, 3)
    assert sorted(jobs) == sorted(ids)
    assert noted(journal, "begin").count(glutton) == 3
    assert set(noted(journal, "end")) == set(ids)


def interruptions(node, id_):
    return next(cut for job, _, _, cut in node.jobs() if job == id_)
