"""Arguments that someone wrote to harm who looks at them: each is looked at by a process of its
own with 1 GiB of memory, which has some seconds.
"""

import collections
import copyreg
import fractions
import multiprocessing
import pathlib
import pickle
import uuid

import pytest
from audited_display import answer

from antq_actors.storage.format import display, encoding
from antq_actors.storage.format.plain.makers import Opaque

SECONDS = 20  # the slowest takes two on an idle machine

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["antq_actors.cli.render", "pytest"])

NONE, MARK, POP, DUP, MEMO = b"N", b"(", b"0", b"2", b"\x94"
LIST, DICT, SET = b"]", b"}", b"\x8f"
TUPLE1, TUPLE2 = b"\x85", b"\x86"
CALL, BUILD, APPEND, APPENDS, ITEM, ITEMS = b"R", b"b", b"a", b"e", b"s", b"u"


def text(value):
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + len(data).to_bytes(4, "little") + data


def number(value):
    data = pickle.encode_long(value)
    return b"\x8b" + len(data).to_bytes(4, "little") + data


def get(index):
    return b"j" + index.to_bytes(4, "little")


def named(module, name):
    return text(module) + text(name) + b"\x93"


def called(module, name, *args):
    return named(module, name) + MARK + b"".join(args) + b"t" + CALL


def args_with(value):
    """Encode the arguments {"value": value, "n": 1} for the opcodes that make *value*."""
    return b"\x01\x80\x05}(" + text("n") + b"K\x01" + text("value") + value + b"u."


def shown(encoded):
    """Look in another process; return the ``repr`` of what it saw."""
    here, there = processes.Pipe(duplex=False)
    other = processes.Process(target=answer, args=(encoded, there))
    other.start()
    there.close()
    try:
        assert here.poll(SECONDS), "it takes too long"
        seen, happened = here.recv()
    finally:
        other.kill()
        other.join()
    assert happened == []
    return seen


def lists_of_pairs(levels):
    """Describe lists that hold the one before twice, by reference."""
    pairs = [POP + LIST + MEMO + MARK + get(level) * 2 + APPENDS for level in range(levels)]
    return LIST + MEMO + b"".join(pairs)


def pairs_of_pairs(levels):
    """Describe tuples that hold the one before twice, by reference."""
    pairs = [POP + get(level) + get(level) + TUPLE2 + MEMO for level in range(levels)]
    return NONE + TUPLE1 + MEMO + b"".join(pairs)


def test_a_huge_memo_index_takes_no_memory():
    encoded = args_with(NONE + b"r\x00\x00\x00\x10")

    assert shown(encoded) == "{'n': 1, 'value': None}"


@pytest.mark.parametrize(
    "keyed",
    [
        lambda key: DICT + key + NONE + ITEM,
        lambda key: SET + MARK + key + b"\x90",
        lambda key: MARK + key + b"\x91",
    ],
    ids=["dict", "set", "frozenset"],
)
@pytest.mark.parametrize(
    "key",
    [
        NONE + TUPLE1 * 500_000,
        MARK * 100_000 + b"\x91" * 100_000,
        pairs_of_pairs(60),
        NONE + TUPLE1 + (DUP + TUPLE2) * 60,
    ],
    ids=["deep tuples", "deep frozensets", "doubled by reference", "doubled by DUP"],
)
def test_a_key_that_cannot_be_hashed_in_time_is_not_hashed(keyed, key):
    answer = shown(args_with(keyed(key)))

    assert "opaque" in answer


TOO_MUCH = {
    "doubled lists": (lists_of_pairs(60), "too large"),
    "doubled tuples": (pairs_of_pairs(60), "too large"),
    "a list in itself": (LIST + MEMO + get(0) + APPEND, "holds itself"),
    "a dict in itself": (DICT + MEMO + text("self") + get(0) + ITEM, "holds itself"),
    "an OrderedDict in itself": (
        called("collections", "OrderedDict") + MEMO + text("self") + get(0) + ITEM,
        "itself",
    ),
    "a deque in itself": (called("collections", "deque") + MEMO + get(0) + APPEND, "holds itself"),
    "deep lists": (LIST * 100_000 + APPEND * 99_999, "deeper than 100"),
    "deep tuples": (NONE + TUPLE1 * 900_000, "deeper than 100"),
    "deep dicts": ((DICT + text("x")) * 50_000 + NONE + ITEM * 50_000, "deeper than 100"),
    "a long text many times": (
        text("x" * 1_000_000) + MEMO + POP + LIST + MARK + get(0) * 300_000 + APPENDS,
        "too large",
    ),
    "a long number many times": (
        number(1 << 14_000) + MEMO + POP + LIST + MARK + get(0) * 300_000 + APPENDS,
        "too large",
    ),
    "more than a million values": (MARK + b"K\x01" * 1_500_000 + b"t", "too large"),
}


