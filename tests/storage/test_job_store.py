import pytest
from support.stored_jobs import WORKER, Store, a_new_job

from antq_actors.errors import (
    AlreadyExists,
    JobNotFound,
    NotCancellable,
    NotRetryable,
    StorageError,
)
from antq_actors.jobs.outcome import Cancelled, Completed, Failed, GivenBack, Refused, Snoozed
from antq_actors.jobs.state import ACTIVE, ENDED, ErrorEntry, Status
from antq_actors.storage.format.records import Filter, Settlement, Span
from antq_actors.storage.jobs import job_store
from antq_actors.storage.lmdb.keys import COUNT, LARGEST_ID
from antq_actors.storage.lmdb.open_stores import open_environment
from antq_actors.storage.lmdb.scan import keys_with

SECOND = 1_000_000


def work(store, *, node, queue_name="mail"):
    return store.work(queue_name, [], node=node, limit=0, now=6)


def an_ended_job(store, outcome, *, now=0, **options):
    id_ = store.insert(a_new_job(**options))
    (job,) = store.claim(now=now)
    store.end(job, outcome, now=now)
    return id_


# ---- coming in ----------------------------------------------------------------------------


def test_a_stored_job_is_read_back_as_it_was(store):
    new = a_new_job({"email": "jane@example.com"}, now=5, max_attempts=3, priority=-7)

    id_ = store.insert(new)

    assert store.get(id_) == (1, new.state, new.spec, ())


def test_ids_ascend_and_are_answered_in_order(store):
    ids = store.insert_many([a_new_job() for _ in range(3)])

    assert ids == [1, 2, 3]
    assert store.insert(a_new_job()) == 4


def test_ids_never_repeat_after_the_newest_is_deleted_and_the_store_opened_anew(tmp_path):
    env = open_environment(tmp_path)
    store = Store(env)
    store.insert_many([a_new_job() for _ in range(3)])
    store.delete(3)
    env.close()

    reopened = open_environment(tmp_path)
    id_ = Store(reopened).insert(a_new_job())
    reopened.close()

    assert id_ == 4


def test_a_transaction_that_fails_gives_its_ids_to_the_next(env, store):
    def fail(verbs):
        verbs.insert(a_new_job())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        job_store.write(env, fail)

    assert store.count(None, None) == 0
    assert store.insert(a_new_job()) == 1


def test_a_queue_name_that_cannot_be_stored_stores_nothing(store):
    with pytest.raises(StorageError, match="a queue cannot be named"):
        store.insert_many([a_new_job(), a_new_job(queue="a\0b")])

    assert store.count(None, None) == 0


# ---- uniqueness ---------------------------------------------------------------------------


def test_a_unique_job_keeps_its_equals_out_and_says_which_it_is(store):
    jane = {"email": "jane@example.com"}
    first = store.insert(a_new_job(jane, unique=("email",)))

    with pytest.raises(AlreadyExists) as refused:
        store.insert(a_new_job({**jane, "other": 1}, unique=("email",)))

    assert refused.value.job.id == first
    assert refused.value.job.args == jane
    for part in (WORKER, "'mail'", "jane@example.com", "job 1", "enqueued"):
        assert part in str(refused.value)
    assert store.count(None, None) == 1


@pytest.mark.parametrize(
    "other",
    [
        a_new_job({"email": "joe@example.com"}, unique=("email",)),
        a_new_job({"email": "jane@example.com"}, unique=("email",), queue="other"),
        a_new_job({"email": "jane@example.com"}, unique=("email",), worker="shop:Other"),
        a_new_job({"email": "jane@example.com"}),
        a_new_job({"email": None}, unique=("email",)),
    ],
    ids=["other value", "other queue", "other worker", "not unique", "no value"],
)
def test_a_unique_job_lets_others_in(store, other):
    store.insert(a_new_job({"email": "jane@example.com"}, unique=("email",)))

    assert store.insert(other) == 2


def test_a_duplicate_is_left_out_of_many(store):
    news = [a_new_job({"n": n}, unique=("n",)) for n in (1, 2, 1, 3, 2)]

    ids = store.insert_many(news)

    assert ids == [1, 2, None, 3, None]


@pytest.mark.parametrize(
    ("statuses", "blocks"),
    [
        (ACTIVE, False),
        ({Status.COMPLETED}, True),
        (frozenset(Status), True),
        ({Status.FAILED}, False),
        (set(), False),
    ],
)
def test_only_the_named_statuses_are_in_the_way(store, statuses, blocks):
    an_ended_job(store, Completed(), args={"n": 1}, unique=("n",))

    again = store.insert_many([a_new_job({"n": 1}, unique=("n",), statuses=statuses)])

    assert again == [None if blocks else 2]


