"""Which application perform_async means."""

import pytest

from antq_actors.errors import NotStarted
from antq_actors.jobs import current_app
from antq_actors.jobs.function_worker import worker
from antq_actors.jobs.worker import Worker


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


class Mail(Worker): ...


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

    Mail.perform_async({"email": "x"}, schedule_in=5)
    send.perform_async(email="x")
    send.options(priority=5).perform_async(email="y")

    assert application.enqueued == [
        (Mail, {"email": "x"}, {"schedule_in": 5}),
        (send, {"email": "x"}, {}),
        (send, {"email": "y"}, {"priority": 5}),
    ]


def test_a_built_job_goes_to_the_first_queue_of_the_current_application(enter):
    enter(Application("mail"))

    assert Mail.build().queue_name == "mail"
