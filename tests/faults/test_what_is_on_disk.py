"""What is on disk before an answer: the table of docs/design.md, row by row.

A store whose disk is cut off keeps what was flushed, and forgets the rest. What a disk may also do,
write some pages and not others, is tried on copies of the file.
"""

import ast
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random as Chance

import pytest
from disks import LOSE_THE_LOG
from support.apps import until, until_flushed
from support.findings import findings
from support.programs import ROOT
from support.stored_jobs import Store, a_new_job

from antq_actors import AlreadyExists, Status, StorageError, otp
from antq_actors.jobs.outcome import Completed
from antq_actors.storage.actor import StorageActor
from antq_actors.storage.admin import maintenance
from antq_actors.storage.format.records import Filter, Settlement
from antq_actors.storage.idle_waiters import IdleWaiter, IdleWaiters, LookForIdle
from antq_actors.storage.jobs.job_store import JobStore, read
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.lmdb.open_stores import open_environment
from antq_actors.storage.requests import Read, StandingClaim, Write

NODE = 1
PAGE = 4096
READ = """
import sys
from antq_actors import AntQ
with AntQ(sys.argv[1], start_queues=False) as app:
    print(app.get_job(int(sys.argv[2])).status, flush=True)
    sys.stdin.read()
"""


def a_job_of(args, **options):
    return Write(JobStore.insert, (a_new_job(args, **options),))


def a_claim(*, waits_for_disk):
    how = {"node": NODE, "limit": 9, "now": 0}
    return Write(JobStore.work, ("mail", ()), how, waits_for_disk=waits_for_disk)


def a_completion(job, *, waits_for_disk):
    settlement = Settlement(job.id, job.state.execution, Completed())
    how = {"node": NODE, "limit": 0, "now": 0}
    return Write(JobStore.work, ("mail", [settlement]), how, waits_for_disk=waits_for_disk)


class CutOff:
    """A store on a disk whose power can be cut, and its storage actor."""

    def __init__(self, disk):
        self.path = disk.path / "store"
        self.idle = IdleWaiters()
        self._disk = disk
        self.actor = StorageActor.start(self.path, wake=lambda _queue: None, idle=self.idle)
        self.ask(Write(JobStore.add_node, (NODE, ["mail"])))

    def ask(self, request):
        return otp.call(self.actor, request, 10)

    def cut(self, then=lambda: None):
        """Cut the power; return the status of each job that is there afterwards, by its id."""
        self._disk.shut_down(LOSE_THE_LOG)
        then()
        if self.actor.is_alive():
            otp.stop(self.actor)
        self._disk.unmount()
        self._disk.mount()
        assert findings(self.path) == []
        with closing(open_environment(self.path)) as env:
            store = Store(env)
            return {id_: store.get(id_).state.status for id_ in store.ids(Filter())}


@pytest.fixture
def store(ext4_disk):
    return CutOff(ext4_disk)


# ---- the table ------------------------------------------------------------------------------


def rows():
    """The rows of the table: what is asked, and what is on disk before it is answered."""
    text = (ROOT / "docs" / "design.md").read_text()
    _, _, section = text.partition("### What is on disk before an answer\n")
    section, _, _ = section.partition("\n### ")
    cells = (line.strip("|").split("|") for line in section.splitlines() if line.startswith("| "))
    _, *found = ([cell.strip() for cell in each] for each in cells)
    return {asked: on_disk for asked, _, on_disk in found}


def test_the_table_has_every_verb_that_is_written_and_what_may_be_flushed_later():
    written, later = set(), set()
    for file in Path(ROOT, "antq_actors").rglob("*.py"):
        tree = ast.parse(file.read_text())
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for call in ast.walk(function):
                if isinstance(call, ast.Call):
                    text = ast.unparse(call)
                    written |= set(re.findall(r"\.write\(JobStore\.(\w+)", text))
                    written |= set(re.findall(r"^Write\(JobStore\.(\w+)", text))
                    written |= set(re.findall(r"\.write\((crons|cron_turns)\.", text))
                    steps = re.findall(r"\.write\((stepping)\.(\w+)", text)
                    written |= {name for each in steps for name in each}
                    if text.startswith("Write(") and "waits_for_disk" in text:
                        later.add(function.name)

    said = {
        on_disk: set(re.findall(r"`(\w+)`", " ".join(a for a, d in rows().items() if d == on_disk)))
        for on_disk in rows().values()
    }

    assert said["the change"] == written
    assert said["nothing"] == later == {"request_work", "request"}


