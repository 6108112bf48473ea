"""What a job has kept is verified, is of that job alone, and goes with it."""

import pytest
from support.raw_jobs import put_garbage_for_state
from support.stored_jobs import Store, a_new_job

from antq_actors.errors import DamagedRecord, JobNotFound, StepError, Superseded
from antq_actors.jobs.outcome import COMPLETED, Failed, GivenBack, Interrupted
from antq_actors.jobs.state import Status
from antq_actors.jobs.steps import KeepCheckpoint, KeepStep, KeptStep, ReadCheckpoint, ReadStep
from antq_actors.storage.admin.maintenance import reseal_all
from antq_actors.storage.format.encoding import Signer
from antq_actors.storage.format.records import Chosen, Filter, Settlement
from antq_actors.storage.jobs import job_store, steps
from antq_actors.storage.jobs import table as job_table
from antq_actors.storage.jobs.group_verbs import NewGroup
from antq_actors.storage.jobs.groups import BATCH
from antq_actors.storage.jobs.step_table import MOST_INLINE_BYTES, StepTable

SMALL, LARGE = b"small", b"x" * (MOST_INLINE_BYTES + 1)


@pytest.fixture
def store(env):
    return Store(env).has_nodes(1)


@pytest.fixture
def job(store):
    """A job that runs, with two steps and a checkpoint."""
    store.insert(a_new_job(max_attempts=3))
    (job,) = store.claim()
    store.keep_step(KeepStep(job.id, 1, 0, "small", SMALL), now=5)
    store.keep_step(KeepStep(job.id, 1, 1, "large", LARGE), now=6)
    store.keep_checkpoint(KeepCheckpoint(job.id, 1, b"far"), now=7)
    return job


def table(store, look, signer=None):
    return store.env.read(lambda txn: look(StepTable(txn, store.env.tables, signer)))


def change(store, how):
    def work(txn):
        how(txn, store.env.tables.further(txn, "steps"))

    store.env.write(work)


def rows(store):
    found = []
    change(store, lambda txn, steps: found.extend(txn.cursor(steps)))
    return dict(found)


def read(store, verb, wanted, signer=None):
    return job_store.read(store.env, lambda reader: verb(reader, wanted, signer or Signer()))


def test_steps_are_listed_by_number_and_read_by_it(store, job):
    assert table(store, lambda found: found.steps(job.id)) == [
        KeptStep(0, "small", 5),
        KeptStep(1, "large", 6),
    ]
    assert read(store, steps.read_step, ReadStep(job.id, 1, 0)) == SMALL
    assert read(store, steps.read_step, ReadStep(job.id, 1, 1)) == LARGE
    assert read(store, steps.read_checkpoint, ReadCheckpoint(job.id, 1)) == b"far"
    with pytest.raises(StepError, match="missing"):
        read(store, steps.read_step, ReadStep(job.id, 1, 2))


def test_a_small_value_is_in_the_row_of_its_step(store, job):
    assert len(rows(store)) == 4


@pytest.mark.parametrize("execution", [0, 2])
def test_another_execution_keeps_and_reads_nothing(store, job, execution):
    before = rows(store)
    for verb, request in (
        (store.keep_step, KeepStep(job.id, execution, 2, "late", SMALL)),
        (store.keep_checkpoint, KeepCheckpoint(job.id, execution, b"late")),
    ):
        with pytest.raises(Superseded):
            verb(request, now=9)
    for verb, request in (
        (steps.read_step, ReadStep(job.id, execution, 0)),
        (steps.read_checkpoint, ReadCheckpoint(job.id, execution)),
    ):
        with pytest.raises(Superseded):
            read(store, verb, request)
    assert rows(store) == before


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (COMPLETED, "completed"),
        (Failed("no"), "retrying"),
        (GivenBack(), "enqueued"),
        (Interrupted("died", 3), "enqueued"),
    ],
)
def test_what_is_kept_outlives_the_end_of_an_execution(store, job, outcome, status):
    before = rows(store)

    store.settle(Settlement(job.id, 1, outcome), now=9)

    assert store.get(job.id).state.status == status
    assert rows(store) == before
    with pytest.raises(Superseded, match=status):
        store.keep_step(KeepStep(job.id, 1, 2, "late", SMALL), now=9)


@pytest.mark.parametrize("together", [1, 2])
def test_a_checkpoint_is_stored_with_the_outcome_and_under_its_fence(store, together):
    for _ in range(together):
        store.insert(a_new_job())
    jobs = store.claim(limit=together)
    ends = [Settlement(each.id, 1, COMPLETED, b"%d" % each.id) for each in jobs]
    stale = Settlement(jobs[0].id, 2, COMPLETED, b"stale")

    store.work("mail", [stale], node=1, limit=0, now=8)
    store.work("mail", ends, node=1, limit=0, now=9)

    for each in jobs:
        assert store.get(each.id).state.status is Status.COMPLETED
        assert table(store, lambda found, id_=each.id: found.checkpoint(id_)) == b"%d" % each.id


def test_all_of_it_is_deleted_with_the_job(store, job):
    store.delete(job.id)

    assert rows(store) == {}
    with pytest.raises(Superseded, match="deleted"):
        store.keep_step(KeepStep(job.id, 1, 2, "late", SMALL), now=9)


def test_all_of_it_is_pruned_with_the_job(store, job):
    store.end(job, COMPLETED, now=9)

    assert store.prune(finished_before=10, limit=5) == 1

    assert rows(store) == {}


