"""Jobs go out as lines of JSON and come in again as they were."""

import base64
import datetime as dt
import json
import os
import pickle
from collections import Counter
from pathlib import PurePosixPath

import pytest
from support.apps import settled
from support.exact import EACH_CODE, exact

from antq_actors import AlreadyExists, AntQ, BatchError, Unique, Worker

GIVEN = {}


class Task(Worker, name="transfer:Task", max_attempts=3, timeout=9.5):
    def perform(self, job):
        GIVEN[job.id] = exact(job.args)
        if job.args.get("fail"):
            raise ValueError("it failed")

    def calculate_delay(self, job):
        return 0.0 if job.attempts < 2 else 3600.0


class Only(Worker, name="transfer:Only", unique=Unique(args=["n"])):
    def perform(self, job): ...


NO_UTF8 = os.fsdecode(b"report\xff.txt")

EVERY_KIND = [
    {},
    {"n": 1, "x": 1.5, "text": "ü", "list": [1, None, True], "map": {"a": {}}},
    {"tuple": (1, 2), "bytes": b"\0", "set": {1}},
    {"big": 2**70, "nan": float("nan")},
    {"n": 0},
]


@pytest.fixture
def source(tmp_path):
    with AntQ(tmp_path / "source") as app:
        for args in EVERY_KIND:
            settled(app, app.enqueue(Task, args, priority=5))
        settled(app, app.enqueue(Task, {"fail": True}), "retrying")
        settled(app, app.enqueue(Task, {"fail": True}, max_attempts=1))
        app.queue("default").pause()
        app.enqueue(Only, {"n": 1})
        app.enqueue(Task, {}, schedule_in=3600)
        app.cancel_worker(app.enqueue(Task, {}))
        yield app


@pytest.fixture
def target(tmp_path):
    with AntQ(tmp_path / "target", start_queues=False) as app:
        yield app


def seen(app):
    return [repr(job) for job in app.list_workers()]


def test_an_empty_store_gets_every_job_as_it_was(source, target):
    imported = target.import_jobs(source.export_jobs())

    assert imported == (10, 0)
    assert seen(target) == seen(source)
    assert target.verify() == []
    assert target.enqueue(Task, {}).id == 11


def test_a_line_says_all_in_plain_json_where_json_can(source):
    head, *lines = map(json.loads, source.export_jobs())

    assert head == {"antq_export": 1}
    assert [line["id"] for line in lines] == list(range(1, 11))
    assert lines[1]["args"] == EVERY_KIND[1]
    assert "args" not in lines[2]
    assert "typed_args" in lines[2]
    failed = lines[6]
    assert (failed["status"], failed["attempts"], failed["timeout"]) == ("failed", 1, 9.5)
    assert failed["errors"][0]["error"] == "it failed"
    assert "ValueError" in failed["errors"][0]["stack_trace"]
    assert failed["errors"][0]["error_type"] == "ValueError"
    assert failed["inserted_at"] <= failed["started_at"] <= failed["ended_at"]


def test_each_type_is_exported_and_comes_back_exactly(tmp_path, target):
    kinds = {**{f"kind {code}": value for code, value in EACH_CODE.items()}, "zero": -0.0}
    each = [{name: value} for name, value in kinds.items()] + [{"in": kinds}]
    with AntQ(tmp_path / "kinds", start_queues=False) as app:
        app.enqueue_many(Task, each)
        before = [exact(job.args) for job in app.list_jobs()]
        lines = list(app.export_jobs())

    target.import_jobs(lines)
    shown = [exact(job.args) for job in target.list_jobs()]
    target.stop()
    with AntQ(tmp_path / "target") as app:
        ended = [settled(app, job) for job in app.list_jobs()]

    assert shown == before
    assert [job.status for job in ended] == ["completed"] * len(each)
    assert [GIVEN[job.id] for job in ended] == [exact(args) for args in each]


