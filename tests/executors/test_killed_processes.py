"""However a process of the executor ends, its job has an outcome, and nobody else notices."""

import io
import os
import signal
from contextlib import redirect_stderr
from pathlib import Path

import psutil
import pytest
from executor_harness import child, processes, worker_actors
from support.apps import LONGEST, until
from support.programs import is_alive
from support.trees import kill

from antq_actors import AntQ, Status
from antq_actors.executors.process import os_process

STUCK = ["sleep", "spin", "backtrack", "be_deaf", "be_stubborn", "stop_itself"]


@pytest.mark.parametrize("action", STUCK)
def test_a_stuck_job_is_killed_when_it_is_cancelled_and_its_slot_is_free_soon(pool, action):
    pool.start()
    job = pool.job(action)
    pool.begun(action)
    pid = pool.pids()[0]
    following = pool.job("tell_pid")

    pool.app.cancel_worker(job)  # it would be stuck for ever

    assert pool.ended(following).errors == ()
    assert pool.ended(job).status is Status.CANCELLED
    until(lambda: not psutil.pid_exists(pid), "the end of its process")


@pytest.mark.parametrize("action", STUCK)
def test_a_stuck_job_times_out_and_its_slot_is_free_soon(pool, action, monkeypatch):
    # So that the kill waits for the place, however busy the machine is.
    monkeypatch.setattr(os_process, "LOCATE_TIMEOUT_SECONDS", LONGEST)
    pool.start()

    job = pool.job(action, timeout=0.5)

    (entry,) = pool.ended(job).errors
    assert (entry.error, entry.error_type) == ("timed out after 0.5 s", "TimeoutError")
    function = "<lambda>" if action == "sleep" else action
    assert f", in {function}\n" in entry.stack_trace
    assert entry.stack_trace.splitlines()[1].endswith(", in perform")
    assert pool.pid() > 0


def test_the_kill_of_a_job_that_timed_out_waits_for_its_place(pool, monkeypatch):
    monkeypatch.setattr(os_process, "TERM_GRACE_SECONDS", 0.0)
    monkeypatch.setattr(os_process, "LOCATE_TIMEOUT_SECONDS", LONGEST)
    pool.start()
    job = pool.job("answer_late", timeout=0.5)
    status = Path(f"/proc/{pool.number('pid')}/status")

    until(lambda: "ShdPnd:\t0000000000000000" not in status.read_text(), "the question where it is")
    (pool.place / "go on").touch()

    assert ", in answer_late\n" in pool.ended(job).errors[0].stack_trace


def test_a_job_that_cannot_say_where_it_is_times_out_with_a_sentence_about_that(pool):
    pool.start()

    (entry,) = pool.ended(pool.job("block_all_signals", timeout=0.1)).errors

    assert entry.stack_trace == (
        "Where the job was is not known: its process ended before it said so.\n"
        "TimeoutError: timed out after 0.1 s\n"
    )
    assert pool.pid() > 0


def test_a_job_that_times_out_in_c_code_is_where_it_called_that(pool):
    pool.start()

    (entry,) = pool.ended(pool.job("be_in_c_code", timeout=0.5)).errors

    assert entry.stack_trace.endswith(
        "in be_in_c_code\n    sum(range(10**12))\nTimeoutError: timed out after 0.5 s\n"
    )


def test_two_hundred_stuck_jobs_in_a_row_leave_no_process_behind(pool):
    pool.start(concurrency=8)
    jobs = [pool.job(STUCK[n % len(STUCK)], timeout=0.2) for n in range(200)]

    for share in (50, 100, 150, 200):  # each needs a new process
        until(lambda n=share: pool.app.count_workers(status=Status.FAILED) >= n, f"{share} ends")

    assert {entry.error for job in jobs for entry in pool.ended(job).errors} == {
        "timed out after 0.2 s"
    }
    until(lambda: len(processes()) <= 8, "the end of those that were killed")
    until(lambda: all(is_alive(each.pid) for each in psutil.Process().children()), "no zombie")
    pool.app.stop()
    assert processes() == []


