"""Any sequence of verbs on jobs with limits, against a small model of what they have to keep.

No more run of a key than may, nothing starts at what is closed, and jobs of a strict limit start in
order. At the end everything is opened and time passes: then each job has to run.
"""

import tempfile
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from support.stored_jobs import Store, a_new_job, limits_of

from antq_actors.errors import NotCancellable, NotRetryable
from antq_actors.flow.limits import ConcurrencyRule, LimitRule, RateRule
from antq_actors.jobs.outcome import Cancelled, Completed, Failed, GivenBack, RateLimited, Snoozed
from antq_actors.jobs.state import ACTIVE, ENDED, Status
from antq_actors.storage.format.records import Filter, Settlement
from antq_actors.storage.jobs import job_store
from antq_actors.storage.lmdb.open_stores import open_environment

SECOND = 1_000_000
FIRST = 1_000 * SECOND
QUEUES = ("mail", "other")
NUMBERS = {"one": 1, "two": 2, "pair": 2, "last": 1}
KEYED = ("one", "two")
STRICT = ("one", "pair")
NAMES = (*NUMBERS, "rate")
OUTCOMES = (
    Completed(),
    Completed(),
    Failed("no", None, 0.0),
    Failed("no", None, 10.0),
    Cancelled("enough"),
    GivenBack(),
    Snoozed(5.0),
    GivenBack(0, RateLimited(7)),
    *(GivenBack(0, RateLimited(7, name)) for name in ("one", "pair", "rate")),
)
names = st.sampled_from(NAMES)
gate_names = st.lists(names, unique=True, max_size=4)
keys = st.sampled_from([0, 1])
indexes = st.integers(0, 1_000)
spans = st.sampled_from([None, 5 * SECOND, 20 * SECOND])


def the_key(name, key):
    """What the verbs take as a key of a limit."""
    return limits_of([(name, key)])[1][0] if name in KEYED else None


@dataclass
class Known:
    """What the model knows of a job."""

    gates: tuple
    priority: int
    places: set = field(default_factory=set)
    """The gates in whose strict order it has a place."""
    has_begun: bool = False


