import itertools
import random
from functools import partial
from pathlib import Path

import cutting
import pytest
from disks import Disk, run
from obedient import Node

HERE = Path(__file__).parent


@pytest.fixture
def cut(program, request):
    """Have a program cut threads short at some places, or at all: see `cutting.cut`."""
    every = request.config.getoption("--cut-every")
    first = request.config.getoption("--cut-first") or random.randint(1, every)  # noqa: S311 - no secret
    return partial(cutting.cut, program, every=every, first=first)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of three megabytes."""
    yield from _mounted(Disk(tmp_path / "disk", ["-t", "tmpfs", "-o", "size=3m", "tmpfs"]))


@pytest.fixture
def ext4_disk(tmp_path):
    """A disk of sixteen megabytes with a journal, as a real one has."""
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(16 * 2**20)
    made = run("mkfs.ext4", "-q", image)
    if made.returncode != 0:
        pytest.skip(f"no ext4 can be made here: {made.stderr}")
    yield from _mounted(Disk(tmp_path / "disk", ["-o", "loop"], image))


def _mounted(disk):
    try:
        yield disk
    finally:
        if disk.is_mounted:
            disk.unmount()


@pytest.fixture
def a_node(tmp_path, request):
    """Start a node in a process of its own, on a path; it does what it is told."""
    numbers = itertools.count()
    started = []

    def start(path, **options):
        node = Node(path, tmp_path / f"log-{next(numbers)}", HERE, **options)
        started.append(node)
        node.hear()
        return node

    # Before the disk is unmounted, which would wait for them.
    for disk in ("small_disk", "ext4_disk"):
        if disk in request.fixturenames:
            request.getfixturevalue(disk)
    yield start
    for program in started:
        program.process.kill()
        program.process.communicate()
