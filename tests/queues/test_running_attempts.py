"""The exits of worker actors are each taken once; jobs that ended well have a line in the log."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.apps import settled

from antq_actors import Cancel, Snooze, Status, worker
from antq_actors.otp import GenServer, Normal, Shutdown
from antq_actors.queues import running_attempts
from antq_actors.queues.running_attempts import ExitQueue, WorkersExited


class Queue(GenServer):
    """Waits while the test says so, and counts what it is told."""

    def init(self):
        self.told = 0

    def handle_info(self, message):
        assert isinstance(message, WorkersExited)
        self.told += 1

    def handle_call(self, request):
        return request() if callable(request) else self.told


@pytest.fixture
def queue(start):
    return start(Queue)


@pytest.fixture
def actor(start):
    return start(GenServer)


def drained(exits):
    taken, waiting = [], exits.take()
    while waiting:
        taken.append(waiting.popleft())
    return taken


def test_an_exit_is_announced_and_taken_once(queue, actor):
    exits = ExitQueue(queue.cell)

    exits.add(actor.cell, Normal())

    assert queue.ask("told") == 1
    assert drained(exits) == [(actor.cell, Normal())]
    assert drained(exits) == []


def test_many_exits_are_announced_by_one_message(queue, actor):
    exits = ExitQueue(queue.cell)

    for number in range(10):
        exits.add(actor.cell, Shutdown(number))

    assert queue.ask("told") == 1
    assert [reason.detail for _, reason in drained(exits)] == list(range(10))
    exits.add(actor.cell, Normal())
    assert queue.ask("told") == 2


def test_a_paused_exit_queue_sends_no_message(queue, actor):
    exits = ExitQueue(queue.cell)
    exits.paused = True

    exits.add(actor.cell, Normal())

    assert queue.ask("told") == 0
    assert drained(exits) == [(actor.cell, Normal())]


def test_the_queue_actor_is_notified_once_until_it_looks(queue):
    exits = ExitQueue(queue.cell)
    assert not exits.is_coming()

    exits.notify()
    told = queue.ask("told")
    exits.notify()

    assert told > 0
    assert exits.is_coming()
    assert queue.ask("told") == told
    drained(exits)
    assert not exits.is_coming()
    exits.notify()
    assert queue.ask("told") > told


def test_a_notice_that_is_cut_short_counts_for_nothing(queue, monkeypatch):
    exits = ExitQueue(queue.cell)

    def cut_short(_message, *, wake):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(queue.cell.mailbox, "deliver", cut_short)
        with pytest.raises(KeyboardInterrupt):
            exits.notify()
    assert not exits.is_coming()

    exits.notify()

    assert queue.ask("told") > 0


def test_a_queue_actor_whose_turn_comes_while_it_is_notified_is_notified_again(queue, monkeypatch):
    exits = ExitQueue(queue.cell)
    deliver = queue.cell.mailbox.deliver

    def deliver_and_take(message, *, wake=True):
        deliver(message, wake=wake)
        drained(exits)

    with monkeypatch.context() as patched:
        patched.setattr(queue.cell.mailbox, "deliver", deliver_and_take)
        exits.notify()

    assert not exits.is_coming()


def test_no_exit_of_many_at_once_is_lost(queue, actor):
    exits = ExitQueue(queue.cell)
    taken = []

    def end():
        for number in range(500):
            exits.add(actor.cell, Shutdown(number))

    with ThreadPoolExecutor(4) as pool:
        ends = [pool.submit(end) for _ in range(4)]
        while not all(each.done() for each in ends):
            taken += drained(exits)
    before = queue.ask("told")
    taken += drained(exits)
    exits.add(actor.cell, Normal())

    assert len(taken) == 2000
    assert queue.ask("told") == before + 1


# ---- the lines about jobs that ended well, and that they cost nothing which nobody wants --------


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
