from __future__ import annotations

import datetime as dt

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.errors import StorageError
from antq_actors.jobs import lifecycle
from antq_actors.jobs.state import (
    Composed,
    ErrorEntry,
    GateRef,
    JobFlow,
    JobSpec,
    JobState,
    Limited,
    ResultRule,
    Status,
    StoredJob,
)
from antq_actors.jobs.unique import Unique
from antq_actors.storage.format import encoding, values

instants = st.integers(0, 2**62)


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
    limited=st.none() | st.builds(Limited, gate=st.none() | st.binary(), is_front=st.booleans()),
    composed=st.none() | st.builds(Composed, group=instants, pending=st.integers(0, 2**31)),
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
    flow=st.none()
    | st.builds(
        JobFlow,
        gates=st.lists(st.builds(GateRef, st.binary(), st.integers(1, 9))).map(tuple),
        cron=st.none() | st.text(),
        scheduled_for=st.none() | instants,
        result=st.none() | st.builds(ResultRule, st.integers(0, 2**31), st.none() | instants),
        workflow=instants,
        upstream=st.lists(st.tuples(st.text(), instants, st.booleans())).map(tuple),
    ),
    meta=st.none() | st.dictionaries(st.text(), st.text(), min_size=1),
)
texts = st.none() | st.text()
entries = st.builds(
    ErrorEntry,
    *(st.integers(0, 99), st.text(), texts, instants, texts),
    started_at=st.none() | instants,
    node=instants,
)


@given(states, st.none() | st.binary(min_size=16, max_size=16), specs, entries)
def test_records_come_back_as_they_were(state, digest, spec, entry):
    packed = encoding.encode_spec(spec)
    assert encoding.decode_job(encoding.encode_job(state, digest)) == (state, digest, b"")
    assert encoding.decode_job(encoding.encode_job(state, digest, packed)) == (
        *(state, digest),
        packed,
    )
    assert encoding.decode_spec(encoding.encode_spec(spec)) == spec
    assert encoding.decode_error(encoding.encode_error(entry)) == entry


def test_the_record_of_a_plain_job_has_the_bytes_it_always_had():
    """Fields that come to the end of a state must not make it longer where they say nothing."""
    state = lifecycle.create(queue_name="mail", now=7, due=None, priority=0, max_attempts=3)

    assert encoding.encode_job(state, None, b"spec") == (
        b"\x00\x1d\x00\x9f\xa8enqueued\xa4mail\x00\x03\x07\x07\x00\x00\x00\x00\x00\xc2\xc2\x00\xc0spec"
    )
    assert encoding.encode_spec(JobSpec("Note", b"args", 7)) == (
        b"\x97\xa4Note\xc4\x04args\x07\xc0\xc0\x90\xc0"
    )
    assert encoding.encode_spec(JobSpec("Note", b"args", 7, flow=JobFlow(cron="c"))).startswith(
        b"\x98\xa4Note"
    )


class GrownState(JobState, frozen=True, array_like=True, gc=False):
    """A state as a later release may have it."""

    gate: bytes | None = None
    ticket: int = 0


@given(states)
def test_a_state_may_grow_at_its_end(state):
    grown = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=GrownState)

    assert (grown.gate, grown.ticket) == (None, 0)
    fields = JobState.__struct_fields__
    assert [getattr(grown, name) for name in fields] == [getattr(state, name) for name in fields]


def test_specs_are_split_from_heads_that_are_equal_differ_or_are_missing():
    state = lifecycle.create(queue_name="mail", now=7, due=None, priority=0, max_attempts=3)
    one, two = encoding.encode_job(state, None), encoding.encode_job(state, b"d" * 16)

    assert encoding.split_records([one + b"a", one + b"bc", one]) == (
        [one, one, one],
        [b"a", b"bc", b""],
    )
    assert encoding.split_records([one + b"a", two + b"b", None, one, b""]) == (
        [one, two, None, one, b""],
        [b"a", b"b", b"", b"", b""],
    )
    assert encoding.split_records([]) == ([], [])


def test_a_spec_is_in_the_record_up_to_a_size():
    state = lifecycle.create(queue_name="mail", now=7, due=None, priority=0, max_attempts=3)
    signer = encoding.Signer()

    for size, is_inline in ((0, True), (encoding.MOST_INLINE_BYTES, False)):
        spec = JobSpec("shop:Mail", b"x" * size, 7)
        signed = signer.sign(encoding.encode_spec(spec))
        record, payload = encoding.split_new(state, spec.unique_digest, signed)
        assert (encoding.spec_in(record), payload) == (
            (signed, b"") if is_inline else (b"", signed)
        )


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
    errors = (
        ErrorEntry(2, "second", "trace", 2_000_000, started_at=1_900_000, node=3),
        ErrorEntry(1, "first", None, 1_500_000),
    )

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


def loaded(*jobs):
    return [encoding.load_job(job, None) for job in jobs]


STATE = JobState(Status.RUNNING, "mail", 7, 3, 2_000_000, None, attempts=1, started_at=2_000_000)


def a_stored_job(id_, state=STATE, **spec):
    args = values.encode_args({"id": id_})
    return StoredJob(
        id_, state, JobSpec(**{"worker": "w", "args": args, "inserted_at": 0} | spec), ()
    )


def test_jobs_that_are_loaded_after_each_other_are_what_each_is_by_itself():
    # Those that are alike but for their id are copies of each other.
    like = JobState(Status.RUNNING, "mail", 7, 3, 2_000_000, None, attempts=1, started_at=2_000_000)
    late = JobState(Status.RUNNING, "mail", 7, 3, 3_000_000, None, attempts=1, started_at=3_000_000)
    jobs = [
        *(a_stored_job(1), a_stored_job(2), a_stored_job(3, like), a_stored_job(4, late)),
        *(a_stored_job(5, late, timeout=2.0), a_stored_job(6, late, worker="v")),
        *(a_stored_job(7, late, inserted_at=9), a_stored_job(8, late, unique=("id",))),
        *(a_stored_job(9, late), a_stored_job(10, late)),
        *(a_stored_job(11, late, meta={"tenant": "a"}), a_stored_job(12, late)),
    ]

    alone = [encoding.as_job(job, {"id": job.id}) for job in jobs]

    assert loaded(*jobs) == alone
    assert loaded(*reversed(jobs)) == alone[::-1]


def test_what_a_worker_does_to_its_job_is_not_seen_in_the_next():
    (first,) = loaded(a_stored_job(1))
    first.opts["priority"] = "mine"
    first.__dict__["mine"] = True
    first.args["mine"] = True

    (second,) = loaded(a_stored_job(2))

    assert second == encoding.as_job(a_stored_job(2), {"id": 2})
    assert second.__dict__ == {}


@pytest.mark.parametrize("signer", [encoding.Signer(), encoding.Signer([b"k" * 32])])
@pytest.mark.parametrize("size", [1, 31, 32, 255, 256, 300])
def test_the_worker_of_a_spec_is_read_without_the_rest(signer, size):
    names = ["w" * size, "v" * size]
    specs = [signer.sign(encoding.encode_spec(JobSpec(name, b"\x80", 7))) for name in names]

    assert list(map(encoding.worker_in, specs)) == names
    assert encoding.worker_in(b"") == encoding.UNREADABLE
