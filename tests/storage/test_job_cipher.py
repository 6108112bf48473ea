"""What comes of an encrypted job is its own: it cannot be given to another job or step."""

import dataclasses

import msgspec
import pytest
from msgspec.structs import replace
from support.apps import settled
from support.stored_jobs import a_new_job

from antq_actors import AntQ, Concurrency, StorageError, Unique, Worker, maintenance
from antq_actors.jobs.control import checked_progress
from antq_actors.jobs.state import JobFlow, ResultRule
from antq_actors.jobs.steps import ListSteps
from antq_actors.storage.format import encoding
from antq_actors.storage.format.cipher import Cipher
from antq_actors.storage.format.encoding import Signer
from antq_actors.storage.jobs import job_store
from antq_actors.storage.jobs.progress import Reported
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.open_stores import open_environment

KEY = "k" * 32


class Keeps(Worker, name="bound:Keeps", result=True, max_attempts=2, retry_delay=0):
    def perform(self, job):
        to = job.args["to"]
        first = job.step(f"first of {to}", lambda: f"value of {to}")
        job.step(f"second of {to}", lambda: f"other value of {to}")
        before = job.checkpointed
        job.checkpoint(f"checkpoint of {to}", every=0)
        if job.attempts == 1:
            raise ValueError(f"cannot send to {to}")
        return [first, before]


class Failing(Keeps, name="bound:Failing", max_attempts=1, result=False):
    def perform(self, job):
        super().perform(job)
        raise ValueError("again")


class Waits(
    Worker,
    name="bound:Waits",
    timeout=60,
    unique=Unique(args=["to"]),
    concurrency=Concurrency(1, key="to"),
):
    def perform(self, job): ...


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs"


@pytest.fixture
def app(path, tmp_path):
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o600)

    def make(*, runs=False, at=path):
        return AntQ(at, start_queues=runs, encryption_key_file=file)

    return make


@pytest.fixture
def jobs(app):
    """Two jobs of one worker, which have failed, been retried and completed."""
    with app(runs=True) as antq:
        return [settled(antq, Keeps.perform_async({"to": to})) for to in ("ann", "bob")]


def run(env, count):
    """Return so many encrypted jobs that run on node 1."""

    def work(store):
        store.add_node(1)
        for _ in range(count):
            new = a_new_job()
            store.insert(new._replace(spec=replace(new.spec, encrypted=True)))
        return store.work("mail", [], node=1, limit=count, now=1).jobs

    return job_store.write(env, work)


def reported(env, job, progress):
    given = Reported(job.id, job.state.execution, progress)
    job_store.write(env, lambda store: store.set_progress([given]))


def stored(env, *jobs):
    executions = [(job.id, job.state.execution) for job in jobs]
    return job_store.read(env, lambda reader: reader.progress_of(executions))


def change(path, table, work):
    """Change a table of a store as who can write to it, but has no key."""
    env = open_environment(path)

    def write(txn):
        opened = getattr(env.tables, table, None) or env.tables.further(txn, table)
        work(txn.cursor(opened))

    env.write(write)
    env.close()


def give_error(first, second):
    """Give the job *first* the errors of the job *second*."""

    def work(cursor):
        for key, row in list(cursor.iternext()):
            if key.startswith(keys.job_key(second.id)):
                cursor.put(keys.job_key(first.id) + key[8:], row)

    return work


def test_the_error_of_another_job_is_not_shown(app, path, jobs):
    first, second = jobs
    change(path, "errors", give_error(first, second))

    with app() as antq:
        assert [error.error for error in antq.get_job(first.id).errors] == ["<encrypted>"]
        assert [error.error for error in antq.get_job(second.id).errors] == ["cannot send to bob"]


def test_the_result_of_another_job_is_refused(app, path, jobs):
    first, second = jobs

    def give_result(cursor):
        row = cursor.get(keys.job_key(second.id))
        head, contents = row[:8], encoding.contents(row[8:])
        own = contents.replace(keys.job_key(second.id), keys.job_key(first.id), 1)
        cursor.put(keys.job_key(first.id), head + Signer().sign(own))

    change(path, "results", give_result)

    with app() as antq:
        with pytest.raises(StorageError, match="of another job"):
            antq.result(first)
        assert antq.result(second) == ["value of bob", "checkpoint of bob"]


def kept_by(first, place, second, other, *, with_name=False):
    """Give the job *first* the value that *second* has kept at the *other* place."""

    def work(cursor):
        row = encoding.contents(cursor.get(keys.job_key(second.id) + other))
        _, _, at, value, name = msgspec.msgpack.decode(row)
        if not with_name:
            name = name_of(cursor.get(keys.job_key(first.id) + place))
        own = msgspec.msgpack.encode((first.id, place, at, value, name))
        cursor.put(keys.job_key(first.id) + place, Signer().sign(own))

    return work


