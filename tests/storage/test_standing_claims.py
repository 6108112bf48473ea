"""A claim that a queue has left: the transaction that puts work into the queue serves it."""

import threading

import pytest
from support.stored_jobs import a_new_job

from antq_actors import Status, otp
from antq_actors.errors import StorageError
from antq_actors.jobs.outcome import Completed, Failed, GivenBack, Snoozed
from antq_actors.storage.actor import StorageActor
from antq_actors.storage.admin.verify import verify
from antq_actors.storage.format.records import Filter, ImportedJob, NodeGone, Settlement
from antq_actors.storage.jobs.imports import KnownIds
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.requests import Read, StandingClaim, Write

NODE = 1


class AQueue(otp.GenServer):
    """An actor that may leave claims."""


class Queues:
    """Queues on one node that leave claims with a storage actor, and what comes of that."""

    def __init__(self, path):
        self.events = []
        self.now = 0
        self.actor = StorageActor.start(
            path, wake=lambda queue: self.events.append(("woken", queue)), durable=False
        )
        self.ref = AQueue.start()
        self.write(JobStore.add_node, NODE)

    def write(self, verb, *args, **kwargs):
        return otp.call(self.actor, Write(verb, args, kwargs), 10)

    def leave(
        self,
        limit,
        queue="mail",
        *,
        settlements=(),
        withdrawn=None,
        ref=None,
        claims_later=bool,
        arrive=bool,
    ):
        """Request jobs; return the claim that was left, and what was claimed."""
        notify = lambda: self.events.append(("notified", queue))  # noqa: E731
        cell = (ref or self.ref).cell
        left = StandingClaim(cell, queue, NODE, lambda: self.now, notify, claims_later, arrive)
        request = Write(
            lambda store: left.work(settlements, store, limit=limit, withdrawn=withdrawn),
            waits_for_disk=False,
            leaves=left,
        )
        return left, otp.call(self.actor, request, 10)

    def insert(self, **options):
        return self.write(JobStore.insert, a_new_job(**options))

    def read(self, verb, *args):
        return otp.call(self.actor, Read(verb, args), 10)

    def running(self):
        jobs = self.read(JobReader.page, Filter(frozenset({Status.RUNNING})))
        return sorted(job.id for job in jobs)

    def findings(self):
        return self.read(lambda reader: verify(reader._txn, reader._tables))

    def stop(self):
        """Verify the store, and stop both actors."""
        assert self.findings() == []
        for ref in (self.ref, self.actor):
            if ref.is_alive():
                otp.stop(ref)

    def taken_events(self):
        taken, self.events[:] = list(self.events), []
        return taken


@pytest.fixture
def queues(tmp_path):
    found = Queues(tmp_path / "store")
    yield found
    found.stop()


def served(standing):
    return [[job.id for job in claim.jobs] for claim in standing.served()]


# ---- what serves it -------------------------------------------------------------------------


def test_a_transaction_that_inserts_a_job_claims_it_for_the_queue_that_has_left_a_claim(queues):
    standing, claim = queues.leave(2)
    assert claim.jobs == []

    id_ = queues.insert()

    assert served(standing) == [[id_]]
    assert queues.running() == [id_]
    assert queues.taken_events() == [("notified", "mail")]


def test_the_rest_of_a_served_claim_is_served_until_no_slot_is_left(queues):
    standing, _ = queues.leave(2)

    ids = [queues.insert() for _ in range(3)]

    assert served(standing) == [ids[:1], ids[1:2]]
    assert queues.taken_events() == [("notified", "mail"), ("notified", "mail"), ("woken", "mail")]


def test_a_queue_that_is_about_to_look_claims_together_what_comes_meanwhile(queues):
    coming = []
    standing, _ = queues.leave(3, claims_later=lambda: bool(coming))
    first = queues.insert()

    coming.append("soon")
    others = [queues.insert() for _ in range(2)]

    assert served(standing) == [[first]]
    assert queues.taken_events() == [("notified", "mail"), ("woken", "mail"), ("woken", "mail")]
    _, claim = queues.leave(3, withdrawn=standing)
    assert [job.id for job in claim.jobs] == others


