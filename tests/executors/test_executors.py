"""What every executor promises: whatever becomes of a job, wherever it is performed."""

import gc
import logging
import os
import threading
from collections import Counter
from contextlib import suppress

import psutil
import pytest
import recording_workers
from executor_harness import ACTORS, EXECUTORS, processes
from support.apps import settled, until
from support.exact import EACH_CODE
from support.garbage import uncollected
from support.trees import kill

from antq_actors import NotCancellable, Status, Worker
from antq_actors.executors.process import os_process
from antq_actors.jobs import worker_registry
from antq_actors.otp import orphans


def returned_class(name):
    return f"perform returned the class {name} and no instance of it; write: return {name}(reason)"


def test_arguments_are_of_the_types_that_were_given_also_those_that_a_job_enqueues(harness):
    app = harness.start()
    again = harness.kind != "ray"  # its application is not hosted, so its jobs enqueue nothing

    harness.enqueue("a", "compare kinds", args={"kinds": EACH_CODE, "again": again}, max_attempts=1)

    assert settled(app, app.get_job(1)).errors == ()
    if again:
        assert settled(app, app.get_job(2)).errors == ()


# ---- outcomes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "status", "error"),
    [
        ("return", Status.COMPLETED, None),
        ("value", Status.COMPLETED, None),
        ("raise", Status.FAILED, "no such lead"),
        ("raise nothing", Status.FAILED, "ValueError"),
        ("exit", Status.FAILED, "enough"),
        ("interrupt", Status.FAILED, "KeyboardInterrupt"),
        ("cancelled", Status.FAILED, "CancelledError"),
        ("base", Status.FAILED, "anything"),
        ("unprintable", Status.FAILED, "Unprintable"),
        ("fail", Status.FAILED, "not today"),
        ("fail class", Status.FAILED, returned_class("Fail")),
        ("cancel class", Status.FAILED, returned_class("Cancel")),
        ("cancel", Status.CANCELLED, "not wanted"),
        ("snooze", Status.SCHEDULED, None),
    ],
)
def test_a_job_ends_as_its_perform_does_and_its_neighbour_does_not_notice(
    harness, end, status, error
):
    app = harness.start()
    neighbour = harness.enqueue("b", waits=True)
    harness.begun()

    job = harness.enqueue("a", end, max_attempts=1)

    ended = settled(app, job, status)
    assert [entry.error for entry in ended.errors] == ([] if error is None else [error])
    assert (ended.attempts, ended.interruptions) == (0 if end == "snooze" else 1, 0)
    harness.cue("b")
    assert settled(app, neighbour).errors == ()


def test_a_failure_has_the_stack_trace_of_the_place_where_it_was_raised(harness):
    app = harness.start()

    (entry,) = settled(app, harness.enqueue("a", "raise", max_attempts=1)).errors

    assert entry.stack_trace.startswith("Traceback")
    assert "in raises" in entry.stack_trace
    assert f"{os.sep}antq_actors{os.sep}" not in entry.stack_trace
    assert entry.stack_trace.splitlines()[1].endswith(", in perform")
    assert (entry.error, entry.error_type) == ("no such lead", "ValueError")


def test_the_record_of_a_failure_has_its_exception_and_says_of_which_attempt(harness, caplog):
    app = harness.start()

    job = settled(app, harness.enqueue("a", "raise", max_attempts=1))

    if harness.adapter.logs_here:
        (record,) = [each for each in caplog.records if each.name == "antq_actors.jobs"]
        assert record.getMessage().endswith(": ValueError: no such lead")
        assert (record.exc_info[0], str(record.exc_info[1])) == (ValueError, "no such lead")
        assert "in raises" in logging.Formatter().format(record)
        assert (record.job_id, record.worker) == (job.id, job.worker)
        assert (record.queue, record.attempt) == ("default", 1)


@pytest.mark.parametrize("max_attempts", [1, 2])
def test_what_an_attempt_changes_in_its_context_is_not_seen_by_the_next(harness, max_attempts):
    app = harness.start(concurrency=1)

    changed = harness.enqueue("a", "change context", delay=3600, max_attempts=max_attempts)
    settled(app, changed, Status.COMPLETED, Status.RETRYING)

    (entry,) = settled(app, harness.enqueue("b", "look at context", max_attempts=1)).errors
    assert entry.error == "nobody has 1.414213562373095048801688724"
    asked = [("asks as alice", "a")] if max_attempts > 1 else []  # it is part of the attempt
    assert [note[:2] for note in harness.notes("asks as alice", "asks as nobody")] == asked


