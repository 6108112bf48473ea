"""Groups count how their members end, and their callbacks are stored by that."""

from itertools import pairwise

import msgspec
import pytest
from support.stored_jobs import a_new_job

from antq_actors.errors import AlreadyExists, BatchClosed, BatchNotFound, StorageError
from antq_actors.jobs.outcome import (
    COMPLETED,
    Cancelled,
    Completed,
    Failed,
    GivenBack,
    Interrupted,
    Produced,
)
from antq_actors.jobs.state import Status
from antq_actors.storage.format.records import Chosen, Filter, Settlement
from antq_actors.storage.jobs import composition, job_store
from antq_actors.storage.jobs.group_verbs import NewGroup
from antq_actors.storage.jobs.groups import BATCH, GroupTable
from antq_actors.storage.jobs.table import places_of
from antq_actors.storage.lmdb import keys
from antq_actors.workflows.counters import Ends, Event

CALLBACKS = tuple((event, a_new_job(worker=event.name, queue="calls")) for event in Event)
RETENTION = 100


def a_batch(store, *, parent=0, callbacks=CALLBACKS):
    new = NewGroup(BATCH, "import", 0, callbacks)
    return store.create_group(new, parent=parent)


def a_batch_of(store, number, *, callbacks=CALLBACKS, **options):
    batch = a_batch(store, callbacks=callbacks)
    ids = store.insert_members(batch, [a_new_job(**options) for _ in range(number)])
    store.close_group(batch, now=1)
    return batch, ids


def group(store, id_):
    return store.env.read(lambda txn: GroupTable(txn, store.env.tables).get(id_))


def members(store, id_):
    return store.env.read(lambda txn: list(GroupTable(txn, store.env.tables).members(id_)))


def callbacks(store):
    """Return the events whose callbacks were stored, in order; the tables agree."""
    assert store.findings() == []
    return callbacks_of(store)


def callbacks_of(store):
    def read(verbs):
        return [Event[job.worker] for job in verbs.page(Filter(queue_name="calls"))]

    return job_store.read(store.env, read)


def finish(store, *outcomes, now=5):
    """Claim as many jobs as there are outcomes and settle them together."""
    jobs = store.claim(limit=len(outcomes), now=now)
    settlements = [
        Settlement(job.id, job.state.execution, outcome)
        for job, outcome in zip(jobs, outcomes, strict=True)
    ]
    store.work("mail", settlements, node=1, limit=0, now=now)
    return jobs


def test_members_are_jobs_of_the_store_and_are_counted(store):
    batch = a_batch(store)

    ids = store.insert_members(batch, [a_new_job(), a_new_job()])
    third = store.insert_member(batch, a_new_job())

    assert group(store, batch).total == 3
    assert members(store, batch) == [(id_, b"") for id_ in (*ids, third)]


def test_callbacks_come_with_the_last_end_of_a_closed_batch(store):
    a_batch_of(store, 3)

    finish(store, COMPLETED, COMPLETED)
    assert callbacks(store) == []
    finish(store, COMPLETED)

    assert callbacks(store) == [Event.SUCCESS, Event.COMPLETE]


def test_members_that_complete_together_are_counted_once_each(store):
    batch, _ = a_batch_of(store, 20)

    finish(store, *[COMPLETED] * 20)

    assert group(store, batch).ends == Ends(completed=20)
    assert callbacks(store) == [Event.SUCCESS, Event.COMPLETE]


def test_a_batch_that_is_open_does_not_end(store):
    batch = a_batch(store)
    store.insert_members(batch, [a_new_job()])
    finish(store, COMPLETED)
    assert callbacks(store) == []

    store.close_group(batch, now=9)
    store.close_group(batch, now=10)

    assert callbacks(store) == [Event.SUCCESS, Event.COMPLETE]
    assert group(store, batch).ended_at == 9


def test_an_empty_batch_ends_when_it_is_closed(store):
    a_batch_of(store, 0)

    assert callbacks(store) == [Event.SUCCESS, Event.COMPLETE]


@pytest.mark.parametrize(
    "outcome",
    [Failed("no"), Cancelled("no"), Interrupted("its node died", max_interruptions=1)],
    ids=["failed", "cancelled", "interrupted"],
)
def test_the_first_member_that_does_not_complete_fires_failure(store, outcome):
    a_batch_of(store, 2)

    finish(store, outcome)
    assert callbacks(store) == [Event.FAILURE]
    finish(store, outcome)

    assert callbacks(store) == [Event.FAILURE, Event.COMPLETE]


