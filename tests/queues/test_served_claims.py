"""A queue that is served by the transactions that store its jobs: never too many, each job once."""

import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random as Chance

import lmdb
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.apps import settled, until
from support.stored_jobs import a_new_job

from antq_actors import Status, StorageError, Worker, otp
from antq_actors.jobs import lifecycle
from antq_actors.jobs.control import Control
from antq_actors.jobs.outcome import COMPLETED
from antq_actors.jobs.perform import Attempt
from antq_actors.jobs.state import NewJob
from antq_actors.otp import Killed, Shutdown
from antq_actors.queues import Wake, exit_queue, queue_actor, queue_state
from antq_actors.queues.exit_queue import ExitQueue
from antq_actors.queues.messages import Drain
from antq_actors.queues.queue_state import HOLD_SECONDS, QueueState
from antq_actors.queues.verdict import RunningAttempt
from antq_actors.storage.actor import StorageActor
from antq_actors.storage.admin.verify import verify
from antq_actors.storage.format.records import Filter
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.lmdb.environment import Environment
from antq_actors.storage.requests import Read, StandingClaim, Write

NODE = 1


class AQueue(otp.GenServer):
    """An actor that may leave claims."""


@contextmanager
def failing(error, times=9):
    """Let so many transactions fail at their last step."""
    flush, left = JobStore.flush, [error] * times

    def flush_and_fail(store):
        flush(store)
        if left:
            raise left.pop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JobStore, "flush", flush_and_fail)
        yield


