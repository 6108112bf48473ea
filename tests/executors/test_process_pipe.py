"""What goes between a job in a process and its application: words, records, jobs, and no files."""

import io
import logging
import os
import pickle
import sys
from contextlib import redirect_stderr
from datetime import UTC, datetime

import pytest
from support.apps import until

from antq_actors import Status
from antq_actors.executors.process import output
from antq_actors.executors.process.output import RemoteError


def test_a_process_has_no_file_of_the_store_and_no_socket_but_its_own(pool, tmp_path):
    pool.start(tmp_path / "store", concurrency=3)
    for _ in range(3):
        pool.does("note_files")

        files = pool.file("files").read_text().split("\n")

        assert [file for file in files if "mdb" in file or "store" in file] == []
        assert len([file for file in files if file.startswith("socket:")]) == 1


def test_log_records_come_with_level_name_message_and_traceback(pool, caplog):
    logging.getLogger("job_actions.loud").setLevel(logging.DEBUG)
    pool.start()

    job = pool.does("say")

    assert job.errors == ()
    records = [record for record in caplog.records if record.name.startswith("job_actions")]
    said = [(r.name, r.levelno, r.getMessage()) for r in records]
    assert said == [
        ("job_actions", logging.ERROR, "of import"),
        ("job_actions.loud", logging.DEBUG, "but this"),
    ]
    assert "KeyError: 'why'" in records[0].exc_text
    assert "Traceback" in logging.Formatter().format(records[0])
    kind, error, _ = records[0].exc_info
    assert (kind, error.args) == (KeyError, ("why",))
    assert str(error.__cause__).strip('\n"').startswith("Traceback (most recent call last)")
    assert records[0].number == 7
    assert "lock" in records[0].thing
    assert records[0].process != os.getpid()


def test_a_line_is_written_once_by_a_handler_that_its_module_has_set_up(
    pool, tmp_path, monkeypatch, caplog
):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "has_handlers.py").write_text(HAS_HANDLERS)
    import has_handlers  # noqa: PLC0415 - made by this test

    pool.start()
    try:
        for worker in (has_handlers.says, has_handlers.Renamed):
            assert pool.ended(pool.app.enqueue(worker)).errors == ()
    finally:
        has_handlers.tidy_up()

    for name in ("has_handlers", "has_handlers.below", "has_handlers.apart"):
        lines = (tmp_path / f"{name}.log").read_text().splitlines()
        assert lines.count(f"{name} says") == 2, name
    own = (tmp_path / "own.log").read_text().splitlines()
    assert own == ["of a job"] * 2
    assert "of a job" not in caplog.text  # it does not propagate
    # A handler of the logger above has the lines of those below, as ever.
    assert (tmp_path / "has_handlers.log").read_text().count("below says") == 2


HAS_HANDLERS = """
import logging
from pathlib import Path
from antq_actors import Worker, worker

place = Path(__file__).parent
loggers = []

def logger(name, propagate=True):
    made = logging.getLogger(name)
    made.addHandler(logging.FileHandler(place / f"{name}.log"))
    made.setLevel(logging.INFO)
    made.propagate = propagate
    loggers.append(made)
    return made

own, below, apart = (
    logger("has_handlers"), logger("has_handlers.below"), logger("has_handlers.apart", False)
)

def say():
    for each in loggers:
        each.info("%s says", each.name)
    extra = logging.getLogger("has_handlers.extra")
    extra.propagate = False
    handler = logging.FileHandler(place / "own.log")
    extra.addHandler(handler)
    extra.warning("of a job")
    extra.removeHandler(handler)

@worker(executor="process")
def says():
    say()

class Renamed(Worker, executor="process", name="has_handlers:Older"):
    def perform(self, job):
        say()

def tidy_up():
    for each in loggers:
        for handler in each.handlers[:]:
            each.removeHandler(handler)
            handler.close()
"""


def test_a_filter_that_raises_costs_no_job(pool):
    def refuse(record):
        raise RuntimeError("no")

    logging.getLogger("job_actions").addFilter(refuse)
    try:
        pool.start()
        job = pool.does("say")
        assert (job.status, job.interruptions) == (Status.COMPLETED, 0)
    finally:
        logging.getLogger("job_actions").removeFilter(refuse)


def test_progress_is_seen_while_the_job_runs(pool, tmp_path):
    pool.start()
    job = pool.job("say_and_wait")
    pool.begun("say_and_wait")

    progress = until(lambda: pool.app.queue("default").status().progress, "the progress")

    assert progress == {job.id: (0.25, "a quarter", progress[job.id].at)}
    assert job.inserted_at <= progress[job.id].at <= datetime.now(UTC)
    pool.app.cancel_worker(job)
    pool.ended(job)


