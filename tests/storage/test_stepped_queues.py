"""A paused queue is let on job by job: in the order of its preview, and no further."""

import sys
from functools import partial

import pytest
from support.stored_jobs import Store, a_new_job
from test_limits_model import OUTCOMES, QUEUES, Walk

from antq_actors.errors import QueueNotPaused
from antq_actors.flow.limits import ConcurrencyRule, LimitRule, RateRule
from antq_actors.jobs.outcome import (
    Completed,
    Failed,
    GivenBack,
    Interrupted,
    RateLimited,
    Snoozed,
)
from antq_actors.jobs.state import Status
from antq_actors.storage.format import values
from antq_actors.storage.format.records import PauseRecord, Settlement
from antq_actors.storage.jobs import job_store, single_claims, stepping
from antq_actors.storage.jobs.breakpoint_table import TABLE, BreakpointTable
from antq_actors.storage.jobs.meta import Meta
from antq_actors.storage.jobs.rehearsal import Rehearsal
from antq_actors.storage.lmdb.open_stores import open_environment

MANY = 1_000
RATE_LIMITED = GivenBack(closes=RateLimited(0.00001))


class Stepped(Store):
    """A store whose queues are let on by steps."""

    def preview(self, n=10, *, queue="mail", now=0):
        return job_store.read(self.env, lambda reader: stepping.preview(reader, queue, n, now))

    def next_ids(self, n=MANY, **options):
        return [each.id for each in self.preview(n, **options)]

    def step(self, n=1, job=None, *, queue="mail", now=0):
        return self._do(stepping.step, queue, n, job, now)

    def add_breakpoint(self, on="claim", worker=None, args=None, *, queue="mail"):
        encoded = None if args is None else values.encode_args(args)
        return self._do(stepping.add_breakpoint, queue, on, worker, encoded)

    def remove_breakpoint(self, number, *, queue="mail"):
        return self._do(stepping.remove_breakpoint, queue, number)

    def breakpoints(self, queue="mail"):
        return job_store.read(self.env, lambda reader: stepping.breakpoints(reader, queue))

    def pause(self, queue="mail", **why):
        self.set_paused(queue, paused=True, **why)

    def resume(self, queue="mail"):
        self.set_paused(queue, paused=False)

    def pause_of(self, queue="mail"):
        return self.env.read(lambda txn: Meta(txn, self.env.tables.meta).pause_of(queue))

    def claimed(self, **options):
        return [job.id for job in self.claim(**options)]

    def _do(self, verb, *args):
        try:
            return job_store.write(self.env, lambda store: verb(store, *args))
        finally:
            assert self.findings() == []


@pytest.fixture
def store(env):
    return Stepped(env).has_nodes(1, 2)


@pytest.fixture
def full(tmp_path):
    """Open stores with jobs by chance, always the same of a seed, some of them running."""
    opened = []

    def fill(seed, steps=30):
        env = open_environment(tmp_path / f"store-{len(opened)}", durable=False)
        opened.append(env)
        walk = Walk(Stepped(env).has_nodes(1, 2), seed)
        for _ in range(steps):
            walk.step()
        for queue in QUEUES:
            walk.store.pause(queue)
        return walk

    yield fill
    for env in opened:
        env.close()


# ---- the preview ------------------------------------------------------------------------------


def test_a_preview_has_the_order_of_claims_and_what_puts_each_there(store):
    plain = store.insert(a_new_job())
    later = store.insert(a_new_job(due=50))
    first = store.insert(a_new_job(priority=5))
    due = store.insert(a_new_job(due=20))
    limited = store.insert(a_new_job(gates=["tenant"]))
    store.insert(a_new_job(queue="other"))

    found = store.preview(now=30)

    assert [(each.id, each.rule) for each in found] == [
        (due, "due scheduled"),
        (first, "priority"),
        (plain, "id"),
        (limited, "ticket"),
    ]
    assert {each.worker for each in found} == {"shop:Mail"}
    assert [each.id for each in store.preview(2, now=30)] == [due, first]
    assert store.next_ids(now=50)[:2] == [due, later]