@pytest.mark.parametrize("status", sorted(ACTIVE - {Status.SUSPENDED}))  # no job can be so yet
def test_a_job_is_in_the_way_in_every_active_status(store, status):
    due = SECOND if status is Status.SCHEDULED else None
    store.insert(a_new_job({"n": 1}, unique=("n",), due=due, max_attempts=2))
    if status in (Status.RUNNING, Status.RETRYING):
        (job,) = store.claim()
        if status is Status.RETRYING:
            store.end(job, Failed("no", None, 9.0))

    again = store.insert_many([a_new_job({"n": 1}, unique=("n",))])

    assert store.get(1).state.status is status
    assert again == [None]


# ---- picking up ---------------------------------------------------------------------------


def test_due_jobs_come_by_due_time_before_enqueued_ones_by_priority_then_id(store):
    store.insert(a_new_job(max_attempts=2))
    (retrying,) = store.claim()
    store.end(retrying, Failed("no", None, 2.0))  # 1: due at 2 s
    store.insert(a_new_job())  # 2
    store.insert(a_new_job(priority=127))  # 3
    store.insert(a_new_job(priority=-128))  # 4
    store.insert(a_new_job(due=4 * SECOND))  # 5
    store.insert(a_new_job(due=3 * SECOND))  # 6
    store.insert(a_new_job(due=3 * SECOND))  # 7
    store.insert(a_new_job(priority=127))  # 8
    store.insert(a_new_job(due=9 * SECOND))  # 9: not due yet

    claimed = store.claim(limit=99, now=4 * SECOND)

    assert [job.id for job in claimed] == [6, 7, 5, 1, 3, 8, 2, 4]


def test_a_claimed_job_runs_on_its_node_and_is_claimed_once(store):
    store.insert(a_new_job(now=1))

    (job,) = store.claim(node=7, now=5)

    assert (job.state.status, job.state.node) == (Status.RUNNING, 7)
    assert (job.state.attempts, job.state.updated_at, job.state.scheduled_at) == (1, 5, None)
    assert store.claim(now=9) == []


def test_a_claim_takes_no_more_than_its_limit_and_only_of_its_queue(store):
    store.insert_many(
        [a_new_job(queue=queue) for queue in ("mail", "mai", "mail", "mail2", "mail")]
    )

    assert [job.id for job in store.claim(limit=2)] == [1, 3]
    assert store.claim(limit=0) == []
    assert [job.id for job in store.claim(limit=9)] == [5]


def test_a_claim_answers_when_the_next_job_is_due(store):
    store.insert(a_new_job(due=5 * SECOND))
    store.insert(a_new_job(due=3 * SECOND))

    early = store.work("mail", [], node=1, limit=9, now=2 * SECOND)
    later = store.work("mail", [], node=1, limit=9, now=3 * SECOND)
    last = store.work("mail", [], node=1, limit=9, now=5 * SECOND)

    assert ([job.id for job in early.jobs], early.next_due) == ([], 3 * SECOND)
    assert ([job.id for job in later.jobs], later.next_due) == ([2], 5 * SECOND)
    assert ([job.id for job in last.jobs], last.next_due) == ([1], None)


def test_settling_frees_a_place_for_a_claim_in_the_same_transaction(store):
    store.insert_many([a_new_job(), a_new_job()])
    (first,) = store.claim()

    claim = store.work("mail", [Settlement(1, 1, Completed())], node=1, limit=1, now=8)

    assert [job.id for job in claim.jobs] == [2]
    assert store.get(first.id).state.status is Status.COMPLETED


def test_a_paused_queue_settles_and_claims_nothing(store):
    store.insert_many([a_new_job(), a_new_job(due=SECOND)])
    (job,) = store.claim()
    store.insert(a_new_job())
    store.set_paused("mail", paused=True)

    claim = store.work("mail", [Settlement(job.id, 1, Completed())], node=1, limit=9, now=SECOND)

    assert claim == ([], None, None, ())
    assert store.get(job.id).state.status is Status.COMPLETED
    store.set_paused("mail", paused=False)
    assert [job.id for job in store.claim(limit=9, now=SECOND)] == [2, 3]