def test_a_job_that_checks_ends_by_itself_when_cancelled(pool):
    pool.start()
    job = pool.job("end_when_requested")
    until(lambda: pool.app.queue("default").status().progress, "a look")
    pid = pool.pids()[0]

    pool.app.cancel_worker(job)

    pool.file("told")
    assert pool.ended(job).status is Status.COMPLETED
    assert pool.pid() == pid


def test_what_a_job_prints_is_passed_on_at_its_end(pool, capfd):
    pool.start()

    with redirect_stderr(io.StringIO()) as stderr:
        assert pool.does("print_much").errors == ()
        until(lambda: "to stderr é" in stderr.getvalue(), "what it wrote")

    assert "to stdout" in capfd.readouterr().out


def test_much_on_standard_error_delays_nothing(pool):
    pool.start()

    with redirect_stderr(io.StringIO()) as stderr:  # capfd loses what is written while it is read
        assert pool.does("fill_stderr").errors == ()
        until(lambda: len(stderr.getvalue()) == 1_000_000, "all of it")


def test_a_job_enqueues_on_the_application_of_its_parent(pool):
    pool.start()

    job = pool.does("enqueue")

    assert job.errors == ()
    assert pool.app.get_worker(pool.number("made")).status is Status.SCHEDULED


def test_what_enqueueing_raises_there_is_raised_in_the_job(pool):
    pool.start()

    (entry,) = pool.does("enqueue_twice").errors

    assert "is unique, and job 2" in pool.file("refused").read_text()
    assert pool.number("refused for") == 0
    assert entry.error.startswith("unknown option 'nonsense'")
    assert "TypeError" in entry.stack_trace
    assert "in enqueue_twice" in entry.stack_trace


@pytest.mark.parametrize(
    ("action", "concurrency", "total"),
    [("enqueue_a_local_thing", 1, 2), ("look_from_a_thread", 2, 51)],
)
def test_a_job_enqueues_what_only_its_process_knows_and_while_its_threads_look(
    pool, action, concurrency, total
):
    pool.start(concurrency=concurrency)

    job = pool.does(action)

    assert job.errors == ()
    until(lambda: pool.app.count_workers(status=Status.COMPLETED) == total, "the end of all")


def test_threads_that_outlive_their_job_disturb_no_other(pool):
    pool.start(max_jobs=200)
    pool.does("leave_a_thread")

    for _ in range(100):
        job = pool.does("enqueue")
        assert (job.status, job.errors) == (Status.COMPLETED, ())
    assert pool.app.queue("default").status().progress == {}


def test_a_call_of_a_thread_that_outlives_its_job_is_refused(pool):
    pool.start()
    pool.does("leave_a_thread_that_enqueues")

    (pool.place / "over").touch()

    assert "NotStarted" in until(pool.file("refused").read_text, "the refusal")
    assert pool.app.count_workers() == 1


def test_a_process_that_a_job_forks_is_an_ordinary_one(pool, caplog):
    pool.start()

    for _ in range(5):
        assert pool.does("fork_a_worker").errors == ()
    assert "from a fork" not in caplog.text  # it goes to standard error, as in any new process


# ---- the exception of another process, as a handler of log records gets it here -----------------


TRACE = 'Traceback (most recent call last):\n  File "shop.py", line 1, in perform\nKeyError: 1\n'


class NeedsTwo(Exception):
    def __init__(self, first, second):
        super().__init__(first)
        self.second = second


class Unpicklable(Exception):
    def __reduce__(self):
        raise TypeError("it stays here")


class Ends(Exception):
    def __reduce__(self):
        return sys.exit, ()


def arrived(error):
    return output.exc_info(output.pickled_error(error), output.error_text(error), TRACE)


def test_an_exception_that_travels_is_the_one_that_was_raised():
    kind, error, frames = arrived(KeyError("user_id"))

    assert (kind, error.args, frames) == (KeyError, ("user_id",), None)


@pytest.mark.parametrize("error", [KeyError("user_id"), NeedsTwo("no", 2)])
def test_its_cause_is_the_traceback_of_the_other_process(error):
    shown = logging.Formatter().formatException(arrived(error))

    assert TRACE in shown
    assert "The above exception was the direct cause of the following exception" in shown


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NeedsTwo("no", 2), "NeedsTwo: no"),
        (Unpicklable(), "Unpicklable"),
        (Ends("over"), "Ends: over"),
    ],
)
def test_an_exception_that_does_not_travel_has_a_stand_in_with_its_class_and_text(error, text):
    kind, standing_in, _ = arrived(error)

    assert (kind, str(standing_in)) == (RemoteError, text)


def test_nothing_is_imported_for_the_exception_of_another_process():
    assert "this" not in sys.modules
    naming = b"cthis\nZen\n."

    kind, _, _ = output.exc_info(naming, "Zen: no", TRACE)

    assert kind is RemoteError
    assert "this" not in sys.modules


def test_what_is_no_exception_is_taken_for_none():
    kind, _, _ = output.exc_info(pickle.dumps("text"), "ValueError: no", TRACE)

    assert kind is RemoteError
