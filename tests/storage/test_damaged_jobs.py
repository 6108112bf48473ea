"""A job whose bytes are damaged is failed and said so; the others of its queue go on."""

import logging

import pytest
from support.raw_jobs import (
    LARGE,
    change_state,
    drop_spec,
    put_garbage_for_state,
    put_spec,
    spec_of,
)
from support.stored_jobs import Store, a_new_job

from antq_actors.errors import JobNotFound, NotCancellable, NotRetryable, StorageError
from antq_actors.jobs.outcome import Completed
from antq_actors.jobs.state import Status
from antq_actors.storage.format import display, encoding, values
from antq_actors.storage.format.encoding import Signer, contents
from antq_actors.storage.format.records import Filter, Settlement
from antq_actors.storage.jobs import job_store
from antq_actors.storage.lmdb import keys


@pytest.fixture
def store(env):
    # Not Store: its verbs verify after each step, and here that has to fail for a while.
    return RawStore(env).has_nodes(1)


class RawStore(Store):
    def __getattr__(self, verb):
        return lambda *args, **kwargs: job_store.write(
            self.env, lambda store: getattr(store, verb)(*args, **kwargs)
        )

    def bytes_of(self, table, key):
        return self.env.read(lambda txn: txn.get(key, db=getattr(self.env.tables, table)))

    def put(self, table, key, value):
        self.env.write(lambda txn: txn.put(key, value, db=getattr(self.env.tables, table)))

    def change(self, how, id_, *args, **fields):
        self.env.write(lambda txn: how(txn, self.env.tables, id_, *args, **fields))

    def drop(self, table, key):
        self.env.write(lambda txn: txn.delete(key, db=getattr(self.env.tables, table)))


def state_is_garbage(store, id_):
    store.change(put_garbage_for_state, id_)


def state_is_empty(store, id_):
    store.put("jobs", keys.job_key(id_), b"")


def state_is_gone(store, id_):
    store.drop("jobs", keys.job_key(id_))


def state_says_something_else(store, id_):
    state = encoding.decode_job(store.bytes_of("jobs", keys.job_key(id_))).state
    other = Status.COMPLETED if state.status is not Status.COMPLETED else Status.FAILED
    store.change(change_state, id_, status=other)


def spec_is_garbage(store, id_):
    store.change(put_spec, id_, b"\xff\xffgarbage")


def spec_has_a_flipped_bit(store, id_):
    spec = bytearray(store.env.read(lambda txn: spec_of(txn, store.env.tables, id_)))
    spec[-3] ^= 1
    store.change(put_spec, id_, bytes(spec))


def spec_is_gone(store, id_):
    store.change(drop_spec, id_)


STATES = [state_is_garbage, state_is_empty, state_is_gone, state_says_something_else]
SPECS = [spec_is_garbage, spec_has_a_flipped_bit, spec_is_gone]


def of_jobs(*damages):
    """Each of the damages, to jobs whose specs are in their records and to jobs with large ones.

    A job with a small spec is gone with its record.
    """
    return pytest.mark.parametrize(
        ("damage", "text"),
        [
            (damage, text)
            for damage in damages
            for text in ("", LARGE)
            if text or damage not in (state_is_empty, state_is_gone)
        ],
    )


@of_jobs(*STATES, *SPECS)
def test_a_damaged_job_is_failed_when_its_turn_comes_and_the_others_are_claimed(
    store, damage, text, caplog
):
    store.insert_many([a_new_job({"n": n, "text": text}, unique=("n",)) for n in range(3)])
    damage(store, 2)
    assert store.findings() != []

    claimed = store.claim(limit=2, now=5)

    assert [job.id for job in claimed] == [1, 3]
    job = store.get(2)
    assert job.state.status is Status.FAILED
    assert (job.state.node, job.state.errors) == (1 if damage in SPECS else 0, 1)
    assert store.ids(Filter(frozenset([Status.FAILED]))) == [2]
    assert store.count([Status.FAILED], None) == 1
    assert store.count(None, "mail") == 3
    assert "job 2" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR
    assert [found for found in store.findings() if "payload" not in found] == [
        found for found in store.findings() if damage in SPECS and "job 2:" in found
    ]
    assert store.claim(limit=9, now=6) == []