# ---- what is answered -----------------------------------------------------------------------


def test_a_job_is_on_disk_when_its_enqueueing_is_answered(store):
    id_ = store.ask(a_job_of({}))

    assert store.cut() == {id_: Status.ENQUEUED}


def test_a_job_is_on_disk_when_the_next_commit_has_carried_it(store):
    reached, go_on = ([threading.Event() for _ in range(4)] for _ in range(2))

    def insert(number, jobs):
        reached[number].set()
        assert go_on[number].wait(30)
        return jobs.insert(a_new_job())

    until_flushed(store.actor)
    with ThreadPoolExecutor(4) as pool:
        asked = []
        for number in range(4):  # the thread of the first runs its turn itself
            asked.append(pool.submit(store.ask, Write(lambda jobs, n=number: insert(n, jobs))))
            if number:
                until(lambda: len(store.actor.cell.mailbox) == 1, "the message")
                go_on[number - 1].set()
            assert reached[number].wait(30)
        id_ = asked[1].result(30)
        assert not asked[2].done()

        found = store.cut(then=go_on[3].set)

    assert found[id_] is Status.ENQUEUED
    assert asked[3].exception(30) is not None


def test_a_job_that_was_claimed_by_its_insert_is_on_disk_when_its_enqueueing_is_answered(store):
    left = StandingClaim(store.actor.cell, "mail", NODE, lambda: 0, lambda: None)
    verb = partial(left.work, (), limit=1, withdrawn=None)
    store.ask(Write(verb, waits_for_disk=False, leaves=left))

    id_ = store.ask(a_job_of({}))

    assert [job.id for claim in left.served() for job in claim.jobs] == [id_]
    assert store.cut() == {id_: Status.RUNNING}


class Unflushed:
    """A store whose last commit, by whoever has no actor to flush it, is not on disk."""

    def __init__(self, disk):
        self.path = disk.path / "store"
        self._disk = disk
        self._env = open_environment(self.path)
        self._store = Store(self._env).has_nodes(NODE)

    def status(self, id_):
        return read(self._env, lambda reader: reader.get(id_)).state.status

    def a_waiting_job(self):
        return self._store.insert(a_new_job())

    def a_running_job(self):
        self._store.insert(a_new_job())
        (job,) = self._store.work("mail", (), node=NODE, limit=1, now=0).jobs
        return job

    def work(self, settlements=(), limit=1):
        def work(txn):
            store = JobStore(txn, self._env.tables)
            store.work("mail", settlements, node=NODE, limit=limit, now=0)
            store.flush()

        self._env.write(work, flushes=False)

    def flush(self):
        self._env.flush()

    def close(self):
        self._env.close()

    def cut(self):
        self._disk.shut_down(LOSE_THE_LOG)
        self.close()
        self._disk.unmount()
        self._disk.mount()
        assert findings(self.path) == []
        self._env = open_environment(self.path)
        self._store = Store(self._env)


@pytest.fixture
def unflushed(ext4_disk):
    store = Unflushed(ext4_disk)
    yield store
    store.close()


def test_a_claim_that_is_not_on_disk_leaves_its_job_waiting_in_a_whole_store(unflushed):
    id_ = unflushed.a_waiting_job()
    unflushed.work()
    assert unflushed.status(id_) is Status.RUNNING

    unflushed.cut()

    assert unflushed.status(id_) is Status.ENQUEUED


def test_a_completion_that_nobody_learnt_of_may_be_undone_and_its_job_runs_again(unflushed):
    job = unflushed.a_running_job()
    unflushed.work([Settlement(job.id, job.state.execution, Completed())])
    assert unflushed.status(job.id) is Status.COMPLETED

    unflushed.cut()

    assert unflushed.status(job.id) is Status.RUNNING


def test_what_another_process_has_read_stays_true_after_a_power_cut(unflushed, program):
    job = unflushed.a_running_job()
    unflushed.work([Settlement(job.id, job.state.execution, Completed())])

    other = program("-c", READ, unflushed.path, job.id)
    assert other.line() == "completed"
    other.kill()
    unflushed.cut()

    assert unflushed.status(job.id) is Status.COMPLETED


