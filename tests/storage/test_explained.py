"""What the store tells of why jobs do not run, against what it gives to the next claim."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.stored_jobs import Store, a_new_job

from antq_actors import JobNotFound, Status, explain
from antq_actors.explain import judge
from antq_actors.jobs.outcome import Completed, Failed
from antq_actors.storage.jobs import job_store
from antq_actors.storage.lmdb.open_stores import open_environment

SLOTS = 50
SECOND = 1_000_000


@pytest.fixture
def mail(store):
    """A store whose node 1 runs the queue "mail"."""
    job_store.write(store.env, lambda verbs: verbs.add_node(1, ["mail"]))
    return store


def facts(store, id_, now=0):
    return job_store.read(store.env, lambda reader: reader.job_facts(id_, now))


def judged(store, id_, now=0, concurrency=SLOTS):
    job, queue = facts(store, id_, now)
    nodes = tuple(
        judge.NodeFacts(node.number, node.running, concurrency, isolated=node.isolated)
        for node in queue.nodes
        if queue.name in node.queues
    )
    return judge.judge_job(job, judge.QueueFacts(queue.name, queue.is_paused, nodes), now=now)


def test_a_job_that_is_not_there_is_not_found(mail):
    with pytest.raises(JobNotFound, match="no job has the id 4"):
        facts(mail, 4)


def test_the_newest_error_alone_is_read(mail):
    mail.insert(a_new_job(max_attempts=3))
    for number in range(2):
        (job,) = mail.claim(now=number)
        mail.end(job, Failed(f"error {number}", None, 0.0, "ValueError"), now=number)

    job, _ = facts(mail, 1)

    assert (job.status, job.attempts, job.error) == (Status.RETRYING, 2, "ValueError: error 1")


def test_a_damaged_job_is_told_as_the_failed_one_that_it_will_be(mail):
    mail.insert(a_new_job())
    with mail.env._env.begin(write=True) as txn:
        txn.put((1).to_bytes(8, "big"), b"nonsense", db=mail.env.tables.jobs)

    assert [each.code for each in judged(mail, 1)] == ["ended"]


def test_the_position_is_counted_in_the_order_of_claims(mail):
    mail.insert(a_new_job(now=10, due=30))
    mail.insert(a_new_job(now=10, due=20))
    mail.insert(a_new_job(now=10, priority=5))
    mail.insert(a_new_job(now=10))
    mail.insert(a_new_job(now=10, queue="other"))

    def ahead(now):
        return [facts(mail, id_, now)[0].ahead for id_ in (1, 2, 3, 4, 5)]

    assert ahead(19) == [0, 0, 0, 1, 0]
    assert ahead(20) == [0, 0, 1, 2, 0]
    assert ahead(30) == [1, 0, 2, 3, 0]


def test_more_than_a_thousand_jobs_ahead_are_not_counted(mail):
    mail.insert_many([a_new_job() for _ in range(1_003)])

    assert judged(mail, 1_001) == (explain.Behind(1_000),)
    assert judged(mail, 1_002) == (explain.Behind("more than 1,000"),)
    assert judged(mail, 1_003) == (explain.Behind("more than 1,000"),)


def test_a_job_in_isolation_keeps_the_others_from_its_node_for_a_while(mail):
    mail.insert_many([a_new_job(), a_new_job()])
    mail.claim(limit=1)
    mail.rescue(node=1, now=0, max_interruptions=2, reason="it died")
    (alone,) = mail.claim(limit=1, now=SECOND)

    held = judged(mail, 2, now=SECOND)
    assert [(each.code, each.job) for each in held] == [("kept_alone", alone.id)]
    assert mail.claim(limit=9, now=3 * SECOND - 1) == []
    assert judged(mail, 2, now=3 * SECOND - 1) == held
    assert judged(mail, 2, now=3 * SECOND) == ()
    assert [job.id for job in mail.claim(limit=9, now=3 * SECOND)] == [2]


def test_running_jobs_are_counted_by_node(mail):
    mail.add_node(2, ["mail", "web"])
    mail.insert_many([a_new_job() for _ in range(5)])
    mail.claim(limit=3, node=1)
    mail.claim(limit=1, node=2)

    _, queue = facts(mail, 5)

    assert queue.running == 4
    assert [(node.number, node.running) for node in queue.nodes if node.running] == [(1, 3), (2, 1)]
    assert next(node.queues for node in queue.nodes if node.number == 2) == ("mail", "web")


def test_what_could_begin_is_counted(mail):
    mail.insert_many([a_new_job() for _ in range(3)])
    mail.insert(a_new_job(due=5))
    mail.insert(a_new_job(due=6))

    def due(now):
        return job_store.read(mail.env, lambda reader: reader.could_begin("mail", now))

    assert [due(now) for now in (4, 5, 6)] == [3, 4, 5]


def test_what_comes_due_is_counted_to_a_thousand(mail):
    def due():
        return job_store.read(mail.env, lambda reader: reader.could_begin("mail", 5))

    mail.insert_many([a_new_job()] * 7 + [a_new_job(due=5)] * 1_000)
    assert due() == 1_007
    mail.insert(a_new_job(due=5))
    assert due() == "more than 1,000"


# ---- the claim and the explanation ------------------------------------------------------------

NOW = 100
kinds = st.tuples(
    st.sampled_from(["enqueued", "scheduled", "retrying", "running", "completed", "cancelled"]),
    st.integers(-1, 1),
    st.integers(NOW - 1, NOW + 2),
)


def add(store, kind, priority, due):
    """Add a job of a kind, and return its id."""
    id_ = store.insert(a_new_job(priority=priority, max_attempts=2))
    state = {
        "enqueued": {},
        "scheduled": {"status": Status.SCHEDULED, "scheduled_at": due},
        "retrying": {"status": Status.RETRYING, "scheduled_at": due, "attempts": 1},
        "running": {"status": Status.RUNNING, "scheduled_at": None, "node": 1},
        "completed": {"status": Status.COMPLETED, "scheduled_at": None},
        "cancelled": {"status": Status.CANCELLED, "scheduled_at": None},
    }[kind]
    record = store._existing(id_)
    store._jobs.move(id_, record, msgspec.structs.replace(record.state, **state))
    return id_


@settings(max_examples=50)
@given(st.lists(kinds, min_size=1, max_size=6), st.booleans(), st.booleans(), st.data())
def test_a_job_is_claimed_if_and_only_if_nothing_is_in_its_way(
    tmp_path_factory, kinds, paused, isolated, data
):
    env = open_environment(tmp_path_factory.mktemp("store"), durable=False)
    try:
        store = Store(env)
        job_store.write(env, lambda verbs: verbs.add_node(1, ["mail"]))
        ids = job_store.write(env, lambda verbs: [add(verbs, *kind) for kind in kinds])
        if paused:
            store.set_paused("mail", paused=True)
        if isolated:
            alone = job_store.write(env, lambda verbs: add(verbs, "running", 0, 0))
            job_store.write(env, lambda verbs: verbs._meta.set_isolated(1, alone, 0, NOW))
        chosen = data.draw(st.sampled_from(ids))
        found = judged(store, chosen, NOW)
        codes = {each.code for each in found}

        limit = 1 + sum(each.n for each in found if each.code == "behind")
        claimed = {job.id for job in store.claim(limit=limit, now=NOW)}
        assert (chosen in claimed) == (codes <= {"behind"})
        if chosen in claimed or codes & {"ended", "running"}:
            return

        mended = NOW
        for reason in found:
            match reason:
                case explain.Paused():
                    store.set_paused("mail", paused=False)
                case explain.NotDue() | explain.RetryDue():
                    mended = max(mended, facts(store, chosen)[0].scheduled_at)
                case explain.KeptAlone():
                    mended = max(mended, NOW + judge.ISOLATION_MICROSECONDS)
        behind = facts(store, chosen, mended)[0].ahead
        assert chosen in {job.id for job in store.claim(limit=behind + 1, now=mended)}
    finally:
        env.close()


def test_a_completed_job_is_in_nobodys_way(mail):
    mail.insert_many([a_new_job(), a_new_job()])
    (job,) = mail.claim()
    mail.end(job, Completed())

    assert judged(mail, 2) == ()
