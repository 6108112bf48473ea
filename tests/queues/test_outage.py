"""While a store refuses, its users keep what they have, say so now and then, and ask again."""

import logging

import pytest

from antq_actors import StorageError
from antq_actors.otp import call, stop
from antq_actors.queues.services.periodic import RunOnce
from antq_actors.queues.services.pruner import Pruner, PrunerConfig
from antq_actors.queues.services.rescuer import Rescuer, RescuerConfig
from antq_actors.storage.actor import StorageActor
from antq_actors.storage.client import StorageClient

NAME = "storage-that-comes-and-goes"
SOON = 0.02


@pytest.fixture
def refused(tmp_path):
    """The client of a store that is not there."""
    stop(StorageActor.start(tmp_path / "store", wake=lambda _: None, name=NAME))
    return StorageClient(NAME, tmp_path / "store", timeout=SOON)


RESCUER = Rescuer, RescuerConfig(max_interruptions=3, interval=SOON), RunOnce()
PRUNER = Pruner, PrunerConfig(retention=SOON), RunOnce()


@pytest.mark.parametrize("part", [RESCUER, PRUNER], ids=lambda part: part[0].__name__)
def test_a_service_logs_a_refusing_store_once_and_recovers(refused, start, caplog, part):
    actor, config, question = part
    ref = start(actor, refused, config)

    for _ in range(3):
        with pytest.raises(StorageError, match="is gone"):
            call(ref, question)
    said = [record for record in caplog.records if record.name == "antq_actors.queues"]
    start(StorageActor, refused._path, wake=lambda _: None, name=NAME)

    assert call(ref, question) == 0
    assert len(said) == 1
    assert said[0].levelno == logging.WARNING
    assert "until the store can be used" in said[0].message
    assert ref.is_alive()


def test_a_pruner_retries_within_a_minute_whatever_its_interval(refused, clock):
    pruner = Pruner(refused, PrunerConfig(retention=14 * 86_400.0), clock)

    assert pruner._run() == 60.0
    assert PrunerConfig(retention=14 * 86_400.0).interval == 3_600.0
