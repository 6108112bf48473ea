"""Jobs whose limits have a rate, and queues that are limited as a whole, by verbs alone."""

from random import Random

import pytest
from msgspec.structs import replace
from support.stored_jobs import Store, a_new_job

from antq_actors.flow.limits import LimitRule, RateRule
from antq_actors.jobs.outcome import Completed, Failed
from antq_actors.jobs.state import Status
from antq_actors.storage.format.records import Settlement

SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND


@pytest.fixture
def store(env):
    store = Store(env).has_nodes(1, 2)
    rules = [
        LimitRule("ten", keyed=True, rate=RateRule(10, SECOND)),
        LimitRule("burst", keyed=False, rate=RateRule(2, 10 * SECOND, burst=3)),
        LimitRule("hourly", keyed=True, rate=RateRule(3, 3_600 * SECOND, fixed=True)),
    ]
    store.declare_limits(rules, replace=True, now=NOW)
    return store


def insert(store, *limits, count=1, now=NOW, **options):
    return store.insert_many([a_new_job(now=now, gates=limits, **options)] * count)


def claim(store, now=NOW, queue="mail", limit=50):
    found = store.work(queue, [], node=1, limit=limit, now=now)
    return len(found.jobs), found.next_due


def rows(store, name):
    def read(txn):
        return txn.stat(store.env.tables.further(txn, name))["entries"]

    return store.env.read(read)


