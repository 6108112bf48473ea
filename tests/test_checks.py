"""Values in error texts, and durations."""

import pytest

from antq_actors.checks import short_repr, to_seconds


class Unprintable:
    def __repr__(self):
        raise RuntimeError


def test_a_value_is_shown_with_its_type():
    assert short_repr("5") == "'5' (str)"


def test_a_long_value_is_cut():
    assert len(short_repr("x" * 10_000)) < 100


def test_a_value_that_cannot_be_shown_is_named_by_its_type():
    assert short_repr(Unprintable()) == "a Unprintable"


def test_an_error_about_a_duration_names_what_it_is_for():
    with pytest.raises(TypeError, match=r"retention must be .*, got \[1\] \(list\)"):
        to_seconds([1], "retention")
