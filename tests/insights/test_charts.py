"""What charts show: series of a window, by queue, worker and node, and as CSV."""

import csv
import io
import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors import AntQ, worker
from antq_actors.insights import Insights
from antq_actors.insights.as_json import as_json
from antq_actors.insights.charts import RUN_NAMES, WINDOWS, as_csv, percentile, split_runs
from antq_actors.storage.jobs.chart_counts import bucket_of
from antq_actors.testing import TestClock

START = datetime(2030, 1, 1, 12, 0, 5, tzinfo=UTC)


@worker(max_attempts=1, name="insights.charts:fulfil")
def fulfil(*, raises=False):
    if raises:
        raise ValueError("no")


@pytest.fixture
def clock():
    clock = TestClock(START)
    clock.freeze()
    return clock


@pytest.fixture
def app(clock):
    with AntQ(queues={"default": 2, "mail": 1}, clock=clock) as app:
        yield app


def values_of(charts, name, queue=None):
    (found,) = (each for each in charts.series if (each.name, each.queue) == (name, queue))
    return found.values


def test_each_window_ends_now_and_has_steps_of_one_length(app):
    for window, (length, step) in WINDOWS.items():
        charts = Insights(app).charts(window)

        assert (charts.window, charts.step) == (window, step / 1_000_000)
        assert len(charts.at) == length // step
        assert all(len(each.values) == len(charts.at) for each in charts.series)
        assert 0 <= (START - charts.at[-1]).total_seconds() < charts.step
        assert {
            (b - a).total_seconds() for a, b in zip(charts.at, charts.at[1:], strict=False)
        } == {charts.step}


def test_what_happened_is_in_its_step_also_before_it_is_written(app, clock):
    app.enqueue(fulfil)
    app.wait_idle(timeout=30)
    clock.advance(120)
    app.enqueue_many(fulfil, [{}] * 2)
    app.enqueue(fulfil, {"raises": True}, queue="mail")
    app.wait_idle(timeout=30)

    charts = Insights(app).charts("15m")

    assert values_of(charts, "enqueued") == (*[0] * 12, 1, 0, 3)
    assert values_of(charts, "completed") == (*[0] * 12, 1, 0, 2)
    assert values_of(charts, "failures") == (*[0] * 14, 1)
    assert values_of(charts, "enqueued", "mail") == (*[0] * 14, 1)
    assert values_of(charts, "run_p95")[:12] == (None,) * 12
    assert values_of(charts, "run_to_0.001") == (*[0] * 12, 1, 0, 3)


def test_windows_of_days_have_what_minutes_have(app, clock):
    app.enqueue(fulfil)
    app.wait_idle(timeout=30)
    clock.advance(7200)
    app.enqueue(fulfil)
    app.wait_idle(timeout=30)

    charts = Insights(app).charts("7d")

    assert values_of(charts, "completed")[-3:] == (1, 0, 1)


def test_charts_are_of_a_queue_a_worker_and_a_node(app):
    app.enqueue(fulfil)
    app.enqueue(fulfil, queue="mail")
    app.wait_idle(timeout=30)
    insights = Insights(app)

    for about, number in [
        ({}, 2),
        ({"queue": "mail"}, 1),
        ({"queue": "none"}, 0),
        ({"worker": "fulfil"}, 2),
        ({"worker": "insights.charts:fulfil", "queue": "mail"}, 1),
        ({"worker": "charts:fulfil"}, 0),
        ({"node": app.node}, 2),
        ({"node": 77}, 0),
    ]:
        charts = insights.charts(**about)
        assert sum(values_of(charts, "completed", about.get("queue"))) == number, about
        (first, *_) = charts.series
        assert {name: getattr(first, name) for name in about} == about


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"window": "2h"}, ValueError, "window is one of 15m, 1h, 6h, 24h, 7d, 14d, got '2h'"),
        ({"window": 3600}, ValueError, "window is one of .* got 3600"),
        ({"queue": 7}, TypeError, "queue must be a name"),
        ({"worker": fulfil}, TypeError, "worker must be a name"),
        ({"node": True}, TypeError, "node must be the number of a node"),
        ({"compare": "day"}, ValueError, "compare is 'week' or None, got 'day'"),
    ],
)
def test_what_makes_no_sense_is_refused(app, wrong, error, message):
    with pytest.raises(error, match=message):
        Insights(app).charts(**wrong)


