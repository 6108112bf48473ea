"""A job that kills its node is failed in the end, and takes no other along."""

import signal

import pytest

from antq_actors import AntQ, Status

NODE = """
import os, signal, sys, time
from antq_actors import AntQ, Worker

class Innocent(Worker, name="poison:Innocent"):
    def perform(self, job):
        time.sleep(job.args["seconds"])

class Poison(Worker, name="poison:Poison"):
    def perform(self, job):
        time.sleep(job.args["seconds"])
        os.kill(os.getpid(), signal.SIGKILL)

app = AntQ(sys.argv[1], queues={"default": 20, "other": 20}).start()
ended = ["completed", "failed"]
while app.count_workers(status=ended) < app.count_workers():
    time.sleep(0.01)
app.stop()
"""


def fill(path, poisons, innocents, after):
    """Put the poisons in the middle of the innocents."""
    with AntQ(path, start_queues=False) as app:
        namespace = {}
        exec(NODE.partition("app =")[0], namespace)  # noqa: S102 - the same classes as over there
        innocent, poison = namespace["Innocent"], namespace["Poison"]
        for n in range(innocents):
            queue = ("default", "other")[n % 2]
            app.enqueue(innocent, {"seconds": 0.05 * (n % 4)}, queue=queue)
            if n < poisons:
                app.enqueue(poison, {"seconds": after})


def run_until_it_ends_by_itself(program, path):
    """What a service manager does: start the node again whenever it died. Return how often."""
    for deaths in range(30):
        node = program("-c", NODE, path)
        # Not line(): the job may be faster than who says that its node has started.
        status, _, errors = node.end(60)
        if status == 0:
            return deaths
        assert status == -signal.SIGKILL, errors
    pytest.fail("it died thirty times")


@pytest.mark.parametrize(("poisons", "after"), [(1, 0.0), (1, 0.3), (3, 0.02)])
def test_a_job_that_kills_its_node_is_failed_and_all_others_complete(
    program, tmp_path, poisons, after
):
    path = tmp_path / "store"
    fill(path, poisons, 30, after)

    deaths = run_until_it_ends_by_itself(program, path)

    with AntQ(path, start_queues=False) as app:
        failed = app.list_workers(status=Status.FAILED)
        assert [job.worker for job in failed] == ["poison:Poison"] * poisons
        assert app.count_workers(status=Status.COMPLETED) == 30
        for job in failed:
            assert (job.attempts, job.interruptions) == (0, 3)
            assert len(job.errors) == 3
            assert "that was interruption 3 of at most 3" in job.errors[0].error
            assert all(error.error.startswith("interrupted: its node") for error in job.errors)
        assert app.verify() == []
    assert 3 <= deaths <= 3 * poisons
