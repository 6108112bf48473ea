"""The table of charts: each job is counted once, in its minute, whatever way it took."""

import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.apps import until

from antq_actors import (
    AlreadyExists,
    AntQ,
    Cancel,
    QueueConfig,
    Snooze,
    Unique,
    Worker,
    otp,
    worker,
)
from antq_actors.jobs.instant import from_datetime
from antq_actors.jobs.outcome import COMPLETED
from antq_actors.otp import GenServer, Supervisor
from antq_actors.storage.format.records import Settlement
from antq_actors.storage.jobs import chart_counts, charts
from antq_actors.storage.jobs.chart_counts import (
    MOST_KINDS,
    OTHERS,
    ChartCounts,
    bounds_of,
    bucket_of,
)
from antq_actors.storage.jobs.charts import HOUR
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.testing import TestClock

START = datetime(2030, 1, 1, 12, 0, 5, tzinfo=UTC)
MIDNIGHT = from_datetime(START.replace(hour=0, second=0))
LATER = MIDNIGHT + 100 * charts.DAY


@worker(max_attempts=2)
def fulfil(*, raises=False, text=""):
    if raises:
        raise ValueError("no")


class Other(Worker):
    def perform(self, job):
        if job.args.get("snooze"):
            return Snooze(3600)
        return Cancel("enough") if job.args.get("cancel") else None


class Crashes(GenServer):
    def handle_cast(self, request):
        raise ValueError(request)


@pytest.fixture
def clock():
    clock = TestClock(START)
    clock.freeze()
    return clock


def charted(app, *, by_hour=False):
    """What the table has, with what is not written yet."""
    store = app.antq_here().store
    found = store.read(JobReader.charts, 0, LATER, by_hour=by_hour)
    return found._replace(rows=[*found.rows, *charts.pending_rows(store.counts)])


def totals(app):
    """How many there were of each, by queue and worker, whenever and wherever."""
    found = Counter()
    for row in charted(app).rows:
        for kind in row.kinds:
            name = kind.worker.rpartition(":")[2]
            for what, number in kind.counts.items():
                found[kind.queue, name, what] += number
            assert sum(kind.waits.values()) == kind.counts.get(chart_counts.WAITED, 0)
    return found


def write(app):
    """Have what was counted written by the next transaction, as when ten seconds are over."""
    store = app.antq_here().store
    store.counts.due = 0.0
    store.write(lambda _: None)


def test_jobs_are_counted_once_however_they_came_in_and_ended(tmp_path):
    with AntQ(tmp_path / "jobs", queues={"default": 4, "mail": 2}) as app:
        for _ in range(3):
            app.enqueue(fulfil)
        app.enqueue_many(fulfil, [{}] * 200)
        app.enqueue_many(fulfil, [{"text": "x" * 2_000}] * 20)  # not in their records
        app.enqueue(fulfil, {"raises": True})
        app.enqueue(Other, {"cancel": True}, queue="mail")
        app.enqueue(Other, {"snooze": True}, queue="mail")
        waiting = app.enqueue(Other, queue="mail", schedule_in=3600)
        app.cancel_job(waiting)
        app.wait_idle(timeout=30)

        found = totals(app)

    assert found == {
        ("default", "fulfil", chart_counts.ENQUEUED): 224,
        ("default", "fulfil", chart_counts.WAITED): 225,
        ("default", "fulfil", chart_counts.COMPLETED): 223,
        ("default", "fulfil", chart_counts.RETRYING): 1,
        ("default", "fulfil", chart_counts.FAILED): 1,
        ("mail", "Other", chart_counts.ENQUEUED): 3,
        ("mail", "Other", chart_counts.WAITED): 2,
        ("mail", "Other", chart_counts.CANCELLED): 2,
        ("mail", "Other", chart_counts.SNOOZED): 1,
    }


def test_jobs_of_several_workers_that_change_together_are_counted_apart():
    with AntQ(queues={"default": 20}) as app:
        app.queue("default").pause()
        for _ in range(5):
            app.enqueue(fulfil)
            app.enqueue_many(Other, [{}] * 2)
        app.queue("default").resume()
        app.wait_idle(timeout=30)

        found = totals(app)

    for what in (chart_counts.ENQUEUED, chart_counts.WAITED, chart_counts.COMPLETED):
        assert found["default", "fulfil", what] == 5
        assert found["default", "Other", what] == 10