def test_a_window_is_compared_with_the_same_one_a_week_before(app, clock):
    app.enqueue_many(fulfil, [{}] * 3)
    app.enqueue(fulfil, queue="mail")
    app.wait_idle(timeout=30)
    clock.advance(timedelta(days=7, hours=1))
    app.enqueue(fulfil)
    app.wait_idle(timeout=30)
    insights = Insights(app)

    days = insights.charts("14d", compare="week")
    assert values_of(days, "completed")[-1] == 1
    assert values_of(days, "completed_week_before")[-2:] == (4, 0)
    assert values_of(days, "completed_week_before")[-3] is None  # the store was not there
    mail = insights.charts("7d", queue="mail", compare="week")
    assert values_of(mail, "completed_week_before", "mail")[-2] == 1


def test_jobs_of_a_week_before_are_spread_over_steps_of_less_than_an_hour(app, clock):
    app.enqueue_many(fulfil, [{}] * 6)
    app.wait_idle(timeout=30)
    clock.advance(timedelta(days=7, minutes=30))

    found = Insights(app).charts("1h", compare="week")

    assert values_of(found, "completed_week_before") == (*[None] * 29, *[0.1] * 31)
    assert len(set(values_of(found, "run_p95_week_before")[29:])) == 1
    assert not any(
        each.name.startswith("run_to") for each in found.series if each.name.endswith("week_before")
    )
    assert [each for each in found.series if not each.name.endswith("week_before")] == list(
        Insights(app).charts("1h").series
    )


def test_a_store_of_today_has_nothing_to_compare_with(app):
    app.enqueue(fulfil)

    found = Insights(app).charts("24h", compare="week")

    assert set(values_of(found, "enqueued_week_before")) == {None}


def test_pauses_are_marks(app):
    app.queue("mail").pause(by="ada")
    app.queue("mail").resume()

    marks = Insights(app).charts().marks

    assert [(each.kind, each.text) for each in marks] == [
        ("node_up", f"node {app.node} has started"),
        ("paused", "queue mail was paused by ada"),
        ("resumed", "queue mail was resumed"),
    ]


def test_as_json_they_have_the_keys_of_the_api(app):
    app.enqueue(fulfil)
    app.wait_idle(timeout=30)

    shown = as_json(Insights(app).charts())

    assert list(shown) == ["window", "step", "at", "series", "marks"]
    assert list(shown["series"][0]) == ["name", "queue", "worker", "node", "unit", "values"]
    assert list(shown["marks"][0]) == ["at", "kind", "text"]
    assert shown["at"][-1] == "2030-01-01T12:00:00+00:00"


def test_as_csv_each_series_is_a_column(app):
    app.enqueue(fulfil, queue="mail")
    app.wait_idle(timeout=30)
    charts = Insights(app).charts("15m")

    heading, *rows = csv.reader(io.StringIO(as_csv(charts)))

    assert heading[:2] == ["at", "enqueued (jobs)"]
    assert "completed (jobs): queue mail" in heading
    assert len(rows) == 15
    assert rows[-1][:2] == ["2030-01-01T12:00:00+00:00", "1"]
    assert rows[0][heading.index("run_p50 (s)")] == ""


@given(st.lists(st.integers(0, 10**9), min_size=1), st.sampled_from([0.5, 0.95]))
def test_a_percentile_is_as_far_off_as_its_bucket_is_wide(times, share):
    buckets = {}
    for each in times:
        buckets[bucket_of(each)] = buckets.get(bucket_of(each), 0) + 1
    exact = sorted(times)[math.ceil(len(times) * share) - 1]

    found = percentile(buckets, share)

    assert found is not None
    assert abs(found * 1e6 - exact) <= exact / 8 + 1
    assert sum(split_runs(buckets)) == len(times)
    assert len(split_runs(buckets)) == len(RUN_NAMES)
