"""`TestClock`: the time of one application, which stands still and is set forward."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from support.heard import Heard

from antq_actors import AntQ, ConfigError, Cron, worker
from antq_actors.telemetry import JobEnded, JobStarted, Pruned
from antq_actors.testing import TestClock, drain, perform_job, testing

START = datetime(2030, 1, 1, tzinfo=UTC)
seen = []


@worker(max_attempts=2, retry_delay=600)
def fails():
    raise ValueError


@worker
def note(n=0):
    seen.append(n)


@pytest.fixture
def clock():
    clock = TestClock(START)
    clock.freeze()
    return clock


@pytest.fixture(autouse=True)
def fresh():
    seen.clear()


def test_a_clock_runs_from_its_start_until_it_is_frozen():
    clock = TestClock(START)

    assert timedelta(0) <= clock.now() - START < timedelta(hours=1)
    clock.freeze()
    now = clock.now()
    assert clock.now() == now
    clock.advance(1.5)
    assert clock.now() == now + timedelta(seconds=1.5)
    clock.advance(timedelta(days=1))
    clock.travel_to(datetime(2031, 1, 1, tzinfo=UTC))
    assert clock.now() == datetime(2031, 1, 1, tzinfo=UTC)


def test_without_a_start_it_begins_now():
    assert abs(TestClock().now() - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("seconds", "error"),
    [
        (-1, ValueError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        (timedelta(seconds=-1), ValueError),
        ("1", TypeError),
        (None, TypeError),
        (True, TypeError),
    ],
)
def test_a_clock_is_not_set_by_what_are_no_seconds(clock, seconds, error):
    before = clock.now()

    with pytest.raises(error):
        clock.advance(seconds)

    assert clock.now() == before


@pytest.mark.parametrize(
    ("moment", "error"),
    [
        (START - timedelta(days=1), ValueError),
        (datetime(2040, 1, 1), ValueError),  # noqa: DTZ001 - it is refused
        (3.0, TypeError),
        (None, TypeError),
    ],
)
def test_a_clock_does_not_travel_back_or_to_what_is_no_instant(clock, moment, error):
    with pytest.raises(error):
        clock.travel_to(moment)


def test_a_start_is_an_instant():
    with pytest.raises(ValueError, match="time zone"):
        TestClock(datetime(2030, 1, 1))  # noqa: DTZ001 - it is refused
    with pytest.raises(TypeError):
        TestClock(3)


def test_an_instant_outside_of_the_calendar_in_utc_is_a_value_error(clock):
    last = datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5)))
    with pytest.raises(ValueError, match="9999"):
        TestClock(last)
    with pytest.raises(ValueError, match="9999"):
        clock.travel_to(last)


def test_an_application_takes_no_other_clock():
    for wrong in (3, datetime.now, TestClock):
        with pytest.raises(TypeError, match="clock"):
            AntQ(clock=wrong)


def test_a_clock_belongs_to_one_application(clock):
    AntQ(clock=clock)

    with pytest.raises(ConfigError, match="another application"):
        AntQ(clock=clock)


def test_jobs_get_its_instants_and_queues_go_by_it(clock):
    heard = Heard()
    with AntQ(clock=clock) as app, app.subscribe(heard, JobStarted, JobEnded):
        begun = clock.now()
        late = note.options(schedule_in=86_400).perform_async(n=1)
        failing = fails.perform_async()
        heard.wait(JobEnded, 1)
        assert app.get_job(failing.id).scheduled_at == begun + timedelta(seconds=600)
        assert (late.inserted_at, late.scheduled_at) == (begun, begun + timedelta(days=1))

        clock.advance(600)
        heard.wait(JobEnded, 2)
        clock.advance(86_400 - 600)
        heard.wait(JobEnded, 3)

        failed, done = app.get_job(failing.id), app.get_job(late.id)
        assert (failed.status, failed.ended_at) == ("failed", begun + timedelta(seconds=600))
        assert [each.attempted_at - begun for each in failed.errors] == [
            timedelta(seconds=600),
            timedelta(0),
        ]
        assert done.started_at == done.ended_at == begun + timedelta(days=1)
        assert {event.at - begun for event in heard.events} == {
            timedelta(0),
            timedelta(seconds=600),
            timedelta(days=1),
        }


def test_periodic_entries_have_enqueued_their_jobs_when_it_was_set(clock):
    entry = Cron("0 * * * *", worker=note, name="hourly")
    with AntQ(clock=clock, crons=[entry]) as app:
        clock.travel_to(START + timedelta(hours=1))

        (job,) = app.list_jobs(worker=note)
        assert job.scheduled_for == START + timedelta(hours=1)


def test_old_jobs_are_deleted_by_it(clock):
    heard = Heard()
    with AntQ(clock=clock, retention=timedelta(days=2)) as app, app.subscribe(heard, Pruned):
        note.perform_async()
        assert app.wait_idle(timeout=20)
        clock.advance(timedelta(days=1))
        assert app.count_jobs() == 1

        clock.advance(timedelta(days=1, seconds=1))

        assert app.count_jobs() == 0


def test_what_is_built_and_performed_alone_goes_by_the_clock_of_the_application(clock):
    with testing(clock=clock):
        assert note.build(n=1).inserted_at == clock.now()
        assert perform_job(fails).error.attempted_at == clock.now()


def test_a_drain_goes_by_it(clock):
    with testing(clock=clock) as app:
        note.options(schedule_in=60).perform_async(n=1)
        assert drain(app).completed == 0

        clock.advance(60)

        drained = drain(app)
        assert drained.completed == 1
        assert drained.jobs[0].ended_at == clock.now()


def test_inline_what_was_scheduled_is_performed_by_a_drain(clock):
    with testing("inline", clock=clock) as app:
        note.options(schedule_in=60).perform_async(n=1)
        clock.advance(60)
        note.perform_async(n=2)
        assert seen == [2]

        drain(app)
        assert seen == [2, 1]
