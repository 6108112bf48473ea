"""Whatever a job holds becomes JSON that every reader takes, without loss where JSON has a form."""

import json
import math
from collections import deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors import AttemptError, Status
from antq_actors.insights.as_json import as_json, dump_json
from antq_actors.storage.format.cipher import Encrypted
from antq_actors.storage.format.display import Opaque

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Point:
    x: int
    at: datetime


class Pair(NamedTuple):
    left: int
    right: timedelta


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (Status.FAILED, "failed"),
        (2**53, 2**53),
        (-(2**53), -(2**53)),
        (2**53 + 1, str(2**53 + 1)),
        (-(2**53) - 1, str(-(2**53) - 1)),
        (1.5, 1.5),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (b"\x00", "b'\\x00'"),
        ({3, 1}, "{1, 3}"),
        (frozenset(), "set()"),
        (NOON, "2026-05-01T12:00:00+00:00"),
        (NOON.astimezone(timezone(timedelta(hours=2))), "2026-05-01T12:00:00+00:00"),
        (date(2026, 5, 1), "2026-05-01"),
        (timedelta(minutes=1), 60.0),
        (Decimal("1.10"), "1.10"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Opaque("shop.Cart"), "<opaque shop.Cart>"),
        (Encrypted(), "<encrypted>"),
        ((1, deque([2])), [1, [2]]),
        ({1: "a", "1": "b"}, {"1": "a", "1'": "b"}),
        ({None: 1, (1, 2): 2}, {"None": 1, "(1, 2)": 2}),
        ("a\udcffb", "a\\udcffb"),
        ({"\ud800": 1}, {"\\ud800": 1}),
        (Point(2**60, NOON), {"x": str(2**60), "at": "2026-05-01T12:00:00+00:00"}),
        (Pair(1, timedelta(seconds=2)), {"left": 1, "right": 2.0}),
        (1j, "1j"),
    ],
)
def test_a_value_is_shown_as(value, shown):
    assert as_json(value) == shown
    assert json.loads(dump_json(value)) == shown


def test_an_integer_of_thousands_of_digits_is_text():
    assert as_json(10**4000) == "1" + "0" * 4000
    assert as_json(1 << 20_000) == "<int of 20001 bits>"


def test_a_struct_is_shown_by_its_fields():
    error = AttemptError(1, "no", None, NOON)

    assert as_json(error)["attempted_at"] == "2026-05-01T12:00:00+00:00"
    assert list(as_json(error)) == [
        *("attempt", "error", "stack_trace", "attempted_at", "error_type", "started_at", "node")
    ]


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.binary()
    | st.datetimes(timezones=st.timezones() | st.none())
    | st.timedeltas()
    | st.decimals()
    | st.sets(st.integers()),
    lambda inner: st.lists(inner) | st.dictionaries(st.integers() | st.text(), inner),
    max_leaves=20,
)


@given(anything)
def test_everything_becomes_json_in_utf_8_that_is_read_back_equal(value):
    shown = as_json(value)

    assert json.loads(dump_json(value).encode().decode()) == shown
    assert as_json(shown) == shown
