import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.flow import gates
from antq_actors.flow.gates import Closed, Gate, Limit, Numbers, Room
from antq_actors.flow.limits import ConcurrencyRule, LimitRule, RateRule

SECOND = 1_000_000


def a_limit(concurrency=None, rate=None):
    return Limit(
        LimitRule(
            "stripe",
            concurrency=concurrency and ConcurrencyRule(concurrency),
            keyed=True,
            rate=rate,
        )
    )


rates = st.builds(
    RateRule,
    limit=st.integers(1, 50),
    per=st.integers(1, 5 * SECOND),
    burst=st.integers(1, 10),
    fixed=st.just(value=False),
)


def starts(limit, gate, steps):
    """Let as much start as may, and return when, with what weight."""
    found, now = [], 1_700_000_000 * SECOND
    for n, (step, weight) in enumerate(steps):
        now += step
        if gates.closed_by(limit, gate, now, weight) is None:
            gates.take(limit, gate, n, now, weight)
            found.append((now, weight))
    return found


@given(rates, st.lists(st.tuples(st.integers(0, SECOND), st.integers(1, 3)), max_size=60))
def test_in_no_span_of_a_rate_start_more_than_its_limit_and_burst_less_one(rate, steps):
    steps = [(step, min(weight, rate.burst)) for step, weight in steps]

    found = starts(a_limit(rate=rate), Gate(), steps)

    for at, _ in found:
        in_span = sum(weight for when, weight in found if at <= when < at + rate.per)
        assert in_span <= rate.limit + rate.burst - 1


@given(rates, st.integers(1, 60), st.integers(1, 3))
def test_a_rate_says_exactly_when_it_opens(rate, count, weight):
    limit, gate, now = a_limit(rate=rate), Gate(), 1_700_000_000 * SECOND
    weight = min(weight, rate.burst)
    for n in range(count):
        closed = gates.closed_by(limit, gate, now, weight)
        if closed is not None:
            assert closed.why == "rate"
            assert gates.closed_by(limit, gate, closed.opens_at - 1, weight) is not None
            now = closed.opens_at
        assert gates.closed_by(limit, gate, now, weight) is None
        gates.take(limit, gate, n, now, weight)


@given(
    st.integers(1, 20),
    st.integers(1, 3 * SECOND),
    st.lists(st.tuples(st.integers(0, SECOND), st.integers(1, 3)), max_size=60),
)
def test_a_fixed_window_has_no_more_starts_than_its_limit(most, per, steps):
    rate = RateRule(most, per, fixed=True)

    found = starts(a_limit(rate=rate), Gate(), [(step, min(w, most)) for step, w in steps])

    for window in {at // per for at, _ in found}:
        assert sum(weight for at, weight in found if at // per == window) <= most


def test_a_fixed_window_opens_when_the_next_begins():
    limit, gate = a_limit(rate=RateRule(2, 10, fixed=True)), Gate()
    for n in range(2):
        gates.take(limit, gate, n, 57)

    assert gates.closed_by(limit, gate, 58) == Closed("rate", 60)
    assert gates.closed_by(limit, gate, 60) is None


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=40))
def test_no_more_run_than_may(most, steps):
    limit, gate, running = a_limit(most), Gate(), []
    for n, comes in enumerate(steps):
        if comes and gates.closed_by(limit, gate, 0) is None:
            gates.take(limit, gate, n, 0)
            running.append(n)
        elif running:
            gates.release(gate, running.pop())
        assert gate.running == len(running) <= most
        assert sorted(gate.holders) == sorted(running)


def test_what_must_change_first_is_named_first():
    limit, gate = a_limit(1, RateRule(1, 10)), Gate()
    gates.take(limit, gate, 7, 100)
    gate.closed_until = 500

    assert gates.closed_by(limit, gate, 101) == Closed("full")
    gates.release(gate, 7)
    assert gates.closed_by(limit, gate, 101) == Closed("rate", 500)
    assert gates.closed_by(limit, gate, 110) == Closed("paused", 500)
    assert gates.closed_by(limit, gate, 500) is None
    gate.is_paused = True
    assert gates.closed_by(limit, gate, 500) == Closed("paused")


