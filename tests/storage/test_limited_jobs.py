"""Jobs with limits in the store: which of them runs when, by verbs alone."""

import pytest
from support.raw_jobs import put_garbage_for_state
from support.stored_jobs import Store, a_new_job, gate

from antq_actors.errors import JobNotFound
from antq_actors.flow.limits import ConcurrencyRule, LimitRule, RateRule, gate_id
from antq_actors.jobs.outcome import Completed, Failed, GivenBack, RateLimited
from antq_actors.jobs.state import ACTIVE, Status
from antq_actors.storage.format.records import Chosen, Filter, Settlement
from antq_actors.storage.jobs import job_store
from antq_actors.storage.jobs.gates import GateTable
from antq_actors.storage.jobs.table import JobEntries
from antq_actors.storage.lmdb.open_stores import open_environment

ENQUEUED = frozenset({Status.ENQUEUED})
SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND
HUNDRED_A_SECOND = RateRule(100, SECOND, burst=5)


@pytest.fixture
def store(env):
    store = Store(env).has_nodes(1, 2)
    declare(store, account=1, pair=2, proxy=1)
    return store


def declare(store, **limits):
    rules = [
        LimitRule(name, keyed=True, rate=given)
        if isinstance(given, RateRule)
        else LimitRule(name, keyed=True, concurrency=ConcurrencyRule(given))
        for name, given in limits.items()
    ]
    store.declare_limits(rules, replace=True, now=0)


def insert(store, *limits, now=0, **options):
    return store.insert(a_new_job(now=now, gates=limits, **options))


def ids(jobs):
    return [job.id for job in jobs]


def gate_of(store, *of_gate):
    return store.env.read(lambda txn: GateTable(txn, store.env.tables).gate(gate(*of_gate), 0))


def test_of_a_key_no_more_run_than_may(store):
    for _ in range(3):
        insert(store, ("pair", "a"))
    other = insert(store, ("pair", "b"))

    assert ids(store.claim(limit=9)) == [1, other, 2]
    assert store.claim(limit=9, node=2) == []
    assert store.count(ENQUEUED) == 1


@pytest.mark.parametrize("outcome", [Completed(), Failed("no"), Failed("no", None, 60.0)])
def test_the_next_of_a_key_runs_when_one_has_left(store, outcome):
    for _ in range(2):
        insert(store, ("account", 7), max_attempts=2)
    (first,) = store.claim(limit=9)

    store.end(first, outcome)

    assert 2 in ids(store.claim(limit=9))


def test_the_next_of_a_key_runs_when_the_first_was_deleted_or_its_node_died(store):
    for _ in range(3):
        insert(store, ("account", 7))
    store.claim(limit=9)
    store.delete(1, now=0)
    assert ids(store.claim(limit=9)) == [2]

    store.rescue(node=1, now=0, max_interruptions=1, reason="it died")

    assert ids(store.claim(limit=9, node=2)) == [3]


def test_a_job_that_was_given_back_is_the_first_of_its_key(store):
    insert(store, ("account", 7))
    (first,) = store.claim(limit=9)
    insert(store, ("account", 7), priority=9)

    store.end(first, GivenBack())

    assert ids(store.claim(limit=9)) == [first.id]


def test_within_a_key_priority_goes_first_and_then_the_id(store):
    for priority in (0, 0, 5, -1):
        insert(store, ("account", 7), priority=priority)

    order = []
    for _ in range(4):
        (job,) = store.claim(limit=9)
        order.append(job.id)
        store.end(job, Completed())

    assert order == [3, 1, 2, 4]


def test_keys_take_turns_with_each_other_and_with_jobs_without_limits(store):
    for _ in range(4):
        insert(store, ("account", "many"))
    insert(store, ("account", "few"))
    insert(store)
    insert(store, ("account", "few"))

    order = []
    for _ in range(7):
        (job,) = store.claim(limit=1)
        order.append(job.id)
        store.end(job, Completed())

    assert order == [1, 5, 6, 2, 7, 3, 4]


