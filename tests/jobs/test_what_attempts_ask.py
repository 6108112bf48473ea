"""What the threads of an attempt ask for as it ends: stored with its outcome, or refused."""

import threading
from multiprocessing import Pipe

import pytest
from support.stored_jobs import a_new_job

from antq_actors import Job, NotStarted, Status
from antq_actors.executors.process import wire
from antq_actors.executors.process.parent_connection import ParentConnection, PipeControl
from antq_actors.jobs import instant
from antq_actors.jobs.control import CONTROL, Control, checked_progress
from antq_actors.jobs.state import StoredJob
from antq_actors.jobs.steps import AttemptSteps, KeepCheckpoint, KeepStep


class EndsFirst(list):
    """A list of what an attempt asks for, whose attempt has its outcome before the next entry."""

    def __init__(self, control):
        super().__init__()
        self.control = control
        self.taken = None

    def append(self, wanted):
        if wanted is not None and self.taken is None:
            self.taken = end(self.control)
        super().append(wanted)


def end(control):
    control.is_over = True
    return None if control.asked is None else control.take_asked()


def test_what_is_asked_for_is_taken_in_order():
    control = Control()

    assert [control.ask(number) for number in range(3)] == [True] * 3
    assert end(control) == [0, 1, 2]
    assert not control.ask(3)


def test_what_comes_between_the_look_and_the_entry_is_refused_and_not_lost():
    control = Control()
    control.asked = EndsFirst(control)

    assert not control.ask(1)
    assert control.asked.taken == []


def test_what_is_entered_while_the_attempt_ends_is_taken():
    control = Control()
    control.ask(1)
    control.is_over = True  # and now its list is looked for
    control.asked.append(2)

    assert control.take_asked() == [1, 2]


def test_each_of_many_threads_knows_whether_what_it_asked_for_is_stored():
    for _ in range(50):
        control, together = Control(), threading.Barrier(5)
        accepted = [[] for _ in range(4)]

        def add(number, control=control, together=together, accepted=accepted):
            together.wait()
            for each in range(number, 200, 4):
                if control.ask(each):
                    accepted[number].append(each)

        threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
        for each in threads:
            each.start()
        together.wait()
        taken = end(control) or []
        for each in threads:
            each.join()

        assert sorted(taken) == sorted(each for some in accepted for each in some)


# ---- the job --------------------------------------------------------------------------------


class Application:
    """Stands for that of the attempt; *on_call* is called before it does what it is asked."""

    def __init__(self):
        self.stored = []
        self.on_call = lambda: None

    def antq_prepare(self, worker, args, options):
        self.on_call()
        return a_new_job()

    def antq_workflow(self, verb, flow):
        self.on_call()
        return flow

    def antq_encode(self, value, what):
        return value

    def antq_steps(self, request):
        if isinstance(request, KeepCheckpoint | KeepStep):
            self.on_call()
            self.stored.append(request.value)


@pytest.fixture
def application():
    return Application()


@pytest.fixture
def control(application):
    new = a_new_job()
    made = Control(application=lambda: application, stored=StoredJob(1, new.state, new.spec, ()))
    made.steps = AttemptSteps(made, application)
    return made


@pytest.fixture
def job(control):
    now = instant.to_datetime(0)
    made = Job(
        id=1, worker="shop:note", queue_name="default", args={}, priority=0,
        status=Status.RUNNING, attempts=1, max_attempts=1, interruptions=0, scheduled_at=None,
        inserted_at=now, updated_at=now, errors=(), opts={},
    )  # fmt: skip
    made.__dict__[CONTROL] = control
    return made


@pytest.mark.parametrize(
    ("verb", "ask"),
    [
        ("follow_up", lambda job: job.follow_up("worker")),
        ("expand", lambda job: job.expand("flow")),
    ],
)
def test_a_call_during_which_the_attempt_ends_raises(job, control, application, verb, ask):
    ask(job)
    application.on_call = lambda: end(control)

    with pytest.raises(RuntimeError, match=rf"not being performed.*{verb}\(\)"):
        ask(job)


@pytest.mark.parametrize(
    ("verb", "ask"),
    [
        ("follow_up", lambda job: job.follow_up("worker")),
        ("expand", lambda job: job.expand("flow")),
        ("checkpoint", lambda job: job.checkpoint(1, every=0)),
        ("step", lambda job: job.step("one", str)),
    ],
)
def test_what_a_process_cannot_ask_its_parent_any_more_is_as_too_late(
    job, control, application, verb, ask
):
    def refuse():
        raise NotStarted("the job that started this thread has ended")

    def end_and_refuse():
        end(control)
        refuse()

    application.on_call = refuse
    with pytest.raises(NotStarted):
        ask(job)
    application.on_call = end_and_refuse
    with pytest.raises(RuntimeError, match="job 1 is not being performed"):
        ask(job) if verb != "step" else job.step("two", str)


# ---- checkpoints ----------------------------------------------------------------------------


def test_a_checkpoint_that_a_thread_passes_while_another_is_stored_is_kept(
    job, control, application
):
    job.checkpoint("first")
    application.on_call = lambda: job.checkpoint("newer")  # by another thread

    job.checkpoint("second", every=0)

    assert application.stored == ["first", "second"]
    assert control.checkpoint == "newer"


def test_an_older_one_does_not_come_after_one_that_is_stored(job, control, application):
    job.checkpoint("first")
    job.checkpoint("held")
    held = []
    application.on_call = lambda: held.append(control.checkpoint)

    job.checkpoint("second", every=0)

    assert held == ["second"]  # what an outcome in that moment has with it
    assert application.stored == ["first", "second"]
    assert control.checkpoint is None


@pytest.mark.parametrize("every", [0, 3600])
def test_a_checkpoint_for_which_it_is_too_late_raises(job, control, application, every):
    job.checkpoint("first")
    job.checkpoint("held")
    before = application.antq_encode

    def encode(value, what):
        end(control)
        return before(value, what)

    application.antq_encode = encode

    with pytest.raises(RuntimeError, match=r"not being performed.*checkpoint\(\)"):
        job.checkpoint("late", every=every)
    assert control.checkpoint == "held"


def test_what_was_there_at_the_begin_is_not_what_another_thread_has_passed_since(application):
    new = a_new_job()
    stored = StoredJob(1, new.state, new.spec, ())
    control = Control(application=lambda: application, stored=stored)
    taken = AttemptSteps(control, application)
    taken._found = None
    answers = [b"old", b"new"]

    def read(request):
        answer = answers.pop(0)
        if answers:  # meanwhile another thread reads it, and overwrites it
            taken._found = (answer,)
            return answers.pop(0)
        return answer

    application.antq_steps = read
    application.antq_decode = lambda encoded: encoded

    assert taken.found_checkpoint() == b"old"


# ---- the process of a job --------------------------------------------------------------------


def test_a_process_says_nothing_more_of_an_attempt_that_has_ended():
    ours, theirs = Pipe()
    parent = ParentConnection(theirs)
    first, second = (PipeControl(parent=parent) for _ in range(2))
    parent.begin(first)
    first.report(checked_progress(0.5, None))
    parent.end(wire.Ended(None, 0))
    parent.begin(second)

    first.report(checked_progress(1, None))
    first.hold_checkpoint(b"late")
    first.cancelled()
    second.hold_checkpoint(b"own")
    theirs.close()

    received = [type(wire.receive(ours)) for _ in range(3)]
    assert received == [wire.Reported, wire.Ended, wire.Checkpointed]
    with pytest.raises(EOFError):
        wire.receive(ours)
