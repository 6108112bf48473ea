"""The store against a model that keeps jobs in a dict and looks at all of them each time."""

import tempfile
from itertools import takewhile

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.raw_jobs import LARGE, put_garbage_for_state, put_spec
from support.stored_jobs import Store, a_new_job

from antq_actors.errors import AlreadyExists, NotCancellable, NotRetryable
from antq_actors.jobs import lifecycle
from antq_actors.jobs.outcome import (
    Cancelled,
    Completed,
    Failed,
    GivenBack,
    Interrupted,
    Refused,
    Snoozed,
)
from antq_actors.jobs.state import ACTIVE, ENDED, Status, StoredJob
from antq_actors.storage.format.records import Chosen, Filter, Settlement
from antq_actors.storage.jobs import job_store
from antq_actors.storage.jobs.writer import ISOLATION_MICROSECONDS
from antq_actors.storage.lmdb.open_stores import open_environment

FAILED = Status.FAILED
MOST_INTERRUPTIONS = 2

queues = st.sampled_from(["mail", "mail2"])
uniques = st.sampled_from(
    [None, (("n",), ACTIVE), (("n",), frozenset(Status)), (("n",), frozenset({Status.FAILED}))]
)
outcomes = st.sampled_from(
    [
        Completed(),
        Failed("no", "trace", 0.000005),
        Failed("no", None, 0.0),
        Refused("no worker"),
        Cancelled("enough"),
        Snoozed(0.000003),
        Snoozed(0.0),
        GivenBack(),
    ]
)


def put_garbage_for_spec(txn, tables, id_):
    put_spec(txn, tables, id_, b"\xc1 garbage")