def read_it(store, id_):
    assert store.ask(Read(JobReader.get, (id_,))).state.status is Status.COMPLETED


def count_it(store, _id):
    assert store.ask(Read(JobReader.count, ([Status.COMPLETED],))) == 1


def wait_for_it(store, _id):
    waiter = IdleWaiter(None)
    store.idle.add(waiter)
    otp.cast(store.actor, LookForIdle())
    assert waiter.wait(30)


def be_refused_for_it(store, _id):
    with pytest.raises(AlreadyExists):
        store.ask(a_job_of({"n": 1}, unique=("n",), statuses=list(Status)))


def enqueue_after_it(store, _id):
    store.ask(a_job_of({"n": 2}, queue="other"))


def back_it_up(store, _id):
    maintenance.backup(store.path, store.path.parent / "backup")


def stop_the_actor(store, _id):
    otp.stop(store.actor)


@pytest.mark.parametrize(
    "learn",
    [
        read_it,
        count_it,
        wait_for_it,
        be_refused_for_it,
        enqueue_after_it,
        back_it_up,
        stop_the_actor,
    ],
)
def test_what_somebody_learnt_of_a_completed_job_stays_true_after_a_power_cut(store, learn):
    id_ = store.ask(a_job_of({"n": 1}, unique=("n",), statuses=list(Status)))
    (job,) = store.ask(a_claim(waits_for_disk=False)).jobs
    store.ask(a_completion(job, waits_for_disk=False))

    learn(store, id_)

    assert store.cut()[id_] is Status.COMPLETED


def test_a_flush_that_fails_is_reported_and_not_taken_for_done_by_the_next(unflushed, ext4_disk):
    unflushed.a_waiting_job()
    unflushed.work()
    ext4_disk.shut_down(LOSE_THE_LOG)

    for _ in range(2):
        with pytest.raises(StorageError, match="look whether it is there"):
            unflushed.flush()


# ---- what a disk may do before a flush ------------------------------------------------------


def pages(file):
    content = file.read_bytes()
    return [content[at : at + PAGE] for at in range(0, len(content), PAGE)]


def left_by_a_cut(chance, before, after, *, transaction):
    """The file as a power cut may leave it in the middle of a commit.

    Of the pages that the commit wrote some are there, in any order, but not its meta page.
    """
    left = [*before, *[bytes(PAGE)] * (len(after) - len(before))]
    for number, page in enumerate(after):
        if page != left[number] and number > 1 and chance.random() < 0.5:
            left[number] = page
    assert before[transaction % 2] != after[transaction % 2]
    return left


@pytest.mark.parametrize("seed", range(3))
def test_a_cut_in_the_middle_of_a_commit_finds_the_one_before_or_the_one_before_that(
    tmp_path, seed, request
):
    chance = Chance(seed)  # noqa: S311 - repeatable
    env = open_environment(tmp_path / "store")
    request.addfinalizer(env.close)
    file = tmp_path / "store" / "data.mdb"
    ids, images, kept = [], [], []
    jobs = Store(env)

    def change(txn):
        store = JobStore(txn, env.tables)
        for id_ in chance.sample(ids, len(ids) // 3):
            store.delete(id_)
            ids.remove(id_)
        ids.extend(
            store.insert(a_new_job({"noise": "x" * chance.choice([10, 6_000]), "n": n}))
            for n in range(chance.choice([1, 20]))
        )
        store.flush()
        return txn.id()

    for number in range(40):
        transaction = env.write(change, flushes=False)
        images.append(pages(file))
        kept.append(sorted(ids))
        if number < 2:
            continue
        two_before, before, after = images[-3:]
        left = left_by_a_cut(chance, before, after, transaction=transaction)
        is_meta_lost = chance.random() < 0.5  # that of the commit before, which is not flushed
        if is_meta_lost:
            left[(transaction - 1) % 2] = two_before[(transaction - 1) % 2]
        assert what_is_in(tmp_path / f"left-{number}", left) == kept[-3 if is_meta_lost else -2]
    assert jobs.ids(Filter(), size=10_000) == kept[-1]


def what_is_in(path, content):
    """The ids of the jobs in a store made of these pages, which is whole."""
    path.mkdir(0o700)
    (path / "data.mdb").write_bytes(b"".join(content))
    assert findings(path) == []
    with closing(open_environment(path)) as env:
        return Store(env).ids(Filter(), size=10_000)
