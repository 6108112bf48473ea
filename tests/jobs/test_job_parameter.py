"""A function worker that takes its job."""

import functools
import inspect
import linecache
import typing
from contextvars import copy_context
from typing import Annotated, Any, Optional

import pytest
from support.apps import settled

import antq_actors
from antq_actors import Job, Status, worker
from antq_actors.jobs.function_parameters import JobParameter, job_parameter

JobOrNone = Job | None
OTHER = "Job"


class Other:
    """Another class called Job, where that is said."""


def plain(email: str, job: Job): ...
def optional(email: str, job: Job | None = None): ...
def typing_optional(job: Optional[Job], email: str): ...  # noqa: UP045 - as users write
def annotated(email: str, *, job: Annotated[Job, "mine"]): ...
def annotated_optional(job: Annotated[Job | None, 1], email: str): ...
def positional(job: Job, /, email: str): ...
def alias(email: str, job: JobOrNone): ...
def text(email: "str", job: "Job"): ...
def inner_text(email: str, job: Annotated["Job", 1]): ...
def text_optional(email: "str", job: "Job | None" = None): ...
def text_typing(job: "Optional[Job]", email: str): ...  # noqa: UP045 - as users write
def text_union(job: "typing.Union[Job, None]", email: str): ...  # noqa: UP007 - the same
def text_annotated(email: str, job: "Annotated[Job, Unknown(1), 'Other']"): ...  # noqa: F821
def text_nested(email: str, job: "Annotated['Job | None', 1]"): ...
def text_module(email: str, job: "antq_actors.Job"): ...
def beside_unknown(email: "Unknown[int]", job: "Job"): ...  # noqa: F821


def with_a_parameter_job():
    """The functions above this call that have a parameter of this name."""
    functions = [each for each in globals().values() if inspect.isfunction(each)]
    ours = [each for each in functions if each.__module__ == __name__]
    return [each for each in ours if "job" in inspect.signature(each).parameters]


TAKES_ITS_JOB = with_a_parameter_job()


@pytest.mark.parametrize("function", TAKES_ITS_JOB, ids=lambda each: each.__name__)
def test_a_parameter_annotated_job_is_given_the_job(function):
    assert job_parameter(function) == JobParameter("job", function is positional)

    made = worker(function)
    job = made.build(email="x")

    assert job.args == {"email": "x"}
    assert made.perform(job) is None
    assert inspect.signature(made) == inspect.signature(function)


def other_type(job: Other): ...
def number(job: int): ...
def nothing(job): ...
def anything(job: Any): ...
def job_or_id(job: Job | int): ...
def text_or_id(job: "Job | int"): ...
def jobs(job: list[Job]): ...
def text_jobs(job: "list[Job]"): ...
def class_of(job: type[Job]): ...
def broken(job: "Job |"): ...  # noqa: F722
def unknown(job: "Unknown"): ...  # noqa: F821
def free(**job: Job): ...


@pytest.mark.parametrize(
    "function",
    [each for each in with_a_parameter_job() if each not in TAKES_ITS_JOB],
    ids=lambda each: each.__name__,
)
def test_a_parameter_of_another_type_is_an_argument(function):
    assert job_parameter(function) is None
    assert worker(function).build(job=5).args == {"job": 5}


def defined_in(source, tmp_path, **names):
    """The function ``f`` of a module with this source, which can be read."""
    file = tmp_path / "module.py"
    file.write_text(source)
    linecache.checkcache(str(file))
    namespace = {"__name__": "module", **names}
    exec(compile(source, str(file), "exec", dont_inherit=True), namespace)  # noqa: S102
    return namespace["f"]


@pytest.mark.parametrize(
    ("imported", "annotation", "is_ours"),
    [
        ("from antq_actors import Job", "Job", True),
        ("from antq_actors import Job as J", "J | None", True),
        ("from antq_actors.jobs.job import Job", "Job", True),
        ("import antq_actors", "antq_actors.Job", True),
        ("import antq_actors as aa", "aa.Job", True),
        ("from typing import Optional as O; from antq_actors import Job", "Optional[Job]", True),
        ("from shop.models import Job", "Job", False),
        ("from .models import Job", "Job", False),
        ("from antq_actors import Worker as Job", "Job", False),
        ("import shop", "shop.Job", False),
    ],
)
def test_what_only_type_checkers_import_is_looked_up_in_the_source(
    imported, annotation, is_ours, tmp_path
):
    source = (
        "from __future__ import annotations\n"
        "from typing import TYPE_CHECKING\n"
        f"if TYPE_CHECKING:\n    {imported}\n"
        f"def f(email: Unknown, job: {annotation}): ...\n"
    )

    found = job_parameter(defined_in(source, tmp_path))

    assert (found is not None) is is_ours


