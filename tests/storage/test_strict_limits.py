"""Jobs of a key that keep their order until they have ended."""

import pytest
from support.stored_jobs import Store, a_new_job, gate

from antq_actors.flow.limits import ConcurrencyRule, LimitRule
from antq_actors.jobs.outcome import Cancelled, Completed, Failed, GivenBack, Snoozed
from antq_actors.jobs.state import Status

SECOND = 1_000_000


@pytest.fixture
def store(env):
    store = Store(env).has_nodes(1, 2)
    rules = [
        LimitRule("chain", keyed=True, concurrency=ConcurrencyRule(1, strict=True)),
        LimitRule("two", keyed=True, concurrency=ConcurrencyRule(2, strict=True)),
        LimitRule(
            "halts",
            keyed=True,
            concurrency=ConcurrencyRule(1, strict=True, halt_on_failure=True),
        ),
    ]
    store.declare_limits(rules, replace=True, now=0)
    return store


def insert(store, *limits, **options):
    return store.insert(a_new_job(gates=limits, max_attempts=2, **options))


def claim(store, now=0):
    return store.claim(limit=9, now=now)


def ids(jobs):
    return [job.id for job in jobs]


@pytest.mark.parametrize(
    ("outcome", "due"), [(Failed("no", None, 5.0), 5), (Snoozed(5.0), 5), (GivenBack(), 0)]
)
def test_a_job_that_has_begun_keeps_its_place_until_it_has_ended(store, outcome, due):
    for _ in range(2):
        insert(store, ("chain", "a"))
    other = insert(store, ("chain", "b"))
    first, second = claim(store)
    assert (first.id, second.id) == (1, other)

    store.end(first, outcome)
    if due:
        assert claim(store, due * SECOND - 1) == []
    assert ids(claim(store, due * SECOND)) == [1]
    store.end(store.get(1), Completed(), now=due * SECOND)

    assert ids(claim(store, due * SECOND)) == [2]


def test_a_scheduled_job_holds_back_those_that_came_after_it(store):
    insert(store, ("chain", "a"), due=5 * SECOND)
    insert(store, ("chain", "a"))

    assert claim(store) == []
    assert ids(claim(store, 5 * SECOND)) == [1]


def test_a_job_that_is_not_the_first_waits_when_it_comes_due(store):
    insert(store, ("chain", "a"))
    insert(store, ("chain", "a"), due=5)
    (first,) = claim(store)

    assert claim(store, 5) == []
    assert store.get(2).state.status is Status.ENQUEUED
    store.end(first, Completed(), now=6)

    assert ids(claim(store, 6)) == [2]


def test_as_many_as_the_limit_keep_their_places(store):
    for _ in range(4):
        insert(store, ("two", "a"))
    one, two = claim(store)
    store.end(one, Failed("no", None, 5.0))
    assert claim(store) == []
    store.end(two, Completed())

    assert ids(claim(store)) == [3]
    assert claim(store, SECOND) == []
    assert ids(claim(store, 5 * SECOND)) == [1]
    assert store.gate_status("two", gate("two", "a"), 0).holders == (1, 3)


def test_priority_counts_among_those_that_have_not_begun(store):
    for priority in (0, 0, 5):
        insert(store, ("chain", "a"), priority=priority)
    (first,) = claim(store)
    assert first.id == 3
    insert(store, ("chain", "a"), priority=9)
    store.end(first, Failed("no", None, 5.0))

    assert claim(store) == []
    assert ids(claim(store, 5 * SECOND)) == [3]


@pytest.mark.parametrize("outcome", [Failed("no"), Cancelled("enough"), Completed()])
def test_a_job_that_has_ended_lets_the_next_one_go(store, outcome):
    store.insert(a_new_job(gates=[("chain", "a")]))
    insert(store, ("chain", "a"))
    (first,) = claim(store)

    store.end(first, outcome)

    assert ids(claim(store)) == [2]


@pytest.mark.parametrize("verb", ["cancel", "delete"])
def test_a_job_that_waits_for_its_retry_and_is_ended_by_hand_lets_the_next_one_go(store, verb):
    for _ in range(2):
        insert(store, ("chain", "a"))
    (first,) = claim(store)
    store.end(first, Failed("no", None, 60.0))
    assert claim(store) == []

    getattr(store, verb)(1, now=0)

    assert ids(claim(store)) == [2]


def a_halted_key(store):
    store.insert(a_new_job(gates=[("halts", "a")]))
    insert(store, ("halts", "a"))
    (first,) = claim(store)
    store.end(first, Failed("no"))
    assert store.get(1).state.status is Status.FAILED
    assert claim(store) == []


def test_a_halted_key_goes_on_when_what_failed_was_retried_with_success(store):
    a_halted_key(store)
    store.retry(1, now=0)
    (first,) = claim(store)
    assert first.id == 1

    store.end(first, Completed())

    assert ids(claim(store)) == [2]


def test_a_halted_key_goes_on_when_what_failed_was_deleted_or_pruned(store):
    a_halted_key(store)
    store.delete(1, now=0)
    assert ids(claim(store)) == [2]


def test_a_halted_key_goes_on_when_what_failed_was_pruned(store):
    a_halted_key(store)

    assert store.prune(finished_before=9, limit=9) == 1
    assert ids(claim(store)) == [2]


