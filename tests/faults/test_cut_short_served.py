"""A thread that serves a queue, or a job that enqueues, harms nobody when it is cut short anywhere.

The figures are those of `cut_short.py`, which says what the places are.
"""

import pytest
from cutting import AT_LEAST, CLEAN


@pytest.mark.parametrize(
    ("at", "what", "store", "thread"),
    [
        ("calls", "KeyboardInterrupt", "durable", "main"),
        ("lines", "Interrupt", "durable", "plain"),
        ("instructions", "KeyboardInterrupt", "volatile", "plain"),
        ("instructions", "TimeoutError", "volatile", "main"),
        ("lines", "enqueue", "durable", "main"),
        ("instructions", "KeyboardInterrupt", "durable", "rapid"),
        ("lines", "Interrupt", "volatile", "rapid"),
        ("instructions", "enqueue", "volatile", "plain"),
    ],
)
def test_an_enqueue_that_serves_a_queue_and_is_cut_short_harms_nobody(cut, at, what, store, thread):
    places, found = cut("served", at, what, store, thread)

    assert found == CLEAN
    assert places >= AT_LEAST[at]


@pytest.mark.parametrize(
    ("at", "what", "store"),
    [
        ("lines", "Interrupt", "durable"),
        ("instructions", "Interrupt", "volatile"),
        ("lines", "TimeoutError", "volatile"),
        ("lines", "SystemExit", "volatile"),
        ("lines", "enqueue", "volatile"),
    ],
)
def test_a_job_that_is_cut_short_while_it_enqueues_harms_no_other(cut, at, what, store):
    places, found = cut("job", at, what, store)

    assert found == CLEAN
    assert places >= 150