class AnyServedQueue(RuleBasedStateMachine):
    """The state of a queue, and a real store, whose replies and notices come late or never."""

    @initialize(concurrency=st.integers(1, 4), is_notified_once=st.booleans())
    def begin(self, concurrency, is_notified_once):
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "store"
        self.actor = StorageActor.start(path, wake=self.wake, durable=False)
        self.queue = AQueue.start()
        self.state = QueueState(concurrency, check_interval=5, max_orphans=2, max_interruptions=3)
        self.highest = concurrency
        self.request = self.reply = None
        self.is_woken = False
        self.now = 0.0
        self.is_notified_once = is_notified_once
        self.inserted, self.started = [], []
        self.write(JobStore.add_node, NODE)
        self.advance()

    def wake(self, _queue="mail"):
        self.is_woken = True

    def write(self, verb, *args, **kwargs):
        return otp.call(self.actor, Write(verb, args, kwargs), 10)

    def read(self, verb, *args):
        return otp.call(self.actor, Read(verb, args), 10)

    # ---- the queue ------------------------------------------------------------------------

    def advance(self):
        """Do what a queue actor does in a turn."""
        while (claim := self.state.take_served(self.now)) is not None:
            self.start(self.state.accept(claim))
        request = self.state.next_fetch()
        self.state.hold()
        if request is not None:
            claims_later = lambda: self.is_notified_once and self.is_woken  # noqa: E731
            left = StandingClaim(
                *(self.queue.cell, "mail", NODE, lambda: 0, self.wake, claims_later),
                outcomes=self.state.unsent,
            )
            settlements, limit, withdrawn = request

            def work(store):
                return left.work(settlements, store, limit=limit, withdrawn=withdrawn)

            self.request = Write(work, waits_for_disk=False, leaves=left)

    def start(self, jobs):
        for job in jobs:
            assert job.id not in self.state.running
            self.started.append(job.id)
            self.state.started(RunningAttempt(Attempt(job, Control()), job.id))
        assert not jobs or len(self.state.running) <= self.state.concurrency

    @precondition(lambda self: self.request is not None and self.reply is None)
    @rule(is_lost=st.booleans())
    def the_store_does_the_request(self, is_lost):
        self.reply = otp.call(self.actor, self.request, 10)
        if is_lost:  # then it is sent again
            self.reply = None

    @precondition(lambda self: self.request is not None and self.reply is None)
    @rule()
    def the_store_refuses_the_request(self):
        with failing(StorageError("full")), suppress(StorageError):
            otp.call(self.actor, self.request, 10)
            return
        self.state.refused(0.0)

    @precondition(lambda self: self.reply is not None)
    @rule()
    def the_reply_arrives(self):
        request, claim = self.request, self.reply
        self.request = self.reply = None
        self.state.recovered(0.0)
        while (served := self.state.take_served(self.now)) is not None:
            self.start(self.state.accept(served))
        self.start(self.state.fetched(claim, request.leaves))
        self.advance()

    @precondition(lambda self: self.is_woken)
    @rule()
    def the_queue_is_told(self):
        self.is_woken = False
        self.state.woken()
        self.advance()

    @rule()
    def it_is_time_to_look(self):
        self.state.check_due()
        self.advance()

    @rule(seconds=st.sampled_from([HOLD_SECONDS / 2, 2 * HOLD_SECONDS]))
    def time_passes(self, seconds):
        self.now += seconds

    @precondition(lambda self: self.state.is_holding)
    @rule()
    def outcomes_were_held_long_enough(self):
        self.state.hold_over(self.now)
        self.advance()

    @precondition(lambda self: self.state.running)
    @rule(data=st.data())
    def an_attempt_ends(self, data):
        self.end(data.draw(st.sampled_from(sorted(self.state.running))))

    def end(self, id_):
        self.state.exited(id_, Shutdown(COMPLETED))
        self.advance()

    @rule(n=st.integers(1, 4))
    def the_concurrency_is_set(self, n):
        self.highest = max(self.highest, n)
        self.state.concurrency_set(n)
        self.advance()

    @rule(number=st.integers(0, 3))
    def orphans_are_counted(self, number):
        self.state.orphans_counted(number)
        self.advance()

    @rule()
    def a_drain_begins(self):
        self.state.drain_began()
        self.advance()

    # ---- the others -----------------------------------------------------------------------

    @rule(count=st.integers(1, 3))
    def jobs_are_inserted(self, count):
        self.inserted += self.write(JobStore.insert_many, [a_new_job() for _ in range(count)])

    @rule(times=st.integers(1, 2))
    def an_insert_may_fail(self, times):
        """Once: if it was to serve the queue, it is repeated without that."""
        with failing(StorageError("full"), times=times), suppress(StorageError):
            self.inserted.append(self.write(JobStore.insert, a_new_job()))

    @rule()
    def a_transaction_is_repeated(self):
        with failing(lmdb.MapFullError(), times=1), pytest.MonkeyPatch.context() as patch:
            patch.setattr(Environment, "_grow", lambda _env: None)
            self.inserted.append(self.write(JobStore.insert, a_new_job()))

    @rule(is_paused=st.booleans())
    def the_queue_is_paused_or_resumed(self, is_paused):
        self.write(JobStore.set_paused, "mail", paused=is_paused)

    # ---- what holds -----------------------------------------------------------------------

    def claimed(self):
        jobs = self.read(JobReader.page, Filter(frozenset({Status.RUNNING})))
        return {job.id for job in jobs}

    @invariant()
    def no_more_are_claimed_than_there_are_slots(self):
        unstored = {each.id for each in self.state.unstored}
        assert len(self.claimed() - unstored) <= self.highest

    @invariant()
    def what_runs_is_claimed(self):
        assert set(self.state.running) <= self.claimed()

    @invariant()
    def outcomes_that_are_held_have_a_timer(self):
        state = self.state
        assert not state.unstored or state.in_flight is not None or state.is_holding

    @invariant()
    def a_drained_queue_has_nothing_claimed(self):
        assert not (self.state.is_drained and self.claimed())

    def teardown(self):
        if not hasattr(self, "actor"):
            return
        is_draining = self.state.draining
        self.state.orphans_counted(0)
        self.write(JobStore.set_paused, "mail", paused=False)
        for _ in range(6 * len(self.inserted) + 20):
            self.time_passes(HOLD_SECONDS)
            if self.state.is_holding:
                self.outcomes_were_held_long_enough()
            self.it_is_time_to_look()
            if self.request is not None and self.reply is None:
                self.the_store_does_the_request(is_lost=False)
            if self.reply is not None:
                self.the_reply_arrives()
            for id_ in sorted(self.state.running):
                self.end(id_)
        assert self.state.is_drained is is_draining
        counts = {each: self.read(JobReader.count, [each]) for each in Status}
        assert counts[Status.RUNNING] == 0
        assert sum(counts.values()) == len(self.inserted)
        assert len(self.started) == len(set(self.started)) == counts[Status.COMPLETED]
        assert is_draining or counts[Status.COMPLETED] == len(self.inserted)
        assert self.read(lambda reader: verify(reader._txn, reader._tables)) == []
        otp.stop(self.queue)
        otp.stop(self.actor)
        self.folder.cleanup()


TestAnyServedQueue = AnyServedQueue.TestCase
TestAnyServedQueue.settings = settings(deadline=None)


# ---- with all actors ------------------------------------------------------------------------


def state_of(app, name="default"):
    return app.queue(name).ref._actor_weakref()._state


def ready(app, name="default"):
    """Wait until the queue has left a claim with the storage actor; return the application."""
    until(lambda: app.queue(name).status().running or state_of(app, name).standing, "the claim")
    return app


def test_a_job_that_arrives_alone_runs_when_its_enqueueing_returns(run, controlled):
    app = controlled.app = ready(run(concurrency=2))

    job = controlled.job("alone")

    assert app.get_worker(job.id).status == Status.RUNNING
    assert controlled.begun() == ["alone"]
    controlled.release_all()
    assert settled(app, job).status == Status.COMPLETED


