"""The judge of why jobs do not run: facts in, reasons out, and sentences of them."""

import pickle
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from antq_actors import Progress, Status, explain
from antq_actors.explain import judge, reasons, sentences
from antq_actors.explain.judge import GateFacts, IsolatedRun, JobFacts, NodeFacts, QueueFacts
from antq_actors.flow.gates import Gate, Limit
from antq_actors.flow.limits import ConcurrencyRule, LimitRule, RateRule
from antq_actors.jobs import instant

NOW = 1_000_000_000
AT = datetime(1970, 1, 1, 0, 16, 40, tzinfo=UTC)
FREE = NodeFacts(1, running=0, concurrency=2)


def job(status=Status.ENQUEUED, **facts):
    found = {
        "id": 7,
        "status": status,
        "queue_name": "mail",
        "worker": "shop:Mail",
        "scheduled_at": NOW,
        "attempts": 0,
        "error": None,
        "node": 0,
        "started_at": None,
        "is_cancelling": False,
        "ahead": 0,
    }
    return JobFacts(**{**found, **facts})


def queue(*nodes, is_paused=False, others=()):
    return QueueFacts("mail", is_paused, nodes, others)


def judged(job, queue=None, **options):
    return judge.judge_job(job, queue or globals()["queue"](FREE), now=NOW, **options)


SCENARIOS = [
    (job(Status.COMPLETED), queue(), (explain.Ended(Status.COMPLETED, None),)),
    (job(Status.FAILED, error="no"), queue(), (explain.Ended(Status.FAILED, "no"),)),
    (
        job(Status.RUNNING, node=3, started_at=NOW),
        queue(is_paused=True),
        (explain.Running(3, AT, None),),
    ),
    (
        job(Status.RUNNING, node=3, is_cancelling=True),
        queue(),
        (explain.Running(3, None, None), explain.Cancelling(3)),
    ),
    (job(), queue(FREE), ()),
    (job(Status.SCHEDULED), queue(FREE), ()),
    (
        job(Status.SCHEDULED, scheduled_at=NOW + 1_000_000),
        queue(FREE),
        (explain.NotDue(AT + timedelta(seconds=1)),),
    ),
    (
        job(Status.RETRYING, scheduled_at=NOW + 1, attempts=2, error="no"),
        queue(FREE),
        (explain.RetryDue(AT + timedelta(microseconds=1), 2, "no"),),
    ),
    (job(), queue(), (explain.NoNode("mail", ()),)),
    (
        job(),
        queue(others=(explain.NodeQueues(4, ("web",)),)),
        (explain.NoNode("mail", ((4, ("web",)),)),),
    ),
    (job(), queue(FREE, is_paused=True), (explain.Paused("mail"),)),
    (job(), queue(is_paused=True), (explain.NoNode("mail"), explain.Paused("mail"))),
    (job(), queue(FREE._replace(is_stopping=True)), (explain.NodeStopping(1),)),
    (job(), queue(FREE._replace(running=2)), (explain.SlotsFull(1, 2, 2),)),
    (job(), queue(FREE._replace(running=3)), (explain.SlotsFull(1, 3, 2),)),
    (job(), queue(FREE._replace(running=3), FREE), ()),
    (
        job(),
        queue(
            FREE._replace(running=2, refused_since=NOW),
            FREE._replace(number=2, is_stopping=True, isolated=IsolatedRun(5, NOW)),
            is_paused=True,
        ),
        (
            explain.NodeStopping(2),
            explain.Paused("mail"),
            explain.SlotsFull(1, 2, 2),
            explain.KeptAlone(5, AT),
            explain.StoreRefuses(AT),
        ),
    ),
    (job(), queue(FREE._replace(isolated=IsolatedRun(5, NOW))), (explain.KeptAlone(5, AT),)),
    (job(), queue(FREE._replace(has_too_many_abandoned=True)), (explain.TooManyAbandoned(1),)),
    (job(), queue(FREE._replace(refused_since=NOW)), (explain.StoreRefuses(AT),)),
    (job(), queue(FREE._replace(concurrency=None, running=9)), ()),
    (job(ahead=3), queue(FREE), (explain.Behind(3),)),
    (job(ahead=1_000), queue(FREE), (explain.Behind(1_000),)),
    (job(ahead=1_001), queue(FREE), (explain.Behind("more than 1,000"),)),
]