def test_a_retrying_job_that_is_due_is_in_the_preview(store):
    id_ = store.insert(a_new_job(max_attempts=2))
    (job,) = store.claim()
    store.end(job, Failed("no", None, 0.00001))

    assert store.preview(now=0) == []
    assert [(each.id, each.rule) for each in store.preview(now=100)] == [(id_, "due retrying")]


def test_a_preview_has_as_many_jobs_of_a_key_as_may_run_at_once(store):
    rule = LimitRule("account", keyed=True, concurrency=ConcurrencyRule(2))
    store.declare_limits([rule], replace=True, now=0)
    a1, a2, a3, b1 = (
        store.insert(a_new_job(gates=[("account", key)])) for key in ("a", "a", "a", "b")
    )

    assert store.next_ids() == [a1, b1, a2]
    store.pause()
    assert store.step(MANY) == [a1, b1, a2]
    assert store.claimed(limit=1) == [a1]
    assert store.claimed(limit=9) == [b1, a2]
    assert store.claimed(limit=9) == []
    assert store.next_ids() == []
    assert store.get(a3).state.status is Status.ENQUEUED


def test_a_preview_leaves_out_what_a_rate_does_not_let_pass(store):
    rule = LimitRule("slow", keyed=False, rate=RateRule(1, 1_000))
    store.declare_limits([rule], replace=True, now=0)
    first, second = store.insert(a_new_job(gates=["slow"])), store.insert(a_new_job(gates=["slow"]))
    store.pause()

    assert store.next_ids() == [first]
    assert store.step(2) == [first]
    assert store.claimed(limit=9) == [first]
    assert store.next_ids(now=500) == []
    assert store.next_ids(now=2_000) == [second]


def test_a_preview_changes_nothing(full):
    walk = full(seed=3)
    for queue in QUEUES:
        before = [(raw.id, raw.state) for raw in walk.store.some(range(1, 200)) if raw.payload]

        found = walk.store.preview(MANY, queue=queue, now=walk.now)

        assert found == walk.store.preview(MANY, queue=queue, now=walk.now)
        after = [(raw.id, raw.state) for raw in walk.store.some(range(1, 200)) if raw.payload]
        assert before == after
        assert walk.store.findings() == []


def test_a_damaged_job_is_not_in_the_preview(store):
    damaged, sound = store.insert(a_new_job()), store.insert(a_new_job())
    key = damaged.to_bytes(8, "big")
    store.env.write(lambda txn: txn.put(key, b"\xc1", db=store.env.tables.jobs))

    ids = job_store.read(store.env, lambda reader: stepping.preview(reader, "mail", 9, 0))

    assert [each.id for each in ids] == [sound]


@pytest.mark.parametrize("seed", range(12))
def test_the_preview_is_what_a_queue_claims_that_is_resumed(full, seed):
    walk = full(seed)
    for queue in QUEUES:
        ids = walk.store.next_ids(queue=queue, now=walk.now)
        walk.store.resume(queue)

        claimed = []
        while more := walk.store.claimed(limit=1, queue=queue, now=walk.now):
            claimed += more

        assert claimed == ids


@pytest.mark.parametrize("seed", range(12))
def test_steps_let_jobs_start_in_the_order_of_the_preview(full, seed):
    walk = full(seed)
    for queue in QUEUES:
        ids = walk.store.next_ids(queue=queue, now=walk.now)
        admitted, claimed = [], []
        while step := walk.store.step(1, queue=queue, now=walk.now):
            admitted += step
            if walk.random.random() < 0.5:
                claimed += walk.store.claimed(limit=9, queue=queue, now=walk.now)
        claimed += walk.store.claimed(limit=MANY, queue=queue, now=walk.now)

        assert admitted == ids
        assert claimed == ids
        assert walk.store.claimed(limit=MANY, queue=queue, now=walk.now) == []


def test_a_rehearsal_of_a_queue_without_limits_finds_what_its_lanes_have(full):
    walk = full(seed=5, steps=0)
    for number in range(40):
        due = walk.random.choice([None, None, 5, 100])
        walk.store.insert(a_new_job(due=due, priority=walk.random.choice([0, 0, 5, -5])))
        if number % 7 == 0:
            walk.store.step(1, now=10)

    def rehearsed(reader):
        found = Rehearsal(reader._txn, reader._tables).run("mail", most=MANY, now=10)
        return [id_ for id_, _ in found]

    assert job_store.read(walk.store.env, rehearsed) == walk.store.next_ids(now=10)


