"""What ``antq start`` says: when it is up, of each job, while it stops, when it cannot start."""

import logging
import os
import re
import signal
import sys
from contextlib import ExitStack

import pytest
from startable import Wait, cancel, fail, greet, snooze
from support.apps import until

from antq_actors import AntQ, Status
from antq_actors.app import signals
from antq_actors.cli import REFUSED

START = ("-m", "antq_actors", "start", "startable:app")
STAMP = re.compile(r"^[-\d]+ [:\d,]+ ")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The folder of startable.py's store, and of the files by which its jobs are told things."""
    monkeypatch.setenv("STARTABLE_PLACE", str(tmp_path))
    return tmp_path


@pytest.fixture
def start(program, place):
    """Starts the application with some options, when some jobs have been enqueued."""

    def start(*options, jobs=()):
        with AntQ(place / "store", start_queues=False) as app:
            for worker, args in jobs:
                app.enqueue(worker, args)
        return program(*START, *options)

    yield start
    (place / "go").touch()


def statuses(place):
    with AntQ(place / "store", start_queues=False) as app:
        return [job.status for job in app.list_jobs()]


def ended(started, signal_=signal.SIGTERM):
    """Stop it; answer what it said, without the dates of its log."""
    started.send(signal_)
    code, _, errors = started.end()
    assert code == 0, errors
    return [STAMP.sub("", line) for line in errors.splitlines()]


def lines_until(started, last):
    """Read what it says on standard error until a line begins like this."""
    lines = [started.process.stderr.readline()]
    while not lines[-1].startswith(last):
        assert lines[-1], lines
        lines.append(started.process.stderr.readline())
    return lines


def test_the_first_lines_say_what_runs_and_where_and_the_last_that_it_has_stopped(start, place):
    started = start()
    said = lines_until(started, "antq: path ")

    queues = "default (5 slots), mail (1 slot, executor process)"
    process = started.process.pid
    assert said == [
        "antq: antq 0.1.0 runs startable:app; Ctrl-C stops it\n",
        f"antq: path {place}/store; queues {queues}; node 1, process {process}\n",
    ]
    assert ended(started) == ["antq: stopped"]


def test_a_stop_that_waits_says_so_and_how_not_to_wait(start, place):
    started = start(jobs=[(Wait, {}), (Wait, {})])
    until(lambda: (place / "begun-1").exists() and (place / "begun-2").exists())
    lines_until(started, "antq: path ")

    started.send(signal.SIGINT)
    asked = lines_until(started, "antq: stopping")[-1]
    started.send(signal.SIGINT)
    code, _, errors = started.end()

    assert asked == "antq: stopping: 2 jobs run; Ctrl-C again to interrupt them\n"
    assert (code, errors.splitlines()) == (0, ["antq: interrupting 2 jobs", "antq: stopped"])
    assert statuses(place) == [Status.ENQUEUED] * 2


def test_a_stop_tells_again_and_again_what_it_waits_for(place, monkeypatch):
    monkeypatch.setattr("startable.PLACE", place)
    app = AntQ(place / "store")
    said = []

    def up():
        app.enqueue(Wait)
        until((place / "begun-1").exists)
        os.kill(os.getpid(), signal.SIGTERM)

    def report(line):
        said.append(line)
        if len(said) == 3:
            (place / "go").touch()

    signals.run(app, when_up=up, report=report, interval=0.01)

    assert said[0] == "stopping: 1 job runs; Ctrl-C again to interrupt it"
    assert said[1:3] == ["stopping since 0 s: 1 job runs (#1); Ctrl-C again to interrupt it"] * 2