# ---- settling -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "status", "due"),
    [
        (Completed(), Status.COMPLETED, None),
        (Failed("no", "trace", 2.0), Status.RETRYING, 7 * SECOND),
        (Refused("no worker"), Status.FAILED, None),
        (Cancelled("enough"), Status.CANCELLED, None),
        (Snoozed(3.0), Status.SCHEDULED, 8 * SECOND),
        (GivenBack(), Status.ENQUEUED, 5 * SECOND),
    ],
)
def test_an_outcome_is_stored(store, outcome, status, due):
    store.insert(a_new_job({"n": 1}, max_attempts=2, unique=("n",)))
    (job,) = store.claim()

    assert store.end(job, outcome, now=5 * SECOND)

    state = store.get(job.id).state
    node = 1 if status in ENDED else 0
    assert (state.status, state.scheduled_at, state.node) == (status, due, node)


def test_errors_are_kept_newest_first(store):
    store.insert(a_new_job(max_attempts=3))
    for now in (1, 2, 3):
        (job,) = store.claim(now=now)
        store.end(job, Failed(f"error {now}", f"trace {now}", 0.0), now=now)

    job = store.get(1)

    assert job.state.status is Status.FAILED
    assert job.errors == tuple(
        ErrorEntry(now, f"error {now}", f"trace {now}", now, started_at=now, node=1)
        for now in (3, 2, 1)
    )


def test_the_outcome_of_a_stale_execution_is_dropped(store):
    store.insert(a_new_job())
    (first,) = store.claim()
    store.end(first, GivenBack())
    (second,) = store.claim()

    assert not store.end(first, Failed("too late"))
    assert store.get(1).state == second.state
    assert store.end(second, Completed())
    assert not store.end(second, Failed("twice"))
    assert store.get(1).state.status is Status.COMPLETED


def test_the_outcome_of_a_deleted_job_is_dropped(store):
    store.insert(a_new_job())
    (job,) = store.claim()
    store.delete(job.id)

    assert not store.end(job, Completed())
    assert store.count(None, None) == 0


def test_a_dead_node_gives_back_its_jobs_and_no_others(store):
    store.insert_many([a_new_job(queue=queue) for queue in ("mail", "mail", "other", "mail")])
    store.claim(node=7)
    store.claim(node=8)
    store.claim(node=7, queue="other")

    rescued = store.rescue(node=7, now=3, max_interruptions=3, reason="node 7 died")

    assert rescued == 2
    assert [store.get(id_).state.status for id_ in (1, 2, 3)] == ["enqueued", "running", "enqueued"]
    job = store.get(1)
    assert (job.state.interruptions, job.state.attempts) == (1, 0)
    assert job.errors[0].error == "interrupted: node 7 died"


def test_a_dead_queue_gives_back_its_own_jobs_until_one_was_interrupted_too_often(store):
    store.insert_many([a_new_job(queue=queue) for queue in ("mail", "other")])
    store.claim(queue="other")
    for _ in range(2):
        store.claim()
        store.rescue(node=1, now=3, max_interruptions=2, reason="it died", queue_name="mail")

    assert store.get(1).state.status is Status.FAILED
    assert store.get(2).state.status is Status.RUNNING


# ---- changing -----------------------------------------------------------------------------


@pytest.mark.parametrize("due", [None, SECOND])
def test_a_waiting_job_is_cancelled_once_and_for_all(store, due):
    store.insert(a_new_job(due=due))

    cancelled = store.cancel(1, now=5)

    assert cancelled.state.status is Status.CANCELLED
    assert store.cancel(1, now=9) == cancelled == store.get(1)
    assert store.claim(limit=9, now=SECOND) == []


def test_word_is_left_once_for_the_node_that_runs_a_cancelled_job(store):
    store.insert(a_new_job())
    store.claim(node=7)

    cancelled = store.cancel(1, now=5)

    assert cancelled.state.status is Status.RUNNING
    assert work(store, node=8).cancelled == ()
    assert work(store, node=7, queue_name="other").cancelled == ()
    assert work(store, node=7).cancelled == ((1, 1),)
    assert work(store, node=7).cancelled == ()


def test_the_word_names_the_execution_and_is_gone_with_its_node(store):
    store.insert(a_new_job())
    store.claim(node=7)
    store.cancel(1, now=5)
    store.rescue(node=7, now=6, max_interruptions=3, reason="it died")
    store.remove_node(7)

    assert work(store, node=7).cancelled == ()


def test_a_cancelled_job_whose_node_dies_is_cancelled_and_not_run_again(store):
    store.insert(a_new_job())
    store.claim(node=7)
    store.cancel(1, now=5)

    store.rescue(node=7, now=6, max_interruptions=3, reason="it died")

    assert store.get(1).state.status is Status.CANCELLED
    assert store.claim(node=8) == []