def test_jobs_that_arrive_while_others_run_fill_the_slots_and_no_more(run, controlled):
    app = controlled.app = ready(run(concurrency=3))

    jobs = controlled.jobs(range(8))

    assert sorted(controlled.begun(3)) == [0, 1, 2]
    assert len(app.queue("default").status().running) == 3
    controlled.release_all()
    for job in jobs:
        assert settled(app, job).attempts == 1
    assert controlled.most_at_once == 3


def one_after_the_other(controlled, *names):
    """Return jobs that run, each served by itself: so they arrive in quick succession."""
    jobs = []
    for name in names:
        jobs.append(controlled.job(name))
        controlled.begun()
        controlled.app.queue("default").status()  # answered after the turn that began it
    assert state_of(controlled.app).arrive_quickly
    return jobs


def test_no_outcome_is_held_while_a_caller_waits_for_jobs_to_end(run, controlled, monkeypatch):
    for module in (queue_actor, queue_state):
        monkeypatch.setattr(module, "HOLD_SECONDS", 600)
    app = controlled.app = ready(run())
    jobs = one_after_the_other(controlled, "first", "second")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(app.wait, jobs, timeout=30)
        until(lambda: app._runtime().store.waits.waiters, "the caller")

        controlled.release_all()

        _, left = waiting.result(60)
    assert left == []


def test_outcomes_are_held_while_a_caller_waits_for_another_job(run, controlled, monkeypatch):
    for module in (queue_actor, queue_state):
        monkeypatch.setattr(module, "HOLD_SECONDS", 600)
    app = controlled.app = ready(run())
    other, job = one_after_the_other(controlled, "other", "held")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(app.wait, [other], timeout=30)
        until(lambda: app._runtime().store.waits.waiters, "the caller")

        controlled.release("held")

        until(lambda: app.queue("default").status() and state_of(app).unsent, "its outcome")
        assert app.get_worker(job.id).status == Status.RUNNING
        controlled.release("other")
        _, left = waiting.result(60)
    assert left == []
    assert app.get_worker(job.id).status == Status.COMPLETED


def test_a_drained_queue_claims_nothing_that_comes_later(run, controlled):
    app = controlled.app = ready(run())

    app.queue("default").ref.ask(Drain(30))
    job = controlled.job("later")

    assert app.get_worker(job.id).status == Status.ENQUEUED
    assert state_of(app).standing is None


def test_a_paused_queue_gets_nothing_and_is_served_when_it_is_resumed(run, controlled):
    app = controlled.app = ready(run())
    app.queue("default").pause()
    job = controlled.job("later")
    assert app.get_worker(job.id).status == Status.ENQUEUED

    app.queue("default").resume()

    assert controlled.begun() == ["later"]


def test_jobs_that_were_served_and_not_begun_are_given_back_when_the_queue_stops(
    run, controlled, tmp_path, monkeypatch
):
    monkeypatch.setattr(ExitQueue, "notify", lambda _exits: None)
    app = controlled.app = ready(run(tmp_path / "store"))
    jobs = controlled.jobs(range(3))
    assert [app.get_worker(job.id).status for job in jobs] == [Status.RUNNING] * 3

    app.stop(timeout=0)

    with type(app)(tmp_path / "store", start_queues=False) as again:
        left = [again.get_worker(job.id) for job in jobs]
    assert [(job.status, job.attempts, job.interruptions) for job in left] == [
        (Status.ENQUEUED, 0, 0)
    ] * 3
    assert not controlled.has_begun_more()


def test_what_was_served_while_a_request_waits_is_not_lost_if_no_notice_comes(
    run, controlled, monkeypatch
):
    app = controlled.app = ready(run())
    store, begun, go_on = app._runtime().store, threading.Event(), threading.Event()
    first = controlled.job("first")
    controlled.begun()
    monkeypatch.setattr(ExitQueue, "notify", lambda _exits: None)  # as after an interrupt
    new = store.read(lambda reader: reader.get(first.id))
    before = state_of(app).standing
    app.queue("default").ref.ask(Wake())
    until(lambda: state_of(app).standing not in (None, before), "another claim")

    def insert_and_hold(store):
        id_ = store.insert(NewJob(lifecycle.create(queue_name="default", now=0), new.spec))
        begun.set()
        go_on.wait(30)
        return id_

    inserting = threading.Thread(target=store.write, args=(insert_and_hold,))
    inserting.start()
    begun.wait(30)
    app.queue("default").ref.tell(Wake())
    until(lambda: state_of(app).in_flight is not None, "the request")
    go_on.set()
    inserting.join(30)

    assert controlled.begun() == ["first"]


