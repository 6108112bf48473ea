"""A store of an older format becomes one of the present, wherever it is interrupted."""

import lzma
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lmdb
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from other_process import HOLD_OPEN, OtherProcess
from support.older_stores import names_of_tables, without_history, write_as
from support.raw_jobs import LARGE, put_garbage_for_state, spec_of
from support.stored_jobs import Store, a_new_job

from antq_actors import AntQ, maintenance
from antq_actors.errors import StorageError, StorageFull
from antq_actors.jobs.outcome import Cancelled, Completed, Failed, Snoozed
from antq_actors.jobs.state import ErrorEntry, Status
from antq_actors.storage.admin import migrate
from antq_actors.storage.admin.migrate import FORMAT, FORMAT_KEY, Migration, Step
from antq_actors.storage.format import encoding
from antq_actors.storage.format.records import Claim, Filter, Settlement
from antq_actors.storage.jobs import job_store
from antq_actors.storage.lmdb import keys, scan
from antq_actors.storage.lmdb.open_stores import open_environment
from antq_actors.storage.lmdb.tables import FURTHER_TABLES, MOST_TABLES, TABLE_NAMES


def a_store_of_format_1(path, jobs):
    env = an_open_store_of_format_1(path, jobs)
    env.close()


def an_open_store_of_format_1(path, jobs):
    """What the first release wrote: specs stood bare."""
    env = open_environment(path, durable=False)
    Store(env).insert_many([a_new_job({"n": n}) for n in range(jobs)])
    write_as(env, 1)
    return env


def format_of(env):
    return int(env.read(lambda txn: txn.get(FORMAT_KEY, db=env.tables.meta)))


def sealed(env):
    def count(txn):
        ids = [keys.id_at_end(key) for key in scan.keys_from(txn, env.tables.jobs)]
        return sum(encoding.is_protected(spec_of(txn, env.tables, id_)) for id_ in ids)

    return env.read(count)


def test_a_store_is_migrated_when_it_is_opened(tmp_path, caplog):
    a_store_of_format_1(tmp_path, 5)

    env = open_environment(tmp_path)

    assert (format_of(env), sealed(env)) == (FORMAT, 5)
    assert Store(env).findings() == []
    assert Store(env).ids(Filter()) == [1, 2, 3, 4, 5]
    assert "format 1 to 2: sealing what jobs were enqueued with" in caplog.text
    env.close()


def test_who_only_looks_is_refused_with_the_command_that_migrates_it(tmp_path):
    a_store_of_format_1(tmp_path, 5)

    for look in (maintenance.verify, lambda path: maintenance.backup(path, tmp_path / "copy")):
        with pytest.raises(StorageError, match=rf"has to be .*`antq migrate --path {tmp_path}`"):
            look(tmp_path)

    maintenance.migrate(tmp_path)
    assert maintenance.verify(tmp_path) == []


