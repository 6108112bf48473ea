import contextlib

import pytest

from antq_actors.demo.measure import Stopwatch


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def stopwatch(clock):
    return Stopwatch(clock)


def attempt(stopwatch, clock, number, seconds):
    with stopwatch.attempt(number):
        clock.now += seconds


def test_first_attempts_and_retries_are_added_up_apart(stopwatch, clock):
    attempt(stopwatch, clock, 1, 0.5)
    attempt(stopwatch, clock, 2, 0.25)
    attempt(stopwatch, clock, 1, 0.5)

    times = stopwatch.times()

    assert (times.firsts, times.in_firsts) == (2, 1.0)
    assert (times.retries, times.in_retries) == (1, 0.25)


def test_retries_after_the_last_first_attempt_took_nothing_from_it(stopwatch, clock):
    attempt(stopwatch, clock, 1, 0.5)
    attempt(stopwatch, clock, 2, 8)

    times = stopwatch.times()

    assert times.firsts_ended_at == 100.5
    assert (times.retries, times.in_retries) == (1, 0.0)


def test_an_attempt_that_raises_is_timed_like_any_other(stopwatch, clock):
    with contextlib.suppress(RuntimeError), stopwatch.attempt(1):
        clock.now += 2
        raise RuntimeError

    assert stopwatch.times().in_firsts == 2
