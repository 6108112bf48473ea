"""Arguments that someone wrote to harm who looks at them: each is looked at by a process of its
own with 1 GiB of memory and some seconds of a processor.
"""

import datetime as dt
import decimal
import fractions
import functools
import multiprocessing
import pickle
import struct
import time
from zoneinfo import ZoneInfo

import msgspec
import pytest
from audited_display import SECONDS, answer
from support.exact import exact

from antq_actors.storage.format import display, extensions, values
from antq_actors.storage.format.display import Opaque

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["antq_actors.cli.render", "pytest"])

encode = msgspec.msgpack.encode
NULL = b"\xc0"


def array(count):
    return b"\xdd" + count.to_bytes(4, "big")


def mapping(count):
    return b"\xdf" + count.to_bytes(4, "big")


def extension(code, data):
    return b"\xc9" + len(data).to_bytes(4, "big") + struct.pack("b", code) + data


def args_with(value):
    """Encode the arguments {"n": 1, "value": value} with the msgpack of a value."""
    return b"\x02\x82" + encode("n") + b"\x01" + encode("value") + value


def shown(encoded):
    """Look in another process; return the ``repr`` of what it saw."""
    here, there = processes.Pipe(duplex=False)
    other = processes.Process(target=answer, args=(encoded, there))
    other.start()
    there.close()
    try:
        assert here.poll(9 * SECONDS), "it takes too long"
        seen, happened = here.recv()
    finally:
        other.kill()
        other.join()
    assert happened == []
    return seen


def tuples(levels, inner=NULL):
    """Return tuples within tuples; each is an extension whose bytes have the next."""
    for _ in range(levels):
        inner = extension(extensions.TUPLE, b"\x91" + inner)
    return inner


KEYED = {
    "map": lambda key: b"\x81" + key + NULL,
    "dict": lambda key: extension(extensions.DICT, b"\x92" + key + NULL),
    "set": lambda key: extension(extensions.SET, b"\x91" + key),
    "frozenset": lambda key: extension(extensions.FROZENSET, b"\x91" + key),
}


@pytest.mark.parametrize("keyed", KEYED.values(), ids=KEYED)
@pytest.mark.parametrize(
    "key",
    [tuples(3_000), b"\x91" * 300_000 + NULL, b"\x90", b"\x80", extension(extensions.SET, b"\x90")],
    ids=["deep tuples", "deep lists", "list", "dict", "set"],
)
def test_a_key_that_cannot_be_hashed_is_not_hashed(keyed, key):
    answer = shown(args_with(keyed(key)))

    assert answer.startswith("{'n': 1, 'value': ")
    assert "opaque" in answer


@pytest.mark.parametrize("name", [b"Europe/Berlix", b"Africa/Berlin", b"Nowher/Berlin"])
def test_a_time_zone_that_there_is_not_runs_nothing(name):
    zone = values.encode_args({"at": dt.datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))})

    assert shown(zone.replace(b"Europe/Berlin", name)) == "{'at': <opaque datetime.datetime>}"


TOO_MUCH = {
    "deep lists": (b"\x91" * 100_000 + NULL, "list that is nested deeper than 100"),
    "deep tuples": (tuples(3_000), "tuple that is nested deeper than 100"),
    "deep dicts": (b"\x81\xa1x" * 50_000 + NULL, "dict that is nested deeper than 100"),
    "deep keys": (b"\x81" * 50_000 + NULL * 50_001, "dict that is nested deeper than 100"),
    "more than a million values": (
        array(1_500_000) + b"\x01" * 1_500_000,
        "list that is too large",
    ),
    "as many empty lists": (array(1_500_000) + b"\x90" * 1_500_000, "list that is too large"),
    "as many empty dicts": (array(1_500_000) + b"\x80" * 1_500_000, "list that is too large"),
    "sets": (array(400_000) + b"\xd4\x02\x90" * 400_000, "list that is too large"),
    "deques": (array(400_000) + b"\xd5\x05\x91\xc0" * 400_000, "list that is too large"),
}