def test_a_failed_attempt_that_is_retried_is_no_end(store):
    batch, _ = a_batch_of(store, 1, max_attempts=2)

    finish(store, Failed("no", retry_in=0))

    assert callbacks(store) == []
    assert group(store, batch).ends == Ends()


def test_an_end_is_taken_out_when_a_member_is_retried_by_hand(store):
    batch, (id_,) = a_batch_of(store, 1)
    finish(store, Failed("no"))

    store.retry(id_, now=6)
    assert group(store, batch).ends == Ends()
    assert group(store, batch).ended_at == 0
    finish(store, COMPLETED, now=7)

    assert callbacks(store) == [Event.FAILURE, Event.COMPLETE, Event.SUCCESS]
    assert group(store, batch).ended_at == 7


def test_a_second_outcome_of_an_execution_is_dropped(store):
    batch, _ = a_batch_of(store, 2)
    (job,) = finish(store, COMPLETED)

    assert not store.end(job, COMPLETED, now=6)

    assert group(store, batch).ends == Ends(completed=1)


def test_a_member_deleted_before_its_end_counts_as_cancelled(store):
    batch, (first, _) = a_batch_of(store, 2)

    store.delete(first, now=3)
    finish(store, COMPLETED)

    assert group(store, batch).ends == Ends(completed=1, cancelled=1)
    assert callbacks(store) == [Event.FAILURE, Event.COMPLETE]


def test_a_member_deleted_after_its_end_stays_counted(store):
    batch, (first, _) = a_batch_of(store, 2)
    finish(store, COMPLETED)

    store.delete(first, now=6)

    assert group(store, batch).ends == Ends(completed=1)
    assert len(members(store, batch)) == 1


def test_a_member_that_is_damaged_has_failed(store):
    batch, (first, _) = a_batch_of(store, 2)
    store.env.write(
        lambda txn: txn.put(first.to_bytes(8), b"\x00\x05wrong", db=store.env.tables.jobs)
    )

    job_store.write(store.env, lambda verbs: verbs.cancel_group(batch, now=3))

    assert group(store, batch).ends == Ends(failed=1, cancelled=1)
    assert not any("groups" in finding or "members" in finding for finding in store.findings())
    assert callbacks_of(store) == [Event.FAILURE, Event.COMPLETE]


def damage(store, id_):
    """Damage the record of a job, and have it failed."""
    table = store.env.tables.jobs
    store.env.write(lambda txn: txn.put(keys.job_key(id_), b"\x00\x05wrong", db=table))
    job_store.write(store.env, lambda verbs: verbs.cancel_many([id_], Chosen(), now=9))


def test_a_damaged_member_that_had_not_ended_is_counted_without_reading_the_others(
    store, monkeypatch
):
    other, _ = a_batch_of(store, 2)
    batch, ids = a_batch_of(store, 4)
    finish(store, *[COMPLETED] * 3)
    store.claim(now=6)

    monkeypatch.setattr(GroupTable, "count_anew", None)
    for id_ in ids[1:3]:
        damage(store, id_)
    monkeypatch.undo()

    assert group(store, batch).ends == Ends(completed=1, failed=2)
    assert group(store, batch).cause == ids[1]
    assert group(store, other).ends == Ends(completed=2)
    assert not any("groups" in finding or "members" in finding for finding in store.findings())


def test_a_damaged_member_of_which_it_is_not_known_how_it_counts_is_counted_all_the_same(store):
    batch, (cancelled, lost, completed) = a_batch_of(store, 3, max_attempts=2)
    store.cancel(cancelled, now=3)
    finish(store, Failed("no", retry_in=1_000), COMPLETED)
    place = places_of(store.get(lost).state).place + keys.job_key(lost)
    assert store.env.write(lambda txn: txn.delete(place, db=store.env.tables.index))

    for id_ in (completed, cancelled, lost):
        damage(store, id_)

    assert group(store, batch).ends == Ends(failed=3)
    assert not any("groups" in finding or "members" in finding for finding in store.findings())


