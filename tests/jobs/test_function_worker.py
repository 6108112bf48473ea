"""A function as a worker."""

import pickle

import pytest

from antq_actors.jobs import registry
from antq_actors.jobs.function_worker import FunctionWorker, worker
from antq_actors.jobs.status import Status


@worker
def greet(name: str, greeting: str = "Hello") -> str:
    """Greet someone."""
    return f"{greeting}, {name}!"


@worker(queue="mail", max_attempts=3, name="old.place:send")
def send(email, **headers):
    return (email, headers)


def test_the_function_is_still_an_ordinary_function():
    assert greet("Ant") == "Hello, Ant!"
    assert (greet.__name__, greet.__doc__) == ("greet", "Greet someone.")


def test_its_keywords_are_the_args_and_defaults_are_not_stored():
    job = greet.build(name="Ant")

    assert (job.worker, job.args) == (f"{__name__}:greet", {"name": "Ant"})


def test_performing_calls_the_function_with_the_args():
    assert greet.perform(greet.build(name="Ant", greeting="Hi")) == "Hi, Ant!"


def test_options_are_those_of_a_worker_class():
    job = send.build(email="x", reply_to="y")

    assert (job.worker, job.queue_name, job.max_attempts) == ("old.place:send", "mail", 3)
    assert send.perform(job) == ("x", {"reply_to": "y"})


def test_options_of_one_job_stand_apart_from_its_keywords():
    job = send.options(schedule_in=60, queue="slow").build(email="x", queue="an argument")

    assert (job.status, job.queue_name) == (Status.SCHEDULED, "slow")
    assert job.args == {"email": "x", "queue": "an argument"}


def test_a_wrong_option_of_one_job_is_refused_at_once():
    with pytest.raises(TypeError, match="did you mean 'schedule_in'"):
        send.options(shedule_in=60)


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({}, r"greet\(name: str, greeting: str = 'Hello'\) -> str: missing .* 'name'"),
        ({"nam": "Ant"}, "has no argument 'nam'; did you mean 'name'"),
        ({"name": "Ant", "at": 5}, "has no argument 'at'"),
    ],
)
def test_keywords_that_do_not_fit_the_signature_are_a_type_error(keywords, said):
    with pytest.raises(TypeError, match=said):
        greet.build(**keywords)


def test_a_missing_keyword_beside_free_ones_is_named():
    with pytest.raises(TypeError, match="missing a required argument: 'email'"):
        send.build(reply_to="y")


@pytest.mark.parametrize("positional", ["Ant", {"name": "Ant"}])
def test_positional_arguments_are_a_type_error_that_says_what_to_write(positional):
    with pytest.raises(TypeError, match="by keyword"):
        greet.build(positional)


def test_a_worker_is_pickled_by_name():
    assert pickle.loads(pickle.dumps(greet)) is greet  # noqa: S301 - our own bytes


def test_a_coroutine_function_is_a_worker_that_is_known_as_one():
    @worker
    async def fetch():
        pass

    assert fetch.antq_is_async
    assert not greet.antq_is_async


def test_a_plain_function_is_not_for_the_event_loop():
    with pytest.raises(TypeError, match="write 'async def', or leave the option out"):

        @worker(executor="async")
        def fetch():
            pass


def test_a_generator_function_is_refused():
    with pytest.raises(TypeError, match="yield"):

        @worker
        def generate():
            yield


@pytest.mark.parametrize(
    "function", [lambda a, /: a, lambda *a: a], ids=["positional-only", "variable"]
)
def test_parameters_that_no_keyword_reaches_are_refused(function):
    with pytest.raises(TypeError, match="cannot be given by keyword"):
        worker(function)


@pytest.mark.parametrize("thing", [5, print, greet])
def test_what_is_no_function_is_refused(thing):
    with pytest.raises(TypeError, match="@worker is for functions"):
        worker(thing)


def test_a_class_is_refused_with_what_to_write():
    with pytest.raises(TypeError, match=r"class Mail\(Worker\)"):

        @worker
        class Mail:
            pass


def test_a_wrong_option_is_refused_at_the_decoration():
    with pytest.raises(ValueError, match="priority"):

        @worker(priority=1_000)
        def late():
            pass


def test_a_function_worker_is_found_by_its_name():
    assert registry.resolve("old.place:send", job_id=1) is send
    assert isinstance(registry.resolve(f"{__name__}:greet", job_id=1), FunctionWorker)
