"""Mixes of reasons: a job with some of them is not claimed, and with what they name changed it is.

Nothing else is changed: jobs that come before it are claimed and complete, as `Behind` says.
"""

from contextlib import suppress

from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.stored_jobs import Store
from test_explained_limits import NOW, SECOND, insert, key_of

from antq_actors import JobNotFound, RateLimited, explain
from antq_actors.explain import judge
from antq_actors.flow.limits import ConcurrencyRule, LimitRule, RateRule
from antq_actors.jobs import instant
from antq_actors.jobs.outcome import Completed, Failed, GivenBack
from antq_actors.jobs.state import CLAIMABLE, Status
from antq_actors.storage.format.records import Filter, Settlement
from antq_actors.storage.jobs import job_store
from antq_actors.storage.lmdb.open_stores import open_environment

RULES = [
    LimitRule("account", keyed=True, concurrency=ConcurrencyRule(1)),
    LimitRule("both", keyed=True, concurrency=ConcurrencyRule(1), rate=RateRule(1, SECOND)),
    LimitRule("chain", keyed=True, concurrency=ConcurrencyRule(1, strict=True)),
    LimitRule("pair", keyed=False, concurrency=ConcurrencyRule(2)),
    LimitRule("ten", keyed=True, rate=RateRule(10, SECOND)),
]
KEYS = [("account", "a"), ("both", "a"), ("chain", "a"), "pair", ("ten", "a")]
OWN_RATE = LimitRule("mail", keyed=False, rate=RateRule(5, SECOND))
SLOTS = 3
CLOSE = [GivenBack(30.0, RateLimited(30.0, name)) for name in (None, "ten", "pair")]
OUTCOMES = [Completed(), Failed("no", None, 60.0), GivenBack(), GivenBack(30.0), *CLOSE]

limits = st.lists(st.sampled_from(KEYS), max_size=3, unique=True)
jobs = st.tuples(limits, st.integers(-1, 1), st.none() | st.just(NOW + 5 * SECOND))
closings = st.sampled_from(
    ["a queue", "a limit", "a key", "for a while", "all nodes", "own rate", "a lower limit"]
)


def close(store, what):
    match what:
        case "a queue":
            store.set_paused("mail", paused=True)
        case "a limit":
            store.pause_limit("ten", None, None, NOW)
        case "a key":
            store.pause_limit("account", key_of("account", "a"), None, NOW)
        case "for a while":
            store.pause_limit("pair", None, NOW + 9 * SECOND, NOW)
        case "all nodes":
            store.set_global_concurrency("mail", 1)
        case "own rate":
            store.declare_queue("mail", None, OWN_RATE, now=NOW)
        case "a lower limit":
            store.set_limit("pair", None, kind="concurrency", limit=1, now=NOW)


def judged(store, id_, now):
    job, record = job_store.read(store.env, lambda reader: reader.job_facts(id_, now))
    nodes = tuple(
        judge.NodeFacts(node.number, node.running, SLOTS, isolated=node.isolated)
        for node in record.nodes
        if node.number == 1
    )
    facts = judge.QueueFacts(
        record.name,
        record.is_paused,
        nodes,
        running=record.running,
        concurrency=record.concurrency,
        rate=record.rate,
    )
    return judge.judge_job(job, facts, now=now)


def running(store, *, node=None):
    found = store.page(Filter(frozenset({Status.RUNNING})))
    return [job for job in found if node in (None, job.state.node)]


def complete(store, jobs, now):
    for job in jobs:
        store.settle(Settlement(job.id, job.state.execution, Completed()), now=now)


def mend(store, reason, now):
    """Change what a reason names, and return when that is done."""
    match reason:
        case explain.NotDue(moment) | explain.RetryDue(moment):
            return max(now, instant.from_datetime(moment))
        case explain.RateFull(opens_at=moment) | explain.KeptAlone(until=moment):
            return max(now, instant.from_datetime(moment))
        case explain.Paused(queue):
            store.set_paused(queue, paused=False)
        case explain.LimitPaused(limit, key):
            store.resume_limit(limit, None if key is None else key_of(limit, key), now)
        case explain.GlobalFull():
            store.set_global_concurrency("mail", None)
        case explain.KeyFull(holders=holders):
            complete(store, [job for job in running(store) if job.id in holders], now)
        case explain.SlotsFull():
            complete(store, running(store, node=1), now)
        case explain.HeldByOrder(other):
            with suppress(JobNotFound):  # it held another key, too
                store.delete(other, now=now)
        case explain.Behind():
            pass  # those are claimed, and complete
        case _:
            raise AssertionError(f"{reason} keeps no job that has not begun")
    return now


@settings(max_examples=60)
@given(
    st.lists(jobs, min_size=1, max_size=6),
    st.lists(closings, max_size=3, unique=True),
    st.lists(st.sampled_from(OUTCOMES), max_size=4),
    st.data(),
)
def test_a_job_starts_when_what_its_reasons_name_has_changed(
    tmp_path_factory, jobs, closed, outcomes, data
):
    env = open_environment(tmp_path_factory.mktemp("store"), durable=False)
    try:
        store = Store(env)
        for node in (1, 2):
            job_store.write(env, lambda verbs, node=node: verbs.add_node(node, ["mail"]))
        store.declare_limits(RULES, replace=True, now=NOW)
        for limits, priority, due in jobs:
            insert(store, *limits, priority=priority, due=due, max_attempts=3)
        begun = [*store.claim(limit=2, now=NOW), *store.claim(limit=2, now=NOW, node=2)]
        for job, outcome in zip(begun, outcomes, strict=False):
            store.end(job, outcome, now=NOW)
        if data.draw(st.booleans(), label="node 2 is killed"):
            store.rescue(node=2, now=NOW, max_interruptions=2, reason="it died")
            store.claim(limit=1, now=NOW)
        for what in closed:
            close(store, what)
        waiting = [job.id for job in store.page(Filter(frozenset(CLAIMABLE)))]
        if waiting:
            follow(store, data.draw(st.sampled_from(waiting)), NOW)
    finally:
        env.close()


def follow(store, id_, now):
    """Change what the explanations of a job name, until it is claimed."""
    for _ in range(60):
        found = judged(store, id_, now)
        for reason in found:
            event(reason.code)
        before = sum(reason.n for reason in found if reason.code == "behind")
        free = SLOTS - len(running(store, node=1))
        claimed = store.claim(limit=min(free, 1 + before), now=now) if free > 0 else []
        others = {reason.code for reason in found} - {"behind"}
        if id_ in {job.id for job in claimed}:
            assert not others
            return
        assert found or claimed, "nothing is in its way, and nobody started"
        complete(store, claimed, now)
        for reason in found:
            now = mend(store, reason, now)
    raise AssertionError(f"it never started: {found}")
