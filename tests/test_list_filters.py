"""Jobs are found by when they were enqueued, when they failed, and what the newest error says."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from antq_actors import Fail, Job, Worker, worker


class Report(Worker):
    def perform(self, job):
        pass


class Imports(Worker):
    def perform(self, job):
        match job.args["ends"]:
            case "KeyError":
                raise KeyError("user_id")
            case "Fail":
                return Fail("card declined")
        return None


@worker(max_attempts=2, retry_delay=3600)
def later():
    raise KeyError("user_id")


def ids(jobs):
    return [job.id for job in jobs]


@pytest.fixture
def three(light):
    """Three jobs, enqueued one after the other."""
    return light, [light.enqueue(Report) for _ in range(3)]


@pytest.fixture
def ended(app):
    """Two failed jobs, a completed one and one that is to be retried, in this order."""
    jobs = []
    for ends in ("KeyError", "Fail", "well"):
        jobs.append(app.enqueue(Imports, {"ends": ends}))
        assert app.wait_idle(timeout=60)
    jobs.append(app.enqueue(later))
    while app.get_job(jobs[-1].id).status != "retrying":
        assert not app.wait_idle(timeout=0.01)
    return app, [app.get_job(job.id) for job in jobs]


def test_jobs_are_found_by_when_they_were_enqueued(three):
    app, (first, second, third) = three

    assert ids(app.list_jobs(inserted_after=first.inserted_at)) == [2, 3]
    assert ids(app.list_jobs(inserted_before=third.inserted_at)) == [1, 2]
    assert ids(
        app.list_jobs(inserted_after=first.inserted_at, inserted_before=third.inserted_at)
    ) == [2]
    assert app.list_jobs(inserted_after=second.inserted_at, inserted_before=third.inserted_at) == []


def test_an_instant_is_the_same_in_every_time_zone(three):
    app, (first, _, _) = three
    in_tokyo = first.inserted_at.astimezone(timezone(timedelta(hours=9)))

    assert ids(app.list_jobs(inserted_after=in_tokyo)) == [2, 3]


def test_instants_go_with_pages_and_the_other_filters(three):
    app, (first, _, _) = three
    app.cancel_job(2)

    newest = app.list_jobs(inserted_after=first.inserted_at, newest_first=True, limit=1)

    assert ids(newest) == [3]
    assert ids(app.list_jobs(inserted_after=first.inserted_at, status="cancelled")) == [2]
    assert ids(app.list_jobs(inserted_after=first.inserted_at, after=2)) == [3]


def test_jobs_are_found_by_when_their_newest_error_occurred(ended):
    app, (first, second, _, _) = ended
    before_all, after_all = first.inserted_at, datetime.now(UTC) + timedelta(hours=1)
    first_failed, second_failed = (job.errors[0].attempted_at for job in (first, second))

    assert (first_failed, second_failed) == (first.ended_at, second.ended_at)
    assert ids(app.list_jobs(failed_after=before_all)) == [1, 2, 4]
    assert ids(app.list_jobs(failed_after=first_failed)) == [2, 4]
    assert ids(app.list_jobs(failed_before=second_failed)) == [1]
    assert ids(app.list_jobs(failed_after=first_failed, failed_before=after_all)) == [2, 4]
    assert ids(app.list_jobs(failed_before=after_all, status=["failed", "completed"])) == [1, 2]
    assert ids(app.list_jobs(failed_before=after_all, status="retrying")) == [4]
    assert app.list_jobs(failed_after=after_all) == []


def test_a_job_that_was_retried_keeps_the_time_of_its_newest_error(ended):
    app, (_, second, _, _) = ended
    app.queue("default").pause()

    app.retry_job(2)
    app.cancel_job(2)

    assert ids(app.list_jobs(failed_after=second.inserted_at)) == [2, 4]
    assert ids(app.list_jobs(failed_before=second.inserted_at)) == [1]


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ("user_id", [1, 4]),
        ("KeyError", [1, 4]),
        ("KeyError: 'user_id'", [1, 4]),
        ("declined", [2]),
        ("keyerror", []),
        ("nothing like it", []),
        ("", [1, 2, 4]),
    ],
)
def test_jobs_are_found_by_a_part_of_their_newest_error(ended, part, found):
    app, _ = ended

    assert ids(app.list_jobs(error=part)) == found
    assert ids(app.list_jobs(error=part, newest_first=True)) == found[::-1]


def test_an_error_before_the_newest_finds_no_job(app):
    @worker(max_attempts=2, retry_delay=0)
    def twice(job: Job):
        raise (KeyError if job.attempts == 1 else ValueError)(job.attempts)

    job = app.enqueue(twice)
    assert app.wait_idle(timeout=60)

    assert ids(app.list_jobs(error="ValueError: 2")) == [job.id]
    assert app.list_jobs(error="KeyError: 1") == []


@pytest.mark.parametrize(
    "name", ["inserted_after", "inserted_before", "failed_after", "failed_before"]
)
@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        (datetime(2026, 1, 1), ValueError, "has no time zone; write"),  # noqa: DTZ001 - refused
        ("2026-01-01", TypeError, "must be a datetime with a time zone"),
        (1767225600, TypeError, "must be a datetime with a time zone"),
    ],
)
def test_what_is_no_instant_is_refused_by_its_name(light, name, value, error, says):
    with pytest.raises(error, match=rf"{name}.* {says}"):
        light.list_jobs(**{name: value})


def test_an_error_to_look_for_is_text(light):
    with pytest.raises(TypeError, match=r"error must be a part of the error's text .*KeyError"):
        light.list_jobs(error=KeyError)
