"""What docs/recipes.md promises of each recipe, also when its program is killed."""

import shutil
import signal
import sqlite3
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pytest
from support.apps import until
from support.programs import Program

from antq_actors import AntQ, NotStarted, Status

RECIPES = Path(__file__).parent.parent.parent / "examples" / "recipes"
FAN_IN = RECIPES / "fan_in.py"
OUTBOX = RECIPES / "outbox.py"
SCHEDULE = RECIPES / "schedule.py"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder for the files of a recipe, which is also where the test runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def recipe(home, monkeypatch):
    """Import a recipe as a module."""
    monkeypatch.syspath_prepend(str(RECIPES))
    return import_module


@pytest.fixture
def start(home):
    """Start the program of a recipe; afterwards it is killed."""
    started = []

    def program(recipe):
        started.append(Program([recipe], home))
        return started[-1]

    yield program
    for each in started:
        each.process.kill()
        each.process.communicate()


def stored_jobs(home):
    with AntQ(home / "jobs", start_queues=False) as app:
        return app.list_jobs()


def periods(home):
    return [job.args["period"] for job in stored_jobs(home)]


# ---- the schedule ---------------------------------------------------------------------------


def test_several_schedulers_enqueue_one_job_for_each_period(start, home):
    first, second = start(SCHEDULE), start(SCHEDULE)
    until(lambda: len(set(periods(home))) >= 4, "four periods")
    for program in (first, second):
        program.send(signal.SIGTERM)
        assert program.end()[0] == 0

    enqueued = periods(home)

    assert len(enqueued) == len(set(enqueued)) >= 4


def test_a_killed_scheduler_enqueues_no_period_twice(start, home):
    for _ in range(2):  # the third interruption would fail the job
        program = start(SCHEDULE)
        program.line()
        program.kill()
    program = start(SCHEDULE)
    reports = set()
    while len(reports) < 2:
        reports.add(program.line())
    program.send(signal.SIGTERM)
    assert program.end()[0] == 0

    enqueued = periods(home)

    assert len(enqueued) == len(set(enqueued)) >= 2
    assert {job.status for job in stored_jobs(home)} <= {Status.COMPLETED, Status.ENQUEUED}


def test_a_scheduler_that_can_store_no_job_ends_its_program(start, home):
    program = start(SCHEDULE)
    program.line()
    shutil.rmtree(home / "jobs")

    code, _, err = program.end(timeout=60)

    assert code == 1
    assert err.splitlines()[-1] == "the scheduler has ended"


# ---- the fan-in -----------------------------------------------------------------------------


def test_a_fan_in_is_right_after_two_kills(start):
    for kills in range(2):  # the third interruption would fail the job
        program = start(FAN_IN)
        for _ in range(4 * kills + 1):
            if program.process.stdout.readline().startswith("total"):
                break
        program.kill()

    code, out, err = start(FAN_IN).end()

    assert code == 0, err
    assert out.splitlines()[-1] == "total 2470"


def test_a_part_that_died_before_it_enqueued_the_total_does_so_when_it_runs_again(recipe, home):
    fan_in = recipe("fan_in")
    jobs = [fan_in.Part.build({"batch": "May", "part": part}) for part in range(fan_in.PARTS)]
    for job in jobs[:-1]:
        fan_in.Part().perform(job)
    with pytest.raises(NotStarted):  # its row is stored, and the total is not enqueued
        fan_in.Part().perform(jobs[-1])
    assert fan_in.total("May") is None

    with AntQ(home / "jobs") as app:
        fan_in.Part().perform(jobs[-1])
        fan_in.Part().perform(jobs[0])  # another that sees that all are done

        until(lambda: app.count_jobs(status="completed") == 1)
        assert app.count_jobs() == 1
    assert fan_in.total("May") == 2470


# ---- the outbox -----------------------------------------------------------------------------


def orders_and_rows(outbox):
    with closing(outbox.connect()) as db:
        orders = db.execute("SELECT count(*) FROM orders").fetchone()
        rows = db.execute("SELECT count(*) FROM outbox").fetchone()
    return orders + rows


def test_a_transaction_that_fails_leaves_no_row_and_no_job(recipe, home):
    outbox = recipe("outbox")
    with closing(outbox.connect()) as db:
        outbox.place_order(db, 1, "jane@example.com")
        with pytest.raises(sqlite3.IntegrityError):
            outbox.place_order(db, 1, "joe@example.com")

    assert orders_and_rows(outbox) == (1, 1)


def test_a_relay_that_died_before_it_deleted_the_row_makes_no_second_job(recipe, home):
    outbox = recipe("outbox")
    with AntQ(home / "jobs", start_queues=False) as app, closing(outbox.connect()) as db:
        outbox.place_order(db, 1, "jane@example.com")
        db.execute(
            "CREATE TRIGGER no_delete BEFORE DELETE ON outbox"
            " BEGIN SELECT raise(ABORT, 'dies'); END"
        )
        with pytest.raises(sqlite3.IntegrityError, match="dies"):
            outbox.relay(db)
        assert (app.count_jobs(), orders_and_rows(outbox)) == (1, (1, 1))
        db.execute("DROP TRIGGER no_delete")

        outbox.relay(db)

        assert (app.count_jobs(), orders_and_rows(outbox)) == (1, (1, 0))


def test_every_row_has_a_job_although_the_rows_before_it_were_deleted(recipe, home):
    outbox = recipe("outbox")
    with AntQ(home / "jobs", start_queues=False) as app, closing(outbox.connect()) as db:
        for order in range(3):
            outbox.place_order(db, order, "jane@example.com")
            outbox.relay(db)

        assert [job.args["order"] for job in app.list_jobs()] == [0, 1, 2]


def test_a_killed_program_of_the_outbox_ends_with_one_job(start, home):
    program = start(OUTBOX)
    program.line()
    program.kill()

    code, out, err = start(OUTBOX).end()

    assert code == 0, err
    assert out.splitlines()[-1] == "1 completed"
    assert len(stored_jobs(home)) == 1