def name_of(row):
    return msgspec.msgpack.decode(encoding.contents(row))[4]


def a_step(number):
    return b"\1" + number.to_bytes(4)


@pytest.mark.parametrize("of_another_job", [True, False])
def test_a_step_of_another_job_or_number_is_not_given(app, path, of_another_job):
    with app(runs=True) as antq:
        first, second = (Failing.perform_async({"to": to}) for to in ("ann", "bob"))
        for job in (first, second):
            settled(antq, job, "failed")
    giver, other = (second, a_step(0)) if of_another_job else (first, a_step(1))
    change(path, "steps", kept_by(first, a_step(0), giver, other))

    with app(runs=True) as antq:
        antq.retry_job(first)
        failed = settled(antq, first, "failed")

    assert "of another job" in failed.errors[0].error


def test_the_name_of_the_step_of_another_job_is_not_shown(app, path):
    with app(runs=True) as antq:
        first, second = (Failing.perform_async({"to": to}) for to in ("ann", "bob"))
        for job in (first, second):
            settled(antq, job, "failed")
    change(path, "steps", kept_by(first, a_step(0), second, a_step(0), with_name=True))

    with app() as antq:
        names = [step.name for step in antq.antq_steps(ListSteps(first.id))]

    assert names == ["<encrypted>", "second of ann"]


def test_the_checkpoint_of_another_job_is_not_given(app, path):
    with app(runs=True) as antq:
        first, second = (Failing.perform_async({"to": to}) for to in ("ann", "bob"))
        for job in (first, second):
            settled(antq, job, "failed")
    change(path, "steps", kept_by(first, b"\0", second, b"\0"))

    with app(runs=True) as antq:
        antq.retry_job(first)
        failed = settled(antq, first, "failed")

    assert "of another job" in failed.errors[0].error


def test_the_note_of_another_job_is_not_shown(env):
    env.tables = dataclasses.replace(env.tables, cipher=Cipher([KEY.encode()]))
    first, second = run(env, 2)
    for job, note in ((first, "of ann"), (second, "of bob")):
        reported(env, job, checked_progress(0.5, note))

    env.write(lambda txn: swap(txn.cursor(env.tables.further(txn, "progress")), first, second))

    notes = {id_: each.note for id_, each in stored(env, first, second).items()}
    assert notes == {first.id: "<encrypted>", second.id: "<encrypted>"}


def swap(cursor, first, second):
    """Give each of two jobs the row of the other."""
    found = [cursor.get(keys.job_key(job.id)) for job in (second, first)]
    for job, row in zip((first, second), found, strict=True):
        cursor.put(keys.job_key(job.id), row)


@pytest.mark.parametrize(
    "changes",
    [
        {"timeout": 3_600.0},
        {"unique_statuses": ()},
        {"flow": JobFlow(result=ResultRule(1_000))},
        {"flow": None},
    ],
    ids=["timeout", "uniqueness", "result", "limit"],
)
def test_a_job_of_which_an_option_was_changed_is_refused(app, path, changes):
    with app() as antq:
        job = Waits.perform_async({"to": "ann"})
        assert antq.get_job(job.id).args == {"to": "ann"}

    def work(cursor):
        record = encoding.decode_job(cursor.get(keys.job_key(job.id)))
        spec = encoding.decode_spec(encoding.contents(record.spec))
        signed = Signer().sign(encoding.encode_spec(replace(spec, **changes)))
        record = record._replace(spec=signed)
        cursor.put(keys.job_key(job.id), encoding.encode_job(*record))

    change(path, "jobs", work)

    with app(runs=True) as antq:
        refused = settled(antq, job, "failed")
        assert "of other options" in refused.errors[0].error
        assert refused.attempts == 0


def test_what_came_of_a_job_goes_with_it_through_an_import_without_the_key(app, jobs, tmp_path):
    with AntQ(tmp_path / "jobs", start_queues=False) as source:
        lines = list(source.export_jobs())
    with AntQ(tmp_path / "other", start_queues=False) as target:
        target.enqueue(Waits, {"to": "zoe"})  # so that others get other ids
        assert target.import_jobs(lines) == (2, 0)
    with app(at=tmp_path / "other") as antq:
        first, second = antq.list_jobs(worker=Keeps)

        assert [first.id, second.id] != [job.id for job in jobs]
        assert [error.error for error in first.errors] == ["cannot send to ann"]
        assert antq.result(second) == ["value of bob", "checkpoint of bob"]
    assert maintenance.verify(tmp_path / "other") == []
