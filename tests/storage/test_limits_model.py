"""Jobs with limits: whatever happens in whatever order, no more run than may, and none is stuck."""

import random

import pytest
from support.stored_jobs import Store, a_new_job, gate

from antq_actors.errors import NotCancellable, NotRetryable
from antq_actors.flow import gates
from antq_actors.flow.limits import ConcurrencyRule, LimitRule, RateRule
from antq_actors.jobs.outcome import Completed, Failed, GivenBack, Snoozed
from antq_actors.jobs.state import ENDED, Status
from antq_actors.storage.format.records import Filter, Settlement
from antq_actors.storage.jobs.gates import GateTable
from antq_actors.storage.jobs.strict_order import chain_ids
from antq_actors.storage.lmdb.open_stores import open_environment

LIMITS = {
    "tenant": 1,
    "account": 1,
    "proxy": 2,
    "socket": 3,
    "endless": None,
    "slow": None,
    "strict": 1,
}
RATE = RateRule(2, 40)
OUTCOMES = (
    Completed(),
    Failed("no", None, 0.0),
    Failed("no", None, 0.00001),
    GivenBack(),
    Snoozed(0),
)
QUEUES = ("mail", "mail2")


class Walk:
    """A random walk through the verbs of a store, with what must be true at each step."""

    def __init__(self, store, seed):
        self.store = store
        self.random = random.Random(seed)  # noqa: S311 - no secret
        self.now = 1_000
        self.running = {}
        rules = [
            LimitRule(
                name,
                keyed=name in {"account", "strict", "tenant"},
                concurrency=ConcurrencyRule(n, name == "strict"),
            )
            for name, n in LIMITS.items()
            if n
        ]
        rules.append(LimitRule("slow", keyed=False, rate=RATE))
        store.declare_limits(rules, replace=True, now=self.now)

    def step(self):
        verb = self.random.choice(
            [*[self.insert, self.claim, self.settle] * 2, self.change, self.rescue]
        )
        verb()
        self.now += self.random.choice([0, 1, 20])

    def some_gates(self):
        found = []
        if self.random.random() < 0.7:
            found.append(("account", self.random.randrange(3)))
        keyed = [name for name in ("strict", "tenant") if self.random.random() < 0.4]
        found += [(name, self.random.randrange(2)) for name in keyed]
        found += [
            name for name in ("endless", "proxy", "slow", "socket") if self.random.random() < 0.4
        ]
        self.random.shuffle(found)
        return found

    def insert(self):
        news = [
            a_new_job(
                now=self.now,
                queue=self.random.choice(QUEUES),
                due=self.random.choice([None, None, None, self.now + 15]),
                priority=self.random.choice([0, 0, 0, 5, -5]),
                max_attempts=2,
                gates=self.some_gates(),
            )
            for _ in range(self.random.choice([1, 1, 3, 8]))
        ]
        self.store.insert_many(news)

    def claim(self):
        queue, node = self.random.choice(QUEUES), self.random.choice([1, 2])
        claim = self.store.work(
            queue, [], node=node, limit=self.random.choice([1, 4, 50]), now=self.now
        )
        for job in claim.jobs:
            assert job.id not in self.running
            self.running[job.id] = job

    def settle(self):
        ids = self.random.sample(
            sorted(self.running), min(len(self.running), self.random.choice([1, 3]))
        )
        settlements = [
            Settlement(id_, self.running.pop(id_).state.execution, self.random.choice(OUTCOMES))
            for id_ in ids
        ]
        self.store.work(self.random.choice(QUEUES), settlements, node=1, limit=0, now=self.now)

    def change(self):
        jobs = self.store.page(Filter())
        if not jobs:
            return
        job = self.random.choice(jobs)
        verb = self.random.choice(["cancel", "retry", "delete"])
        try:
            getattr(self.store, verb)(job.id, now=self.now)
        except (NotCancellable, NotRetryable):
            return
        if verb == "delete":
            self.running.pop(job.id, None)

    def rescue(self):
        if self.random.random() < 0.2:
            self.store.rescue(node=1, now=self.now, max_interruptions=5, reason="gone")
            self.running = {
                job.id: self.running[job.id]
                for job in self.store.page(Filter(frozenset({Status.RUNNING})))
            }

    def check(self):
        """The store itself was verified after each verb; this is what verify cannot know."""
        running, waiting, begun = {}, {}, []
        jobs = self.store.page(Filter())
        for job in jobs:
            state, spec = self.store.get(job.id)[1:3]
            if state.limited is not None and state.limited.has_begun:
                begun += state.limited.chains
            for ref in () if spec.flow is None else spec.flow.gates:
                if state.status is Status.RUNNING:
                    running[ref.gate] = running.get(ref.gate, 0) + 1
                if state.status is Status.ENQUEUED and state.limited.gate == ref.gate:
                    waiting.setdefault((ref.gate, state.queue_name), []).append(job.id)
        assert len(begun) == len(set(begun))  # of each strict key one is under way
        for key, count in running.items():
            names = [name for name in LIMITS if gate(name)[:8] == key[:8]]
            assert LIMITS[names[0]] is None or count <= LIMITS[names[0]]
        self.assert_nobody_is_stuck(waiting)

    def assert_nobody_is_stuck(self, waiting):
        def look(txn):
            table = GateTable(txn, self.store.env.tables)
            for (key, queue_name), ids in waiting.items():
                chain = chain_ids(txn, self.store.env.tables.index, key, 1)
                if chain and chain[0] not in ids:
                    continue  # it waits for the first of a strict order
                found = table.gate(key, self.now)
                room = found.room(queue_name)
                assert room.waiting == len(ids)
                closed = gates.closed_by(table.limit(key), found, self.now)
                if closed is None:
                    assert room.head or 0 < room.opens_at <= self.now, (key.hex(), ids)
                elif closed.opens_at is not None:
                    assert room.head or room.opens_at, (key.hex(), ids)

        self.store.env.read(look)

    def drain(self):
        """Let all that is there complete, in so many claims as there are jobs at most."""
        for _ in range(2_000):
            self.now += 100
            for job in self.running.values():
                settlement = Settlement(job.id, job.state.execution, Completed())
                assert self.store.settle(settlement, now=self.now)
            self.running = {}
            for queue in QUEUES:
                claim = self.store.work(queue, [], node=2, limit=20, now=self.now)
                self.running |= {job.id: job for job in claim.jobs}
            if not self.running and not self.store.count(frozenset(Status) - ENDED):
                return
        raise AssertionError("some jobs never ran")


@pytest.mark.parametrize("seed", range(10))
def test_never_more_run_than_may_and_no_key_is_stuck(tmp_path, seed):
    env = open_environment(tmp_path / "store", durable=False)
    try:
        walk = Walk(Store(env).has_nodes(1, 2), seed)
        for _ in range(50):
            walk.step()
            walk.check()
        walk.drain()
    finally:
        env.close()