def test_a_damaged_end_that_a_count_has_left_out_is_counted_once(store):
    batch, (first, second) = a_batch_of(store, 2)
    finish(store, COMPLETED, COMPLETED)
    table = store.env.tables.jobs
    store.env.write(lambda txn: txn.put(keys.job_key(first), b"\x00\x05wrong", db=table))

    damage(store, second)
    assert group(store, batch).ends == Ends(failed=1)
    damage(store, first)

    assert group(store, batch).ends == Ends(failed=2)


def test_a_duplicate_is_no_member(store):
    batch = a_batch(store)
    job = a_new_job({"a": 1}, unique=("a",))

    first, second = store.insert_members(batch, [job, job])
    with pytest.raises(AlreadyExists):
        store.insert_member(batch, job)

    assert first is not None
    assert second is None
    assert group(store, batch).total == 1


def test_a_closed_batch_gets_no_members_from_outside(store):
    batch, _ = a_batch_of(store, 1)

    with pytest.raises(BatchClosed, match=f"batch {batch} is closed"):
        store.insert_member(batch, a_new_job())
    with pytest.raises(BatchNotFound, match="no batch has the id 99"):
        store.insert_members(99, [a_new_job()])


def test_a_member_adds_members_with_its_completion(store):
    batch, _ = a_batch_of(store, 1)
    added = tuple(a_new_job() for _ in range(2))

    finish(store, Completed(Produced(members=added)))
    assert callbacks(store) == []
    assert group(store, batch).total == 3
    finish(store, COMPLETED, COMPLETED)

    assert callbacks(store) == [Event.SUCCESS, Event.COMPLETE]


def test_what_members_of_a_cancelled_batch_add_is_cancelled(store):
    batch, _ = a_batch_of(store, 2)
    (job,) = store.claim(now=2)
    store.cancel_group(batch, now=3)

    store.end(job, Completed(Produced(members=(a_new_job(),))), now=4)

    assert group(store, batch).ends == Ends(completed=1, cancelled=2)
    assert store.count({Status.CANCELLED}) == 2


def test_what_a_retried_member_of_a_cancelled_batch_adds_is_kept(store):
    outer = a_batch(store)
    inner = a_batch(store, parent=outer, callbacks=())
    id_ = store.insert_member(inner, a_new_job())
    store.insert_member(outer, a_new_job())
    for each in (outer, inner):
        store.cancel_group(each, now=3)

    store.retry(id_, now=4)
    finish(store, Completed(Produced(members=(a_new_job(),))), now=5)
    finish(store, COMPLETED, now=6)

    assert group(store, inner).ends == Ends(completed=2)
    assert group(store, outer).ends == Ends(completed=1, cancelled=1)
    assert not group(store, outer).is_cancelled
    assert callbacks(store) == [Event.FAILURE, Event.COMPLETE]


def test_a_member_that_is_retried_is_not_cancelled_by_what_was_left_of_a_cancellation(store):
    outer = a_batch(store, callbacks=())
    inner = a_batch(store, parent=outer, callbacks=())
    store.insert_members(inner, [a_new_job() for _ in range(600)])
    store.insert_members(outer, [a_new_job() for _ in range(600)])
    left = [(outer, 0)]
    while left:  # as who cancels it does
        each, after = left.pop()
        position, parts = store.cancel_group(each, after=after, now=3)
        left += [(part, 0) for part in parts] + ([(each, position)] if position else [])
    retried = [members(store, each)[-1][0] for each in (outer, inner)]

    for id_ in retried:
        store.retry(id_, now=4)
    while store.do_task(now=5):
        pass

    assert [store.get(id_).state.status for id_ in retried] == [Status.ENQUEUED] * 2
    assert store.count({Status.CANCELLED}) == 1_198
    assert store.findings() == []


def test_a_batch_is_cancelled_some_members_at_a_time(store):
    batch, ids = a_batch_of(store, 5)

    after, _ = store.cancel_group(batch, limit=3, now=3)
    assert group(store, batch).ends == Ends(cancelled=3)
    rest = store.cancel_group(batch, after=after, limit=9, now=4)

    assert after == ids[2]
    assert rest == (None, [])
    assert group(store, batch).ends == Ends(cancelled=5)


def test_what_is_left_of_a_cancelled_batch_is_done_by_tasks(store):
    outer = a_batch(store)
    inner = a_batch(store, parent=outer, callbacks=())
    for batch, number in ((inner, 600), (outer, 700)):
        store.insert_members(batch, [a_new_job() for _ in range(number)])

    store.cancel_group(outer, now=3)  # and then the caller dies
    assert group(store, outer).ends == Ends(cancelled=499)
    while store.do_task(now=4):
        pass

    assert group(store, outer).ends == Ends(failed=1, cancelled=700)
    assert group(store, inner).ends == Ends(cancelled=600)
    assert callbacks(store) == [Event.FAILURE, Event.COMPLETE]


