"""A queue that is as busy as can be answers whoever asks it, before its jobs are done."""

import threading

import pytest

from antq_actors import AntQ, Status, worker

JOBS = 10_000
performed = []
is_over = threading.Event()


@worker
def busy() -> None:
    performed.append(True)
    if len(performed) == JOBS:
        is_over.set()


@pytest.fixture
def draining(tmp_path):
    """A queue, and what starts thousands of jobs on it that end as fast as they are claimed."""
    performed.clear()
    is_over.clear()
    with AntQ(tmp_path / "store", queues={"default": 50}) as app:
        queue = app.queue("default")
        queue.pause()
        app.enqueue_many(busy, ({} for _ in range(JOBS)))
        yield queue
        assert is_over.wait(60)


def test_resume_returns_before_the_jobs_of_a_busy_queue_end(draining):
    draining.resume()

    assert not is_over.is_set()


def test_a_busy_queue_replies_between_two_claims(draining):
    draining.resume()

    for _ in range(3):
        assert draining.status().counts[Status.COMPLETED] < JOBS
    draining.set_concurrency(60)
    draining.pause()

    assert not is_over.is_set()
    draining.resume()