# ---- steps ------------------------------------------------------------------------------------


def test_a_step_lets_the_first_jobs_through_and_what_comes_later_waits(store):
    ids = [store.insert(a_new_job()) for _ in range(4)]
    store.pause()

    assert store.step(2) == ids[:2]
    assert store.next_ids() == ids[2:]
    newer = store.insert(a_new_job(priority=9))
    assert store.claimed(limit=9) == ids[:2]
    assert store.claimed(limit=9) == []
    assert store.next_ids() == [newer, *ids[2:]]


def test_steps_are_refused_unless_the_queue_is_paused(store):
    store.insert(a_new_job())

    with pytest.raises(QueueNotPaused, match="'mail' is not paused"):
        store.step()
    store.pause("other")
    with pytest.raises(QueueNotPaused):
        store.step()


def test_a_named_job_is_let_through_from_whatever_place(store):
    ids = [store.insert(a_new_job()) for _ in range(3)]
    later = store.insert(a_new_job(due=10))
    elsewhere = store.insert(a_new_job(queue="other"))
    store.pause()

    assert store.step(job=ids[2]) == [ids[2]]
    assert store.claimed(limit=9) == [ids[2]]
    for job in (ids[2], later, elsewhere, 999, 0, -1, 2**80):
        assert store.step(job=job) is None
    assert store.step(job=later, now=10) == [later]
    assert store.step(job=later, now=10) is None  # it has been let through


def test_a_named_job_waits_for_the_one_before_it_at_its_limit(store):
    rule = LimitRule("account", keyed=True, concurrency=ConcurrencyRule(2))
    store.declare_limits([rule], replace=True, now=0)
    first, second, third = (store.insert(a_new_job(gates=[("account", 1)])) for _ in range(3))
    store.pause()

    assert store.step(job=second) == [second]
    assert store.step(job=third) is None
    assert store.claimed(limit=9) == []
    assert store.step() == [first]
    assert store.claimed(limit=9) == [first, second]


def test_a_queue_has_its_limit_of_all_nodes_while_it_is_let_on(store):
    ids = [store.insert(a_new_job()) for _ in range(3)]
    store.set_global_concurrency("mail", 1)
    store.pause()

    assert store.step(3) == ids
    (job,) = store.claim(limit=9, node=1)
    assert store.claimed(limit=9, node=2) == []
    store.end(job, Completed())
    assert store.claimed(limit=9, node=2) == [ids[1]]


def test_a_job_that_was_let_through_and_given_back_unrun_keeps_its_place(store):
    ids = [store.insert(a_new_job()) for _ in range(3)]
    store.pause()
    store.step(3)
    first, second = store.claim(limit=2)

    store.end(second, GivenBack())
    store.end(first, GivenBack())

    assert store.claimed(limit=9) == ids
    assert store.claimed(limit=9) == []


@pytest.mark.parametrize(
    "outcome", [Failed("no", None, 0.0), Snoozed(0), Interrupted("it died"), RATE_LIMITED]
)
def test_a_job_that_has_run_needs_another_step(store, outcome):
    id_ = store.insert(a_new_job(max_attempts=2))
    store.pause()
    store.step()
    (job,) = store.claim()

    store.end(job, outcome)

    assert store.claimed(now=100) == []
    assert store.next_ids(now=100) == [id_]


def test_a_job_that_is_given_back_after_the_queue_was_resumed_needs_another_step(store):
    store.insert(a_new_job())
    store.pause()
    store.step()
    (job,) = store.claim()
    store.resume()
    store.pause()

    store.end(job, GivenBack())

    assert store.claimed() == []


def test_what_was_let_through_is_forgotten_when_it_cannot_start_any_more(store):
    cancelled, deleted, left = (store.insert(a_new_job()) for _ in range(3))
    store.pause()
    store.step(3)
    store.cancel(cancelled, now=0)
    store.delete(deleted)

    assert store.claimed(limit=9) == [left]
    store.resume()
    assert rows(store) == 0


