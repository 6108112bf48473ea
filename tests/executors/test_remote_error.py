"""The exception of another process, as a handler of log records gets it here."""

import logging
import pickle
import sys

import pytest

from antq_actors.executors.process import output
from antq_actors.executors.process.output import RemoteError

TRACE = 'Traceback (most recent call last):\n  File "shop.py", line 1, in perform\nKeyError: 1\n'


class NeedsTwo(Exception):
    def __init__(self, first, second):
        super().__init__(first)
        self.second = second


class Unpicklable(Exception):
    def __reduce__(self):
        raise TypeError("it stays here")


class Ends(Exception):
    def __reduce__(self):
        return sys.exit, ()


def arrived(error):
    return output.exc_info(output.pickled_error(error), output.error_text(error), TRACE)


def test_an_exception_that_travels_is_the_one_that_was_raised():
    kind, error, frames = arrived(KeyError("user_id"))

    assert (kind, error.args, frames) == (KeyError, ("user_id",), None)


@pytest.mark.parametrize("error", [KeyError("user_id"), NeedsTwo("no", 2)])
def test_its_cause_is_the_traceback_of_the_other_process(error):
    shown = logging.Formatter().formatException(arrived(error))

    assert TRACE in shown
    assert "The above exception was the direct cause of the following exception" in shown


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NeedsTwo("no", 2), "NeedsTwo: no"),
        (Unpicklable(), "Unpicklable"),
        (Ends("over"), "Ends: over"),
    ],
)
def test_an_exception_that_does_not_travel_has_a_stand_in_with_its_class_and_text(error, text):
    kind, standing_in, _ = arrived(error)

    assert (kind, str(standing_in)) == (RemoteError, text)


def test_nothing_is_imported_for_the_exception_of_another_process():
    assert "this" not in sys.modules
    naming = b"cthis\nZen\n."

    kind, _, _ = output.exc_info(naming, "Zen: no", TRACE)

    assert kind is RemoteError
    assert "this" not in sys.modules


def test_what_is_no_exception_is_taken_for_none():
    kind, _, _ = output.exc_info(pickle.dumps("text"), "ValueError: no", TRACE)

    assert kind is RemoteError