@pytest.mark.parametrize(("value", "why"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_what_is_too_much_to_show_says_why_and_hides_nothing_else(value, why):
    answer = shown(args_with(value))
    after = shown(b"\x02\x83" + args_with(value)[2:] + encode("z") + b"\x02")

    assert answer.startswith(f"{{'n': 1, 'value': <opaque {why}")
    assert after.endswith(">, 'z': 2}")


@pytest.mark.parametrize(
    "value", [array(2**32 - 1), mapping(2**32 - 1), b"\xdb" + b"\xff" * 4, b"\xc6" + b"\xff" * 4]
)
@pytest.mark.parametrize("times", [1, 1_000])
def test_what_claims_to_be_larger_than_its_bytes_takes_no_memory(value, times):
    assert "opaque unreadable" in shown(args_with(value * times))


def leaf(code, data):
    return extension(code, data)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (leaf(extensions.FRACTION, b"1/0"), "fractions.Fraction"),
        (leaf(extensions.FRACTION, b"1e999999999"), "fractions.Fraction"),
        (
            leaf(extensions.FRACTION, b"f" * 10_000_000 + b"/1"),
            "fractions.Fraction of 10000002 characters",
        ),
        (
            leaf(extensions.DECIMAL, b"9" * 10_000_000),
            "decimal.Decimal of 10000000 characters",
        ),
        (leaf(extensions.DECIMAL, b"sNaN"), "decimal.Decimal"),
        (leaf(extensions.DECIMAL, b"one"), "decimal.Decimal"),
        (leaf(extensions.DECIMAL, b""), "decimal.Decimal"),
        (leaf(extensions.PATH, b"p" + b"x" * 5_000), "pathlib.PurePath of 5001 characters"),
        (leaf(extensions.PATH, b"?x"), "pathlib.PurePath"),
        (leaf(extensions.PATH, b""), "pathlib.PurePath"),
        (leaf(extensions.INT, b"\x7f" * 4_000), "int of 4000 bytes, which is too long to print"),
        (leaf(extensions.TEXT, b"\xff"), "str of 1 bytes that are no UTF-8"),
        (b"\xa1\xff", "str of 1 bytes that are no UTF-8"),
        (leaf(extensions.COMPLEX, bytes(15)), "complex"),
        (leaf(extensions.UUID, bytes(15)), "uuid.UUID"),
        (leaf(extensions.UUID, bytes(16) + b"\x07"), "uuid.UUID"),
        (leaf(extensions.UUID, bytes(18)), "uuid.UUID"),
        (leaf(extensions.DATE, b"\x07\xea\x02\x1f"), "datetime.date"),
        (leaf(extensions.DATE, b""), "datetime.date"),
        (leaf(extensions.TIME, b"\x19" + bytes(5)), "datetime.time"),
        (leaf(extensions.DATETIME, bytes(10)), "datetime.datetime"),
        (leaf(extensions.DATETIME, b"\x07\xea\x01\x01" + bytes(6) + b"?"), "datetime.datetime"),
        (
            leaf(extensions.DATETIME, b"\x07\xea\x01\x01" + bytes(6) + b"o" + b"\x7f" * 8),
            "datetime.datetime",
        ),
        (
            leaf(extensions.DATETIME, b"\x07\xea\x01\x01" + bytes(6) + b"z../../etc/passwd"),
            "datetime.datetime",
        ),
        (
            leaf(extensions.DATETIME, b"\x07\xea\x01\x01" + bytes(6) + b"zNo/Where"),
            "datetime.datetime",
        ),
        (leaf(extensions.TIMEDELTA, b"\x7f" * 12), "datetime.timedelta"),
        (leaf(extensions.TUPLE, b"\x05"), "tuple"),
        (leaf(extensions.TUPLE, b"\x92\x05"), "tuple"),
        (leaf(extensions.TUPLE, b"\x91\x05\x05"), "tuple"),
        (leaf(extensions.DICT, b"\x91\x05"), "dict"),
        (leaf(extensions.DEQUE, b"\x90"), "collections.deque"),
        (leaf(extensions.DEQUE, b"\x91\xff"), "collections.deque"),
        (leaf(extensions.DEQUE, b"\x91\xa1x"), "collections.deque"),
        (leaf(extensions.OPAQUE, b"\x05"), "opaque"),
        (leaf(extensions.OPAQUE, b"\x91\xa1x"), "opaque"),
        (leaf(extensions.OPAQUE, b"\x92\x05\xc4\x00"), "?"),
        (leaf(extensions.OPAQUE, b"\x92\xa1x\xc4\x00"), "x"),
        (leaf(extensions.OPAQUE, encode(("sh\x1b[2J\x07", b""))), r"sh\x1b[2J\x07"),
        (leaf(extensions.OPAQUE, encode(("n" * 10_000, b""))), "n" * 600 + "..."),
        (leaf(99, b""), "extension 99, which this version does not know"),
        (leaf(99, b"new"), "extension 99, which this version does not know"),
        (leaf(-1, bytes(4)), "extension 255, which this version does not know"),
    ],
)
def test_wrong_bytes_of_a_value_show_its_name_and_hide_nothing_else(value, name):
    encoded = b"\x02\x83" + args_with(value)[2:] + encode("z") + b"\x02"

    assert shown(encoded) == repr({"n": 1, "value": Opaque(name), "z": 2})[:1000]


