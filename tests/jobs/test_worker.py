"""Worker classes: options, name, what is refused at once, and which application they mean."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Generic, TypeVar

import pytest
from msgspec.structs import replace

from antq_actors.errors import InvalidSchedule, NotStarted
from antq_actors.jobs import current_app, resolver
from antq_actors.jobs.function_worker import worker
from antq_actors.jobs.options import Options
from antq_actors.jobs.state import Status
from antq_actors.jobs.unique import Unique
from antq_actors.jobs.worker import Worker

T = TypeVar("T")


class Mail(Worker, queue="mail", max_attempts=3, timeout=30, unique=Unique(args=["email"])):
    def perform(self, job):
        return job.args


def test_options_stand_on_the_class_line():
    assert resolver.options_of(Mail) == Options(
        queue="mail", max_attempts=3, timeout=30.0, unique=Unique(["email"])
    )


def test_a_subclass_inherits_options_and_sets_its_own():
    class Urgent(Mail, priority=5): ...

    assert resolver.options_of(Urgent) == Options(
        queue="mail", max_attempts=3, timeout=30.0, unique=Unique(["email"]), priority=5
    )
    assert resolver.options_of(Mail).priority == 0


def test_the_stored_name_is_module_and_qualified_name():
    assert resolver.name_of(Mail) == f"{__name__}:Mail"


def test_a_name_of_its_own_is_not_inherited():
    class Moved(Worker, name="old.place:Mail"):
        pass

    class Sub(Moved): ...

    assert resolver.name_of(Moved) == "old.place:Mail"
    assert resolver.name_of(Sub).endswith("<locals>.Sub")


def test_a_slotted_dataclass_keeps_its_name_and_options():
    @dataclass(slots=True)
    class Slotted(Worker, name="slotted", queue="mail"):
        size: int = 5

    assert resolver.name_of(Slotted) == "slotted"
    assert resolver.options_of(Slotted).queue == "mail"
    assert resolver.resolve("slotted", job_id=1) is Slotted


def test_a_worker_may_be_generic_or_abstract():
    class Typed(Worker, Generic[T], queue="typed"):
        pass

    class Base(Worker, ABC, queue="base"):
        @abstractmethod
        def part(self): ...

    assert resolver.options_of(Typed).queue == "typed"
    assert resolver.options_of(Base).queue == "base"


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"max_atempts": 3}, TypeError, "unknown option 'max_atempts' of worker Wrong; did you m"),
        ({"schedule_in": 3}, TypeError, "unknown option 'schedule_in'"),
        ({"max_attempts": 0}, ValueError, "max_attempts"),
        ({"queue": ""}, ValueError, "queue"),
        ({"name": 5}, TypeError, "name of worker Wrong"),
        ({"name": ""}, ValueError, "name of worker Wrong"),
        ({"executor": "gpu"}, ValueError, "executor must be one of 'thread', 'async'"),
        ({"executor": 5}, TypeError, "executor must be one of"),
        ({"ray": 5}, TypeError, "ray must map resources"),
    ],
)
def test_a_wrong_option_fails_the_definition(options, error, said):
    with pytest.raises(error, match=said):
        type("Wrong", (Worker,), {}, **options)


def test_a_refused_class_answers_for_no_jobs():
    with pytest.raises(ValueError, match="max_attempts"):
        type("Wrong", (Worker,), {}, name="refused", max_attempts=0)

    assert resolver.defined("refused") is None


def test_a_worker_knows_whether_it_is_a_coroutine():
    class Async(Worker):
        async def perform(self, job): ...

    class Plain(Async):
        def perform(self, job): ...

    assert Async.antq_is_async
    assert not Plain.antq_is_async


def test_a_plain_perform_is_not_for_the_event_loop():
    class Base(Worker, executor="async"):
        """It has no perform yet."""

    with pytest.raises(TypeError, match=r"Sub\.perform is a plain function.*write 'async def'"):

        class Sub(Base):
            def perform(self, job): ...


def test_an_executor_is_inherited_and_is_no_option_of_a_job():
    class Base(Worker, executor="process"):
        def perform(self, job): ...

    class Sub(Base): ...

    assert Sub.antq_options.executor == "process"
    with pytest.raises(TypeError, match="unknown option 'executor'"):
        Sub.build(executor="thread")


def test_perform_with_a_yield_is_refused_at_the_definition():
    with pytest.raises(TypeError, match="would run none of it"):

        class Generator(Worker):
            def perform(self, job):
                yield


def test_a_worker_without_perform_says_so_when_it_is_run():
    class Empty(Worker): ...

    with pytest.raises(NotImplementedError, match="Empty has no perform"):
        Empty().perform(Empty.build())


def test_the_default_delay_grows_by_ten_seconds_with_each_attempt():
    job = Mail.build({"email": "x"})

    assert Mail().calculate_delay(job) == 10.0 * job.attempts
    assert Mail().calculate_delay(replace(job, attempts=3)) == 30.0


def test_a_built_job_shows_what_would_be_stored():
    job = Mail.build({"email": "x"}, max_attempts=5, priority=-1)

    assert (job.id, job.worker, job.queue_name) == (0, f"{__name__}:Mail", "mail")
    assert (job.args, job.status, job.attempts) == ({"email": "x"}, Status.ENQUEUED, 0)
    assert (job.max_attempts, job.priority, job.errors) == (5, -1, ())
    assert job.opts == {
        "max_attempts": 5,
        "timeout": 30.0,
        "unique": Unique(["email"]),
        "priority": -1,
    }
    assert job.scheduled_at == job.inserted_at == job.updated_at


def test_a_job_built_for_later_is_scheduled():
    when = datetime.now(UTC) + timedelta(hours=1)

    job = Mail.build({"email": "x"}, schedule_at=when)

    assert (job.status, job.scheduled_at) == (Status.SCHEDULED, when)


def test_a_job_can_go_to_another_queue():
    assert Mail.build({}, queue="slow").queue_name == "slow"


def test_without_an_application_the_default_queue_is_default():
    class Plain(Worker): ...

    assert Plain.build().queue_name == "default"


@pytest.mark.parametrize(
    ("args", "options", "error", "said"),
    [
        (["email"], {}, TypeError, "args must be a mapping"),
        ("email", {}, TypeError, "args must be a mapping"),
        (5, {}, TypeError, "args must be a mapping"),
        ([("email", "x")], {}, TypeError, "args must be a mapping"),
        ({1: "x"}, {}, TypeError, r"keys of args must be str, got 1 \(int\)"),
        (None, {"email": "x"}, TypeError, f"unknown option 'email' of worker {__name__}:Mail"),
        ({}, {"schedule_in": -1}, InvalidSchedule, "negative"),
    ],
)
def test_wrong_args_and_options_of_a_job_are_refused(args, options, error, said):
    with pytest.raises(error, match=said):
        Mail.build(args, **options)


def test_without_an_application_nothing_can_be_enqueued():
    with pytest.raises(NotStarted, match="no application is running"):
        Mail.perform_async({"email": "x"})


def test_the_base_class_itself_is_no_worker():
    with pytest.raises(TypeError, match="is no worker"):
        Worker.build()


@pytest.mark.parametrize("name", ["\ud800", "mail\udcff", "", "a\0b"])
def test_a_name_that_cannot_be_stored_is_refused_at_the_definition(name):
    with pytest.raises(ValueError, match="name of worker Wrong must"):
        type("Wrong", (Worker,), {}, name=name)
    with pytest.raises(ValueError, match=r"name of worker .*wrong must"):

        @worker(name=name)
        def wrong(): ...


def test_a_place_that_cannot_be_stored_needs_a_name():
    place = {"__module__": "mail\udcff", "perform": lambda self, job: None}

    with pytest.raises(ValueError, match="name of worker Wrong must be text that UTF-8 can carry"):
        type("Wrong", (Worker,), place)
    named = type("Right", (Worker,), place, name="mail:Right")

    assert resolver.name_of(named) == "mail:Right"


def test_a_name_of_an_enum_is_stored_as_plain_text():
    class Names(StrEnum):
        MAIL = "mail:Named"

    class Named(Worker, name=Names.MAIL): ...

    assert type(Named.antq_name) is str
    assert resolver.resolve("mail:Named", job_id=1) is Named


def test_a_unique_argument_whose_name_cannot_be_stored_is_refused():
    with pytest.raises(ValueError, match="args of Unique must be text that UTF-8 can carry"):
        Unique(args=["file\udcff"])


# ---- which application perform_async means ------------------------------------------------------


class Application:
    """Notes what it is asked to enqueue."""

    def __init__(self, default_queue="first"):
        self.default_queue = default_queue
        self.enqueued = []

    def enqueue(self, worker, args=None, /, **options):
        self.enqueued.append((worker, args, options))
        return worker


@pytest.fixture
def enter():
    entered = []

    def enter(application):
        current_app.enter(application)
        entered.append(application)
        return application

    yield enter
    for application in entered:
        current_app.leave(application)


class Letter(Worker): ...


@worker
def send(email): ...


def test_without_an_application_there_is_none():
    with pytest.raises(NotStarted):
        current_app.current()
    assert current_app.latest() is None


def test_the_application_started_last_that_still_runs_is_the_current_one(enter):
    one, two, three = (enter(Application()) for _ in range(3))

    current_app.leave(two)

    assert current_app.current() is three
    current_app.leave(three)
    assert current_app.current() is one


def test_leaving_without_having_entered_changes_nothing(enter):
    one = enter(Application())

    current_app.leave(Application())

    assert current_app.current() is one


def test_perform_async_asks_the_current_application(enter):
    application = enter(Application())

    Letter.perform_async({"email": "x"}, schedule_in=5)
    send.perform_async(email="x")
    send.options(priority=5).perform_async(email="y")

    assert application.enqueued == [
        (Letter, {"email": "x"}, {"schedule_in": 5}),
        (send, {"email": "x"}, {}),
        (send, {"email": "y"}, {"priority": 5}),
    ]


def test_a_built_job_goes_to_the_first_queue_of_the_current_application(enter):
    enter(Application("mail"))

    assert Letter.build().queue_name == "mail"
