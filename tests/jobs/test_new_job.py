"""Every check of an enqueue, before anything is stored."""

import pytest

from antq_actors.jobs import instant
from antq_actors.jobs.function_worker import worker
from antq_actors.jobs.new_job import JobTemplate
from antq_actors.jobs.state import Status
from antq_actors.jobs.unique import Unique, unique_digest
from antq_actors.jobs.worker import Worker

NOW = 1_000 * instant.SECOND


class Mail(Worker, unique=Unique(args=["email"]), max_attempts=2):
    pass


@worker
def send(email):
    pass


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
