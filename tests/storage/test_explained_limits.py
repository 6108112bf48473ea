"""Why jobs with limits do not run, against what the next claim takes."""

from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import pytest
from msgspec.structs import replace
from support.stored_jobs import Store, a_new_job
from test_limits_model import Walk

from antq_actors import JobNotFound, explain
from antq_actors.explain import judge
from antq_actors.flow.limits import ConcurrencyRule, GateKey, LimitRule, RateRule, gate_id
from antq_actors.jobs import instant
from antq_actors.jobs.outcome import Completed, Failed, GivenBack, RateLimited
from antq_actors.jobs.state import CLAIMABLE, GateRef, JobFlow
from antq_actors.jobs.unique import canonical
from antq_actors.storage.format.records import Filter, Settlement
from antq_actors.storage.jobs import job_store
from antq_actors.storage.lmdb.open_stores import open_environment

SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND
FREE = judge.NodeFacts(1, 0, 1_000)


@pytest.fixture
def store(env):
    store = Store(env).has_nodes(1, 2)
    rules = [
        LimitRule("account", keyed=True, concurrency=ConcurrencyRule(1)),
        LimitRule("pair", keyed=False, concurrency=ConcurrencyRule(2)),
        LimitRule("ten", keyed=True, rate=RateRule(10, SECOND)),
        LimitRule("both", keyed=True, concurrency=ConcurrencyRule(1), rate=RateRule(1, SECOND)),
    ]
    store.declare_limits(rules, replace=True, now=NOW)
    return store


def key_of(name, value):
    key = None if value is None else canonical(value)
    text = value if value is None or isinstance(value, str) else repr(value)
    return GateKey(gate_id(name, key), name, key, text)


def insert(store, *limits, now=NOW, **options):
    """Store a job with these limits, each a name or a name and the value of its key."""
    pairs = [(each, None) if isinstance(each, str) else each for each in limits]
    keys = tuple(key_of(*pair) for pair in pairs)
    new = a_new_job(now=now, **options)
    flow = JobFlow(tuple(GateRef(key.gate, text=key.text) for key in keys))
    return store.insert(new._replace(spec=replace(new.spec, flow=flow), keys=keys))


def judged(store, id_, now=NOW):
    job, record = job_store.read(store.env, lambda reader: reader.job_facts(id_, now))
    facts = judge.QueueFacts(
        record.name,
        record.is_paused,
        (FREE,),
        running=record.running,
        concurrency=record.concurrency,
        rate=record.rate,
    )
    return judge.judge_job(job, facts, now=now)


def record(store, now=NOW, queue="mail"):
    return job_store.read(store.env, lambda reader: reader.queue_record(queue, now))


def at(moment):
    return datetime.fromtimestamp(moment / SECOND, UTC)


def test_a_full_key_names_its_limit_its_key_its_holders_and_who_is_before(store):
    for _ in range(4):
        insert(store, ("account", "acme"))
    insert(store, ("account", "other"))
    store.claim(limit=1, now=NOW)

    assert judged(store, 2) == (explain.KeyFull("account", "acme", (1,), 0),)
    assert judged(store, 4) == (explain.KeyFull("account", "acme", (1,), 2),)
    assert judged(store, 5) == ()


def test_more_than_a_thousand_that_wait_before_are_not_counted(store):
    new = a_new_job(now=NOW, gates=["pair"])
    store.insert_many([new] * 1_005)
    store.claim(limit=9, now=NOW)

    assert judged(store, 1_003)[0].before == 1_000
    assert judged(store, 1_004)[0].before == "more than 1,000"


@pytest.mark.parametrize(
    "value", ["acme", "7", 7, ("eu", 7), True, UUID(int=5), datetime(2026, 1, 1, tzinfo=UTC)]
)
def test_the_key_is_the_value_that_a_handle_takes(store, value):
    insert(store, ("account", value), args={"account": value})
    insert(store, ("account", value), args={"account": value})
    store.claim(limit=9, now=NOW)

    assert judged(store, 2) == (explain.KeyFull("account", value, (1,), 0),)


def test_a_key_that_cannot_be_found_again_is_its_text(store):
    for _ in range(2):
        insert(store, ("account", UUID(int=5)))
    store.claim(limit=9, now=NOW)

    assert judged(store, 2)[0].key == repr(UUID(int=5))


def test_a_full_limit_without_keys_has_none(store):
    for _ in range(3):
        insert(store, "pair")
    store.claim(limit=9, now=NOW)

    assert judged(store, 3) == (explain.KeyFull("pair", None, (1, 2), 0),)


