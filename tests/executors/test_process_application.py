"""An application in the processes of its jobs: started once, in the program, used everywhere."""

import importlib
import itertools
import json
import logging
import os
import sys
from pathlib import Path

import pytest
from executor_harness import overlook_processes, processes
from recording_workers import Nothing
from support.apps import ENDED, settled, until

from antq_actors import AntQ, NotStarted, Status, Worker

MODULE = """
import asyncio
import os
import threading
from pathlib import Path

from antq_actors import *
from antq_actors import AntQ, QueueConfig

is_program = os.getpid() == {program}
place = Path({place!r})
app = AntQ({path!r}, queues={{"default": QueueConfig(2, check_interval=3600), "mail": 1}})
{at_import}

@worker(executor="process", max_attempts=1)
def do(code):
    results = {{}}
    exec(code, globals(), results)
    (place / f"result {{current()}}").write_text(repr(results.get("result")))

def current():
    return len(list(place.glob("result *")))

@worker(executor="process", queue="mail")
def mail(to): ...

class Once(Worker, queue="mail", unique=Unique(args=["to"])):
    def perform(self, job): ...

class Plain:
    pass
"""
numbers = itertools.count()


@pytest.fixture(params=["volatile", "durable"])
def path(request, tmp_path):
    return None if request.param == "volatile" else str(tmp_path / "store")


@pytest.fixture
def module(tmp_path, path, monkeypatch):
    """Make a module that has an application and the workers of it, and import it here."""
    overlook_processes()
    monkeypatch.syspath_prepend(tmp_path)
    name = f"has_an_application_{next(numbers)}"

    def make(at_import="app.start()"):
        text = MODULE.format(
            program=os.getpid(), place=str(tmp_path), path=path, at_import=at_import
        )
        (tmp_path / f"{name}.py").write_text(text)
        return importlib.import_module(name)

    yield make
    if name in sys.modules:
        sys.modules.pop(name).app.stop(timeout=0)
    until(lambda: not processes(), "the end of all processes")


def done(module, code):
    """Have a job process run *code*; return the job as it ended."""
    return settled(module.app, module.app.enqueue(module.do, {"code": code}))


def result(module, code):
    """Have a job process run *code*; return the text of what it called ``result``."""
    job = done(module, code)
    assert job.errors == ()
    (file,) = module.place.glob("result *")
    text = file.read_text()
    file.unlink()
    return text


def error(module, code):
    (entry,) = done(module, code).errors
    return entry.error


def warnings(caplog):
    return [r for r in caplog.records if "start() was called" in r.getMessage()]


# ---- started --------------------------------------------------------------------------------


def test_a_module_that_starts_its_application_starts_it_in_no_job_process(module, caplog):
    loaded = module()
    jobs = [loaded.do.perform_async(code="result = app.start() is app") for _ in range(12)]
    most = 0

    def all_ended():
        nonlocal most
        most = max(most, len(processes()))
        return all(loaded.app.get_worker(job.id).status in ENDED for job in jobs)

    until(all_ended, "the end of all jobs")
    assert {loaded.app.get_worker(job.id).errors for job in jobs} == {()}
    assert most <= 2
    assert len(loaded.app.nodes()) == 1
    # Once in each process, however often it is called there.
    pids = [record.process for record in warnings(caplog)]
    assert len(pids) == len(set(pids)) >= 1
    assert "belongs into the entry point" in warnings(caplog)[0].getMessage()
    assert {record.levelno for record in warnings(caplog)} == {logging.WARNING}


def test_an_application_that_was_not_started_there_is_used_without_a_warning(module, caplog):
    loaded = module("if is_program: app.start()")

    assert result(loaded, "result = app.count_workers(status='running')") == "1"
    assert warnings(caplog) == []


def test_a_job_process_waits_until_there_is_nothing_to_do(module):
    loaded = module()
    mailed = loaded.app.enqueue(loaded.mail, {"to": "x"})

    code = """
result = [app.wait_idle("mail", timeout=60), app.wait_idle(timeout=0.2)]
result += [asyncio.run(app.await_idle("mail", timeout=60))]
"""
    assert result(loaded, code) == "[True, False, True]"
    assert settled(loaded.app, mailed, Status.COMPLETED)
    assert "wait_idle() needs a timeout in perform" in error(loaded, "app.wait_idle()")
    assert "there is no queue 'mial'" in error(loaded, "app.wait_idle('mial', timeout=1)")
    assert loaded.app.wait_idle(timeout=60) is True


