"""Every check of an enqueue, before anything is stored; and when its job is due."""

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.errors import InvalidSchedule
from antq_actors.jobs import instant
from antq_actors.jobs.function_worker import worker
from antq_actors.jobs.new_job import JobTemplate, due
from antq_actors.jobs.state import Status
from antq_actors.jobs.unique import Unique, unique_digest
from antq_actors.jobs.worker import Worker

MOMENT = datetime(2026, 7, 1, 12, tzinfo=UTC)
NOW = instant.from_datetime(MOMENT)


class Mail(Worker, unique=Unique(args=["email"]), max_attempts=2):
    pass


@worker
def send(email): ...


def a_template(worker=Mail, **options):
    return JobTemplate(worker, options, default_queue="first")


def test_a_worker_without_a_queue_goes_to_the_default_one():
    assert a_template().state(NOW).queue_name == "first"
    assert a_template(queue="slow").state(NOW).queue_name == "slow"


def test_a_unique_job_has_the_digest_of_its_queue():
    one = a_template(queue="slow")
    digest = unique_digest(one.worker, "slow", {"email": "x"}, ["email"])

    assert one.digest({"email": "x", "at": 1}) == digest


def test_a_job_for_which_uniqueness_is_switched_off_has_no_digest():
    assert a_template(unique=None).digest({"email": "x"}) is None


def test_a_unique_job_without_the_named_argument_has_no_digest():
    assert a_template().digest({"at": 1}) is None


def test_a_schedule_is_counted_from_the_given_time():
    state = a_template(schedule_in=5).state(NOW)

    assert (state.status, state.scheduled_at) == (Status.SCHEDULED, NOW + 5 * instant.SECOND)


def test_args_are_copied():
    args = {"email": "x"}
    checked = a_template().check(args)

    args["email"] = "y"

    assert checked == {"email": "x"}


def test_args_of_a_function_worker_must_fit_it():
    with pytest.raises(TypeError, match="has no argument 'emial'; did you mean 'email'"):
        a_template(send).check({"emial": "x"})


@pytest.mark.parametrize("thing", [print, "shop:Mail", Mail(), Worker, None])
def test_what_is_no_worker_is_a_type_error(thing):
    with pytest.raises(TypeError, match="is no worker"):
        a_template(thing)


def test_a_new_job_is_shown_as_it_is_stored():
    template = a_template(priority=3)

    job = template.job(7, {"email": "x"}, template.state(NOW))

    assert (job.id, job.priority, job.max_attempts) == (7, 3, 2)
    assert job.inserted_at == job.scheduled_at == instant.to_datetime(NOW)


def test_options_can_be_checked_before_there_are_arguments():
    template = a_template(send, priority=3, schedule_in=5)
    state = template.state(NOW)

    assert (state.priority, state.scheduled_at) == (3, NOW + 5 * instant.SECOND)
    with pytest.raises(TypeError, match="unknown option 'email'"):
        a_template(send, email="x")


def test_jobs_of_one_template_share_their_state_for_a_millisecond():
    template = a_template(schedule_in=5)
    state = template.state(NOW)

    assert template.state(NOW + 999) is state
    later = template.state(NOW + 1_000)
    assert (later.updated_at, later.scheduled_at) == (NOW + 1_000, NOW + 5_001_000)


def test_a_clock_that_was_set_back_is_believed():
    template = a_template()
    template.state(NOW)

    assert template.state(NOW - 1).updated_at == NOW - 1


# ---- when it is due -----------------------------------------------------------------------------


def test_no_schedule_is_no_due_time():
    assert due(None, None, NOW) is None


@pytest.mark.parametrize("seconds", [0, 0.0, timedelta()])
def test_zero_seconds_mean_now(seconds):
    assert due(seconds, None, NOW) == NOW


@pytest.mark.parametrize("seconds", [90, 90.0, timedelta(seconds=90)])
def test_seconds_may_be_an_int_a_float_or_a_timedelta(seconds):
    assert due(seconds, None, NOW) == NOW + 90 * instant.SECOND


def test_a_moment_in_the_past_means_now():
    assert due(None, MOMENT - timedelta(days=1), NOW) == NOW


def test_a_moment_is_the_same_in_every_zone():
    there = (MOMENT + timedelta(hours=1)).astimezone(timezone(timedelta(hours=9)))

    assert due(None, there, NOW) == NOW + 3600 * instant.SECOND


LATEST = datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))


@pytest.mark.parametrize(
    ("seconds", "moment", "said"),
    [
        (-1, None, "negative"),
        (-0.001, None, "negative"),
        (timedelta(seconds=-1), None, "negative"),
        (math.nan, None, "finite"),
        (math.inf, None, "finite"),
        (-math.inf, None, "finite"),
        (10**30, None, "9999"),
        (10**400, None, "9999"),
        (1e300, None, "9999"),
        (instant.LATEST / instant.SECOND, None, "9999"),
        (timedelta.max, None, "9999"),
        (None, LATEST, "9999"),
        (None, datetime(2026, 7, 1), "no time zone"),  # noqa: DTZ001 - that is the case
        (0, MOMENT, "both"),
    ],
)
def test_what_names_no_usable_instant_is_refused(seconds, moment, said):
    with pytest.raises(InvalidSchedule, match=said):
        due(seconds, moment, NOW)


@pytest.mark.parametrize(
    ("seconds", "moment", "said"),
    [
        *((each, None, "in must be a number") for each in ["5000", True, [1], b"1", 1j]),
        *(
            (None, each, "at must be a datetime")
            for each in ["2026-07-01", 1751371200, MOMENT.date(), True]
        ),
    ],
)
def test_a_schedule_of_the_wrong_type_is_invalid_and_a_type_error(seconds, moment, said):
    with pytest.raises(InvalidSchedule, match=f"schedule_{said}") as refused:
        due(seconds, moment, NOW)

    assert isinstance(refused.value, TypeError)


@given(st.floats(0, 1e9))
def test_seconds_are_exact_to_the_microsecond(seconds):
    assert abs(due(seconds, None, NOW) - NOW - seconds * instant.SECOND) <= 1


# ---- instants and datetimes -------------------------------------------------------------------


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.timezones()))  # noqa: DTZ001 - hypothesis adds the zone
def test_a_datetime_survives_the_way_through_an_instant(moment):
    assert instant.to_datetime(instant.from_datetime(moment)) == moment.astimezone(UTC)


def test_an_instant_is_the_same_in_every_zone():
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)

    there = noon.astimezone(timezone(timedelta(hours=-5)))

    assert instant.from_datetime(there) == instant.from_datetime(noon)


def test_the_latest_instant_is_the_last_one_a_datetime_shows():
    assert instant.to_datetime(instant.LATEST) == datetime.max.replace(tzinfo=UTC)
    assert instant.after(instant.LATEST, 1.0) == instant.LATEST
