"""Unique jobs: which are the same, who is in the way, and that only one gets in."""

import threading

import pytest
from support.apps import settled

from antq_actors import AlreadyExists, Status, Unique, Worker, worker

EMAIL = Unique(args=["email"])


class Mail(Worker, unique=EMAIL):
    def perform(self, job):
        if job.args.get("fail"):
            raise ValueError("fail")


class OtherMail(Worker, unique=EMAIL):
    def perform(self, job):
        pass


class Loose(Worker):
    def perform(self, job):
        pass


class Both(Worker, unique=Unique(args=["a", "b"])):
    def perform(self, job):
        pass


@worker(unique=Unique(args=["email"]))
def send(email, copies=1):
    pass


def test_a_duplicate_is_refused_with_the_job_in_the_way_and_nothing_is_stored(paused):
    first = Mail.perform_async({"email": "x", "n": 1})

    with pytest.raises(AlreadyExists, match=f"job {first.id}") as refused:
        Mail.perform_async({"email": "x", "n": 2})

    assert refused.value.job == first
    assert paused.list_workers() == [first]


def test_jobs_are_the_same_by_worker_queue_and_named_arguments(paused):
    Mail.perform_async({"email": "x"})

    Mail.perform_async({"email": "y"})
    Mail.perform_async({"email": "x"}, queue="mail")
    OtherMail.perform_async({"email": "x"})
    send.perform_async(email="x")
    with pytest.raises(AlreadyExists):
        send.perform_async(email="x", copies=2)
    assert paused.count_workers() == 5


@pytest.mark.parametrize("args", [{}, {"email": None}, {"other": 1}], ids=str)
def test_a_missing_or_none_argument_bypasses_the_check(paused, args):
    Mail.perform_async(args)
    Mail.perform_async(args)

    assert paused.count_workers() == 2


def test_all_named_arguments_must_be_equal(paused):
    Both.perform_async({"a": 1, "b": 2})
    Both.perform_async({"a": 1, "b": 3})
    Both.perform_async({"a": 1})

    with pytest.raises(AlreadyExists):
        Both.perform_async({"b": 2, "c": 9, "a": 1})


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}),
        ({3, 1, 2}, {1, 2, 3}),
        (1, 1.0),
        ("ü", "ü"),
    ],
    ids=str,
)
def test_equal_values_are_the_same_however_they_were_made(paused, one, same):
    Mail.perform_async({"email": one})

    with pytest.raises(AlreadyExists):
        Mail.perform_async({"email": same})


@pytest.mark.parametrize(("one", "other"), [("1", 1), ([1], (1,)), ("", None), (0, None)])
def test_different_values_are_different(paused, one, other):
    Mail.perform_async({"email": one})
    Mail.perform_async({"email": other})

    assert paused.count_workers() == 2


def test_unique_none_switches_it_off_in_both_directions(paused):
    Mail.perform_async({"email": "x"}, unique=None)
    unique = Mail.perform_async({"email": "x"})
    Mail.perform_async({"email": "x"}, unique=None)

    with pytest.raises(AlreadyExists) as refused:
        Mail.perform_async({"email": "x"})
    assert refused.value.job == unique


def test_a_single_job_may_be_unique_though_its_worker_is_not(paused):
    Loose.perform_async({"email": "x"})
    Loose.perform_async({"email": "x"}, unique=EMAIL)

    with pytest.raises(AlreadyExists):
        Loose.perform_async({"email": "x"}, unique=EMAIL)
    Loose.perform_async({"email": "x"})


def test_a_function_is_not_unique_by_an_argument_that_it_does_not_take(paused):
    def define():
        @worker(unique=Unique(args=["user", "emial"]))
        def invite(user, email): ...

    wrong = Unique(args=["emial"])
    ways = [
        define,
        lambda: send.options(unique=wrong),
        lambda: paused.enqueue(send, {"email": "x"}, unique=wrong),
        lambda: paused.enqueue_many(send, [{"email": "x"}], unique=wrong),
    ]

    for way in ways:
        with pytest.raises(ValueError, match=r"unique names 'emial'.*did you mean 'email'\?"):
            way()
    assert paused.count_jobs() == 0