def test_pickled_arguments_of_an_earlier_release_are_imported_as_they_were(target, tmp_path):
    plain = {"tuple": (1, 2), "at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}
    opaque = {"n": 1, "count": Counter("aab")}
    lines = [a_line(args=None, pickled_args=of_earlier(args)) for args in (plain, opaque)]

    target.import_jobs([HEAD, *lines])

    shown, hidden = (job.args for job in target.list_jobs())
    assert exact(shown) == exact(plain)
    assert "earlier release" in repr(hidden)
    again = list(map(json.loads, target.export_jobs()))[1:]
    assert (again[0]["typed_args"] is not None, again[1]["pickled_args"]) == (
        True,
        of_earlier(opaque),
    )
    target.stop()
    with AntQ(tmp_path / "target") as app:
        assert [settled(app, job).status for job in app.list_jobs()] == ["completed"] * 2
    assert [GIVEN[1], GIVEN[2]] == [exact(plain), exact(opaque)]


def of_earlier(args):
    """Return arguments as an export of an earlier release has them."""
    return base64.b64encode(pickle.dumps(args, 5)).decode()


def test_filters_choose(source):
    assert len(list(source.export_jobs(status="failed"))) == 2
    assert len(list(source.export_jobs(status=["failed", "retrying"], queue_name="default"))) == 3
    assert len(list(source.export_jobs(queue_name="other"))) == 1


def test_a_store_that_had_jobs_gives_new_ids_and_leaves_waiting_duplicates_out(source, target):
    target.enqueue(Only, {"n": 1})

    imported = target.import_jobs(source.export_jobs())

    assert imported == (9, 1)
    assert [job.id for job in target.list_workers()] == list(range(1, 11))
    assert target.verify() == []


def test_what_ran_waits_again(source, target):
    lines = list(source.export_jobs(status="failed"))
    job = json.loads(lines[1]) | {"status": "running", "attempts": 2}

    target.import_jobs([lines[0], json.dumps(job)])

    (found,) = target.list_workers()
    assert (found.status, found.attempts, found.interruptions) == ("enqueued", 1, 0)
    assert (found.started_at is not None, found.ended_at) == (True, None)


def test_times_and_types_of_errors_come_along(source, target):
    target.import_jobs(source.export_jobs())

    for before, after in zip(source.list_workers(), target.list_workers(), strict=True):
        assert (after.started_at, after.ended_at) == (before.started_at, before.ended_at)
        assert [e.error_type for e in after.errors] == [e.error_type for e in before.errors]
    assert {job.ended_at is None for job in target.list_workers(status="failed")} == {False}


def test_a_line_of_an_earlier_release_has_neither(source, target):
    head, line = list(source.export_jobs(status="failed"))[:2]
    job = json.loads(line)
    del job["started_at"], job["ended_at"], job["errors"][0]["error_type"]

    target.import_jobs([head, json.dumps(job)])

    (found,) = target.list_workers()
    assert (found.started_at, found.ended_at) == (None, found.updated_at)
    assert found.errors[0].error_type is None


def an_error(number):
    return {"attempt": number, "error": f"error {number}", "at": "2026-01-01T00:00:00Z"}


def the_errors(count):
    """All errors of a job, as an export of an earlier release has them: newest first."""
    return [an_error(number) for number in range(count, 0, -1)]


def test_an_import_keeps_the_newest_errors_and_the_first_and_the_count_of_all(target):
    target.import_jobs([HEAD, a_line(errors=the_errors(30_000))])

    job = target.get_worker(1)
    attempts = [error.attempt for error in job.errors]
    assert attempts == [*range(30_000, 30_000 - 24, -1), 1]
    assert job.error_count == 30_000
    assert target.verify() == []


def test_the_count_of_errors_goes_out_and_comes_in_again(target, tmp_path):
    target.import_jobs([HEAD, a_line(errors=the_errors(100))])
    lines = list(target.export_jobs())
    with AntQ(tmp_path / "third", start_queues=False) as third:
        third.import_jobs(lines)

        assert seen(third) == seen(target)
        assert third.get_worker(1).error_count == 100
        assert third.verify() == []


def test_an_imported_job_counts_its_errors_on(target, tmp_path):
    with AntQ(tmp_path / "third") as third:
        line = a_line(errors=the_errors(40), args={"fail": True}, max_attempts=1)
        third.import_jobs([HEAD, line])
        failed = settled(third, third.get_worker(1))

        assert (failed.error_count, len(failed.errors)) == (41, 25)
        assert (failed.errors[0].error, failed.errors[-1].error) == ("it failed", "error 1")
        assert third.verify() == []


@pytest.mark.parametrize(
    ("errors", "count", "counted", "kept"),
    [(0, 0, 0, 0), (0, 9, 9, 0), (3, 0, 3, 3), (3, 3, 3, 3), (5, 68, 68, 5), (99, 68, 99, 25)],
)
def test_an_import_counts_no_fewer_errors_than_it_brings(target, errors, count, counted, kept):
    target.import_jobs([HEAD, a_line(errors=the_errors(errors), error_count=count)])

    job = target.get_worker(1)
    assert (job.error_count, len(job.errors)) == (counted, kept)
    assert target.verify() == []


def test_an_import_cuts_texts_that_are_too_long(target):
    error = an_error(1) | {"error": "x" * 10**6, "stack_trace": "y" * 10**6}

    target.import_jobs([HEAD, a_line(errors=[error])])

    (found,) = target.get_worker(1).errors
    assert len(found.error) < len(found.stack_trace) <= 64 * 1024
    assert ("cut to 8192" in found.error, "cut to 65536" in found.stack_trace) == (True, True)


def test_an_imported_job_is_run(source, tmp_path):
    lines = list(source.export_jobs())
    with AntQ(tmp_path / "third") as app:
        app.import_jobs(lines)
        only = settled(app, app.list_workers(worker=Only)[0])
        assert only.status == "completed"


def a_line(**changes):
    plain = {
        "id": 1,
        "worker": "transfer:Task",
        "queue": "default",
        "status": "enqueued",
        "inserted_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "args": {},
    }
    return json.dumps({**plain, **changes})


HEAD = '{"antq_export": 1}'


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("nonsense", "malformed"),
        ("[]", "Expected `object`"),
        (a_line(status="lost"), "Invalid enum value 'lost'"),
        (a_line(queue=""), "queue"),
        (a_line(id=0), "id is at least 1"),
        (a_line(attempts=-1), "attempts"),
        (a_line(error_count=-1), "error_count"),
        (a_line(error_count=2**63), "at most"),
        (a_line(attempts=2**100), "at most"),
        (a_line(interruptions=10**30), "at most"),
        (a_line(max_attempts=2**64), "at most"),
        (a_line(id=2**64 - 1), "at most"),
        (a_line(errors=[an_error(-(2**70))]), "at most"),
        (a_line(priority=500), "priority is from -128 to 127"),
        (a_line(args=None), "either args or pickled_args"),
        (a_line(pickled_args="AAAA"), "either args or pickled_args"),
        (a_line(typed_args="AAAA"), "either args or pickled_args or typed_args"),
        (a_line(args=None, typed_args="AAAA", pickled_args="AAAA"), "either args or pickled_args"),
        (a_line(args=None, typed_args="no base64"), "base64"),
        (a_line(colour="red"), "unknown field `colour`"),
        (a_line(inserted_at="yesterday"), "Invalid RFC3339"),
    ],
)
def test_a_line_that_is_wrong_is_refused_with_its_number_and_those_before_it_are_stored(
    target, line, error
):
    with pytest.raises(BatchError, match=r"line 3 was not imported, 1 jobs before it were") as info:
        target.import_jobs([HEAD, a_line(), line, a_line()])

    assert error in str(info.value)
    assert (info.value.index, info.value.ids) == (2, [1])
    assert target.count_workers() == 1


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ([a_line(), a_line()], "this is no export of antq"),
        (["", a_line()], "this is no export of antq"),
        (['{"antq_export": 2}', a_line()], "newer antq"),
        ([HEAD, a_line(timeout=-5)], "timeout is more than 0"),
        ([HEAD, a_line(timeout=0)], "timeout is more than 0"),
        ([HEAD, a_line(unique=["n"], unique_digest="A" * 400)], "at most 64 bytes"),
    ],
)
def test_what_is_no_export_or_could_not_be_stored_or_run_is_refused(target, lines, error):
    with pytest.raises(BatchError, match=error):
        target.import_jobs(lines)

    assert target.count_workers() == 0


