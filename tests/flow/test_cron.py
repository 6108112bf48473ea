"""Periodic jobs as values: what they take, and the instants that they name."""

import pickle
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from support.instants import EPOCH, at, next_instants

from antq_actors.errors import CronError
from antq_actors.flow.cron import Cron, Every, decode_entry, read_stored

# ---- intervals ----------------------------------------------------------------------------------


def test_every_is_counted_from_1970_or_its_anchor():
    anchored = Every(timedelta(hours=12), anchor=datetime(2030, 1, 1, 7, tzinfo=UTC))

    assert next_instants(Every(300), (2026, 1, 1, 0, 1), 2) == [
        *("2026-01-01T00:05:00", "2026-01-01T00:10:00"),
    ]
    assert next_instants(anchored, (2026, 1, 1), 2) == [
        "2026-01-01T07:00:00",
        "2026-01-01T19:00:00",
    ]


def test_every_second_and_a_half_is_exact():
    entry = Every(1.5)

    assert entry.count_between(0, 86_400_000_000) == 57_600
    assert list(entry.instants(0, 4_500_001)) == [0, 1_500_000, 3_000_000, 4_500_000]


def test_an_expression_is_read_in_its_zone():
    entry = Cron("0 3 * * *", tz="Asia/Kolkata")

    assert next_instants(entry, (2026, 1, 1), 1) == ["2026-01-01T21:30:00"]


@pytest.mark.parametrize("entry", [Every(1), Cron("* * * * * *")])
def test_a_span_has_its_first_microsecond_and_not_the_one_behind_its_last(entry):
    def found(start, end):
        listed = list(entry.instants(start, end))
        assert entry.newest(start, end, 10) == listed
        assert entry.count_between(start, end) == len(listed)
        return listed

    assert found(0, 1) == [0]
    assert found(0, 1_000_000) == [0]
    assert found(0, 1_000_001) == [0, 1_000_000]
    assert found(1, 2) == []
    assert found(1, 1_000_001) == [1_000_000]


@pytest.mark.parametrize("entry", [Every(1), Cron("* * * * * *")])
def test_counting_may_stop_at_a_number(entry):
    assert entry.count_between(0, 10_000_000, 3) == 3
    assert entry.count_between(0, 10_000_000, 11) == 10


def test_there_is_an_end_of_the_calendar():
    assert Cron("@yearly").next_after(at(9999, 1, 1)) is None
    assert Every(timedelta(days=400)).next_after(at(9999, 12, 1)) is None
    end = datetime.max.replace(tzinfo=UTC)
    last = (end - EPOCH) // timedelta(microseconds=1)
    assert Every(1, anchor=end).next_after(last - 1) == last
    assert Every(1, anchor=end).next_after(last) is None


def test_before_the_calendar_begins_nothing_breaks():
    assert Cron("@daily", tz="Europe/Berlin").next_after(-(10**20)) is not None
    assert Cron("@daily").count_between(-(10**20), 10**20, 1_000) == 1_000


# ---- values -------------------------------------------------------------------------------------


def test_entries_that_say_the_same_are_equal():
    assert Cron("@daily", grace=timedelta(minutes=2)) == Cron("@daily", grace=120)
    assert hash(Every(300)) != hash(Every(301))
    assert hash(Every(300, args={"a": []})) == hash(Every(timedelta(minutes=5), args={"a": []}))
    assert Cron("@daily", args={"a": 1}) != Cron("@daily")
    assert Cron("@daily", priority=5) != Cron("@daily")


def test_an_anchor_that_is_the_default_says_the_same():
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    elsewhere = epoch.astimezone(ZoneInfo("Asia/Tokyo"))

    assert Every(5) == Every(5, anchor=epoch) == Every(5, anchor=elsewhere)
    assert len({Every(5), Every(5, anchor=epoch), Every(5, anchor=elsewhere)}) == 1
    assert Every(5) != Every(5, anchor=epoch + timedelta(seconds=1))
    assert Every(5) != Every(6)
    assert Every(5, name="a") != Every(5)
    assert Every(5) != Cron("*/5 * * * * *")


def test_entries_are_frozen_and_can_be_pickled():
    entry = Cron("*/5 * * * *", tz="Europe/Berlin", args={"region": "eu"}, jitter=20, priority=3)

    copy = pickle.loads(pickle.dumps(entry))  # noqa: S301 - what it has just written

    assert copy == entry
    assert copy.next_after(0) == entry.next_after(0)
    with pytest.raises(AttributeError):
        entry.tz = "UTC"


def test_an_entry_keeps_a_copy_of_its_arguments():
    args = {"region": "eu"}
    entry = Cron("@daily", args=args)

    args["region"] = "us"

    assert entry.args == {"region": "eu"}


@pytest.mark.parametrize(("entry", "when"), [(Cron, "@daily"), (Every, 60)])
def test_an_entry_has_what_it_was_given(entry, when):
    given = {"worker": object(), "args": {"n": 1}, "name": "nightly", "tz": "Europe/Berlin"}

    made = entry(when, **given, max_missed=7, overlap="allow", missed="all", grace=3, jitter=2)

    assert {name: getattr(made, name) for name in given} == given
    assert (made.max_missed, made.overlap, made.missed) == (7, "allow", "all")
    assert (made.grace, made.jitter) == (3, 2)


