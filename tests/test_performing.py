"""What a worker sees, what it may answer, and what its failures leave in the job."""

import logging
from functools import partial, wraps

import pytest
from support.apps import settled, until

from antq_actors import Cancel, Fail, Snooze, Status, Worker, worker

seen = []


class Acts(Worker):
    """Does what its argument says."""

    def perform(self, job):
        seen.append(job)
        return ACTS[job.args["act"]]()


class Instances(Worker, max_attempts=2):
    def __init__(self):
        self.performed = 0

    def perform(self, job):
        self.performed += 1
        seen.append((self, self.performed))
        raise ValueError("again")

    def calculate_delay(self, job):
        return 0


class Delayed(Worker, max_attempts=2):
    def perform(self, job):
        raise ValueError("later")


class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Awkward:
    def __str__(self):
        raise RuntimeError("no text")


class Declined(Fail, frozen=True):
    pass


def raises(error):
    def act():
        raise error

    return act


ACTS = {
    "none": lambda: None,
    "false": lambda: False,
    "tuple": lambda: ("error", "text"),
    "exception": lambda: ValueError("returned, not raised"),
    "class": lambda: ValueError,
    "Fail class": lambda: Fail,
    "Cancel class": lambda: Cancel,
    "Snooze class": lambda: Snooze,
    "own class": lambda: Declined,
    "own": lambda: Declined("card"),
    "fail": lambda: Fail("Invalid email"),
    "fail with an exception": lambda: Fail(ValueError("bad")),
    "fail with None": lambda: Fail(None),
    "fail with an awkward reason": lambda: Fail(Awkward()),
    "cancel": lambda: Cancel("not needed"),
    "snooze too little": lambda: Snooze(-1),
    "snooze text": lambda: Snooze("5"),
    "snooze far": lambda: Snooze(3600),
    "raise": raises(ValueError("no")),
    "raise empty": raises(ValueError()),
    "raise odd": raises(Odd()),
    "exit": raises(SystemExit(3)),
    "interrupt": raises(KeyboardInterrupt()),
    "generator exit": raises(GeneratorExit()),
    "long": raises(ValueError("x" * 100_000)),
    "long fail": lambda: Fail("ü" * 100_000),
    "surrogate": raises(ValueError("\ud800")),
    "deep": lambda: deep(200),
}


def deep(left):
    if not left:
        raise ValueError("x" * 50_000)
    try:
        deep(left - 1)
    except ValueError as error:
        raise ValueError(f"{left} " + "y" * 500) from error


def act(app, name):
    return settled(app, Acts.perform_async({"act": name}), *ENDED_OR_SCHEDULED)


ENDED_OR_SCHEDULED = (Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.SCHEDULED)


@pytest.mark.parametrize("name", ["none", "false", "tuple", "exception", "class"])
def test_returning_anything_else_is_success(app, name):
    job = act(app, name)

    assert (job.status, job.attempts, job.errors) == (Status.COMPLETED, 1, ())


@pytest.mark.parametrize(
    ("name", "text", "traced"),
    [
        ("fail", "Invalid email", False),
        ("fail with an exception", "bad", False),
        ("fail with None", "None", False),
        ("fail with an awkward reason", "Awkward", False),
        ("Fail class", "perform returned the class Fail and no instance", False),
        ("Cancel class", "write: return Cancel(reason)", False),
        ("Snooze class", "write: return Snooze(seconds)", False),
        ("own class", "write: return Declined(reason)", False),
        ("own", "card", False),
        ("snooze too little", "negative", True),
        ("snooze text", "seconds", True),
        ("raise", "no", True),
        ("raise empty", "ValueError", True),
        ("raise odd", "Odd", True),
        ("exit", "3", True),
        ("interrupt", "KeyboardInterrupt", True),
        ("generator exit", "GeneratorExit", True),
        ("surrogate", "\\ud800", True),
    ],
)
def test_a_failed_attempt_says_why_and_the_next_job_runs(app, name, text, traced):
    job = act(app, name)

    assert (job.status, job.attempts, job.interruptions) == (Status.FAILED, 1, 0)
    (error,) = job.errors
    assert error.attempt == 1
    assert text in error.error
    assert (error.stack_trace is not None) is traced
    assert act(app, "none").status is Status.COMPLETED


def test_an_exceptions_text_is_exactly_its_str(app):
    assert act(app, "raise").errors[0].error == "no"
    assert act(app, "raise empty").errors[0].error == "ValueError"
    assert act(app, "fail").errors[0].error == "Invalid email"


@pytest.mark.parametrize("name", ["long", "long fail", "deep"])
def test_very_long_texts_are_cut_and_say_so(app, name):
    error = act(app, name).errors[0]

    assert len(error.error.encode()) <= 8 * 1024
    assert ("cut to 8192" in error.error) is (name != "deep")
    if error.stack_trace is not None:
        assert len(error.stack_trace.encode()) <= 64 * 1024
        assert "cut to 65536" in error.stack_trace


def test_a_snoozed_job_waits_and_its_attempt_does_not_count(app):
    job = act(app, "snooze far")

    assert (job.status, job.attempts, job.errors) == (Status.SCHEDULED, 0, ())
    assert 3500 < (job.scheduled_at - job.inserted_at).total_seconds() < 3700


def test_perform_sees_the_job_as_it_runs(app):
    job = act(app, "none")

    inside = seen[-1]
    assert (inside.id, inside.status, inside.attempts) == (job.id, Status.RUNNING, 1)
    assert inside.scheduled_at is None
    assert inside.worker == f"{__name__}:Acts"