def take_steps(store):
    """Have all jobs that wait take three steps each, and complete."""
    for job in store.claim(limit=10, now=5):
        for each in range(3):
            store.keep_step(KeepStep(job.id, job.state.execution, each, f"{each}", SMALL), now=5)
        store.end(job, COMPLETED, now=5 + job.id % 3)


def test_jobs_with_many_steps_are_pruned_in_several_transactions(store, monkeypatch):
    monkeypatch.setattr(job_table, "MOST_STEPS_DELETED", 5)
    store.insert_many([a_new_job() for _ in range(5)])
    take_steps(store)

    left = []
    while store.prune(finished_before=99, limit=10) == 10:
        left.append((store.count(), len(rows(store))))

    assert left == [(3, 9), (1, 3)]
    assert store.count() == len(rows(store)) == 0


def test_a_group_of_jobs_with_many_steps_is_pruned_in_several_transactions(store, monkeypatch):
    monkeypatch.setattr(job_table, "MOST_STEPS_DELETED", 5)
    batches = [store.create_group(NewGroup(BATCH, "import", 0)) for _ in range(2)]
    for batch in batches:
        store.insert_members(batch, [a_new_job() for _ in range(3)])
        store.close_group(batch, now=1)
    take_steps(store)

    left = []
    while store.prune(finished_before=99, limit=10) == 10:
        left.append(store.count())

    assert left == [4, 2, 0]
    assert store.prune(finished_before=99, limit=10) == 0
    assert rows(store) == {}


def test_a_bulk_of_jobs_with_many_steps_is_deleted_some_at_a_time(store, monkeypatch):
    monkeypatch.setattr(job_table, "MOST_STEPS_DELETED", 5)
    store.insert_many([a_new_job() for _ in range(5)])
    take_steps(store)
    ids = store.ids(Filter())

    assert store.delete_many(ids, Chosen(), now=9) == (2, 0, 0, frozenset())
    assert store.ids(Filter()) == ids[2:]


def test_a_fresh_retry_deletes_it_and_leaves_the_record_of_a_plain_job(store, job):
    store.end(job, COMPLETED, now=9)
    assert store.retry(job.id, now=10).state.composed.has_steps
    (again,) = store.claim(now=11)
    store.end(again, COMPLETED, now=12)

    assert store.retry(job.id, now=13, fresh=True).state.composed is None
    assert rows(store) == {}


def test_steps_of_other_jobs_stay(store, job):
    store.insert(a_new_job())
    (other,) = store.claim()
    store.keep_step(KeepStep(other.id, 1, 0, "small", b"other"), now=5)

    store.delete(job.id)

    assert table(store, lambda found: found.value(other.id, 0)) == b"other"


def test_a_damaged_job_takes_what_it_has_kept_with_it(store, job):
    store.env.write(lambda txn: put_garbage_for_state(txn, store.env.tables, job.id))

    assert store.end(job, COMPLETED, now=9) is False
    assert store.get(job.id).state.status is Status.FAILED
    assert len(rows(store)) == 4
    store.delete(job.id)

    assert rows(store) == {}
    with pytest.raises(JobNotFound):
        store.get(job.id)


# ---- damage and signatures --------------------------------------------------------------------


def flip(txn, steps, key, value):
    txn.put(key, value[:-1] + bytes([value[-1] ^ 1]), db=steps)


@pytest.mark.parametrize("number", range(4))
def test_a_damaged_row_is_found_and_not_read(store, job, number):
    key, value = list(rows(store).items())[number]

    change(store, lambda txn, steps: flip(txn, steps, key, value))

    assert any(f"job {job.id}" in finding for finding in store.findings())
    reads = [
        (steps.read_checkpoint, ReadCheckpoint(job.id, 1)),
        (steps.read_step, ReadStep(job.id, 1, 0)),
        (steps.read_step, ReadStep(job.id, 1, 1)),
        (steps.read_step, ReadStep(job.id, 1, 1)),
    ]
    with pytest.raises(StepError, match=r"cannot be read.*fresh=True"):
        read(store, *reads[number])


def test_a_row_under_the_key_of_another_is_refused(store, job):
    keys = list(rows(store))
    change(store, lambda txn, steps: txn.put(keys[1], rows_in(txn, steps)[keys[2]], db=steps))

    with pytest.raises(DamagedRecord, match="another"):
        table(store, lambda found: found.value(job.id, 0))
    assert len(store.findings()) > 0


def rows_in(txn, steps):
    return dict(txn.cursor(steps))


def test_rows_without_a_job_and_a_job_without_rows_are_found(store, job):
    key, value = next(iter(rows(store).items()))
    change(store, lambda txn, steps: txn.put(b"\0" * 7 + b"\x63" + key[8:], value, db=steps))
    assert store.findings() == ["steps: rows of job 99 belong to no job that has steps"]

    change(store, lambda txn, steps: [txn.delete(each, db=steps) for each in rows_in(txn, steps)])
    assert store.findings() == [f"steps: nothing of job {job.id} is there"]


def test_with_signing_keys_only_signed_rows_are_read(store, job):
    signer = Signer([b"k" * 32])

    with pytest.raises(StepError, match="not signed"):
        read(store, steps.read_step, ReadStep(job.id, 1, 0), signer)
    assert reseal_all(store.env, signer) == 1

    for number, value in enumerate((SMALL, LARGE)):
        assert read(store, steps.read_step, ReadStep(job.id, 1, number), signer) == value
    assert read(store, steps.read_checkpoint, ReadCheckpoint(job.id, 1), signer) == b"far"
    with pytest.raises(StepError):
        read(store, steps.read_step, ReadStep(job.id, 1, 0), Signer([b"o" * 32]))