def test_the_ends_of_very_many_batches_in_batches_go_on_in_further_transactions(store, monkeypatch):
    monkeypatch.setattr(composition, "MOST_GROUPS_UP", 3)
    batches = [a_batch(store)]
    for _ in range(10):
        batches.append(a_batch(store, parent=batches[-1], callbacks=()))
    store.insert_member(batches[-1], a_new_job())
    for each in batches:
        store.close_group(each, now=1)

    finish(store, COMPLETED)
    ended = []
    while True:
        assert store.findings() == []
        ended.append(sum(group(store, each).ended_at > 0 for each in batches))
        if not store.do_task(now=9):
            break

    assert ended == [4, 8, 11]
    assert group(store, batches[0]).ends == Ends(completed=1)
    assert callbacks(store) == [Event.SUCCESS, Event.COMPLETE]


def test_a_batch_in_a_batch_counts_once_when_it_has_ended(store):
    outer = a_batch(store)
    inner = a_batch(store, parent=outer, callbacks=())
    store.insert_members(inner, [a_new_job(), a_new_job()])
    store.close_group(outer, now=1)

    finish(store, COMPLETED, Failed("no"))
    assert group(store, outer).ends == Ends()
    store.close_group(inner, now=6)

    assert group(store, outer).total == 1
    assert group(store, outer).ends == Ends(failed=1)
    assert callbacks(store) == [Event.FAILURE, Event.COMPLETE]


def test_a_batch_that_is_refused_is_no_member(store):
    outer = a_batch(store)
    too_long = ((Event.SUCCESS, a_new_job(queue="q" * 1_000)),)

    def refused(verbs):
        with pytest.raises(StorageError, match="queue"):
            verbs.create_group(NewGroup(BATCH, "inner", 0, too_long), parent=outer)
        verbs.insert_member(outer, a_new_job())  # the transaction goes on

    job_store.write(store.env, refused)

    assert group(store, outer).total == 1
    assert store.findings() == []


def test_a_batch_in_a_batch_is_counted_anew_after_a_retry(store):
    outer = a_batch(store)
    inner = a_batch(store, parent=outer, callbacks=())
    id_ = store.insert_member(inner, a_new_job())
    for each in (outer, inner):
        store.close_group(each, now=1)
    finish(store, Failed("no"))

    store.retry(id_, now=6)
    assert group(store, outer).ends == Ends()
    finish(store, COMPLETED, now=7)

    assert group(store, outer).ends == Ends(completed=1)
    assert callbacks(store) == [Event.FAILURE, Event.COMPLETE, Event.SUCCESS]


def test_nothing_of_a_batch_is_pruned_before_its_end(store):
    batch, _ = a_batch_of(store, 2)
    finish(store, COMPLETED, now=5)

    assert store.prune(finished_before=1_000, limit=10) == 0
    finish(store, COMPLETED, now=2_000)
    assert store.prune(finished_before=2_000, limit=10) == 0

    assert len(members(store, batch)) == 4


def call(store, *outcomes, now):
    """Have as many callbacks end together as there are outcomes."""
    jobs = store.claim(queue="calls", limit=len(outcomes), now=now)
    settlements = [
        Settlement(job.id, job.state.execution, outcome)
        for job, outcome in zip(jobs, outcomes, strict=True)
    ]
    store.work("calls", settlements, node=1, limit=0, now=now)
    return [job.id for job in jobs]


def prune(store, finished_before=RETENTION):
    while store.prune(finished_before=finished_before, limit=2):
        pass


def test_a_batch_is_pruned_whole_some_members_at_a_time(store):
    batch, _ = a_batch_of(store, 5)
    finish(store, *[COMPLETED] * 5, now=5)
    call(store, COMPLETED, COMPLETED, now=6)

    prune(store)

    assert group(store, batch) is None
    assert members(store, batch) == []
    assert store.count() == 0
    assert store.findings() == []


