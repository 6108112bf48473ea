"""Texts and traces that can always be stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.jobs.attempt_error import TEXT_LIMIT, TRACE_LIMIT, cut, describe, trace


def raised(error):
    try:
        raise error  # noqa: TRY301 - this frame is what the trace has to show
    except BaseException as caught:  # noqa: BLE001 - any error may be the case
        return caught


class Unprintable(Exception):
    def __str__(self):
        raise SystemExit


def test_an_exception_is_described_by_its_text():
    assert describe(ValueError("no such address")) == "no such address"


@pytest.mark.parametrize("error", [ValueError(), ValueError("")])
def test_an_exception_without_text_is_described_by_its_class(error):
    assert describe(error) == "ValueError"


def test_a_reason_without_text_stays_empty():
    assert describe("") == ""


def test_an_exception_whose_text_raises_is_described_by_its_class():
    assert describe(Unprintable()) == "Unprintable"


def test_what_a_caller_asks_for_passes_through_the_text():
    with pytest.raises(SystemExit):
        describe(Unprintable(), let_through=(SystemExit,))


@given(st.text(st.characters(codec=None)), st.integers(100, 300), st.booleans())
def test_any_text_is_cut_to_its_limit_in_utf_8(text, limit, keep_end):
    assert len(cut(text * 10, limit, keep_end=keep_end).encode()) <= limit


@given(st.text(st.characters(codec="utf-8"), max_size=25))
def test_a_text_within_its_limit_is_kept(text):
    assert cut(text, 100) == text


def test_lone_surrogates_are_written_as_escapes():
    assert cut("a\ud800", 100) == "a\\ud800"


def test_a_cut_text_says_so():
    text = describe(ValueError("ä" * TEXT_LIMIT))

    assert text.startswith("ää")
    assert f"{2 * TEXT_LIMIT} bytes, cut to {TEXT_LIMIT}" in text


def test_a_cut_trace_keeps_its_beginning_and_its_end():
    text = trace(raised(ValueError("x" * 2 * TRACE_LIMIT + "the end")), skip="")

    assert text.startswith("Traceback")
    assert "cut to" in text
    assert text.endswith("the end\n")


def test_a_trace_leaves_out_the_outer_frames_of_one_file():
    error = raised(ValueError("no"))

    assert "in raised" in trace(error, skip="")
    assert trace(error, skip=__file__) == "ValueError: no\n"


def test_a_trace_shows_causes():
    try:
        try:
            raise KeyError("first")  # noqa: TRY301 - a cause has to be raised
        except KeyError as cause:
            raise ValueError("second") from cause
    except ValueError as error:
        text = trace(error, skip="")

    assert "KeyError: 'first'" in text
    assert "direct cause" in text


def test_a_trace_that_cannot_be_shown_says_so():
    error = raised(ValueError("no"))
    error.__notes__ = Raising()

    assert "cannot be shown" in trace(error, skip="")


class Raising(list):
    def __iter__(self):
        raise SystemExit
