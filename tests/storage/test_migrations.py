"""A store of an older format becomes one of the present, wherever it is interrupted."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from other_process import HOLD_OPEN, OtherProcess
from support.stored_jobs import Store, a_new_job

from antq_actors import maintenance
from antq_actors.errors import StorageError
from antq_actors.jobs.outcome import Failed
from antq_actors.jobs.state import ErrorEntry
from antq_actors.storage.admin import migrate
from antq_actors.storage.admin.migrate import FORMAT, FORMAT_KEY, Migration, Step
from antq_actors.storage.format import encoding
from antq_actors.storage.format.records import Filter, Settlement
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.open_stores import open_environment


def a_store_of_format_1(path, jobs):
    env = an_open_store_of_format_1(path, jobs)
    env.close()


def an_open_store_of_format_1(path, jobs):
    """What the first release wrote: specs stood bare."""
    env = open_environment(path, durable=False)
    Store(env).insert_many([a_new_job({"n": n}) for n in range(jobs)])

    def unseal(txn):
        for id_ in range(1, jobs + 1):
            key = keys.job_key(id_)
            bare = encoding.contents(txn.get(key, db=env.tables.payloads))
            txn.put(key, bare, db=env.tables.payloads)
        txn.put(FORMAT_KEY, b"1", db=env.tables.meta)

    env.write(unseal)
    return env


def format_of(env):
    return int(env.read(lambda txn: txn.get(FORMAT_KEY, db=env.tables.meta)))


def sealed(env):
    def count(txn):
        cursor = txn.cursor(env.tables.payloads)
        return sum(encoding.is_protected(value) for _, value in cursor)

    return env.read(count)


def test_a_small_store_is_migrated_when_it_is_opened(tmp_path, caplog):
    a_store_of_format_1(tmp_path, 5)

    env = open_environment(tmp_path)

    assert (format_of(env), sealed(env)) == (FORMAT, 5)
    assert Store(env).findings() == []
    assert Store(env).ids(Filter()) == [1, 2, 3, 4, 5]
    assert "format 1 to 2: sealing what jobs were enqueued with" in caplog.text
    env.close()


def test_a_large_store_is_refused_with_the_command_that_migrates_it(tmp_path, monkeypatch):
    monkeypatch.setattr(migrate, "_A_MOMENT", 4)
    a_store_of_format_1(tmp_path, 5)

    with pytest.raises(StorageError, match=rf"5 jobs.*`antq migrate --path {tmp_path}`"):
        open_environment(tmp_path)

    env = open_environment(tmp_path, migrate=True)
    assert (format_of(env), sealed(env)) == (FORMAT, 5)
    env.close()
    open_environment(tmp_path).close()


def test_a_migration_that_was_interrupted_goes_on_and_nobody_else_opens_it(tmp_path, monkeypatch):
    monkeypatch.setattr(migrate, "BATCH", 2)
    env = an_open_store_of_format_1(tmp_path, 5)
    batches = []

    def fail_at_the_third(work):
        batches.append(work)
        if len(batches) == 3:
            raise KeyboardInterrupt
        return env.write(work)

    with pytest.raises(KeyboardInterrupt):
        Migration(env._env, env.tables, tmp_path).run(fail_at_the_third)
    env.close()

    with pytest.raises(StorageError, match=r"is being brought from format 1 to 3.*antq migrate"):
        open_environment(tmp_path)
    env = open_environment(tmp_path, migrate=True)
    assert (format_of(env), sealed(env)) == (FORMAT, 5)
    assert Store(env).findings() == []
    env.close()


def test_a_migration_that_needs_more_room_than_the_map_has_enlarges_it(tmp_path):
    a_store_of_format_1(tmp_path, 3_000)

    env = open_environment(tmp_path, migrate=True, map_size=2**16)

    assert (format_of(env), sealed(env)) == (FORMAT, 3_000)
    assert Store(env).findings() == []
    env.close()


def test_several_steps_are_done_in_order_each_once(tmp_path):
    env = open_environment(tmp_path, durable=False)
    done = []
    steps = [
        *migrate.STEPS,
        Step("a", lambda *_: done.append("a")),
        Step("b", lambda *_: done.append("b")),
    ]

    Migration(env._env, env.tables, tmp_path, steps).run(env.write)
    Migration(env._env, env.tables, tmp_path, steps).run(env.write)

    assert done == ["a", "b"]
    assert format_of(env) == FORMAT + 2
    env.close()


def test_a_large_store_of_format_2_is_migrated_at_once_and_keeps_its_jobs(tmp_path, monkeypatch):
    monkeypatch.setattr(migrate, "_A_MOMENT", 2)
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
    """What the release before this one wrote: no job had a start, and no error a type."""
    env = open_environment(path, durable=False)
    store = Store(env).has_nodes(1)
    store.insert_many([a_new_job({"n": n}) for n in range(jobs)])
    (job,) = store.claim(now=1)
    store.settle(Settlement(job.id, 1, Failed("no", "trace", 0.0, "ValueError")), now=2)

    def write_as_format_2(txn):
        for table, skipped in ((env.tables.jobs, 1), (env.tables.errors, 0)):
            for key, value in list(txn.cursor(table)):
                *fields, _ = msgspec.msgpack.decode(value[skipped:])
                txn.put(key, value[:skipped] + msgspec.msgpack.encode(fields), db=table)
        txn.put(FORMAT_KEY, b"2", db=env.tables.meta)

    env.write(write_as_format_2)
    env.close()


def test_a_store_that_another_process_has_open_is_not_migrated(tmp_path):
    open_environment(tmp_path, durable=False).close()
    with OtherProcess(HOLD_OPEN, tmp_path) as other:
        assert other.first_line == "open"
        env = open_environment(tmp_path)
        env.write(lambda txn: txn.put(FORMAT_KEY, b"1", db=env.tables.meta))
        env.close()

        with pytest.raises(StorageError, match=r"format 1 to 3, and a process of an earlier.*stop"):
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