def test_a_claim_takes_jobs_with_and_without_limits_in_one_order(store):
    for limits in ([], [("account", 1)], [], [], [("account", 2)], []):
        insert(store, *limits)

    assert ids(store.claim(limit=5)) == [1, 2, 3, 4, 5]


def test_all_limits_of_a_job_have_to_be_open(store):
    both = insert(store, ("account", 1), "proxy")
    insert(store, "proxy")
    (job,) = store.claim(limit=9)
    assert job.id == both
    third = insert(store, ("account", 1))

    assert store.claim(limit=9) == []
    store.end(job, Completed())

    assert ids(store.claim(limit=9)) == [2, third]


def test_a_paused_queue_keeps_no_other_from_a_limit_that_they_share(store):
    insert(store, "proxy", queue="paused")
    store.set_paused("paused", paused=True)
    other = insert(store, "proxy", queue="mail")

    (job,) = store.claim(limit=9)
    assert job.id == other
    store.set_paused("paused", paused=False)
    assert store.claim(limit=9, queue="paused") == []
    store.end(job, Completed())

    assert ids(store.claim(limit=9, queue="paused")) == [1]


def test_a_queue_learns_that_another_one_has_left_a_limit(store):
    insert(store, "proxy")
    insert(store, "proxy", queue="other")
    (job,) = store.claim(limit=9)
    assert store.claim(limit=9, queue="other") == []

    def settle(jobs):
        jobs.work("mail", [Settlement(job.id, 1, Completed())], node=1, limit=0, now=0)
        return set(jobs.due)

    assert job_store.write(store.env, settle) == {"other"}


def test_a_scheduled_job_that_comes_due_waits_for_its_limit(store):
    insert(store, ("account", 7))
    insert(store, ("account", 7), due=50)
    (job,) = store.claim(limit=9)

    assert store.claim(limit=9, now=60) == []
    assert store.get(2).state.status is Status.ENQUEUED
    store.end(job, Completed(), now=61)

    assert ids(store.claim(limit=9, now=61)) == [2]


def test_a_job_that_waits_for_a_limit_is_listed_as_the_others_are(store):
    for limits in ([("account", 1)], [], [("account", 1)], [("account", 2)], []):
        insert(store, *limits)

    assert store.ids(Filter(ENQUEUED, "mail")) == [1, 2, 3, 4, 5]
    assert store.facts("mail", 10).due == 5
    assert store.facts("mail", 10).oldest_due == 0


def test_a_claim_looks_at_a_bounded_number_of_jobs_that_cannot_run(store):
    for n in range(80):
        insert(store, ("pair", n), ("proxy"), queue="mail")
    declare(store, pair=2)
    for n in range(80):
        insert(store, ("pair", n), queue="mail")

    claim = store.work("mail", [], node=1, limit=1, now=5)

    assert len(claim.jobs) == 1


def test_a_claim_that_has_looked_at_too_many_due_jobs_asks_to_look_again(store):
    insert(store, ("account", 7))
    store.claim()
    store.insert_many([a_new_job(gates=[("account", 7)], due=5)] * 80)
    last = insert(store)

    claim = store.work("mail", [], node=1, limit=10, now=9)

    assert (claim.jobs, claim.next_due) == ([], 9)
    assert ids(store.claim(limit=10, now=9)) == [last]


def test_a_claim_leaves_a_job_where_it_waits_that_was_in_front_when_the_claim_began(store):
    for _ in range(3):
        insert(store, ("account", 7))
    store.claim()

    def claim_again(jobs):
        record = JobEntries(jobs._txn, store.env.tables).record(2)
        return jobs.limited.admits(2, record, 0)

    assert not job_store.write(store.env, claim_again)
    assert store.findings() == []


