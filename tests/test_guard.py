"""What the regression guard calls a clear loss, and that it runs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.benches import BENCHMARKS, module, run

compare = module("losses").compare

ratios = st.floats(min_value=1e-4, max_value=1e4)
rounds = st.lists(ratios, min_size=1, max_size=9)


def is_lost(before, now):
    [compared] = compare({"drain": before}, {"drain": now})
    return compared.is_lost


@pytest.mark.parametrize(
    ("now", "lost"),
    [
        ([0.60, 0.61, 0.62], True),
        ([0.50, 0.51, 0.52], True),
        ([0.75, 0.76, 0.77], False),  # less, but not by much
        ([1.00, 1.01, 1.02], False),
        ([1.50, 1.51, 1.52], False),
        ([0.10, 1.01, 1.02], False),  # one bad round
        ([0.60, 0.61, 1.50], False),  # rounds that differ more than they lost
    ],
)
def test_a_loss_is_large_and_larger_than_the_rounds_differ(now, lost):
    assert is_lost([1.00, 1.01, 1.02], now) is lost


def test_a_baseline_that_wandered_is_not_lost_within_its_own_spread():
    assert not is_lost([0.4, 0.5, 1.0, 1.1, 1.2], [0.45, 0.5, 0.55])


@given(rounds)
def test_the_same_rounds_are_never_a_loss(before):
    assert not is_lost(before, before)


@given(rounds, st.floats(min_value=1.0, max_value=100.0))
def test_faster_is_never_a_loss(before, factor):
    assert not is_lost(before, [ratio * factor for ratio in before])


@given(ratios, st.integers(1, 9), st.floats(min_value=0.01, max_value=0.69))
def test_steady_rounds_that_lost_much_are_a_loss(ratio, times, factor):
    assert is_lost([ratio] * times, [ratio * factor] * times)


@given(rounds, rounds, st.sampled_from([0.25, 2.0, 1024.0]))
def test_only_the_proportion_counts(before, now, scale):
    scaled = is_lost([scale * ratio for ratio in before], [scale * ratio for ratio in now])

    assert is_lost(before, now) is scaled


@given(st.lists(ratios, min_size=5, max_size=9), ratios)
def test_one_bad_round_of_many_is_no_loss(before, bad):
    assert not is_lost(before, [*before[1:], min(bad, before[0])])


def test_what_is_compared_tells_what_is_left():
    [compared] = compare({"drain": [2.0, 4.0, 3.0]}, {"drain": [1.0, 1.5, 2.0]})

    assert (compared.before, compared.now, compared.left) == (3.0, 1.5, 0.5)


def test_ratios_that_only_one_side_has_are_refused_with_what_to_do():
    with pytest.raises(ValueError, match=r"\['enqueue'\].*--update"):
        compare({"drain": [1.0]}, {"drain": [1.0], "enqueue": [1.0]})


def test_the_guard_measures_the_ratios_of_the_baseline(tmp_path):
    done = run("guard.py", "--short", "--json", tmp_path / "found.json")

    assert done.returncode == 0, done.stderr
    baseline = json.loads((BENCHMARKS / "baseline.json").read_text())
    assert json.loads((tmp_path / "found.json").read_text()).keys() == baseline.keys()
    assert [name for name in baseline if name not in done.stdout] == []


def test_the_guard_writes_no_baseline_of_a_short_run():
    done = run("guard.py", "--short", "--update")

    assert done.returncode == 2
    assert "a short run is no baseline" in done.stderr
