"""A stored job is enqueued once more: what its copy has, and when there is none."""

import pytest
from support.apps import Fails, Plain, settled

from antq_actors import (
    AlreadyExists,
    AntQ,
    Concurrency,
    JobNotFound,
    LimitReached,
    Status,
    Unique,
    Worker,
    Workflow,
)
from antq_actors.errors import DamagedRecord
from antq_actors.storage.jobs.copies import COPY_OF, enqueue_copy
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.open_stores import open_environment

KEY = "k" * 32


class Once(Worker, name="copies:Once", unique=Unique(args=["to"])):
    def perform(self, job): ...


class Full(
    Worker,
    name="copies:Full",
    concurrency=Concurrency(1, key="to", name="full", when_full="wait", max_waiting=1),
):
    def perform(self, job): ...


def copy(app, job):
    here = app.antq_here()
    return app.get_job(here.store.write(enqueue_copy, job.id, here.clock()).id)


@pytest.fixture
def still(tmp_path):
    with AntQ(tmp_path / "jobs").start(queues=False) as app:
        yield app


def keyed(path, key=KEY, **options):
    file = path.parent / f"{key[0]}.keys"
    file.write_text(f"{key}\n")
    file.chmod(0o600)
    return AntQ(path, signing_key_file=file, **options)


def encrypting(path, **options):
    file = path.parent / "encryption.keys"
    file.write_text(f"{KEY}\n")
    file.chmod(0o600)
    return AntQ(path, encryption_key_file=file, **options)


def test_copy_is_a_new_job_with_what_the_first_was_enqueued_with(app):
    app.queue("mail").pause()
    job = app.enqueue(
        Fails, {"n": 1, "to": "a"}, queue="mail", priority=3, max_attempts=4, meta={"tenant": "x"}
    )

    made = copy(app, job)

    assert made.id > job.id
    assert (made.worker, made.args, made.opts) == (job.worker, job.args, job.opts)
    assert (made.queue_name, made.priority, made.max_attempts) == ("mail", 3, 4)
    assert (made.status, made.attempts, made.errors) == (Status.ENQUEUED, 0, ())
    assert made.inserted_at >= job.inserted_at
    assert made.meta == {"tenant": "x", COPY_OF: str(job.id)}
    assert app.get_job(job.id).meta == {"tenant": "x"}


def test_copy_of_a_failed_job_is_performed(run):
    app = run()
    job = settled(app, app.enqueue(Fails), "failed")

    made = settled(app, copy(app, job), "failed")

    assert [each.attempt for each in made.errors] == [1]
    assert len(app.get_job(job.id).errors) == len(made.errors)


def test_copy_of_a_scheduled_job_is_due_at_once(still):
    job = still.enqueue(Plain, schedule_in=3600)

    made = copy(still, job)

    assert made.status is Status.ENQUEUED
    assert [each.status for each in still.history(made)] == [Status.ENQUEUED]
    assert still.get_job(job.id).status is Status.SCHEDULED


def test_copy_of_a_copy_knows_the_one_it_was_made_of(still):
    first = copy(still, still.enqueue(Plain))

    assert copy(still, first).meta == {COPY_OF: str(first.id)}


def test_meta_that_is_full_stays_as_it_is(still):
    meta = {"k": "x" * 4_095}

    assert copy(still, still.enqueue(Plain, meta=meta)).meta == meta


def test_large_arguments_are_copied(still):
    args = {"text": "x" * 100_000}

    assert copy(still, still.enqueue(Plain, args)).args == args


def test_unique_job_is_in_the_way_of_its_own_copy(still):
    job = still.enqueue(Once, {"to": "a"})

    with pytest.raises(AlreadyExists, match=f"job {job.id} "):
        copy(still, job)

    assert still.count_jobs() == 1


def test_copy_of_a_unique_job_that_has_ended_is_unique_as_well(still):
    job = still.cancel_job(still.enqueue(Once, {"to": "a"}))

    made = copy(still, job)

    with pytest.raises(AlreadyExists, match=f"job {made.id} "):
        still.enqueue(Once, {"to": "a"})


def test_copy_waits_for_the_same_limit(still):
    job = still.enqueue(Full, {"to": "a"})

    made = copy(still, job)

    assert still.limit("full").status("a").waiting == 2
    still.delete_job(made.id)
    assert still.limit("full").status("a").waiting == 1


def test_limit_that_refuses_new_jobs_refuses_copies(still):
    job = still.enqueue(Full, {"to": "a"})
    still.enqueue(Full, {"to": "a"})

    with pytest.raises(LimitReached):
        copy(still, job)

    assert still.count_jobs() == 2