def test_a_job_that_was_let_through_and_cancelled_needs_another_step_once_it_is_retried(store):
    cancelled, left = store.insert(a_new_job()), store.insert(a_new_job())
    store.pause()
    store.step(2)
    store.cancel(cancelled, now=0)
    store.retry(cancelled, now=0)

    assert store.next_ids() == [cancelled]
    assert store.claimed(limit=9) == [left]
    assert store.step() == [cancelled]
    assert store.claimed(limit=9) == [cancelled]


def test_a_job_that_was_stopped_and_cancelled_stops_its_queue_again_once_it_is_retried(store):
    store.add_breakpoint()
    id_ = store.insert(a_new_job())
    assert store.claimed() == []
    store.cancel(id_, now=0)
    store.retry(id_, now=0)
    store.resume()

    assert store.claimed() == []
    assert [each.hits for each in store.breakpoints()] == [2]


def test_a_job_that_was_let_through_and_put_off_starts_when_it_is_due(store):
    first, second = store.insert(a_new_job()), store.insert(a_new_job())
    store.pause()
    store.step(2)
    store.reschedule(first, due=50, now=0)

    claim = store.work("mail", [], node=1, limit=9, now=0)

    assert ([job.id for job in claim.jobs], claim.next_due) == ([second], 50)
    assert store.claimed(now=50) == [first]


def test_what_was_let_through_is_forgotten_when_the_queue_is_resumed(store):
    ids = [store.insert(a_new_job()) for _ in range(3)]
    store.pause()
    store.step(2)

    store.resume()
    store.pause()

    assert store.claimed(limit=9) == []
    assert store.next_ids() == ids
    assert rows(store) == 0


def test_a_queue_is_woken_by_a_step_though_it_is_paused(store):
    store.insert(a_new_job())
    store.pause()

    def step(jobs):
        stepping.step(jobs, "mail", 1, None, 0)
        jobs.flush()
        return set(jobs.due)

    assert job_store.write(store.env, step) == {"mail"}


def test_an_isolated_job_is_let_through_and_has_its_node_for_itself(store):
    ids = [store.insert(a_new_job()) for _ in range(2)]
    store.claim(limit=1)
    store.rescue(node=1, now=0, max_interruptions=2, reason="it died")
    store.pause()
    store.step(2)

    assert store.claimed(limit=9) == [ids[0]]
    assert store.claimed(limit=9) == []
    assert store.claimed(limit=9, node=2) == [ids[1]]


def test_a_claim_of_a_queue_that_has_none_of_this_does_not_open_the_table(store, monkeypatch):
    monkeypatch.setattr(BreakpointTable, "__init__", None)
    store.env.read(lambda txn: None)
    ids = [store.insert(a_new_job()) for _ in range(2)]

    assert [job.id for job in store.env.write(partial(_claimed, store))] == ids


def _claimed(store, txn):
    jobs = job_store.JobStore(txn, store.env.tables)
    found = jobs.work("mail", [], node=1, limit=9, now=0).jobs
    jobs.flush()
    return found


def rows(store):
    def count(txn):
        return txn.stat(store.env.tables.further(txn, TABLE))["entries"]

    return store.env.read(count)


