"""Jobs that are stored with the completion of another one, or never."""

from datetime import timedelta

import pytest
from support.apps import settled

from antq_actors import AlreadyExists, AntQ, Fail, Job, Status, Unique, UnknownQueue, worker

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
    from antq_actors.jobs import current_app  # noqa: PLC0415 - the application of the test

    job.follow_up(note, {"text": "never"})
    current_app.current().delete_job(job.id)
