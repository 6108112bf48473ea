"""What a queue actor understands, by handle, ask, tell, call and cast; and what it does not."""

import pytest
from apps import settled, until

from antq_actors import AntQ, NotStarted, QueueStatus, Status, UnknownQueue
from antq_actors.otp import Killed, call, cast
from antq_actors.otp import exit as send_exit
from antq_actors.queues import GetStatus, Pause, Resume, SetConcurrency, Wake

SENDERS = {
    "ask": lambda ref, message: ref.ask(message),
    "tell": lambda ref, message: ref.tell(message),
    "call": call,
    "cast": cast,
}


@pytest.fixture(params=SENDERS)
def send(request):
    return SENDERS[request.param]


def test_status_has_the_counts_and_the_running_jobs(run, stage):
    app = stage.app = run(concurrency=2)
    jobs = stage.jobs(range(3))
    stage.begun(2)

    status = app.queue("default").status()

    assert isinstance(status, QueueStatus)
    assert (status.name, status.concurrency, status.paused) == ("default", 2, False)
    assert status.running == tuple(sorted(job.id for job in jobs[:2]))
    assert status.counts[Status.RUNNING] == 2
    assert status.counts[Status.ENQUEUED] == 1
    assert app.queue("default").ref.ask(GetStatus()) == status
    assert call(app.queue("default").ref, GetStatus()) == status


def test_concurrency_is_set_by_message(run, stage, send):
    app = stage.app = run(concurrency=1)
    stage.jobs(range(3))
    stage.begun()

    send(app.queue("default").ref, SetConcurrency(3))

    stage.begun(2)
    assert app.queue("default").status().concurrency == 3


def test_a_queue_is_paused_and_resumed_by_message(run, stage, send):
    app = stage.app = run()
    queue = app.queue("default")

    send(queue.ref, Pause())

    until(lambda: queue.status().paused, "the pause")
    stage.job("a")
    queue.ref.ask(Wake())
    assert not stage.has_begun_more()
    send(queue.ref, Resume())
    assert stage.begun() == ["a"]
    assert not queue.status().paused


def test_nothing_enqueued_after_pause_returned_begins(run, stage):
    app = stage.app = run(concurrency=50)
    queue = app.queue("default")

    for part in range(30):
        queue.pause()
        job = stage.job(part)
        queue.ref.ask(Wake())
        assert app.get_worker(job.id).status is Status.ENQUEUED
        assert not stage.has_begun_more()
        queue.resume()
        assert stage.begun() == [part]


def test_running_jobs_of_a_paused_queue_go_on(run, stage):
    app = stage.app = run()
    job = stage.job("a")
    stage.begun()

    app.queue("default").pause()
    stage.cue("a")

    assert settled(app, job).status is Status.COMPLETED


def test_pausing_twice_and_resuming_a_running_queue_do_nothing(run, stage):
    queue = run().queue("default")

    queue.resume()
    queue.pause()
    queue.pause()
    assert queue.status().paused
    queue.resume()
    queue.resume()
    assert not queue.status().paused


def test_a_pause_outlives_the_queue_actor_and_the_application(run, stage, tmp_path):
    app = stage.app = run(tmp_path / "store")
    app.queue("default").pause()
    old = app.queue("default").ref

    send_exit(old, Killed())
    until(lambda: restarted(app, old), "the restart")
    assert app.queue("default").status().paused
    app.stop()
    app.start()

    stage.job("a")
    app.queue("default").ref.ask(Wake())
    assert app.queue("default").status().paused
    assert not stage.has_begun_more()
    app.queue("default").resume()
    stage.begun()


def restarted(app, old):
    try:
        return app.queue("default").ref != old
    except NotStarted:
        return False


def test_a_concurrency_is_not_kept_over_a_restart(run, stage):
    app = run(concurrency=2)
    app.queue("default").set_concurrency(7)

    app.stop()
    app.start()

    assert app.queue("default").status().concurrency == 2


@pytest.mark.parametrize("n", [0, -1])
def test_a_concurrency_below_one_is_refused_and_nothing_changes(run, n):
    queue = run(concurrency=2).queue("default")

    with pytest.raises(ValueError, match="at least 1"):
        queue.set_concurrency(n)
    with pytest.raises(ValueError, match="at least 1"):
        SetConcurrency(n)

    assert queue.status().concurrency == 2


@pytest.mark.parametrize("n", [1.5, "2", None, True])
def test_a_concurrency_that_is_no_number_is_refused(run, n):
    queue = run(concurrency=2).queue("default")

    with pytest.raises(TypeError, match="whole number"):
        queue.set_concurrency(n)

    assert queue.status().concurrency == 2


@pytest.mark.parametrize("message", ["hello", None, 42, ("pause",), {"pause": True}, object()])
def test_an_unknown_message_is_refused_and_the_queue_lives_on(run, stage, message, caplog):
    app = stage.app = run()
    job = stage.job("a")
    stage.begun()
    ref = app.queue("default").ref

    ref.tell(message)
    cast(ref, message)
    with pytest.raises(TypeError, match="does not understand"):
        ref.ask(message)
    with pytest.raises(TypeError, match="does not understand"):
        call(ref, message)

    assert app.queue("default").ref == ref
    assert ref.is_alive()
    assert caplog.text.count("ignores an unknown message") == 2
    stage.cue("a")
    assert settled(app, job).errors == ()


def test_a_handle_outlives_its_queue_actor(run, stage):
    app = stage.app = run()
    queue = app.queue("default")
    old = queue.ref

    send_exit(old, Killed())

    assert queue.status().running == ()
    assert queue.ref != old


def test_a_handle_of_a_stopped_application_raises_not_started(run):
    app = run()
    queue = app.queue("default")

    app.stop()

    with pytest.raises(NotStarted):
        queue.pause()
    with pytest.raises(NotStarted):
        queue.status()


def test_without_queues_a_handle_works_through_the_store(run, stage, tmp_path):
    app = stage.app = run(tmp_path / "store")
    app.stop()
    with AntQ(tmp_path / "store", start_queues=False) as look:
        stage.job("a", app=look)
        queue = look.queue("default")
        queue.pause()
        assert queue.status().paused
        assert queue.status().counts[Status.ENQUEUED] == 1
        with pytest.raises(NotStarted):
            _ = queue.ref
        with pytest.raises(NotStarted):
            queue.set_concurrency(3)
    app.start()
    assert app.queue("default").status().paused


def test_the_error_for_an_unknown_queue_lists_the_known_ones(run):
    app = run(queues=("default", "mail"))

    with pytest.raises(UnknownQueue, match="mail"):
        app.queue("mial")


def test_a_job_can_get_the_status_of_its_own_queue(run, stage):
    app = stage.app = run()
    seen = []
    job = stage.job("a")
    stage.begun()

    stage.cue("a", then=lambda job: seen.append(app.queue("default").status().running))

    assert settled(app, job).status is Status.COMPLETED
    assert seen == [(job.id,)]