class SteppedWalk(Walk):
    """A random walk whose queues are paused, let on job by job, and resumed meanwhile."""

    def __init__(self, store, seed):
        super().__init__(store, seed)
        self.stepped = {queue: set() for queue in QUEUES}
        self.started = {queue: set() for queue in QUEUES}

    def step(self):
        if self.random.random() < 0.4:
            self.change_queue(self.random.choice(QUEUES))
        else:
            super().step()

    def change_queue(self, queue):
        if not self.store.is_paused(queue):
            if self.random.random() < 0.8:
                self.store.pause(queue)
            else:
                self.store.add_breakpoint(self.random.choice(["claim", "failure"]), queue=queue)
        elif self.random.random() < 0.2:
            self.store.resume(queue)
            self.stepped[queue].clear()
            self.started[queue].clear()
        else:
            n = self.random.choice([1, 1, 3])
            ids = self.store.next_ids(queue=queue, now=self.now)
            if ids and self.random.random() < 0.4:
                job = self.random.choice(ids)
                assert self.store.step(job=job, queue=queue, now=self.now) == [job]
                self.stepped[queue].add(job)
            else:
                assert self.store.step(n, queue=queue, now=self.now) == ids[:n]
                self.stepped[queue].update(ids[:n])

    def claim(self):
        queue = self.random.choice(QUEUES)
        is_paused = self.store.is_paused(queue)
        limit = self.random.choice([1, 4, 50])
        for job in self.store.work(queue, [], node=1, limit=limit, now=self.now).jobs:
            assert job.id not in self.running
            self.running[job.id] = job
            self.started[queue].discard(job.id)
            if is_paused:
                self.stepped[queue].remove(job.id)
                self.started[queue].add(job.id)

    def settle(self):
        ids = self.random.sample(sorted(self.running), min(len(self.running), 3))
        for id_ in ids:
            job, outcome = self.running.pop(id_), self.random.choice(OUTCOMES)
            queue = job.state.queue_name
            self.store.end(job, outcome, now=self.now)
            if outcome == GivenBack() and id_ in self.started[queue]:
                self.stepped[queue].add(id_)
            self.started[queue].discard(id_)

    def drain(self):
        for queue in QUEUES:
            for each in self.store.breakpoints(queue):
                assert self.store.remove_breakpoint(each.id, queue=queue)
            self.store.resume(queue)
        super().drain()
        assert rows(self.store) == 0


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_a_paused_queue_starts_what_was_let_through_alone(tmp_path, seed):
    env = open_environment(tmp_path / "store", durable=False)
    try:
        walk = SteppedWalk(Stepped(env).has_nodes(1, 2), seed)
        for _ in range(50):
            walk.step()
            walk.check()
        walk.drain()
    finally:
        env.close()


# ---- breakpoints ------------------------------------------------------------------------------


def test_a_queue_stops_before_a_job_that_a_breakpoint_is_about(store):
    number = store.add_breakpoint(args={"to": {"id": 7}})
    first = store.insert(a_new_job({"to": {"id": 1}}))
    stopped = store.insert(a_new_job({"to": {"id": 7, "name": "ada"}}))
    last = store.insert(a_new_job())

    claim = store.work("mail", [], node=1, limit=9, now=5)

    assert ([job.id for job in claim.jobs], claim.next_due) == ([first], None)
    pause = store.pause_of()
    assert (pause.at, pause.by) == (5, f"breakpoint {number}")
    assert pause.reason == f"job {stopped} of shop:Mail is about to start"
    assert store.get(stopped).state.status is Status.ENQUEUED
    assert [each.hits for each in store.breakpoints()] == [1]
    store.resume()
    assert store.claimed(limit=9) == [stopped, last]


def test_a_breakpoint_stops_at_a_job_of_its_worker_with_limits_as_well(store):
    store.add_breakpoint(worker="shop:Other")
    ids = [
        store.insert(a_new_job(worker=worker, gates=[("account", key)]))
        for key, worker in enumerate(["shop:Mail", "shop:Other", "shop:Mail"])
    ]

    assert store.claimed(limit=9) == [ids[0]]
    assert store.is_paused("mail")
    store.resume()
    assert store.claimed(limit=9) == ids[1:]


def test_a_step_lets_a_stopped_job_through_and_its_next_attempt_stops_again(store):
    store.add_breakpoint()
    id_ = store.insert(a_new_job(max_attempts=2))
    assert store.claimed() == []

    assert store.step() == [id_]
    (job,) = store.claim()
    store.resume()
    store.end(job, Failed("no", None, 0.0))

    assert store.claimed() == []
    assert [each.hits for each in store.breakpoints()] == [2]


def test_a_step_is_stopped_by_no_breakpoint(store):
    store.add_breakpoint()
    ids = [store.insert(a_new_job()) for _ in range(3)]
    store.pause()
    store.step(3)

    assert store.claimed(limit=9) == ids
    assert store.breakpoints()[0].hits == 0


def test_a_queue_stops_after_an_attempt_has_failed(store):
    number = store.add_breakpoint("failure", "shop:Mail")
    failing, other = store.insert(a_new_job()), store.insert(a_new_job(worker="shop:Other"))
    store.insert(a_new_job())
    jobs = store.claim(limit=2)
    assert [job.id for job in jobs] == [failing, other]

    store.end(jobs[1], Failed("no", None, None))
    assert not store.is_paused("mail")
    settlement = Settlement(failing, jobs[0].state.execution, Failed("no", None, None))
    claim = store.work("mail", [settlement], node=1, limit=9, now=8)

    assert claim.jobs == []
    reason = f"job {failing} of shop:Mail has failed"
    assert store.pause_of() == PauseRecord(f"breakpoint {number}", reason, 8)
    assert [each.hits for each in store.breakpoints()] == [1]