def test_the_queue_hears_how_many_jobs_arrive_for_it_and_of_none_that_are_not_due(queues):
    arrived = []
    queues.leave(3, arrive=arrived.append)

    queues.insert()
    queues.write(JobStore.insert_many, [a_new_job() for _ in range(5)])

    assert arrived == [1, 2]
    queues.leave(9, arrive=arrived.append)
    del arrived[:]
    queues.insert(due=50)
    assert arrived == []


def test_a_claim_that_came_back_full_leaves_nothing(queues):
    queues.insert()
    queues.leave(1)
    queues.taken_events()

    queues.insert()

    assert queues.taken_events() == [("woken", "mail")]


def test_it_gets_jobs_in_the_order_of_every_claim(queues):
    standing, _ = queues.leave(2)
    news = [a_new_job(priority=priority) for priority in (0, 5, 9)]

    ids = queues.write(JobStore.insert_many, news)

    assert served(standing) == [[ids[2], ids[1]]]


def a_failed_job(queues):
    id_ = queues.insert()
    _, claim = queues.leave(1)
    (job,) = claim.jobs
    queues.leave(0, settlements=[Settlement(id_, job.state.execution, Failed("no", None, 0.0))])
    return id_


def test_a_job_that_is_retried_by_hand_is_claimed_at_once(queues):
    id_ = a_failed_job(queues)
    standing, _ = queues.leave(1)

    queues.write(JobStore.retry, id_, now=5)

    assert served(standing) == [[id_]]


def test_an_imported_job_is_claimed_at_once(queues):
    standing, _ = queues.leave(1)
    arrival = ImportedJob(7, a_new_job(), ())

    ids = queues.write(JobStore.import_jobs, [arrival], KnownIds(), keep_ids=True, now=0).ids

    assert served(standing) == [ids]


def test_a_job_that_was_given_back_is_claimed_at_once(queues):
    id_ = queues.insert()
    _, claim = queues.leave(1)
    (job,) = claim.jobs
    standing, _ = queues.leave(1)

    queues.write(JobStore.settle, Settlement(id_, job.state.execution, GivenBack()), now=1)

    assert served(standing) == [[id_]]


def test_the_claim_of_a_paused_queue_is_left_alone(queues):
    asked = []
    queues.leave(3, claims_later=lambda: bool(asked.append("mail")))
    queues.write(JobStore.set_paused, "mail", paused=True)

    queues.insert()

    assert asked == []


def test_a_paused_queue_is_served_when_it_is_resumed(queues):
    standing, _ = queues.leave(3)
    queues.write(JobStore.set_paused, "mail", paused=True)
    id_ = queues.insert()
    assert served(standing) == []
    assert queues.taken_events() == []

    queues.write(JobStore.set_paused, "mail", paused=False)

    assert served(standing) == [[id_]]


def test_a_job_for_later_wakes_the_queue_and_leaves_its_claim_standing(queues):
    standing, _ = queues.leave(1)

    later = queues.insert(due=50)
    assert (served(standing), queues.taken_events()) == ([], [("woken", "mail")])
    id_ = queues.insert()

    assert served(standing) == [[id_]]
    assert queues.running() == [id_] != [later]


def test_what_became_due_by_the_clock_of_the_queue_is_claimed_as_well(queues):
    standing, _ = queues.leave(2)
    later = queues.insert(due=50)
    queues.now = 60

    id_ = queues.insert()

    assert served(standing) == [[later, id_]]


def test_it_sees_the_commands_for_its_node(queues):
    standing, _ = queues.leave(2)
    queues.write(JobStore.set_concurrency_command, "mail", 9, [NODE])

    queues.insert()

    (claim,) = standing.served()
    assert claim.concurrency == 9


