"""What is on disk as a change is answered, of each kind: the power is cut at that moment.

The rows that say "the change" in the table of docs/design.md, by what users call.
"""

import threading
from datetime import timedelta
from typing import ClassVar

import pytest
from disks import LOSE_THE_LOG
from support.apps import Plain, settled
from support.findings import findings

from antq_actors import AntQ, Concurrency, Cron, Status, Worker, Workflow

MAIL, STEPPED = "mail", "stepped"


class Limited(Worker, limits=[Concurrency(3, name="acknowledged")]):
    def perform(self, job): ...


class Steps(Worker, queue=STEPPED):
    """Has a step, and waits until nothing more of it can be stored."""

    stored, power_is_cut = threading.Event(), threading.Event()
    taken: ClassVar[list[int]] = []

    def perform(self, job):
        job.step("one", self.taken.append, job.id)
        self.stored.set()
        self.power_is_cut.wait()


CONFIGURATION = {
    "queues": {"default": 1, MAIL: 1, STEPPED: 1},
    "crons": [Cron("0 3 * * *", worker=Plain, name="nightly", queue=MAIL)],
}
LATER = {"schedule_in": timedelta(hours=1)}


# ---- each does something, and returns what must be true of the store after the cut ----------


def insert(app):
    id_ = app.enqueue(Plain, {}, **LATER).id
    return lambda after: after.get_job(id_).status is Status.SCHEDULED


def insert_many(app):
    ids = app.enqueue_many(Plain, [{"n": 1}, {"n": 2}, {"n": 3}], **LATER)
    return lambda after: ids == [job.id for job in after.list_jobs()]


def cancel(app):
    id_ = app.enqueue(Plain, {}, **LATER).id
    app.cancel_job(id_)
    return lambda after: after.get_job(id_).status is Status.CANCELLED


def retry(app):
    id_ = app.enqueue(Plain, {}, **LATER).id
    app.cancel_job(id_)
    app.retry_job(id_)
    return lambda after: after.get_job(id_).status is not Status.CANCELLED


def delete(app):
    id_ = app.enqueue(Plain, {}, **LATER).id
    app.delete_job(id_)
    return lambda after: after.list_jobs() == []


def pause_a_queue(app):
    app.queue(MAIL).pause()
    app.queue(MAIL).resume()
    app.queue(MAIL).pause(by="ada")
    return lambda after: after.queue(MAIL).status().paused


def cancel_a_page(app):
    app.enqueue_many(Plain, [{"n": 1}, {"n": 2}, {"n": 3}], **LATER)
    app.cancel_jobs(worker=Plain)
    return lambda after: after.count_jobs(status=Status.CANCELLED) == 3


def set_a_limit(app):
    app.enqueue(Limited, {}, **LATER)
    app.limit("acknowledged").set(limit=7)
    return lambda after: 7 in [limit.limit for limit in after.limits()]


def act_by_hand(app):
    id_ = app.enqueue(Plain, {}, **LATER).id
    with app.antq_acting("ada", "cancel", f"job {id_}"):
        app.cancel_job(id_)
    return lambda after: [entry.name for entry in after.audit()] == ["ada"]


def add_a_breakpoint(app):
    app.queue(MAIL).add_breakpoint(worker=Plain)
    return lambda after: len(after.queue(MAIL).breakpoints()) == 1


def close_a_batch(app):
    with app.batch("letters") as batch:
        batch.enqueue(Plain, {}, **LATER)
    return lambda after: after.get_batch(batch.id).status().closed


def start_a_workflow(app):
    workflow = Workflow("order")
    workflow.add(Plain, {}, name="pay", **LATER)
    id_ = app.start_workflow(workflow).id
    return lambda after: [run.id for run in after.workflows()] == [id_]


def keep_a_step(app):
    id_ = app.enqueue(Steps, {}).id
    assert Steps.stored.wait(80)

    def is_not_taken_again(after):
        settled(after, after.get_job(id_), Status.COMPLETED)
        return Steps.taken == [id_]

    return is_not_taken_again


def pause_a_cron(app):
    app.cron("nightly").pause()
    return lambda after: after.cron("nightly").info().paused


def stop(app):
    id_ = app.enqueue(Plain, {}, queue=STEPPED).id
    app.stop()
    return lambda after: after.get_job(id_).status is Status.COMPLETED


@pytest.mark.parametrize(
    "change",
    [
        insert,
        insert_many,
        cancel,
        retry,
        delete,
        pause_a_queue,
        cancel_a_page,
        set_a_limit,
        act_by_hand,
        add_a_breakpoint,
        close_a_batch,
        start_a_workflow,
        keep_a_step,
        pause_a_cron,
        stop,
    ],
)
def test_a_change_is_on_disk_when_it_is_answered(ext4_disk, change):
    path = ext4_disk.path / "store"
    app = AntQ(path, **CONFIGURATION).start()
    is_true = change(app)

    ext4_disk.shut_down(LOSE_THE_LOG)

    Steps.power_is_cut.set()
    app.stop(timeout=0)
    ext4_disk.unmount()
    ext4_disk.mount()
    assert findings(path) == []
    with AntQ(path, **CONFIGURATION) as after:
        assert is_true(after)
