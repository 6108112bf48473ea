"""One job comes in: its options, its schedule, its arguments."""

import gc
import threading
import weakref
from collections import OrderedDict, UserDict
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from uuid import uuid4

import pytest
from support.apps import settled

from antq_actors import AntQ, InvalidSchedule, Status, Unique, Worker, worker

seen = {}
done = threading.Event()


class Plain(Worker):
    def perform(self, job):
        seen[job.id] = job


class Mail(Worker, queue="mail", max_attempts=3, timeout=30.0, priority=2):
    def perform(self, job):
        pass


class UrgentMail(Mail, priority=5):
    pass


class Cart:
    def __init__(self, items):
        self.items = items

    def __eq__(self, other):
        return isinstance(other, Cart) and other.items == self.items

    __hash__ = None


@worker
def send(email, copies=1):
    seen["send"] = (email, copies)


@worker(queue="mail", max_attempts=4)
def anything(**args):
    seen["anything"] = args


def defined_again(given_name, **options):
    class Again(Worker, name=given_name, **options):
        def perform(self, job):
            pass

    return Again


# ---- options ---------------------------------------------------------------------------------


def test_a_job_takes_the_options_of_its_class_and_its_own_over_them(paused):
    job = UrgentMail.perform_async({})

    assert (job.queue_name, job.max_attempts, job.priority) == ("mail", 3, 5)
    assert job.opts["timeout"] == 30.0

    own = UrgentMail.perform_async(
        {}, queue="default", max_attempts=7, timeout=timedelta(minutes=2), priority=-128
    )

    assert (own.queue_name, own.max_attempts, own.priority) == ("default", 7, -128)
    assert own.opts["timeout"] == 120.0
    assert UrgentMail.perform_async({}, timeout=None).opts["timeout"] is None
    assert paused.get_worker(own.id) == own


def test_jobs_one_after_the_other_have_times_of_their_own(paused):
    for _ in range(3):
        before = datetime.now(UTC)
        job = Plain.perform_async()

        assert before <= job.inserted_at <= datetime.now(UTC)
        assert job.updated_at == job.scheduled_at == job.inserted_at


def test_the_options_shown_by_one_job_are_not_those_of_the_next(paused):
    Plain.perform_async().opts["priority"] = 9

    assert Plain.perform_async().opts["priority"] == 0


def test_options_of_one_job_are_not_those_of_the_next(paused):
    jobs = [Mail.perform_async(), Mail.perform_async(priority=7), Mail.perform_async()]

    assert [job.priority for job in jobs] == [2, 7, 2]


def test_a_worker_defined_again_is_enqueued_with_its_new_options(paused):
    first = defined_again("again", queue="mail", priority=1)
    jobs = [first.perform_async(), first.perform_async()]
    second = defined_again("again", queue="mail", priority=2)
    jobs += [second.perform_async(), second.perform_async()]

    assert [job.priority for job in jobs] == [1, 1, 2, 2]
    with pytest.raises(ValueError, match="was replaced by a later definition"):
        first.perform_async()


def test_a_worker_that_was_replaced_is_let_go(paused):
    replaced = weakref.ref(defined_again("let go"))
    replaced().perform_async()
    defined_again("let go").perform_async()
    gc.collect()

    assert replaced() is None


def test_each_application_gives_its_own_default_queue(tmp_path):
    with AntQ(tmp_path, queues={"here": 1}), AntQ(queues={"there": 1}) as other:
        assert Plain.perform_async().queue_name == "there"
        assert other.enqueue(Plain).queue_name == "there"
        other.stop()
        assert Plain.perform_async().queue_name == "here"


def test_perform_async_and_enqueue_take_the_same(paused):
    for job in (
        Mail.perform_async({"n": 1}, priority=9),
        paused.enqueue(Mail, {"n": 1}, priority=9),
        paused.enqueue(Mail, priority=9, queue="default"),
        Mail.perform_async(priority=9),
        Mail.perform_async(None, priority=9),
    ):
        assert (job.worker, job.priority) == (f"{__name__}:Mail", 9)
        assert job.args in ({"n": 1}, {})


def test_a_function_worker_takes_its_keywords_as_arguments(app):
    job = send.perform_async(email="x@example.com", copies=2)

    assert job.args == {"email": "x@example.com", "copies": 2}
    assert settled(app, job).status is Status.COMPLETED
    assert seen["send"] == ("x@example.com", 2)
    assert settled(app, app.enqueue(send, {"email": "y"})).status is Status.COMPLETED
    assert seen["send"] == ("y", 1)


