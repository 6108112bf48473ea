"""Limits as values: their checks, and what the store keeps of them."""

import copy
import pickle
from datetime import timedelta
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.errors import LimitReached, UnknownLimit
from antq_actors.flow.limit_options import Concurrency, RateLimit, limit_rule, rate_rule
from antq_actors.flow.limits import (
    DISCARD,
    REPLACE,
    ConcurrencyRule,
    GateStatus,
    LimitInfo,
    LimitRule,
    RateRule,
    check_weight,
    gate_id,
    microseconds,
)


def by_region(args):
    return args["region"]


def again(value):
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - made here


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Concurrency(2), Concurrency(limit=2)),
        (Concurrency(2, key="account"), Concurrency(2, key=["account"])),
        (Concurrency(2, key=["a", "b"]), Concurrency(2, key=("a", "b"))),
        (Concurrency(2, key=by_region), Concurrency(2, key=by_region)),
        (RateLimit(5, 60), RateLimit(5, per=timedelta(minutes=1))),
        (RateLimit(5, 1.5, burst=2), RateLimit(5, per=timedelta(seconds=1.5), burst=2)),
    ],
)
def test_limits_that_say_the_same_are_equal(one, other):
    assert one == other
    assert hash(one) == hash(other)
    assert again(one) == copy.deepcopy(one) == one


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Concurrency(2), Concurrency(3)),
        (Concurrency(2, key=["a", "b"]), Concurrency(2, key=["b", "a"])),
        (RateLimit(5, 60), RateLimit(5, 61)),
        (RateLimit(1, 1), Concurrency(1)),
    ],
)
def test_limits_that_say_something_else_differ(one, other):
    assert one != other


@pytest.mark.parametrize("limit", [Concurrency(2), RateLimit(5, 1)])
def test_a_limit_cannot_be_changed(limit):
    with pytest.raises(AttributeError):
        limit.limit = 9


def test_a_limit_shows_what_was_given():
    strict = Concurrency(1, key=["a", "b"], order="strict", when_full="discard", max_waiting=0)

    assert repr(strict) == (
        "Concurrency(limit=1, key=('a', 'b'), order='strict', when_full='discard', max_waiting=0)"
    )
    assert repr(RateLimit(5, 1)) == "RateLimit(limit=5, per=1.0)"
    assert repr(RateLimit(5, 1, burst=3, weight="n")) == (
        "RateLimit(limit=5, per=1.0, burst=3, weight='n')"
    )


