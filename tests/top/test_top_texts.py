"""Texts, shapes and arguments as a terminal may show them."""

import doctest
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.jobs.state import Status
from antq_actors.storage.format.cipher import Encrypted
from antq_actors.top import jobs_tab, look, pages, texts
from antq_actors.top.jobs_tab import brief_args
from antq_actors.top.look import SHAPES, Look
from antq_actors.top.texts import LONGEST_CHARACTERS, shown, shown_lines


@pytest.mark.parametrize("module", [texts, look, jobs_tab, pages])
def test_what_the_docstrings_show_is_true(module):
    found = doctest.testmod(module)

    assert found.attempted
    assert not found.failed


@given(st.text(st.characters()))
def test_no_text_controls_a_terminal_or_turns_what_is_around_it(text):
    seen = shown(text)

    assert all(unicodedata.category(each) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for each in seen)
    seen.encode()


@given(st.text(st.characters()))
def test_with_ascii_alone_every_text_is_in_it(text):
    assert shown(text, ascii_only=True).isascii()


@given(st.text(st.characters()), st.integers(1, 20))
def test_a_long_text_is_cut_before_it_is_escaped(text, longest):
    assert len(shown(text, longest)) <= 10 * longest


def test_a_text_of_ten_million_characters_is_cut_and_says_so():
    lines = shown_lines("x" * 10_000_000)

    assert len(lines[0]) == LONGEST_CHARACTERS
    assert lines[1] == f"({10_000_000 - LONGEST_CHARACTERS:,} more characters)"


def test_every_status_has_a_shape_and_a_word():
    shapes = [Look().state(status).plain for status in Status]

    assert {shape.split(" ", 1)[1] for shape in shapes} == set(Status)
    assert len({shape[0] for shape in shapes}) == len(Status)


def test_shapes_in_ascii_tell_statuses_apart():
    shapes = [Look(ascii_only=True).state(status).plain for status in Status]

    assert all(shape.isascii() for shape in shapes)
    assert len({shape[0] for shape in shapes}) == len(Status)


def test_every_shape_takes_one_column():
    assert {Look(ascii_only=alone).shape(name).cell_len for name in SHAPES for alone in (0, 1)} == {
        1
    }


def test_markup_in_a_text_is_shown_and_not_done():
    text = Look().text("[red]no[/red]")

    assert text.plain == "[red]no[/red]"
    assert not text.spans


@pytest.mark.parametrize(
    "args",
    [
        {"n": 10**10_000},
        {f"key{number}": number for number in range(10_000)},
        {"text": "x" * 10_000_000},
        {"deep": [[[[[[[[[[1]]]]]]]]]]},
        {"many": list(range(1_000_000))},
    ],
)
def test_arguments_of_any_size_are_a_few_characters(args):
    assert len(brief_args(args)) < 400


def test_encrypted_arguments_are_said_to_be_so():
    assert brief_args(Encrypted()) == "<encrypted>"
