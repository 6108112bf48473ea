"""Filters: what is read comes back as it was written, what fits no key is refused with the form."""

import copy
import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors import Status
from antq_actors.insights import Filter, FilterError
from antq_actors.insights.filter_values import NOT_THERE
from antq_actors.jobs.instant import from_datetime

NOW = from_datetime(datetime(2026, 5, 1, 12, tzinfo=UTC))
SECOND = 1_000_000

texts = st.text(max_size=8)
bare = texts.filter(lambda text: text and text == "".join(text.split()) and "," not in text)
bare = bare.filter(lambda text: not text.startswith('"'))
quoted = texts.map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
words = bare | quoted
numbers = st.integers(0, 10**12).map(str)
moments = st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")
ages = st.tuples(st.decimals(0, 10**6, places=2).map(str), st.sampled_from("smhd")).map("".join)
signs = st.sampled_from(["<", "<=", ">", ">="])


def compared(values):
    return st.tuples(signs, values).map("".join)


def ranges(values):
    return st.tuples(values, values).map("..".join)


segments = st.text("abcxyz_-0", min_size=1, max_size=4)
VALUES = {
    **dict.fromkeys(["queue", "worker", "error", "node", "cron"], words),
    "status": st.sampled_from(Status).map(str),
    **dict.fromkeys(["id", "attempts"], numbers | compared(numbers) | ranges(numbers)),
    **dict.fromkeys(["batch", "workflow"], numbers),
    **dict.fromkeys(
        ["inserted", "started", "ended", "due"],
        compared(ages) | compared(moments) | ranges(moments) | moments,
    ),
}
keys_and_values = st.one_of(
    *(st.tuples(st.just(key), st.lists(each, min_size=1)) for key, each in VALUES.items()),
    st.tuples(
        st.lists(segments, min_size=1).map(lambda path: ".".join(["arg", *path])),
        st.lists(words, min_size=1),
    ),
    st.tuples(segments.map("meta.{}".format), st.lists(words, min_size=1)),
)
terms = st.tuples(st.sampled_from(["", "-"]), keys_and_values).map(
    lambda term: f"{term[0]}{term[1][0]}:{','.join(term[1][1])}"
)
filters = st.lists(terms, max_size=5).map(" ".join)


@given(filters)
def test_a_filter_that_is_shown_is_read_as_the_same(text):
    read = Filter.parse(text)

    assert Filter.parse(str(read)) == read
    assert str(Filter.parse(str(read))) == str(read)
    assert copy.deepcopy(read) == read
    assert hash(Filter.parse(text)) == hash(read)


@given(st.text(alphabet='status:queuearg.id<>=*-" ,\\17\n', max_size=40) | st.text(max_size=40))
def test_any_text_is_a_filter_or_an_error_with_a_place_in_it(text):
    try:
        read = Filter.parse(text)
    except FilterError as refused:
        error = refused
    else:
        assert Filter.parse(str(read)) == read
        return
    assert 0 <= error.position <= len(text)
    assert str(error) == error.sentence


def test_the_example_of_the_contract_is_read_term_by_term():
    read = Filter.parse(
        "status:failed queue:mail worker:Send* arg.user.id:42 error:Timeout attempts:>3"
        " inserted:<1h node:a1 id:1000..2000 -queue:low"
    )

    assert [term.key for term in read.terms] == [
        *("status", "queue", "worker", "arg.user.id", "error", "attempts"),
        *("inserted", "node", "id", "queue"),
    ]
    assert read.terms[3].path == ("user", "id")
    assert [term.is_negated for term in read.terms] == [False] * 9 + [True]


def test_what_is_between_terms_does_not_matter():
    assert Filter.parse(" \tqueue:a\n id:7 ") == Filter.parse("queue:a id:7")
    assert Filter.parse("") == Filter.parse("   ") == Filter()
    assert str(Filter()) == ""