def test_each_attempt_has_a_new_instance_made_without_arguments(app):
    seen.clear()

    job = settled(app, Instances.perform_async())

    (first, one), (second, also_one) = seen
    assert first is not second
    assert (one, also_one) == (1, 1)
    assert [error.attempt for error in job.errors] == [2, 1]


# ---- the delay before the next attempt -------------------------------------------------------


def retrying(app, worker):
    job = settled(app, worker.perform_async(), Status.RETRYING)
    return job, (job.scheduled_at - job.updated_at).total_seconds()


def test_by_default_the_next_attempt_is_ten_seconds_times_the_attempts_away(app):
    job, delay = retrying(app, Delayed)

    assert (job.attempts, delay) == (1, 10)


def test_calculate_delay_sees_the_failure_and_may_ask_super(app):
    class Doubles(Delayed):
        def calculate_delay(self, job):
            seen.append(job)
            return 2 * super().calculate_delay(job)

    _, delay = retrying(app, Doubles)

    assert delay == 20
    assert (seen[-1].attempts, seen[-1].errors[0].error) == (1, "later")


NONSENSE = [None, "5", -1, float("nan"), float("inf"), True, [], 10**400]


@pytest.mark.parametrize(
    "outcome", [*NONSENSE, ValueError("x"), SystemExit(1), KeyboardInterrupt()], ids=repr
)
def test_a_delay_that_is_nonsense_or_raises_is_logged_and_the_default_used(app, caplog, outcome):
    class Nonsense(Delayed):
        def calculate_delay(self, job):
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

    _, delay = retrying(app, Nonsense)

    assert delay == 10
    assert "calculate_delay" in caplog.text


# ---- definitions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"colour": 1}, TypeError, "colour"),
        ({"max_atempts": 3}, TypeError, "did you mean 'max_attempts'"),
        ({"schedule_in": 3}, TypeError, "schedule_in"),
        ({"queue": 5}, TypeError, "queue"),
        ({"queue": ""}, ValueError, "queue"),
        ({"max_attempts": 0}, ValueError, "max_attempts"),
        ({"max_attempts": 1.5}, TypeError, "max_attempts"),
        ({"timeout": 0}, ValueError, "timeout"),
        ({"timeout": "1"}, TypeError, "timeout"),
        ({"unique": ["email"]}, TypeError, "unique"),
        ({"priority": 200}, ValueError, "priority"),
        ({"name": ""}, ValueError, "name"),
        ({"name": 5}, TypeError, "name"),
    ],
)
def test_wrong_options_of_a_worker_are_refused_where_it_is_defined(options, error, named):
    with pytest.raises(error, match=named):

        class Wrong(Worker, **options):
            def perform(self, job):
                pass

    with pytest.raises(error, match=named):

        @worker(**options)
        def wrong():
            pass


def test_a_worker_answers_to_the_name_it_is_given(app):
    class Moved(Worker, name="performing.old:Mail"):
        def perform(self, job):
            pass

    job = settled(app, Moved.perform_async())

    assert (job.worker, job.status) == ("performing.old:Mail", Status.COMPLETED)
    assert app.list_workers(worker=Moved) == app.list_workers(worker="performing.old:Mail") == [job]


def test_workers_defined_in_functions_run_while_their_process_lives(app):
    def define():
        class Local(Worker):
            def perform(self, job):
                seen.append("local")

        @worker
        def local(n):
            seen.append(n)

        return Local, local

    one, two = define()
    jobs = [one.perform_async(), two.perform_async(n="function")]
    del one, two

    assert {settled(app, job).status for job in jobs} == {Status.COMPLETED}
    assert set(seen[-2:]) == {"local", "function"}


def test_a_perform_that_takes_no_job_is_refused_where_it_is_defined():
    with pytest.raises(TypeError, match="def perform"):

        class Forgetful(Worker):
            def perform(self):
                pass

    with pytest.raises(TypeError, match="def perform"):

        class Demanding(Worker):
            def perform(self, job, more):
                pass


def with_a_database(perform):
    @wraps(perform)
    def inner(self, job):
        return perform(self, job, "database")

    return inner


@pytest.mark.parametrize(
    "perform",
    [
        lambda self, job, more=1: None,
        lambda *args: None,
        lambda self, job, **more: None,
        staticmethod(lambda job: None),
        classmethod(lambda cls, job: None),
        pytest.param(
            partial(lambda n, job: None, 1),
            marks=pytest.mark.filterwarnings("ignore:functools.partial:FutureWarning"),
        ),
        with_a_database(lambda self, job, database: None),
    ],
)
def test_whatever_can_be_called_with_the_job_can_perform(app, perform):
    kind = type("Callable", (Worker,), {"perform": perform})

    assert settled(app, app.enqueue(kind)).status is Status.COMPLETED


def test_a_method_is_no_function_worker():
    with pytest.raises(TypeError, match="method"):

        class Shop:
            @worker
            def send(self, email):
                pass


def test_a_job_may_enqueue_others(app):
    class Parent(Worker):
        def perform(self, job):
            Acts.perform_async({"act": "none"})

    Parent.perform_async()

    until(lambda: app.count_workers(status="completed") == 2)


def test_the_record_of_a_failure_can_be_written_whatever_its_text(app, tmp_path):
    handler = logging.FileHandler(tmp_path / "log", encoding="utf-8")
    logging.getLogger("antq_actors.jobs").addHandler(handler)
    try:
        act(app, "surrogate")
    finally:
        logging.getLogger("antq_actors.jobs").removeHandler(handler)
        handler.close()

    written = (tmp_path / "log").read_text("utf-8")
    assert written.count("ValueError: \\ud800") == 2  # in the message and in the traceback
