"""Options: the right ones become a value, the wrong ones an error that helps."""

import enum
import math
from datetime import timedelta

import pytest

from antq_actors.jobs.options import Options, job_options, worker_options
from antq_actors.jobs.unique import Unique


def options(**given):
    return worker_options(given, Options(), owner="worker Mail")


def test_without_options_a_job_has_one_attempt_and_no_limits():
    assert options() == Options(queue=None, max_attempts=1, timeout=None, unique=None, priority=0)


def test_given_options_stand_over_inherited_ones():
    inherited = options(queue="mail", max_attempts=3)

    own = worker_options({"max_attempts": 5}, inherited, owner="worker Mail")

    assert own == options(queue="mail", max_attempts=5)


def test_a_timeout_may_be_a_timedelta_and_becomes_seconds():
    assert options(timeout=timedelta(minutes=1)).timeout == 60.0


def test_a_whole_number_of_any_type_becomes_an_int():
    class Level(enum.IntEnum):
        HIGH = 5

    assert type(options(priority=Level.HIGH).priority) is int


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("queue", 5),
        ("queue", b"mail"),
        ("max_attempts", True),
        ("max_attempts", 3.0),
        ("max_attempts", "3"),
        ("max_attempts", None),
        ("timeout", "30"),
        ("timeout", True),
        ("unique", ["email"]),
        ("unique", "email"),
        ("unique", True),
        ("priority", 1.0),
        ("priority", False),
        ("priority", None),
    ],
)
def test_a_value_of_the_wrong_type_is_a_type_error_naming_option_and_value(option, value):
    with pytest.raises(TypeError, match=f"^{option} must be") as refused:
        options(**{option: value})

    assert repr(value) in str(refused.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("queue", ""),
        ("queue", "a\0b"),
        ("queue", "x" * 101),
        ("queue", "ä" * 51),
        ("queue", "\ud800"),
        ("max_attempts", 0),
        ("max_attempts", -1),
        ("max_attempts", 2**31),
        ("timeout", 0),
        ("timeout", -1.5),
        ("timeout", timedelta(seconds=-1)),
        ("timeout", math.nan),
        ("timeout", math.inf),
        ("timeout", 1e300),
        ("priority", 128),
        ("priority", -129),
    ],
)
def test_a_value_out_of_range_is_a_value_error_naming_the_option(option, value):
    with pytest.raises(ValueError, match=f"^{option} "):
        options(**{option: value})


@pytest.mark.parametrize(
    ("option", "value"),
    [("queue", "x" * 100), ("queue", "ä" * 50), ("priority", 127), ("priority", -128)],
)
def test_the_last_value_in_range_is_accepted(option, value):
    assert getattr(options(**{option: value}), option) == value


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("max_atempts", "'max_atempts' of worker Mail; did you mean 'max_attemp"),
        (
            "email",
            (
                "known are concurrency, encrypted, executor, limits, max_attempts, priority, queue,"
                " rate_limit"
            ),
        ),
    ],
)
def test_an_unknown_option_is_a_type_error_with_the_nearest_or_all_known_ones(option, said):
    with pytest.raises(TypeError, match=said):
        options(**{option: 3})


def test_an_option_of_a_job_that_may_be_an_argument_is_told_where_arguments_go():
    with pytest.raises(
        TypeError, match=r"unique; the arguments .* are no options: .*'x'} in one map$"
    ):
        job_options(
            {"email": "x"}, Options(), owner="worker Mail", write=lambda args: f"{args} in one map"
        )


def test_a_misspelt_option_of_a_job_is_no_argument():
    with pytest.raises(TypeError, match=r"did you mean 'schedule_in'\?$"):
        job_options({"schedule": 5}, Options(), owner="worker Mail")


@pytest.mark.parametrize("option", ["retry_delay", "executor", "ray"])
def test_an_option_of_workers_is_refused_for_a_single_job(option):
    with pytest.raises(TypeError, match=f"unknown option '{option}' .* where the worker is def"):
        job_options({option: "thread"}, Options(), owner="worker Mail")


def test_a_schedule_is_an_option_of_a_job_and_not_of_a_worker():
    assert job_options({"schedule_in": 5}, Options(), owner="worker Mail").schedule_in == 5
    with pytest.raises(TypeError, match=r"unknown option 'schedule_in' .*: give it when you enq"):
        options(schedule_in=5)


def test_a_job_can_switch_uniqueness_and_timeout_off():
    worker = options(unique=Unique(["email"]), timeout=5)

    own = job_options({"unique": None, "timeout": None}, worker, owner="worker Mail").options

    assert (own.unique, own.timeout) == (None, None)


def test_resources_on_a_ray_cluster_are_kept_by_name():
    given = {"num_gpus": 0.25, "num_cpus": 1, "resources": {"fast": 2}, "memory": 1e9}

    assert options(ray=given).ray == (
        ("memory", 1_000_000_000),
        ("num_cpus", 1),
        ("num_gpus", 0.25),
        ("resources", {"fast": 2}),
    )
    assert options(ray=None).ray == ()


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        (1, TypeError, "ray must map resources to numbers"),
        ({1: 1}, TypeError, "names in ray are str"),
        ({"num_cpu": 1}, TypeError, "unknown option 'num_cpu' in ray; did you mean 'num_cpus'"),
        ({"max_retries": 3}, TypeError, "attempts of a job are max_attempts"),
        ({"num_cpus": True}, TypeError, "num_cpus in ray must be a number"),
        ({"num_cpus": "1"}, TypeError, "num_cpus in ray must be a number"),
        ({"resources": 1}, TypeError, "resources in ray must be a mapping"),
        ({"resources": {"fast": "1"}}, TypeError, r"resources\['fast'\] in ray must be a number"),
        ({"label_selector": {"zone": 1}}, TypeError, "label_selector in ray must be text"),
        ({"num_cpus": -1}, ValueError, "0 or more"),
        ({"num_cpus": math.nan}, ValueError, "finite"),
        ({"num_cpus": 0.00001}, ValueError, "at least 0.0001"),
        ({"num_gpus": 1.5}, ValueError, "whole GPUs"),
        ({"memory": 1.5}, ValueError, "whole bytes"),
        ({"resources": {"CPU": 1}}, ValueError, "num_cpus"),
        ({"scheduling_strategy": "spread"}, ValueError, "'SPREAD'"),
    ],
)
def test_what_ray_would_not_understand_or_cannot_give_is_refused(given, error, says):
    with pytest.raises(error, match=says):
        options(ray=given)
