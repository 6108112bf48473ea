"""What is right and what is wrong about the starts of jobs with limits."""

import pytest
from limit_checker import lateness, most_in_a_span, out_of_order, share_used


def test_a_span_has_its_beginning_and_not_its_end():
    assert most_in_a_span([3.0, 1.0, 2.0], per=1.0) == 1
    assert most_in_a_span([3.0, 1.0, 2.0], per=1.01) == 2
    assert most_in_a_span([], per=1.0) == 0


def test_a_rate_that_is_used_up_has_a_share_of_one():
    together = [0.0] * 5

    assert share_used([*together, 0.1, 0.2, 0.3], per_second=10, burst=5) == pytest.approx(1.0)
    assert share_used([*together, 0.3], per_second=10, burst=5) == pytest.approx(6 / 8)


def test_a_start_is_late_by_what_it_comes_after_the_rate_allowed_it():
    starts = [1.0, 1.0, 1.15, 1.2]

    assert lateness(starts, per_second=10, burst=2) == pytest.approx([0.0, 0.05, 0.0])


def test_a_job_that_starts_after_a_later_one_of_its_chain_is_found():
    assert out_of_order({"a": [1, 1, 2, 3], "b": []}) == []
    assert out_of_order({"a": [1, 3, 2]}) == ["chain a: 2 started after 3"]
