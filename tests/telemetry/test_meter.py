"""Ended executions and commits are counted as they pass, each once."""

import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.events import Committed, JobEnded, Pruned, Several
from antq_actors.events.hub import MOST_BUFFERED, Hub
from antq_actors.telemetry.meter import BOUNDS, Histogram, Meter, meter_of, read_meter

AT = datetime(2026, 11, 29, tzinfo=UTC)


def ended(outcome="completed", *, id_=1, queue="mail", worker="shop:Mail", took=0.5, waited=0.1):
    meta = {}
    return JobEnded(AT, 1, id_, worker, queue, 1, meta, outcome, took, waited, None, None)


def several(ids, **values):
    fields = vars(ended(**values)).copy()
    del fields["id"]
    return Several(JobEnded, fields, ids)


@given(st.lists(st.floats(0, 4000)))
def test_a_value_is_in_each_bucket_that_ends_at_it_or_beyond(values):
    histogram = Histogram()

    for value in values:
        histogram.observe(value)

    found = histogram.distribution()
    assert found.cumulative == (
        *(sum(value <= bound for value in values) for bound in BOUNDS),
        len(values),
    )
    assert found.total == pytest.approx(sum(values))


def test_jobs_that_ended_together_are_counted_as_if_one_by_one():
    alone, together = Meter(), Meter()

    alone.take([ended(id_=id_) for id_ in range(1, 4)])
    together.take([several([1, 2, 3])])

    assert alone.readings() == together.readings()
    assert together.readings().ended[0].duration.cumulative[-1] == 3


def test_jobs_that_ended_together_have_each_its_own_queue_time():
    alone, together = Meter(), Meter()

    alone.take([ended(id_=1, waited=0.25), ended(id_=2, waited=2048.0), ended(id_=3, waited=0.0)])
    together.take([several([1, 2, 3])._replace(queue_times=[0.25, 2048.0, 0.0])])

    assert alone.readings() == together.readings()


def test_outcomes_are_counted_apart_for_each_queue_and_worker():
    meter = Meter()

    meter.take([ended(), ended("failed"), ended("failed"), ended(queue="other")])
    meter.take([ended(worker="shop:Other")])

    found = {(each.queue, each.worker): each.outcomes for each in meter.readings().ended}
    assert found == {
        ("mail", "shop:Mail"): {"completed": 1, "failed": 2},
        ("other", "shop:Mail"): {"completed": 1},
        ("mail", "shop:Other"): {"completed": 1},
    }


def test_commits_are_observed_by_how_long_they_took():
    meter = Meter()

    meter.take([Committed(AT, 1, jobs=3, waited=100.0, took=0.02)])

    assert meter.readings().commits.total == 0.02


def test_other_events_are_not_counted():
    meter = Meter()
    before = meter.readings()

    meter.take([Pruned(AT, 1, 3), Several(Pruned, {}, [1])])

    assert meter.readings() == before


def test_readings_stay_as_they_were():
    meter = Meter()
    meter.take([ended()])
    found = meter.readings()
    before = pickle.dumps(found)

    meter.take([ended("failed")])

    assert pickle.dumps(found) == before


def test_more_is_counted_than_a_subscription_would_keep():
    hub = Hub()
    meter_of(hub)

    hub.publish(*[ended(id_=id_) for id_ in range(3 * MOST_BUFFERED)])

    assert read_meter(hub).ended[0].outcomes == {"completed": 3 * MOST_BUFFERED}


def test_a_hub_has_one_meter():
    hub = Hub()

    assert meter_of(hub) is meter_of(hub)
    assert meter_of(hub) is not meter_of(Hub())


def test_what_is_counted_is_wanted_for_good():
    hub = Hub()
    meter_of(hub)

    hub.subscribe(print, [Pruned]).cancel()

    assert hub.wanted == {JobEnded, Committed}