def test_what_a_log_filter_changes_is_not_seen_by_the_next_attempt(harness):
    def bill(record):
        return recording_workers.tenant.set("bill")

    app = harness.start(concurrency=1)
    log = logging.getLogger("antq_actors.jobs")
    log.addFilter(bill)
    try:
        settled(app, harness.enqueue("a", "raise", max_attempts=1))
        settled(app, harness.enqueue("b", waits=True, timeout=0.05, max_attempts=1))
    finally:
        log.removeFilter(bill)

    (entry,) = settled(app, harness.enqueue("c", "look at context", max_attempts=1)).errors
    assert entry.error.startswith("nobody has 1.41421356")


def test_a_huge_text_of_an_exception_is_cut(harness):
    app = harness.start()

    (entry,) = settled(app, harness.enqueue("a", "huge", max_attempts=1)).errors

    assert len(entry.error) < 9_000
    assert "cut to" in entry.error


def test_arguments_that_cannot_be_read_fail_the_attempt(harness):
    app = harness.start()

    job = harness.enqueue("a", args={"odd": recording_workers.Unreadable()}, max_attempts=1)

    (entry,) = settled(app, job).errors
    assert entry.error == (
        f"the arguments of job {job.id} cannot be read: ValueError: not any more"
    )
    assert harness.notes() == []


def test_what_names_no_worker_is_refused(harness):
    app = harness.start()

    class Impostor(Worker, name="recording_workers:Unreadable"):
        def perform(self, job): ...

    app.queue("default").pause()
    job = app.enqueue(Impostor, max_attempts=5)
    worker_registry._defined.pop("recording_workers:Unreadable")
    app.queue("default").resume()

    refused = settled(app, job)
    assert (refused.status, refused.attempts) == (Status.FAILED, 1)
    assert "neither a subclass of Worker" in refused.errors[0].error


def test_arguments_of_20_megabytes_arrive(harness):
    app = harness.start()
    data = os.urandom(20_000_000)

    job = harness.enqueue("a", "length", args={"data": data, "length": len(data)})

    assert settled(app, job).errors == ()


def test_functions_are_workers_like_any_other(harness):
    app = harness.start()

    jobs = [
        app.enqueue(harness.adapter.function, {"place": str(harness.place), "number": number})
        for number in range(5)
    ]

    assert {settled(app, job).status for job in jobs} == {Status.COMPLETED}
    assert all((harness.place / f"function {number}").exists() for number in range(5))


def test_what_a_job_logs_and_reports_is_heard_here(harness, caplog):
    app = harness.start()

    job = harness.enqueue("a", "log")

    settled(app, job)
    if not harness.adapter.logs_here:
        return
    (record,) = [record for record in caplog.records if record.name == "recording_workers"]
    assert (record.levelname, record.getMessage()) == ("WARNING", f"of job {job.id}")


# ---- attempts -------------------------------------------------------------------------------


def test_a_failed_job_is_tried_again_when_its_class_says_until_it_has_no_attempt_left(harness):
    app = harness.start()

    failed = settled(app, harness.enqueue("a", "raise", max_attempts=3))

    assert (failed.status, failed.attempts) == (Status.FAILED, 3)
    assert [entry.attempt for entry in failed.errors] == [3, 2, 1]
    assert harness.times("a") == 3
    assert len(harness.notes("asks after no such lead")) == 2  # not after the last


def test_an_attempt_sees_the_newest_errors_and_the_first(harness):
    app = harness.start()

    failed = settled(app, harness.enqueue("a", "tell errors", max_attempts=30))

    # In the attempt with this number, before its error, and with it when the delay is asked for.
    seen = {
        1: ("sees 0 of 0: ", "has 1 of 1: error 1, error 1"),
        2: ("sees 1 of 1: error 1, error 1", "has 2 of 2: error 2, error 1"),
        26: ("sees 25 of 25: error 25, error 1", "has 25 of 26: error 26, error 1"),
        29: ("sees 25 of 28: error 28, error 1", "has 25 of 29: error 29, error 1"),
    }
    for notes in seen.values():
        assert [len(harness.notes(each)) for each in notes] == [1, 1]
    assert [error.error for error in failed.errors][:2] == ["error 30", "error 29"]
    assert (failed.error_count, len(failed.errors)) == (30, 25)


def test_the_next_attempt_is_due_when_calculate_delay_says(harness):
    app = harness.start()

    retrying = settled(
        app, harness.enqueue("a", "raise", max_attempts=2, delay=3600.0), Status.RETRYING
    )

    wait = retrying.scheduled_at - retrying.updated_at
    assert wait.total_seconds() == pytest.approx(3600, abs=1)


