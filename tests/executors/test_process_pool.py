"""The processes of a queue: how many there are, when they are replaced, and what replaces them."""

import os
import signal
import sys
import threading

import psutil
import pytest
from executor_harness import processes, worker_actors
from support.apps import until
from support.programs import is_alive
from support.trees import kill

from antq_actors import AntQ, QueueConfig, Status


def alive():
    return sorted(process.pid for process in processes())


def test_processes_are_started_with_the_queue_that_names_them_no_more_than_cores(pool):
    pool.start(concurrency=100)

    until(lambda: len(alive()) == os.cpu_count(), "a process for each core")


def test_processes_are_started_with_the_first_job_where_only_its_worker_names_them(pool):
    pool.app = AntQ(queues={"default": QueueConfig(3)}).start()
    assert alive() == []

    pool.pid()

    assert 0 < len(alive()) <= 3


def test_a_process_is_used_again(pool):
    pool.start()

    assert len({pool.pid() for _ in range(5)}) == 1


def test_a_process_is_replaced_after_max_jobs(pool):
    pool.start(max_jobs=2)

    pids = [pool.pid() for _ in range(6)]

    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4] == pids[5]
    until(lambda: len(alive()) == 1, "the end of the others")


def test_a_process_is_replaced_above_max_memory(pool):
    pool.start(max_memory=100_000_000)
    first = pool.pid()
    pool.does("take_memory")
    assert pool.number("pid") == first

    assert pool.pid() != first


def test_a_replacement_is_started_before_there_is_a_job_for_it(pool):
    pool.start()
    first = pool.pid()

    pool.does("leave")

    until(lambda: pool.pids() and pool.pids() != [first], "another process")


def test_a_process_that_dies_idle_is_replaced_and_no_job_pays(pool):
    pool.start(concurrency=2)
    for _ in range(10):
        until(lambda: len(pool.pids()) == 2, "two processes")
        for pid, number in zip(pool.pids(), (signal.SIGKILL, signal.SIGTERM), strict=True):
            os.kill(pid, number)
            until(lambda pid=pid: not is_alive(pid), "its end")
        jobs = [pool.job("nothing") for _ in range(2)]
        for job in jobs:
            ended = pool.ended(job)
            assert (ended.status, ended.errors) == (Status.COMPLETED, ())


def test_never_more_processes_than_slots_and_those_too_many_end(pool):
    pool.start(concurrency=1)
    pool.app.queue("default").set_concurrency(6)
    jobs = [pool.job("end_when_requested") for _ in range(6)]
    until(lambda: pool.health().running == 6, "six jobs")
    until(lambda: len(pool.pids()) == 6, "six processes")

    pool.app.queue("default").set_concurrency(2)
    for job in jobs:
        pool.app.cancel_worker(job)
    for job in jobs:
        pool.ended(job)

    until(lambda: len(pool.pids()) == 2, "two processes")
    until(lambda: len(alive()) == 2, "the end of the others")
    pool.app.queue("default").set_concurrency(3)
    jobs = [pool.job("end_when_requested") for _ in range(3)]
    until(lambda: pool.health().running == 3, "three jobs")
    until(lambda: len(alive()) == 3, "three processes")


def test_the_health_names_the_processes(pool):
    pool.start()
    pid = pool.pid()

    assert pool.health() == ("process", 0, f"1 processes ({pid})")


# ---- kills of its actors ------------------------------------------------------------------------


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
@pytest.mark.parametrize("who", ["slot", "pool", "slots", "all"])
def test_a_killed_actor_comes_back_with_a_new_process_and_the_old_one_ends(pool, who, busy):
    pool.start()
    old = pool.pid()
    if busy:
        job = pool.job("be_deaf", max_attempts=2)
        pool.begun("be_deaf")
        (pool.place / "begun be_deaf").unlink()
    actor = {
        "slot": lambda: pool.slots()[0],
        "pool": lambda: pool.executor("pool"),
        "slots": lambda: pool.executor("slots"),
        "all": pool.executor,
    }[who]()

    kill(actor)

    until(lambda: old not in alive(), "the end of the old process")
    if busy:
        pool.begun("be_deaf")
        pool.app.cancel_worker(job)
        assert pool.ended(job).interruptions == 1
    assert pool.pid() != old
    until(lambda: len(alive()) == 1, "one process")


def test_slots_killed_again_and_again_leave_no_process_and_lose_no_job(pool):
    pool.start(concurrency=2, app={"max_interruptions": 1000})
    jobs = [pool.job("nothing") for _ in range(300)]

    for _ in range(30):
        for slot in crew_slots(pool):
            kill(slot)
        if pool.app.count_workers(status=Status.COMPLETED) == 300:
            break

    for job in jobs:
        ended = pool.ended(job)
        assert (ended.status, ended.attempts) == (Status.COMPLETED, 1)
    until(lambda: len(alive()) <= 2, "the end of the others")
    until(lambda: len([t for t in threading.enumerate() if "antq-stderr" in t.name]) == 1, "one")


def crew_slots(pool):
    try:
        return pool.slots()[:1]
    except Exception:  # noqa: BLE001 - its supervisor is being restarted
        return []


def test_a_process_lives_as_long_as_its_slot_and_not_only_as_some_thread(pool):
    pool.start()
    pool.pid()
    kill(pool.slots()[0])
    pid = until(lambda: pool.pids() and pool.pid(), "another process")

    for thread in [t for t in threading.enumerate() if t.name == "otp-service-idle"]:
        thread.join(0.01)  # they end when they are idle for long; none of them is its slot's

    assert psutil.Process(pid).is_running()
    slot = next(t for t in threading.enumerate() if t.name.startswith("SlotActor"))
    assert slot.is_alive()


# ---- no process to be had -----------------------------------------------------------------------


@pytest.fixture
def waiting(pool, monkeypatch):
    """A job that waits for a process, of which the system has none to give for now."""
    monkeypatch.setattr(sys, "executable", str(pool.place / "no such program"))
    pool.start()
    job = pool.job("nothing")
    until(lambda: pool.health().running == 1, "its beginning")
    return job


def test_a_job_that_waits_for_a_process_ends_at_once_when_it_is_cancelled(pool, waiting, caplog):
    pool.app.cancel_worker(waiting)

    assert pool.ended(waiting).status is Status.CANCELLED
    assert "is abandoned" not in caplog.text
    assert pool.health().running == 0


def test_a_job_whose_worker_actor_is_killed_waits_for_no_process_any_more(pool, waiting):
    kill(worker_actors(pool.app)[0])

    assert pool.ended(waiting).status is Status.FAILED
    assert pool.health().running == 0


def test_a_job_that_waits_for_a_process_is_performed_when_there_is_one(pool, waiting, monkeypatch):
    monkeypatch.undo()

    assert pool.ended(waiting).status is Status.COMPLETED