def test_copy_of_a_node_is_outside_of_the_workflow(still):
    flow = Workflow("w")
    flow.add(Plain, {"n": 2}, name="b", after=flow.add(Plain, {"n": 1}, name="a"))
    started = still.start_workflow(flow)
    _, second = started.jobs()

    made = copy(still, second)

    assert (made.args, made.status) == ({"n": 2}, Status.ENQUEUED)
    assert len(started.jobs()) == 2
    still.delete_job(made.id)
    assert still.verify() == []


def test_copy_of_a_member_is_not_counted_in_its_batch(still):
    batch = still.batch("import")
    job = batch.enqueue(Plain)

    copy(still, job)

    assert batch.status().total == 1
    assert still.verify() == []


def test_job_that_is_not_there_has_no_copy(still):
    job = still.enqueue(Plain)
    still.delete_job(job)

    with pytest.raises(JobNotFound):
        copy(still, job)


# ---- signed and encrypted ---------------------------------------------------------------------


def test_copy_of_a_signed_job_is_signed_and_runs(tmp_path):
    with keyed(tmp_path / "jobs") as app:
        job = settled(app, app.enqueue(Plain, {"n": 1}))

        assert settled(app, copy(app, job)).status is Status.COMPLETED


def test_what_nobody_signed_is_not_signed_by_being_copied(tmp_path):
    with AntQ(tmp_path / "jobs").start(queues=False) as planting:
        job = planting.enqueue(Plain, {"n": 1})

    with keyed(tmp_path / "jobs").start(queues=False) as app:
        with pytest.raises(DamagedRecord, match="not signed"):
            copy(app, job)
        assert app.count_jobs() == 1


def test_process_without_the_key_copies_what_is_signed_as_it_is(tmp_path):
    with keyed(tmp_path / "jobs").start(queues=False) as app:
        job = app.enqueue(Plain, {"n": 1})
    with AntQ(tmp_path / "jobs").start(queues=False) as keyless:
        made = copy(keyless, job)
    assert made.args == {"n": 1}

    with keyed(tmp_path / "jobs") as app:
        assert settled(app, made).status is Status.COMPLETED


def test_node_that_cannot_be_signed_anew_is_refused(tmp_path):
    flow = Workflow("w")
    flow.add(Plain)
    with keyed(tmp_path / "jobs").start(queues=False) as app:
        (job,) = app.start_workflow(flow).jobs()
    with AntQ(tmp_path / "jobs").start(queues=False) as keyless:
        with pytest.raises(DamagedRecord, match="start this application with the signing key"):
            copy(keyless, job)
        assert keyless.count_jobs() == 1


def test_copy_of_an_encrypted_job_is_encrypted_anew_and_runs(tmp_path):
    with encrypting(tmp_path / "jobs") as app:
        job = settled(app, app.enqueue(Plain, {"n": 1}, meta={"tenant": "x"}))
        made = settled(app, copy(app, job))

        assert made.status is Status.COMPLETED
        assert made.args == {"n": 1}
        assert made.meta == {"tenant": "x", COPY_OF: str(job.id)}
    with AntQ(tmp_path / "jobs").start(queues=False) as keyless:
        assert repr(keyless.get_job(made.id).args) == "<encrypted>"


def test_process_without_the_key_copies_what_is_encrypted_as_it_is(tmp_path):
    with encrypting(tmp_path / "jobs").start(queues=False) as app:
        job = app.enqueue(Once, {"to": "a"}, meta={"tenant": "x"})
        app.cancel_job(job)
    with AntQ(tmp_path / "jobs").start(queues=False) as keyless:
        made = copy(keyless, job)
        with pytest.raises(AlreadyExists):
            copy(keyless, job)

    with encrypting(tmp_path / "jobs") as app:
        assert settled(app, made).status is Status.COMPLETED
        assert app.get_job(made.id).meta == {"tenant": "x"}


def test_damaged_job_has_no_copy(tmp_path):
    with AntQ(tmp_path / "jobs").start(queues=False) as app:
        job = app.enqueue(Plain, {"n": 1})
    env = open_environment(tmp_path / "jobs")

    def damage(txn):
        key = keys.job_key(job.id)
        record = txn.get(key, db=env.tables.jobs)
        txn.put(key, record[:-1] + bytes([record[-1] ^ 1]), db=env.tables.jobs)

    env.write(damage)
    env.close()
    with AntQ(tmp_path / "jobs").start(queues=False) as app:
        with pytest.raises(DamagedRecord):
            copy(app, job)
        assert app.count_jobs() == 1
