import itertools

import pytest
from support.clock import Clock

from antq_actors.otp import Shutdown, stop
from antq_actors.storage.actor import StorageActor
from antq_actors.storage.client import StorageClient

_numbers = itertools.count()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def start():
    """Start an actor; afterwards all of them stop, the last one first."""
    started = []

    def start(actor, *args, **options):
        ref = actor.start(*args, **options)
        started.append(ref)
        return ref

    yield start
    for ref in reversed(started):
        stop(ref, Shutdown(), timeout=30)


@pytest.fixture
def store(tmp_path, start):
    """The client of a real store."""
    name = f"storage-of-queues-{next(_numbers)}"
    start(StorageActor, tmp_path / "store", wake=lambda _: None, durable=False, name=name)
    return StorageClient(name, tmp_path / "store")
