from __future__ import annotations

import collections
import datetime as dt
import decimal
import os
import pickle
import sys
import threading
import uuid
import zoneinfo
from dataclasses import dataclass

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.errors import StorageError
from antq_actors.jobs.state import ErrorEntry, JobSpec, JobState, Status, StoredJob
from antq_actors.jobs.unique import Unique
from antq_actors.storage.format import display, encoding
from antq_actors.storage.format.plain.makers import Opaque

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes(timezones=st.none() | st.just(dt.UTC) | st.just(zoneinfo.ZoneInfo("UTC")))
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.fractions()
    | st.complex_numbers(allow_nan=False)
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.tuples(inner, inner)
        | st.sets(st.integers())
        | st.frozensets(st.text())
        | st.builds(collections.OrderedDict, st.dictionaries(st.text(), inner))
    ),
    max_leaves=10,
)
instants = st.integers(0, 2**62)


@dataclass
class Cart:
    items: int


class Ran(Exception):
    """What must not run has run."""


def run():
    raise Ran


class Trap:
    def __reduce__(self):
        return run, ()


class Tuned(list):
    pass


@given(st.dictionaries(st.text(), values))
def test_plain_arguments_come_back_both_to_run_and_to_look_at(args):
    encoded = encoding.encode_args(args)

    assert encoding.load_args(encoded) == args
    assert display.display_args(encoded) == args


def test_a_class_of_a_script_reaches_another_process():
    namespace = {"__name__": "__main__"}
    exec("class Point:\n    x = 3", namespace)  # noqa: S102 - as a script defines a class

    encoded = encoding.encode_args({"points": [namespace["Point"]()]})

    assert encoding.load_args(encoded)["points"][0].x == 3
    assert display.display_args(encoded)["points"] == [Opaque("__main__.Point")]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Cart(3), f"{__name__}.Cart"),
        (Cart, f"{__name__}.Cart"),
        (Tuned([1, Cart(2)]), f"{__name__}.Tuned"),
        (os.path.join, f"{os.path.__name__}.join"),
        (ValueError("no"), "builtins.ValueError"),
        (collections.Counter("aab"), "collections.Counter"),
        (collections.defaultdict(list, {1: [2]}), "collections.defaultdict"),
        (Trap(), f"{__name__}.run"),
    ],
)
def test_what_is_no_plain_data_is_shown_by_its_name_and_never_made(value, name):
    encoded = b"\x01" + pickle.dumps({"plain": [1, "a"], "value": value})

    shown = display.display_args(encoded)

    assert shown == {"plain": [1, "a"], "value": Opaque(name)}
    assert repr(shown["value"]) == f"<opaque {name}>"


def test_a_trap_is_sprung_by_loading_only():
    encoded = b"\x01" + pickle.dumps({"value": Trap()})

    with pytest.raises(Ran):
        encoding.load_args(encoded)


def test_showing_imports_nothing():
    encoded = b"\x01" + b"cthis\ns\n."
    sys.modules.pop("this", None)

    display.display_args(encoded)

    assert "this" not in sys.modules


@pytest.mark.parametrize("attribute", ["clear_cache", "__subclasses__", "__init__"])
def test_a_pickled_getattr_reaches_nothing(attribute):
    class Reach:
        def __reduce__(self):
            return getattr, (zoneinfo.ZoneInfo, attribute)

    shown = display.display_args(b"\x01" + pickle.dumps({"value": Reach()}))

    assert isinstance(shown["value"], Opaque)


def test_a_time_in_an_unknown_zone_is_shown_as_such():
    class Zone(dt.tzinfo):
        pass

    moment = dt.datetime(2026, 1, 1, tzinfo=Zone())
    encoded = b"\x01" + cloudpickle.dumps({"at": moment, "n": 1})

    shown = display.display_args(encoded)

    assert shown["n"] == 1
    assert "datetime.datetime in" in repr(shown["at"])


@given(st.binary(max_size=50))
def test_showing_damaged_bytes_never_raises(damaged):
    assert isinstance(display.display_args(b"\x01" + damaged), dict)


def test_an_argument_that_cannot_be_pickled_is_named():
    with pytest.raises(TypeError, match=r"the argument 'lock' \(lock\) cannot be pickled"):
        encoding.encode_args({"email": "jane@example.com", "lock": threading.Lock()})


