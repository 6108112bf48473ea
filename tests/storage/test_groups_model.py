"""Whatever happens to the members of groups, in whatever order: each callback comes once."""

from collections import Counter
from contextlib import suppress

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.stored_jobs import Store, a_new_job

from antq_actors.errors import AntqError
from antq_actors.jobs.outcome import COMPLETED, Cancelled, Completed, Failed, Produced
from antq_actors.jobs.state import ENDED
from antq_actors.storage.format.records import Filter, Settlement
from antq_actors.storage.jobs import job_store
from antq_actors.storage.jobs.group_verbs import NewGroup
from antq_actors.storage.jobs.groups import BATCH
from antq_actors.storage.lmdb.open_stores import open_environment
from antq_actors.workflows.counters import Event, old_from

OUTCOMES = (
    COMPLETED,
    Completed(Produced(members=(a_new_job(),))),
    Failed("no", retry_in=0),
    Cancelled("no"),
)
CALLBACKS = tuple((event, a_new_job(worker=event.name, queue="calls")) for event in Event)
numbers = st.integers(0, 1_000)


class Batches(RuleBasedStateMachine):
    """Two batches, one within the other, and what was due of the outer one so far."""

    directory: str

    @initialize(is_nested=st.booleans())
    def begin(self, is_nested):
        self.now = 1
        self.env = open_environment(self.directory(), durable=False)
        self.store = Store(self.env).has_nodes(1)
        self.outer = self.store.create_group(NewGroup(BATCH, "outer", 0, CALLBACKS))
        self.inner = 0
        if is_nested:
            self.inner = self.store.create_group(NewGroup(BATCH, "inner", 0), parent=self.outer)
        self.happened: set[Event] = set()
        self.running: list = []
        self.is_being_pruned = False

    def teardown(self):
        self.env.close()

    @rule(number=st.integers(0, 3), is_inner=st.booleans())
    def add(self, number, is_inner):
        self.tick()
        news = [a_new_job(now=self.now, max_attempts=2) for _ in range(number)]
        self.do("insert_members", (is_inner and self.inner) or self.outer, news)

    @rule(is_inner=st.booleans())
    def close(self, is_inner):
        self.do("close_group", (is_inner and self.inner) or self.outer, now=self.tick())

    @rule(is_inner=st.booleans())
    def cancel(self, is_inner):
        self.do("cancel_group", (is_inner and self.inner) or self.outer, now=self.tick())

    @rule(limit=st.integers(1, 3))
    def claim(self, limit):
        self.running += self.store.claim(limit=limit, now=self.tick())

    @precondition(lambda self: self.running)
    @rule(outcomes=st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=4))
    def settle(self, outcomes):
        self.tick()
        settlements = [
            Settlement(job.id, job.state.execution, outcome)
            for job, outcome in zip(self.running, outcomes, strict=False)
        ]
        self.store.work("mail", settlements, node=1, limit=0, now=self.now)
        stale = self.running[: len(settlements) // 2]
        self.running = stale + self.running[len(settlements) :]

    @rule(number=numbers)
    def delete(self, number):
        self.do("delete", self.some(number), now=self.tick())

    @rule(number=numbers)
    def retry(self, number):
        self.do("retry", self.some(number), now=self.tick())

    @rule()
    def prune(self):
        group, ids = self.batch(), [job.id for job in self.jobs()]
        self.store.prune(finished_before=self.now - 50, limit=2)
        if group is not None and not group.ended_at:
            assert [job.id for job in self.jobs()] == ids
        is_old = group is not None and 0 < old_from(group) < self.now - 50
        assert is_old or self.batch() == group
        self.is_being_pruned |= is_old

    @rule(outcome=st.sampled_from((COMPLETED, Failed("no"))))
    def call(self, outcome):
        for job in self.store.claim(queue="calls", now=self.tick()):
            self.store.end(job, outcome, now=self.tick())

    @rule(number=numbers)
    def retry_call(self, number):
        if calls := self.calls():
            self.do("retry", calls[number % len(calls)].id, now=self.tick())

    def tick(self):
        self.now += 20
        return self.now

    def some(self, number):
        ids = [job.id for job in self.jobs()]
        return ids[number % len(ids)] if ids else 0

    def jobs(self):
        return job_store.read(self.env, lambda reader: reader.page(Filter(queue_name="mail")))

    def calls(self):
        return job_store.read(self.env, lambda reader: reader.page(Filter(queue_name="calls")))

    def batch(self):
        try:
            return job_store.read(self.env, lambda reader: reader.batch(self.outer)).group
        except AntqError:
            return None

    def do(self, verb, *args, **kwargs):
        """Do what may be refused; the tables agree all the same, as `Store` looks after each."""
        with suppress(AntqError):
            getattr(self.store, verb)(*args, **kwargs)

    @invariant()
    def each_callback_was_stored_when_it_was_due_and_once(self):
        group = self.batch()
        if group is None:
            return
        bad = group.ends.failed + group.ends.cancelled
        has_ended = group.is_closed and group.ends.total == group.total
        self.happened |= {
            event
            for event, holds in (
                (Event.FAILURE, bad),
                (Event.COMPLETE, has_ended),
                (Event.SUCCESS, has_ended and not bad),
            )
            if holds
        }
        calls = self.calls()
        if self.is_being_pruned:
            assert Counter(Event[job.worker] for job in calls) <= Counter(self.happened)
            return
        assert Counter(Event[job.worker] for job in calls) == Counter(self.happened)
        assert group.callbacks_left == sum(job.state.status not in ENDED for job in calls)
        if not self.inner and not group.gone.total:
            ended = sum(job.state.status in ENDED for job in self.jobs())
            assert (group.total, group.ends.total) == (len(self.jobs()), ended)


def test_callbacks_come_once_whatever_happens_to_members(tmp_path_factory):
    Batches.directory = lambda _: tmp_path_factory.mktemp("store")
    run_state_machine_as_test(
        Batches, settings=settings(max_examples=40, stateful_step_count=30, deadline=None)
    )
