import gc
import sys

import pytest

from antq_actors import AntQ
from antq_actors.queues.node import (
    MAX_INTERVAL_SECONDS,
    MAX_OBJECTS,
    SLOT_OBJECTS,
    SLOT_SECONDS,
    CollectorThreshold,
    SwitchInterval,
)


@pytest.fixture(autouse=True)
def default():
    before, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(0.005)
    gc.set_threshold(700, 10, 10)
    yield 0.005
    sys.setswitchinterval(before)
    gc.set_threshold(*thresholds)


def interval():
    return round(sys.getswitchinterval(), 6)


def test_few_slots_leave_the_switch_interval_alone():
    with AntQ(queues={"default": 200}):
        assert interval() == 0.005


def test_many_slots_raise_the_switch_interval_until_the_queues_end():
    with AntQ(queues={"default": 300, "mail": 300}) as app:
        assert interval() == round(600 * SLOT_SECONDS, 6)

        app.queue("mail").set_concurrency(100)
        assert interval() == round(400 * SLOT_SECONDS, 6)

        app.queue("mail").set_concurrency(100_000)
        assert interval() == MAX_INTERVAL_SECONDS

    assert interval() == 0.005


def test_a_longer_switch_interval_of_the_program_is_kept():
    sys.setswitchinterval(0.1)

    with AntQ(queues={"default": 1_000}):
        assert interval() == 0.1

    assert interval() == 0.1


def test_a_switch_interval_set_in_the_meantime_is_restored():
    switch_interval = SwitchInterval()
    switch_interval.set_slots("mail", 1_000)
    assert interval() == 0.025

    sys.setswitchinterval(0.001)
    switch_interval.set_slots("mail", 0)

    assert interval() == 0.001


def test_the_slots_of_a_restarted_queue_count_once():
    switch_interval = SwitchInterval()

    switch_interval.set_slots("mail", 400)
    switch_interval.set_slots("mail", 400)

    assert interval() == 0.01
    switch_interval.set_slots("mail", 0)
    assert interval() == 0.005


def test_few_slots_leave_the_threshold_of_the_collector_alone():
    with AntQ(queues={"default": 200}):
        assert gc.get_threshold() == (700, 10, 10)


def test_many_slots_raise_the_threshold_of_the_collector_until_the_queues_end():
    with AntQ(queues={"default": 300, "mail": 300}) as app:
        assert gc.get_threshold() == (400 * SLOT_OBJECTS, 10, 10)

        app.queue("mail").set_concurrency(100)
        assert gc.get_threshold() == (200 * SLOT_OBJECTS, 10, 10)

        app.queue("mail").set_concurrency(100_000)
        assert gc.get_threshold() == (MAX_OBJECTS, 10, 10)

    assert gc.get_threshold() == (700, 10, 10)


def test_a_higher_threshold_of_the_program_is_kept():
    gc.set_threshold(100_000, 5, 5)

    with AntQ(queues={"default": 1_000}):
        assert gc.get_threshold() == (100_000, 5, 5)

    assert gc.get_threshold() == (100_000, 5, 5)


def test_a_collector_that_the_program_has_switched_off_stays_off():
    gc.set_threshold(0)

    with AntQ(queues={"default": 1_000}):
        assert gc.get_threshold()[0] == 0

    assert gc.get_threshold()[0] == 0


def test_a_threshold_set_in_the_meantime_is_restored():
    threshold = CollectorThreshold()
    threshold.set_slots("mail", 1_200)
    assert gc.get_threshold() == (1_000 * SLOT_OBJECTS, 10, 10)

    gc.set_threshold(900, 10, 5)
    threshold.set_slots("mail", 0)

    assert gc.get_threshold() == (900, 10, 5)