def test_a_rate_says_when_it_opens_and_how_many_are_before(store):
    for _ in range(3):
        insert(store, ("ten", "a"))
    store.claim(limit=9, now=NOW)
    opens_at = NOW + SECOND // 10

    assert judged(store, 2) == (explain.RateFull("ten", "a", at(opens_at)),)
    assert judged(store, 3) == (
        explain.RateFull("ten", "a", at(opens_at)),
        explain.Behind(1),
    )
    assert judged(store, 2, opens_at) == ()


def test_all_that_closes_a_key_is_told(store):
    for _ in range(2):
        insert(store, ("both", "a"))
    store.claim(limit=9, now=NOW)
    store.pause_limit("both", key_of("both", "a"), None, NOW)

    assert judged(store, 2) == (
        explain.KeyFull("both", "a", (1,), 0),
        explain.RateFull("both", "a", at(NOW + SECOND)),
        explain.LimitPaused("both", "a"),
    )


def test_a_key_that_was_turned_away_is_told_with_the_time(store):
    for _ in range(2):
        insert(store, ("account", "a"))
    (job,) = store.claim(limit=9, now=NOW)
    store.end(job, GivenBack(closes=RateLimited(5)), now=NOW)
    opens_at = NOW + 5 * SECOND

    assert judged(store, 1) == (explain.RateFull("account", "a", at(opens_at)),)
    store.pause_limit("account", key_of("account", "a"), None, NOW)
    assert judged(store, 1) == (
        explain.RateFull("account", "a", at(opens_at)),
        explain.LimitPaused("account", "a"),
    )
    store.resume_limit("account", key_of("account", "a"), NOW)
    assert judged(store, 1) == ()


def test_a_pause_is_of_the_key_or_of_the_limit_as_a_whole(store):
    insert(store, ("ten", "a"))
    store.pause_limit("ten", key_of("ten", "a"), None, NOW)
    assert judged(store, 1) == (explain.LimitPaused("ten", "a"),)

    store.pause_limit("ten", None, NOW + SECOND, NOW)
    assert judged(store, 1) == (explain.LimitPaused("ten", None), explain.LimitPaused("ten", "a"))
    store.resume_limit("ten", key_of("ten", "a"), NOW)
    assert judged(store, 1) == (explain.LimitPaused("ten", None),)
    assert judged(store, 1, NOW + SECOND) == ()


def test_a_job_for_later_tells_of_its_full_key_too(store):
    insert(store, ("account", "acme"))
    insert(store, ("account", "acme"), due=NOW + SECOND)
    store.claim(limit=1, now=NOW)

    found = judged(store, 2)

    assert found == (
        explain.NotDue(at(NOW + SECOND)),
        explain.KeyFull("account", "acme", (1,), 0),
    )


def test_a_strict_key_names_the_job_that_has_to_end_first(store):
    strict = ConcurrencyRule(1, strict=True, halt_on_failure=True)
    store.declare_limits([LimitRule("chain", keyed=True, concurrency=strict)], replace=True)
    for _ in range(3):
        insert(store, ("chain", "a"), max_attempts=2)
    (first,) = store.claim(limit=9, now=NOW)

    assert judged(store, 3) == (
        explain.KeyFull("chain", "a", (1,), 1),
        explain.HeldByOrder(1),
    )
    store.end(first, Failed("no", None, 60.0), now=NOW)
    assert judged(store, 1)[0].code == "retry_due"
    assert judged(store, 2) == (explain.HeldByOrder(1),)
    (again,) = store.claim(limit=9, now=NOW + 60 * SECOND)
    store.end(again, Failed("no"), now=NOW + 60 * SECOND)
    assert judged(store, 2, NOW + 61 * SECOND) == (explain.HeldByOrder(1),)
    store.delete(1, now=NOW)
    assert judged(store, 2, NOW + 61 * SECOND) == ()


def test_a_queue_that_is_full_over_all_nodes_says_so(store):
    store.set_global_concurrency("mail", 2)
    for _ in range(3):
        insert(store)
    store.claim(limit=1, now=NOW, node=1)
    assert judged(store, 2) == ()
    store.claim(limit=5, now=NOW, node=2)

    assert judged(store, 3) == (explain.GlobalFull(2, 2),)
    store.set_global_concurrency("mail", 1)
    assert judged(store, 3) == (explain.GlobalFull(2, 1),)
    store.set_global_concurrency("mail", None)
    assert judged(store, 3) == ()


