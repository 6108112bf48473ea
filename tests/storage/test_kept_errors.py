"""Of a job's errors the newest and the first are kept, and all are counted."""

import msgspec
import pytest
from support.raw_jobs import change_state, put_garbage_for_state, spec_of
from support.stored_jobs import Store, a_new_job

from antq_actors.jobs import lifecycle
from antq_actors.jobs.attempt_error import TEXT_LIMIT, TRACE_LIMIT
from antq_actors.jobs.lifecycle import NEWEST_ERRORS
from antq_actors.jobs.outcome import Cancelled, Failed, Interrupted
from antq_actors.jobs.state import ErrorEntry, Status
from antq_actors.storage.format import encoding
from antq_actors.storage.format.records import Filter, Settlement
from antq_actors.storage.jobs import job_store
from antq_actors.storage.lmdb import keys

FAILS = Failed("no", "trace", 0.0)


@pytest.fixture
def store(env):
    return Store(env).has_nodes(1)


def fail(store, times, *, first=1):
    """Let job 1 fail in the attempts from *first* on, at the instants of their numbers."""
    for number in range(first, first + times):
        (job,) = store.claim(now=number)
        store.end(job, Failed(f"error {number}", None, 0.0), now=number)


def a_job_that_failed(store, times):
    store.insert(a_new_job(max_attempts=100))
    fail(store, times)


def an_old_job(store, errors, *, attempts=0):
    """Store job 1 as the release before did: with all its errors, and a state of one field less."""
    store.insert(a_new_job(max_attempts=10**6))
    state = msgspec.structs.replace(store.get(1).state, errors=errors, attempts=attempts)
    fields = msgspec.to_builtins(state)[:-1]

    def write(txn):
        table = store.env.tables
        head = encoding.head_of(msgspec.msgpack.encode(fields), b"")
        txn.put(keys.job_key(1), head + spec_of(txn, table, 1), db=table.jobs)
        for number in range(errors):
            entry = ErrorEntry(number + 1, f"error {number + 1}", None, number + 1)
            txn.put(keys.error_key(1, number), encoding.encode_error(entry), db=table.errors)

    store.env.write(write)


def texts(job):
    return [entry.error for entry in job.errors]


def expected(count):
    return [f"error {number}" for number in (*range(count, count - NEWEST_ERRORS, -1), 1)]


def entries(store):
    return store.env.read(lambda txn: txn.stat(store.env.tables.errors)["entries"])


@pytest.mark.parametrize("count", [1, 24, 25, 26, 27, 80])
def test_of_more_than_25_errors_the_newest_and_the_first_are_kept(store, count):
    a_job_that_failed(store, count)

    job = store.get(1)
    all_of_them = [f"error {number}" for number in range(count, 0, -1)]
    assert texts(job) == (all_of_them if count <= 25 else expected(count))
    assert job.state.error_count == count
    assert entries(store) == min(count, NEWEST_ERRORS + 1)


def test_a_job_that_is_interrupted_for_ever_keeps_as_few_errors(store):
    store.insert(a_new_job())

    for number in range(60):
        (job,) = store.claim(now=10 * number * lifecycle.instant.SECOND)
        store.end(job, Interrupted("it died", 10**6), now=number)

    assert store.get(1).state.error_count == 60
    assert entries(store) == NEWEST_ERRORS + 1


def test_a_job_that_is_retried_for_ever_keeps_as_few_errors(store):
    store.insert(a_new_job())

    for number in range(60):
        (job,) = store.claim(now=number)
        store.end(job, Cancelled("enough"), now=number)
        store.retry(1, now=number)

    assert store.get(1).state.error_count == 60
    assert entries(store) == NEWEST_ERRORS + 1


def test_a_claim_reads_no_errors(store):
    a_job_that_failed(store, 30)

    (job,) = store.claim(now=31)

    assert job.errors == ()
    assert job.state.error_count == 30
    assert store.errors(1, count=30) == store.get(1).errors


def test_errors_are_read_as_they_were_at_the_claim(store):
    a_job_that_failed(store, 30)

    found = store.errors(1, count=20)

    # Of the older ones, 7 to 20 are left of the newest that were kept then.
    assert [entry.error for entry in found] == [f"error {n}" for n in (*range(20, 6, -1), 1)]


def test_errors_of_a_job_that_was_deleted_are_none(store):
    a_job_that_failed(store, 3)
    store.delete(1)

    assert store.errors(1, count=3) == ()


