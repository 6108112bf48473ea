"""What a disk without room does, on a real one of three megabytes."""

import os
import subprocess

import pytest
from support.stored_jobs import Store, a_new_job

from antq_actors.errors import StorageFull
from antq_actors.storage.format.records import Filter
from antq_actors.storage.lmdb.environment import Environment


@pytest.fixture
def small_disk(tmp_path):
    command = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=0700", "tmpfs", str(tmp_path)]
    try:
        mounted = subprocess.run(command, check=False, capture_output=True)  # noqa: S603 - constant
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk needs root")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)  # noqa: S603, S607 - the one from above


@pytest.fixture
def store(small_disk):
    env = Environment.open(small_disk / "store")
    yield Store(env)
    env.close()


def a_noisy_job():
    return a_new_job({"noise": os.urandom(20_000)})


def test_on_a_full_disk_what_was_stored_stays_and_room_can_be_made(store):
    stored = []
    with pytest.raises(StorageFull, match="is full"):
        stored.extend(store.insert(a_noisy_job()) for _ in range(10_000))

    assert store.ids(Filter(), size=10_000) == stored
    for id_ in stored[:10]:
        store.delete(id_)
    assert store.insert(a_noisy_job()) == stored[-1] + 1
