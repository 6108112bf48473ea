"""Two processes on one path: what is enqueued, paused or resumed in one is heard in the other."""

import signal
from contextlib import suppress

import journal
import pytest
from long_jobs import Long  # noqa: F401 - both processes have it
from support.apps import settled, until

from antq_actors import AntQ, NotStarted, Status
from antq_actors.app.config import QueueConfig
from antq_actors.queues import Wake

OTHER = """
import sys
from antq_actors import AntQ
from antq_actors.storage.jobs.job_store import JobStore

from support.controlled_jobs import ControlledJob

def declare_dead(store):
    for node in store.dead_nodes():
        store.write(
            JobStore.rescue, node=node, now=0, max_interruptions=9, reason="it seemed dead"
        )
        store.close_node(node)

app = AntQ(sys.argv[1], start_queues=False).start()
print("ready", flush=True)
for line in sys.stdin:
    verb, _, rest = line.strip().partition(" ")
    if verb == "enqueue":
        controller, name = rest.split()
        args = {"controller": int(controller), "name": name, "wait": "interruptible"}
        print(app.enqueue(ControlledJob, args).id, flush=True)
    else:
        door = app.queue("default") if hasattr(app.queue("default"), verb) else app
        if verb == "declare_dead":
            declare_dead(app._running.store)
        else:
            getattr(door, verb)(*map(int, rest.split()))
        print("done", flush=True)
app.stop()
"""


@pytest.fixture
def here(tmp_path):
    queues = {"default": QueueConfig(5, check_interval=3600)}
    with AntQ(tmp_path / "store", queues=queues) as app:
        yield app


@pytest.fixture
def there(program, tmp_path, here):
    other = program("-c", OTHER, tmp_path / "store")
    assert other.line() == "ready"

    def tell(line):
        other.process.stdin.write(f"{line}\n")
        other.process.stdin.flush()
        return other.line()

    return tell


@pytest.fixture
def controlled(here, controlled):
    controlled.app = here
    return controlled


def test_a_job_enqueued_in_another_process_wakes_the_queue_here(here, there, controlled):
    for part in "abcde":  # unwoken, it would look in an hour
        id_ = int(there(f"enqueue {controlled._name} {part}"))
        assert controlled.begun() == [part]
        controlled.release(part)
        until(lambda id_=id_: here.get_worker(id_).status is Status.COMPLETED, "its end")


def test_a_pause_in_another_process_holds_here_and_so_does_its_end(here, there, controlled):
    there("pause")

    assert here.queue("default").status().paused
    job = controlled.job("a")
    there(f"enqueue {controlled._name} b")
    assert here.get_worker(job.id).status is Status.ENQUEUED
    assert not controlled.has_begun_more()

    there("resume")

    assert sorted(controlled.begun(2)) == ["a", "b"]
    controlled.release("a", "b")
    settled(here, job)


def test_a_pause_here_outlives_what_another_process_enqueues(here, there, controlled):
    here.queue("default").pause()

    id_ = int(there(f"enqueue {controlled._name} a"))

    assert here.get_worker(id_).status is Status.ENQUEUED
    there("resume")
    assert controlled.begun() == ["a"]
    controlled.release("a")


def test_a_concurrency_set_in_another_process_holds_here_at_once(here, there, controlled):
    controlled.jobs(range(8))
    controlled.begun(5)  # all slots are taken, and nothing ends in the meantime

    there("set_concurrency 7")

    controlled.begun(2)
    assert here.queue("default").status().concurrency == 7
    there("set_concurrency 1")
    until(lambda: here.queue("default").status().concurrency == 1, "its arrival")
    controlled.release_all()


def test_a_concurrency_for_a_queue_that_no_node_runs_is_refused(tmp_path):
    with (
        AntQ(tmp_path / "store", start_queues=False) as app,
        pytest.raises(NotStarted, match="no node runs queue 'default'"),
    ):
        app.queue("default").set_concurrency(3)


def test_a_job_cancelled_in_another_process_does_not_run_here_and_retried_there_it_does(
    here, there, controlled
):
    here.queue("default").pause()
    job = controlled.job("a")

    there(f"cancel_worker {job.id}")
    here.queue("default").resume()
    controlled.job("b")
    assert controlled.begun() == ["b"]
    assert here.get_worker(job.id).status is Status.CANCELLED

    there(f"retry_worker {job.id}")
    assert controlled.begun() == ["a"]
    controlled.release("a", "b")
    settled(here, job)


def test_at_a_rolling_restart_the_new_node_goes_on_with_what_the_old_one_gave_back(
    program, tmp_path
):
    path = tmp_path / "store"
    journal.begin(tmp_path, "new")

    def begun():
        return sum(row.what == "begin" for row in journal.rows(tmp_path))

    old = program("long_jobs.py", tmp_path, 3)
    old.lines_until("enqueued")
    until(lambda: begun() == 3, "the old one's jobs")
    with AntQ(path, queues={"default": QueueConfig(6, check_interval=3600)}) as new:
        until(lambda: begun() == 6, "the new one's share")

        old.send(signal.SIGTERM)
        old.send(signal.SIGINT)  # the second one: it does not wait for them
        assert old.end()[0] == 0

        until(lambda: begun() == 9, "the jobs that were given back")
        jobs = new.list_workers()
        assert [job.status for job in jobs] == [Status.RUNNING] * 6
        assert not any(job.interruptions or job.errors for job in jobs)
        assert [job.attempts for job in jobs] == [1] * 6
        new.stop(timeout=0)


def wake(app):
    with suppress(NotStarted):  # its queue is just coming back
        app.queue("default").ref.tell(Wake())


def test_a_living_node_that_was_declared_dead_comes_back_as_a_new_one(
    here, there, controlled, caplog
):
    job = controlled.job("a")
    controlled.begun()
    node = here._running.node.number()

    # What a person does who tidies up; or a file system that loses a lock.
    (here.path / "nodes" / f"{node}.lock").unlink()
    there("declare_dead")

    assert controlled.begun() == ["a"]  # again, in the place of the one that was fenced
    controlled.release_all()
    found = settled(here, job)
    assert (found.status, found.attempts, found.interruptions) == (Status.COMPLETED, 1, 1)
    # Between its rescue and the end of its record it may have claimed the job once more; then it
    # learns by its next claim that it is gone.
    until(lambda: here._running.node.number() > node or wake(here), "its new number")
    assert here.verify() == []


def test_a_job_that_runs_here_is_ended_by_a_cancellation_in_another_process(
    here, there, controlled
):
    job = controlled.job("a", max_attempts=5)
    assert controlled.begun() == ["a"]

    there(f"cancel_worker {job.id}")

    assert settled(here, job).status is Status.CANCELLED
    assert not controlled.has_begun_more()
