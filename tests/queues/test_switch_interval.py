import sys

import pytest

from antq_actors import AntQ
from antq_actors.queues.node import MAX_INTERVAL_SECONDS, SLOT_SECONDS, SwitchInterval


@pytest.fixture(autouse=True)
def default():
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield 0.005
    sys.setswitchinterval(before)


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