class JobStoreModel(RuleBasedStateMachine):
    @initialize()
    def open(self):
        self.directory = tempfile.TemporaryDirectory()
        self.env = open_environment(self.directory.name, durable=False)
        self.store = Store(self.env).has_nodes(1, 2)
        self.isolated = {}
        self.jobs = {}
        self.next_id = 1
        self.now = 100
        self.claimed = []

    def teardown(self):
        if hasattr(self, "env"):
            self.env.close()
            self.directory.cleanup()

    # ---- what the model knows -------------------------------------------------------------

    def put(self, id_, state, error=None):
        old = self.jobs[id_]
        errors = old.errors if error is None else lifecycle.kept_errors((error, *old.errors))
        self.jobs[id_] = old._replace(state=state, errors=errors)

    def blocked(self, spec, but=None):
        return spec.unique_digest is not None and any(
            job.id != but
            and job.spec.unique_digest == spec.unique_digest
            and job.state.status in spec.unique_statuses
            for job in self.jobs.values()
        )

    def of(self, status, queue):
        return [
            job
            for job in self.jobs.values()
            if job.state.status is status and job.state.queue_name == queue
        ]

    def some(self, data):
        return data.draw(st.sampled_from(sorted(self.jobs)))

    # ---- what happens ---------------------------------------------------------------------

    @rule(step=st.integers(1, 10) | st.sampled_from([ISOLATION_MICROSECONDS, -20]))
    def time_passes(self, step):
        self.now += step

    @rule(
        queue=queues,
        n=st.integers(1, 3),
        priority=st.sampled_from([-128, -1, 0, 3]),
        ahead=st.none() | st.integers(0, 10),
        max_attempts=st.integers(1, 2),
        unique=uniques,
        text=st.sampled_from(["", LARGE]),
    )
    def insert(self, queue, n, priority, ahead, max_attempts, unique, text):  # noqa: PLR0917 - drawn by name
        names, statuses = unique or (None, ())
        new = a_new_job(
            {"n": n, "text": text},
            now=self.now,
            queue=queue,
            due=None if ahead is None else self.now + ahead,
            priority=priority,
            max_attempts=max_attempts,
            unique=names,
            statuses=statuses,
        )

        (id_,) = self.store.insert_many([new])

        if self.blocked(new.spec):
            assert id_ is None
            return
        assert id_ == self.next_id
        self.jobs[id_] = StoredJob(id_, new.state, new.spec, ())
        self.next_id += 1

    @rule(
        queue=queues,
        count=st.integers(0, 4),
        ahead=st.none() | st.integers(0, 5),
        names=st.none() | st.just(("n",)),
    )
    def insert_together(self, queue, count, ahead, names):
        due = None if ahead is None else self.now + ahead
        first = a_new_job({"n": 0}, now=self.now, queue=queue, due=due, unique=names)
        news = [first] * count
        blocked = self.blocked(first.spec)

        ids = self.store.insert_many(news)

        if names is None:
            expected = list(range(self.next_id, self.next_id + count))
        else:  # each of them is in the way of the next
            expected = [None if blocked or n else self.next_id for n in range(count)]
        assert ids == expected
        for id_ in filter(None, ids):
            self.jobs[id_] = StoredJob(id_, first.state, first.spec, ())
            self.next_id = id_ + 1

    @rule(
        queue=queues,
        limit=st.integers(0, 6),
        node=st.integers(1, 2),
        chosen=st.lists(st.tuples(st.integers(0, 9), outcomes | st.just(Completed())), max_size=6),
        damage=st.none() | st.sampled_from(["jobs", "payloads"]),
    )
    def work(self, queue, limit, node, chosen, damage):
        """Settle many, also stale ones and one twice, and claim, perhaps over a damaged job."""
        claimed = self.claimed[-10:]
        settlements = [
            Settlement(*claimed[number % len(claimed)], outcome)
            for number, outcome in chosen
            if claimed
        ]
        for id_, execution, outcome, *_ in settlements:
            if self.runs(id_, execution):
                job = self.jobs[id_]
                self.put(id_, *lifecycle.settle(job.state, outcome, now=self.now))

        self.claim(queue, limit, node, settlements, damage)

    @rule(queue=queues, limit=st.integers(0, 3), node=st.integers(1, 2))
    def claim_alone(self, queue, limit, node):
        self.claim(queue, limit, node)

    def runs(self, id_, execution):
        job = self.jobs.get(id_)
        return (
            job is not None
            and job.state.status is Status.RUNNING
            and job.state.execution == execution
        )

    def damage(self, table, due, node):
        """Damage the second of the due jobs in a table; return it, or None if it would wait."""
        if (
            table is None
            or len(due) < 2
            or node in self.isolated
            or any(j.state.isolated for j in due)
        ):
            return None
        put = put_garbage_for_state if table == "jobs" else put_garbage_for_spec
        self.env.write(lambda txn: put(txn, self.env.tables, due[1].id))
        return due[1]

    def is_failed_and_deleted(self, damaged):
        assert self.store_unverified(lambda store: store.get(damaged.id)).state.status is FAILED
        self.store.delete(damaged.id)
        del self.jobs[damaged.id]

    def store_unverified(self, verb):
        return job_store.write(self.env, verb)

    def claim(self, queue, limit, node, settlements=(), damage=None):
        due = [
            job
            for status in (Status.SCHEDULED, Status.RETRYING)
            for job in sorted(
                self.of(status, queue), key=lambda job: (job.state.scheduled_at, job.id)
            )
            if job.state.scheduled_at <= self.now
        ]
        waiting = sorted(
            self.of(Status.ENQUEUED, queue), key=lambda job: (-job.state.priority, job.id)
        )
        due = [*due, *waiting]
        damaged = self.damage(damage, due[:limit], node)
        if damaged is not None:
            due.remove(damaged)
        expected, look_at = self.claimable(due[:limit], limit, node)

        claim = self.store_unverified(
            lambda store: store.work(queue, settlements, node=node, limit=limit, now=self.now)
        )

        if damaged is not None:
            self.is_failed_and_deleted(damaged)
        assert self.store.findings() == []
        assert [job.id for job in claim.jobs] == expected
        for id_ in expected:
            self.put(id_, lifecycle.claim(self.jobs[id_].state, node=node, now=self.now))
        assert claim.jobs == [self.jobs[id_]._replace(errors=()) for id_ in expected]
        for job in claim.jobs:
            errors = self.store.errors(job.id, count=job.state.errors)
            assert errors == self.jobs[job.id].errors
        self.claimed += [(job.id, job.state.execution) for job in claim.jobs]
        if claim.jobs and claim.jobs[0].state.isolated:
            self.isolated[node] = (claim.jobs[0], self.now)
        ahead = [
            job.state.scheduled_at
            for status in (Status.SCHEDULED, Status.RETRYING)
            for job in self.of(status, queue)
        ]
        assert claim.next_due == (look_at or min(ahead, default=None))

    def claimable(self, due, limit, node):
        """The ids of the due jobs that may begin now, and when to look again if that is why.

        A job that one more interruption would fail runs isolated.
        """
        if limit and node in self.isolated:
            job, since = self.isolated[node]
            runs = self.runs(job.id, job.state.execution)  # also one that is being cancelled
            if runs and since <= self.now < since + ISOLATION_MICROSECONDS:
                return [], since + ISOLATION_MICROSECONDS
        if due and due[0].state.isolated:
            return [due[0].id], self.now + ISOLATION_MICROSECONDS
        free = list(takewhile(lambda job: not job.state.isolated, due))
        return [job.id for job in free], None if len(free) == len(due) else self.now

    @precondition(lambda self: self.claimed)
    @rule(data=st.data(), outcome=outcomes)
    def settle(self, data, outcome):
        id_, execution = data.draw(st.sampled_from(self.claimed))
        job = self.jobs.get(id_)
        current = (
            job is not None
            and job.state.status is Status.RUNNING
            and job.state.execution == execution
        )

        settled = self.store.settle(Settlement(id_, execution, outcome), now=self.now)

        assert settled == current
        if current:
            self.put(id_, *lifecycle.settle(job.state, outcome, now=self.now))

    @rule(node=st.integers(1, 2), queue=st.none() | queues)
    def rescue(self, node, queue):
        lost = [
            job
            for job in self.jobs.values()
            if job.state.status is Status.RUNNING
            and job.state.node == node
            and queue in (None, job.state.queue_name)
        ]

        rescued = self.store.rescue(
            node=node,
            now=self.now,
            max_interruptions=MOST_INTERRUPTIONS,
            reason="it died",
            queue_name=queue,
        )

        assert rescued == len(lost)
        outcome = Interrupted("it died", MOST_INTERRUPTIONS)
        for job in lost:
            self.put(job.id, *lifecycle.settle(job.state, outcome, now=self.now))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data):
        id_ = self.some(data)
        try:
            expected = lifecycle.cancel(self.jobs[id_].state, now=self.now)
        except NotCancellable:
            expected = None

        try:
            cancelled = self.store.cancel(id_, now=self.now)
        except NotCancellable:
            assert expected is None
            return

        self.put(id_, expected)
        assert cancelled == self.jobs[id_]

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def retry(self, data):
        id_ = self.some(data)
        job = self.jobs[id_]

        try:
            retried = self.store.retry(id_, now=self.now)
        except NotRetryable:
            assert job.state.status not in ENDED
            return
        except AlreadyExists:
            assert self.blocked(job.spec, but=id_)
            return

        assert not self.blocked(job.spec, but=id_)
        self.put(id_, lifecycle.retry(job.state, now=self.now))
        assert retried == self.jobs[id_]

    @rule(
        verb=st.sampled_from(["retry", "cancel", "delete"]),
        chosen=st.none() | st.frozensets(st.sampled_from(Status), min_size=1),
        age=st.none() | st.integers(0, 10),
        dues=st.lists(st.integers(0, 10), max_size=2),
        but=st.integers(0, 5),
        limit=st.none() | st.integers(0, 3),
    )
    def change_many(self, verb, chosen, age, dues, but, limit):  # noqa: PLR0917 - drawn by name
        """Change jobs in bulk that were found before: one that is not there, too."""
        until = None if age is None else self.now - age
        ids = [id_ for id_ in (*sorted(self.jobs), self.next_id) if id_ % 6 != but]
        expected, left = [0, 0, 0], list(dues)
        for id_ in ids:
            if expected[0] == limit:
                break
            job = self.jobs.get(id_)
            if (
                job is None
                or (chosen is not None and job.state.status not in chosen)
                or (until is not None and until < job.state.updated_at <= self.now)
            ):
                expected[1] += 1
                continue
            try:
                if verb == "retry":
                    due = self.now + left[0] if left else None
                    state = lifecycle.retry(job.state, now=self.now, due=due)
                    if self.blocked(job.spec, but=id_):
                        expected[2] += 1
                        continue
                    del left[:1]
                    self.put(id_, state)
                elif verb == "cancel":
                    self.put(id_, lifecycle.cancel(job.state, now=self.now))
                else:
                    del self.jobs[id_]
                expected[0] += 1
            except (NotCancellable, NotRetryable):
                expected[1] += 1

        options = {"dues": [self.now + each for each in dues]} if verb == "retry" else {}
        change = getattr(self.store, f"{verb}_many")
        result = change(ids, Chosen(chosen, until), now=self.now, limit=limit, **options)

        assert list(result[:3]) == expected

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), ahead=st.none() | st.integers(-3, 10))
    def change_due(self, data, ahead):
        id_ = self.some(data)
        job = self.jobs[id_]
        options = {} if ahead is None else {"due": self.now + ahead}
        decide = lifecycle.run_now if ahead is None else lifecycle.reschedule
        verb = self.store.run_now if ahead is None else self.store.reschedule

        try:
            changed = verb(id_, now=self.now, **options)
        except NotRetryable:
            assert job.state.status in ENDED | {Status.RUNNING}
            return

        self.put(id_, decide(job.state, now=self.now, **options))
        assert changed == self.jobs[id_]

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def delete(self, data):
        id_ = self.some(data)

        self.store.delete(id_)

        del self.jobs[id_]

    @rule(age=st.integers(0, 10), limit=st.integers(0, 3))
    def prune(self, age, limit):
        before = self.now - age
        old = {
            job.id
            for job in self.jobs.values()
            if job.state.status in ENDED and job.state.updated_at < before
        }

        pruned = self.store.prune(finished_before=before, limit=limit)

        assert pruned == min(limit, len(old))
        left = {job.id for job in self.store.page(Filter())}
        gone = self.jobs.keys() - left
        assert gone <= old
        assert len(gone) == pruned
        for id_ in gone:
            del self.jobs[id_]

    @rule()
    def reopen(self):
        self.env.close()
        self.env = open_environment(self.directory.name, durable=False)
        self.store = Store(self.env).has_nodes(1, 2)

    # ---- what always holds ----------------------------------------------------------------

    @invariant()
    def the_store_holds_what_the_model_holds(self):
        stored = [raw.decode() for raw in self.store.page(Filter())]
        assert stored == [self.jobs[id_] for id_ in sorted(self.jobs)]

    @invariant()
    def every_list_and_count_agrees(self):
        for queue in ("mail", "mail2"):
            counts = self.store.counts(queue)
            for status in Status:
                expected = sorted(job.id for job in self.of(status, queue))
                filter_ = Filter(frozenset({status}), queue)
                assert self.store.ids(filter_) == expected
                assert counts[status] == len(expected)


TestJobStoreModel = JobStoreModel.TestCase
TestJobStoreModel.settings = settings(max_examples=40, stateful_step_count=30)