def test_an_argument_whose_name_is_no_string_is_refused():
    with pytest.raises(TypeError, match="names of arguments are str, got 1"):
        encoding.encode_args({1: "one"})


def test_a_list_that_holds_itself_is_carried():
    items = [1]
    items.append(items)

    loaded = encoding.load_args(encoding.encode_args({"items": items}))

    assert loaded["items"][1] is loaded["items"]


def test_arguments_of_a_newer_format_are_refused_in_words():
    with pytest.raises(StorageError, match="stored by a newer antq_actors"):
        encoding.load_args(b"\x09whatever")


states = st.builds(
    JobState,
    status=st.sampled_from(Status),
    queue_name=st.text(),
    priority=st.integers(-128, 127),
    max_attempts=st.integers(1, 2**31),
    updated_at=instants,
    scheduled_at=st.none() | instants,
    attempts=st.integers(0, 2**31),
    errors=st.integers(0, 2**31),
    started_at=st.none() | instants,
)
specs = st.builds(
    JobSpec,
    worker=st.text(),
    args=st.binary(),
    inserted_at=instants,
    timeout=st.none() | st.floats(0.1, 1e9),
    unique=st.none() | st.tuples(st.text()),
    unique_statuses=st.tuples(st.sampled_from(Status)),
    unique_digest=st.none() | st.binary(min_size=16, max_size=16),
)
texts = st.none() | st.text()
entries = st.builds(ErrorEntry, st.integers(0, 99), st.text(), texts, instants, texts)


@given(states, st.none() | st.binary(min_size=16, max_size=16), specs, entries)
def test_records_come_back_as_they_were(state, digest, spec, entry):
    assert encoding.decode_job(encoding.encode_job(state, digest)) == (state, digest)
    assert encoding.decode_spec(encoding.encode_spec(spec)) == spec
    assert encoding.decode_error(encoding.encode_error(entry)) == entry


def test_an_error_whose_texts_are_no_utf8_can_be_stored():
    entry = ErrorEntry(1, "no report\udcff.txt", "in report\udcff.py", 7, "Bad\udcff")

    stored = encoding.decode_error(encoding.encode_error(entry))

    assert stored == ErrorEntry(1, "no report\\udcff.txt", "in report\\udcff.py", 7, "Bad\\udcff")


@pytest.mark.parametrize(
    "decode", [encoding.decode_job, encoding.decode_spec, encoding.decode_error]
)
def test_damaged_records_are_a_storage_error(decode):
    with pytest.raises(StorageError, match="damaged"):
        decode(b"\x00\xc1")


def test_a_job_is_shown_with_its_effective_options_and_its_newest_error_first():
    state = JobState(Status.RETRYING, "mail", 7, 3, 2_000_000, 3_000_000, attempts=2, errors=2)
    spec = JobSpec("shop:Mail", b"", 1_000_000, 30.0, ("email",), (Status.ENQUEUED,))
    errors = (ErrorEntry(2, "second", "trace", 2_000_000), ErrorEntry(1, "first", None, 1_500_000))

    job = encoding.as_job(StoredJob(9, state, spec, errors), {"email": "jane@example.com"})

    assert (job.id, job.worker, job.queue_name, job.priority) == (9, "shop:Mail", "mail", 7)
    assert (job.status, job.attempts, job.max_attempts) == (Status.RETRYING, 2, 3)
    assert job.scheduled_at == dt.datetime(1970, 1, 1, 0, 0, 3, tzinfo=dt.UTC)
    assert job.updated_at == dt.datetime(1970, 1, 1, 0, 0, 2, tzinfo=dt.UTC)
    assert [(error.attempt, error.error) for error in job.errors] == [(2, "second"), (1, "first")]
    assert job.opts == {
        "max_attempts": 3,
        "timeout": 30.0,
        "unique": Unique(args=["email"], statuses=[Status.ENQUEUED]),
        "priority": 7,
    }


def test_plain_data_of_the_standard_library_is_shown_as_it_is():
    args = {
        "id": uuid.UUID(int=1),
        "price": decimal.Decimal("1.50"),
        "when": dt.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC")),
        "names": frozenset({"a"}),
        "queue": collections.deque([1, 2]),
    }

    assert display.display_args(encoding.encode_args(args)) == args
