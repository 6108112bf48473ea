"""What a queue actor understands, by handle, ask, tell, call and cast; and what it does not."""

import pytest
from support.apps import settled, until

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


def test_status_has_the_counts_and_the_running_jobs(run, controlled):
    app = controlled.app = run(concurrency=2)
    jobs = controlled.jobs(range(3))
    controlled.begun(2)

    status = app.queue("default").status()

    assert isinstance(status, QueueStatus)
    assert (status.name, status.concurrency, status.paused) == ("default", 2, False)
    assert status.running == tuple(sorted(job.id for job in jobs[:2]))
    assert status.counts[Status.RUNNING] == 2
    assert status.counts[Status.ENQUEUED] == 1
    assert app.queue("default").ref.ask(GetStatus()) == status
    assert call(app.queue("default").ref, GetStatus()) == status


def test_concurrency_is_set_by_message(run, controlled, send):
    app = controlled.app = run(concurrency=1)
    controlled.jobs(range(3))
    controlled.begun()

    send(app.queue("default").ref, SetConcurrency(3))

    controlled.begun(2)
    assert app.queue("default").status().concurrency == 3


def test_a_queue_is_paused_and_resumed_by_message(run, controlled, send):
    app = controlled.app = run()
    queue = app.queue("default")

    send(queue.ref, Pause())

    until(lambda: queue.status().paused, "the pause")
    controlled.job("a")
    queue.ref.ask(Wake())
    assert not controlled.has_begun_more()
    send(queue.ref, Resume())
    assert controlled.begun() == ["a"]
    assert not queue.status().paused


def test_nothing_enqueued_after_pause_returned_begins(run, controlled):
    app = controlled.app = run(concurrency=50)
    queue = app.queue("default")

    for part in range(30):
        queue.pause()
        job = controlled.job(part)
        queue.ref.ask(Wake())
        assert app.get_worker(job.id).status is Status.ENQUEUED
        assert not controlled.has_begun_more()
        queue.resume()
        assert controlled.begun() == [part]


def test_running_jobs_of_a_paused_queue_go_on(run, controlled):
    app = controlled.app = run()
    job = controlled.job("a")
    controlled.begun()

    app.queue("default").pause()
    controlled.release("a")

    assert settled(app, job).status is Status.COMPLETED


def test_pausing_twice_and_resuming_a_running_queue_do_nothing(run, controlled):
    queue = run().queue("default")

    queue.resume()
    queue.pause()
    queue.pause()
    assert queue.status().paused
    queue.resume()
    queue.resume()
    assert not queue.status().paused


def test_a_pause_outlives_the_queue_actor_and_the_application(run, controlled, tmp_path):
    app = controlled.app = run(tmp_path / "store")
    app.queue("default").pause()
    old = app.queue("default").ref

    send_exit(old, Killed())
    until(lambda: restarted(app, old), "the restart")
    assert app.queue("default").status().paused
    app.stop()
    app.start()

    controlled.job("a")
    app.queue("default").ref.ask(Wake())
    assert app.queue("default").status().paused
    assert not controlled.has_begun_more()
    app.queue("default").resume()
    controlled.begun()


def restarted(app, old):
    try:
        return app.queue("default").ref != old
    except NotStarted:
        return False


def test_a_concurrency_is_not_kept_over_a_restart(run, controlled):
    app = run(concurrency=2)
    app.queue("default").set_concurrency(7)

    app.stop()
    app.start()

    assert app.queue("default").status().concurrency == 2


@pytest.mark.parametrize(
    ("n", "error", "said"),
    [
        *((n, ValueError, "at least 1") for n in (0, -1)),
        *((n, TypeError, "whole number") for n in (1.5, "2", None, True)),
    ],
)
def test_a_concurrency_that_is_no_number_from_one_up_is_refused(run, n, error, said):
    queue = run(concurrency=2).queue("default")

    with pytest.raises(error, match=said):
        queue.set_concurrency(n)
    with pytest.raises(error, match=said):
        SetConcurrency(n)

    assert queue.status().concurrency == 2


@pytest.mark.parametrize("message", ["hello", None, 42, ("pause",), {"pause": True}, object()])
def test_an_unknown_message_is_refused_and_the_queue_lives_on(run, controlled, message, caplog):
    app = controlled.app = run()
    job = controlled.job("a")
    controlled.begun()
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
    controlled.release("a")
    assert settled(app, job).errors == ()


def test_a_handle_outlives_its_queue_actor(run, controlled):
    app = controlled.app = run()
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


def test_without_queues_a_handle_works_through_the_store(run, controlled, tmp_path):
    app = controlled.app = run(tmp_path / "store")
    app.stop()
    with AntQ(tmp_path / "store", start_queues=False) as look:
        controlled.job("a", app=look)
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


def test_a_job_can_get_the_status_of_its_own_queue(run, controlled):
    app = controlled.app = run()
    seen = []
    job = controlled.job("a")
    controlled.begun()

    controlled.release("a", then=lambda job: seen.append(app.queue("default").status().running))

    assert settled(app, job).status is Status.COMPLETED
    assert seen == [(job.id,)]