def test_a_job_that_takes_too_long_is_ended_and_tried_again(harness, monkeypatch):
    # A busy machine may not have it ask for its delay in less.
    monkeypatch.setattr(os_process, "TERM_GRACE_SECONDS", 30.0)
    app = harness.start(concurrency=1)
    job = harness.enqueue("a", waits=True, timeout=2, max_attempts=2)

    harness.begun()
    following = harness.enqueue("b")
    harness.begun(2)  # each other's order is up to the delay

    failed = settled(app, job)
    timed_out = ("timed out after 2 s", "TimeoutError")
    assert [(e.error, e.error_type) for e in failed.errors] == [timed_out] * 2
    for entry in failed.errors if harness.adapter.tells_its_place else []:
        assert "in perform" in entry.stack_trace
        assert "jobs/perform.py" not in entry.stack_trace
        assert entry.stack_trace.endswith("\nTimeoutError: timed out after 2 s\n")
    assert len(harness.notes("asks after timed out after 2 s")) == 1
    assert settled(app, following).status is Status.COMPLETED
    if harness.adapter.notes_its_end:
        assert harness.most_at_once() == 1


def test_a_job_that_ends_in_time_is_not_interrupted_later(harness):
    app = harness.start(concurrency=1)

    for number in range(20):
        job = harness.enqueue(number, timeout=60.0)
        assert settled(app, job).errors == ()


# ---- cancelling -----------------------------------------------------------------------------


def test_a_running_job_that_is_cancelled_ends_soon_and_is_cancelled_once(harness):
    app = harness.start(concurrency=1)
    job = harness.enqueue("a", waits=True, max_attempts=5)
    harness.begun()

    app.cancel_worker(job)
    app.cancel_worker(job)

    cancelled = settled(app, job)
    assert cancelled.status is Status.CANCELLED
    assert [entry.error for entry in cancelled.errors] == ["cancelled while it was running"]
    assert app.cancel_worker(job) == cancelled
    assert settled(app, harness.enqueue("b")).errors == ()
    assert harness.times("a") == 1


def test_a_cancelled_job_that_raises_something_else_is_cancelled_all_the_same(harness):
    app = harness.start(concurrency=1)
    if harness.kind == "async":
        pytest.skip("it would block its loop")
    job = harness.app.enqueue(
        recording_workers.Swallowing, {"place": str(harness.place), "label": "a"}, max_attempts=5
    )
    harness.begun()

    app.cancel_worker(job)

    assert settled(app, job).status is Status.CANCELLED
    assert harness.times("a") == 1


def test_a_job_that_completes_as_it_is_cancelled_is_one_of_both_and_harms_nobody(harness):
    app = harness.start(concurrency=2)
    jobs, bystanders = [], []

    for number in range(60):
        job = harness.enqueue(f"a{number}", max_attempts=1)
        bystanders.append(harness.enqueue(f"b{number}", max_attempts=1))
        with suppress(NotCancellable):
            app.cancel_worker(job)
        jobs.append(job)

    for job in jobs:
        assert settled(app, job).status in {Status.CANCELLED, Status.COMPLETED}
    for job in bystanders:
        ended = settled(app, job)
        assert (ended.status, ended.errors, ended.interruptions) == (Status.COMPLETED, (), 0)


# ---- ends of others -------------------------------------------------------------------------


def test_a_stop_gives_running_jobs_back_and_nothing_counts(harness, tmp_path):
    app = harness.start(tmp_path / "store")
    jobs = [harness.enqueue("a", waits=True), harness.enqueue("b", waits=True)]
    harness.begun(2)

    app.stop(timeout=0)

    assert not processes()
    harness.start(tmp_path / "store")
    assert sorted(harness.begun(2)) == ["a", "b"]
    harness.cue("a", "b")
    for job in jobs:
        ended = settled(harness.app, job)
        assert (ended.status, ended.attempts, ended.interruptions) == (Status.COMPLETED, 1, 0)
        assert ended.errors == ()


def test_a_killed_worker_actor_is_a_failed_attempt_and_frees_its_slot(harness):
    app = harness.start(concurrency=1)
    job = harness.enqueue("a", waits=True, max_attempts=1)
    harness.begun()
    following = harness.enqueue("b")

    kill(harness.worker_actors()[0])

    failed = settled(app, job)
    assert failed.status is Status.FAILED
    assert [entry.error for entry in failed.errors] == ["worker actor was killed"]
    assert settled(app, following).status is Status.COMPLETED
    harness.cue("a")


def test_a_killed_queue_actor_interrupts_its_jobs_which_run_again(harness):
    app = harness.start()
    jobs = [harness.enqueue("a", waits=True), harness.enqueue("b", waits=True)]
    harness.begun(2)

    kill(app.queue("default").ref)

    harness.begun(2)
    harness.cue("a", "b")
    for job in jobs:
        ended = settled(app, job)
        assert (ended.status, ended.attempts, ended.interruptions) == (Status.COMPLETED, 1, 1)