def test_a_halted_key_stays_halted_when_the_retry_fails(store):
    a_halted_key(store)
    store.retry(1, now=0)
    (first,) = claim(store)

    store.end(first, Failed("no"))

    assert claim(store) == []
    assert store.get(1).state.status is Status.FAILED


def test_a_retried_job_of_a_key_that_went_on_waits_for_its_turn(store):
    for _ in range(3):
        insert(store, ("chain", "a"))
    (first,) = claim(store)
    store.end(first, Completed())
    (second,) = claim(store)

    store.retry(1, now=0)
    assert claim(store) == []
    store.end(second, Completed())

    assert ids(claim(store)) == [1]


def test_an_order_that_is_strict_no_more_holds_nobody_back(store):
    for _ in range(2):
        insert(store, ("chain", "a"))
    (first,) = claim(store)
    store.end(first, Failed("no", None, 60.0))
    rule = LimitRule("chain", keyed=True, concurrency=ConcurrencyRule(1))

    store.declare_limits([rule], replace=True, now=0)

    assert ids(claim(store)) == [2]


def test_a_job_that_has_begun_is_the_first_at_each_of_its_strict_limits(env):
    store = Store(env).has_nodes(1)
    names = sorted(["left", "right"], key=gate)  # the order in which jobs pass them
    rules = [
        LimitRule(name, keyed=False, concurrency=ConcurrencyRule(1, strict=True)) for name in names
    ]
    store.declare_limits(rules, replace=True, now=0)
    one = store.insert(a_new_job(gates=names, max_attempts=2))
    (job,) = store.claim()
    for name in names:
        store.pause_limit(name, None, None, 0)
    store.end(job, Failed("no", None, 0.0))
    assert store.claim(now=1) == []
    two = store.insert(a_new_job(gates=names[1:], priority=5))

    for name in names:
        store.resume_limit(name, None, 1)

    (job,) = store.claim(limit=9, now=1)
    assert job.id == one
    store.end(job, Completed())
    assert [job.id for job in store.claim(now=1)] == [two]


@pytest.mark.parametrize("most", [(2, 1), (1, 2), (2, 2)])
def test_a_job_that_others_are_before_is_in_nobodys_way_at_its_other_limits(env, most):
    store = Store(env).has_nodes(1)
    names = sorted(["left", "right"], key=gate)  # the order in which jobs pass them
    rules = [
        LimitRule(name, keyed=False, concurrency=ConcurrencyRule(n, strict=True))
        for name, n in zip(names, most, strict=True)
    ]
    store.declare_limits(rules, replace=True, now=0)
    for _ in range(min(most)):
        insert(store, *names, due=5 * SECOND)
    last = insert(store, *names)
    assert claim(store) == []

    done = []
    for now in range(5, 9):
        for job in claim(store, now * SECOND):
            done.append(job.id)
            store.end(job, Completed(), now=now * SECOND)

    assert done == list(range(1, last + 1))


@pytest.mark.parametrize("is_strict", [True, False])
def test_jobs_of_before_and_after_a_change_of_order_do_not_wait_for_each_other(env, is_strict):
    store = Store(env).has_nodes(1)
    first, changed = sorted(["left", "right"], key=gate)

    def declare(*, strict):
        rules = [
            LimitRule(first, keyed=False, concurrency=ConcurrencyRule(1)),
            LimitRule(changed, keyed=False, concurrency=ConcurrencyRule(1, strict=strict)),
        ]
        store.declare_limits(rules, replace=True, now=0)

    declare(strict=is_strict)
    passed_first = changed if is_strict else first
    store.pause_limit(passed_first, None, None, 0)
    insert(store, first, changed)
    declare(strict=not is_strict)
    insert(store, first, changed)
    store.resume_limit(passed_first, None, 0)

    for id_ in (1, 2):
        (job,) = claim(store)
        assert job.id == id_
        store.end(job, Completed())


def test_a_job_of_another_queue_waits_for_its_turn_as_well(store):
    insert(store, ("chain", "a"), due=5 * SECOND)
    other = insert(store, ("chain", "a"), queue="mail2")
    assert store.claim(limit=9, queue="mail2") == []

    (first,) = claim(store, 5 * SECOND)
    store.end(first, Completed(), now=5 * SECOND)

    assert ids(store.claim(limit=9, queue="mail2", now=5 * SECOND)) == [other]


def test_an_order_that_is_strict_from_now_on_is_kept_by_the_jobs_that_come(store):
    fair = LimitRule("chain", keyed=True, concurrency=ConcurrencyRule(1))
    store.declare_limits([fair], replace=True, now=0)
    before = insert(store, ("chain", "a"))
    store.end(*claim(store), Failed("no", None, 9.0))
    strict = LimitRule("chain", keyed=True, concurrency=ConcurrencyRule(1, strict=True))
    store.declare_limits([strict], replace=True, now=0)

    first, second = insert(store, ("chain", "a")), insert(store, ("chain", "a"))

    assert ids(claim(store)) == [first]
    store.end(store.get(first), Failed("no", None, 5.0))
    assert claim(store) == []
    assert ids(claim(store, 5 * SECOND)) == [first]
    store.end(store.get(first), Completed(), now=5 * SECOND)
    assert ids(claim(store, 5 * SECOND)) == [second]
    store.end(store.get(second), Completed(), now=5 * SECOND)
    assert ids(claim(store, 9 * SECOND)) == [before]