def test_a_filter_that_nothing_knows_is_a_warning_in_the_job_process(module):
    loaded = module()

    code = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    found = app.list_jobs(queue="mial"), app.count_jobs(worker="no:Such", queue="default")
result = found, ["mail" in str(caught[0].message), "no:Such" in str(caught[1].message)], len(caught)
"""
    assert result(loaded, code) == "(([], 0), [True, True], 2)"


def test_another_application_with_queues_is_refused_in_a_job_process(module, path, tmp_path):
    loaded = module()
    other = None if path else str(tmp_path / "other")

    refusal = error(loaded, f"AntQ({other!r}).start()")

    assert "app.start(queues=False)" in refusal
    assert "performs jobs of" in refusal
    assert "start_queues=False" in refusal
    assert "__main__" in refusal
    assert "cannot run its queues there" in error(loaded, f"with AntQ({other!r}): pass")
    assert "cannot run its queues there" in error(loaded, f"AntQ({other!r}).run()")


@pytest.mark.parametrize(
    "start", ["AntQ({}, start_queues=False).start()", "AntQ({}).start(queues=False)"]
)
def test_another_application_without_queues_may_start_in_a_job_process(module, tmp_path, start):
    loaded = module()
    other = str(tmp_path / "other")

    code = f"""
with {start.format(repr(other))} as other:
    other.enqueue(mail, {{"to": "x"}}, queue="default")
    result = other.count_workers(), app.count_workers()
"""
    assert result(loaded, code) == "(1, 1)"
    with AntQ(other, start_queues=False) as there:
        assert there.count_workers() == 1


def test_stop_with_and_run_in_a_job_process_leave_its_program_alone(module):
    loaded = module()

    code = """
with app as same:
    result = [same is app]
