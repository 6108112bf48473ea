"""Failures are alike if the same exception was raised in the same place, whatever the numbers."""

import sys
import sysconfig

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.insights.fingerprints import fingerprint, own_frames, without_numbers
from antq_actors.jobs.attempt_error import trace

HEADING = "Traceback (most recent call last):\n"


def frame(file, line, function):
    return f'  File "{file}", line {line}, in {function}\n    work()\n'


def a_trace(*frames, error="ValueError: no"):
    return f"{HEADING}{''.join(frame(*each) for each in frames)}{error}\n"


OWN = ("/srv/shop/mail.py", 7, "send")
LIBRARY = [
    ("/srv/.venv/lib/python3.12/site-packages/requests/api.py", 59, "get"),
    ("/usr/lib/python3/dist-packages/yaml/__init__.py", 3, "load"),
    ("C:\\Python312\\Lib\\site-packages\\httpx\\_api.py", 8, "get"),
    ("<frozen importlib._bootstrap>", 1, "_find"),
    (f"{sysconfig.get_path('stdlib')}/json/decoder.py", 355, "raw_decode"),
]


@pytest.mark.parametrize("library", LIBRARY)
def test_frames_of_libraries_do_not_count(library):
    assert list(map(str, own_frames(a_trace(OWN, library)))) == ["/srv/shop/mail.py:7 in send"]
    assert len(own_frames(a_trace(library))) == 1, "there is no other one"


def test_the_three_innermost_frames_count():
    frames = [("/srv/a.py", n, f"f{n}") for n in range(5)]

    assert [each.line for each in own_frames(a_trace(*frames))] == [2, 3, 4]


def digest(error="no", error_type="ValueError", stack_trace=None):
    return fingerprint(error, error_type, stack_trace).digest


def test_lines_releases_and_texts_make_no_difference():
    first = digest("no 7", stack_trace=a_trace(("/srv/r/2026-11-01/shop/mail.py", 7, "send")))
    second = digest("No!", stack_trace=a_trace(("/home/a/shop/mail.py", 99, "send")))

    assert first == second


@pytest.mark.parametrize(
    "other",
    [
        {"error_type": "KeyError"},
        {"stack_trace": a_trace(("/srv/shop/mail.py", 7, "read"))},
        {"stack_trace": a_trace(("/srv/shop/post.py", 7, "send"))},
        {"stack_trace": a_trace(("/srv/shop/main.py", 1, "main"), OWN)},
    ],
)
def test_the_class_and_the_place_make_a_difference(other):
    assert digest(stack_trace=a_trace(OWN)) != digest(**{"stack_trace": a_trace(OWN), **other})


@given(st.integers(0), st.integers(0), st.sampled_from(["user %d", "at 0x%x", "%d.5 s", "x%dy"]))
def test_numbers_in_a_text_make_no_other_fingerprint(a, b, text):
    assert digest(text % a, None) == digest(text % b, None)
    assert digest(text % a) == digest(text % b)
    assert digest(text % a, None) != digest(text % a), "one is of an exception"


def test_addresses_and_digests_are_numbers():
    uuid = "6f1e5c1c-9a55-4e0d-8d0f-0a1b2c3d4e5f"

    assert without_numbers(f"row {uuid} of {'af' * 32}") == "row # of #"
    assert without_numbers("a deadbeef cafe") == "a deadbeef cafe"


def raised(function):
    try:
        function()
    except (LookupError, ValueError, ExceptionGroup) as error:
        return trace(error)
    raise AssertionError


def inner():
    raise KeyError("size")


def test_of_a_chain_the_last_exception_counts():
    def outer():
        try:
            inner()
        except KeyError as error:
            raise ValueError("no size") from error

    assert [each.function for each in own_frames(raised(outer))] == ["raised", "outer"]


def test_of_a_group_its_own_frames_count():
    def grouped():
        errors = []
        for _ in range(2):
            try:
                inner()
            except KeyError as error:
                errors.append(error)
        raise ExceptionGroup("both", errors)

    assert [each.function for each in own_frames(raised(grouped))] == ["raised", "grouped"]


@given(st.text(max_size=200))
def test_any_text_has_a_fingerprint(text):
    found = fingerprint(text, text, text)

    assert len(found.digest) == 16
    assert sys.getsizeof(found.frames) >= 0
