"""When a job began and ended, as every process sees it; and what a snooze makes of its past."""

import json
from datetime import UTC, datetime

import pytest
from support.apps import settled
from support.programs import run_python

from antq_actors import AntQ, Fail, Snooze, Status, Worker, current_job, maintenance


class Notes(Worker, name="times:Notes"):
    seen: list = []  # noqa: RUF012 - what the test looks at

    def perform(self, job):
        self.seen.append((job.started_at, job.ended_at, current_job().started_at))
        if job.args.get("fail"):
            raise KeyError("user_id")


class FailsOnce(Worker, name="times:FailsOnce", max_attempts=2, retry_delay=3600):
    def perform(self, job):
        raise KeyError("user_id")


class SnoozesAsItsSchedule(Worker, name="times:SnoozesAsItsSchedule", max_attempts=2):
    """Fails and snoozes in turn, as a schedule does over the years; then completes."""

    def perform(self, job):
        if job.error_count == 6:
            return None
        return Snooze(0) if job.attempts == 2 else Fail("this week's failure")

    def calculate_delay(self, job):
        return 0.0


@pytest.fixture
def app(tmp_path):
    with AntQ(tmp_path / "store") as app:
        yield app


@pytest.mark.parametrize("fail", [False, True])
def test_a_job_tells_when_it_began_and_when_it_ended(app, fail):
    before = datetime.now(UTC)
    job = app.enqueue(Notes, {"fail": fail})

    ended = settled(app, job)

    assert (job.started_at, job.ended_at) == (None, None)
    assert before <= job.inserted_at <= ended.started_at <= ended.ended_at <= datetime.now(UTC)
    assert ended.started_at.tzinfo is UTC
    assert Notes.seen.pop() == (ended.started_at, None, ended.started_at)


def test_a_job_that_will_be_tried_again_has_begun_and_not_ended(app):
    retrying = settled(app, app.enqueue(FailsOnce), Status.RETRYING)

    assert retrying.started_at is not None
    assert retrying.ended_at is None
    cancelled = app.cancel_worker(retrying)
    assert cancelled.started_at == retrying.started_at
    assert cancelled.ended_at >= retrying.updated_at


def test_a_job_that_is_retried_has_not_ended_and_begins_anew(app):
    first = settled(app, app.enqueue(Notes, {"fail": True}))
    app.queue("default").pause()

    again = app.retry_worker(first)

    assert (again.started_at, again.ended_at) == (first.started_at, None)
    app.queue("default").resume()
    second = settled(app, again)
    assert second.started_at > first.ended_at


def test_other_processes_see_the_same_times_and_the_type_of_an_error(app):
    job = settled(app, app.enqueue(Notes, {"fail": True}))

    command = ("-m", "antq_actors", "show", job.id, "--json", "--path", app.path)
    shown = json.loads(run_python(*command, check=True).stdout)

    assert datetime.fromisoformat(shown["started_at"]) == job.started_at
    assert datetime.fromisoformat(shown["ended_at"]) == job.ended_at
    (error,) = shown["errors"]
    assert (error["error"], error["error_type"]) == ("'user_id'", "KeyError")


def test_a_backup_and_what_is_restored_from_it_have_times_and_types(app, tmp_path):
    job = settled(app, app.enqueue(Notes, {"fail": True}))
    app.backup(tmp_path / "backup")

    maintenance.restore(tmp_path / "backup", tmp_path / "restored")

    assert app.verify() == []
    assert maintenance.verify(tmp_path / "restored") == []
    with AntQ(tmp_path / "restored", start_queues=False) as restored:
        assert repr(restored.get_worker(job.id)) == repr(job)
        assert restored.get_worker(job.id).errors[0].summary == "KeyError: 'user_id'"


def test_a_job_that_snoozes_as_its_schedule_outlives_any_number_of_single_failures(app):
    done = settled(app, app.enqueue(SnoozesAsItsSchedule))

    assert done.status is Status.COMPLETED
    assert (done.error_count, done.attempts, done.max_attempts) == (6, 2, 2)