@pytest.mark.parametrize(("value", "why"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_what_is_too_much_to_show_says_why_and_hides_nothing_else(value, why):
    answer = shown(args_with(value))

    assert answer.startswith("{'n': 1, 'value': <opaque")
    assert why in answer


def of_range(module, name):
    return called(module, name, called("builtins", "range", b"K\x00", number(10**12), b"K\x01"))


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (called("fractions", "Fraction", text("1e999999999")), "fractions.Fraction"),
        (called("decimal", "Decimal", text("9" * 10_000_000)), "decimal.Decimal"),
        (called("decimal", "Decimal", text("sNaN")), "decimal.Decimal"),
        (of_range("builtins", "set"), "builtins.set"),
        (of_range("builtins", "frozenset"), "builtins.frozenset"),
        (of_range("collections", "deque"), "collections.deque"),
        (of_range("collections", "OrderedDict"), "collections.OrderedDict"),
        (called("pathlib", "PurePosixPath", text("x" * 5_000)), "pathlib.PurePosixPath"),
        (called("builtins", "range", number(1 << 20_000), NONE, NONE), "builtins.range"),
        (called("datetime", "date", b"C\x04\x07\xea\x02\x1f"), "datetime.date"),
        (
            called("datetime", "datetime", b"C\x0a\x00\x00\x01\x01\x63\0\0\0\0\0"),
            "datetime.datetime",
        ),
        (called("uuid", "SafeUUID", LIST), "uuid.SafeUUID"),
        (
            named("uuid", "UUID")
            + b")\x81"
            + DICT
            + text("int")
            + b"J\xff\xff\xff\xff"
            + ITEM
            + BUILD,
            "uuid.UUID",
        ),
    ],
)
def test_a_plain_type_is_made_only_from_what_it_is_pickled_as(value, name):
    assert shown(args_with(value)) == f"{{'n': 1, 'value': <opaque {name}>}}"


def test_a_number_too_long_to_print_says_so():
    answer = shown(args_with(number(10**5_000)))

    assert "too long to print" in answer


def test_slices_within_slices_are_not_made():
    # When such a chain goes, it overflows C's stack: slices have no guard against that.
    chain = b"".join(named("builtins", "slice") for _ in range(50_000)) + NONE
    chain += (NONE + NONE + b"\x87" + CALL) * 50_000

    assert "<opaque builtins.slice>" in shown(args_with(chain))


@pytest.mark.parametrize(
    "key",
    [
        lambda i: number(i * (2**61 - 1)),
        lambda i: number(i * (2**61 - 1)) + TUPLE1,
        lambda i: called("decimal", "Decimal", text(str(i * (2**61 - 1)))),
        lambda i: called("fractions", "Fraction", number(i * (2**61 - 1)), b"K\x01"),
    ],
    ids=["int", "tuple", "Decimal", "Fraction"],
)
def test_keys_that_are_made_to_collide_are_refused(key):
    colliding = b"".join(key(i) + NONE for i in range(10, 30_000))

    assert "made to collide" in shown(args_with(DICT + MARK + colliding + ITEMS))


def test_looking_for_what_cannot_be_hashed_has_an_end_too():
    leaves = MARK + NONE * 32 + b"t" + MEMO + POP
    middle = MARK + get(0) * 32 + b"t" + MEMO + POP
    unhashable = MARK + get(1) * 31 + LIST + b"t" + MEMO + POP
    again = (get(2) + NONE) * 1_000_000

    encoded = args_with(leaves + middle + unhashable + DICT + MARK + again + ITEMS)

    assert "too many steps" in shown(encoded)


def test_equal_members_of_many_sets_do_not_collide():
    args = {"sets": [frozenset({(1, 2), (i, i)}) for i in range(1_000)]}

    assert display.display_args(encoding.encode_args(args)) == args


def test_a_long_key_is_not_compared_for_ever():
    twins = text("x" * 3_000_000) + MEMO + POP + text("x" * 3_000_000) + MEMO + POP
    again = (get(0) + NONE + get(1) + NONE) * 300_000

    assert "too many steps" in shown(args_with(twins + DICT + MARK + again + ITEMS))


