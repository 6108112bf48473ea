"""Rows of what was noted of jobs: written, dropped and deleted with their jobs, and verified."""

import pytest
from msgspec.structs import replace
from support.stored_jobs import a_new_job

from antq_actors.errors import DamagedRecord
from antq_actors.jobs.history import NEWEST_CHANGES, stages
from antq_actors.jobs.instant import SECOND
from antq_actors.jobs.outcome import COMPLETED, Failed
from antq_actors.jobs.state import Status
from antq_actors.storage.admin.verify import verify
from antq_actors.storage.format.records import Settlement
from antq_actors.storage.jobs import job_store
from antq_actors.storage.jobs.history_table import HistoryTable
from antq_actors.storage.lmdb import keys


def write(env, verb):
    return job_store.write(env, verb)


def told(env, id_):
    story = job_store.read(env, lambda reader: reader.story(id_))
    return [(each.status.value, each.cause) for each in stages(story)]


def rows(env):
    return env.read(lambda txn: txn.stat(env.tables.further(txn, "history"))["entries"])


def findings(env):
    return env.read(lambda txn: verify(txn, env.tables))


def claimed(env, count=1, now=1):
    def work(store):
        store.add_node(1)
        for _ in range(count):
            store.insert(a_new_job(max_attempts=1_000))
        return store.work("mail", [], node=1, limit=count, now=now).jobs

    return write(env, work)


def settled(env, job, outcome, now=2):
    settlement = Settlement(job.id, job.state.execution, outcome)
    write(env, lambda store: store.settle(settlement, now=now))


def test_plain_jobs_leave_the_table_empty_and_closed(env):
    for job in claimed(env, 3):
        settled(env, job, COMPLETED)

    assert rows(env) == 0
    assert findings(env) == []


def test_an_interrupted_job_waits_again_by_that(env):
    (job,) = claimed(env)

    write(env, lambda store: store.rescue(node=1, now=5, max_interruptions=3, reason="it died"))

    assert told(env, job.id)[1:] == [("running", None), ("enqueued", "interrupted: it died")]
    story = job_store.read(env, lambda reader: reader.story(job.id))
    assert [(each.attempt, each.node) for each in stages(story)[1:]] == [(1, 1), (1, 1)]
    assert findings(env) == []


def test_rows_go_with_their_job(env):
    first, second = claimed(env, 2)
    settled(env, first, Failed("no", None, retry_in=None))
    write(env, lambda store: store.cancel(first.id, now=3))
    settled(env, second, Failed("no", None, retry_in=None))
    assert rows(env) == 3

    write(env, lambda store: store.prune(finished_before=10, limit=10))
    assert rows(env) == 1
    write(env, lambda store: store.delete(second.id))
    assert rows(env) == 0
    assert findings(env) == []


def test_of_very_many_changes_the_first_and_the_newest_are_kept(env):
    (job,) = claimed(env)
    settled(env, job, Failed("no", None, retry_in=None))

    def often(store):
        for number in range(NEWEST_CHANGES + 50):
            store.reschedule(job.id, due=9 * SECOND + number, now=3)

    write(env, often)

    assert rows(env) == NEWEST_CHANGES + 1
    assert told(env, job.id)[2] == ("retrying", "no")
    assert findings(env) == []


def test_a_damaged_job_keeps_what_was_noted_of_it(env):
    (job,) = claimed(env)
    settled(env, job, Failed("no", None, retry_in=None))
    env.write(lambda txn: txn.put(keys.job_key(job.id), b"damaged", db=env.tables.jobs))

    # As a claim finds it: it is failed for that.
    write(env, lambda store: store.work("mail", [], node=1, limit=9, now=90 * SECOND))

    assert told(env, job.id)[2][0] == "retrying"
    assert told(env, job.id)[-1][0] == "failed"
    # Its arguments were in the record, and are lost.
    assert [found for found in findings(env) if "payload" not in found] == []


@pytest.mark.parametrize(
    ("harm", "text"),
    [
        (lambda table, id_: table.delete(id_), "history: change 0 of job 1 is missing"),
        (
            lambda table, id_: table._txn.put(keys.error_key(id_, 0), b"\xc1", db=table._table),
            "history: change 0 of job 1 is damaged on disk",
        ),
        (
            lambda table, _: table._txn.put(keys.error_key(99, 0), b"", db=table._table),
            "history: rows of job 99 belong to no job that has any",
        ),
        (
            lambda table, id_: table._txn.put(keys.error_key(id_, 7), b"", db=table._table),
            "is no change of job 1 that is kept",
        ),
        (
            lambda table, _: table._txn.put(b"x", b"", db=table._table),
            "history: rows of job 0 belong to no job that has any",
        ),
    ],
)
def test_verify_finds_what_is_wrong_with_the_rows(env, harm, text):
    (job,) = claimed(env)
    settled(env, job, Failed("no", None, retry_in=None))

    env.write(lambda txn: harm(HistoryTable(txn, env.tables), job.id))

    (finding,) = findings(env)
    assert text in finding
    assert told(env, job.id)  # it is still told, as far as it is there


def test_a_state_that_counts_too_many_changes_to_be_true_is_damage(env):
    (job,) = claimed(env)

    def work(store):
        record = store._existing(job.id)
        state = replace(record.state, history=keys.LARGEST_NUMBER)
        store._jobs.rewrite(job.id, record._replace(state=state))
        return store._jobs.move(
            job.id, record._replace(state=state), replace(state, history=state.history + 1)
        )

    with pytest.raises(DamagedRecord, match="changes"):
        write(env, work)
    settled(env, job, COMPLETED)
    assert told(env, job.id)[-1] == (Status.COMPLETED, None)
