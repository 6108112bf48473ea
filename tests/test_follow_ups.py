"""Jobs that are stored with the completion of another one, or never."""

import threading
from datetime import timedelta

import pytest
from msgspec.structs import replace
from support.apps import settled

from antq_actors import (
    AlreadyExists,
    AntQ,
    Fail,
    Job,
    NotRetryable,
    Status,
    Unique,
    UnknownQueue,
    worker,
)
from antq_actors.jobs import current_app

LONG = 3600


@worker
def note(text: str) -> None:
    """Do nothing: that it is stored is what is looked at."""


@worker(unique=Unique(args=["text"]))
def note_once(text: str) -> None:
    """Do the same, once at a time."""


def follow(job: Job, texts: list[str]) -> None:
    for text in texts:
        job.follow_up(note, {"text": text})


@worker
def in_thread(texts: list[str], job: Job) -> None:
    follow(job, texts)


@worker
async def in_coroutine(texts: list[str], job: Job) -> None:
    follow(job, texts)


@worker(executor="process")
def in_process(texts: list[str], job: Job) -> None:
    follow(job, texts)


@worker
def fail_after(texts: list[str], job: Job) -> Fail:
    follow(job, texts)
    return Fail("no")


@worker(max_attempts=2)
def fail_once(job: Job) -> Fail | None:
    job.follow_up(note, {"text": f"attempt {job.attempts}"})
    return Fail("once") if job.attempts == 1 else None


fail_once.calculate_delay = lambda job: 0.0


def texts_of(app):
    return [job.args["text"] for job in app.list_jobs(worker=note)]


@pytest.mark.parametrize("performed", [in_thread, in_coroutine, in_process])
def test_follow_ups_are_stored_with_the_completion_in_the_order_of_their_calls(app, performed):
    job = settled(app, app.enqueue(performed, {"texts": ["a", "b", "c"]}))

    assert job.status is Status.COMPLETED
    assert texts_of(app) == ["a", "b", "c"]
    assert {each.inserted_at for each in app.list_jobs(worker=note)} == {job.ended_at}


def test_an_attempt_that_does_not_complete_stores_none(app):
    assert settled(app, app.enqueue(fail_after, {"texts": ["a"]})).status is Status.FAILED

    assert texts_of(app) == []


def test_only_what_the_completing_attempt_asked_for_is_stored(app):
    settled(app, app.enqueue(fail_once))

    assert texts_of(app) == ["attempt 2"]


@worker
def put_off(job: Job) -> None:
    job.follow_up(note, {"text": "in"}, schedule_in=timedelta(hours=1))
    job.follow_up(note, {"text": "at"}, schedule_at=job.inserted_at + timedelta(hours=2))


def test_schedule_in_counts_from_the_completion_and_schedule_at_is_an_instant(app):
    job = settled(app, app.enqueue(put_off))

    due = {each.args["text"]: each.scheduled_at for each in app.list_jobs(worker=note)}
    assert due["in"] == job.ended_at + timedelta(hours=1)
    assert due["at"] == job.inserted_at + timedelta(hours=2)


@worker
def twice(job: Job) -> None:
    for text in ("a", "a", "b"):
        job.follow_up(note_once, {"text": text}, schedule_in=LONG)


def test_duplicates_among_follow_ups_are_left_out(app):
    waiting = app.enqueue(note_once, {"text": "b"}, schedule_in=LONG)
    settled(app, app.enqueue(twice))

    assert [job.args["text"] for job in app.list_jobs(worker=note_once)] == ["b", "a"]
    with pytest.raises(AlreadyExists):
        app.enqueue(note_once, {"text": waiting.args["text"]})


REFUSED = [
    ({}, {}, TypeError, "text"),
    ({"text": "a"}, {"queue": "nowhere"}, UnknownQueue, "nowhere"),
    ({"text": "a"}, {"schedule_in": -1}, ValueError, "schedule_in"),
    ({"text": "a"}, {"colour": "red"}, TypeError, "colour"),
]


@worker
def ask_for_nonsense(number: int, job: Job) -> None:
    args, options, error, named = REFUSED[number]
    with pytest.raises(error, match=named):
        job.follow_up(note, args, **options)


@worker(executor="process")
def ask_in_process(number: int, job: Job) -> None:
    ask_for_nonsense(number, job)


