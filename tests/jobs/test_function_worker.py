"""A function as a worker."""

import asyncio
import functools
import pickle

import pytest

from antq_actors.jobs import resolver
from antq_actors.jobs.function_worker import FunctionWorker, worker
from antq_actors.jobs.state import Status
from antq_actors.jobs.worker import Worker


class Plain(Worker):
    def perform(self, job): ...


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
    ("function", "keywords", "said"),
    [
        (greet, {}, r"greet\(name: str, greeting: str = 'Hello'\) -> str: missing .* 'name'"),
        (greet, {"nam": "Ant"}, "has no argument 'nam'; did you mean 'name'"),
        (greet, {"name": "Ant", "at": 5}, "has no argument 'at'"),
        (send, {"reply_to": "y"}, "missing a required argument: 'email'"),
    ],
)
def test_keywords_that_do_not_fit_the_signature_are_a_type_error(function, keywords, said):
    with pytest.raises(TypeError, match=said):
        function.build(**keywords)


@pytest.mark.parametrize(
    ("positional", "write"),
    [
        (["Ant"], "name='Ant'"),
        (["Ant", "Hi"], "name='Ant', greeting='Hi'"),
        ([{"name": "Ant"}], "name='Ant'"),
        ([{"name": "Ant" * 20}], "name=…"),
        ([{}], "name=value, …"),
    ],
)
def test_positional_arguments_are_a_type_error_that_says_what_to_write(positional, write):
    with pytest.raises(TypeError, match="by keyword") as refused:
        greet.build(*positional)

    assert str(refused.value).endswith(f"; write greet.perform_async({write})")


@pytest.mark.parametrize(
    ("enqueue", "write"),
    [
        (
            lambda app: app.enqueue(greet, name="Ant"),
            "app.enqueue(greet, {'name': 'Ant'}), or greet.perform_async(name='Ant')",
        ),
        (
            lambda app: app.enqueue(send, at=1),
            "app.enqueue(send, {'at': 1}), or send.perform_async(at=1)",
        ),
        (
            lambda app: app.enqueue_many(greet, [{"name": "Ant"}], greeting="Hi"),
            "app.enqueue(greet, {'greeting': 'Hi'}), or greet.perform_async(greeting='Hi')",
        ),
        (
            lambda app: asyncio.run(app.aenqueue(greet, name=5, at=1)),
            "app.enqueue(greet, {'name': 5, 'at': 1}), or greet.perform_async(name=5, at=1)",
        ),
        (
            lambda app: greet.options(queue="mail", name="Ant"),
            "greet.options(…).perform_async(name='Ant')",
        ),
        (
            lambda app: app.enqueue(Plain, name="x" * 100),
            "app.enqueue(Plain, {'name': …}), or Plain.perform_async({'name': …})",
        ),
        (
            lambda app: Plain.perform_async(email="x"),
            "app.enqueue(Plain, {'email': 'x'}), or Plain.perform_async({'email': 'x'})",
        ),
    ],
)
def test_arguments_given_as_options_are_told_where_they_go(light, enqueue, write):
    with pytest.raises(TypeError, match="unknown option '") as refused:
        enqueue(light)

    assert str(refused.value).endswith(f" write {write}")


@pytest.mark.parametrize(
    ("enqueue", "write"),
    [
        (
            lambda: greet.perform_async(name="Ant", queue="mail"),
            "greet.options(queue='mail').perform_async(name='Ant')",
        ),
        (
            lambda: asyncio.run(greet.aperform_async(name="Ant", schedule_in=60, timeout=5)),
            "greet.options(schedule_in=60, timeout=5).perform_async(name='Ant')",
        ),
        (
            lambda: greet.options(priority=1).build(name="Ant", max_attempts=3),
            "greet.options(priority=1, max_attempts=3).perform_async(name='Ant')",
        ),
    ],
)
def test_options_given_as_arguments_are_told_where_they_go(light, enqueue, write):
    with pytest.raises(
        TypeError, match=r"no argument '.*', which is an option of a job"
    ) as refused:
        enqueue()

    assert str(refused.value).endswith(f"; write {write}")
    assert light.count_jobs() == 0


def test_an_argument_may_have_the_name_of_an_option():
    @worker
    def move(queue, timeout=3): ...

    @worker
    def anything(**given): ...

    assert move.build(queue="mail").args == {"queue": "mail"}
    assert anything.build(priority=200).args == {"priority": 200}


def test_an_argument_that_looks_like_an_option_is_an_argument(light):
    @worker
    def move(que): ...

    with pytest.raises(TypeError, match=r"'que' .* which has an argument of this name; to give"):
        light.enqueue(move, que="mail")


def test_a_worker_is_pickled_by_name():
    assert pickle.loads(pickle.dumps(greet)) is greet  # noqa: S301 - our own bytes


