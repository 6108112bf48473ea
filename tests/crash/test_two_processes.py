"""Two processes on one path: what is enqueued, paused or resumed in one is heard in the other."""

import pytest
from stage import Stage

from antq_actors import AntQ, Status
from antq_actors.config import QueueConfig

from apps import settled, until  # isort: skip - of the folder above

OTHER = """
import sys
from antq_actors import AntQ

from stage import Act
app = AntQ(sys.argv[1], start_queues=False).start()
print("ready", flush=True)
for line in sys.stdin:
    verb, _, rest = line.strip().partition(" ")
    if verb == "enqueue":
        stage, part = rest.split()
        args = {"stage": int(stage), "part": part, "wait": "interruptible"}
        print(app.enqueue(Act, args).id, flush=True)
    else:
        getattr(app.queue("default"), verb)()
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
def stage(here):
    stage = Stage(here)
    yield stage
    stage.open()


def test_a_job_enqueued_in_another_process_wakes_the_queue_here(here, there, stage):
    for part in "abcde":  # unwoken, it would look in an hour
        id_ = int(there(f"enqueue {stage._name} {part}"))
        assert stage.begun() == [part]
        stage.cue(part)
        until(lambda id_=id_: here.get_worker(id_).status is Status.COMPLETED, "its end")


def test_a_pause_in_another_process_holds_here_and_so_does_its_end(here, there, stage):
    there("pause")

    assert here.queue("default").status().paused
    job = stage.job("a")
    there(f"enqueue {stage._name} b")
    assert here.get_worker(job.id).status is Status.ENQUEUED
    assert not stage.has_begun_more()

    there("resume")

    assert sorted(stage.begun(2)) == ["a", "b"]
    stage.cue("a", "b")
    settled(here, job)


def test_a_pause_here_outlives_what_another_process_enqueues(here, there, stage):
    here.queue("default").pause()

    id_ = int(there(f"enqueue {stage._name} a"))

    assert here.get_worker(id_).status is Status.ENQUEUED
    there("resume")
    assert stage.begun() == ["a"]
    stage.cue("a")