@of_jobs(*STATES)
def test_its_error_says_what_was_found_and_its_arguments_are_kept(store, damage, text):
    store.insert(a_new_job({"n": 7, "text": text}))
    damage(store, 1)

    assert store.claim(limit=1, now=5) == []

    job = store.get(1)
    (error,) = job.errors
    assert "(its record was " in error.error
    assert display.display_args(job.spec.args) == {"n": 7, "text": text}
    assert store.findings() == []


def test_a_record_whose_head_seems_shorter_hides_no_large_arguments(store):
    store.insert(a_new_job({"text": LARGE}))
    record = store.bytes_of("jobs", keys.job_key(1))
    store.put("jobs", keys.job_key(1), b"\0\5" + record[2:])

    assert store.claim(limit=1, now=5) == []

    assert store.get(1).state.status is Status.FAILED
    assert display.display_args(store.get(1).spec.args) == {"text": LARGE}
    assert store.findings() == []
    store.delete(1)
    assert store.findings() == []


def test_its_error_does_not_quote_its_arguments(store):
    store.insert(a_new_job({"password": "secret"}))
    state_is_garbage(store, 1)

    store.claim(limit=1, now=5)

    (error,) = store.get(1).errors
    assert b"garbage".hex() in error.error
    assert b"secret".hex() not in error.error


@pytest.mark.parametrize("damage", [state_is_empty, state_is_gone])
def test_of_a_small_job_without_its_record_nothing_is_left(store, damage, caplog):
    store.insert_many([a_new_job({"n": n}, unique=("n",)) for n in range(3)])
    damage(store, 2)

    claimed = store.claim(limit=2, now=5)

    assert [job.id for job in claimed] == [1, 3]
    assert "a job 2 that does not exist" in caplog.text
    assert store.ids(Filter()) == [1, 3]
    assert store.count(None, "mail") == 2
    assert store.findings() == []


@of_jobs(*STATES, *SPECS)
def test_a_damaged_job_is_listed_with_the_others_before_anyone_met_it(store, damage, text):
    store.insert_many([a_new_job({"n": n, "text": text}) for n in range(3)])
    damage(store, 2)

    listed = [raw.decode() for raw in store.page(Filter(frozenset([Status.ENQUEUED])))]

    assert 1 in [job.id for job in listed]
    assert 3 in [job.id for job in listed]
    for job in listed:
        encoding.as_job(job, display.display_args(job.spec.args))


@of_jobs(*STATES)
def test_the_outcome_of_a_running_job_that_was_damaged_is_dropped_and_the_others_count(
    store, damage, text
):
    store.insert_many([a_new_job({"text": text}) for _ in range(3)])
    store.claim(limit=3)
    damage(store, 2)

    settlements = [Settlement(id_, 1, Completed()) for id_ in (1, 2, 3)]
    store.work("mail", settlements, node=1, limit=5, now=9)

    ended = store.ids(Filter(frozenset([Status.COMPLETED])))
    assert ended in ([1, 3], [1, 2, 3]) if damage is state_is_gone else ended == [1, 3]
    assert store.ids(Filter(frozenset([Status.RUNNING]))) in ([], [2])


@of_jobs(*STATES[:2])
def test_the_rescue_of_a_node_goes_on_over_a_damaged_job(store, damage, text):
    store.insert_many([a_new_job({"text": text}) for _ in range(3)])
    store.claim(limit=3)
    damage(store, 2)

    assert store.rescue(node=1, now=5, max_interruptions=3, reason="it died") == 2

    assert store.get(2).state.status is Status.FAILED
    assert store.findings() == []