def test_a_stop_that_waits_is_logged_where_there_is_no_command(place, monkeypatch, caplog):
    monkeypatch.setattr("startable.PLACE", place)
    caplog.set_level(logging.INFO, "antq_actors")
    app = AntQ(place / "store")

    def up():
        app.enqueue(Wait)
        until((place / "begun-1").exists)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)

    signals.run(app, when_up=up)

    assert [each[2] for each in caplog.record_tuples if each[0] == "antq_actors.app"] == [
        "stopping: 1 job runs; Ctrl-C again to interrupt it",
        "interrupting 1 job",
    ]


def test_a_signal_that_comes_while_signals_begin_to_be_handled_is_not_lost():
    """It comes between any two lines from where it no longer ends the program."""
    sent = []

    def interrupt(frame, _event, _argument):
        if frame.f_code is not signals.SignalWaiter.__enter__.__code__:
            return None
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            signal.raise_signal(signal.SIGTERM)
            sent.append(frame.f_lineno)
        return interrupt

    before = sys.gettrace()
    sys.settrace(interrupt)
    try:
        waiter = signals.SignalWaiter().__enter__()
    finally:
        sys.settrace(before)
    with ExitStack() as stack:
        stack.push(waiter)
        assert [waiter.wait(10) for _ in sent] == [signal.SIGTERM] * len(sent)

    assert sent
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_is_handled_before_an_application_that_its_import_has_started_is_stopped(
    program, place
):
    code, _, errors = program("-m", "antq_actors", "start", "startable:started_before").end()

    assert code == 0, errors
    assert errors.splitlines()[-1] == "antq: stopped"


def test_every_ended_job_is_a_line_at_the_level_info(start, place):
    jobs = [(greet, {"name": "Ant"}), (fail, {}), (cancel, {}), (snooze, {})]
    started = start("--log-level", "info", jobs=jobs)
    until(lambda: not {Status.ENQUEUED, Status.RUNNING} & set(statuses(place)))

    started.send(signal.SIGTERM)
    _, _, errors = started.end()

    lines = [line.rpartition(", after")[0] for line in errors.splitlines() if ", after" in line]
    assert {STAMP.sub("", line) for line in lines} == {
        "INFO    antq_actors.jobs: startable:greet (job #1) completed on attempt 1/1",
        "INFO    antq_actors.jobs: startable:cancel (job #3) was cancelled on attempt 1/1",
        "INFO    antq_actors.jobs: startable:snooze (job #4) snoozes on attempt 1/1",
    }
    assert "ERROR   antq_actors.jobs: startable:fail (job #2) failed permanently" in errors


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], ["failed", "hello"]),
        (["--log-level", "debug"], ["completed", "failed", "hello"]),
        (["--log-level", "INFO"], ["completed", "failed", "hello"]),
        (["--log-level", "warning"], ["failed"]),
        (["--log-level", "error"], ["failed"]),
    ],
    ids=str,
)
def test_the_log_has_the_level_that_was_asked_for(start, place, options, shown):
    started = start(*options, jobs=[(greet, {"name": "Ant"}), (fail, {})])
    until(lambda: statuses(place) == [Status.COMPLETED, Status.FAILED])

    started.send(signal.SIGTERM)
    code, _, errors = started.end()

    assert code == 0
    assert [word for word in ("completed", "failed", "hello") if word in errors] == shown


def test_an_unknown_level_is_refused_with_those_that_there_are(program):
    code, _, errors = program(*START, "--log-level", "loud").end()

    assert code == 2
    assert errors.count("\n") == 1
    for level in ("debug", "info", "warning", "error"):
        assert level in errors


def test_what_keeps_it_from_starting_is_said_once(program, place):
    (place / "store").touch()

    code, _, errors = program(*START).end()

    assert (code, errors) == (
        REFUSED,
        f"antq: {place}/store is a file; a store is a directory: give another path\n",
    )


def test_the_log_tells_more_of_a_failed_start_at_the_level_debug(program, place):
    (place / "store").touch()

    code, _, errors = program(*START, "--log-level", "debug").end()

    assert code == REFUSED
    assert "ERROR   antq_actors.otp: " in errors