@pytest.mark.parametrize(
    ("text", "position", "sentence"),
    [
        ("colour:red", 0, r"unknown key 'colour'.*status, queue, worker.*arg\.PATH, meta\.KEY"),
        ("queue:a statu:failed", 8, r"did you mean 'status'\?.*the keys are status"),
        ("queue.name:a", 0, "unknown key 'queue.name'"),
        (":a", 0, "unknown key ''"),
        ("queue:a Timeout", 8, "'Timeout' has no key; write .* error:Timeout; the keys are"),
        ("-", 0, "'-' has no key"),
        ("status:fail*", 7, "'fail\\*' is no status; write one of enqueued"),
        ("status:failed,retry", 14, "'retry' is no status"),
        ("id:1*", 3, "'1\\*' does not fit 'id'; write id:7, id:>3"),
        ("id:-3", 3, "does not fit"),
        ("id:٣", 3, "does not fit"),
        ("id:3..", 3, "does not fit"),
        ("id:>3..9", 3, "does not fit"),
        ("attempts:many", 9, "'many' does not fit 'attempts'"),
        ("batch:>3", 6, "'>3' does not fit 'batch'; write batch:7"),
        ("workflow:3..4", 9, "does not fit 'workflow'"),
        ("inserted:1h", 9, "'1h' does not fit 'inserted'; write inserted:<1h"),
        ("due:<1y", 4, "does not fit 'due'"),
        ("ended:<99999999d", 6, "does not fit 'ended'"),
        ("started:yesterday", 8, "does not fit 'started'"),
        ("inserted:<1h..2h", 9, "does not fit"),
        ("queue:", 6, "a value of 'queue' is missing"),
        ("queue:a, id:7", 8, "a value of 'queue' is missing"),
        ("queue:a,,b", 8, "a value of 'queue' is missing"),
        ('queue:"a', 6, "has no end"),
        ('queue:"a\\n"', 6, "a backslash before something else"),
        ('queue:"a"b', 9, "comes a blank or a comma, not 'b'"),
        ("arg:3", 0, r"'arg' names no argument; write for example arg\.user\.id:42"),
        ("arg.a..b:3", 0, "names no argument"),
        ("meta.:3", 0, r"names no key; write for example meta\.tenant:acme"),
    ],
)
def test_what_fits_no_key_is_refused_with_the_right_form(text, position, sentence):
    with pytest.raises(FilterError, match=sentence) as refused:
        Filter.parse(text)

    assert refused.value.position == position
    assert isinstance(refused.value, ValueError)
    again = copy.copy(refused.value)
    assert (again.position, str(again)) == (position, str(refused.value))


def test_what_is_no_text_is_a_type_error():
    with pytest.raises(TypeError, match="a filter is text such as 'status:failed', got None"):
        Filter.parse(None)


def passes(text, found, now=NOW):
    """Return whether a job that has *found* for the only key passes."""
    return Filter.parse(text).holds(lambda _: found, now)


