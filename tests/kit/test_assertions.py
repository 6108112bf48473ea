"""Assertions about waiting jobs, and what they say of near misses."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from antq_actors import NotStarted, Worker, chain, worker
from antq_actors.testing import assert_enqueued, drain, enqueued, refute_enqueued, testing


class Mail(Worker):
    def perform(self, job):
        pass


@worker
def other(n):
    pass


@pytest.fixture
def app():
    with testing() as app:
        yield app


def failure(*args, **options):
    with pytest.raises(AssertionError) as failed:
        assert_enqueued(*args, **options)
    return str(failed.value)


def test_a_job_is_found_by_class_function_and_stored_name(app):
    Mail.perform_async({"to": {"name": "Ann", "city": "Bonn"}})
    other.perform_async(n=1)

    assert_enqueued(Mail, {"to": {"city": "Bonn"}})
    assert_enqueued(Mail.antq_name)
    assert_enqueued(other, {"n": 1}, count=1)
    assert_enqueued(other, {"n": 2}, count=0)
    refute_enqueued(Mail, {"to": {"city": "Rome"}})
    assert [job.id for job in enqueued()] == [1, 2]
    assert [job.id for job in enqueued(other, {"n": 1})] == [2]


@pytest.mark.parametrize("wrong", [None, 3, int, "Mail.perform".split])
def test_what_is_no_worker_is_a_type_error(app, wrong):
    with pytest.raises(TypeError):
        assert_enqueued(wrong)
    with pytest.raises(TypeError):
        refute_enqueued(wrong)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"args": ["n"]}, TypeError),
        ({"queue": 1}, TypeError),
        ({"priority": "high"}, TypeError),
        ({"scheduled_at": "now"}, TypeError),
        ({"scheduled_at": datetime(2026, 1, 1)}, ValueError),  # noqa: DTZ001 - it is refused
        ({"count": "1"}, TypeError),
        ({"count": -1}, ValueError),
        ({"within": -1}, ValueError),
    ],
)
def test_wrong_arguments_are_refused(app, options, error):
    with pytest.raises(error):
        assert_enqueued(Mail, **options)


def test_only_jobs_that_wait_count(app):
    app.start_workflow(chain(other.build(n=1), other.build(n=2)))
    other.options(schedule_in=60).perform_async(n=3)

    assert_enqueued(other, count=3)  # one is suspended
    drain(app)
    assert_enqueued(other, count=1)


def test_a_schedule_may_differ_by_its_delta(app):
    at = datetime.now(UTC) + timedelta(hours=1)
    other.options(schedule_at=at, priority=3).perform_async(n=1)

    assert_enqueued(other, scheduled_at=at + timedelta(seconds=0.9), priority=3)
    refute_enqueued(other, scheduled_at=at + timedelta(seconds=1.1))
    assert_enqueued(other, scheduled_at=at + timedelta(minutes=1), delta=60)


def test_a_failure_names_what_was_wanted_and_each_field_that_differs(app):
    at = datetime.now(UTC) + timedelta(hours=1)
    Mail.perform_async({"to": {"name": "Ann"}, "n": 1})
    Mail.perform_async({"to": {"name": "Bob"}, "n": 2}, queue="slow", priority=4, schedule_at=at)
    wanted_at = datetime(2030, 5, 1, 12, tzinfo=UTC)

    text = failure(
        Mail,
        {"to": {"name": "Bob"}, "n": 1, "cc": "x"},
        queue="fast",
        priority=2,
        scheduled_at=wanted_at,
    )

    assert Mail.antq_name in text
    head, first, second = text.splitlines()
    assert "queue='fast'" in head
    assert "job 1:" in first
    assert "queue: wanted 'fast', found 'default'" in first
    assert "args['to']['name']: wanted 'Bob', found 'Ann'" in first
    assert "args['cc']: wanted 'x', found none" in first
    assert "args['n']" not in first
    assert "job 2:" in second
    assert "priority: wanted 2, found 4" in second
    assert f"scheduled_at: wanted {wanted_at.isoformat()}" in second
    assert f"found {at.isoformat()}" in second
    assert "args['n']: wanted 1, found 2" in second


def test_a_job_that_has_ended_is_a_near_miss_by_its_status(app):
    other.perform_async(n=1)
    drain(app)

    text = failure(other, {"n": 1})

    assert "job 1: status: wanted" in text
    assert "found completed" in text


def test_at_most_ten_near_misses_are_shown_and_their_values_are_cut(app):
    app.enqueue_many(other, [{"n": "x" * 10_000}] * 12)

    text = failure(other, {"n": "y" * 10_000})

    assert len(text) < 5_000
    assert text.count("  job ") == 10
    assert "and 2 more" in text


def test_a_count_that_differs_gives_both_numbers(app):
    app.enqueue_many(other, [{"n": 1}] * 3)

    assert "wanted 2" in failure(other, count=2)
    assert "found 3: job 1, 2, 3" in failure(other, count=2)
    assert "found 3" in failure(other, count=0)
    assert "found 0" in failure(Mail, count=1)


def test_what_was_not_to_wait_is_named_by_its_ids(app):
    app.enqueue_many(other, [{"n": 1}] * 2)

    with pytest.raises(AssertionError, match=r"found 2: job 1, 2"):
        refute_enqueued(other)


def test_an_assertion_may_wait_for_another_thread(app):
    threading.Timer(0.05, other.perform_async, kwargs={"n": 1}).start()

    assert_enqueued(other, within=20)


def test_without_an_application_there_is_nothing_to_assert():
    for verb in (enqueued, assert_enqueued, refute_enqueued):
        with pytest.raises(NotStarted):
            verb(other)
