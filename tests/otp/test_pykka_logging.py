"""What pykka's logging guide promises of exceptions, level by level, holds for a GenServer.

A log handler that raises when pykka's registry tells of an actor leaves nobody waiting."""

import logging

import pykka
import pytest
from probe import LONGEST, InThread, Probe, raising
from supervised import BOOM, kill, raise_anew

from antq_actors.otp import CallExit, Crash, GenServer, Killed, Normal, call, monitor, whereis

WORSE = KeyError("worse")


class Careful(GenServer):
    crash_on_ask = True

    def handle_call(self, request):
        return request(self)


@pytest.fixture
def records(caplog):
    """Return the (level, message, exception) of what was logged at INFO and above."""
    caplog.set_level(logging.INFO)
    return lambda: [
        (record.levelno, record.getMessage(), record.exc_info and record.exc_info[1])
        for record in caplog.records
    ]


def ask_unheard(ref, handler):
    ref.ask(handler, block=False)


def ask(ref, handler):
    with pytest.raises(ValueError, match="boom"):
        ref.ask(handler)


@pytest.mark.parametrize("asking", [ask, ask_unheard])
def test_an_exception_that_goes_to_an_asker_is_logged_at_info(start, records, asking):
    ref = start()

    asking(ref, raising(BOOM))

    call(ref, lambda _me: None)
    assert records() == [(logging.INFO, f"Exception returned from {ref} to caller:", BOOM)]


def test_with_crash_on_ask_the_end_is_logged_and_the_answer_is_not(start, records):
    ref = start(of=Careful)
    down = monitor(ref)

    ask(ref, raising(BOOM))

    down.wait(LONGEST)
    ((level, _, error),) = records()
    assert (level, error) == (logging.ERROR, BOOM)


# ---- what nobody asked for ----------------------------------------------------------------------


@pytest.mark.parametrize("hook", ["on_failure", "terminate"])
def test_a_clean_up_that_fails_does_not_hide_why_the_actor_crashed(start, records, hook):
    def fail(*_args):
        raise_anew(WORSE)

    ref = start(of=type("Failing", (Careful,), {hook: fail}))
    down = monitor(ref)

    with pytest.raises(CallExit):
        call(ref, raising(BOOM))

    assert down.wait(LONGEST).reason == Crash(WORSE)
    words = f"Unhandled exception in {ref}:"
    assert records() == [(logging.ERROR, words, BOOM), (logging.ERROR, words, WORSE)]


def test_a_clean_up_that_passes_the_crash_on_is_logged_once(start, records):
    class Passing(Careful):
        def on_failure(self, _type, error, _traceback):
            raise error

    ref = start(of=Passing)
    down = monitor(ref)

    with pytest.raises(CallExit):
        call(ref, raising(BOOM))

    assert down.wait(LONGEST).reason == Crash(BOOM)
    assert [error for _, _, error in records()] == [BOOM]


def test_an_on_stop_that_fails_is_logged_at_error(start, records):
    class Failing(Careful):
        def on_stop(self):
            raise_anew(BOOM)

    ref = start(of=Failing)
    down = monitor(ref)

    ref.stop()

    assert down.wait(LONGEST).reason == Crash(BOOM)
    assert records() == [(logging.ERROR, f"Unhandled exception in {ref}:", BOOM)]


def test_a_tell_that_fails_is_logged_at_error(start, records):
    ref = start()
    down = monitor(ref)

    ref.tell(raising(BOOM))

    down.wait(LONGEST)
    assert records() == [(logging.ERROR, f"Unhandled exception in {ref}:", BOOM)]


def test_a_message_that_on_receive_does_not_know_is_logged_as_a_warning(start, records):
    class Receiver(GenServer):
        def on_receive(self, message):
            return super().on_receive(message)

    ref = start(of=Receiver)

    assert ref.ask("what is this") is None

    (record,) = records()
    said = f"Unexpected message received by Receiver ({ref.actor_urn}): what is this"
    assert record == (logging.WARNING, said, None)


# ---- a handler that raises ----------------------------------------------------------------------


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
    gate.hold(ref)
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