@pytest.mark.parametrize(
    ("make", "error", "texts"),
    [
        (lambda: Concurrency(0), ValueError, ["limit", "pause(key)"]),
        (lambda: Concurrency(-1), ValueError, ["limit", "pause(key)"]),
        (lambda: Concurrency(limit=True), TypeError, ["limit", "True"]),
        (lambda: Concurrency(1.0), TypeError, ["limit", "1.0"]),
        (lambda: Concurrency(2**31), ValueError, ["limit"]),
        (lambda: Concurrency(1, key=5), TypeError, ["key"]),
        (lambda: Concurrency(1, key=b"account"), TypeError, ["key"]),
        (lambda: Concurrency(1, key=["a", 5]), TypeError, ["key", "5"]),
        (lambda: Concurrency(1, key=[]), ValueError, ["key"]),
        (lambda: Concurrency(1, key=""), ValueError, ["key"]),
        (lambda: Concurrency(1, name=5), TypeError, ["name"]),
        (lambda: Concurrency(1, name=""), ValueError, ["name"]),
        (lambda: Concurrency(1, name="a\0b"), ValueError, ["name"]),
        (lambda: Concurrency(1, name=chr(0xDCFF)), ValueError, ["name"]),
        (lambda: Concurrency(1, order="strickt"), ValueError, ["order", "'strict'"]),
        (lambda: Concurrency(1, order=None), TypeError, ["order"]),
        (lambda: Concurrency(1, when_full="drop"), ValueError, ["when_full", "'discard'"]),
        (lambda: Concurrency(1, halt_on_failure=1), TypeError, ["halt_on_failure"]),
        (lambda: Concurrency(1, halt_on_failure=True), ValueError, ["order='strict'"]),
        (lambda: Concurrency(1, max_waiting=-1), ValueError, ["max_waiting"]),
        (lambda: Concurrency(1, max_waiting=True), TypeError, ["max_waiting"]),
        (lambda: RateLimit(0, 1), ValueError, ["limit", "pause(key)"]),
        (lambda: RateLimit(1, 0), ValueError, ["per"]),
        (lambda: RateLimit(1, -1), ValueError, ["per"]),
        (lambda: RateLimit(1, "1"), TypeError, ["per"]),
        (lambda: RateLimit(1, float("nan")), ValueError, ["per"]),
        (lambda: RateLimit(1, float("inf")), ValueError, ["per"]),
        (lambda: RateLimit(1, timedelta()), ValueError, ["per"]),
        (lambda: RateLimit(1, 1, burst=0), ValueError, ["burst"]),
        (lambda: RateLimit(1, 1, burst=1.5), TypeError, ["burst"]),
        (lambda: RateLimit(1, 1e11, burst=1000), ValueError, ["burst"]),
        (lambda: RateLimit(5, 1, burst=2, window="fixed"), ValueError, ["burst", "fixed"]),
        (lambda: RateLimit(5, 1, window="sliding "), ValueError, ["window", "'fixed'"]),
        (lambda: RateLimit(5, 1, weight=2), ValueError, ["weight", "burst"]),
        (lambda: RateLimit(5, 1, weight=0), ValueError, ["weight"]),
        (lambda: RateLimit(5, 1, weight=1.5), TypeError, ["weight"]),
        (lambda: RateLimit(5, 1, weight=True), TypeError, ["weight"]),
        (lambda: RateLimit(5, 1, weight=None), TypeError, ["weight"]),
        (lambda: RateLimit(5, 1, weight=6, window="fixed"), ValueError, ["weight", "limit"]),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(make, error, texts):
    with pytest.raises(error) as refused:
        make()

    assert all(text in str(refused.value) for text in texts), refused.value


class Five:
    """As an integer of numpy."""

    def __index__(self):
        return 5


def test_numbers_of_others_become_plain_ones():
    limit = RateLimit(Five(), Fraction(1, 2), burst=Five(), weight=Five())

    assert limit == RateLimit(5, 0.5, burst=5, weight=5)
    assert [type(value) for value in (limit.limit, limit.per, limit.burst, limit.weight)] == [
        *(int, float, int, int)
    ]


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        ([Concurrency(3)], LimitRule("api", keyed=False, concurrency=ConcurrencyRule(3))),
        (
            [
                Concurrency(1, key="a", order="strict", halt_on_failure=True, when_full="discard"),
                RateLimit(100, 60, key="a", burst=10),
            ],
            LimitRule(
                "api",
                keyed=True,
                concurrency=ConcurrencyRule(
                    1, strict=True, halt_on_failure=True, when_full=DISCARD
                ),
                rate=RateRule(100, 60_000_000, 10),
            ),
        ),
        (
            [Concurrency(1, when_full="replace", max_waiting=7)],
            LimitRule(
                "api", keyed=False, concurrency=ConcurrencyRule(1, when_full=REPLACE, max_waiting=7)
            ),
        ),
        (
            [RateLimit(5, 0.25, window="fixed")],
            LimitRule("api", keyed=False, rate=RateRule(5, 250_000, fixed=True)),
        ),
    ],
)
def test_the_store_keeps_the_rule_of_a_limit(limits, rule):
    kept = limit_rule("api", *limits)

    assert kept == rule
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=LimitRule) == rule


@given(st.floats(min_value=0.000_001, max_value=1e11))
def test_a_span_is_kept_to_the_microsecond(seconds):
    kept = microseconds(seconds)

    assert kept >= 1
    assert kept == round(seconds * 1_000_000)


@pytest.mark.parametrize(
    ("weight", "error"), [(0, ValueError), (4, ValueError), ("1", TypeError), (True, TypeError)]
)
def test_a_weight_that_could_never_start_is_refused(weight, error):
    rule = rate_rule(RateLimit(5, 1, burst=3))

    assert [check_weight(n, rule, "weight") for n in (1, 2, 3)] == [1, 2, 3]
    with pytest.raises(error, match="weight"):
        check_weight(weight, rule, "weight")


def test_the_gates_of_a_limit_have_one_beginning():
    plain, acme, other = gate_id("api", None), gate_id("api", b"acme"), gate_id("web", b"acme")

    assert len(plain) == len(acme) == 24
    assert plain[:8] == acme[:8] != other[:8]
    assert plain[8:] != acme[8:] == other[8:]


def test_the_errors_of_limits_can_be_pickled():
    reached = again(LimitReached("mail is full", None))

    assert (str(reached), reached.job) == ("mail is full", None)
    assert str(again(UnknownLimit("no limit 'x'"))) == "no limit 'x'"


def test_what_the_store_tells_of_limits_are_values():
    info = LimitInfo("api", "rate", 5, 1.0, 1, keys=0, running=0, waiting=0, opens_at=None)

    assert again(info) == info
    assert GateStatus(0, 0, (), None) == GateStatus(0, 0, (), None)