def test_repr_shows_what_was_given():
    entry = Cron("0 3 * * *", tz="Europe/Berlin", missed="all", priority=3)

    assert repr(entry) == "Cron('0 3 * * *', tz='Europe/Berlin', missed='all', priority=3)"
    assert repr(Every(timedelta(minutes=5))) == "Every(300)"


def test_an_entry_says_in_words_when_its_jobs_are_made():
    assert Cron("0 3 * * *").description == "At 03:00 every day"
    assert Cron("@reboot").description == "When the first node starts"
    assert Every(300).description == "Every 300 s, counted from 1970-01-01 00:00 UTC"
    assert Every(300).expression == "every 300 s"
    assert Every(1.5).expression == "every 1.5 s"


def test_reboot_names_no_instant():
    entry = Cron("@reboot", tz="Europe/Berlin")

    assert entry.is_reboot
    assert entry.next_after(0) is None
    assert entry.count_between(0, 10**18) == 0
    assert entry.newest(0, 10**18, 5) == []
    assert not Cron("@daily").is_reboot


# ---- the store ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        Cron("0 3 * * mon-fri", tz="Europe/Berlin", missed="all", max_missed=7, jitter=1 / 3),
        Cron("@reboot", overlap="cancel"),
        Every(1.5, missed="skip", grace=timedelta(hours=1)),
        Every(60, anchor=datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5)))),
    ],
)
def test_an_entry_is_read_as_it_was_stored(entry):
    assert decode_entry(entry.encode()) == entry
    assert read_stored(entry.encode()).expression == entry.expression


def test_an_anchor_that_was_not_given_is_none_when_it_is_read():
    assert decode_entry(Every(60).encode()).anchor is None


def test_the_digest_changes_with_the_definition_alone():
    digest = Cron("0 3 * * *", worker=object(), name="a").digest(b"args")

    assert digest == Cron("0 3 * * *").digest(b"args")
    for other in (
        Cron("0 3 * * *").digest(b"other"),
        Cron("0 3 * * *").digest(b"ar", b"gs"),
        Cron("0 4 * * *").digest(b"args"),
        Cron("0 3 * * *", tz="Europe/Berlin").digest(b"args"),
        Cron("0 3 * * *", jitter=1).digest(b"args"),
    ):
        assert other != digest


def test_the_digest_is_the_same_in_each_release():
    assert Cron("0 3 * * *").digest(b"args").hex() == "0f39e2994faba79bc92c41f60e114c0c"


def test_a_zone_that_is_gone_is_named_and_what_is_stored_can_be_read():
    data = (
        Cron("0 3 * * *", tz="Europe/Berlin").encode().replace(b"Europe/Berlin", b"Europe/Bonn11")
    )

    with pytest.raises(CronError, match="Europe/Bonn11"):
        decode_entry(data)
    assert read_stored(data).expression == "0 3 * * *"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "what is stored is no periodic entry: Input data was truncated"),
        (b"\x00", "what is stored is no periodic entry: Expected `array`, got `int`"),
        (Every(60).encode()[:-1], "what is stored is no periodic entry: Input data was truncated"),
        (
            msgspec.msgpack.encode(structs.replace(Every(60).stored(), anchor=2**62)),
            "anchor is in no year from 1 to 9999: 4611686018427387904",
        ),
    ],
)
def test_bytes_that_are_no_entry_are_an_error_of_its_own(data, said):
    with pytest.raises(CronError) as caught:
        decode_entry(data)

    assert str(caught.value) == said


# ---- all of them --------------------------------------------------------------------------------

EXPRESSIONS = [
    "*/7 * * * *",
    "0 3 * * *",
    "30 1,2 * * 0",
    "*/30 2 * * *",
    "5 0 0 1 */2 *",
    "@hourly",
]
ENTRIES = st.one_of(
    st.builds(
        Cron,
        st.sampled_from(EXPRESSIONS),
        tz=st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Antarctica/Troll"]),
    ),
    st.builds(
        Every,
        st.integers(3_600, 10**7).map(lambda n: n / 10),
        anchor=st.none() | st.datetimes(timezones=st.just(UTC)),
    ),
)
INSTANTS = st.integers(at(1970, 1, 1), at(2060, 1, 1))
SPANS = st.integers(0, 40 * 86_400_000_000)


@given(ENTRIES, INSTANTS, SPANS)
def test_looks_from_both_ends_and_the_count_agree(entry, start, length):
    end = start + length

    found = list(islice(entry.instants(start, end), 2_000))

    assert found == sorted(set(found))
    assert all(start <= instant < end for instant in found)
    assert entry.next_after(start - 1) == found[0] if found else entry.next_after(start - 1) >= end
    assert entry.count_between(start, end, 2_000) == len(found)
    if len(found) < 2_000:
        assert entry.count_between(start, end) == len(found)
        assert entry.newest(start, end, 50) == found[-50:]


@given(ENTRIES, INSTANTS, SPANS, SPANS)
def test_two_spans_count_as_much_as_both_together(entry, start, first, second):
    middle, end = start + first, start + first + second

    assert entry.count_between(start, middle) + entry.count_between(
        middle, end
    ) == entry.count_between(start, end)