def test_jobs_that_were_served_to_a_queue_that_was_killed_run_in_its_successor(
    run, controlled, monkeypatch
):
    monkeypatch.setattr(ExitQueue, "notify", lambda _exits: None)
    app = controlled.app = ready(run())
    jobs = controlled.jobs(range(3))
    assert [app.get_worker(job.id).status for job in jobs] == [Status.RUNNING] * 3
    monkeypatch.undo()

    otp.exit(app.queue("default").ref, Killed())

    controlled.begun(3)
    controlled.release_all()
    for job in jobs:
        assert settled(app, job).status == Status.COMPLETED


def test_a_suspended_queue_is_served_nothing_until_it_is_resumed(run, controlled):
    app = controlled.app = ready(run())
    ref = app.queue("default").ref
    otp.suspend(ref)
    job = controlled.job("later")
    assert app.get_worker(job.id).status == Status.ENQUEUED

    otp.resume(ref)

    assert controlled.begun() == ["later"]


def test_a_restarted_storage_actor_has_no_claim_and_jobs_run_all_the_same(run, controlled):
    app = controlled.app = ready(run())

    otp.exit(storage_of(app), Killed())
    job = controlled.job("after")

    assert controlled.begun() == ["after"]
    controlled.release_all()
    assert settled(app, job).status == Status.COMPLETED


def test_a_queue_without_a_claim_is_woken_each_time_that_it_could_request_one(run, controlled):
    app = controlled.app = ready(run(concurrency=1))
    controlled.job("first")
    controlled.begun()
    second = controlled.job("second")  # wakes it, and it has no slot
    controlled.release("first", "second")
    settled(app, second)
    ready(app)
    otp.whereis(app._runtime().names.storage).cell.inline_actor._standing.clear()

    controlled.job("third")

    assert controlled.begun(2) == ["second", "third"]


def test_a_queue_has_jobs_wait_for_as_many_more_as_it_has_free_slots(run, controlled):
    app = controlled.app = ready(run(concurrency=5))
    exits = app.queue("default").ref.cell.inline_actor.exits
    assert exits.room == 5

    controlled.jobs("ab")
    controlled.begun(2)

    until(lambda: app.queue("default").status() and exits.room == 3, "a turn")


def test_an_exit_waits_for_no_more_jobs_while_a_caller_waits_for_it(run, controlled, monkeypatch):
    app = controlled.app = ready(run())
    job = controlled.job("awaited")
    controlled.begun()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(app.wait, [job], timeout=30)
        until(lambda: app._runtime().store.waits.waiters, "the caller")
        monkeypatch.setattr(exit_queue, "COALESCING_SECONDS", 600)
        app.queue("default").ref.cell.inline_actor.exits.arrivals.are_rapid = True

        controlled.release_all()

        _, left = waiting.result(60)
    assert left == []


def test_jobs_that_were_served_one_by_one_begin_up_to_the_concurrency(run, controlled, monkeypatch):
    monkeypatch.setattr(ExitQueue, "notify", lambda _exits: None)
    app = controlled.app = ready(run(concurrency=2))
    jobs = controlled.jobs("ab")
    assert [app.get_worker(job.id).status for job in jobs] == [Status.RUNNING] * 2
    monkeypatch.undo()

    app.queue("default").set_concurrency(1)

    begun = controlled.begun()
    assert len(app.queue("default").status().running) == 1
    controlled.release_all()
    for job in jobs:
        assert settled(app, job).attempts == 1
    assert sorted(begun + controlled.begun()) == ["a", "b"]
    assert controlled.most_at_once == 1


def storage_of(app):
    return otp.whereis(app._runtime().names.storage)


class Counted(Worker, max_attempts=1):
    """Counts how often each was performed, and how many are performed at once."""

    performed, at_once, most = [], [], []

    def perform(self, job):
        self.at_once.append(None)
        self.most.append(len(self.at_once))
        self.performed.append(job.args["n"])
        self.at_once.pop()


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_ordered_meanwhile_each_job_is_performed_once(run, seed):
    app = ready(run(concurrency=4))
    queue = app.queue("default")
    for each in (Counted.performed, Counted.at_once, Counted.most):
        each.clear()

    def enqueue(first):
        for n in range(first, first + 100):
            app.enqueue(Counted, {"n": n})

    threads = [threading.Thread(target=enqueue, args=(100 * k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    chance = Chance(seed)  # noqa: S311 - repeatable
    while any(thread.is_alive() for thread in threads):
        match chance.randrange(3):
            case 0:
                queue.set_concurrency(chance.randint(1, 4))
            case 1:
                queue.pause()
                queue.resume()
            case 2:
                queue.status()
    queue.resume()

    assert app.wait_idle(timeout=60)
    assert sorted(Counted.performed) == list(range(300))
    assert max(Counted.most) <= 4
    assert app.verify() == []