def test_queues_are_served_each_by_itself(queues):
    mail, _ = queues.leave(1, "mail")
    other, _ = queues.leave(1, "other")

    id_ = queues.insert(queue="other")

    assert (served(mail), served(other)) == ([], [[id_]])


# ---- what takes it back ---------------------------------------------------------------------


def test_a_request_gets_so_many_jobs_less_as_the_claim_it_withdraws_was_served(queues):
    standing, _ = queues.leave(3)
    first = queues.insert()
    queues.insert(queue="other")

    again, claim = queues.leave(3, withdrawn=standing)
    second, third, fourth = (queues.insert() for _ in range(3))

    assert claim.jobs == []
    assert served(standing) == [[first]]
    assert served(again) == [[second], [third]]
    assert fourth not in queues.running()


@pytest.mark.parametrize("limit", [0, 1])
def test_a_withdrawn_claim_is_served_no_more(queues, limit):
    standing, _ = queues.leave(3)

    again, _ = queues.leave(limit, withdrawn=standing)
    ids = [queues.insert() for _ in range(2)]

    assert served(standing) == []
    assert served(again) == [[id_] for id_ in ids[:limit]]


def test_a_served_claim_that_is_withdrawn_leaves_no_rest(queues):
    standing, _ = queues.leave(3)
    id_ = queues.insert()

    standing.withdraw()
    queues.insert()

    assert served(standing) == [[id_]]


def test_a_queue_actor_that_has_ended_is_served_no_more(queues):
    other = AQueue.start()
    standing, _ = queues.leave(3, ref=other)
    otp.stop(other)

    queues.insert()

    assert served(standing) == []
    assert queues.running() == []
    assert queues.taken_events() == [("woken", "mail")]


def test_a_node_that_was_declared_dead_is_served_no_more_and_no_insert_fails(queues):
    standing, _ = queues.leave(3)
    queues.write(JobStore.remove_node, NODE)

    queues.insert()
    queues.insert()

    assert served(standing) == []
    assert queues.taken_events() == [("woken", "mail")] * 2


def test_a_new_storage_actor_knows_of_no_claim_and_wakes_the_queue(queues, tmp_path):
    standing, _ = queues.leave(3)
    otp.stop(queues.actor)
    queues.actor = StorageActor.start(
        tmp_path / "store", wake=lambda queue: queues.events.append(("woken", queue)), durable=False
    )

    queues.write(JobStore.add_node, NODE)
    queues.insert()

    assert served(standing) == []
    assert queues.taken_events() == [("woken", "mail")]


# ---- what goes wrong ------------------------------------------------------------------------


def test_a_request_that_is_sent_again_leaves_no_claim_that_was_served(queues):
    left = StandingClaim(queues.ref.cell, "mail", NODE, lambda: 0, lambda: None)
    verb = lambda store: left.work((), store, limit=1, withdrawn=None)  # noqa: E731
    request = Write(verb, waits_for_disk=False, leaves=left)
    otp.call(queues.actor, request)
    id_ = queues.insert()

    otp.call(queues.actor, request)
    queues.insert()

    assert served(left) == [[id_]]
    assert queues.running() == [id_]


def test_an_insert_does_not_fail_for_the_claim_that_it_was_to_serve(queues, monkeypatch):
    standing, _ = queues.leave(3)

    def work(*_args, **_kwargs):
        raise StorageError("it cannot be claimed")

    with monkeypatch.context() as patch:
        patch.setattr(JobStore, "work", work)
        id_ = queues.insert()

    assert served(standing) == []
    assert queues.running() == []
    assert queues.taken_events() == [("woken", "mail")]
    assert queues.leave(3, withdrawn=standing)[1].jobs[0].id == id_


