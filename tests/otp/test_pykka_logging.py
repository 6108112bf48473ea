"""What pykka's logging guide promises of exceptions, level by level, holds for a GenServer."""

import logging

import pytest
from probe import LONGEST, raising
from supervised import BOOM, raise_anew

from antq_actors.otp import CallExit, Crash, GenServer, call, monitor

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
