"""What pykka's logging guide promises of exceptions, level by level, holds for a GenServer."""

import logging

import pytest
from probe import LONGEST, raising

from antq_actors.otp import GenServer, call, monitor

BOOM = ValueError("boom")


class Careful(GenServer):
    crash_on_ask = True

    def handle_call(self, request):
        return request(self)


@pytest.fixture
def records(caplog):
    """Answer the (level, message, exception) of what was logged at INFO and above."""
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
