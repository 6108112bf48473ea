"""The processes of a queue: how many there are, when they are replaced, and what replaces them."""

import os
import signal
import sys
import threading

import psutil
import pytest
from apps import until
from plays import processes, worker_actors

from antq_actors import AntQ, QueueConfig, Status
from antq_actors.otp import (
    Killed,
    exit,  # noqa: A004 - OTP's name
)


def alive():
    return sorted(process.pid for process in processes())


def test_processes_are_started_with_the_queue_that_names_them_no_more_than_cores(crew):
    crew.start(concurrency=100)

    until(lambda: len(alive()) == os.cpu_count(), "a process for each core")


def test_processes_are_started_with_the_first_job_where_only_its_worker_names_them(crew):
    crew.app = AntQ(queues={"default": QueueConfig(3)}).start()
    assert alive() == []

    crew.pid()

    assert 0 < len(alive()) <= 3


def test_a_process_is_used_again(crew):
    crew.start()

    assert len({crew.pid() for _ in range(5)}) == 1


def test_a_process_is_replaced_after_max_jobs(crew):
    crew.start(max_jobs=2)

    pids = [crew.pid() for _ in range(6)]

    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4] == pids[5]
    until(lambda: len(alive()) == 1, "the end of the others")


def test_a_process_is_replaced_above_max_memory(crew):
    crew.start(max_memory=100_000_000)
    first = crew.pid()
    crew.does("take_memory")
    assert crew.number("pid") == first

    assert crew.pid() != first


def test_a_replacement_is_started_before_there_is_a_job_for_it(crew):
    crew.start()
    first = crew.pid()

    crew.does("leave")

    until(lambda: crew.pids() and crew.pids() != [first], "another process")


def has_ended(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_process_that_dies_idle_is_replaced_and_no_job_pays(crew):
    crew.start(concurrency=2)
    for _ in range(10):
        until(lambda: len(crew.pids()) == 2, "two processes")
        for pid, number in zip(crew.pids(), (signal.SIGKILL, signal.SIGTERM), strict=True):
            os.kill(pid, number)
            until(lambda pid=pid: has_ended(pid), "its end")
        jobs = [crew.job("nothing") for _ in range(2)]
        for job in jobs:
            ended = crew.ended(job)
            assert (ended.status, ended.errors) == (Status.COMPLETED, ())


def test_never_more_processes_than_slots_and_those_too_many_end(crew):
    crew.start(concurrency=1)
    crew.app.queue("default").set_concurrency(6)
    jobs = [crew.job("end_when_requested") for _ in range(6)]
    until(lambda: crew.health().running == 6, "six jobs")
    until(lambda: len(crew.pids()) == 6, "six processes")

    crew.app.queue("default").set_concurrency(2)
    for job in jobs:
        crew.app.cancel_worker(job)
    for job in jobs:
        crew.ended(job)

    until(lambda: len(crew.pids()) == 2, "two processes")
    until(lambda: len(alive()) == 2, "the end of the others")
    crew.app.queue("default").set_concurrency(3)
    jobs = [crew.job("end_when_requested") for _ in range(3)]
    until(lambda: crew.health().running == 3, "three jobs")
    until(lambda: len(alive()) == 3, "three processes")


def test_the_health_names_the_processes(crew):
    crew.start()
    pid = crew.pid()

    assert crew.health() == ("process", 0, f"1 processes ({pid})")


# ---- kills of its actors ------------------------------------------------------------------------


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
@pytest.mark.parametrize("who", ["slot", "pool", "slots", "all"])
def test_a_killed_actor_comes_back_with_a_new_process_and_the_old_one_ends(crew, who, busy):
    crew.start()
    old = crew.pid()
    if busy:
        job = crew.job("be_deaf", max_attempts=2)
        crew.begun("be_deaf")
        (crew.place / "begun be_deaf").unlink()
    actor = {
        "slot": lambda: crew.slots()[0],
        "pool": lambda: crew.executor("pool"),
        "slots": lambda: crew.executor("slots"),
        "all": crew.executor,
    }[who]()

    exit(actor, Killed())

    until(lambda: old not in alive(), "the end of the old process")
    if busy:
        crew.begun("be_deaf")
        crew.app.cancel_worker(job)
        assert crew.ended(job).interruptions == 1
    assert crew.pid() != old
    until(lambda: len(alive()) == 1, "one process")


def test_slots_killed_again_and_again_leave_no_process_and_lose_no_job(crew):
    crew.start(concurrency=2, app={"max_interruptions": 1000})
    jobs = [crew.job("nothing") for _ in range(300)]

    for _ in range(30):
        for slot in crew_slots(crew):
            exit(slot, Killed())
        if crew.app.count_workers(status=Status.COMPLETED) == 300:
            break

    for job in jobs:
        ended = crew.ended(job)
        assert (ended.status, ended.attempts) == (Status.COMPLETED, 1)
    until(lambda: len(alive()) <= 2, "the end of the others")
    until(lambda: len([t for t in threading.enumerate() if "antq-stderr" in t.name]) == 1, "one")


def crew_slots(crew):
    try:
        return crew.slots()[:1]
    except Exception:  # noqa: BLE001 - its supervisor is being restarted
        return []


def test_a_process_lives_as_long_as_its_slot_and_not_only_as_some_thread(crew):
    crew.start()
    crew.pid()
    exit(crew.slots()[0], Killed())
    pid = until(lambda: crew.pids() and crew.pid(), "another process")

    for thread in [t for t in threading.enumerate() if t.name == "otp-service-idle"]:
        thread.join(0.01)  # they end when they are idle for long; none of them is its slot's

    assert psutil.Process(pid).is_running()
    slot = next(t for t in threading.enumerate() if t.name.startswith("SlotActor"))
    assert slot.is_alive()


# ---- no process to be had -----------------------------------------------------------------------


@pytest.fixture
def waiting(crew, monkeypatch):
    """A job that waits for a process, of which the system has none to give for now."""
    monkeypatch.setattr(sys, "executable", str(crew.place / "no such program"))
    crew.start()
    job = crew.job("nothing")
    until(lambda: crew.health().running == 1, "its beginning")
    return job


def test_a_job_that_waits_for_a_process_ends_at_once_when_it_is_cancelled(crew, waiting, caplog):
    crew.app.cancel_worker(waiting)

    assert crew.ended(waiting).status is Status.CANCELLED
    assert "is abandoned" not in caplog.text
    assert crew.health().running == 0


def test_a_job_whose_worker_actor_is_killed_waits_for_no_process_any_more(crew, waiting):
    exit(worker_actors(crew.app)[0], Killed())

    assert crew.ended(waiting).status is Status.FAILED
    assert crew.health().running == 0


def test_a_job_that_waits_for_a_process_is_performed_when_there_is_one(crew, waiting, monkeypatch):
    monkeypatch.undo()

    assert crew.ended(waiting).status is Status.COMPLETED
