"""A bulk change goes on page by page: what it does to each job, and what it says of that."""

import pytest
from msgspec.structs import replace
from support.raw_jobs import put_garbage_for_state
from support.stored_jobs import a_new_job

from antq_actors.errors import BulkEnded, BulkNotFound, JobNotFound
from antq_actors.jobs.outcome import Completed, Failed
from antq_actors.jobs.state import Status
from antq_actors.jobs.steps import KeepStep
from antq_actors.storage.admin.verify import verify
from antq_actors.storage.jobs import bulk_table, job_store
from antq_actors.storage.jobs import table as job_table
from antq_actors.storage.jobs.bulk_table import BulkRecord, BulkTable, pages_of

BEGAN = 100
NOW = 200


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    monkeypatch.setattr(bulk_table, "PAGE_JOBS", 3)


def jobs(store, count, outcome=None, *, now=50, **options):
    """Store *count* jobs; with an *outcome* they have ended so. Return their ids."""
    ids = store.insert_many([a_new_job({"n": n}, now=now, **options) for n in range(count)])
    if outcome is not None:
        for job in store.claim(limit=count, now=now):
            store.end(job, outcome, now=now)
    return ids


def begin(store, verb, ids, **options):
    record = BulkRecord(verb, len(ids), BEGAN, **options)
    return store.begin_bulk(record, "queue:mail", "a test", pages_of(ids))


def carry_out(store, verb, ids, **options):
    """Do a bulk change to its end; return what became of it."""
    bulk = begin(store, verb, ids, **options)
    while store.do_task(now=NOW):
        pass
    return store.bulk(bulk).record


def counts(record):
    return record.changed, record.skipped, record.refused


def statuses(store, ids):
    return [store.get(id_).state.status for id_ in ids]


def has_changed(store, id_):
    try:
        return store.get(id_).state.updated_at == NOW
    except JobNotFound:
        return True


def test_failed_jobs_are_retried_page_by_page(store):
    ids = jobs(store, 7, Failed("no"))
    bulk = begin(store, "retry", ids)

    assert store.do_task(now=NOW)
    after_one = store.bulk(bulk).record
    assert statuses(store, ids) == [Status.ENQUEUED] * 3 + [Status.FAILED] * 4
    assert (after_one.state, counts(after_one), after_one.at) == ("running", (3, 0, 0), NOW)

    assert store.do_task(now=NOW)
    assert store.do_task(now=NOW + 1)
    assert not store.do_task(now=NOW)
    done = store.bulk(bulk).record
    assert (done.state, counts(done), done.total, done.at) == ("done", (7, 0, 0), 7, NOW + 1)
    assert statuses(store, ids) == [Status.ENQUEUED] * 7


@pytest.mark.parametrize(
    ("verb", "changed"),
    [
        ("retry", {"failed"}),
        ("cancel", {"enqueued", "scheduled"}),
        ("delete", {"failed", "completed", "enqueued", "scheduled"}),
        ("run-now", {"scheduled"}),
    ],
)
def test_each_verb_changes_the_jobs_that_it_can_and_refuses_the_others(store, verb, changed):
    ids = {
        "failed": jobs(store, 1, Failed("no")),
        "completed": jobs(store, 1, Completed()),
        "enqueued": jobs(store, 1),
        "scheduled": jobs(store, 1, due=1_000),
    }

    done = carry_out(store, verb, [each for (each,) in ids.values()])

    assert counts(done) == (len(changed), 0, len(ids) - len(changed))
    left = {name for name, (id_,) in ids.items() if has_changed(store, id_)}
    assert left == changed


def test_completed_jobs_are_retried_only_if_somebody_asks_for_these(store):
    ids = jobs(store, 2, Completed())

    assert counts(carry_out(store, "retry", ids)) == (0, 0, 2)
    assert counts(carry_out(store, "retry", ids, takes_completed=True)) == (2, 0, 0)


def test_a_job_that_has_changed_since_it_was_found_is_skipped(store):
    ids = jobs(store, 2, Failed("no"))
    store.retry(ids[0], now=BEGAN + 1)
    store.end(store.claim(now=BEGAN + 2)[0], Failed("again"), now=BEGAN + 3)

    assert counts(carry_out(store, "retry", [*ids, 4711])) == (1, 2, 0)
    assert statuses(store, ids) == [Status.FAILED, Status.ENQUEUED]


def test_a_job_may_have_begun_since_where_its_status_was_not_asked_for(store):
    ids = jobs(store, 2)
    (running,) = store.claim(now=BEGAN + 1)

    assert counts(carry_out(store, "cancel", ids, is_strict=False)) == (2, 0, 0)
    assert store.get(running.id).state.cancelling


def test_a_job_that_has_ended_since_is_skipped_and_not_refused(store):
    ids = jobs(store, 1)
    store.end(store.claim(now=BEGAN + 1)[0], Completed(), now=BEGAN + 2)

    assert counts(carry_out(store, "cancel", ids, is_strict=False)) == (0, 1, 0)


