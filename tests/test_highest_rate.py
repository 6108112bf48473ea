"""The comparison finds the highest rate at which jobs that arrive one by one are in time."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from peers import contract, journal, measures
from peers.highest_rate import HIGHEST, LOWEST, PRECISION, highest_rate

RATES = st.floats(LOWEST, HIGHEST)


def limited_to(capacity):
    return lambda rate: 1.0 if rate <= capacity else 100.0


def test_rates_are_doubled_until_one_is_late_then_narrowed_down():
    tried = []

    def latency_at(rate):
        tried.append(round(rate))
        return limited_to(460)(rate)

    assert round(highest_rate(100, latency_at, bound=50, tries=16)) == 456
    assert tried == [100, 200, 400, 800, 566, 476, 436, 456]


def test_a_first_rate_that_is_late_is_halved_until_one_is_in_time():
    tried = []

    def latency_at(rate):
        tried.append(rate)
        return limited_to(30)(rate)

    highest_rate(200, latency_at, bound=50, tries=4)

    assert tried == [200, 100, 50, 25]


def test_there_is_no_rate_where_even_the_lowest_is_late():
    tried = []

    assert highest_rate(15, lambda rate: tried.append(rate) or 50, bound=50, tries=16) is None
    assert tried == [15, LOWEST]


@given(first=st.floats(0.01, 1e7), capacity=RATES)
def test_what_is_found_is_close_to_what_can_be_held(first, capacity):
    found = highest_rate(first, limited_to(capacity), bound=50, tries=24)

    assert found <= capacity <= found * PRECISION or found == HIGHEST == capacity


@given(
    first=st.floats(0.01, 1e7),
    latencies=st.lists(st.floats(0, 100), min_size=20, max_size=20),
    bound=st.floats(0, 100),
    tries=st.integers(0, 20),
)
def test_it_ends_and_reports_only_a_rate_that_was_in_time(first, latencies, bound, tries):
    tried = {}

    def latency_at(rate):
        assert rate not in tried
        tried[rate] = latencies[len(tried)]
        return tried[rate]

    found = highest_rate(first, latency_at, bound=bound, tries=tries)

    in_time = [rate for rate, latency in tried.items() if latency < bound]
    assert found == max(in_time, default=None)
    assert len(tried) <= tries
    assert all(LOWEST <= rate <= HIGHEST for rate in tried)


class Clock:
    """A clock that passes only where somebody waits for it."""

    def __init__(self):
        self.now = 1.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Simulated(contract.Peer):
    """Performs each job in the call that enqueues it, which takes some time of the clock."""

    def __init__(self, folder, clock, seconds):
        super().__init__(contract.Setup("simulated", durable=False, folder=folder))
        self.clock, self.seconds, self.enqueued = clock, seconds, 0
        self.hiccup_at = None

    def open(self, *, perform):
        pass

    def enqueue(self, number):
        self.enqueued += 1
        pause = 1.0 if self.enqueued == self.hiccup_at else 0.0
        self.clock.sleep(self.seconds + pause)
        self.setup.journal.note(number)

    def is_done(self):
        return True

    def start_workers(self, concurrency, *, gated):
        return SimpleNamespace(check=lambda: None, stop=lambda: None)


@pytest.fixture
def simulated(tmp_path, monkeypatch):
    """Performs 700 jobs in a second."""
    clock = Clock()
    for module in (measures, journal):
        monkeypatch.setattr(module, "time", clock)
    return Simulated(tmp_path, clock, 1 / 700)


SEARCH = {"concurrency": 10, "seconds": 1.0, "bound": 50.0, "tries": 16}


def test_the_highest_rate_of_a_simulated_queue_is_found(simulated):
    found = measures.sustained(simulated, rate=100, **SEARCH)

    # Beyond 700 a second it falls behind, but not by 50 ms in a second until 737.
    assert 700 / PRECISION <= found["rate"] <= 737
    assert found["p50"] == pytest.approx(1_000 / 700)
    assert found["p99"] == pytest.approx(1_000 / 700)


def test_latency_runs_from_when_a_job_was_due(simulated):
    loaded = measures.load(simulated, concurrency=10, rate=1_400, seconds=1.0)

    # It takes two seconds for what was due in one, so the last job begins a second late.
    assert loaded["max"] == pytest.approx(1_100, rel=0.01)
    assert loaded["rate"] == pytest.approx(700, rel=0.01)


def test_a_rate_at_which_enqueueing_falls_behind_is_given_up_before_all_is_enqueued(simulated):
    assert measures.sustained(simulated, rate=70_000, **SEARCH | {"tries": 1}) == {}

    # Twice 77,000 jobs would have been due.
    assert simulated.enqueued < 20_000


def test_a_rate_that_a_pause_of_the_disk_made_late_is_tried_again(simulated):
    simulated.hiccup_at = 60

    found = measures.sustained(simulated, rate=100, **SEARCH | {"tries": 1})

    assert found["rate"] == 100