def test_the_rate_of_a_whole_queue_is_told_by_its_name(store):
    rule = LimitRule("mail", keyed=False, rate=RateRule(1, SECOND))
    store.declare_queue("mail", None, rule, now=NOW)
    for _ in range(2):
        insert(store)
    assert len(store.claim(limit=9, now=NOW)) == 1

    assert judged(store, 2) == (explain.RateFull("mail", None, at(NOW + SECOND)),)
    assert judged(store, 2, NOW + SECOND) == ()


def test_a_queue_names_the_limits_that_its_jobs_wait_for(store):
    for _ in range(3):
        insert(store, ("account", "acme"))
        insert(store, "pair")
        insert(store, ("ten", "x"), queue="other")
    store.claim(limit=9, now=NOW)
    store.claim(limit=9, now=NOW, queue="other")

    assert record(store).waits_for == ("account", "pair")
    assert record(store, queue="other").waits_for == ("ten",)
    assert record(store, queue="else").waits_for == ()


def test_jobs_that_wait_for_a_limit_could_not_begin_now(store):
    def due():
        return job_store.read(store.env, lambda reader: reader.could_begin("mail", NOW))

    insert(store)
    for account in ("acme", "acme", "other"):
        insert(store, ("account", account))
    assert due() == 3
    store.pause_limit("account", None, None, NOW)
    store.claim(limit=9, now=NOW)
    assert due() == 0
    store.resume_limit("account", None, NOW)
    assert due() == 2


def test_jobs_with_limits_and_without_are_counted_in_the_order_of_claims(store):
    insert(store)
    insert(store, ("account", "a"))
    insert(store, ("account", "a"))
    insert(store)
    insert(store, ("account", "b"), priority=3)

    ahead = [
        sum(each.n for each in judged(store, id_) if each.code == "behind") for id_ in range(1, 6)
    ]

    order = [job.id for job in store.claim(limit=9, now=NOW)]
    assert order == [5, 1, 2, 4]
    assert ahead == [1, 2, 4, 3, 0]


# ---- the claim and the explanation ------------------------------------------------------------


def waiting(walk):
    """The ids of all jobs that may be claimed some time."""
    found = job_store.read(walk.store.env, lambda reader: reader.page(Filter(), size=10_000))
    return [raw.id for raw in found if raw.state.status in CLAIMABLE]


@pytest.mark.parametrize("seed", range(25))
def test_a_job_with_reasons_is_not_claimed_and_with_those_changed_it_starts(tmp_path, seed):
    env = open_environment(tmp_path / "store", durable=False)
    try:
        walk = Walk(Store(env).has_nodes(1, 2), seed)
        for _ in range(40):
            walk.step()
        jobs = waiting(walk)
        if jobs:
            follow(walk.store, walk.random.choice(jobs), walk.now)
    finally:
        env.close()


def follow(store, id_, now):
    """Change what the explanations of a job name, until it is claimed.

    Without reasons it is the next one, or some gates open by time at this very claim: then those
    that come to the front of them may be before it.
    """
    queue = store.get(id_).state.queue_name
    for _ in range(200):
        found = judged(store, id_, now)
        limit = 1 + sum(each.n for each in found if each.code == "behind")
        claimed = store.work(queue, [], node=1, limit=limit, now=now).jobs
        ids = [job.id for job in claimed]
        assert found or ids
        if {each.code for each in found} - {"behind"}:
            assert id_ not in ids
        if id_ in ids:
            return
        store.work(queue, ends_of(claimed), node=1, limit=0, now=now)
        for reason in found:
            now = max(now, mended(store, reason, now))
    raise AssertionError("it never started")


def mended(store, reason, now):
    """Change what a reason names, and return when that is done."""
    match reason:
        case explain.NotDue(moment) | explain.RetryDue(moment):
            return instant.from_datetime(moment)
        case explain.RateFull(opens_at=moment):
            return instant.from_datetime(moment)
        case explain.HeldByOrder(other):
            with suppress(JobNotFound):  # it held another key, too
                store.delete(other, now=now)
        case explain.KeyFull(holders=holders):
            for holder in holders:
                state = store.get(holder).state
                store.settle(Settlement(holder, state.execution, Completed()), now=now)
    return now


def ends_of(jobs):
    return [Settlement(job.id, job.state.execution, Completed()) for job in jobs]