def test_its_progress_is_logged_every_few_seconds(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(migrate, "BATCH", 2)
    env = an_open_store_of_format_1(tmp_path, 15)
    seconds = iter(range(1000))

    Migration(env._env, env.tables, tmp_path, clock=lambda: next(seconds)).run(env.write)

    lines = [record.getMessage() for record in caplog.records]
    assert f"{tmp_path}: format 3 to 4, part 1 of 5: 10 of 15 jobs" in lines
    assert len([line for line in lines if "format 3 to 4, part" in line]) == 3
    assert lines[-1] == f"{tmp_path} has format {FORMAT} now, with 15 jobs"
    env.close()


def test_a_batch_has_few_jobs_if_their_arguments_are_large(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(migrate, "_MOST_BATCH_BYTES", 2_500)
    env = open_environment(tmp_path, durable=False)
    news = [a_new_job({"n": n, "text": LARGE * 2}) for n in range(7)]
    Store(env).insert_many(news)
    write_as(env, 3)
    seconds = iter(range(0, 9_000, 9))

    Migration(env._env, env.tables, tmp_path, clock=lambda: next(seconds)).run(env.write)

    lines = [record.getMessage().partition("part ")[2] for record in caplog.records]
    assert lines[1:4] == ["1 of 5: 3 of 7 jobs", "1 of 5: 6 of 7 jobs", "2 of 5: 0 of 7 jobs"]
    assert [Store(env).get(n + 1).spec.args for n in range(7)] == [new.spec.args for new in news]
    assert Store(env).findings() == []
    env.close()


@pytest.mark.parametrize("nth", range(1, 12))
def test_a_migration_that_was_interrupted_goes_on_and_nobody_else_looks_at_it(
    tmp_path, monkeypatch, nth
):
    monkeypatch.setattr(migrate, "BATCH", 2)
    env = an_open_store_of_format_1(tmp_path, 9)
    batches = []

    def fail_at_the_nth(work):
        batches.append(work)
        if len(batches) == nth:
            raise KeyboardInterrupt
        return env.write(work)

    with pytest.raises(KeyboardInterrupt):
        Migration(env._env, env.tables, tmp_path).run(fail_at_the_nth)
    env.close()

    begun = r"is being brought from format \d to" if nth > 1 else "has to be brought from format 1"
    with pytest.raises(StorageError, match=rf"{begun}.*antq migrate"):
        maintenance.verify(tmp_path)
    env = open_environment(tmp_path)
    assert (format_of(env), sealed(env)) == (FORMAT, 9)
    assert Store(env).findings() == []
    env.close()


def test_from_its_first_batch_on_an_older_release_refuses_the_store(tmp_path):
    env = an_open_store_of_format_1(tmp_path, 5)

    def fail_at_the_second(work, batches=[]):  # noqa: B006 - it counts
        batches.append(work)
        if len(batches) == 2:
            raise KeyboardInterrupt
        return env.write(work)

    with pytest.raises(KeyboardInterrupt):
        Migration(env._env, env.tables, tmp_path).run(fail_at_the_second)

    with pytest.raises(StorageError, match=rf"newer antq_actors \(format {FORMAT}; .* up to 3\)"):
        Migration(env._env, env.tables, tmp_path, migrate.STEPS[:2])
    env.close()


def test_a_disk_that_is_full_is_an_error_after_which_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(migrate, "BATCH", 2)
    env = an_open_store_of_format_1(tmp_path, 5)
    env.close()
    one_batch, left = Migration._one_batch, [4]

    def full_at_the_fifth(*arguments):
        if not left[0]:
            raise StorageFull("the disk is full")
        left[0] -= 1
        return one_batch(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Migration, "_one_batch", full_at_the_fifth)
        with pytest.raises(StorageFull, match="the disk is full"):
            open_environment(tmp_path)

    env = open_environment(tmp_path)
    assert (format_of(env), sealed(env)) == (FORMAT, 5)
    assert Store(env).findings() == []
    env.close()


def test_a_migration_that_needs_more_room_than_the_map_has_enlarges_it(tmp_path):
    a_store_of_format_1(tmp_path, 3_000)

    env = open_environment(tmp_path, map_size=2**16)

    assert (format_of(env), sealed(env)) == (FORMAT, 3_000)
    assert Store(env).findings() == []
    env.close()


def test_several_steps_are_done_in_order_each_once(tmp_path):
    env = open_environment(tmp_path, durable=False)
    done = []
    steps = [
        *migrate.STEPS,
        Step("a", lambda *_: (done.append("a"), 0)),
        Step("b", lambda *_: (done.append("b"), 0), lambda *_: (done.append("c"), 0)),
    ]

    Migration(env._env, env.tables, tmp_path, steps).run(env.write)
    Migration(env._env, env.tables, tmp_path, steps).run(env.write)

    assert done == ["a", "b", "c"]
    assert format_of(env) == FORMAT + 2
    env.close()


def test_a_store_of_format_2_keeps_its_jobs(tmp_path):
    a_store_of_format_2(tmp_path, 5)

    env = open_environment(tmp_path)

    store = Store(env)
    job = store.get(1)
    assert format_of(env) == FORMAT
    assert store.findings() == []
    assert (job.state.started_at, job.state.ended_at) == (None, 2)
    assert job.errors == (ErrorEntry(1, "no", "trace", 2),)
    env.close()


def a_store_of_format_2(path, jobs):
    """What the release before format 3 wrote: no job had a start, and no error a type."""
    env = open_environment(path, durable=False)
    store = Store(env).has_nodes(1)
    store.insert_many([a_new_job({"n": n}) for n in range(jobs)])
    (job,) = store.claim(now=1)
    store.settle(Settlement(job.id, 1, Failed("no", "trace", 0.0, "ValueError")), now=2)
    write_as(env, 2)
    env.close()


@pytest.mark.parametrize("format_", [1, 2, 3])
def test_a_migrated_store_has_the_tables_of_a_new_one_and_those_of_older_ones_are_empty(
    tmp_path, format_
):
    env = open_environment(tmp_path / "new", durable=False)
    made = names_of_tables(env)
    env.close()
    env = open_environment(tmp_path / "old", durable=False)
    store = Store(env).has_nodes(1)
    store.insert_many([a_new_job({"n": 1}, due=5), a_new_job({"text": LARGE})])
    write_as(env, format_)
    assert names_of_tables(env) == {*TABLE_NAMES, "listing", "counts"}
    env.close()

    env = open_environment(tmp_path / "old", durable=False)

    assert made == {*TABLE_NAMES, *FURTHER_TABLES}
    assert names_of_tables(env) == {*made, "listing", "counts"}
    older = [env._env.open_db(name) for name in (b"listing", b"counts")]
    assert [env.read(lambda txn, db=db: txn.stat(db)["entries"]) for db in older] == [0, 0]
    env.close()


def test_a_store_from_before_some_tables_came_gets_them_and_keeps_its_jobs(tmp_path):
    env = open_environment(tmp_path, durable=True)
    (id_,) = Store(env).insert_many([a_new_job({"n": 1})])
    env.close()
    bare = lmdb.open(str(tmp_path), max_dbs=MOST_TABLES)
    for name in FURTHER_TABLES[-4:]:
        table = bare.open_db(name.encode(), create=False)
        with bare.begin(write=True) as txn:
            txn.drop(table, delete=True)
    bare.close()

    env = open_environment(tmp_path, durable=True)

    assert names_of_tables(env) == {*TABLE_NAMES, *FURTHER_TABLES}
    assert Store(env).get(id_).state.status is Status.ENQUEUED
    env.close()


# ---- any store ------------------------------------------------------------------------------

new_jobs = st.builds(
    a_new_job,
    st.fixed_dictionaries({"n": st.integers(0, 5), "text": st.sampled_from(["", "", LARGE])}),
    now=st.integers(0, 5),
    queue=st.sampled_from(["mail", "mail2", "ä"]),
    due=st.none() | st.integers(0, 9),
    priority=st.sampled_from([0, 0, -1, 7]),
    max_attempts=st.integers(1, 2),
    unique=st.sampled_from([None, ("n",)]),
)
outcomes = st.sampled_from(
    [Completed(), Completed(), Failed("no", "trace", 9.0), Cancelled("enough"), Snoozed(9.0)]
)
rounds = st.lists(
    st.tuples(st.sampled_from(["mail", "mail2", "ä"]), st.integers(0, 9), st.lists(outcomes)),
    max_size=6,
)


def a_random_store(env, news, steps, deleted):
    store = Store(env).has_nodes(1, 2)
    store.insert_many(news)
    for now, (queue, limit, ends) in enumerate(steps, 10):
        claimed = store.claim(limit=limit, now=now, queue=queue, node=1 + now % 2)
        settlements = [
            Settlement(job.id, job.state.execution, outcome)
            for job, outcome in zip(claimed, ends, strict=False)
        ]
        store.work(queue, settlements, node=1, limit=0, now=now)
    for id_ in deleted:
        if id_ in store.ids(Filter()):
            store.delete(id_)
    store.set_paused("mail2", paused=True)
    return store


def shown(store):
    """Everything that can be asked about jobs."""
    filters = [Filter(frozenset([status])) for status in Status]
    queues = store.known_queues()
    return (
        [raw.decode() for raw in store.page(Filter())],
        [store.ids(each) for each in filters],
        {queue: (store.counts(queue), store.facts(queue, 12)) for queue in queues},
        store.running_by_node(),
    )


def as_format_3_would_show(jobs):
    return [
        job._replace(
            state=without_history(job.state),
            errors=tuple(each._replace(started_at=None, node=0) for each in job.errors),
        )
        for job in jobs
    ]


def as_format_2_would_show(jobs):
    return [
        job._replace(
            state=msgspec.structs.replace(job.state, started_at=None),
            errors=tuple(each._replace(error_type=None) for each in job.errors),
        )
        for job in as_format_3_would_show(jobs)
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(new_jobs, max_size=12),
    rounds,
    st.lists(st.integers(1, 12), max_size=3),
    st.integers(1, 3),
    st.integers(1, 5),
)
def test_every_job_of_any_store_is_afterwards_what_it_was(news, steps, deleted, format_, batch):
    with tempfile.TemporaryDirectory() as path, pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "BATCH", batch)
        env = open_environment(path, durable=False)
        before = shown(a_random_store(env, news, steps, deleted))
        write_as(env, format_)
        env.close()

        env = open_environment(path, durable=False)

        store = Store(env)
        after = shown(store)
        as_shown = as_format_3_would_show if format_ == 3 else as_format_2_would_show
        jobs = as_shown(before[0])
        assert after == (jobs, *before[1:])
        assert store.findings() == []
        ended = sum(store.count([status]) for status in ("completed", "failed", "cancelled"))
        assert store.prune(finished_before=99, limit=99) == ended
        env.close()


def test_damaged_jobs_stay_as_they_are_and_stop_no_migration(tmp_path):
    stray = keys.lane(Status.COMPLETED, "mail") + b"short"
    env = open_environment(tmp_path, durable=False)
    store = Store(env).has_nodes(1)
    store.insert_many([a_new_job({"n": n}) for n in range(4)])
    for job in store.claim(limit=3):
        store.end(job, Completed(), now=5)
    for id_ in (2, 4):
        env.write(lambda txn, id_=id_: put_garbage_for_state(txn, env.tables, id_))
    write_as(env, 3)
    of_2 = keys.work_key(keys.lane(Status.COMPLETED, "mail"), 5, 2)
    for key in (stray, of_2):
        env.write(lambda txn, key=key: txn.put(key, b"", db=env.tables.index))
    env.close()

    env = open_environment(tmp_path, durable=False)

    def do(verb):  # Store's verbs check the tables after each
        return job_store.write(env, verb)

    assert [job.id for job in do(lambda store: store.page(Filter()))] == [1, 2, 3, 4]
    assert do(lambda store: store.work("mail", [], node=1, limit=9, now=6)) == Claim([], None)
    assert do(lambda store: store.get(4)).state.status is Status.FAILED
    assert do(lambda store: store.prune(finished_before=9, limit=9)) == 4
    assert Store(env).findings() == [f"index: {stray!r} belongs to no job"]
    env.close()


# ---- several processes ----------------------------------------------------------------------


def test_a_store_that_another_process_has_open_is_not_migrated(tmp_path):
    open_environment(tmp_path, durable=False).close()
    with OtherProcess(HOLD_OPEN, tmp_path) as other:
        assert other.first_line == "open"
        env = open_environment(tmp_path)
        env.write(lambda txn: txn.put(FORMAT_KEY, b"1", db=env.tables.meta))
        env.close()

        refusal = rf"format 1 to {FORMAT}, and a process of an earlier.*stop"
        with pytest.raises(StorageError, match=refusal):
            open_environment(tmp_path)
        with pytest.raises(StorageError, match=r"another process has .* open.*stop"):
            maintenance.migrate(tmp_path)

    open_environment(tmp_path).close()


MIGRATE_WHEN_TOLD = """
    from antq_actors.storage.admin.migrate import Migration
    migrate = Migration.run
    def run(*arguments):
        print("migrates", flush=True)
        sys.stdin.readline()
        migrate(*arguments)
    Migration.run = run
    open_environment(sys.argv[1])
    print("open", flush=True)
    sys.stdin.read()
"""


def test_of_those_that_open_at_once_one_migrates_and_the_others_wait(tmp_path):
    a_store_of_format_2(tmp_path, 5)

    with OtherProcess(MIGRATE_WHEN_TOLD, tmp_path) as other, ThreadPoolExecutor() as threads:
        assert other.first_line == "migrates"
        opened = threads.submit(open_environment, tmp_path)
        other.tell("go on")
        env = opened.result(30)
        assert other.read() == "open"

    assert format_of(env) == FORMAT
    assert Store(env).findings() == []
    env.close()


# ---- from format 4, as a release of that format has written it ------------------------------

JOBS_OF_FORMAT_4 = [
    (1, "completed", 1, []),
    (2, "failed", 1, ["no"]),
    (3, "retrying", 1, ["late"]),
    (4, "cancelled", 1, ["not wanted"]),
    (5, "scheduled", 0, []),
    (6, "completed", 1, []),
    (7, "scheduled", 0, []),
    (8, "enqueued", 0, []),
    (9, "enqueued", 0, []),
]


def test_the_jobs_of_a_store_of_format_4_are_what_they_were(tmp_path):
    path = tmp_path / "store"
    path.mkdir(mode=0o700)
    packed = Path(__file__).with_name("store_of_format_4.xz").read_bytes()
    (path / "data.mdb").write_bytes(lzma.decompress(packed))

    with AntQ(path, start_queues=False, retention=None) as app:
        jobs = app.list_jobs()
        found = [(job.id, job.status, job.attempts, [e.error for e in job.errors]) for job in jobs]
        assert found == JOBS_OF_FORMAT_4
        assert [job.args["n"] for job in jobs] == list(range(9))
        assert app.get_job(7).args["text"] == "x" * 600
        assert [job.priority for job in app.list_jobs(status="enqueued")] == [5, 0]
        assert {(job.cron, job.scheduled_for) for job in jobs} == {(None, None)}
        assert app.verify() == []

    env = open_environment(path)
    assert format_of(env) == FORMAT
    env.close()