app.run()
app.stop()
app.hurry()
result.append(app.count_workers(status="running"))
"""
    assert result(loaded, code) == "[True, 1]"
    assert result(loaded, "result = app.count_workers(status='completed')") == "1"


def test_a_module_whose_import_asks_the_application_is_imported(module):
    loaded = module("if is_program: app.start()\nseen = app.count_workers(), app.path")

    assert result(loaded, "result = seen[0] > 0, str(seen[1])") == str((True, str(loaded.app.path)))


def test_a_path_is_the_same_by_whatever_name_it_is_called(module, path, tmp_path):
    if path is None:
        pytest.skip("it has no path")
    loaded = module()
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)

    code = f"result = AntQ({str(tmp_path / 'link' / 'store')!r}).start().count_workers()"

    assert result(loaded, code) == "1"


def test_two_applications_of_a_program_are_each_their_own_in_their_jobs(module, tmp_path):
    loaded = module()

    with AntQ(tmp_path / "second") as second:  # started last, so the current one
        assert result(loaded, "do.perform_async(code=''); result = app.count_workers()") == "1"
        assert (loaded.app.count_workers(), second.count_workers()) == (1, 1)


# ---- used -------------------------------------------------------------------------------------

DOES = [
    ("app.enqueue(mail, {'to': 'b'}).id", "3"),
    ("app.enqueue(mail, {'to': 'b'}, schedule_in=60).status", repr(Status.SCHEDULED)),
    ("mail.perform_async(to='b').args", "{'to': 'b'}"),
    ("asyncio.run(app.aenqueue(mail, {'to': 'b'})).id", "6"),
    ("asyncio.run(mail.aperform_async(to='b')).id", "7"),
    ("app.enqueue_many(mail, ({'to': n} for n in range(3)), priority=1)", "[8, 9, 10]"),
    ("asyncio.run(app.aenqueue_many(mail, [{'to': 1}]))", "[11]"),
    ("app.enqueue_many(mail, [])", "[]"),
    ("[job.id for job in app.list_workers()] == list(range(1, 12))", "True"),
    ("[job.id for job in app.list_workers(worker=mail, args={'to': 'a'})]", "[1]"),
    ("[job.id for job in app.list_workers(worker=mail.antq_name, limit=1)]", "[1]"),
    ("[job.id for job in app.list_workers(status='scheduled', queue_name='mail')]", "[1, 4]"),
    ("[job.id for job in app.list_jobs(inserted_after=app.get_job(10).inserted_at)]", "[11]"),
    ("[job.id for job in asyncio.run(app.alist_jobs(newest_first=True, limit=2))]", "[11, 10]"),
    ("asyncio.run(app.acount_jobs(worker=mail)), asyncio.run(app.aget_job(1)).id", "(10, 1)"),
    (
        "app.list_jobs(error='o'), app.list_jobs(failed_before=app.get_job(1).inserted_at)",
        "([], [])",
    ),
    ("app.count_workers(), app.count_workers(status='scheduled')", "(11, 2)"),
    ("app.get_worker(1).args", "{'to': 'a'}"),
    ("app.cancel_worker(1).status", repr(Status.CANCELLED)),
    ("app.retry_worker(app.get_worker(1)).status", repr(Status.ENQUEUED)),
    ("[each.cause for each in app.history(1)]", "[None, 'cancel', 'retry']"),
    ("len(asyncio.run(app.ahistory(1)))", "3"),
    ("[(each.name, each.target, each.count) for each in app.audit()]", "[('ada', 'mail', 2)]"),
    ("len(asyncio.run(app.aaudit(1)))", "1"),
    ("app.run_now(4).status", repr(Status.SCHEDULED)),
    ("app.reschedule(5, schedule_in=60).status", repr(Status.SCHEDULED)),
    (
        "asyncio.run(app.areschedule(5, schedule_in=60)).id, asyncio.run(app.arun_now(5)).id",
        "(5, 5)",
    ),
    ("app.cancel_jobs(queue='mail', limit=2, dry_run=True).changed", "2"),
    ("app.cancel_jobs(worker=mail, limit=1)", "BulkOutcome(changed=1, skipped=0, refused=0)"),
    ("app.retry_jobs(status='cancelled', spread=60).changed", "1"),
    ("app.delete_jobs(args={'to': 'nobody'}).changed", "0"),
    ("asyncio.run(app.aretry_jobs()).changed", "0"),
    ("app.delete_worker(1), app.count_workers()", "(None, 10)"),
    ("app.queue('mail').set_concurrency(3)", "None"),
    ("app.queue('mail').status().concurrency", "3"),
    ("app.queue('mail').status().paused", "True"),
    ("app.queue('default').pause(), app.queue('default').status().paused", "(None, True)"),
    ("app.queue('default').resume(), app.queue('default').status().paused", "(None, False)"),
    ("{each.rule for each in app.queue('mail').preview(2)}", "{'due scheduled'}"),
    ("app.queue('default').add_breakpoint(worker=mail, args={'to': 'z'}, on='failure')", "1"),
    (
        (
            "[(each.worker.endswith(':mail'), each.args, each.on)"
            " for each in app.queue('default').breakpoints()]"
        ),
        "[(True, {'to': 'z'}, 'failure')]",
    ),
    ("app.queue('default').remove_breakpoint(1), app.queue('default').breakpoints()", "(None, [])"),
    ("asyncio.run(app.queue('mail').abreakpoints())", "[]"),
    ("app.queue_names()", "['default', 'mail']"),
    ("len(app.nodes())", "1"),
    ("app.default_queue", "'default'"),
    ("app.verify()", "[]"),
    ("app.backup(place / 'copy').name", "'copy'"),
]
REFUSES = [
    ("app.get_worker(4711)", "JobNotFound: "),
    ("app.get_worker('x')", "TypeError: give a Job or its id"),
    ("app.retry_worker(1)", "NotRetryable: only failed"),
    ("app.delete_jobs()", "ValueError: delete_jobs() without a filter"),
    ("app.cancel_jobs(status='failed')", "ValueError: cancel_jobs() cannot change"),
    ("app.run_now(current())", "JobNotFound: no job has the id 0"),
    ("app.reschedule(2)", "InvalidSchedule: give schedule_at=… or schedule_in=…"),
    ("app.list_workers(status='odd')", "ValueError: unknown status 'odd'"),
    ("app.queue('odd')", "UnknownQueue: there is no queue 'odd'"),
    ("app.queue(5)", "TypeError: queue must be a name"),
    ("app.queue('mail').set_concurrency(0)", "ValueError: "),
    ("app.queue('default').step()", "QueueNotPaused: queue 'default' is not paused"),
    ("app.queue('mail').step(job=4711)", "ValueError: job 4711 could not start now"),
    ("app.queue('mail').preview(0)", "ValueError: n must be 1 or more, got 0"),
    ("app.queue('mail').remove_breakpoint(9)", "ValueError: queue 'mail' has no breakpoint 9"),
    ("app.queue('mail').ref", "NotStarted: the actor of queue 'mail' cannot be had"),
    ("app.root", "NotStarted: its supervision tree cannot be had in a job process"),
    ("app.audit(0)", "ValueError: limit must be 1 or more, got 0"),
    ("app.antq_acting('ada', 'pause', 'mail')", "NotStarted: antq_acting() cannot be had in a job"),
    ("app.antq_undo('token')", "NotStarted: antq_undo() cannot be had in a job process"),
    ("app.export_jobs()", "NotStarted: export_jobs() cannot be had in a job process"),
    ("app.import_jobs([])", "NotStarted: import_jobs() cannot be had in a job process"),
    ("app.enqueue(Plain)", "TypeError: "),
    ("app.enqueue(mail, {'to': 1}, nonsense=1)", "TypeError: unknown option 'nonsense'"),
    ("app.enqueue(mail, {'to': threading.Lock()})", "TypeError: the argument 'to' "),
    ("mail.perform_async(to=threading.Lock())", "TypeError: the argument 'to' "),
    ("app.enqueue_many(mail, 5)", "TypeError: enqueue_many takes an iterable"),
    ("app.enqueue_many(mail, [], nonsense=1)", "TypeError: unknown option 'nonsense'"),
]
EVALUATE = """
import json
results = []
for code in {codes}:
    try:
        results.append(repr(eval(code)))
    except Exception as error:
        results.append(f"{{type(error).__name__}}: {{error}}")