@pytest.mark.parametrize(
    ("names", "is_ours"), [({}, True), ({"Job": Job}, True), ({"Job": Other}, False)]
)
def test_without_a_source_the_name_alone_says_it(names, is_ours):
    namespace = {"__name__": "cell", **names}
    exec("def f(email: 'Who', job: 'Job'): ...", namespace)  # noqa: S102

    assert (job_parameter(namespace["f"]) is not None) is is_ours


def test_a_type_of_the_surrounding_function_is_found():
    class Job:
        """Another one."""

    def function(email: str, job: "Job"):
        return Job

    assert job_parameter(function) is None


def test_the_function_gets_its_job_in_perform():
    @worker
    def ordinary(email, job: Job, percent=10):
        return email, job, percent

    @worker
    def first(job: Job, /, **rest):
        return job, rest

    @worker
    def last(email, *, job: Job | None = None):
        return email, job

    one = ordinary.build(email="x")
    assert ordinary.perform(one) == ("x", one, 10)
    built = first.build(a=1)
    assert first.perform(built) == (built, {"a": 1})
    job = last.build(email="x")
    assert last.perform(job) == ("x", job)


def test_called_as_a_function_it_takes_what_it_is_given():
    @worker
    def ordinary(email, job: Job | None = None):
        return email, job

    assert ordinary("x") == ("x", None)
    assert ordinary("x", "anything") == ("x", "anything")
    with pytest.raises(TypeError, match="missing"):
        worker(plain)("x")


@pytest.mark.parametrize("function", TAKES_ITS_JOB, ids=lambda each: each.__name__)
def test_giving_the_job_when_enqueueing_is_a_type_error(function, light):
    made = worker(function)

    for call in (made.build, made.options(schedule_in=60).build, made.perform_async):
        with pytest.raises(TypeError, match=r"'job' when it is performed; .* leave it out"):
            call(email="x", job=5)
    with pytest.raises(TypeError, match=r"'job' when it is performed; .* leave it out"):
        light.enqueue(made, {"email": "x", "job": 5})
    assert light.count_workers() == 0


def test_a_missing_argument_is_named_and_the_job_is_not_demanded():
    made = worker(plain)

    with pytest.raises(TypeError, match="missing a required argument: 'email'"):
        made.build()
    with pytest.raises(TypeError, match="no argument 'emial'; did you mean 'email'"):
        made.build(emial="x")
    with pytest.raises(TypeError, match=r"no argument 'at'; known are email$"):
        made.build(at="x")


def test_two_parameters_annotated_job_are_refused_at_definition():
    with pytest.raises(TypeError, match="'one' and 'two' are both annotated Job"):

        @worker
        def twice(one: Job, two: "Job | None" = None): ...


def test_a_positional_parameter_that_nothing_fills_is_refused():
    with pytest.raises(TypeError, match="cannot be given by keyword"):

        @worker
        def late(email, job: Job, /): ...


def passing_on(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


def naming_it(function):
    @functools.wraps(function)
    def inner(email, job):
        return function(email, job=job)

    return inner


def supplying_it(function):
    @functools.wraps(function)
    def inner(email):
        return function(email, job="own")

    return inner


def returns_both(email: str, *, job: Job):
    return email, job


@pytest.mark.parametrize(
    "decorate", [passing_on, naming_it, lambda each: passing_on(passing_on(each))]
)
def test_a_decorated_function_gets_its_job(decorate):
    made = worker(decorate(returns_both))
    job = made.build(email="x")

    assert job.args == {"email": "x"}
    assert made.perform(job) == ("x", job)


def test_a_decorator_that_supplies_the_job_itself_gets_none():
    made = worker(supplying_it(returns_both))

    assert made.perform(made.build(email="x")) == ("x", "own")


def test_a_decorated_function_that_takes_its_job_by_position_gets_it():
    @worker
    @passing_on
    def first(job: Job, /, email):
        return job, email

    job = first.build(email="x")

    assert first.perform(job) == (job, "x")


def test_a_coroutine_function_gets_its_job_on_a_running_application(app):
    seen = []

    @worker
    async def remember(number, *, job: Job):
        seen.append((number, job.id, job.attempts))

    stored = remember.perform_async(number=7)

    assert settled(app, stored).status is Status.COMPLETED
    assert seen == [(7, stored.id, 1)]
    assert copy_context().run(antq_actors.current_job) is None