@pytest.mark.parametrize(("job", "queue", "found"), SCENARIOS)
def test_a_job_is_judged_by_its_facts(job, queue, found):
    assert judged(job, queue) == found
    for reason in found:
        assert pickle.loads(pickle.dumps(reason)) == reason  # noqa: S301 - our own


# ---- limits -----------------------------------------------------------------------------------

ONE = LimitRule("pay", keyed=True, concurrency=ConcurrencyRule(1), rate=RateRule(1, 1_000_000))


def gate(*, before=0, held_by=0, limit=None, **record):
    """What a job knows of a gate with a concurrency of 1 and a rate of 1 a second."""
    limit = Limit(ONE) if limit is None else limit
    return GateFacts("pay", "eu", limit, Gate(**record), 1, before, held_by)


SPENT = (NOW + 500_000) * 1_000
OPENS_AT = AT + timedelta(microseconds=500_000)
GATES = [
    (gate(), ()),
    (gate(limit=Limit(LimitRule("pay", keyed=True))), ()),
    (gate(running=1, holders=[4]), (explain.KeyFull("pay", "eu", (4,), 0),)),
    (gate(running=1, before=1_001), (explain.KeyFull("pay", "eu", (), "more than 1,000"),)),
    (gate(full_at=SPENT), (explain.RateFull("pay", "eu", OPENS_AT),)),
    (gate(is_paused=True), (explain.LimitPaused("pay", "eu"),)),
    (gate(closed_until=NOW + 1), (explain.LimitPaused("pay", "eu"),)),
    (gate(closed_until=NOW), ()),
    (
        gate(refused_until=NOW + 1),
        (explain.RateFull("pay", "eu", AT + timedelta(microseconds=1)),),
    ),
    (gate(refused_until=NOW), ()),
    (gate(full_at=SPENT, refused_until=NOW + 1), (explain.RateFull("pay", "eu", OPENS_AT),)),
    (
        gate(full_at=SPENT, closed_until=NOW + 1_000_000),
        (explain.RateFull("pay", "eu", OPENS_AT), explain.LimitPaused("pay", "eu")),
    ),
    (
        gate(refused_until=NOW + 500_000, limit=Limit(ONE, closed_until=NOW + 1_000_000)),
        (explain.RateFull("pay", "eu", OPENS_AT), explain.LimitPaused("pay", None)),
    ),
    (gate(limit=Limit(ONE, is_paused=True)), (explain.LimitPaused("pay", None),)),
    (gate(limit=Limit(ONE, closed_until=NOW + 1)), (explain.LimitPaused("pay", None),)),
    (
        gate(limit=Limit(ONE, is_paused=True), is_paused=True),
        (explain.LimitPaused("pay", None), explain.LimitPaused("pay", "eu")),
    ),
    (
        gate(limit=Limit(ONE, closed_until=NOW), is_paused=True),
        (explain.LimitPaused("pay", "eu"),),
    ),
    (
        gate(limit=Limit(ONE, is_paused=True), full_at=SPENT),
        (explain.RateFull("pay", "eu", OPENS_AT), explain.LimitPaused("pay", None)),
    ),
    (
        gate(full_at=SPENT, closed_until=NOW + 900_000),
        (explain.RateFull("pay", "eu", OPENS_AT), explain.LimitPaused("pay", "eu")),
    ),
    (
        gate(full_at=SPENT, limit=Limit(ONE, closed_until=NOW + 900_000)),
        (explain.RateFull("pay", "eu", OPENS_AT), explain.LimitPaused("pay", None)),
    ),
    (
        gate(full_at=(NOW + 1) * 1_000),
        (explain.RateFull("pay", "eu", AT + timedelta(microseconds=1)),),
    ),
    (gate(held_by=4), (explain.HeldByOrder(4),)),
    (
        gate(running=1, holders=[4], full_at=SPENT, is_paused=True, held_by=4, before=2),
        (
            explain.KeyFull("pay", "eu", (4,), 2),
            explain.HeldByOrder(4),
            explain.RateFull("pay", "eu", OPENS_AT),
            explain.LimitPaused("pay", "eu"),
        ),
    ),
]