(place / "results").write_text(json.dumps(results))
"""


@pytest.fixture
def loaded(module):
    """The module, its queue "mail" paused, with a job there that waits: its id is 1."""
    loaded = module()
    with loaded.app.antq_acting("ada", "pause", "mail"):
        loaded.app.queue("mail").pause()
        loaded.app.enqueue(loaded.mail, {"to": "a"}, schedule_in=3600)
    return loaded


def results(module, codes):
    """Have one job evaluate all; return the text of each result or error."""
    assert done(module, EVALUATE.format(codes=codes)).errors == ()
    return json.loads((module.place / "results").read_text())


def test_an_application_does_in_a_job_what_it_does_in_the_program(loaded):
    found = results(loaded, [code for code, _ in DOES])

    assert list(zip([code for code, _ in DOES], found, strict=True)) == DOES


def test_an_application_refuses_in_a_job_what_it_refuses_in_the_program(loaded):
    found = results(loaded, [code for code, _ in REFUSES])

    for (code, expected), refusal in zip(REFUSES, found, strict=True):
        assert refusal.startswith(expected), (code, refusal)
    assert loaded.app.count_workers() == 2


def test_a_duplicate_is_refused_with_the_job_that_is_in_its_way(loaded):
    code = """
first = app.enqueue(Once, {"to": "x"})
try:
    app.enqueue(Once, {"to": "x"})
except AlreadyExists as error:
    result = error.job.id == first.id
"""
    assert result(loaded, code) == "True"


@pytest.mark.parametrize(
    ("bad", "cause"),
    [
        ("{'too': 1}", "TypeError"),  # found by the program
        ("{'to': threading.Lock()}", "TypeError"),  # found in the job's process
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_enqueue_many_in_a_job_stores_all_before_the_first_bad_item(loaded, bad, cause):
    code = f"""
def items():
    for n in range(2500):
        yield {{"to": n}}
    yield {bad}
try:
    app.enqueue_many(mail, items())
except BatchError as error:
    result = error.index, len(error.ids), type(error.__cause__).__name__, str(error)[:44]
"""
    expected = (2500, 2500, cause, "item 2500 was not stored, 2500 before it were"[:44])
    assert result(loaded, code.replace("def items", "global items\ndef items")) == str(expected)
    assert loaded.app.count_workers(queue_name="mail") == 2501


def test_a_job_that_waited_for_a_start_may_enqueue_at_once(tmp_path):
    """Its process, or thread, may be at work before the start has returned."""
    path = tmp_path / "store"
    for _ in range(30):
        with AntQ(path, start_queues=False) as app:
            jobs = [app.enqueue(Enqueues) for _ in range(4)]
        with AntQ(path) as app:
            for job in jobs:
                assert settled(app, job).errors == ()


def test_a_start_that_fails_leaves_no_current_application(tmp_path):
    Path(tmp_path / "file").touch()
    with pytest.raises(Exception, match="file"):
        AntQ(tmp_path / "file").start()

    with pytest.raises(NotStarted):
        Enqueues.perform_async()


class Enqueues(Worker):
    def perform(self, job):
        Nothing.perform_async()


def test_the_arguments_of_the_program_are_those_of_its_jobs(module, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["shop.py", "--verbose", "x"])
    loaded = module("seen = __import__('sys').argv.copy()\nif is_program: app.start()")

    code = "import sys; result = seen, sys.argv"

    assert result(loaded, code) == str((["shop.py", "--verbose", "x"],) * 2)
