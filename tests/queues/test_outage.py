"""While a store refuses, its users keep what they have, say so now and then, and ask again."""

import logging
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors import StorageError
from antq_actors.jobs.outcome import Completed
from antq_actors.otp import call, stop
from antq_actors.queues.outage import REMINDER_SECONDS, Outage
from antq_actors.queues.queue_actor import STORE_BACKOFF
from antq_actors.queues.queue_state import QueueState
from antq_actors.queues.services.periodic import RunOnce
from antq_actors.queues.services.pruner import Pruner, PrunerConfig
from antq_actors.queues.services.rescuer import Rescuer, RescuerConfig
from antq_actors.storage.actor import StorageActor
from antq_actors.storage.client import StorageClient
from antq_actors.storage.format.records import Settlement

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
def test_an_actor_whose_store_refuses_says_so_once_and_goes_on_when_it_can(
    refused, start, caplog, part
):
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


def test_it_is_said_again_when_it_lasts():
    outage = Outage()

    spoken = [second for second in range(100) if outage.refused(float(second))]

    assert spoken == [0, 30, 60, 90]
    assert REMINDER_SECONDS == 30


@given(gaps=st.lists(st.floats(0.0, 100.0), min_size=1))
def test_between_two_reminders_there_is_time_and_the_end_tells_how_long_it_was(gaps):
    outage, now, spoken = Outage(), 5.0, []
    for gap in gaps:
        now += gap
        if outage.refused(now):
            spoken.append(now)

    assert spoken[0] == 5.0 + gaps[0]
    assert all(b - a >= REMINDER_SECONDS for a, b in pairwise(spoken))
    assert outage.refusals == len(gaps)
    assert outage.over(now) == now - spoken[0]
    assert outage.over(now) is None
    assert outage.refused(now)


def test_a_queue_asks_less_and_less_often_but_sees_a_recovery_within_seconds():
    waits = [STORE_BACKOFF.delay(refusals) for refusals in range(1, 9)]

    assert waits == [0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0, 3.0]


def test_outcomes_that_are_under_way_are_not_stored_yet():
    state = QueueState(concurrency=5)
    state.settled.append(Settlement(1, 1, Completed()))
    state.next_fetch()
    state.settled.append(Settlement(2, 1, Completed()))

    assert state.unstored == 2
    state.answered(0)
    assert state.unstored == 1


def test_a_pruner_tries_again_within_a_minute_however_long_its_interval(refused, clock):
    pruner = Pruner(refused, PrunerConfig(retention=14 * 86_400.0), clock)

    assert pruner._run() == 60.0
    assert PrunerConfig(retention=14 * 86_400.0).interval == 3_600.0