@pytest.mark.parametrize("asks", [ask_for_nonsense, ask_in_process])
@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_is_wrong_with_a_follow_up_is_refused_at_its_call(app, asks, number):
    assert settled(app, app.enqueue(asks, {"number": number})).status is Status.COMPLETED
    assert texts_of(app) == []


kept: list[Job] = []


@worker
def keep(job: Job) -> None:
    kept.append(job)


def test_a_job_that_is_not_being_performed_has_no_follow_ups(app):
    stored = settled(app, app.enqueue(keep))

    for job in (stored, note.build(text="a"), kept.pop()):
        with pytest.raises(RuntimeError, match=r"not being performed.*follow_up\(\)"):
            job.follow_up(note, {"text": "late"})
    assert texts_of(app) == []


def test_the_outcome_of_a_job_that_was_deleted_stores_no_follow_up(tmp_path):
    with AntQ(tmp_path, queues={"default": 1}) as app:
        job = app.enqueue(delete_itself)
        assert app.wait_idle(timeout=30)
        assert [each.id for each in app.list_jobs()] == []
        assert job.id


@worker
def delete_itself(job: Job) -> None:
    job.follow_up(note, {"text": "never"})
    current_app.current().delete_job(job.id)


# ---- follow-ups that wait for another job ------------------------------------------------------


@worker
def wait_for_gate() -> Fail | None:
    gate_is_open.wait(30)
    return Fail("no") if gate_fails else None


gate_is_open = threading.Event()
gate_fails: list[bool] = []


@worker
def follow_after(other: int, job: Job) -> None:
    after = current_app.current().get_job(other)
    job.follow_up(note, {"text": "after"}, after=after)


@worker(executor="process")
def follow_in_process(other: int, job: Job) -> None:
    job.follow_up(note, {"text": "after"}, after=replace(job, id=other))


@pytest.fixture
def gate(app):
    """A job that runs until it may end."""
    gate_is_open.clear()
    gate_fails.clear()
    yield app.enqueue(wait_for_gate)
    gate_is_open.set()


def the_note(app):
    (found,) = app.list_jobs(worker=note)
    return found


@pytest.mark.parametrize("follows", [follow_after, follow_in_process])
def test_a_follow_up_is_suspended_until_the_other_job_has_completed(app, gate, follows):
    settled(app, app.enqueue(follows, {"other": gate.id}))
    waiting = the_note(app)
    assert (waiting.status, waiting.scheduled_at) == (Status.SUSPENDED, None)

    gate_is_open.set()

    assert settled(app, waiting).status is Status.COMPLETED
    assert app.wait_idle(timeout=30)


def test_a_follow_up_is_cancelled_if_the_other_job_fails_naming_it(app, gate):
    settled(app, app.enqueue(follow_after, {"other": gate.id}))
    gate_fails.append(True)
    gate_is_open.set()

    cut_off = settled(app, the_note(app))

    assert cut_off.status is Status.CANCELLED
    assert f"job {gate.id} failed" in cut_off.errors[0].error
    with pytest.raises(NotRetryable, match=f"job {gate.id}"):
        app.retry_job(cut_off)
    gate_fails.clear()
    app.retry_job(gate)
    assert settled(app, cut_off).status is Status.COMPLETED


def test_a_suspended_follow_up_can_be_cancelled_but_not_made_due(app, gate):
    settled(app, app.enqueue(follow_after, {"other": gate.id}))
    waiting = the_note(app)

    for refused in (app.retry_job, app.run_now):
        with pytest.raises(NotRetryable) as caught:
            refused(waiting)
        assert caught.value.status is Status.SUSPENDED
    assert app.cancel_job(waiting).status is Status.CANCELLED


def test_a_follow_up_starts_at_once_if_the_other_job_has_completed(app):
    other = settled(app, app.enqueue(note, {"text": "other"}))

    settled(app, app.enqueue(follow_after, {"other": other.id}))

    assert app.wait_idle(timeout=30)
    assert texts_of(app) == ["other", "after"]


@worker
def follow_nonsense(job: Job) -> None:
    with pytest.raises(TypeError, match="after must be a Job, got 5"):
        job.follow_up(note, {"text": "a"}, after=5)
    with pytest.raises(ValueError, match="built and not stored"):
        job.follow_up(note, {"text": "a"}, after=note.build(text="b"))


def test_what_a_follow_up_cannot_wait_for_is_refused_at_its_call(app):
    assert settled(app, app.enqueue(follow_nonsense)).status is Status.COMPLETED
    assert texts_of(app) == []