def test_a_function_that_takes_any_keyword_is_unique_by_any(paused):
    @worker(unique=Unique(args=["order"]))
    def note(**facts): ...

    note.perform_async(order=1)

    with pytest.raises(AlreadyExists):
        note.perform_async(order=1)


def test_scheduled_jobs_are_in_the_way_and_cancelled_ones_are_not(paused):
    job = Mail.perform_async({"email": "x"}, schedule_in=3600)
    with pytest.raises(AlreadyExists):
        Mail.perform_async({"email": "x"})
    paused.cancel_worker(job)

    Mail.perform_async({"email": "x"})


def test_an_ended_or_deleted_job_is_not_in_the_way(app):
    for n in range(3):
        job = Mail.perform_async({"email": "x", "fail": n == 1})
        settled(app, job)
    app.queue("default").pause()
    job = Mail.perform_async({"email": "x"})
    app.delete_worker(job)
    Mail.perform_async({"email": "x"})


def test_statuses_say_which_jobs_are_in_the_way(app):
    done = Mail.perform_async({"email": "x"})
    settled(app, done)

    for statuses in ("all", Status.COMPLETED, "completed", ["completed", "failed"]):
        with pytest.raises(AlreadyExists) as refused:
            Mail.perform_async({"email": "x"}, unique=Unique(args=["email"], statuses=statuses))
        assert refused.value.job.id == done.id
    for statuses in ([], Status.FAILED, {"cancelled"}):
        job = Mail.perform_async({"email": "x"}, unique=Unique(args=["email"], statuses=statuses))
        settled(app, job)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Unique(args=[]), ValueError),
        (lambda: Unique(args="email"), TypeError),
        (lambda: Unique(args=[1]), TypeError),
        (lambda: Unique(args=None), TypeError),
        (Unique, TypeError),
        (lambda: Unique(args=["a"], statuses="sometimes"), ValueError),
        (lambda: Unique(args=["a"], statuses=["enqueued", "x"]), ValueError),
        (lambda: Unique(args=["a"], statuses=5), TypeError),
        (lambda: Unique(args=["a"], period=5), TypeError),
    ],
)
def test_a_wrong_unique_is_refused_where_it_is_made(make, error):
    with pytest.raises(error):
        make()


def test_unique_by_default_means_the_active_statuses():
    waiting = {Status.ENQUEUED, Status.SCHEDULED, Status.RETRYING, Status.SUSPENDED}
    active = {Status.RUNNING, *waiting}
    assert set(Unique(args=["a"]).statuses) == active
    assert set(Unique(args=["a"], statuses="all").statuses) == set(Status)


def test_a_retry_is_subject_to_uniqueness(app):
    failed = Mail.perform_async({"email": "x", "fail": True})
    settled(app, failed)
    app.queue("default").pause()
    new = Mail.perform_async({"email": "x"})

    with pytest.raises(AlreadyExists) as refused:
        app.retry_worker(failed)

    assert refused.value.job == new
    assert app.get_worker(failed.id).status is Status.FAILED
    app.cancel_worker(new)
    assert app.retry_worker(failed).status is Status.ENQUEUED
    with pytest.raises(AlreadyExists):
        Mail.perform_async({"email": "x"})


def test_a_job_is_not_in_its_own_way_when_it_is_retried(app):
    job = Mail.perform_async({"email": "x"}, unique=Unique(args=["email"], statuses="all"))
    settled(app, job)
    app.queue("default").pause()

    assert app.retry_worker(job).status is Status.ENQUEUED


def test_of_ten_threads_exactly_one_gets_in(paused):
    together = threading.Barrier(10)
    answers = []

    def enqueue():
        together.wait()
        try:
            answers.append(Mail.perform_async({"email": "x"}))
        except AlreadyExists as error:
            answers.append(error)

    threads = [threading.Thread(target=enqueue) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    refused = [answer for answer in answers if isinstance(answer, AlreadyExists)]
    (stored,) = [answer for answer in answers if answer not in refused]
    assert len(refused) == 9
    assert {error.job.id for error in refused} == {stored.id}
    assert paused.list_workers() == [stored]


def test_an_argument_that_cannot_be_compared_is_refused_by_its_name(paused):
    with pytest.raises(TypeError, match="'email'"):
        Mail.perform_async({"email": threading.Lock()})
    assert paused.count_workers() == 0