@pytest.mark.parametrize(
    "value",
    [
        LIST + MARK + SET * 3_900_000 + APPENDS,
        MARK * 4_000_000,
        named("collections", "deque") + MEMO + LIST + MARK + (get(0) + b")R") * 1_000_000 + APPENDS,
        named("zoneinfo", "ZoneInfo._unpickle")
        + MEMO
        + text("No/Where")
        + NONE
        + TUPLE2
        + MEMO
        + (get(0) + get(1) + CALL + POP) * 300_000
        + NONE,
        text("9" * 4_000)
        + TUPLE1
        + MEMO
        + named("decimal", "Decimal")
        + MEMO
        + (get(1) + get(0) + CALL + POP) * 1_000_000,
        MARK
        + NONE * 900_000
        + b"t"
        + MEMO
        + named("collections", "deque")
        + MEMO
        + (get(1) + get(0) + CALL + POP) * 300_000,
    ],
    ids=["sets", "marks", "deques", "zones", "decimals", "many arguments"],
)
def test_many_costly_steps_end_early(value):
    assert "too many steps" in shown(args_with(value))


@pytest.mark.parametrize(
    "opcodes",
    [
        text("7") + b"Q",
        b"P7\n",
        b"(ios\nsystem\n",
        MARK + named("os", "system") + text("true") + b"o",
        b"\x97",
        b"\x98",
        b"I7\n",
        b"\xff",
        b"q",
        get(7),
        b"R",
        b"\x8d" + b"\xff" * 8,
        b"\x8e" + b"\xff" * 8,
        b"\x96" + b"\xff" * 8,
        b"\x95" + b"\xff" * 8,
        b"\x8b" + b"\xff" * 4,
        b"K\x01" + text("state") + BUILD + b"s",
        text("x") + NONE + APPEND,
    ],
)
def test_opcodes_that_no_arguments_have_are_unreadable(opcodes):
    assert shown(args_with(opcodes)).startswith("{'?': <opaque unreadable: ")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (called("os", "system", text("touch /tmp/antq-ran")), "os.system"),
        (named("os", "system") + text("true") + TUPLE1 + b"\x81", "os.system"),
        (named("os", "system") + text("true") + TUPLE1 + DICT + b"\x92", "os.system"),
        (b"cos\nsystem\n", "os.system"),
        (called("builtins", "__import__", text("this")), "builtins.__import__"),
        (called("builtins", "getattr", named("uuid", "UUID"), text("x")), "uuid.UUID.x"),
        (
            named("zoneinfo", "ZoneInfo._unpickle")
            + text("../../etc/passwd")
            + NONE
            + TUPLE2
            + CALL,
            "zoneinfo.ZoneInfo",
        ),
        (named("os", "x\x1b[2J\ud800"), r"os.x\x1b[2J\ud800"),
        (named("m" * 10_000, "n"), f"{'m' * 200}....n"),
    ],
)
def test_what_a_pickle_names_or_calls_shows_its_name(value, name):
    assert shown(args_with(value)) == repr({"n": 1, "value": Opaque(name)})


@pytest.mark.parametrize("cls", [fractions.Fraction, uuid.UUID, pathlib.PurePosixPath, set])
def test_a_class_cannot_be_filled_in(cls):
    state = NONE + DICT + text("injected") + NONE + ITEM + TUPLE2
    encoded = args_with(named(cls.__module__, cls.__qualname__) + state + BUILD)

    answer = display.display_args(encoded)

    assert answer["value"] is cls
    assert not hasattr(cls, "injected")


@pytest.mark.parametrize("opcode", [b"\x82\xf0", b"\x83\xf0\x00", b"\x84\xf0\x00\x00\x00"])
def test_a_registered_extension_is_not_reached(opcode):
    copyreg.add_extension("collections", "Counter", 0xF0)
    try:
        assert pickle.loads(b"\x80\x02" + opcode + b".") is collections.Counter  # noqa: S301 - now it is cached

        answer = display.display_args(args_with(opcode))
    finally:
        copyreg.remove_extension("collections", "Counter", 0xF0)

    assert answer["value"] == Opaque("copyreg extension 240")


def test_half_characters_reach_no_output():
    # Such as the name of a file that is no UTF-8.
    encoded = encoding.encode_args({"path": "caf\udce9"})

    assert shown(encoded) == repr({"path": "caf\udce9"})


def test_a_short_pickle_cannot_grow_by_references():
    encoded = args_with(lists_of_pairs(18))

    answer = display.display_args(encoded)

    assert len(encoded) < 500
    assert answer["value"] == Opaque("list that is too large with all that it repeats")


def test_sharing_within_reason_is_shown():
    row = ["a"] * 100

    answer = display.display_args(encoding.encode_args({"rows": [row] * 500}))

    assert answer == {"rows": [row] * 500}
