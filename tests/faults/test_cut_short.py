"""A thread that is cut short at any place loses, doubles and stops nothing of anybody else.

The figures are those of `cut_short.py`, which says what the places are.
"""

import pytest
from cutting import AT_LEAST, CLEAN


@pytest.mark.parametrize("thread", ["main", "plain"])
@pytest.mark.parametrize(
    ("at", "what", "store"),
    [
        ("calls", "KeyboardInterrupt", "durable"),
        ("lines", "Interrupt", "durable"),
        ("instructions", "KeyboardInterrupt", "volatile"),
        ("instructions", "TimeoutError", "volatile"),
        ("calls", "enqueue", "durable"),
        ("instructions", "enqueue", "volatile"),
    ],
)
def test_an_enqueue_that_is_cut_short_harms_nobody(cut, at, what, store, thread):
    places, found = cut("enqueue", at, what, store, thread)

    assert found == CLEAN
    assert places >= AT_LEAST[at]


@pytest.mark.parametrize(
    ("at", "what", "store", "at_least"),
    [("calls", "KeyboardInterrupt", "durable", 70), ("lines", "Interrupt", "volatile", 180)],
)
def test_a_wait_that_is_cut_short_keeps_nobody_else_waiting(cut, at, what, store, at_least):
    places, found = cut("wait", at, what, store)

    assert found == CLEAN
    assert places >= at_least


@pytest.mark.parametrize(
    ("what", "store", "at_least"),
    [("start", "durable", 70), ("stop", "durable", 40), ("stop", "volatile", 40)],
)
def test_a_start_or_a_stop_that_is_cut_short_can_be_repeated(cut, what, store, at_least):
    places, found = cut(what, "KeyboardInterrupt", store, 3)

    assert found == {"problems": []}
    assert places >= at_least


def test_commits_that_threads_share_are_cut_short_anywhere_and_nobody_is_left_waiting(cut):
    places, found = cut("shared", "TimeoutError", 7)

    assert found == {"problems": []}
    assert places >= 40