def test_a_claim_says_when_the_next_of_a_key_may_start(store):
    insert(store, ("ten", "a"), count=3)

    assert claim(store) == (1, NOW + SECOND // 10)
    assert claim(store, NOW + SECOND // 10 - 1) == (0, NOW + SECOND // 10)
    assert claim(store, NOW + SECOND // 10) == (1, NOW + SECOND // 5)
    assert claim(store, NOW + SECOND) == (1, None)


def test_keys_have_rates_of_their_own(store):
    for key in "abc":
        insert(store, ("ten", key), count=2)

    assert claim(store) == (3, NOW + SECOND // 10)


def test_a_burst_starts_together_and_is_then_made_up_for(store):
    insert(store, "burst", count=5)

    assert claim(store) == (3, NOW + 5 * SECOND)
    assert claim(store, NOW + 5 * SECOND) == (1, NOW + 10 * SECOND)


def test_a_fixed_window_opens_on_the_hour(store):
    insert(store, ("hourly", 1), count=5)
    hour = NOW - NOW % (3_600 * SECOND) + 3_600 * SECOND

    assert claim(store) == (3, hour)
    assert claim(store, hour) == (2, None)


@pytest.mark.parametrize("hours", [2, 24 * 365])
def test_a_clock_that_was_set_back_closes_no_window_that_is_not_there_yet(store, hours):
    insert(store, ("hourly", 1), count=7)
    assert claim(store)[0] == 3
    back = NOW - hours * 3_600 * SECOND
    hour = back - back % (3_600 * SECOND) + 3_600 * SECOND

    assert claim(store, back) == (3, hour)
    assert claim(store, hour) == (1, None)


def test_a_retry_counts_as_a_start(store):
    insert(store, ("ten", "a"), max_attempts=2)
    (job,) = store.claim(limit=1, now=NOW)
    store.end(job, Failed("no", None, 0.0), now=NOW)

    assert claim(store) == (0, NOW + SECOND // 10)
    assert claim(store, NOW + SECOND // 10)[0] == 1


def test_a_gate_is_deleted_within_a_second_of_being_as_new(store):
    insert(store, ("ten", "a"))
    (job,) = store.claim(limit=1, now=NOW)
    settled = store.work("mail", [Settlement(job.id, 1, Completed())], node=1, limit=1, now=NOW + 1)
    assert rows(store, "gates") == len(("number", "record"))
    assert NOW + SECOND // 10 <= settled.next_due <= NOW + SECOND

    claim(store, settled.next_due)

    assert (rows(store, "gates"), rows(store, "openings")) == (0, 0)


def test_a_clock_that_was_set_back_closes_no_key_for_longer_than_its_burst(store):
    insert(store, ("ten", "a"), count=3)
    insert(store, ("hourly", "a"))
    assert claim(store)[0] == 2
    back = NOW - 3_600 * SECOND

    found, opens_at = claim(store, back)

    assert found == 0
    assert opens_at <= back + 2 * SECOND // 10
    assert claim(store, opens_at)[0] == 1


def test_weights_count(store):
    new = a_new_job(now=NOW, gates=["burst"])
    (ref,) = new.spec.flow.gates
    heavy = new._replace(
        spec=replace(new.spec, flow=replace(new.spec.flow, gates=(replace(ref, weight=2),)))
    )
    store.insert_many([heavy, heavy, new])

    assert claim(store) == (1, NOW + 5 * SECOND)
    assert claim(store, NOW + 5 * SECOND)[0] == 1
    assert claim(store, NOW + 5 * SECOND) == (0, NOW + 10 * SECOND)


@pytest.mark.parametrize("seed", range(4))
def test_in_no_span_start_more_than_the_limit_and_burst_less_one(store, seed):
    random = Random(seed)  # noqa: S311 - no secret
    rate = RateRule(7, SECOND, burst=3)
    store.declare_limits([LimitRule("seven", keyed=True, rate=rate)], replace=True, now=NOW)
    for key in "ab":
        insert(store, ("seven", key), count=25, max_attempts=3)
    now, starts, found = NOW, {"a": [], "b": []}, None

    while store.count() > store.counts("mail")[Status.COMPLETED]:
        found = store.work("mail", [], node=1, limit=random.choice([1, 3, 50]), now=now)
        for job in found.jobs:
            (ref,) = job.spec.flow.gates
            starts[ref.text].append(job.state.started_at)
            store.end(job, random.choice([Completed(), Failed("no", None, 0.0)]), now=now)
        if store.counts("mail")[Status.FAILED]:
            store.prune(finished_before=now + 1, limit=99)
        step = random.choice([0, 1, SECOND // 100, SECOND // 3])
        now = max(now + step, found.next_due or 0) if random.random() < 0.5 else now + step

    for times in starts.values():
        assert len(times) >= 25
        for at in times:
            assert sum(at <= each < at + SECOND for each in times) <= 7 + 3 - 1


# ---- a queue as a whole ------------------------------------------------------------------------


def test_of_a_queue_no_more_run_on_all_nodes_than_its_global_concurrency(store):
    store.declare_queue("mail", 3, None, now=NOW)
    insert(store, count=4)
    insert(store, ("ten", 1))

    assert claim(store, limit=2) == (2, None)
    (job,) = store.work("mail", [], node=2, limit=9, now=NOW).jobs
    assert claim(store) == (0, None)
    store.end(job, Completed(), now=NOW)

    assert claim(store)[0] == 1


def test_a_queue_that_was_never_limited_is_not_by_the_limit_of_another(store):
    store.declare_queue("mail", 1, None, now=NOW)
    insert(store, count=3)
    insert(store, count=3, queue="other")

    assert claim(store)[0] == 1
    assert claim(store, queue="other") == (3, None)


def test_the_global_concurrency_that_was_set_goes_before_that_of_the_code(store):
    store.declare_queue("mail", 1, None, now=NOW)
    insert(store, count=9)
    store.set_global_concurrency("mail", 3)
    store.declare_queue("mail", 2, None, now=NOW)

    assert claim(store)[0] == 3
    store.set_global_concurrency("mail", None)
    assert claim(store)[0] == 6


def test_a_queue_starts_its_jobs_at_its_rate(store):
    store.declare_queue(
        "mail", None, LimitRule("mail", keyed=False, rate=RateRule(4, SECOND, 2)), now=NOW
    )
    insert(store, count=5)

    assert claim(store) == (2, NOW + SECOND // 4)
    assert claim(store, NOW + SECOND // 4) == (1, NOW + SECOND // 2)
    assert claim(store, NOW + SECOND)[0] == 2
    (info,) = [info for info in store.limit_infos(NOW + SECOND) if info.name == "mail"]
    assert (info.running, info.waiting, info.per) == (5, 0, 1.0)


def test_a_queue_of_which_the_code_says_nothing_any_more_is_as_before(store):
    store.declare_queue(
        "mail", 1, LimitRule("mail", keyed=False, rate=RateRule(1, SECOND)), now=NOW
    )
    insert(store, count=5)
    store.declare_queue("mail", None, None, now=NOW)

    assert claim(store) == (5, None)