@pytest.mark.parametrize("size", [0, 2_000])  # in its record, and beside it
def test_a_settlement_that_names_no_worker_is_counted_by_the_record_of_its_job(clock, size):
    with AntQ(start_queues=False, clock=clock) as app:
        store = app.antq_here().store
        app.enqueue_many(fulfil, [{"text": "x" * size}] * 2)
        now = from_datetime(START)
        store.write(JobStore.add_node, 7, ["default"])
        claim = store.write(JobStore.work, "default", [], node=7, limit=2, now=now)
        ends = [Settlement(job.id, job.state.execution, COMPLETED) for job in claim.jobs]
        store.write(JobStore.work, "default", ends, node=7, limit=0, now=now)

        assert totals(app)["default", "fulfil", chart_counts.COMPLETED] == 2


def test_an_attempt_that_fails_for_good_is_a_failure():
    with AntQ() as app:
        app.enqueue(fulfil, {"raises": True}, max_attempts=1)
        app.wait_idle(timeout=30)

        assert totals(app)["default", "fulfil", chart_counts.FAILED] == 1


def test_jobs_with_limits_are_counted_as_others_are():
    with AntQ(queues={"default": QueueConfig(4, global_concurrency=1)}) as app:
        app.enqueue_many(fulfil, [{}] * 20)
        app.wait_idle(timeout=30)

        found = totals(app)

    assert found["default", "fulfil", chart_counts.COMPLETED] == 20
    assert found["default", "fulfil", chart_counts.WAITED] == 20


def test_how_long_jobs_waited_and_ran_is_counted_from_when_each_was_due(clock):
    with AntQ(clock=clock) as app:
        app.queue("default").pause()
        app.enqueue(fulfil)
        clock.advance(4)
        app.enqueue_many(fulfil, [{}] * 2)
        clock.advance(2)
        app.queue("default").resume()
        app.wait_idle(timeout=30)

        (row,) = charted(app).rows

    (kind,) = row.kinds
    six, two = bucket_of(6_000_000), bucket_of(2_000_000)
    assert kind.waits == {six: 1, two: 2}
    assert kind.runs == {bucket_of(0): 3}


def test_what_was_counted_is_written_by_a_commit_after_ten_seconds(clock):
    with AntQ(start_queues=False, clock=clock) as app:
        store = app.antq_here().store
        app.enqueue(fulfil)
        app.enqueue(fulfil)
        before = store.read(JobReader.charts, 0, LATER, by_hour=False).rows
        assert 0 < store.counts.due - time.monotonic() <= chart_counts.WRITE_SECONDS
        store.counts.due = 0.0
        app.enqueue(fulfil)
        after = store.read(JobReader.charts, 0, LATER, by_hour=False).rows

        assert before == []
        assert [kind.counts for row in after for kind in row.kinds] == [{chart_counts.ENQUEUED: 2}]
        assert totals(app)["default", "fulfil", chart_counts.ENQUEUED] == 3


def test_what_was_counted_belongs_to_its_own_minute(clock):
    with AntQ(start_queues=False, clock=clock) as app:
        app.enqueue(fulfil)
        clock.advance(600)
        app.enqueue(fulfil)

        rows = charted(app).rows

    first = from_datetime(START.replace(second=0))
    assert [row.at for row in rows] == [first, first + 10 * chart_counts.MINUTE]


def test_what_was_counted_is_written_when_the_store_is_closed(tmp_path):
    with AntQ(tmp_path / "jobs", start_queues=False) as app:
        app.enqueue(fulfil)
    with AntQ(tmp_path / "jobs", start_queues=False) as app:
        app.enqueue(fulfil)
    with AntQ(tmp_path / "jobs", start_queues=False) as app:
        assert totals(app)["default", "fulfil", chart_counts.ENQUEUED] == 2
        assert app.verify() == []


def test_a_refused_write_counts_nothing():
    with AntQ(start_queues=False) as app:
        app.enqueue(fulfil, {"text": "a"}, unique=Unique(args=["text"]))
        with pytest.raises(AlreadyExists):
            app.enqueue(fulfil, {"text": "a"}, unique=Unique(args=["text"]))

        (row,) = charted(app).rows

    assert row.kinds[0].counts == {chart_counts.ENQUEUED: 1}