def test_what_a_transaction_served_that_failed_is_served_by_none(queues, monkeypatch):
    standing, _ = queues.leave(3)
    flush, failures = JobStore.flush, [StorageError("the disk is full")] * 2

    def failing(store):
        flush(store)
        if failures:
            raise failures.pop()

    with monkeypatch.context() as patch:
        patch.setattr(JobStore, "flush", failing)
        with pytest.raises(StorageError, match="the disk is full"):
            queues.insert()

    assert served(standing) == []
    assert queues.running() == []


def test_a_transaction_in_the_middle_of_another_one_serves_no_claim_of_that(queues, monkeypatch):
    standing, _ = queues.leave(1)
    work, inner = JobStore.work, []

    def interrupted(store, *args, **kwargs):
        claim = work(store, *args, **kwargs)
        if not inner:  # as the handler of a signal that enqueues a job
            inner.append(0)
            inner[0] = queues.insert()
        return claim

    with monkeypatch.context() as patch:
        patch.setattr(JobStore, "work", interrupted)
        outer = queues.insert()

    assert inner[0] < outer
    assert served(standing) == [[inner[0]]]
    assert queues.running() == inner


def test_a_transaction_that_is_repeated_forgets_what_it_had_served(queues, monkeypatch):
    standing, _ = queues.leave(1)
    work, inner = JobStore.work, []

    def interrupted(store, *args, **kwargs):
        claim = work(store, *args, **kwargs)
        if not inner:  # as the handler of a signal that pauses the queue
            inner.append(claim)
            queues.write(JobStore.set_paused, "mail", paused=True)
        return claim

    with monkeypatch.context() as patch:
        patch.setattr(JobStore, "work", interrupted)
        queues.insert()

    assert inner
    assert served(standing) == []
    assert queues.running() == []


def test_a_request_that_is_repeated_and_refused_leaves_nothing(queues):
    left = StandingClaim(queues.ref.cell, "mail", NODE, lambda: 0, lambda: None)
    queues.write(lambda store: left.work((), store, limit=3, withdrawn=None))
    assert left.limit == 3
    queues.write(JobStore.remove_node, NODE)

    with pytest.raises(NodeGone):
        queues.write(lambda store: left.work((), store, limit=3, withdrawn=None))

    assert not left.is_standing


def test_threads_that_enqueue_at_once_fill_each_slot_once(queues):
    standing, _ = queues.leave(50)
    barrier = threading.Barrier(4)

    def enqueue():
        barrier.wait(30)
        for _ in range(25):
            queues.insert()

    threads = [threading.Thread(target=enqueue) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    ids = [id_ for each in served(standing) for id_ in each]
    assert len(ids) == len(set(ids)) == 50
    assert queues.running() == sorted(ids)


def test_outcomes_are_stored_with_the_request_that_leaves_a_claim(queues):
    queues.insert()
    _, claim = queues.leave(1)
    (job,) = claim.jobs

    standing, _ = queues.leave(1, settlements=[Settlement(job.id, 1, Completed())])
    snoozed = queues.insert()

    assert served(standing) == [[snoozed]]
    queues.leave(0, settlements=[Settlement(snoozed, 1, Snoozed(0.0))], withdrawn=standing)
    assert queues.running() == []


def test_a_queue_is_woken_for_work_that_came_behind_what_it_was_served(queues, monkeypatch):
    standing, _ = queues.leave(3)
    with monkeypatch.context() as patch:
        patch.setattr(StorageActor, "_announce", lambda _: None)  # the next commit comes first
        queues.insert()
    left = StandingClaim(
        queues.ref.cell, "mail", NODE, lambda: queues.now, lambda: queues.events.append("notified")
    )

    def request_jobs_then_insert(store):
        claim = left.work((), store, limit=3, withdrawn=standing)
        store.insert(a_new_job())
        return claim

    request = Write(request_jobs_then_insert, waits_for_disk=False, leaves=left)
    claim = otp.call(queues.actor, request, 10)

    assert served(standing) == [[1]]
    assert claim.jobs == []
    assert ("woken", "mail") in queues.events