def test_arguments_of_a_function_may_be_named_like_options(app):
    names = {"queue": 1, "schedule_in": -5, "self": 2, "worker": 3, "args": 4, "options": 5}

    job = anything.options(priority=3).perform_async(**names)

    assert (job.args, job.queue_name, job.priority, job.max_attempts) == (names, "mail", 3, 4)
    assert settled(app, job).status is Status.COMPLETED
    assert seen["anything"] == names


def test_options_of_a_function_go_to_options(paused):
    assert send.options(schedule_in=60).perform_async(email="x").status is Status.SCHEDULED
    assert send.options(queue="mail").perform_async(email="x").queue_name == "mail"
    with pytest.raises(TypeError, match="schedule_in"):
        send.perform_async(email="x", schedule_in=60)
    with pytest.raises(TypeError, match="did you mean 'schedule_in'"):
        send.options(shedule_in=60)
    with pytest.raises(ValueError, match="priority"):
        send.options(priority=1000)


@pytest.mark.parametrize(
    ("keywords", "named"),
    [({}, "email"), ({"emial": 1}, "did you mean 'email'"), ({"email": 1, "cc": 2}, "cc")],
)
def test_arguments_that_do_not_fit_the_function_are_refused(paused, keywords, named):
    for enqueue in (
        lambda: send.perform_async(**keywords),
        lambda: send.build(**keywords),
        lambda: paused.enqueue(send, keywords),
    ):
        with pytest.raises(TypeError, match=named):
            enqueue()
    with pytest.raises(TypeError, match="keyword"):
        send.perform_async("x@example.com")
    assert paused.count_workers() == 0


def test_a_function_worker_is_still_the_function():
    assert send("x", copies=3) is None
    assert seen["send"] == ("x", 3)
    assert send.__name__ == "send"


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"colour": 1}, TypeError, "colour"),
        ({"max_attempt": 3}, TypeError, "did you mean 'max_attempts'"),
        ({"name": "x"}, TypeError, "name"),
        ({"max_attempts": 0}, ValueError, "max_attempts"),
        ({"max_attempts": "3"}, TypeError, "max_attempts"),
        ({"max_attempts": True}, TypeError, "max_attempts"),
        ({"max_attempts": None}, TypeError, "max_attempts"),
        ({"timeout": 0}, ValueError, "timeout"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"timeout": "30"}, TypeError, "timeout"),
        ({"priority": 128}, ValueError, "priority"),
        ({"priority": -129}, ValueError, "priority"),
        ({"priority": 1.0}, TypeError, "priority"),
        ({"queue": 5}, TypeError, "queue"),
        ({"queue": ""}, ValueError, "queue"),
        ({"queue": "x" * 101}, ValueError, "queue"),
        ({"unique": "email"}, TypeError, "unique"),
        ({"unique": ["email"]}, TypeError, "unique"),
        ({"unique": True}, TypeError, "unique"),
    ],
)
def test_wrong_options_are_refused_by_name_and_nothing_is_stored(paused, options, error, named):
    for enqueue in (
        lambda: Plain.perform_async({}, **options),
        lambda: Plain.build({}, **options),
        lambda: paused.enqueue(Plain, {}, **options),
        lambda: paused.enqueue_many(Plain, [{}], **options),
        lambda: send.options(**options),
    ):
        with pytest.raises(error, match=named):
            enqueue()
    assert paused.count_workers() == 0


@pytest.mark.parametrize("thing", [int, Worker, "Plain", None, Plain.__new__(Plain), print, 5])
def test_what_is_no_worker_is_a_type_error(paused, thing):
    with pytest.raises(TypeError, match="no worker"):
        paused.enqueue(thing, {})
    with pytest.raises(TypeError, match="no worker"):
        paused.enqueue_many(thing, [{}])
    assert paused.count_workers() == 0


def test_arguments_given_as_options_are_told_where_they_go(paused):
    for enqueue in (
        lambda: Plain.perform_async(email="x"),
        lambda: paused.enqueue(Plain, email="x"),
        lambda: paused.enqueue(send, email="x"),
    ):
        with pytest.raises(TypeError, match=r"unknown option 'email'.*in one mapping"):
            enqueue()
    with pytest.raises(TypeError, match=r"unknown option 'email'.*to perform_async\(name="):
        send.options(email="x")


