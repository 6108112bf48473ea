"""An application that was stopped is garbage: starts and stops do not add up."""

import gc
from collections import Counter

import pytest

from antq_actors import AntQ, Worker
from antq_actors.otp import GenServer, ServerRef
from antq_actors.otp.kernel.cell import ActorCell
from antq_actors.otp.messaging.timers import Timer

TIMES = 200


class Greet(Worker):
    def perform(self, job):
        return None


class GreetSoon(Worker):
    async def perform(self, job):
        return None


OURS = (GenServer, ServerRef, ActorCell, Timer, AntQ)


def start_and_stop(path):
    with AntQ(path, queues={"default": 2}) as app:
        Greet.perform_async()
        GreetSoon.perform_async()
        app.queue("default").status()


def what_is_there():
    gc.collect()
    return Counter(
        type(each).__name__
        for each in gc.get_objects()
        if issubclass(type(each), OURS)  # isinstance asks lazy objects of other libraries
    )


@pytest.mark.parametrize("is_durable", [False, True])
def test_hundreds_of_starts_and_stops_leave_nothing_behind(tmp_path, is_durable):
    path = tmp_path / "store" if is_durable else None
    for _ in range(3):
        start_and_stop(path)
    before, objects = what_is_there(), len(gc.get_objects())

    for _ in range(TIMES):
        start_and_stop(path)

    added = what_is_there() - before
    assert added.total() < TIMES / 10, added
    assert len(gc.get_objects()) - objects < 10 * TIMES  # an application is some 500
