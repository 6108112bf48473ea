"""The job that code performs, whichever executor performs it."""

from support.apps import settled

from antq_actors import Job as Mine
from antq_actors import Status, current_job, worker


def test_the_current_job_is_known_to_all_that_comes_of_it(harness):
    app = harness.start(concurrency=1)

    jobs = [harness.enqueue(label, "name current job", max_attempts=1) for label in "abc"]

    ended = [settled(app, job) for job in jobs]
    assert [job.errors[0].error for job in ended] == [f"True for {job.id}" for job in jobs]
    assert current_job() is None


def test_a_function_is_given_its_job(harness):
    app = harness.start()

    jobs = [
        app.enqueue(
            harness.adapter.function_with_job, {"place": str(harness.place), "number": number}
        )
        for number in range(3)
    ]

    assert {settled(app, job).status for job in jobs} == {Status.COMPLETED}
    for number, job in enumerate(jobs):
        assert (harness.place / f"function {number} is job {job.id}, True").exists()


def test_a_retry_delay_is_asked_where_the_job_was_performed(harness):
    app = harness.start()

    job = settled(app, app.enqueue(harness.adapter.function_with_delay), Status.RETRYING)

    waits = (job.scheduled_at - job.errors[0].attempted_at).total_seconds()
    assert round(waits) == 1000 + job.id


def test_a_function_defined_in_a_function_gets_its_job_in_another_process(harness):
    app = harness.start()

    @worker(max_attempts=1, executor=None if harness.kind == "async" else harness.kind)
    def local(place, *, job: "Mine"):
        (place / f"job {job.id}").touch()

    job = app.enqueue(local, {"place": harness.place})

    assert settled(app, job).errors == ()
    assert (harness.place / f"job {job.id}").exists()