class LimitsMachine(RuleBasedStateMachine):
    @initialize()
    def open(self):
        self.directory = tempfile.TemporaryDirectory()
        self.env = open_environment(self.directory.name, durable=False)
        self.store = Store(self.env).has_nodes(1)
        self.now = FIRST
        self.jobs = {}
        self.running = {}
        self.closed = {}
        """Until when a limit or a gate is paused, or was turned away; by kind."""
        self.numbers = {}
        self.strict = dict.fromkeys(NUMBERS, False)
        for name in STRICT:
            self.strict[name] = True
        self.declare()

    def declare(self):
        rules = [
            LimitRule(name, name in KEYED, ConcurrencyRule(n, self.strict[name]))
            for name, n in NUMBERS.items()
        ]
        rules.append(LimitRule("rate", keyed=False, rate=RateRule(3, SECOND, burst=2)))
        self.store.declare_limits(rules, replace=True, now=self.now)

    def teardown(self):
        if hasattr(self, "env"):
            try:
                self.everything_runs_once_it_is_opened()
            finally:
                self.env.close()
                self.directory.cleanup()

    # ---- what the model knows -------------------------------------------------------------------

    def number_of(self, gate):
        name = gate[0]
        for place in (gate, (name, None)):
            if place in self.numbers:
                return self.numbers[place]
        return NUMBERS.get(name)

    def join(self, job):
        job.places = {gate for gate in job.gates if self.strict.get(gate[0])}
        job.has_begun = False

    def places(self, gate):
        """The ids of those in a strict order, first to last."""
        found = [
            (not job.has_begun, -job.priority, id_)
            for id_, job in self.jobs.items()
            if gate in job.places
        ]
        return [id_ for *_, id_ in sorted(found)]

    def closed_until(self, gate):
        whole = (gate[0], None)
        return max(
            self.closed.get((kind, place), 0)
            for kind in ("pause", "refusal")
            for place in (gate, whole)
        )

    def claimed(self, jobs):
        for job in jobs:
            known = self.jobs[job.id]
            assert job.id not in self.running
            for gate in known.gates:
                assert self.closed_until(gate) <= self.now, gate
                if gate in known.places and self.strict.get(gate[0]):
                    assert job.id in self.places(gate)[: self.number_of(gate)], gate
            self.running[job.id] = job
            known.has_begun = known.has_begun or bool(known.places)
            for gate in known.gates:
                count = sum(gate in self.jobs[id_].gates for id_ in self.running)
                assert self.number_of(gate) is None or count <= self.number_of(gate), gate

    def ended(self, id_):
        self.jobs[id_].places = set()

    def one_of(self, ids, at):
        return sorted(ids)[at % len(ids)]

    # ---- jobs -----------------------------------------------------------------------------------

    @rule(
        given=gate_names,
        key=keys,
        queue=st.sampled_from(QUEUES),
        priority=st.sampled_from([0, 0, 0, 5]),
        due=st.sampled_from([None, None, 15 * SECOND]),
        count=st.sampled_from([1, 1, 3]),
    )
    def insert(self, *, given, key, queue, priority, due, count):
        gates = tuple((name, key if name in KEYED else None) for name in given)
        for _ in range(count):
            new = a_new_job(
                now=self.now,
                queue=queue,
                priority=priority,
                due=due and self.now + due,
                max_attempts=3,
                gates=[gate if gate[0] in KEYED else gate[0] for gate in gates],
            )
            job = self.jobs[self.store.insert(new)] = Known(gates, priority)
            self.join(job)

    @rule(queue=st.sampled_from(QUEUES), limit=st.sampled_from([1, 3, 50]))
    def claim(self, queue, limit):
        self.claimed(self.store.work(queue, [], node=1, limit=limit, now=self.now).jobs)

    @precondition(lambda self: self.running)
    @rule(at=indexes, outcome=st.sampled_from(OUTCOMES))
    def settle(self, at, outcome):
        id_ = self.one_of(self.running, at)
        job = self.running.pop(id_)
        self.store.settle(Settlement(id_, job.state.execution, outcome), now=self.now)
        closes = getattr(outcome, "closes", None)
        after = self.store.get(id_).state
        if after.status in ENDED:
            self.ended(id_)
        elif closes is not None and after.status is Status.ENQUEUED:
            gates = self.jobs[id_].gates
            wanted = [gate for gate in gates if closes.limit in (None, gate[0])]
            place = ("refusal", wanted[0])
            until = self.now + closes.retry_after * SECOND
            self.closed[place] = max(self.closed.get(place, 0), until)

    @precondition(lambda self: self.jobs)
    @rule(at=indexes, verb=st.sampled_from(["cancel", "retry", "delete", "run_now"]))
    def change(self, at, verb):
        id_ = self.one_of(self.jobs, at)
        had_ended = self.store.get(id_).state.status in ENDED
        try:
            getattr(self.store, verb)(id_, now=self.now)
        except (NotCancellable, NotRetryable):
            return
        if verb == "delete":
            del self.jobs[id_]
            self.running.pop(id_, None)
        elif verb == "retry" and had_ended:
            self.join(self.jobs[id_])
        elif verb == "cancel" and id_ not in self.running:
            self.ended(id_)

    @precondition(lambda self: self.jobs)
    @rule(opens_anew=st.booleans())
    def die(self, opens_anew):
        if opens_anew:
            self.env.close()
            self.env = open_environment(self.directory.name, durable=False)
            self.store = Store(self.env)
        self.store.rescue(node=1, now=self.now, max_interruptions=5, reason="gone")
        for id_ in self.running:
            if self.store.get(id_).state.status in ENDED:
                self.ended(id_)
        self.running = {}
        job_store.write(self.env, lambda store: store.add_node(1))

    @rule(seconds=st.sampled_from([0, 1, 5, 30]))
    def time_passes(self, seconds):
        self.now += seconds * SECOND

    # ---- limits ---------------------------------------------------------------------------------

    @rule(name=names, key=keys | st.none(), span=spans)
    def pause(self, name, key, span):
        until = span and self.now + span
        self.store.pause_limit(name, self.key_of(name, key), until, self.now)
        place = "pause", (name, key if name in KEYED else None)
        self.closed[place] = 2**62 if until is None else until

    @rule(name=names, key=keys | st.none())
    def resume(self, name, key):
        self.store.resume_limit(name, self.key_of(name, key), self.now)
        place = name, key if name in KEYED else None
        for kind in ("pause", "refusal"):
            self.closed.pop((kind, place), None)

    @rule(name=st.sampled_from(sorted(NUMBERS)), key=keys | st.none(), n=st.integers(1, 3))
    def set_number(self, name, key, n):
        self.store.set_limit(name, self.key_of(name, key), limit=n, now=self.now)
        self.numbers[name, key if name in KEYED else None] = n

    @rule(name=names, key=keys | st.none())
    def reset(self, name, key):
        self.store.reset_limit(name, self.key_of(name, key), self.now)
        self.numbers.pop((name, key if name in KEYED else None), None)

    @rule(name=st.sampled_from(sorted(NUMBERS)))
    def change_the_order(self, name):
        self.strict[name] = not self.strict[name]
        self.declare()

    def key_of(self, name, key):
        return None if key is None else the_key(name, key)

    # ---- the end --------------------------------------------------------------------------------

    def everything_runs_once_it_is_opened(self):
        for name in NAMES:
            for key in (None, 0, 1):
                self.resume(name, key)
                self.reset(name, key)
        for _ in range(3 * len(self.jobs) + 3):
            for id_, job in sorted(self.running.items()):
                settlement = Settlement(id_, job.state.execution, Completed())
                self.store.settle(settlement, now=self.now)
                self.ended(id_)
            self.running = {}
            for queue in QUEUES:
                self.claim(queue, 50)
            self.now += 10 * SECOND
        left = [job.id for job in self.store.page(Filter(ACTIVE))]
        assert left == []


TestLimitsMachine = LimitsMachine.TestCase
TestLimitsMachine.settings = settings(max_examples=40, stateful_step_count=40)