def test_a_batch_is_kept_until_its_callbacks_have_ended_and_grow_old(store):
    batch, _ = a_batch_of(store, 1)
    finish(store, COMPLETED, now=5)

    prune(store)
    assert len(members(store, batch)) == 3
    call(store, COMPLETED, now=RETENTION + 1)
    prune(store, RETENTION + 50)
    (failed,) = call(store, Failed("no"), now=RETENTION + 60)
    prune(store, RETENTION + 60)
    store.retry(failed, now=RETENTION + 61)
    prune(store, RETENTION + 90)
    assert len(members(store, batch)) == 3
    assert callbacks(store) == [Event.SUCCESS, Event.COMPLETE]
    call(store, COMPLETED, now=RETENTION + 99)
    prune(store, RETENTION + 99)
    assert len(members(store, batch)) == 3

    prune(store, RETENTION + 100)

    assert group(store, batch) is None
    assert store.count() == 0
    assert store.findings() == []


def test_callbacks_that_complete_together_are_counted(store):
    both = (a_new_job(queue="calls"), a_new_job(queue="calls"))
    events = tuple(zip((Event.SUCCESS, Event.COMPLETE), both, strict=True))
    batch, _ = a_batch_of(store, 0, callbacks=events)
    assert group(store, batch).callbacks_left == 2

    call(store, COMPLETED, COMPLETED, now=7)

    assert (group(store, batch).callbacks_left, group(store, batch).callback_ended_at) == (0, 7)
    assert store.findings() == []


def test_a_batch_is_kept_for_the_callbacks_of_those_in_it(store):
    outer = a_batch(store, callbacks=())
    inner = a_batch(store, parent=outer)
    for each in (inner, outer):
        store.close_group(each, now=1)

    prune(store)
    assert group(store, outer).callbacks_left == 2
    first, second = call(store, *[GivenBack()] * 2, now=8)
    store.delete(first, now=9)
    prune(store)
    assert group(store, inner) is not None
    store.cancel(second, now=9)
    prune(store)

    assert group(store, outer) is group(store, inner) is None
    assert store.count() == 0
    assert store.findings() == []


def test_a_batch_is_not_kept_for_a_callback_that_is_damaged_or_lost(store):
    batch, _ = a_batch_of(store, 0)
    damaged, lost = (id_ for id_, _ in members(store, batch))
    table = store.env.tables.jobs
    store.env.write(lambda txn: txn.put(keys.job_key(damaged), b"\x00\x05wrong", db=table))
    store.env.write(lambda txn: txn.delete(keys.job_key(lost), db=table))

    def claim(verbs):
        return verbs.work("calls", [], node=1, limit=2, now=7)

    assert job_store.write(store.env, claim).jobs == []
    assert group(store, batch).callbacks_left == 0
    while job_store.write(store.env, lambda verbs: verbs.prune(finished_before=99, limit=2)):
        pass
    assert group(store, batch) is None
    assert store.count() == 0


def test_a_batch_that_is_kept_for_no_callback_is_found(store):
    batch, _ = a_batch_of(store, 0, callbacks=())

    def keep(txn):
        groups = GroupTable(txn, store.env.tables)
        groups.get(batch).callbacks_left = 1
        groups.flush()

    store.env.write(keep)

    assert f"groups: {batch} is kept for 1 callbacks, and 0 have not ended" in store.findings()


def test_a_batch_of_an_earlier_release_is_pruned_before_its_callbacks_have_ended(store):
    batch, _ = a_batch_of(store, 0)
    write_earlier(store, batch)
    assert store.findings() == []

    prune(store)

    assert group(store, batch) is None
    assert len(callbacks(store)) == 2


def write_earlier(store, id_):
    """Write a group as it was before callbacks were counted."""
    whole = group(store, id_)
    fields = msgspec.to_builtins(whole)[: whole.__struct_fields__.index("callbacks_left")]
    write_row(store, "groups", keys.job_key(id_), msgspec.msgpack.encode(fields))
    row = keys.ends_prefix(whole.ended_at) + keys.job_key(id_)
    store.env.write(lambda txn: txn.put(row, keys.job_key(id_), db=store.env.tables.index))


def test_many_batches_are_pruned_no_faster_than_one(store):
    for _ in range(3):
        a_batch_of(store, 4, callbacks=())
        finish(store, *[COMPLETED] * 4)

    left = [12]
    while store.prune(finished_before=RETENTION, limit=5) >= 5:
        left.append(store.count(queue_name="mail"))

    assert all(before - after <= 5 for before, after in pairwise(left))
    assert store.count(queue_name="mail") == 0


