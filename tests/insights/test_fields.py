"""What forms and JSON carry is read field by field; what makes no sense names the right form."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.insights import fields

ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.lists(st.text(), max_size=3),
    st.dictionaries(st.text(), st.integers(), max_size=2),
)
READERS = [
    fields.text,
    fields.needed_text,
    fields.flag,
    fields.number,
    fields.needed_number,
    fields.seconds,
    fields.moment,
    fields.arguments,
    fields.key_meanings,
]


@pytest.mark.parametrize("read", READERS)
@given(value=ANY)
def test_whatever_is_given_is_read_or_refused_by_the_name_of_its_field(read, value):
    refusal = "speed "
    try:
        read(value, "speed")
    except ValueError as error:
        refusal = str(error)

    assert refusal.startswith("speed ")


@pytest.mark.parametrize("empty", [None, "", "  "])
@pytest.mark.parametrize(
    "read", [fields.text, fields.number, fields.seconds, fields.moment, fields.arguments]
)
def test_box_that_is_left_empty_gives_nothing(read, empty):
    assert read(empty, "x") is None


@pytest.mark.parametrize(
    ("read", "value", "found"),
    [
        (fields.number, "5", 5),
        (fields.number, 5, 5),
        (fields.flag, "on", True),
        (fields.flag, "0", False),
        (fields.flag, 1, True),
        (fields.seconds, "30s", 30),
        (fields.seconds, "1.5h", 5400),
        (fields.seconds, "1d 2h", 93_600),
        (fields.seconds, 0, 0),
        (fields.moment, "2030-05-01T09:00Z", datetime(2030, 5, 1, 9, tzinfo=UTC)),
        (fields.moment, "2030-05-01T09:00+05:30", datetime(2030, 5, 1, 3, 30, tzinfo=UTC)),
        (fields.arguments, ["a=1", "b=x", ""], {"a": 1, "b": "x"}),
        (fields.arguments, "a=", {"a": ""}),
        (fields.text, " as it is ", " as it is "),
        (fields.key_meanings, "5", (5, "5")),
        (fields.key_meanings, 5, (5,)),
        (fields.key_meanings, "", ()),
    ],
)
def test_field_is_read_as_it_is_meant(read, value, found):
    assert read(value, "x") == found


@pytest.mark.parametrize(
    ("read", "value", "right"),
    [
        (fields.number, "0", "a whole number of at least 1, such as 5, got '0'"),
        (fields.number, "1.5", "a whole number of at least 1"),
        (fields.number, "٣", "a whole number of at least 1"),
        (fields.number, "9" * 400, "a whole number of at least 1"),
        (fields.number, True, "a whole number of at least 1"),
        (fields.flag, "maybe", "true or false, got 'maybe'"),
        (fields.seconds, "5 minutes", "a span of time, such as 30, 30s, 5m, 2h or 1d"),
        (fields.seconds, "1h30", "a span of time"),
        (fields.seconds, "-5m", "a span of time"),
        (fields.seconds, float("nan"), "a span of time"),
        (fields.seconds, "99999999999d", "a span of time"),
        (fields.moment, "2030-05-01T09:00", "an instant with its zone, such as 2030-05-01T09:00Z"),
        (fields.moment, "tomorrow", "an instant with its zone"),
        (fields.moment, 17, "an instant with its zone"),
        (fields.arguments, "user", "K=V, each K once, such as user=42, got 'user'"),
        (fields.arguments, ["a=1", "a=2"], "K=V, each K once"),
        (fields.arguments, {"a": 1}, "K=V, each K once"),
        (fields.text, ["x"], "a text, got"),
        (fields.text, "\ud800", "text that UTF-8 can carry"),
        (fields.text, "x" * 10_001, "at most 10,000 characters, got 10,001"),
        (fields.needed_text, "", "is missing"),
        (fields.needed_number, "", "is missing"),
    ],
)
def test_field_that_makes_no_sense_says_what_to_write(read, value, right):
    with pytest.raises(ValueError, match=r"^speed ") as refused:
        read(value, "speed")

    assert right in str(refused.value)