@pytest.mark.parametrize(("kind", "path"), ACTORS)
def test_jobs_of_a_killed_actor_of_the_executor_are_interrupted_and_run_again(harness, path):
    app = harness.start(concurrency=1)
    job = harness.enqueue("a", waits=True, max_attempts=1)
    harness.begun()

    kill(harness.actor(*path))

    harness.begun()
    harness.cue("a")
    ended = settled(app, job)
    assert (ended.status, ended.attempts, ended.interruptions) == (Status.COMPLETED, 1, 1)
    assert [entry.error.split(":")[0] for entry in ended.errors] == ["interrupted"]


@pytest.mark.parametrize(("kind", "path"), ACTORS)
def test_no_job_is_lost_when_an_actor_of_the_executor_is_killed_under_load(harness, path):
    app = harness.start(concurrency=4, app={"max_interruptions": 100})
    jobs = app.enqueue_many(harness.adapter.nothing, [{}] * 1_000)

    for share in (100, 300):
        until(lambda share=share: app.count_workers(status=Status.COMPLETED) >= share, "the load")
        kill(harness.actor(*path))

    until(lambda: app.count_workers(status=Status.COMPLETED) == len(jobs), "the end of all")


# ---- how many at once -------------------------------------------------------------------------


def test_no_more_jobs_run_at_once_than_the_concurrency(harness):
    app = harness.start(concurrency=3)
    jobs = [harness.enqueue(number, waits=number < 3) for number in range(40)]
    harness.begun(3)

    harness.cue(0, 1, 2)

    for job in jobs:
        settled(app, job)
    assert harness.most_at_once() == 3
    assert len(harness.notes("begun")) == 40


def test_more_slots_are_filled_at_once_and_fewer_hold_for_those_to_come(harness):
    app = harness.start(concurrency=1)
    jobs = [harness.enqueue(number, waits=True) for number in range(10)]
    harness.begun(1)

    app.queue("default").set_concurrency(4)
    harness.begun(3)
    app.queue("default").set_concurrency(2)
    harness.cue(0, 1)
    settled(app, jobs[0])
    settled(app, jobs[1])
    status = app.queue("default").status()

    assert len(status.running) == 2
    assert harness.times(4) == 0
    harness.cue(*range(10))
    for job in jobs:
        assert settled(app, job).errors == ()
    assert harness.most_at_once() == 4


# ---- leaks ------------------------------------------------------------------------------------


def things():
    """What a process may lose: threads that are not kept for reuse, processes, open files."""
    me = psutil.Process()
    threads = [t.name for t in threading.enumerate() if not t.name.startswith("otp-service")]
    return sorted(threads), len(processes()), me.num_fds()


def test_ten_thousand_jobs_leave_no_thread_no_process_and_no_file_behind(harness):
    app = harness.start(concurrency=4)
    harness.app.enqueue_many(harness.adapter.nothing, [{}] * 100)
    until(lambda: app.count_workers(status=Status.COMPLETED) == 100, "the first")
    until(lambda: idle(app), "the rest")
    before = things()

    app.enqueue_many(harness.adapter.nothing, ({"n": n} for n in range(10_000)))

    for share in range(1_100, 10_101, 1_000):
        until(lambda n=share: app.count_workers(status=Status.COMPLETED) >= n, f"{share} of them")
    until(lambda: things() == before, f"{before}, and not {things()}")
    assert orphans() == []


def idle(app):
    return all(health.running == 0 for health in app.queue("default").status().executors)


def test_ended_jobs_are_no_work_for_the_garbage_collector(harness):
    app = harness.start(concurrency=4)
    app.enqueue_many(harness.adapter.nothing, [{}] * 20)
    until(lambda: app.count_workers(status=Status.COMPLETED) == 20, "the first")
    gc.collect()

    with uncollected() as found:
        app.enqueue_many(harness.adapter.nothing, [{}] * 200)
        until(lambda: app.count_workers(status=Status.COMPLETED) == 220, "the others")
        until(lambda: idle(app), "the rest")

    kinds = Counter(type(thing).__qualname__ for thing in found)
    assert [(kind, count) for kind, count in kinds.items() if count >= 100] == []


# ---- workers of a script --------------------------------------------------------------------


@pytest.mark.usefixtures("at_hand")
@pytest.mark.parametrize("kind", EXECUTORS)
def test_workers_and_arguments_of_a_script_are_performed(kind, program):
    script = program("script.py", kind)

    code, out, err = script.end()

    assert (code, out.split()) == (0, ["completed"] * 4), err


def test_workers_by_value_do_not_take_each_others_names_in_a_process(program):
    code, out, err = program("namesakes.py").end()

    assert (code, out.split(), err) == (0, ["completed"] * 5, "")