@pytest.mark.parametrize(
    "encoded",
    [
        *(b"\x02", b"\x02\xc1", b"\x02\x82", b"\x02\x81\x01\x02", b"\x02\x81\xa1\xff\x02"),
        *(b"\x02\x80\x00", b"\x02\x05", b"\x02\xa1x", b"\x02\xc7", b"\x02\xd4\x04\x91"),
        b"\x02\xd4\x02\x90",
        args_with(b"\xc1"),
        args_with(b"\xd9\xffx"),
        args_with(b"\x92\x01"),
        args_with(b"\xc7\xff\x01\x90"),
        args_with(b""),
        args_with(NULL + NULL),
    ],
)
def test_bytes_that_no_arguments_have_are_unreadable(encoded):
    assert shown(encoded).startswith("{'?': <opaque unreadable: ")


def test_extensions_that_claim_what_is_behind_them_are_read_once():
    # Each has an array of two, and no bytes for them: those behind it would be read twice by each.
    lying = b"\xd4\x01\x92"
    args = b"".join(encode(f"{n}") + lying for n in range(10_000))

    assert "<opaque tuple>" in shown(b"\x02" + mapping(10_000) + args)
    assert "<opaque tuple>" in shown(args_with(array(100_000) + lying * 100_000))


def test_keys_that_cannot_be_compared_hide_nothing_else():
    huge = leaf(extensions.DECIMAL, b"1E+999999999999999999")
    third = leaf(extensions.FRACTION, b"1/3")
    for key in (huge, third, leaf(extensions.DECIMAL, b"NaN")):
        value = b"\x82" + key + NULL + huge + NULL
        assert shown(args_with(value)).startswith("{'n': 1, 'value': ")


def aware(n):
    return leaf(extensions.DATETIME, b"\x07\xea\x01\x01" + bytes(6) + b"z" + b"No/Where%d" % n)


def test_many_time_zones_are_not_looked_for():
    many = b"".join(map(aware, range(300_000)))

    answer = shown(args_with(array(300_000) + many))

    assert "datetime.datetime" in answer


def test_a_time_in_one_of_many_zones_is_shown_as_long_as_they_are_few():
    known = values.encode_args({"at": [a_time("Europe/Berlin"), a_time("Asia/Kathmandu")]})

    assert exact(display.display_args(known)) == exact(values.load_args(known))


def a_time(zone):
    return extensions.LEAF_READERS[extensions.DATETIME](
        b"\x07\xea\x01\x01" + bytes(6) + b"z" + zone.encode()
    )


MODULUS = 2**61 - 1