@pytest.mark.parametrize(("gate", "found"), GATES)
def test_all_that_closes_a_gate_is_told(gate, found):
    assert judged(job(gates=(gate,))) == found


def test_the_gate_for_which_a_job_before_waits_is_told_once():
    before = gate(running=1, holders=[4])

    assert judged(job(gates=(before,), gates_before=(before,), ahead=1)) == (
        explain.KeyFull("pay", "eu", (4,), 0),
    )
    assert judged(job(gates=(gate(),), gates_before=(before,), ahead=1)) == (
        explain.KeyFull("pay", "eu", (4,), 0),
        explain.Behind(1),
    )


def test_no_more_than_a_hundred_holders_are_named():
    (reason,) = judged(job(gates=(gate(running=200, holders=list(range(1, 201))),)))

    assert reason.holders == tuple(range(1, 101))


def test_a_queue_is_limited_as_a_whole():
    full = queue(FREE)._replace(running=3, concurrency=3)

    assert judged(job(), full) == (explain.GlobalFull(3, 3),)
    assert judged(job(), full._replace(running=2)) == ()
    assert judged(job(), full._replace(concurrency=2)) == (explain.GlobalFull(3, 2),)
    assert judged(job(), full._replace(concurrency=None, rate=gate(full_at=SPENT))) == (
        explain.RateFull("pay", "eu", OPENS_AT),
    )


def test_a_paused_queue_tells_of_its_rate_as_well():
    spent = queue(FREE, is_paused=True)._replace(rate=gate(full_at=SPENT))

    assert judged(job(), spent) == (
        explain.Paused("mail"),
        explain.RateFull("pay", "eu", OPENS_AT),
    )


def test_a_heavy_job_waits_where_a_light_one_would_not():
    rule = LimitRule("pay", keyed=True, rate=RateRule(2, 1_000_000, burst=2))
    light = gate(limit=Limit(rule), full_at=NOW * 1_000 + 500_000_000)

    assert judge.closings(light, NOW) == []
    (closing,) = judge.closings(light._replace(weight=2), NOW)
    assert closing == (explain.RateFull("pay", "eu", OPENS_AT), NOW + 500_000)


def test_the_text_says_when_a_pause_ends():
    facts = job(gates=(gate(closed_until=NOW + 500_000),))

    text = sentences.of_job(facts, judged(facts), NOW)

    assert f"The pause of limit 'pay' ends at {OPENS_AT.isoformat()}." in text
    for_ever = job(gates=(gate(is_paused=True),))
    assert "ends" not in sentences.of_job(for_ever, judged(for_ever), NOW)


def test_the_text_of_a_queue_names_the_limits_that_its_jobs_wait_for():
    assert "jobs that wait for the limit 'pay'." in sentences.of_queue(queue(FREE), (), 3, ["pay"])
    assert "the limits 'a', 'b'." in sentences.of_queue(queue(FREE), (), 3, ["a", "b"])


# ---- in general -------------------------------------------------------------------------------


def test_an_isolated_run_has_its_node_for_two_seconds():
    until = judge.isolated_until(NOW, NOW)

    assert until == NOW + 2_000_000
    assert judge.isolated_until(NOW, until - 1) == until
    assert judge.isolated_until(NOW, until) is None
    assert judge.isolated_until(NOW + 1, NOW) is None


def test_what_is_due_now_is_due():
    assert judge.due_end(NOW) == NOW + 1