def test_a_cancelled_job_can_clean_up(pool, monkeypatch):
    # A busy machine may not run it in less.
    monkeypatch.setattr(os_process, "TERM_GRACE_SECONDS", 30.0)
    pool.start()

    job = pool.job("clean_up")
    pool.file("will clean up")

    pool.app.cancel_worker(job)

    assert pool.ended(job).status is Status.CANCELLED
    assert (pool.place / "cleaned up").exists()


@pytest.mark.parametrize(
    ("action", "error"),
    [
        ("segfault", "its process was killed by SIGSEGV"),
        ("leave", "its process exited with code 3"),
        ("be_killed", "its process was killed by SIGKILL, as the system does when memory runs out"),
        ("be_terminated", "its process was terminated by SIGTERM"),
        (
            "close_everything",
            "its process closed its pipe to the queue and went on, so it was killed",
        ),
    ],
)
def test_a_process_that_dies_is_a_failed_attempt_with_the_cause(pool, action, error):
    pool.start(concurrency=2)
    neighbour = pool.job("end_when_requested")
    pool.begun("end_when_requested")

    job = pool.does(action)

    assert (job.status, job.attempts, job.interruptions) == (Status.FAILED, 1, 0)
    assert [entry.error for entry in job.errors] == [error]
    assert pool.pid() > 0
    assert pool.app.get_worker(neighbour.id).status is Status.RUNNING


def test_what_a_dead_process_wrote_last_to_its_standard_error_is_in_the_error(pool):
    pool.start()

    assert pool.error("leave").stack_trace == (
        "what it wrote last to its standard error:\nlast words"
    )
    assert "in segfault" in pool.error("segfault").stack_trace
    assert pool.error("be_killed").stack_trace is None


def test_what_an_earlier_job_wrote_is_in_no_error(pool):
    pool.start()
    with redirect_stderr(io.StringIO()) as stderr:
        pool.does("print_much")
        until(lambda: "to stderr" in stderr.getvalue(), "what it wrote")

    assert pool.error("be_killed").stack_trace is None


def test_a_dead_process_costs_an_attempt_and_the_next_one_is_in_another(pool):
    pool.start()

    job = pool.job("leave", max_attempts=2)

    assert pool.ended(job, Status.RETRYING).attempts == 1


def test_memory_that_cannot_be_had_is_an_error_like_any_other(pool):
    pool.start()

    assert pool.error("exceed_memory").error == "MemoryError"


def test_a_terminated_job_takes_along_what_it_has_started(pool):
    pool.start()
    job = pool.job("start_a_child_and_sleep")
    pid = pool.number("child")

    pool.app.cancel_worker(job)

    until(lambda: not is_alive(pid), "the end of its child")
    assert pool.ended(job).status is Status.CANCELLED


@pytest.mark.parametrize(
    ("action", "error"),
    [("leave_a_daemon_and_die", "its process exited with code 4"), ("daemonise", None)],
)
def test_a_daemon_that_a_job_leaves_delays_nothing(pool, action, error):
    pool.start()
    pool.pid()  # so that all is open that stays open
    files = psutil.Process().num_fds()

    job = pool.does(action)

    assert [entry.error for entry in job.errors] == ([] if error is None else [error])
    daemon = pool.number("daemon")
    assert pool.pid() > 0
    assert is_alive(daemon)
    pool.app.queue("default").pause()
    until(lambda: psutil.Process().num_fds() <= files, "no file kept open for it")
    os.kill(daemon, signal.SIGKILL)


def test_a_process_that_dies_takes_along_what_it_has_started(pool):
    pool.start()

    pool.does("start_a_child_and_die")

    pid = pool.number("child")
    until(lambda: not is_alive(pid), "the end of its child")


def test_a_killed_process_is_not_missed_when_a_daemon_has_its_pipe(pool):
    pool.start()
    job = pool.job("leave_a_daemon_with_the_pipe_and_be_deaf")
    daemon = pool.number("daemon")

    pool.app.cancel_worker(job)

    assert pool.ended(job).status is Status.CANCELLED
    assert pool.pid() > 0
    assert is_alive(daemon)
    os.kill(daemon, signal.SIGKILL)


