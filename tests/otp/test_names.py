"""Registered names: one actor each, and free before anyone hears of its end."""

import logging
import threading

import pytest
from probe import LONGEST, InThread, Probe, answering
from supervised import kill

from antq_actors.otp import AlreadyStarted, call, monitor, stop, whereis


def test_a_name_leads_to_its_actor_while_that_lives(start):
    assert whereis("clerk") is None

    ref = start(name="clerk")
    assert whereis("clerk") is ref

    stop(ref)
    assert whereis("clerk") is None


@pytest.mark.rule(61)
def test_of_two_with_one_name_the_second_does_not_run(start, notes):
    holder = start(name="clerk")

    with pytest.raises(AlreadyStarted) as taken:
        start(name="clerk", init=lambda _me: notes.add("ran"))

    assert taken.value.ref is holder
    assert "clerk" in str(taken.value)
    assert whereis("clerk") is holder
    assert call("clerk", answering("lives")) == "lives"
    assert notes.is_empty()


@pytest.mark.parametrize("name", [7, b"clerk", ("clerk",), Probe])
def test_what_cannot_be_a_name_is_refused_before_anything_is_made(name):
    made = []

    class Made(Probe):
        def __init__(self):
            made.append(self)
            super().__init__()

    with pytest.raises(TypeError, match="name"):
        Made.start(name=name)
    with pytest.raises(TypeError, match="name"):
        whereis(name)

    assert made == []


@pytest.mark.rule(62)
def test_a_name_goes_from_one_to_the_next_without_a_gap_at_the_down(start):
    ref = start(name="clerk")
    for _ in range(200):
        watch = monitor(ref)
        kill(ref)
        watch.wait(LONGEST)
        ref = start(name="clerk")

    assert whereis("clerk") is ref


@pytest.mark.rule(61)
def test_of_many_who_want_a_name_at_once_one_gets_it(start):
    for _ in range(20):
        together = threading.Barrier(4)

        def want(together=together):
            together.wait(LONGEST)
            try:
                return start(name="clerk")
            except AlreadyStarted as taken:
                return taken.ref

        wanting = [InThread(want) for _ in range(4)]

        assert {each.result() for each in wanting} == {whereis("clerk")}
        kill(whereis("clerk"))


def test_an_actor_is_called_by_its_name_in_texts(start):
    assert str(start(name="clerk")) == "clerk"
    assert str(start()).startswith("Probe-")


@pytest.mark.rule(62)
def test_a_name_is_free_as_soon_as_its_actor_is_dead(start, caplog):
    ref = start(name="clerk")
    found, next_one = [], []

    class Look(logging.Handler):
        """Looks while the actor dies: pykka logs before names are released."""

        def emit(self, record):
            if "Unregistered" in record.getMessage() and not found:
                found.append(whereis("clerk"))
                next_one.append(start(name="clerk"))

    caplog.set_level(logging.DEBUG, "pykka")
    logging.getLogger("pykka").addHandler(look := Look())
    try:
        stop(ref)
    finally:
        logging.getLogger("pykka").removeHandler(look)

    assert found == [None]
    assert whereis("clerk") is next_one[0]