def test_errors_of_one_job_are_not_those_of_its_neighbours(store):
    store.insert_many([a_new_job(max_attempts=100) for _ in range(3)])
    for number in range(1, 31):
        for job in store.claim(limit=3, now=number):
            outcome = Failed(f"error {number} of {job.id}", None, 0.0)
            store.end(job, outcome, now=number)

    store.delete(2)

    assert {text.split()[-1] for text in texts(store.get(1))} == {"1"}
    assert {text.split()[-1] for text in texts(store.get(3))} == {"3"}
    assert entries(store) == 2 * (NEWEST_ERRORS + 1)


def test_a_job_of_an_earlier_release_shows_the_newest_and_the_first_of_its_errors(store):
    an_old_job(store, 30_000)

    job = store.get(1)

    assert job.state.error_count == 30_000
    assert texts(job) == expected(30_000)
    assert [raw.decode() for raw in store.page(Filter())] == [job]
    assert store.findings() == []


def test_a_job_of_an_earlier_release_shrinks_when_it_gets_an_error(store):
    an_old_job(store, 30_000)

    fail(store, 1, first=30_001)

    job = store.get(1)
    assert job.state.error_count == 30_001
    assert texts(job) == expected(30_001)
    assert entries(store) == NEWEST_ERRORS + 1


@pytest.mark.parametrize("way", ["delete", "prune"])
def test_a_job_of_an_earlier_release_is_deleted_with_all_its_errors(store, way):
    an_old_job(store, 2_000)
    if way == "delete":
        store.delete(1)
    else:
        store.cancel(1, now=1)
        assert store.prune(finished_before=2, limit=1) == 1

    assert entries(store) == 0


@pytest.mark.parametrize("count", [3, 30])
def test_a_damaged_job_of_many_errors_is_failed_with_the_newest_and_the_first(env, count):
    store = Store(env).has_nodes(1)
    a_job_that_failed(store, count)
    env.write(lambda txn: put_garbage_for_state(txn, env.tables, 1))

    claim = job_store.write(env, lambda store: store.work("mail", [], node=1, limit=1, now=99))

    assert claim.jobs == []
    job = store.get(1)
    assert job.state.status is Status.FAILED
    assert job.state.error_count == count + 1
    assert "damaged" in texts(job)[0]
    assert (texts(job)[1], texts(job)[-1]) == (f"error {count}", "error 1")
    assert len(texts(job)) == min(count, NEWEST_ERRORS) + 1
    assert store.findings() == []


@pytest.mark.parametrize("number", [0, 6, 29])
def test_verify_names_an_error_that_should_have_been_kept(store, number):
    a_job_that_failed(store, 30)
    store.env.write(lambda txn: txn.delete(keys.error_key(1, number), db=store.env.tables.errors))

    assert store.findings() == [f"errors: error {number} of job 1 is missing"]


@pytest.mark.parametrize("key", [keys.error_key(1, 30), keys.error_key(2, 0), keys.job_key(1)])
def test_verify_names_an_error_of_no_job(store, key):
    a_job_that_failed(store, 30)
    store.env.write(lambda txn: txn.put(key, b"", db=store.env.tables.errors))

    assert store.findings() == [f"errors: {key!r} belongs to no job"]


@pytest.mark.parametrize("errors", [2**32 - 1, 2**40])
def test_a_job_with_an_impossible_number_of_errors_is_failed(env, errors):
    store = Store(env).has_nodes(1)
    store.insert(a_new_job(max_attempts=100))
    (job,) = store.claim()
    env.write(lambda txn: change_state(txn, env.tables, job.id, errors=errors))

    job_store.write(env, lambda store: store.settle(Settlement(1, 1, FAILS), now=5))

    job = store.get(1)
    assert (job.state.status, job.state.errors) == (Status.FAILED, 1)
    assert f"counts {errors} errors" in texts(job)[0]
    assert store.findings() == []


@pytest.mark.parametrize("outcome", [Failed, Cancelled, lambda text: Interrupted(text, 3)])
def test_a_long_text_of_an_error_is_cut_and_says_so(store, outcome):
    store.insert(a_new_job())
    (job,) = store.claim()

    store.end(job, outcome("ü" * 10**6), now=1)

    (entry,) = store.get(1).errors
    assert len(entry.error.encode()) <= TEXT_LIMIT
    assert f"cut to {TEXT_LIMIT}" in entry.error


def test_a_long_stack_trace_keeps_its_beginning_and_its_end(store):
    store.insert(a_new_job())
    (job,) = store.claim()

    trace = "begin" + "x" * 10**6 + "end"
    store.end(job, Failed("no", trace), now=1)

    (entry,) = store.get(1).errors
    assert len(entry.stack_trace.encode()) <= TRACE_LIMIT
    assert entry.stack_trace.startswith("begin")
    assert entry.stack_trace.endswith("end")
    assert f"cut to {TRACE_LIMIT}" in entry.stack_trace