def test_a_limit_of_which_nothing_is_known_closes_nothing():
    assert gates.closed_by(None, Gate(running=1_000), 0) is None


def test_numbers_set_for_a_key_go_before_those_for_all_and_those_of_the_code():
    limit, gate = a_limit(5, RateRule(10, 1_000, 2)), Gate()

    assert (gates.concurrency_of(limit, gate), gates.rate_of(limit, gate).limit) == (5, 10)
    limit.numbers = Numbers(concurrency=4, limit=8)
    assert (gates.concurrency_of(limit, gate), gates.rate_of(limit, gate).limit) == (4, 8)
    gate.numbers = Numbers(concurrency=3, per=7)
    assert gates.concurrency_of(limit, gate) == 3
    assert gates.rate_of(limit, gate) == RateRule(8, 7, 2)


@given(rates, st.integers(1, 3_600 * SECOND))
def test_a_clock_that_was_set_back_closes_a_rate_for_no_longer_than_its_burst(rate, back):
    limit, gate, now = a_limit(rate=rate), Gate(), 1_700_000_000 * SECOND
    for n in range(rate.burst):
        gates.take(limit, gate, n, now)

    now -= back
    gates.cut(limit, gate, now)

    closed = gates.closed_by(limit, gate, now)
    share = -(-rate.per // rate.limit)
    assert closed is None or closed.opens_at <= now + (rate.burst + 1) * share


@given(st.integers(2, 20), st.integers(1, 20), st.booleans())
def test_starts_stay_counted_when_the_burst_is_lowered(burst, weight, is_weighed):
    limit, gate, now = a_limit(rate=RateRule(10, 60 * SECOND, burst)), Gate(), 10**9 * SECOND
    if is_weighed:  # a job that is heavier than the burst is by now
        limit.numbers = Numbers(burst=1)
        gates.take(limit, gate, 1, now, min(weight, burst))
    else:
        for n in range(burst):
            gates.take(limit, gate, n, now)
        old, limit.numbers = gates.rate_of(limit, gate), Numbers(burst=1)
        gates.rescale(gate, old, gates.rate_of(limit, gate), now)
    closed = gates.closed_by(limit, gate, now)

    gates.cut(limit, gate, now)

    assert gates.closed_by(limit, gate, now) == closed


def test_a_gate_without_jobs_is_worth_keeping_for_its_settings_alone():
    assert gates.is_idle(Gate(rooms=[Room("mail")], full_at=7))
    assert not gates.is_idle(Gate(running=1))
    assert not gates.is_idle(Gate(rooms=[Room("mail", waiting=1)]))
    assert not gates.is_idle(Gate(rooms=[Room("mail", head=1)]))
    assert not gates.is_idle(Gate(is_paused=True))
    assert not gates.is_idle(Gate(numbers=Numbers(concurrency=1)))


@pytest.mark.parametrize(
    ("rate", "forgotten_at"), [(None, 0), (RateRule(1, 10), 110), (RateRule(1, 7, fixed=True), 105)]
)
def test_a_gate_is_forgotten_when_its_rate_is_as_a_new_one(rate, forgotten_at):
    limit, gate = a_limit(rate=rate), Gate()
    gates.take(limit, gate, 1, 100)
    gates.release(gate, 1)

    assert gates.forgotten_at(limit, gate) == forgotten_at


@pytest.mark.parametrize(
    ("job", "other", "goes_before"),
    [
        ((0, 1), (0, 0), True),
        ((0, 0), (0, 0), False),
        ((1, -5), (0, 9), True),
        ((0, 9), (1, 0), False),
    ],
)
def test_a_job_that_was_given_back_goes_before_others_and_they_by_priority(job, other, goes_before):
    room = Room("mail", head=1, is_front=bool(other[0]), priority=other[1])

    assert gates.goes_before(bool(job[0]), job[1], room) is goes_before
