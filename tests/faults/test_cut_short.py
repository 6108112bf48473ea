"""A thread that is cut short at any place loses, doubles and stops nothing of anybody else.

The figures are those of `cut_short.py`, which says what the places are.
"""

import json

import pytest

AT_LEAST = {"calls": 120, "lines": 350, "instructions": 1_500}
"""Places of an enqueue; that there are so many shows that they are found."""

LONGEST = 400.0
"""Seconds: three places that hang for a minute each, which are told, and all others."""

ENQUEUES = {
    "app/antq.py",
    "app/enqueue.py",
    "jobs/new_job.py",
    "otp/kernel/loop.py",
    "otp/kernel/mailbox.py",
    "otp/kernel/messages.py",
    "otp/messaging/calls.py",
    "storage/actor.py",
    "storage/client.py",
    "storage/format/encoding.py",
    "storage/jobs/table.py",
    "storage/jobs/writer.py",
    "storage/lmdb/environment.py",
}
"""Files in which an enqueue is cut short, wherever else."""

SERVED = ENQUEUES | {
    "otp/threads/run_queue.py",
    "queues/running_attempts.py",
    "storage/jobs/job_store.py",
    "storage/requests.py",
}
"""The same of an enqueue that serves a queue with free slots."""

WAITS = {
    "app/antq.py",
    "app/waiting.py",
    "otp/kernel/messages.py",
    "otp/messaging/calls.py",
    "storage/client.py",
}
"""The same of a wait."""

PATHS = {"enqueue": ENQUEUES, "served": SERVED, "wait": WAITS}

CLEAN = {"problems": [], "lost": [], "doubled": [], "findings": []}


def cut(program, *arguments):
    """Run a program that cuts threads short; return at how many places, and what it found."""
    status, out, errors = program("cut_short.py", *arguments).end(LONGEST)
    assert status == 0, errors
    found = json.loads(out.splitlines()[-1])
    files = found.pop("files", ())
    assert set(files) >= PATHS.get(arguments[0], set())
    return found.pop("places"), found


@pytest.mark.parametrize("thread", ["main", "plain"])
@pytest.mark.parametrize(
    ("at", "what", "store"),
    [
        ("calls", "KeyboardInterrupt", "durable"),
        ("lines", "Interrupt", "durable"),
        ("instructions", "KeyboardInterrupt", "volatile"),
        ("instructions", "TimeoutError", "volatile"),
        ("calls", "enqueue", "durable"),
        ("instructions", "enqueue", "volatile"),
    ],
)
def test_an_enqueue_that_is_cut_short_harms_nobody(program, at, what, store, thread):
    places, found = cut(program, "enqueue", at, what, store, thread)

    assert found == CLEAN
    assert places >= AT_LEAST[at]


@pytest.mark.parametrize(
    ("at", "what", "store", "thread"),
    [
        ("calls", "KeyboardInterrupt", "durable", "main"),
        ("lines", "Interrupt", "durable", "plain"),
        ("instructions", "KeyboardInterrupt", "volatile", "plain"),
        ("instructions", "TimeoutError", "volatile", "main"),
        ("lines", "enqueue", "durable", "main"),
        ("instructions", "enqueue", "volatile", "plain"),
    ],
)
def test_an_enqueue_that_serves_a_queue_and_is_cut_short_harms_nobody(
    program, at, what, store, thread
):
    places, found = cut(program, "served", at, what, store, thread)

    assert found == CLEAN
    assert places >= AT_LEAST[at]


@pytest.mark.parametrize(
    ("at", "what", "store"),
    [
        ("lines", "Interrupt", "durable"),
        ("instructions", "Interrupt", "volatile"),
        ("lines", "TimeoutError", "volatile"),
        ("lines", "SystemExit", "volatile"),
        ("lines", "enqueue", "volatile"),
    ],
)
def test_a_job_that_is_cut_short_while_it_enqueues_harms_no_other(program, at, what, store):
    places, found = cut(program, "job", at, what, store)

    assert found == CLEAN
    assert places >= 150


@pytest.mark.parametrize(
    ("at", "what", "store", "at_least"),
    [("calls", "KeyboardInterrupt", "durable", 70), ("lines", "Interrupt", "volatile", 180)],
)
def test_a_wait_that_is_cut_short_keeps_nobody_else_waiting(program, at, what, store, at_least):
    places, found = cut(program, "wait", at, what, store)

    assert found == CLEAN
    assert places >= at_least


@pytest.mark.parametrize(
    ("what", "store", "at_least"),
    [("start", "durable", 70), ("stop", "durable", 40), ("stop", "volatile", 40)],
)
def test_a_start_or_a_stop_that_is_cut_short_can_be_repeated(program, what, store, at_least):
    places, found = cut(program, what, "KeyboardInterrupt", store, 3)

    assert found == {"problems": []}
    assert places >= at_least


@pytest.mark.parametrize("store", ["volatile", "durable"])
def test_jobs_are_performed_though_a_thread_that_serves_them_crashes_anywhere(program, store):
    places, found = cut(program, "service", "TimeoutError", store, 41)

    assert found == {"problems": []}
    assert places >= 10


def test_commits_that_threads_share_are_cut_short_anywhere_and_nobody_is_left_waiting(program):
    places, found = cut(program, "shared", "TimeoutError", 7)

    assert found == {"problems": []}
    assert places >= 40