@pytest.mark.parametrize("outcome", [Completed(), GivenBack()])
def test_a_queue_does_not_stop_after_what_is_no_failure(store, outcome):
    store.add_breakpoint("failure")
    store.insert(a_new_job())
    (job,) = store.claim()

    store.end(job, outcome)

    assert not store.is_paused("mail")


def test_the_first_of_several_breakpoints_pauses_and_all_count_the_job(store):
    numbers = [store.add_breakpoint(), store.add_breakpoint(worker="shop:Mail")]
    store.add_breakpoint(worker="shop:Other")
    store.insert(a_new_job())

    store.claim()

    assert store.pause_of().by == f"breakpoint {numbers[0]}"
    assert [each.hits for each in store.breakpoints()] == [1, 1, 0]


def test_breakpoints_are_of_one_queue_and_gone_when_removed(store):
    number = store.add_breakpoint(worker="shop:Mail", args={"n": 1})
    in_other = store.add_breakpoint(queue="other")
    id_ = store.insert(a_new_job({"n": 1}))

    assert [(each.id, each.worker, each.args) for each in store.breakpoints()] == [
        (number, "shop:Mail", {"n": 1})
    ]
    assert not store.remove_breakpoint(in_other)
    assert store.claimed() == []
    assert store.remove_breakpoint(number)
    assert not store.remove_breakpoint(number)
    assert store.is_paused("mail")
    store.resume()
    assert store.claimed() == [id_]
    assert store.remove_breakpoint(in_other, queue="other")
    assert rows(store) == 0
    assert store.add_breakpoint() > in_other


def test_a_queue_that_is_paused_already_keeps_who_has_paused_it(store):
    store.add_breakpoint("failure")
    store.insert(a_new_job())
    (job,) = store.claim()
    store.pause(by="ada", reason="to look", now=3)

    store.end(job, Failed("no", None, None), now=9)

    assert store.pause_of() == PauseRecord("ada", "to look", 3)
    assert store.breakpoints()[0].hits == 1
    store.resume()
    assert store.pause_of() is None


def test_a_breakpoint_holds_in_jobs_that_are_claimed_alone(store):
    store.add_breakpoint()
    id_ = store.insert(a_new_job())

    def claim():
        return job_store.write(
            store.env, lambda jobs: single_claims.claim_one(jobs, id_, node=1, now=0)
        )

    assert claim() is None
    assert claim() is None
    store.step()
    assert claim().id == id_
    store.resume()
    assert rows(store) == 1  # the breakpoint


def test_a_claim_takes_as_many_calls_however_many_steps_have_let_through(store):
    def one(jobs):
        return jobs.work("mail", [], node=1, limit=1, now=0)

    def calls_of_a_claim():
        calls = []
        sys.setprofile(lambda _frame, event, _arg: calls.append(1) if event == "call" else None)
        try:
            claim = job_store.write(store.env, one)
        finally:
            sys.setprofile(None)
        assert len(claim.jobs) == 1
        return len(calls)

    for _ in range(300):
        store.insert(a_new_job())
    store.pause()
    store.step(5)
    calls_of_a_claim()  # what is cached is made
    few = calls_of_a_claim()
    store.step(290)

    assert calls_of_a_claim() <= few + 10


def test_verify_finds_what_is_wrong_with_breakpoints(store):
    store.add_breakpoint()
    id_ = store.insert(a_new_job())
    store.pause()
    store.step()

    def damage(txn):
        table = store.env.tables.further(txn, TABLE)
        with txn.cursor(table) as cursor:
            for key, _ in list(cursor):
                txn.put(key, b"\xc1", db=table)

    store.env.write(damage)

    found = store.findings()
    assert any("is damaged on disk" in each for each in found)
    assert any(f"job {id_} was let through, and no row has it" in each for each in found)
    assert any("queue 'mail' is noted for b'ct' instead of b''" in each for each in found)