def test_an_ended_job_cannot_be_cancelled(store):
    an_ended_job(store, Completed())

    with pytest.raises(NotCancellable) as refused:
        store.cancel(1, now=5)

    assert refused.value.status is Status.COMPLETED


def test_a_failed_job_is_retried_with_its_errors_kept(store):
    an_ended_job(store, Failed("no"))

    retried = store.retry(1, now=5)

    assert (retried.state.status, retried.state.attempts) == (Status.ENQUEUED, 0)
    assert [entry.error for entry in retried.errors] == ["no"]
    (job,) = store.claim(now=6)
    store.end(job, Failed("again"), now=7)
    assert [entry.error for entry in store.get(1).errors] == ["again", "no"]


def test_a_waiting_job_cannot_be_retried(store):
    store.insert(a_new_job())

    with pytest.raises(NotRetryable) as refused:
        store.retry(1, now=5)

    assert refused.value.status is Status.ENQUEUED


def test_a_retry_is_subject_to_uniqueness(store):
    an_ended_job(store, Failed("no"), args={"n": 1}, unique=("n",))
    second = store.insert(a_new_job({"n": 1}, unique=("n",)))

    with pytest.raises(AlreadyExists) as refused:
        store.retry(1, now=5)

    assert refused.value.job.id == second
    assert store.get(1).state.status is Status.FAILED
    store.cancel(second, now=6)
    assert store.retry(1, now=7).state.status is Status.ENQUEUED


def test_a_job_that_is_run_now_is_claimed_before_its_time(store):
    store.insert(a_new_job(due=SECOND))
    store.insert(a_new_job())
    (second,) = store.claim(now=1)
    store.end(second, Completed(), now=2)

    due = store.run_now(1, now=5)

    assert (due.state.status, due.state.scheduled_at) == (Status.SCHEDULED, 5)
    assert [job.id for job in store.claim(now=5)] == [1]


def test_a_job_that_is_rescheduled_is_claimed_at_its_new_time(store):
    store.insert(a_new_job())

    later = store.reschedule(1, due=SECOND, now=5)

    assert (later.state.status, later.state.scheduled_at) == (Status.SCHEDULED, SECOND)
    assert store.claim(now=SECOND - 1) == []
    assert [job.id for job in store.claim(now=SECOND)] == [1]


def test_a_job_is_not_in_its_own_way(store):
    an_ended_job(store, Failed("no"), args={"n": 1}, unique=("n",), statuses=frozenset(Status))

    assert store.retry(1, now=5).state.status is Status.ENQUEUED


@pytest.mark.parametrize("id_", [2, 0, -1, LARGEST_ID, LARGEST_ID + 1, 2**100])
def test_an_unknown_id_is_not_found(store, id_):
    store.insert(a_new_job())

    for verb, options in (
        ("get", {}),
        ("cancel", {"now": 1}),
        ("retry", {"now": 1}),
        ("run_now", {"now": 1}),
        ("reschedule", {"now": 1, "due": 5}),
        ("delete", {}),
    ):
        with pytest.raises(JobNotFound, match=f"no job has the id {id_}"):
            getattr(store, verb)(id_, **options)


def test_deleting_leaves_nothing_behind(env, store):
    an_ended_job(store, Failed("no"), args={"n": 1}, unique=("n",))

    store.delete(1)

    tables = env.tables
    left = env.read(
        lambda txn: {
            name: txn.stat(getattr(tables, name))["entries"]
            for name in ("jobs", "payloads", "errors", "index", "unique")
        }
    )
    assert set(left.values()) == {0}
    assert env.read(lambda txn: list(keys_with(txn, tables.meta, COUNT))) == []


def test_pruning_takes_the_ended_before_an_instant_and_no_more_than_the_limit(store):
    for now in range(1, 5):
        an_ended_job(store, Completed() if now % 2 else Failed("no"), now=now, queue="mail")
    store.insert(a_new_job())

    assert store.prune(finished_before=4, limit=2) == 2
    assert store.prune(finished_before=4, limit=2) == 1
    assert store.prune(finished_before=4, limit=2) == 0
    assert store.ids(Filter()) == [4, 5]


# ---- looking ------------------------------------------------------------------------------


def some_of_everything(store):
    """Jobs 1-6 of mail: completed, retrying, running, scheduled, enqueued twice; 7 of other."""
    an_ended_job(store, Completed())
    store.insert(a_new_job(max_attempts=2))
    (job,) = store.claim()
    store.end(job, Failed("no", None, 50.0))
    store.insert(a_new_job())
    store.claim(node=3)
    store.insert(a_new_job(due=SECOND))
    store.insert_many([a_new_job(), a_new_job(priority=5), a_new_job(queue="other")])