@of_jobs(*STATES[:2])
def test_a_damaged_job_can_be_deleted_retried_and_not_cancelled(store, damage, text):
    store.insert_many([a_new_job({"n": n, "text": text}) for n in range(4)])
    for id_ in (1, 2, 3, 4):
        damage(store, id_)

    store.delete(1)
    assert store.retry(2, now=1).state.status is Status.ENQUEUED
    with pytest.raises(NotCancellable):
        store.cancel(3, now=1)
    with pytest.raises(NotRetryable, match="failed"):
        store.reschedule(4, due=5, now=1)

    with pytest.raises(JobNotFound):
        store.get(1)
    (job,) = store.claim(limit=3)
    assert values.load_args(job.spec.args) == {"n": 1, "text": text}
    assert [found for found in store.findings() if "job 3" not in found] == []


def test_a_key_of_no_job_at_the_head_of_a_queue_stops_nobody(store):
    store.insert(a_new_job())
    lane = keys.lane(Status.ENQUEUED, "mail")
    store.put("index", keys.work_key(lane, 0, 0), b"")
    store.put("index", lane + b"short", b"")

    assert [job.id for job in store.claim(limit=3)] == [1]

    assert store.claim(limit=3) == []


def test_an_unreadable_error_shows_as_such(store):
    store.insert(a_new_job(max_attempts=2))
    store.claim(limit=1)
    store.rescue(node=1, now=5, max_interruptions=3, reason="it died")
    store.put("errors", keys.error_key(1, 0), b"garbage")

    assert [job.id for job in store.claim(limit=1, now=9)] == [1]

    for errors in (store.get(1).errors, store.errors(1, count=1)):
        assert errors[0].error.startswith("unreadable: ")
    assert store.findings() == ["job 1: " + store.findings()[0].removeprefix("job 1: ")]


# ---- signers --------------------------------------------------------------------------------


OLD, NEW = b"o" * 32, b"n" * 32


def test_a_signer_verifies_what_it_signed_and_nothing_that_was_changed():
    for signer in (Signer(), Signer([OLD])):
        record = signer.sign(b"spec")
        assert signer.verify(record) == b"spec"
        assert contents(record) == b"spec"
        for at in range(len(record)):
            changed = bytearray(record)
            changed[at] ^= 1
            with pytest.raises(StorageError):
                encoding.decode_spec(signer.verify(bytes(changed)))


def test_a_signature_is_accepted_of_any_key_and_made_with_the_first():
    record = Signer([OLD]).sign(b"spec")

    assert Signer([NEW, OLD]).verify(record) == b"spec"
    with pytest.raises(StorageError, match="signature is wrong"):
        Signer([NEW]).verify(record)
    assert Signer([NEW]).verify(Signer([NEW, OLD]).sign(b"spec")) == b"spec"


@pytest.mark.parametrize("record", [b"spec", Signer().sign(b"spec"), b"", b"\xc1", b"\xc1\x02"])
def test_with_a_key_nothing_unsigned_is_opened(record):
    with pytest.raises(StorageError, match=r"not signed|signature is wrong"):
        Signer([OLD]).verify(record)


@pytest.mark.parametrize("keys", [["k" * 32], "k" * 32, [None], b"k" * 32])
def test_a_key_that_is_no_bytes_is_refused_without_being_shown(keys):
    with pytest.raises(TypeError, match="signing keys are a list of bytes") as info:
        Signer(keys)

    assert "kkk" not in str(info.value)


def test_without_a_key_what_others_signed_is_run_as_before():
    assert Signer().verify(Signer([OLD]).sign(b"spec")) == b"spec"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"alone:1", b"\xff garbage"),
        (b"order:1:mail", b"many"),
        (b"node:garbage", b"mail"),
        (b"node:00000000000000000009", b"\xff\xfe"),
        (b"paused:\xff", b""),
    ],
)
def test_a_damaged_row_of_the_small_facts_stops_no_queue(store, key, value):
    store.insert(a_new_job())
    store.put("meta", key, value)

    assert [job.id for job in store.claim()] == [1]
    assert 1 in store.nodes()
    assert "mail" in store.known_queues()
    assert store.nodes_of("mail") == []


def test_a_damaged_counter_of_ids_gives_no_id_twice_and_stops_no_claim(store):
    store.insert(a_new_job())
    store.put("meta", b"next:id", b"\xff")

    with pytest.raises(StorageError, match="the counter next:id is damaged"):
        store.insert(a_new_job())

    assert [job.id for job in store.claim()] == [1]