@pytest.mark.parametrize("lines", [None, 5])
def test_what_has_no_lines_is_a_type_error(target, lines):
    with pytest.raises(TypeError, match="lines must be the lines of an export"):
        target.import_jobs(lines)


def test_a_planted_pickle_is_stored_and_listed_without_running_anything(target, tmp_path):
    bomb = b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR."
    line = a_line(args=None, pickled_args=base64.b64encode(bomb).decode())

    target.import_jobs([HEAD, line])

    assert "opaque" in repr(target.get_worker(1).args)
    assert not (tmp_path / "ran").exists()


# ---- text that is no UTF-8 ------------------------------------------------------------------


class Raises(Worker, name="transfer:Raises", unique=Unique(args=["file"])):
    def perform(self, job):
        raise FileNotFoundError(job.args["file"])


WITHOUT_UTF8 = [
    {"file": NO_UTF8},
    {"file": NO_UTF8[:-4], NO_UTF8: 1},
    {"file": "a", "files": [{NO_UTF8: [NO_UTF8, "\ud800"]}, {"n": {"\udfff\ud83d": None}}]},
    {"file": PurePosixPath(NO_UTF8)},
]


def test_arguments_that_are_no_utf8_are_exported_and_come_back_the_same(tmp_path):
    with AntQ(tmp_path / "source") as app:
        for args in WITHOUT_UTF8:
            settled(app, app.enqueue(Raises, args))
        app.queue("default").pause()
        app.enqueue(Raises, WITHOUT_UTF8[0])
        lines = list(app.export_jobs())
        before = app.list_workers()
    with AntQ(tmp_path / "target", start_queues=False) as app:
        imported = app.import_jobs(lines)

        assert imported == (5, 0)
        assert app.list_workers() == before
        assert [job.args for job in before] == [*WITHOUT_UTF8, WITHOUT_UTF8[0]]
        assert [job.errors[0].error for job in before[:2]] == ["report\\udcff.txt", "report\\udcff"]
        assert list(app.export_jobs()) == lines
        assert app.verify() == []
        with pytest.raises(AlreadyExists):
            app.enqueue(Raises, {"file": NO_UTF8})
        assert [job.id for job in app.list_workers(args={"file": NO_UTF8})] == [1, 5]


def test_an_imported_argument_that_is_no_utf8_is_what_the_worker_gets(tmp_path):
    with AntQ(tmp_path / "source", start_queues=False) as app:
        app.enqueue(Raises, {"file": NO_UTF8})
        lines = list(app.export_jobs())

    with AntQ(tmp_path / "target") as app:
        app.import_jobs(lines)
        (entry,) = settled(app, app.list_workers()[0]).errors

    assert entry.error == "report\\udcff.txt"


@pytest.mark.filterwarnings("ignore:no job")
def test_names_that_are_no_utf8_match_no_job_and_are_refused_in_an_import(tmp_path):
    with AntQ(tmp_path / "source", start_queues=False) as app:
        app.enqueue(Raises, {"file": NO_UTF8})

        assert app.list_workers(queue_name=NO_UTF8) == app.list_workers(worker=NO_UTF8) == []
        assert app.count_workers(queue_name=NO_UTF8) == 0
        assert len(list(app.export_jobs(queue_name=NO_UTF8))) == 1
        for name in ("worker", "queue"):
            with pytest.raises(BatchError, match="line 2 was not imported"):
                app.import_jobs([HEAD, a_line(**{name: NO_UTF8})])
