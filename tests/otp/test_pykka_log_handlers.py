"""A log handler that raises when pykka's registry tells of an actor leaves nobody waiting."""

import logging

import pykka
import pytest
from probe import LONGEST, InThread, Probe
from supervised import kill, raise_anew

from antq_actors.otp import CallExit, Killed, Normal, call, monitor, whereis

FULL = OSError("the log is full")
IN_THE_ACTORS_THREAD = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)


class Broken(logging.Handler):
    def emit(self, record):
        raise_anew(FULL)


@pytest.fixture
def break_the_log():
    """Have each line of pykka's registry raise, from when it is called to the end of the test."""
    logger = logging.getLogger("pykka")
    handler, level = Broken(), logger.level

    def break_it():
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)

    yield break_it
    logger.removeHandler(handler)
    logger.setLevel(level)


@IN_THE_ACTORS_THREAD
def test_all_hear_of_the_end_of_an_actor_although_the_log_is_full(start, gate, break_the_log):
    ref = start(name="here")
    down = monitor(ref)
    ref.tell(gate)
    gate.wait_entered()
    stopping = ref.stop(block=False)
    asking = ref.ask("too late", block=False)
    break_the_log()
    gate.open()

    assert down.wait(LONGEST).reason == Normal()
    assert stopping.get(timeout=LONGEST) is True
    with pytest.raises(pykka.ActorDeadError):
        asking.get(timeout=LONGEST)
    assert whereis("here") is None
    assert pykka.ActorRegistry.get_all() == []


def test_all_hear_of_a_kill_although_the_log_is_full(start, gate, break_the_log):
    ref = start(name="here")
    down = monitor(ref)
    calling = InThread(call, ref, gate)
    gate.wait_entered()
    break_the_log()

    with pytest.raises(OSError, match="the log is full"):
        kill(ref)

    assert down.wait(LONGEST).reason == Killed()
    with pytest.raises(CallExit):
        calling.result()
    assert whereis("here") is None


def test_an_actor_that_cannot_be_announced_does_not_start_and_leaves_its_name(break_the_log):
    break_the_log()

    with pytest.raises(OSError, match="the log is full"):
        Probe.start(name="here")

    assert whereis("here") is None
    assert pykka.ActorRegistry.get_all() == []
