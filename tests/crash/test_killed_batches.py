"""A short run of ``make batches``, as part of the tests."""

import subprocess
import sys
from pathlib import Path

import killed_batches
import pytest

from antq_actors import AntQ

CREATOR = """
import sys

import killed_batches
from antq_actors import AntQ

app = AntQ(sys.argv[1]).start(queues=False)
batch = app.batch("import", abandoned=sys.argv[2])
batch.enqueue_many(killed_batches.Told, [{}] * 3)
print(batch.id, flush=True)
sys.stdin.read()
"""


def test_each_callback_comes_once_however_often_processes_are_killed(tmp_path):
    path = tmp_path / "store"

    outcome = killed_batches.run(path, members=400, kills=6)

    assert outcome.findings == []
    assert outcome.kills == 6
    with AntQ(path, start_queues=False) as app:
        batch = app.batches()[0]
        told = app.list_jobs(worker=killed_batches.Told, args={"batch": batch.name})
        app.delete_job(told[0])

        (found,) = killed_batches.find_wrong(app, batch, batch.status().total - len(batch.jobs()))
        assert found.startswith(f"batch {batch.id} has the callbacks")


@pytest.mark.parametrize("abandoned", ["keep", "cancel"])
def test_a_batch_whose_creator_is_killed_stays_open_or_is_cancelled(tmp_path, abandoned):
    command = [sys.executable, "-c", CREATOR, str(tmp_path), abandoned]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(  # noqa: S603 - our own code
        command, cwd=Path(__file__).parent, text=True, **pipes
    ) as creator:
        number = int(creator.stdout.readline())
        creator.kill()

    with AntQ(tmp_path, queues={"default": 1}) as app:  # it rescues before it claims
        batch = app.get_batch(number)
        assert app.wait_idle(timeout=60)
        status = batch.status()
        assert status.open is (abandoned == "keep")
        assert status.cancelled == (0 if abandoned == "keep" else 3)
        assert app.antq_batch("holders") == ({number: (1, False)} if status.open else {})
        batch.close()
        assert batch.wait(60).ended == 3