def test_a_batch_is_pruned_with_those_in_it(store):
    outer = a_batch(store, callbacks=())
    inner = a_batch(store, parent=outer, callbacks=())
    store.insert_members(inner, [a_new_job() for _ in range(3)])
    store.insert_member(outer, a_new_job())
    for each in (outer, inner):
        store.close_group(each, now=1)
    finish(store, *[COMPLETED] * 4)

    while store.prune(finished_before=RETENTION, limit=2):
        pass

    assert group(store, outer) is group(store, inner) is None
    assert store.count() == 0


def open_batches(store, *, are_open=True):
    read = job_store.read(store.env, lambda reader: reader.batches(are_open))
    return [batch.id for batch in read]


def open_rows(store, change=None):
    def do(txn):
        rows = GroupTable(txn, store.env.tables).open
        if change is not None:
            change(txn, rows)
        return list(rows.ids())

    return store.env.write(do)


def test_the_batches_that_are_open_are_found_without_those_that_have_ended(store, monkeypatch):
    for _ in range(20):
        a_batch_of(store, 0)
    first, second = a_batch(store), a_batch(store)
    (job,) = store.insert_members(second, [a_new_job()])
    looked_at = []
    get = GroupTable.get
    monkeypatch.setattr(GroupTable, "get", lambda *args: looked_at.append(args) or get(*args))

    assert open_batches(store) == [first, second]
    assert job_store.read(store.env, lambda reader: reader.abandoned(1)) == []
    assert len(looked_at) < 10

    store.close_group(first, now=1)
    store.close_group(second, now=1)
    assert open_batches(store) == [second]
    store.cancel(job, now=2)
    assert open_batches(store) == []
    store.retry(job, now=3)
    assert open_batches(store) == [second]
    store.delete(job, now=4)
    assert len(open_batches(store, are_open=False)) == 22
    assert store.findings() == []


def test_a_store_without_rows_of_open_groups_gets_all_of_them_with_its_next_change(store):
    a_batch_of(store, 0)
    batches = [a_batch(store), a_batch(store)]
    write_row(store, "groups", b"\xff\0", None)
    assert open_rows(store, lambda _, rows: rows.delete(batches[0])) == [batches[1]]

    assert open_batches(store) == batches
    assert store.findings() == []
    batches.append(a_batch(store))

    assert open_batches(store) == open_rows(store) == batches
    assert store.findings() == []


def test_rows_of_open_groups_that_are_wrong_are_found(store):
    ended, _ = a_batch_of(store, 0)
    batch = a_batch(store)

    def turn(_, rows):
        rows.put(ended)
        rows.delete(batch)

    open_rows(store, turn)

    found = [finding for finding in store.findings() if "not ended are wrong" in finding]
    assert [int(finding.split()[-1]) for finding in found] == [ended, batch]


def test_a_group_that_is_pruned_leaves_no_rows(store):
    a_batch_of(store, 0, callbacks=())
    prune(store)

    left = store.env.read(lambda txn: txn.stat(store.env.tables.further(txn, "groups"))["entries"])
    assert left == 1  # that all are known


def write_row(store, table, key, value):
    def change(txn):
        db = store.env.tables.further(txn, table)
        return txn.delete(key, db=db) if value is None else txn.put(key, value, db=db)

    store.env.write(change)


def test_a_damaged_group_is_found_and_counts_by_its_members_all_the_same(store):
    batch, ids = a_batch_of(store, 2)
    write_row(store, "groups", keys.job_key(batch), b"no group")

    assert any(f"{batch} is damaged" in finding for finding in store.findings())

    def cancel(verbs):
        for id_ in ids:
            verbs.cancel(id_, now=3)

    job_store.write(store.env, cancel)
    assert group(store, batch).ends == Ends(cancelled=2)
    assert store.findings() == []


def test_a_group_that_would_never_be_pruned_and_a_damaged_task_are_found(store):
    batch, _ = a_batch_of(store, 0, callbacks=())
    ended_at = group(store, batch).ended_at
    row = keys.ends_prefix(ended_at) + keys.job_key(batch)
    store.env.write(lambda txn: txn.delete(row, db=store.env.tables.index))
    write_row(store, "tasks", keys.job_key(7), b"no task")

    found = store.findings()

    assert any(f"has group {batch}" in finding for finding in found)
    assert "tasks: 7 is damaged on disk" in found