def test_a_queue_gets_no_jobs_while_it_is_paused_or_another_job_runs_alone():
    alone = IsolatedRun(5, NOW)

    assert judge.claim_hold("mail", is_paused=False, isolated=None) is None
    assert judge.claim_hold("mail", is_paused=True, isolated=alone) == explain.Paused("mail")
    assert judge.claim_hold("mail", is_paused=False, isolated=alone) == explain.KeptAlone(5, AT)


def test_what_this_process_alone_knows_is_told_to_the_judge():
    progress = Progress(0.5, "half")

    assert judged(job(Status.RUNNING, node=1), progress=progress)[0].progress == progress
    assert judged(job(), is_worker_known=False) == (explain.WorkerUnknown("shop:Mail"),)


def test_a_worker_that_nobody_needs_any_more_is_no_reason():
    assert [each.code for each in judged(job(Status.COMPLETED), is_worker_known=False)] == ["ended"]


def test_each_reason_has_its_name_with_underscores_as_its_code():
    codes = [kind.code for kind in reasons.REASONS]

    assert codes == [
        *("ended", "running", "cancelling", "waits_for", "batch_open", "not_due", "retry_due"),
        *("no_node", "node_stopping", "paused", "global_full", "key_full", "held_by_order"),
        *("rate_full", "limit_paused", "slots_full", "kept_alone", "too_many_abandoned"),
        *("store_refuses", "behind", "worker_unknown"),
    ]
    assert {kind.__name__ for kind in reasons.REASONS} <= set(explain.__all__)


SENTENCES = [
    (explain.Ended(Status.FAILED, "ValueError: no.\n"), ["retried: ValueError: no."]),
    (explain.Running(3, AT, Progress(0.25, "page 4")), ["node 3", AT.isoformat(), "25%", "page 4"]),
    (explain.Cancelling(3), ["cancelled", "node 3"]),
    (explain.WaitsFor((4, 5), None, 2), ["2 jobs", "4, 5"]),
    (explain.BatchOpen(9), ["batch 9"]),
    (explain.NotDue(AT), [AT.isoformat()]),
    (explain.RetryDue(AT, 2, "no"), ["Attempt 2 failed (no)", AT.isoformat()]),
    (explain.NoNode("mail", (explain.NodeQueues(2, ("web",)),)), ["'mail'", "node 2 runs 'web'"]),
    (explain.NoNode("mail"), ["'mail'", "no node lives"]),
    (explain.NodeStopping(3), ["Node 3 is stopping"]),
    (explain.Paused("mail"), ["'mail' is paused"]),
    (explain.GlobalFull(3, 3), ["3 jobs of the queue run", "over all nodes 3 may"]),
    (explain.GlobalFull(1, 1), ["1 job of the queue runs", "over all nodes 1 may"]),
    (
        explain.KeyFull("pay", ("eu", 1), tuple(range(50)), "more than 1,000"),
        ["'pay' is full for key ('eu', 1)", "jobs 0, 1,", "9, …", "more than 1,000 jobs wait"],
    ),
    (explain.KeyFull("pay", "eu", (4,), 1), ["(held by job 4)", "1 job waits for it before"]),
    (explain.KeyFull("pay"), ["'pay' is full; no job waits for it before this one."]),
    (explain.HeldByOrder(4), ["job 4", "has not ended, or it failed and halts its key"]),
    (explain.RateFull("pay", "eu", AT), ["'pay'", "'eu'", AT.isoformat()]),
    (explain.RateFull("pay"), ["'pay' as may."]),
    (explain.LimitPaused("pay", "eu"), ["'pay' is paused for key 'eu'"]),
    (explain.SlotsFull(3, 1, 1), ["Node 3 runs 1 job", "slots for 1."]),
    (explain.KeptAlone(4, AT), ["Job 4", AT.isoformat()]),
    (explain.TooManyAbandoned(3), ["Node 3", "threads"]),
    (explain.StoreRefuses(AT), ["refuses", AT.isoformat()]),
    (explain.Behind(1), ["1 job is before"]),
    (explain.Behind("more than 1,000"), ["more than 1,000 jobs are before"]),
    (explain.WorkerUnknown("shop:Mail"), ["'shop:Mail'"]),
]


