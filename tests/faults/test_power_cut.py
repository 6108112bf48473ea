"""What a power cut leaves: all that was acknowledged, and all that was seen as completed.

A file system that is shut down without writing its log forgets what a machine forgets that loses
its power: everything that no fsync was answered for.
"""

import os
import time
from random import Random as Chance

import pytest
from disks import LOSE_THE_LOG
from support.apps import until
from support.findings import findings

from antq_actors import AntQ, Status

MOMENTS = (0.0, 0.05, 0.8)
"""Seconds after the start, at most, when the power is cut: once each. The last waits for a load."""


def test_the_cut_of_these_tests_loses_what_no_fsync_was_answered_for(ext4_disk):
    for name, syncs in (("kept", True), ("lost", False)):
        with (ext4_disk.path / name).open("wb") as file:
            file.write(b"x" * 10_000)
            file.flush()
            if syncs:
                os.fsync(file.fileno())

    ext4_disk.shut_down(LOSE_THE_LOG)
    ext4_disk.unmount()
    ext4_disk.mount()

    there = [file.name for file in ext4_disk.path.iterdir() if file.stat().st_size == 10_000]
    assert there == ["kept"]


@pytest.mark.parametrize("seed", range(4))
def test_after_a_power_cut_all_that_was_acknowledged_is_there_and_all_completed_stays_so(
    ext4_disk, program, tmp_path, seed
):
    store, chance = ext4_disk.path / "store", Chance(seed)  # noqa: S311 - repeatable
    for moment in MOMENTS:
        node = program("power_cut.py", store, tmp_path)
        assert node.line() == "ready"
        if moment == MOMENTS[-1]:
            until(lambda: len(written(tmp_path / "completed")) > 10, "some jobs to be completed")
        time.sleep(chance.uniform(moment / 4, moment))

        ext4_disk.shut_down(LOSE_THE_LOG)
        node.kill()
        ext4_disk.unmount()
        ext4_disk.mount()

        assert findings(store) == []
        with AntQ(store, start_queues=False) as app:
            stored = {job.id: job.status for job in app.list_workers()}
        assert written(tmp_path / "acknowledged") <= set(stored)
        completed = written(tmp_path / "completed")
        assert {stored[id_] for id_ in completed} <= {Status.COMPLETED}

    assert len(completed) > 10
    with AntQ(store, max_interruptions=100) as app:
        until(lambda: app.count_workers(status=Status.COMPLETED) == len(stored), "the end")
    assert findings(store) == []


def written(file):
    """The ids in a file; its last line may have been cut off by the kill."""
    return {int(line) for line in file.read_text().split("\n")[:-1]} if file.exists() else set()