def test_what_was_imported_is_not_counted(tmp_path):
    with AntQ(tmp_path / "one", start_queues=False) as app:
        app.enqueue(fulfil)
        lines = list(app.export_jobs())
    with AntQ(tmp_path / "two", start_queues=False) as app:
        app.import_jobs(lines)
        assert app.count_jobs() == 1

        assert charted(app).rows == []


def test_rows_of_minutes_are_kept_for_a_day_and_those_of_hours_for_21(clock):
    with AntQ(start_queues=False, clock=clock) as app:
        for _ in range(23):
            app.enqueue(fulfil)
            clock.advance(timedelta(days=1, seconds=60))
        write(app)
        app.enqueue(fulfil)

        minutes = charted(app).rows
        hours = app.antq_here().store.read(JobReader.charts, 0, LATER, by_hour=True).rows

    assert len(minutes) == 2  # the last one written, and the one that is not yet
    assert len(hours) == 21
    assert all(row.at % HOUR == 0 for row in hours)


def test_the_first_commit_of_a_minute_that_writes_counts_samples_the_file(tmp_path, clock):
    with AntQ(tmp_path / "jobs", start_queues=False, clock=clock) as app:
        store = app.antq_here().store
        assert store.read(JobReader.file_samples) == []
        for minutes in (0, 0, 1, 1):
            clock.advance(timedelta(minutes=minutes))
            app.enqueue_many(fulfil, [{"text": "x" * 900}] * 50)
            write(app)

        samples = store.read(JobReader.file_samples)
        assert [each.at // chart_counts.MINUTE for each in samples] == [
            from_datetime(START) // chart_counts.MINUTE + n for n in range(3)
        ]
        assert samples[0].pages < samples[1].pages < samples[2].pages
        assert samples[0].txn < samples[1].txn < samples[2].txn
        assert all(0 < each.commit <= each.commit_p95 < 60 for each in samples)

        clock.advance(timedelta(days=1))
        app.enqueue(fulfil)
        write(app)
        assert len(store.read(JobReader.file_samples)) == 1
        assert app.verify() == []


def test_the_row_of_an_hour_has_what_its_minutes_have(clock):
    with AntQ(start_queues=False, clock=clock) as app:
        for _ in range(5):
            app.enqueue(fulfil)
            clock.advance(60)
        write(app)

        minutes = charted(app).rows
        (hour,) = charted(app, by_hour=True).rows

    assert len(minutes) == 5
    assert hour.kinds[0].counts == {chart_counts.ENQUEUED: 5}


def test_no_transaction_has_to_add_up_what_very_many_have_noted():
    with AntQ(queues={"default": 1}) as app:
        counts = app.antq_here().store.counts
        app.queue("default").pause()
        app.enqueue_many(fulfil, [{}] * 6_000)

        app.cancel_jobs(queue="default")  # each notes its own end

        assert sum(map(len, counts.waiting)) <= chart_counts.MOST_NOTED + 1
        assert totals(app)["default", "fulfil", chart_counts.CANCELLED] == 6_000


def test_workers_beyond_the_most_are_counted_together():
    counts = ChartCounts(lambda: LATER)
    for number in range(MOST_KINDS + 3):
        came_in = chart_counts.ENQUEUED, chart_counts.NO_TIME, 1
        counts.waiting.append([(7, "default", f"w{number}", None, *came_in)])

    ((_, _, kinds),) = charts.pending_rows(counts)

    assert len(kinds) == MOST_KINDS + 1
    assert kinds[-1].worker == OTHERS
    assert kinds[-1].counts == {chart_counts.ENQUEUED: 3}


def test_pauses_and_nodes_are_marked(tmp_path):
    with AntQ(tmp_path / "jobs", queues={"default": 1}) as app:
        app.queue("default").pause()
        app.queue("default").pause()
        app.queue("default").resume()
    with AntQ(tmp_path / "jobs", start_queues=False) as app:
        marks = charted(app).marks

    assert [mark.kind for mark in marks] == ["node_up", "paused", "resumed", "node_down"]
    assert marks[1].text == "queue default was paused"


def test_a_node_with_another_release_than_the_one_before_is_marked():
    with AntQ(start_queues=False) as app:
        store = app.antq_here().store
        for node, version in enumerate(["1.0", "1.0", "", "1.1", "1.1"], 1):
            store.write(JobStore.add_node, node, ["default"], version)

        marks = [mark for mark in charted(app).marks if mark.kind == charts.DEPLOYED]

    assert [mark.text for mark in marks] == ["node 4 has started with antq_actors 1.1, after 1.0"]