@pytest.mark.parametrize("name", ["nope", "", "\ud800"])
def test_a_limit_that_a_job_does_not_have_is_a_failed_attempt(store, name):
    insert(store, ("account", 7))
    (job,) = store.claim()

    store.end(job, GivenBack(closes=RateLimited(1, name)))

    failed = store.get(job.id)
    assert failed.state.status is Status.FAILED
    assert repr(name) in failed.errors[0].error


@pytest.mark.parametrize(
    "change",
    [
        lambda store, then: insert(store, ("hasty", "a"), now=then),
        lambda store, then: store.cancel(6, now=then),
        lambda store, then: store.delete(6, now=then),
        lambda store, then: store.resume_limit("hasty", None, then),
    ],
    ids=["insert", "cancel", "delete", "resume"],
)
def test_a_change_that_had_to_wait_for_the_writer_takes_back_no_start(store, change):
    declare(store, hasty=HUNDRED_A_SECOND)
    for _ in range(9):
        insert(store, ("hasty", "a"), now=NOW)
    assert ids(store.claim(limit=9, now=NOW + SECOND)) == [1, 2, 3, 4, 5]

    change(store, NOW)  # its time is older than that of the claim

    assert ids(store.claim(limit=9, now=NOW + SECOND + 1)) == []


def test_a_rate_is_not_closed_for_long_when_the_clock_was_set_back(store):
    declare(store, hasty=HUNDRED_A_SECOND)
    for _ in range(7):
        insert(store, ("hasty", "a"), now=NOW)
    assert ids(store.claim(limit=9, now=NOW)) == [1, 2, 3, 4, 5]
    assert ids(store.claim(limit=9, now=NOW)) == []
    back = NOW - 3_600 * SECOND

    assert ids(store.claim(limit=9, now=back)) == []
    assert ids(store.claim(limit=9, now=back + SECOND // 50)) == [6]


def test_a_larger_number_lets_jobs_run_at_once_and_a_smaller_one_stops_none(store):
    for _ in range(4):
        insert(store, ("account", 7))
    first = store.claim(limit=9)
    declare(store, account=3)
    more = store.claim(limit=9)
    assert ids(more) == [2, 3]
    declare(store, account=1)

    for job in (*first, *more):
        assert store.claim(limit=9) == []
        store.end(job, Completed())

    assert ids(store.claim(limit=9)) == [4]


def test_a_job_of_a_limit_that_no_code_has_declared_runs(store):
    insert(store, ("unheard-of", 1))

    assert ids(store.claim(limit=9)) == [1]


def test_a_gate_without_jobs_is_deleted(store):
    insert(store, ("account", 7))
    (job,) = store.claim(limit=9)
    assert gate_of(store, "account", 7).key == "7"
    store.end(job, Completed())

    assert gate_of(store, "account", 7).key is None


def test_many_jobs_of_a_key_that_come_together_wait_in_order(store):
    found = store.insert_many([a_new_job(gates=[("account", n % 2)]) for n in range(6)])

    assert found == [1, 2, 3, 4, 5, 6]
    assert ids(store.claim(limit=9)) == [1, 2]


def test_a_retried_job_waits_for_its_limits_again(store):
    insert(store, ("account", 7))
    (job,) = store.claim(limit=9)
    store.end(job, Completed())
    insert(store, ("account", 7))
    (second,) = store.claim(limit=9)

    store.retry(job.id, now=0)
    assert store.claim(limit=9) == []
    store.end(second, Completed())

    assert ids(store.claim(limit=9)) == [job.id]


def test_jobs_with_limits_that_change_in_bulk_leave_and_find_their_places(store):
    for _ in range(4):
        insert(store, ("account", 7))
    for _ in range(3):
        (job,) = store.claim(limit=9)
        store.end(job, Failed("no"))

    retried = store.retry_many([1, 2, 3], Chosen(frozenset({Status.FAILED})), now=1)
    assert retried.changed == 3
    assert ids(store.claim(limit=9, now=1)) == [4]
    cancelled = store.cancel_many([1, 4], Chosen(ACTIVE), now=2)
    assert cancelled.changed == 2
    deleted = store.delete_many([2, 4], Chosen(), now=3)

    assert deleted.changed == 2
    assert ids(store.claim(limit=9, now=4)) == [3]


def test_a_job_with_limits_that_is_rescheduled_lets_the_next_one_come(store):
    insert(store, ("account", 7))
    insert(store, ("account", 7))

    store.reschedule(1, due=50, now=1)

    assert ids(store.claim(limit=9, now=2)) == [2]
    store.run_now(1, now=3)
    assert store.claim(limit=9, now=4) == []


# ---- damage ---------------------------------------------------------------------------------


def put(store, name, key, value):
    def work(txn):
        tables = store.env.tables
        table = getattr(tables, name, None) or tables.further(txn, name)
        if value is None:
            txn.delete(key, db=table)
        else:
            txn.put(key, value, db=table)

    store.env.write(work)


def garble(store, id_):
    store.env.write(lambda txn: put_garbage_for_state(txn, store.env.tables, id_))


@pytest.mark.parametrize("garbage", [b"", b"\xff garbage", None])
def test_a_damaged_gate_is_found_and_counted_anew(store, garbage):
    for _ in range(3):
        insert(store, ("account", 7))
    (job,) = store.claim(limit=9)
    put(store, "gates", gate("account", 7), garbage)
    assert store.findings()

    if garbage is None:  # nothing says that it is damaged
        return
    job_store.write(store.env, lambda jobs: jobs.settle(Settlement(job.id, 1, Completed()), now=0))

    assert store.findings() == []
    assert ids(store.claim(limit=9)) == [2]


def test_a_damaged_limit_is_found_and_closes_nothing_until_it_is_declared(store):
    for _ in range(3):
        insert(store, ("account", 7))
    put(store, "limits", gate("account")[:8], b"\xff garbage")
    assert any("limits:" in finding for finding in store.findings())

    declare(store, account=1)

    assert store.findings() == []
    assert ids(store.claim(limit=9)) == [1]


def test_a_damaged_job_in_front_of_a_limit_keeps_nobody_from_it(store):
    for _ in range(2):
        insert(store, ("account", 7))
    garble(store, 1)

    assert ids(store.claim(limit=9)) == [2]
    assert store.get(1).state.status is Status.FAILED


def test_a_damaged_job_that_ran_keeps_nobody_from_its_limit(store):
    for _ in range(2):
        insert(store, ("account", 7))
    store.claim(limit=9)
    garble(store, 1)

    job_store.write(store.env, lambda jobs: jobs.delete(1))

    assert store.findings() == []
    assert ids(store.claim(limit=9)) == [2]
    with pytest.raises(JobNotFound):
        store.get(1)


def test_a_damaged_job_in_a_room_is_left_out(store):
    for _ in range(3):
        insert(store, ("account", 7))
    (job,) = store.claim(limit=9)
    garble(store, 2)

    job_store.write(store.env, lambda jobs: jobs.settle(Settlement(job.id, 1, Completed()), now=0))

    assert store.findings() == []
    assert ids(store.claim(limit=9)) == [3]


# ---- what others pay -------------------------------------------------------------------------


def test_a_store_without_limits_has_no_row_for_them(store, tmp_path):
    env = open_environment(tmp_path / "plain", durable=False)
    plain = Store(env).has_nodes(1)
    insert(plain)
    (job,) = plain.claim()
    plain.end(job, Completed())

    assert env.read(lambda txn: job_store.JobReader(txn, env.tables)._meta.limited()) == []
    env.close()


def test_gates_of_a_limit_stand_together():
    assert gate_id("a", b"1")[:8] == gate_id("a", b"2")[:8] != gate_id("b", b"1")[:8]