def test_a_coroutine_function_is_a_worker_that_is_known_as_one():
    @worker
    async def fetch(): ...

    assert fetch.antq_is_async
    assert not greet.antq_is_async


def generating():
    yield


class Mail: ...


@pytest.mark.parametrize(
    ("function", "options", "error", "said"),
    [
        (lambda: None, {"executor": "async"}, TypeError, "write 'async def', or leave the option"),
        (lambda: None, {"priority": 1_000}, ValueError, "priority"),
        (generating, {}, TypeError, "yield"),
        (lambda a, /: a, {}, TypeError, "cannot be given by keyword"),
        (lambda *a: a, {}, TypeError, "cannot be given by keyword"),
        (5, {}, TypeError, "@worker is for functions"),
        (print, {}, TypeError, "@worker is for functions"),
        (greet, {}, TypeError, "@worker is for functions"),
        (Mail, {}, TypeError, r"class Mail\(Worker\)"),
    ],
)
def test_what_cannot_be_a_worker_is_refused_at_the_decoration(function, options, error, said):
    with pytest.raises(error, match=said):
        worker(**options)(function)


def test_a_function_worker_is_found_by_its_name():
    assert resolver.resolve("old.place:send", job_id=1) is send
    assert isinstance(resolver.resolve(f"{__name__}:greet", job_id=1), FunctionWorker)


# ---- decorated functions ----------------------------------------------------------------------


def with_database(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function("database", *args, **kwargs)

    return inner


def with_keyword(function):
    @functools.wraps(function)
    def inner(**kwargs):
        return function(database="database", **kwargs)

    return inner


def taking_one_out(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function("database", *args, email=kwargs.pop("recipient"), **kwargs)

    return inner


def with_an_argument_of_its_own(function):
    @functools.wraps(function)
    def inner(*args, tries, **kwargs):
        return [function("database", *args, **kwargs) for _ in range(tries)][-1]

    return inner


def exact(function):
    @functools.wraps(function)
    def inner(email, percent=10):
        return function("database", email, percent)

    return inner


def write(database, email, percent=20):
    return database, email, percent


@pytest.mark.parametrize(
    ("decorate", "keywords", "result"),
    [
        (with_database, {"email": "x"}, ("database", "x", 20)),
        (with_keyword, {"email": "x", "percent": 5}, ("database", "x", 5)),
        (taking_one_out, {"recipient": "x"}, ("database", "x", 20)),
        (with_an_argument_of_its_own, {"tries": 2, "email": "x"}, ("database", "x", 20)),
        (exact, {"email": "x"}, ("database", "x", 10)),
        (lambda each: with_database(exact(each)), {"percent": 3}, ("database", "database", 3)),
    ],
)
def test_an_argument_that_a_decorator_supplies_is_not_demanded(decorate, keywords, result):
    decorated = worker(decorate(write))

    job = decorated.build(**keywords)

    assert job.args == keywords
    assert decorated.perform(job) == result


MISSING = "missing a required (keyword-only )?argument: 'tries'"
"""From Python 3.12 on, it says of which kind."""
MISSPELT = r"write\(.*has no argument 'emial'; did you mean 'email'"


@pytest.mark.parametrize(
    ("decorate", "keywords", "said"),
    [
        (with_database, {"emial": "x", "tries": 1}, MISSPELT),
        (with_keyword, {"emial": "x", "tries": 1}, MISSPELT),
        (with_an_argument_of_its_own, {"emial": "x", "tries": 1}, MISSPELT),
        (with_an_argument_of_its_own, {"email": "x"}, MISSING),
        (exact, {}, "missing a required argument: 'email'"),
        (exact, {"email": "x", "database": "y"}, "no argument 'database'; known are email, perce"),
    ],
)
def test_keywords_that_do_not_fit_a_decorated_function_are_refused(decorate, keywords, said):
    decorated = worker(decorate(write))

    with pytest.raises(TypeError, match=said):
        decorated.build(**keywords)


def test_any_keyword_reaches_a_decorated_function_that_takes_any():
    @worker
    @with_database
    def free(database, email, **headers):
        return headers

    job = free.build(emial="x", email="y")

    assert free.perform(job) == {"emial": "x"}


def test_a_positional_argument_that_a_decorator_supplies_is_no_parameter_of_the_job():
    @worker
    @with_database
    def positional(database, /, email):
        return database, email

    assert positional.perform(positional.build(email="x")) == ("database", "x")


def test_what_a_decorator_takes_by_position_only_is_refused():
    def decorate(function):
        @functools.wraps(function)
        def inner(email, /, **kwargs):
            return function(email, **kwargs)

        return inner

    with pytest.raises(TypeError, match="'email' cannot be given by keyword"):
        worker(decorate(write))