@pytest.mark.parametrize(
    ("filter_", "ids"),
    [
        (Filter(), [1, 2, 3, 4, 5, 6, 7]),
        (Filter(queue_name="mail"), [1, 2, 3, 4, 5, 6]),
        (Filter(statuses=frozenset({Status.ENQUEUED})), [5, 6, 7]),
        (Filter(statuses=frozenset({Status.ENQUEUED}), queue_name="mail"), [5, 6]),
        (Filter(statuses=frozenset({Status.RETRYING, Status.RUNNING})), [2, 3]),
        (Filter(statuses=frozenset(Status)), [1, 2, 3, 4, 5, 6, 7]),
        (Filter(statuses=frozenset()), []),
        (Filter(queue_name="nobody"), []),
        (Filter(queue_name=""), []),
    ],
)
def test_a_list_is_by_id_whatever_its_filter(store, filter_, ids):
    some_of_everything(store)

    assert store.ids(filter_) == ids
    assert store.ids(filter_, Span(after=2)) == [id_ for id_ in ids if id_ > 2]
    assert store.ids(filter_, size=2) == ids[:2]
    assert store.ids(filter_, Span(newest_first=True)) == ids[::-1]
    assert store.ids(filter_, Span(newest_first=True), size=2) == ids[::-1][:2]
    for before in (5, 2**70):
        smaller = [id_ for id_ in ids if id_ < before]
        assert store.ids(filter_, Span(before=before)) == smaller
        assert store.ids(filter_, Span(1, before)) == [id_ for id_ in smaller if id_ > 1]
        newest = Span(1, before, newest_first=True)
        assert store.ids(filter_, newest) == [id_ for id_ in smaller if id_ > 1][::-1]


def test_a_list_goes_on_after_any_id(store):
    some_of_everything(store)

    assert store.ids(Filter(), Span(after=-5)) == [1, 2, 3, 4, 5, 6, 7]
    assert store.ids(Filter(), Span(after=7)) == []
    assert store.ids(Filter(), Span(after=2**100)) == []
    assert store.ids(Filter(), Span(before=1)) == []
    assert store.ids(Filter(), Span(before=-5, newest_first=True)) == []
    assert store.ids(Filter(), Span(after=3, before=4)) == []
    assert store.ids(Filter(), size=-1) == []


def test_counting_goes_by_status_and_queue(store):
    some_of_everything(store)

    assert store.count(None, None) == 7
    assert store.count(None, "mail") == 6
    assert store.count({Status.ENQUEUED}, None) == 3
    assert store.count({Status.ENQUEUED, Status.RUNNING}, "mail") == 3
    assert store.count(None, "nobody") == 0
    assert store.counts("other") == {status: int(status is Status.ENQUEUED) for status in Status}
    assert store.queues() == ["mail", "other"]


# ---- nodes and waking ---------------------------------------------------------------------


def test_node_numbers_never_repeat(env):
    store = Store(env)
    first, second = store.new_node(), store.new_node()
    store.add_node(first)
    store.add_node(second)

    store.remove_node(second)

    assert (first, second) == (1, 2)
    assert store.nodes() == [1]
    assert store.new_node() == 3


@pytest.mark.parametrize(
    ("verb", "woken"),
    [
        (lambda store: store.insert(a_new_job()), {"mail"}),
        (lambda store: store.insert(a_new_job(due=SECOND)), {"mail"}),
        (lambda store: store.retry(1, now=5), {"mail"}),
        (lambda store: store.run_now(3, now=5), {"other"}),
        (lambda store: store.reschedule(3, due=9, now=5), {"other"}),
        (lambda store: store.set_paused("mail", paused=False), {"mail"}),
        (lambda store: store.settle(Settlement(2, 1, GivenBack()), now=5), {"mail"}),
        (lambda store: store.rescue(node=1, now=5, max_interruptions=3, reason="it"), {"mail"}),
        (lambda store: store.settle(Settlement(2, 1, Completed()), now=5), set()),
        (lambda store: store.set_paused("mail", paused=True), set()),
        (lambda store: store.delete(2), set()),
    ],
)
def test_a_queue_is_due_when_it_gets_work(env, store, verb, woken):
    an_ended_job(store, Completed())
    store.insert(a_new_job())
    store.claim()
    store.insert(a_new_job(queue="other", due=SECOND))

    def work(verbs):
        verb(verbs)
        return verbs.due

    assert job_store.write(env, work) == woken
