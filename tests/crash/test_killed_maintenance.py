"""kill -9 in the middle of what an operator does: the store is as it was, or as it shall be."""

import signal
from contextlib import closing

import pytest
from support.older_stores import without_history, write_as

from antq_actors import AntQ, Worker, maintenance
from antq_actors.storage.format.records import Filter
from antq_actors.storage.jobs.job_store import read
from antq_actors.storage.lmdb.open_stores import open_environment

JOBS = 2_500

ACT = """
import os, signal, sys
from antq_actors.storage.admin import maintenance, migrate, resealing
from antq_actors.storage.lmdb.environment import Environment

act, where, attribute, nth, *arguments = sys.argv[1:]
owner = {"maintenance": maintenance, "Environment": Environment, "Migration": migrate.Migration,
         "migrate": migrate, "resealing": resealing}[where]
function, left = getattr(owner, attribute), int(nth)

def passing(*args, **kwargs):
    global left
    answer = function(*args, **kwargs)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer

setattr(owner, attribute, passing)
if act == "reseal":
    maintenance.reseal(arguments[0], [b"k" * 32])
else:
    getattr(maintenance, act)(*arguments)
"""


class Plain(Worker, name="maintenance_kill:Plain"):
    def perform(self, job): ...


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "store"
    with AntQ(path, start_queues=False) as app:
        app.enqueue_many(Plain, ({"n": n} for n in range(JOBS)))
        for id_ in range(1, 11):
            app.delete_worker(id_)
        for id_ in range(1000, 1100):
            app.cancel_worker(id_)
    return path


@pytest.fixture
def killed(program):
    """Do something in a process that dies after it has passed a function so often."""

    def act(*words):
        status, out, errors = program("-c", ACT, *words).end(60)
        assert status == -signal.SIGKILL, f"it never came there: {out}{errors}"

    return act


def sound(path):
    assert maintenance.verify(path) == []
    with AntQ(path, start_queues=False) as app:
        return app.count_workers()


def make_old(path):
    """Bring the store back to format 1, in which nothing was sealed; return its jobs."""
    with closing(open_environment(path)) as env:
        jobs = every_job(env)
        write_as(env, 1)
    return [job._replace(state=without_history(job.state)) for job in jobs]


def every_job(env):
    return read(env, lambda reader: [raw.decode() for raw in reader.page(Filter(), size=JOBS)])


def jobs_in(path):
    with closing(open_environment(path)) as env:
        return every_job(env)


@pytest.mark.parametrize("nth", range(1, 11))
def test_a_migration_goes_on_after_the_batch_at_which_it_was_killed(path, killed, nth):
    jobs = make_old(path)

    killed("migrate", "Migration", "_one_batch", nth, path)

    maintenance.migrate(path)
    assert sound(path) == JOBS - 10
    assert jobs_in(path) == jobs


def test_a_migration_killed_again_and_again_comes_to_its_end_when_the_store_is_opened(path, killed):
    jobs = make_old(path)

    for nth in (1, 3, 2, 2):
        killed("migrate", "Migration", "_one_batch", nth, path)

    assert jobs_in(path) == jobs
    assert sound(path) == JOBS - 10


def test_a_migration_killed_within_a_batch_begins_that_batch_again(path, killed):
    make_old(path)

    killed("migrate", "migrate", "next_items", 2, path)

    maintenance.migrate(path)
    assert sound(path) == JOBS - 10


@pytest.mark.parametrize(
    "point",
    [
        ("Environment", "copy", 1),
        ("Environment", "close", 1),
        ("maintenance", "_sync", 1),
        ("maintenance", "_sync", 2),
    ],
)
def test_a_store_that_was_being_compacted_is_the_old_one_or_the_new(path, killed, point):
    killed("compact", *point, path)

    assert sound(path) == JOBS - 10
    maintenance.compact(path)
    assert sound(path) == JOBS - 10
    assert [file.name for file in path.iterdir() if file.name.startswith(".")] == []


@pytest.mark.parametrize("nth", [1, 2])
def test_a_store_that_was_being_sealed_anew_can_be_so_again(path, killed, nth):
    killed("reseal", "resealing", "reseal_batch", nth, path)

    assert sound(path) == JOBS - 10
    assert maintenance.reseal(path, [b"k" * 32]) == JOBS - 10
    assert maintenance.verify(path, signing_keys=[b"k" * 32]) == []


@pytest.mark.parametrize(
    ("point", "is_there"),
    [
        (("Environment", "copy", 1), False),
        (("maintenance", "_sync", 1), False),
        (("maintenance", "_sync", 2), False),
        (("maintenance", "_sync", 3), True),
    ],
)
def test_a_backup_is_there_whole_or_not_at_all(path, tmp_path, killed, point, is_there):
    copy = tmp_path / "copy"

    killed("backup", *point, path, copy)

    assert copy.exists() == is_there
    if not is_there:
        maintenance.backup(path, copy)
    assert sound(copy) == JOBS - 10


@pytest.mark.parametrize(
    "point",
    [
        ("maintenance", "_copy_file", 1),
        ("maintenance", "_give_back", 1),
        ("maintenance", "_sync", 3),
    ],
)
def test_a_store_is_restored_whole_or_not_at_all(path, tmp_path, killed, point):
    copy, new = maintenance.backup(path, tmp_path / "copy"), tmp_path / "new"

    killed("restore", *point, copy, new)

    if not new.exists():
        maintenance.restore(copy, new)
    assert sound(new) == JOBS - 10
    assert sound(copy) == JOBS - 10