@pytest.mark.parametrize(("reason", "parts"), SENTENCES)
def test_a_reason_is_a_sentence_with_what_it_names(reason, parts):
    text = sentences.sentence(reason)

    assert text.endswith(".")
    assert "\n" not in text
    for part in parts:
        assert part in text


def test_every_reason_has_a_sentence():
    assert {type(reason) for reason, _ in SENTENCES} == set(reasons.REASONS)


def test_the_text_of_a_job_begins_with_what_it_is():
    assert sentences.of_job(job(), (explain.Paused("mail"),), NOW) == (
        "Job 7 in queue 'mail' is enqueued. Queue 'mail' is paused, until it is resumed."
    )
    assert "Nothing is in its way" in sentences.of_job(job(), (), NOW)


def test_the_text_of_a_queue_says_who_runs_it():
    text = sentences.of_queue(queue(FREE, FREE._replace(number=2, concurrency=None)), (), 3)

    assert "3 jobs could begin now" in text
    assert "node 1 (runs 0 of 2), node 2" in text
    assert "more than 1,000 jobs could begin now" in sentences.of_queue(
        queue(FREE), (), "more than 1,000"
    )


def test_a_retry_without_an_error_has_an_empty_one():
    assert judged(job(Status.RETRYING, scheduled_at=NOW + 1))[0].error == ""


@pytest.mark.parametrize(
    ("total", "counted", "found"),
    [
        (3, [(1, 2), (2, 2)], [1, 2]),
        (1_000, [(1_000, 1_000)], [1_000]),
        (2_500, [(1_000, 1_200), (1_001, 2_000)], [1_000, 1_500]),
        (1_100, [(1_001, 1_050)], [1_050]),
        (1_500, [(1_001, None)], [1_500]),
    ],
)
def test_what_was_not_counted_to_the_end_is_the_rest(total, counted, found):
    assert judge.split_running(total, counted) == found


# ---- properties -----------------------------------------------------------------------------