class Name(str, Enum):  # noqa: UP042 - whose str() is not its value
    MAIL = "mail"
    COMPLETED = "completed"


def test_members_of_a_str_enum_are_the_text_they_stand_for(app):
    job = Plain.perform_async({Name.MAIL: 1}, queue=Name.MAIL)

    assert settled(app, job).args == job.args == {"mail": 1}
    assert job.queue_name == "mail"
    assert app.queue(Name.MAIL).status().name == "mail"
    assert app.list_workers(queue_name=Name.MAIL, status=Name.COMPLETED)[0].id == job.id
    with AntQ(queues={Name.MAIL: 1}) as other:
        assert settled(other, other.enqueue(Plain)).queue_name == "mail"


# ---- schedule --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "schedule",
    [
        {"schedule_in": None},
        {"schedule_at": None},
        {"schedule_in": None, "schedule_at": None},
        {"schedule_in": 0},
        {"schedule_in": 0.0},
        {"schedule_in": timedelta(0)},
        {"schedule_at": datetime(1960, 1, 1, tzinfo=UTC)},
        {"schedule_at": datetime.min.replace(tzinfo=UTC)},
        {"schedule_at": datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))},
    ],
    ids=str,
)
def test_none_zero_and_the_past_mean_now(paused, schedule):
    job = Plain.perform_async({}, **schedule)

    assert job.status is Status.ENQUEUED
    assert job.scheduled_at == job.inserted_at


@pytest.mark.parametrize("delay", [60, 60.0, timedelta(minutes=1)])
def test_schedule_in_is_that_long_from_now(paused, delay):
    job = Plain.perform_async({}, schedule_in=delay)

    assert job.status is Status.SCHEDULED
    assert job.scheduled_at - job.inserted_at == timedelta(seconds=60)
    assert job.attempts == 0
    assert paused.get_worker(job.id) == job


def test_schedule_at_is_that_instant_in_any_zone(paused):
    at = datetime(2999, 6, 1, 12, tzinfo=timezone(timedelta(hours=-7)))

    job = Plain.perform_async({}, schedule_at=at)

    assert job.status is Status.SCHEDULED
    assert job.scheduled_at == at
    assert job.scheduled_at.utcoffset() == timedelta(0)
    assert Plain.perform_async({}, schedule_in=None, schedule_at=at).scheduled_at == at


@pytest.mark.parametrize(
    "schedule",
    [
        {"schedule_in": -1},
        {"schedule_in": -0.001},
        {"schedule_in": timedelta(seconds=-1)},
        {"schedule_in": float("nan")},
        {"schedule_in": float("inf")},
        {"schedule_in": float("-inf")},
        {"schedule_in": 10**30},
        {"schedule_in": 10**400},
        {"schedule_in": timedelta.max},
        {"schedule_in": "5000"},
        {"schedule_in": True},
        {"schedule_in": Decimal(5)},
        {"schedule_at": datetime(2999, 1, 1)},  # noqa: DTZ001 - naive is what is wrong
        {"schedule_at": "2999-01-01T00:00:00Z"},
        {"schedule_at": 32503680000},
        {"schedule_at": date(2999, 1, 1)},
        {"schedule_at": datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))},
        {"schedule_in": 1, "schedule_at": datetime(2999, 1, 1, tzinfo=UTC)},
        {"schedule_in": 0, "schedule_at": datetime(1999, 1, 1, tzinfo=UTC)},
    ],
    ids=str,
)
def test_a_schedule_that_names_no_instant_is_invalid_and_nothing_is_stored(paused, schedule):
    for enqueue in (
        lambda: Plain.perform_async({}, **schedule),
        lambda: Plain.build({}, **schedule),
        lambda: send.options(**schedule).perform_async(email="x"),
        lambda: paused.enqueue(Plain, {}, **schedule),
        lambda: paused.enqueue_many(Plain, [{}], **schedule),
        lambda: paused.enqueue_many(Plain, [], **schedule),
    ):
        with pytest.raises(InvalidSchedule, match="schedule_") as refused:
            enqueue()
        assert isinstance(refused.value, ValueError)
    assert paused.count_workers() == 0