# ---- before what comes next ---------------------------------------------------------------------


@pytest.mark.parametrize("how", ["timeout", "cancel", "sigterm"])
def test_a_job_that_is_ended_is_settled_when_its_process_is_dead(pool, how):
    pool.start()
    job = pool.job("linger", timeout=1 if how == "timeout" else None)
    pid = pool.number("pid")

    if how == "cancel":
        pool.app.cancel_worker(job)
    elif how == "sigterm":
        os.kill(pid, signal.SIGTERM)

    assert pool.ended(job).status is (Status.CANCELLED if how == "cancel" else Status.FAILED)
    assert not is_alive(pid)


def test_a_job_that_a_stop_ends_is_given_back_when_its_process_is_dead(pool, tmp_path):
    pool.start(tmp_path / "store")
    job = pool.job("linger")
    pid = pool.number("pid")

    pool.app.stop(timeout=0)

    assert not is_alive(pid)
    with AntQ(tmp_path / "store", start_queues=False) as app:
        assert app.get_worker(job.id).status is Status.ENQUEUED


@pytest.mark.parametrize("limit", [{"max_jobs": 1}, {"max_memory": 1}])
def test_a_job_is_settled_when_a_process_that_is_replaced_after_it_is_dead(pool, limit):
    pool.start(**limit)

    job = pool.does("fail_and_linger")

    assert job.status is Status.FAILED
    assert not is_alive(pool.number("pid"))


def test_a_job_of_a_killed_worker_actor_fails_when_its_process_is_dead(pool):
    pool.start()
    job = pool.job("be_large_once")
    pid = pool.number("pid")

    kill(worker_actors(pool.app)[0])

    assert [entry.error for entry in pool.ended(job).errors] == ["worker actor was killed"]
    assert not is_alive(pid)


@pytest.mark.parametrize("what", ["slot", "slots", "pool", "executor", "workers", "queue"])
def test_a_job_runs_again_when_the_process_of_a_killed_actor_is_dead(pool, what):
    pool.start()
    pool.job("be_large_once")
    pool.file("pid *")
    actors = {
        "slot": lambda: pool.slots()[0],
        "slots": lambda: pool.executor("slots"),
        "pool": lambda: pool.executor("pool"),
        "executor": pool.executor,
        "workers": lambda: child(pool.app.root, "queues", "default", "workers"),
        "queue": lambda: pool.app.queue("default").ref,
    }

    kill(actors[what]())

    pool.file("[am]*")
    assert not (pool.place / "met another").exists()


def test_a_killed_worker_actor_has_its_process_killed(pool):
    pool.start()
    pool.job("be_deaf")
    pool.begun("be_deaf")
    pid = pool.pids()[0]

    kill(worker_actors(pool.app)[0])

    until(lambda: not psutil.pid_exists(pid), "the end of the process")
    assert pool.pid() != pid


# ---- the end of a program ends its processes, whatever they are at ------------------------------


@pytest.fixture
def parent(program, tmp_path):
    """A program with two jobs that take no notice of anything."""
    parent = program("busy_jobs.py", tmp_path)
    assert parent.line() == "ready"
    return parent


@pytest.fixture
def children(parent):
    children = psutil.Process(parent.process.pid).children(recursive=True)
    assert len(children) == 2
    return children


def test_a_killed_program_leaves_no_process(parent, children):
    parent.send(signal.SIGKILL)

    until(lambda: not any(is_alive(child.pid) for child in children), "the end of all")


def test_ctrl_c_ends_a_program_which_gives_its_jobs_back(parent, children, tmp_path):
    assert all(os.getsid(child.pid) == child.pid for child in children)  # not its terminal's

    parent.send(signal.SIGINT)

    code, _, err = parent.end()
    assert (code, "Traceback" in err) == (0, False), err
    with AntQ(tmp_path / "store", start_queues=False) as app:
        jobs = app.list_workers()
    assert [(job.status, job.attempts) for job in jobs] == [(Status.ENQUEUED, 0)] * 2
    until(lambda: not any(is_alive(child.pid) for child in children), "the end of all")
