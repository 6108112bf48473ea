"""Whether one service thread runs all functions: by how many it begins while others wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.otp.threads.pace import (
    FEWEST_SLOW,
    MOST_SLOW,
    PROVEN_LOOKS,
    QUICK_PER_SECOND,
    WATCH_SECONDS,
    Pace,
)

EDGE = round(QUICK_PER_SECOND * WATCH_SECONDS)
"""So many functions between two looks are quick enough, but for rounding."""
QUICK, SLOW = EDGE + 1, EDGE - 1


class Watched:
    """A pace, and the thread that watches by a clock of its own."""

    def __init__(self, pace=None):
        self.pace = pace or Pace()
        self.taken = self.now = 0
        self.is_watched = False

    def woken_until_it_is_tried(self):
        woken = 0
        while not self.pace.leaves_to_one():
            woken += 1
        return woken

    def look(self, done, *, is_waiting=True):
        """Have so many functions done since the last look, or the begin; return whether it is on.

        *is_waiting*: whether another one waits then.
        """
        if not self.is_watched:
            self.pace.begin(self.taken, self.now, is_waiting=True)
        self.taken += done
        self.now += WATCH_SECONDS
        self.is_watched = self.pace.look(self.taken, self.now, is_waiting=is_waiting)
        return self.is_watched


def test_at_first_each_function_has_a_thread_and_after_some_one_thread_is_tried_for_all():
    watched = Watched()

    assert not watched.pace.is_quick
    assert watched.woken_until_it_is_tried() == FEWEST_SLOW - 1
    assert watched.pace.leaves_to_one()


def test_a_function_that_keeps_another_waiting_ends_it():
    watched = Watched(Pace(is_quick=True))

    assert watched.look(QUICK)
    assert watched.pace.is_quick
    assert not watched.look(SLOW)
    assert not watched.pace.is_quick


@pytest.mark.parametrize("done", [0, 1, 100])
def test_as_long_as_nothing_waits_nothing_is_too_slow(done):
    watched = Watched(Pace(is_quick=True))

    watched.look(done, is_waiting=False)

    assert watched.pace.is_quick


def test_what_waits_only_since_the_last_look_says_nothing_yet():
    watched = Watched(Pace(is_quick=True))
    assert watched.look(1, is_waiting=False)

    assert watched.look(1)
    assert watched.pace.is_quick
    assert not watched.look(1)
    assert not watched.pace.is_quick


def test_nobody_watches_when_nothing_is_begun_and_nothing_waits():
    watched = Watched(Pace(is_quick=True))

    assert watched.look(1, is_waiting=False)
    assert not watched.look(0, is_waiting=False)


def test_a_look_that_comes_late_counts_for_its_time():
    pace = Pace(is_quick=True)
    pace.begin(0, 10.0, is_waiting=True)

    assert not pace.look(QUICK_PER_SECOND - 1, 11.0, is_waiting=True)


def test_trying_in_vain_doubles_what_it_takes_up_to_a_bound():
    watched = Watched()
    tries = []

    for _ in range(12):
        tries.append(watched.woken_until_it_is_tried() + 1)
        watched.look(0)

    assert tries[:4] == [FEWEST_SLOW, FEWEST_SLOW, 2 * FEWEST_SLOW, 4 * FEWEST_SLOW]
    assert tries[-1] == MOST_SLOW


@pytest.mark.parametrize("is_proven", [True, False])
def test_a_try_that_lasted_was_not_in_vain(is_proven):
    watched = Watched()
    for _ in range(3):
        watched.woken_until_it_is_tried()
        watched.look(0)
    watched.woken_until_it_is_tried()

    for _ in range(PROVEN_LOOKS if is_proven else PROVEN_LOOKS - 1):
        assert watched.look(QUICK)
    watched.look(0)

    again = watched.woken_until_it_is_tried() + 1
    assert again == (FEWEST_SLOW if is_proven else 8 * FEWEST_SLOW)


def test_looks_at_which_nothing_waits_prove_nothing():
    watched = Watched()
    watched.woken_until_it_is_tried()
    watched.look(0)
    watched.woken_until_it_is_tried()

    for _ in range(2 * PROVEN_LOOKS):
        watched.look(QUICK, is_waiting=False)
    watched.look(QUICK)
    watched.look(0)

    assert watched.woken_until_it_is_tried() + 1 == 2 * FEWEST_SLOW


STEPS = st.one_of(
    st.just("wake"), st.tuples(st.sampled_from([0, 1, SLOW, QUICK, 100]), st.booleans())
)


@given(st.lists(STEPS, max_size=200))
def test_it_is_left_only_at_a_slow_look_and_what_it_takes_is_bounded(steps):
    watched = Watched()
    pace = watched.pace
    for step in steps:
        was_quick, was_waiting = pace.is_quick, pace.was_waiting or not watched.is_watched
        if step == "wake":
            pace.leaves_to_one()
            assert pace.is_quick >= was_quick
        elif was_quick:
            done, is_waiting = step
            watched.look(done, is_waiting=is_waiting)
            assert pace.is_quick is not (is_waiting and was_waiting and done < QUICK)
        assert FEWEST_SLOW <= pace.after <= MOST_SLOW
        assert pace.left <= pace.after