def test_a_unique_job_in_the_way_refuses_a_retry(store):
    twins = []
    for _ in range(2):
        (id_,) = store.insert_many([a_new_job({"n": 7}, unique=("n",))])
        store.end(store.claim(now=60)[0], Failed("no"), now=60)
        twins.append(id_)

    assert counts(carry_out(store, "retry", twins)) == (1, 0, 1)


@pytest.mark.parametrize("verb", ["retry", "run-now"])
def test_jobs_come_due_one_after_the_other_where_they_are_spread(store, verb):
    ids = jobs(store, 5, Failed("no")) if verb == "retry" else jobs(store, 5, due=10_000)

    assert carry_out(store, verb, ids, spread=400, spread_jobs=5).changed == 5

    assert [store.get(id_).state.scheduled_at for id_ in ids] == [100, 200, 300, 400, 500]


def test_a_stopped_bulk_change_leaves_the_rest_as_it_is(store):
    ids = jobs(store, 7, Failed("no"))
    bulk = begin(store, "delete", ids)
    store.do_task(now=NOW)

    stopped = store.stop_bulk(bulk, now=NOW + 1)

    assert (stopped.state, counts(stopped), stopped.at) == ("stopped", (3, 0, 0), NOW + 1)
    assert store.do_task(now=NOW + 2)  # the task itself is left out in its turn
    assert not store.has_task()
    assert statuses(store, ids[3:]) == [Status.FAILED] * 4
    with pytest.raises(BulkEnded, match=f"bulk change {bulk} is stopped"):
        store.stop_bulk(bulk, now=NOW)
    with pytest.raises(BulkNotFound, match="id 99"):
        store.stop_bulk(99, now=NOW)


def test_a_bulk_change_of_no_jobs_has_ended_at_once(store):
    bulk = begin(store, "retry", [])

    assert store.bulk(bulk).record.state == "done"
    assert not store.has_task()


def test_two_bulk_changes_take_turns(store):
    first = begin(store, "retry", jobs(store, 4, Failed("no")))
    second = begin(store, "retry", jobs(store, 4, Failed("no")))

    assert store.do_task(now=NOW)
    assert store.do_task(now=NOW)

    assert [store.bulk(each).record.changed for each in (first, second)] == [3, 3]


def test_the_newest_ended_ones_are_kept_and_no_id_is_given_twice(store, monkeypatch):
    monkeypatch.setattr(bulk_table, "MOST_ENDED", 2)
    going_on = begin(store, "retry", jobs(store, 1, Failed("no")))
    ended = [begin(store, "retry", []) for _ in range(4)]

    assert [id_ for id_ in (going_on, *ended) if store.bulk(id_)] == [going_on, *ended[-2:]]
    assert begin(store, "retry", []) == ended[-1] + 1


def test_a_damaged_job_is_failed_and_changed_as_a_failed_one_is(store, env):
    ids = jobs(store, 2, Failed("no"))
    bulk = begin(store, "retry", ids)
    env.write(lambda txn: put_garbage_for_state(txn, env.tables, ids[0]))

    job_store.write(env, lambda store: store.do_task(now=NOW))

    assert counts(store.bulk(bulk).record) == (2, 0, 0)


def test_jobs_with_many_steps_are_deleted_in_several_transactions(store, monkeypatch):
    monkeypatch.setattr(job_table, "MOST_STEPS_DELETED", 1)
    ids = jobs(store, 3)
    for job in store.claim(limit=3, now=5):
        store.keep_step(KeepStep(job.id, job.state.execution, 0, "first", b"small"), now=5)
        store.end(job, Completed(), now=6)
    bulk = begin(store, "delete", ids)

    assert store.do_task(now=NOW)
    assert store.bulk(bulk).record.changed == 1
    while store.do_task(now=NOW):
        pass

    assert (store.bulk(bulk).record.changed, store.bulk(bulk).record.state) == (3, "done")


def damaged(store, env, change):
    """Have *change* write to the table of bulk changes; return what is found of that."""
    env.write(lambda txn: change(BulkTable(txn, env.tables), txn))
    return store.env.read(lambda txn: verify(txn, env.tables))


def test_what_is_damaged_of_a_bulk_change_is_found(store, env):
    bulk = begin(store, "retry", jobs(store, 4, Failed("no")))

    def damage(table, txn):
        txn.put(bulk.to_bytes(8, "big"), b"\x01", db=table._table)

    assert damaged(store, env, damage) == [
        f"bulks: {bulk} is damaged on disk, so it does not go on"
    ]


def test_an_ended_one_with_jobs_left_is_found(store, env):
    bulk = begin(store, "retry", jobs(store, 4, Failed("no")))

    def end(table, _txn):
        table.put(bulk, replace(table.get(bulk), state="done"))

    assert damaged(store, env, end) == [f"bulks: {bulk} has ended, and has jobs left"]


def test_a_key_that_is_none_is_found(store, env):
    begin(store, "retry", jobs(store, 1, Failed("no")))

    def add(table, txn):
        txn.put(b"\xff" * 9, b"", db=table._table)

    assert "bulks: b'\\xff" in damaged(store, env, add)[-1]
