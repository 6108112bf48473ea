"""Jobs that are claimed or settled together come out as if each had been by itself."""

import tempfile
from contextlib import contextmanager
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from support.raw_jobs import LARGE, change_state, drop_spec, put_spec, record_of, spec_of
from support.stored_jobs import a_new_job

from antq_actors.jobs import lifecycle
from antq_actors.jobs.outcome import Completed, Failed
from antq_actors.jobs.state import Status
from antq_actors.storage.format import encoding
from antq_actors.storage.format.records import Settlement
from antq_actors.storage.jobs import job_store
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.open_stores import open_environment
from antq_actors.storage.lmdb.tables import TABLE_NAMES

NOW = 1_000
ENQUEUED = keys.lane(Status.ENQUEUED, "mail")
RUNNING = keys.lane(Status.RUNNING, "mail")

# ---- what can be wrong with a job ---------------------------------------------------------------


def nothing(txn, tables, id_):
    pass


def record_is_garbage(txn, tables, id_):
    txn.put(keys.job_key(id_), b"\x00garbage", db=tables.jobs)


def head_is_cut_short(txn, tables, id_):
    head = encoding.head_in(record_of(txn, tables, id_))
    txn.put(keys.job_key(id_), head[:-2], db=tables.jobs)


def record_is_empty(txn, tables, id_):
    txn.put(keys.job_key(id_), b"", db=tables.jobs)


def record_is_gone(txn, tables, id_):
    txn.delete(keys.job_key(id_), db=tables.jobs)


def record_says_that_it_has_ended(txn, tables, id_):
    change_state(txn, tables, id_, status=Status.COMPLETED)


def its_run_is_to_be_isolated(txn, tables, id_):
    change_state(txn, tables, id_, isolated=True)


def it_was_claimed_again(txn, tables, id_):
    change_state(txn, tables, id_, execution=2)


def it_is_being_cancelled(txn, tables, id_):
    change_state(txn, tables, id_, cancelling=True)


def spec_is_garbage(txn, tables, id_):
    put_spec(txn, tables, id_, b"\xff\xffgarbage")


def spec_is_gone(txn, tables, id_):
    drop_spec(txn, tables, id_)


def spec_has_no_checksum(txn, tables, id_):
    put_spec(txn, tables, id_, encoding.contents(spec_of(txn, tables, id_)))


def index_names_it_twice(txn, tables, id_):
    for lane in (ENQUEUED, RUNNING):
        txn.put(keys.work_key(lane, -7, id_), b"", db=tables.index)


def index_names_it_as_scheduled_too(txn, tables, id_):
    txn.put(keys.work_key(keys.lane(Status.SCHEDULED, "mail"), 5, id_), b"", db=tables.index)


def index_names_it_elsewhere(txn, tables, id_):
    for lane in (ENQUEUED, RUNNING):
        for order in (0, 1):
            txn.delete(keys.work_key(lane, order, id_), db=tables.index)
    index_names_it_twice(txn, tables, id_)


WAITING_DAMAGES = [
    record_is_garbage,
    head_is_cut_short,
    record_is_empty,
    record_is_gone,
    record_says_that_it_has_ended,
    its_run_is_to_be_isolated,
    spec_is_garbage,
    spec_is_gone,
    spec_has_no_checksum,
    index_names_it_twice,
    index_names_it_as_scheduled_too,
    index_names_it_elsewhere,
]
RUNNING_DAMAGES = [
    record_is_garbage,
    head_is_cut_short,
    record_is_empty,
    record_is_gone,
    record_says_that_it_has_ended,
    its_run_is_to_be_isolated,
    it_was_claimed_again,
    it_is_being_cancelled,
    index_names_it_elsewhere,
]

# Mostly nothing is wrong: the point is what runs of sound jobs become around the others.
new_jobs = st.builds(
    lambda n, text, now, **options: a_new_job(
        {"n": n, "text": text}, now=now, max_attempts=2, **options
    ),
    n=st.integers(0, 30),
    text=st.sampled_from(["", "", "", LARGE]),
    now=st.just(0) | st.integers(0, 5),
    due=st.none() | st.sampled_from([None, None, NOW - 1, NOW, NOW + 1]),
    priority=st.just(0) | st.sampled_from([0, 0, 1]),
    unique=st.sampled_from([None, None, None, ("n",)]),
)
of_waiting = st.lists(st.just(nothing) | st.sampled_from(WAITING_DAMAGES), min_size=12, max_size=12)
of_running = st.lists(st.just(nothing) | st.sampled_from(RUNNING_DAMAGES), min_size=12, max_size=12)
outcomes = st.lists(
    st.tuples(
        st.integers(0, 11),
        st.sampled_from([Completed()] * 4 + [Failed("no", None, 0.0)]),
        st.sampled_from([0, 0, 0, 0, 1]),
    ),
    max_size=12,
    unique_by=lambda each: each[0],
)