def test_a_scheduled_job_runs_when_it_is_due(app):
    job = Plain.perform_async({}, schedule_in=0.2)

    job = settled(app, job)

    assert job.status is Status.COMPLETED
    assert job.updated_at - job.inserted_at >= timedelta(seconds=0.2)
    assert job.attempts == 1
    assert job.scheduled_at is None


# ---- arguments -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        None,
        {},
        {"": 1},
        {"text": "ünï 🎉 \ud800", "bytes": b"\0\xff", "big": 10**50, "no": None},
        {"nested": {"list": [1, {"tuple": (1, 2)}, {3}, frozenset([4])]}},
        {"at": datetime(2024, 1, 1, tzinfo=UTC), "of": date(2024, 1, 1), "id": uuid4()},
        {"price": Decimal("1.10"), "nan": float("inf"), "c": 1 + 2j},
        OrderedDict(a=1),
        MappingProxyType({"a": 1}),
        UserDict(a=1),
        {"much": "x" * 5_000_000},
        {str(n): n for n in range(5_000)},
    ],
    ids=lambda args: str(args)[:25],
)
def test_plain_arguments_arrive_as_they_were_given(app, args):
    job = Plain.perform_async(args)

    assert settled(app, job).status is Status.COMPLETED
    expected = dict(args or {})
    assert seen[job.id].args == job.args == app.get_worker(job.id).args == expected


def test_objects_of_the_users_own_arrive_in_perform(app):
    job = Plain.perform_async({"cart": Cart([1]), "deep": [{"cart": Cart([2])}], "f": len})

    assert settled(app, job).status is Status.COMPLETED
    assert seen[job.id].args == {"cart": Cart([1]), "deep": [{"cart": Cart([2])}], "f": len}


def test_a_list_that_contains_itself_arrives(app):
    ring = [1]
    ring.append(ring)

    job = Plain.perform_async({"ring": ring})

    assert settled(app, job).status is Status.COMPLETED
    arrived = seen[job.id].args["ring"]
    assert arrived[1] is arrived


def test_what_the_caller_changes_afterwards_does_not_change_the_job(paused):
    args = {"n": 1, "items": [1], "map": {"a": [1]}}
    job = Plain.perform_async(args)

    args["n"] = 2
    args["new"] = 3
    args["items"].append(2)
    args["map"]["a"].append(2)

    expected = {"n": 1, "items": [1], "map": {"a": [1]}}
    assert job.args == paused.get_worker(job.id).args == expected


@pytest.mark.parametrize("args", [[], [("a", 1)], "text", 5, b"x", {1, 2}, True, Plain], ids=repr)
def test_arguments_that_are_no_mapping_are_a_type_error(paused, args):
    for enqueue in (
        lambda: Plain.perform_async(args),
        lambda: Plain.build(args),
        lambda: paused.enqueue(Plain, args),
    ):
        with pytest.raises(TypeError, match="args must be a mapping"):
            enqueue()
    assert paused.count_workers() == 0


@pytest.mark.parametrize("key", [1, None, b"k", ("a",), 1.5], ids=repr)
def test_a_key_that_is_no_str_is_a_type_error_that_shows_it(paused, key):
    with pytest.raises(TypeError) as refused:
        Plain.perform_async({"fine": 1, key: 2})

    assert repr(key) in str(refused.value)
    assert paused.count_workers() == 0


class Unwilling:
    def __reduce__(self):
        raise RuntimeError("I stay here")


@pytest.mark.parametrize(
    "value",
    [
        threading.Lock(),
        (n for n in range(3)),
        [{"deep": threading.Lock()}],
        Unwilling(),
        threading.current_thread(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_argument_that_cannot_be_pickled_is_a_type_error_naming_its_key(paused, value):
    with pytest.raises(TypeError, match="'culprit'"):
        Plain.perform_async({"fine": 1, "culprit": value, "also fine": 2})

    assert paused.count_workers() == 0
    assert Plain.perform_async({"fine": 1}).id == 1


def test_lists_too_deep_to_pickle_are_a_type_error_naming_the_key(paused):
    deep = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(TypeError, match="'deep'"):
        Plain.perform_async({"deep": deep})
    assert paused.count_workers() == 0


def test_unique_may_be_given_for_one_job(paused):
    job = Plain.perform_async({"n": 1}, unique=Unique(args=["n"]))

    assert job.opts["unique"] == Unique(args=["n"])
    assert paused.get_worker(job.id).opts == job.opts