@pytest.mark.parametrize(
    ("text", "fits", "fits_not"),
    [
        ("status:failed", ["failed"], ["retrying"]),
        ("status:failed,retrying", ["failed", "retrying"], ["running"]),
        ("queue:mail", ["mail"], ["mails", "Mail"]),
        ("queue:mail*", ["mail", "mails"], ["email"]),
        ('queue:"mail*"', ["mail*"], ["mails"]),
        ("queue:a*b", ["a*b"], ["axb"]),
        ('queue:"a \\"b\\" \\\\"', ['a "b" \\'], ["a b"]),
        ("cron:*", ["nightly", ""], []),
        ("worker:shop:Send", ["shop:Send"], ["shop:Sender", "shop"]),
        ("worker:Send*", ["shop:SendReceipt", "Send"], ["shop:Resend"]),
        ("worker:shop*", ["shop:Send"], ["a.shop:Send"]),
        ("error:Timeout", ["ReadTimeout: 3 s"], ["timeout"]),
        ("error:Time*", ["a Time* b"], ["Timeout"]),
        ("node:1*", [1, 12], [21]),
        ("id:7", [7], [77]),
        ("id:>3", [4], [3]),
        ("id:>=3", [3], [2]),
        ("attempts:<3", [2], [3]),
        ("attempts:<=3", [3], [4]),
        ("id:3..5,9", [3, 4, 5, 9], [2, 6, 8, 10]),
        ("inserted:<1h", [NOW, NOW - 3599 * SECOND], [NOW - 3600 * SECOND]),
        ("inserted:>=1h", [NOW - 3600 * SECOND], [NOW - 3599 * SECOND]),
        ("ended:<1.5m", [NOW - 89 * SECOND], [NOW - 90 * SECOND]),
        ("due:<1h", [NOW - 10**12, NOW + 3599 * SECOND], [NOW + 3600 * SECOND]),
        ("due:>1d", [NOW + 86_401 * SECOND], [NOW, NOW + 86_400 * SECOND]),
        ("started:<2026-05-01T12:00Z", [NOW - 1], [NOW]),
        ("started:>=2026-05-01T14:00+02:00", [NOW], [NOW - 1]),
        ("started:2026-05-01..2026-05-02", [NOW], [NOW + 86_400 * SECOND]),
        ("started:2026-05-01T12:00:00", [NOW], [NOW + 1]),
        ("meta.tenant:ac*", ["acme"], ["bacme"]),
        ("meta.n:1", ["1"], ["01"]),
        ("arg.n:42", [42, 42.0, "42"], ["042", True, [42]]),
        ('arg.n:"42"', ["42"], [42]),
        ("arg.n:4*", ["42"], [42]),
        ("arg.n:1", [1, "1"], [True]),
        ("arg.n:true", [True, "true"], [1, "True"]),
        ("arg.n:null", [None, "null"], [0, False, ""]),
        ("arg.n:1e2", [100, "1e2"], [10]),
        ("arg.n:[]", [[], (), "[]"], [{}, None]),
        ("arg.n:{}", [{}, "{}"], [[]]),
        ('arg.n:{"a":[1]}', [{"a": [1]}], [{"a": [True]}, {"a": [1], "b": 2}]),
        ("arg.n:NaN", ["NaN"], [float("nan")]),
        ('arg.n:""', [""], [None, 0]),
        ("arg.n:2026-05-01", [date(2026, 5, 1)], [datetime(2026, 5, 1, tzinfo=UTC)]),
        ("arg.n:100000000000000000001", [100000000000000000001], [10**20]),
    ],
)
def test_a_value_holds_for_what_it_says_and_its_negation_for_the_rest(text, fits, fits_not):
    for found in fits:
        assert passes(text, found), found
        assert not passes(f"-{text}", found), found
    for found in fits_not:
        assert not passes(text, found), found
        assert passes(f"-{text}", found), found


@pytest.mark.parametrize("text", ["cron:*", "started:<1h", 'arg.x:"",null', "id:>=0", "error:a"])
def test_what_is_not_there_holds_for_no_value_so_its_negation_holds(text):
    assert not passes(text, NOT_THERE)
    assert passes(f"-{text}", NOT_THERE)


def test_all_terms_must_hold():
    found = {"queue": "mail", "id": 7}
    read = Filter.parse("queue:mail id:>8")

    assert not read.holds(lambda term: found[term.key], NOW)
    assert read.holds(lambda term: {**found, "id": 9}[term.key], NOW)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=4))
def test_a_bare_value_matches_the_json_value_that_it_spells(value):
    text = json.dumps(value, separators=(",", ":"))
    if not any(mark in text for mark in ' ,\\"'):
        assert passes(f"arg.x:{text}", value)


@given(compared(ages) | compared(moments) | ranges(moments), st.sampled_from(["due", "ended"]))
def test_bounds_let_everything_through_that_a_term_does(value, key):
    (term,) = Filter.parse(f"{key}:{value}").terms
    low, high = term.bounds(NOW)
    steps = [timedelta(seconds=1), timedelta(days=1), timedelta(days=3650)]
    offsets = [0, *(step // timedelta(microseconds=1) for step in steps)]
    edges = {edge for edge in (NOW, low, high) if edge is not None}
    for found in {edge + sign * offset for edge in edges for sign in (-1, 1) for offset in offsets}:
        if term.holds(found, NOW):
            assert low is None or low <= found
            assert high is None or found <= high