# ---- both ways, and what they leave -------------------------------------------------------------


def with_a_row_for_each_ended_job(index):
    """Jobs that ended together share a row, which has the key of the first of them."""
    apart = [
        (keys.without_id(key) + id_, id_)
        for key, row in index
        if key.startswith(keys.ENDS)
        for id_ in keys.ids_in(row)
    ]
    return [each for each in index if not each[0].startswith(keys.ENDS)] + sorted(apart)


class OneOfTwo:
    """A store that does what the other one does, and can do it with each job by itself."""

    def __init__(self, signer):
        self._directory = tempfile.TemporaryDirectory()
        self._env = open_environment(self._directory.name, durable=False)
        self._signer = signer

    def close(self):
        self._env.close()
        self._directory.cleanup()

    def do(self, verb):
        """Return what the verb returns, what it had to log, and which queues it wakes."""

        def run(txn):
            store = JobStore(txn, self._env.tables, self._signer)
            result = verb(store)
            store.flush()
            return result, sorted(store.findings), store.due

        return self._env.write(run)

    def damage(self, damages):
        def run(txn):
            for id_, damage in enumerate(damages, 1):
                if txn.get(keys.job_key(id_), db=self._env.tables.jobs):
                    damage(txn, self._env.tables, id_)

        self._env.write(run)

    def bytes_of_all_tables(self):
        def run(txn):
            tables = self._env.tables
            return {name: list(txn.cursor(getattr(tables, name))) for name in TABLE_NAMES}

        found = self._env.read(run)
        found["index"] = with_a_row_for_each_ended_job(found["index"])
        return found


@contextmanager
def two_stores(news, key):
    signer = encoding.Signer([key] if key else [])
    together, alone = OneOfTwo(signer), OneOfTwo(signer)
    try:
        for store in (together, alone):
            store.do(lambda verbs: (verbs.add_node(1, ["mail"]), verbs.insert_many(news)))
        yield together, alone
    finally:
        together.close()
        alone.close()


def each_by_itself():
    def no_plan(records, decide, _dues=None):
        return [(None, slice(0, len(records)))]

    return patch.object(job_store, "plan", no_plan)


def do_in_both(together, alone, verb):
    done = together.do(verb)
    with each_by_itself():
        expected = alone.do(verb)
    assert done == expected
    assert together.bytes_of_all_tables() == alone.bytes_of_all_tables()
    return done[0]


keys_of_signers = st.none() | st.just(b"k" * 32)


@settings(max_examples=150)
@given(st.lists(new_jobs, min_size=1, max_size=12), of_waiting, st.integers(0, 13), keys_of_signers)
def test_jobs_claimed_together_come_out_as_if_each_had_been_alone(news, damages, limit, key):
    with two_stores(news, key) as (together, alone):
        for store in (together, alone):
            store.damage(damages)

        for later in (0, 1):
            do_in_both(
                together,
                alone,
                lambda verbs, now=NOW + later: verbs.work("mail", [], node=1, limit=limit, now=now),
            )


@settings(max_examples=150)
@given(st.lists(new_jobs, min_size=1, max_size=12), of_running, outcomes, st.integers(1, 2))
def test_jobs_settled_together_come_out_as_if_each_had_been_alone(news, damages, ends, claims):
    with two_stores(news, None) as (together, alone):
        jobs = []
        for number in range(claims):  # so that not all of them have one record
            claim = do_in_both(
                together,
                alone,
                lambda verbs, now=NOW + number: verbs.work("mail", [], node=1, limit=6, now=now),
            )
            jobs += claim.jobs
        for store in (together, alone):
            store.damage(damages)
        settlements = [
            Settlement(job.id, job.state.execution + stale, outcome)
            for number, outcome, stale in ends
            for job in jobs[number : number + 1]
        ]

        do_in_both(
            together,
            alone,
            lambda verbs: verbs.work("mail", settlements, node=1, limit=3, now=NOW + 9),
        )


def test_jobs_that_were_enqueued_one_by_one_share_their_state_once_they_are_claimed(store):
    store.insert_many([a_new_job({"n": n}, now=n) for n in range(3)])

    jobs = store.claim(limit=3, now=9)

    assert len({id(job.state) for job in jobs}) == 1
    assert jobs[0].state == lifecycle.claim(a_new_job().state, node=1, now=9)
    assert [job.spec.inserted_at for job in jobs] == [0, 1, 2]