node_facts = st.builds(
    NodeFacts,
    number=st.integers(1, 3),
    running=st.integers(0, 3),
    concurrency=st.none() | st.integers(1, 3),
    is_stopping=st.booleans(),
    has_too_many_abandoned=st.booleans(),
    refused_since=st.none() | st.just(NOW),
    isolated=st.none() | st.just(IsolatedRun(9, NOW + 1)),
)
instants = st.just(0) | st.integers(NOW - 1, NOW + 3)
gate_records = st.builds(
    Gate,
    running=st.integers(0, 2),
    holders=st.just([4]),
    full_at=instants.map(lambda at: 1_000 * at),
    window=st.integers(NOW // 7 - 1, NOW // 7 + 1),
    used=st.integers(0, 2),
    closed_until=instants,
    refused_until=instants,
    is_paused=st.booleans(),
)
RULES = [
    ONE,
    LimitRule("pay", keyed=True, concurrency=ConcurrencyRule(2)),
    LimitRule("pay", keyed=True, rate=RateRule(2, 7, fixed=True)),
    LimitRule("pay", keyed=True),
]
limits = (
    st.builds(Limit, st.sampled_from(RULES), closed_until=instants, is_paused=st.booleans())
    | st.none()
)
gate_facts = st.builds(
    GateFacts,
    name=st.sampled_from(["a", "b", "c"]),
    key=st.none() | st.just("eu"),
    limit=limits,
    gate=gate_records,
    weight=st.integers(1, 2),
    before=st.integers(0, 2),
    held_by=st.integers(0, 1),
)
some_gates = st.lists(gate_facts, max_size=3, unique_by=lambda gate: gate.name).map(tuple)
queue_facts = st.builds(
    QueueFacts,
    name=st.just("mail"),
    is_paused=st.booleans(),
    nodes=st.lists(node_facts, max_size=3, unique_by=lambda node: node.number).map(tuple),
    running=st.integers(0, 3),
    concurrency=st.none() | st.integers(1, 3),
    rate=st.none() | gate_facts.map(lambda gate: gate._replace(name="mail", held_by=0)),
)
job_facts = st.builds(
    job,
    status=st.sampled_from([Status.ENQUEUED, Status.SCHEDULED, Status.RETRYING]),
    scheduled_at=st.integers(NOW - 1, NOW + 1),
    ahead=st.integers(0, 2),
    gates=some_gates,
    gates_before=some_gates,
)


def mended(reason, job, queue, now):
    """The facts after what a reason names was changed, and nothing else."""
    match reason:
        case explain.NotDue() | explain.RetryDue():
            now = max(now, job.scheduled_at)
        case explain.RateFull():
            now = max(now, instant.from_datetime(reason.opens_at))
        case explain.Behind():
            job = job._replace(ahead=0)
        case explain.Paused():
            queue = queue._replace(is_paused=False)
        case explain.NoNode():
            queue = queue._replace(nodes=(FREE,))
        case explain.GlobalFull():
            queue = queue._replace(running=0)
        case explain.KeyFull() | explain.LimitPaused() | explain.HeldByOrder():
            job, queue = mended_gates(reason, job), mended_rate(reason, queue)
        case _:
            nodes = tuple(mended_node(reason, node) for node in queue.nodes)
            queue = queue._replace(nodes=nodes)
    return job, queue, now


def mended_gates(reason, job):
    """The job's gates after what a reason names was changed."""
    passed, before = (
        tuple(mended_gate(reason, gate) for gate in gates)
        for gates in (job.gates, job.gates_before)
    )
    return job._replace(gates=passed, gates_before=before)


def mended_rate(reason, queue):
    return queue._replace(rate=queue.rate and mended_gate(reason, queue.rate))


def mended_gate(reason, facts):
    if isinstance(reason, explain.HeldByOrder):
        return facts._replace(held_by=0) if facts.held_by == reason.job else facts
    if reason.limit != facts.name:
        return facts
    if isinstance(reason, explain.KeyFull):
        return facts._replace(gate=replace(facts.gate, running=0))
    is_whole = reason.key is None and facts.limit is not None
    if is_whole and (facts.limit.is_paused or facts.limit.closed_until):
        return facts._replace(limit=replace(facts.limit, is_paused=False, closed_until=0))
    return facts._replace(gate=replace(facts.gate, is_paused=False, closed_until=0))


def mended_node(reason, node):
    match reason:
        case explain.KeptAlone():
            return node._replace(isolated=None)
        case explain.StoreRefuses():
            return node._replace(refused_since=None)
        case _ if reason.node != node.number:
            return node
        case explain.NodeStopping():
            return node._replace(is_stopping=False)
        case explain.SlotsFull():
            return node._replace(running=0)
        case explain.TooManyAbandoned():
            return node._replace(has_too_many_abandoned=False)


@given(job_facts, queue_facts)
def test_with_what_the_reasons_name_changed_nothing_is_in_the_way(job, queue):
    now, found = NOW, judged(job, queue)
    for _ in range(2):  # without a key, a reason does not say whether all keys are meant
        for reason in found:
            job, queue, now = mended(reason, job, queue, now)
        found = judge.judge_job(job, queue, now=now)

    assert found == ()


@given(job_facts, queue_facts)
def test_reasons_come_in_their_order_and_once(job, queue):
    found = judged(job, queue)

    ranks = [reasons.REASONS.index(type(reason)) for reason in found]
    assert ranks == sorted(ranks)
    assert len(set(found)) == len(found)


@given(
    st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 3_000)), min_size=1, max_size=4),
)
def test_some_node_has_room_if_one_really_has(nodes):
    nodes = [(min(running, slots), slots) for running, slots in nodes]
    told = [(min(running, reasons.MOST_COUNTED + 1), slots) for running, slots in nodes]

    found = judge.split_running(sum(running for running, _ in nodes), told)

    has_room = any(running < slots for running, slots in nodes)
    assert has_room == any(
        running < slots for running, (_, slots) in zip(found, nodes, strict=True)
    )
    assert sum(found) == sum(running for running, _ in nodes)
