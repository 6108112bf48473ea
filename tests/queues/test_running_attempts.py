"""Jobs that ended well have a line in the log, which costs nothing if nobody wants it."""

import logging

import pytest
from support.apps import settled

from antq_actors import Cancel, Snooze, Status, worker
from antq_actors.queues import running_attempts

log = logging.getLogger("antq_actors.jobs")


@worker(name="ends")
def ends(how):
    if how == "raises":
        raise KeyError("user_id")
    return {"completes": None, "cancels": Cancel("no"), "snoozes": Snooze(3600)}[how]


def lines_of(caplog, job):
    return [
        (record.levelno, record.getMessage().partition(", after")[0])
        for record in caplog.records
        if record.name == log.name and record.job_id == job.id
    ]


@pytest.mark.parametrize(
    ("how", "end", "line"),
    [
        ("completes", Status.COMPLETED, "ends (job #1) completed on attempt 1/1"),
        ("cancels", Status.CANCELLED, "ends (job #1) was cancelled on attempt 1/1"),
        ("snoozes", Status.SCHEDULED, "ends (job #1) snoozes on attempt 1/1"),
    ],
)
def test_a_job_that_ends_well_is_logged_once_at_info(app, caplog, how, end, line):
    caplog.set_level(logging.INFO, log.name)

    job = app.enqueue(ends, {"how": how})
    settled(app, job, end)

    assert lines_of(caplog, job) == [(logging.INFO, line)]


def test_the_log_line_has_duration_and_fields_of_the_job(app, caplog):
    caplog.set_level(logging.INFO, log.name)

    job = settled(app, app.enqueue(ends, {"how": "completes"}, queue="mail"))

    (record,) = [each for each in caplog.records if each.name == log.name]
    assert (record.job_id, record.worker) == (job.id, "ends")
    assert (record.queue, record.attempt) == ("mail", 1)
    assert 0 <= float(record.getMessage().rpartition("after ")[2].removesuffix(" s")) < 80


def test_log_lines_below_the_level_are_not_made(app, caplog, monkeypatch):
    caplog.set_level(logging.WARNING, log.name)
    made = []
    monkeypatch.setattr(running_attempts, "log_end", lambda *args: made.append(args))

    settled(app, app.enqueue(ends, {"how": "completes"}))

    assert made == []


def test_a_log_handler_that_raises_does_not_end_the_queue(app, caplog):
    class Raises(logging.Handler):
        def emit(self, record):
            raise SystemExit(record.getMessage())

    caplog.set_level(logging.INFO, log.name)
    handler = Raises()
    log.addHandler(handler)
    try:
        settled(app, app.enqueue(ends, {"how": "completes"}))
        settled(app, app.enqueue(ends, {"how": "completes"}))
    finally:
        log.removeHandler(handler)

    assert app.queue("default").status().counts[Status.COMPLETED] == 2


def test_what_queues_do_is_logged_at_info(run, caplog):
    caplog.set_level(logging.INFO, "antq_actors.queues")

    app = run(concurrency=3)
    app.queue("default").pause()
    app.queue("default").resume()
    app.queue("default").set_concurrency(2)
    app.stop()

    assert [text for _, level, text in caplog.record_tuples if level == logging.INFO] == [
        "queue 'default' runs with concurrency 3",
        "queue 'default' is paused",
        "queue 'default' is resumed",
        "queue 'default' now runs with concurrency 2",
        "queue 'default' ends",
    ]