def of_pair(n):
    """Return a pair of numbers whose hash is that of all pairs that this returns."""
    return colliding_pairs(30_000)[n]


@functools.cache
def colliding_pairs(count):
    """Return so many pairs with one hash, which is made of two steps that can be turned back."""
    prime1, prime2, prime5 = 11400714785074694791, 14029467366897019727, 2870177450012600261
    mask = 2**64 - 1
    undone2, undone1 = pow(prime2, -1, 2**64), pow(prime1, -1, 2**64)

    def mixed(acc, lane):
        acc = (acc + lane * prime2) & mask
        acc = (acc << 31 | acc >> 33) & mask
        return acc * prime1 & mask

    wanted, first, found = None, 0, []
    while len(found) < count:
        first += 1
        acc = mixed(prime5, first)
        if wanted is None:
            wanted = mixed(acc, 1)
        rotated = wanted * undone1 & mask
        lane = ((rotated >> 31 | rotated << 33) - acc) * undone2 & mask
        if lane < MODULUS:
            found.append((first, lane))
    return found


def int_bytes(value):
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


COLLIDING = {
    "int": lambda n: leaf(extensions.INT, int_bytes((n << 64) * MODULUS)),
    "tuple": lambda n: leaf(extensions.TUPLE, encode(of_pair(n))),
    "Decimal": lambda n: leaf(extensions.DECIMAL, str((n + 1) * MODULUS).encode()),
    "Fraction": lambda n: leaf(extensions.FRACTION, b"%x/1" % ((n + 1) * MODULUS)),
    "UUID": lambda n: leaf(extensions.UUID, ((n + 1) * MODULUS).to_bytes(16, "big")),
}


def test_the_colliding_pairs_have_one_hash():
    assert len(set(map(hash, colliding_pairs(30_000)))) == 1
    assert len({hash(decimal.Decimal((n + 1) * MODULUS)) for n in range(9)}) == 1
    assert len({hash(fractions.Fraction((n + 1) * MODULUS)) for n in range(9)}) == 1


@pytest.mark.parametrize("key", COLLIDING.values(), ids=COLLIDING)
def test_keys_that_are_made_to_collide_are_refused(key):
    keys = [key(n) for n in range(30_000)]
    pairs = b"".join(key + NULL for key in keys)

    for value in (
        extension(extensions.SET, array(len(keys)) + b"".join(keys)),
        extension(extensions.DICT, array(2 * len(keys)) + pairs),
        mapping(len(keys)) + pairs,
    ):
        assert "made to collide" in shown(args_with(value))


def test_equal_members_of_many_sets_do_not_collide():
    args = {"sets": [frozenset({(1, 2), (i, i)}) for i in range(1_000)]}

    assert display.display_args(values.encode_args(args)) == args


def test_half_characters_reach_no_output():
    # Such as the name of a file that is no UTF-8.
    encoded = values.encode_args({"path": "caf\udce9", "caf\udce9": 1})

    assert shown(encoded) == repr({"path": "caf\udce9", "caf\udce9": 1})


def test_numbers_too_long_to_print_say_so_and_shorter_ones_are_shown():
    args = {"long": 10**5_000, "short": 10**4_000, "d": decimal.Decimal("9" * 4_000)}

    answer = display.display_args(values.encode_args(args))

    assert answer["long"] == Opaque("int of 2077 bytes, which is too long to print")
    assert answer == args | {"long": answer["long"]}


def test_a_pickle_of_an_earlier_release_is_not_read_to_look_at_it():
    class Reach:
        def __reduce__(self):
            return time.sleep, (SECONDS,)

    for pickled in (pickle.dumps({"x": [1]}), b"cos\nsystem\n(S'true'\ntR.", b"", b"\x80\x05"):
        answer = shown(b"\x01" + pickled)
        assert answer.startswith("{'?': <opaque pickled by an earlier release")
    assert "earlier release" in shown(b"\x01" + b"".join(map(bytes, [range(256)] * 9)))