def gave_up(app):
    return [mark.text for mark in charted(app).marks if mark.kind == charts.GAVE_UP]


def test_a_supervisor_that_gives_up_is_marked_though_no_job_is_written(tmp_path):
    with AntQ(tmp_path / "one", queues={"default": 1}) as app, AntQ(tmp_path / "two") as other:
        app.wait_idle(timeout=30)
        supervisor = Supervisor.start([Crashes.child_spec(id="one", name="crashes")], name="shop")
        Supervisor.terminate_child(supervisor, "one")
        otp.stop(supervisor)
        assert gave_up(app) == []  # it was stopped

        supervisor = Supervisor.start(
            [Crashes.child_spec(id="one", name="crashes")], max_restarts=0, name="shop"
        )
        otp.cast("crashes", "now")
        until(lambda: gave_up(app) and gave_up(other), "the mark of both")

        (text,) = gave_up(app)
        assert text == f"supervisor shop of node {app.node} gave up: Crash(ValueError: now)"
        until(lambda: not app.antq_here().store.counts.marks, "its being written")
    with AntQ(tmp_path / "one", start_queues=False) as app:
        assert gave_up(app) == [text]


def test_the_end_of_a_queues_supervisor_is_marked_in_its_own_store_alone(tmp_path):
    with AntQ(tmp_path / "one", queues={"default": 1}) as app, AntQ(tmp_path / "two") as other:
        names = app.antq_here().names

        def kill_queue():
            with suppress(otp.CallExit):
                otp.exit(names.queue("default"), otp.Killed())
            return gave_up(app)

        until(kill_queue, "the end of its supervisor")

        assert gave_up(app)[0].startswith(f"supervisor {names.root}/queues/default of node")
        assert gave_up(other) == []


def test_marks_wait_for_a_store_that_refuses():
    counts = ChartCounts(lambda: LATER)
    counts.mark("gave_up", "one")
    aborted = counts.take()
    assert [mark.text for mark in counts.take_marks()] == ["one"]
    counts.mark("gave_up", "two")
    counts.forget({})  # of a transaction that was aborted
    assert aborted == {}
    assert [mark.text for mark in counts.marks] == ["one", "two"]

    written = counts.take()
    counts.take_marks()
    counts.mark("gave_up", "three")
    counts.forget(written)

    assert [mark.text for mark in counts.marks] == ["three"]
    assert counts.due < time.monotonic()


def test_of_too_many_marks_the_oldest_go(clock, monkeypatch):
    monkeypatch.setattr(charts, "MOST_MARKS", 3)
    with AntQ(start_queues=False, clock=clock) as app:
        for _ in range(4):
            app.queue("default").pause()
            app.queue("default").resume()  # at the same instant

        marks = charted(app).marks

    assert [mark.kind for mark in marks] == ["resumed", "paused", "resumed"]


def test_a_damaged_row_is_found_and_counts_for_nothing(tmp_path, clock):
    def damage(store):
        table = store._tables.further(store._txn, charts.TABLE)
        for key, _ in store._txn.cursor(table):
            store._txn.put(key, b"\xc1", db=table)
        store._txn.put(b"?", b"", db=table)
        store.has_changed = True

    with AntQ(tmp_path / "jobs", start_queues=False, clock=clock) as app:
        app.enqueue(fulfil)
        app.queue("default").pause()
        write(app)
        app.antq_here().store.write(damage)

        assert [each for each in app.verify() if not each.startswith("charts: ")] == []
        assert len(app.verify()) == 5  # a minute, an hour, a mark, a sample, a key
        assert app.antq_here().store.read(JobReader.file_samples) == []
        assert charted(app)[:2] == ([], [])
        app.enqueue(fulfil)
        write(app)
        assert totals(app)["default", "fulfil", chart_counts.ENQUEUED] == 1


@given(st.integers(0, 2**62))
def test_a_duration_is_within_its_bucket_which_is_no_wider_than_a_quarter(duration):
    least, following = bounds_of(bucket_of(duration))

    assert least <= duration < following
    assert following - least <= max(1, least // 4)
    assert bucket_of(following) == bucket_of(duration) + 1
