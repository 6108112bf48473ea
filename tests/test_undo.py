"""What was done by hand is undone, as users have it."""

import logging
from random import Random as Chance

import pytest
from msgspec.structs import replace
from support.apps import Fails, Plain, settled, until
from support.controlled_jobs import ControlledJob, ControlledJobs

import antq_actors
from antq_actors import (
    AntQ,
    Concurrency,
    NotUndoable,
    RateLimit,
    Status,
    Worker,
)
from antq_actors.testing import TestClock

DOES_AND_HANDS_OVER = """
import sys
from antq_actors import AntQ
from support.apps import Plain
with AntQ(sys.argv[1], start_queues=False) as app:
    queue, tokens = app.queue("default"), []
    with app.antq_acting("ada", "pause", "queue default") as pause:
        queue.pause("ada")
    with app.antq_acting("ada", "concurrency", "queue default") as slots:
        queue.set_concurrency(8)
    job = app.enqueue(Plain, queue="default")
    with app.antq_acting("ada", "cancel", "job 1") as cancel:
        app.cancel_job(job)
print(pause.undo, slots.undo, cancel.undo, flush=True)
"""


class Unique(Worker, unique=antq_actors.Unique(args=["n"])):
    def perform(self, job):
        pass


class OneByOne(Worker, concurrency=Concurrency(1, key="name")):
    def perform(self, job):
        pass


class Strict(Worker, concurrency=Concurrency(1, key="name", order="strict")):
    def perform(self, job):
        pass


class Rated(Worker, rate_limit=RateLimit(3, per=3_600)):
    def perform(self, job):
        pass


class Newest(ControlledJob, concurrency=Concurrency(1, when_full="replace")):
    """Replaces those that wait, while one runs."""


@pytest.fixture
def clock():
    return TestClock()


@pytest.fixture(params=["volatile", "durable"])
def app(request, tmp_path, clock):
    path = None if request.param == "volatile" else tmp_path / "store"
    with AntQ(path, queues={"default": 2}, clock=clock) as app:
        app.queue("default").pause()
        yield app
        assert app.verify() == []


@pytest.fixture
def controlled(app):
    jobs = ControlledJobs(app)
    yield jobs
    jobs.release_all()


def acting(app, verb="cancel", target="job 1"):
    return app.antq_acting("ada", verb, target)


def pause_of(app, name="default"):
    return app.antq_here().store.read(lambda reader: reader._meta.pause_of(name))


def slots_of(app, name="default"):
    (node,) = app.nodes()
    return app.antq_here().store.node_reports([node.number])[node.number][name].concurrency


def as_it_was(*jobs):
    """Return all of jobs but when they were changed last."""
    return [replace(job, updated_at=job.inserted_at) for job in jobs]


def cancelled(app, *jobs):
    with acting(app) as block:
        for job in jobs:
            app.cancel_job(job)
    return block.undo


def newest(app, controlled, name):
    args = {"controller": controlled._name, "name": str(name), "wait": "interruptible"}
    return app.enqueue(Newest, args)


# ---- jobs ---------------------------------------------------------------------------------------


def test_a_cancelled_job_is_what_it_was_with_when_it_is_due(app, clock):
    later = app.enqueue(Plain, schedule_in=3_600)
    now = app.enqueue(Plain, priority=3)
    before = as_it_was(*app.list_jobs())
    clock.advance(5)

    tokens = [cancelled(app, later), cancelled(app, now)]
    clock.advance(9)
    entries = [app.antq_undo(token, "bob") for token in tokens]

    assert as_it_was(*app.list_jobs()) == before
    assert [(each.name, each.verb, each.target, each.count) for each in entries] == [
        ("bob", "undo", "job 1", 1)
    ] * 2
    assert app.audit()[:2] == entries[::-1]
    assert [each.cause for each in app.history(later)] == [None, "cancel", "undo"]


def test_a_retrying_job_comes_back_for_the_attempt_that_it_waited_for(app):
    app.queue("default").resume()
    job = app.enqueue(Fails, max_attempts=3)
    until(lambda: app.get_job(job.id).status is Status.RETRYING, "its first failure")
    before = as_it_was(app.get_job(job.id))

    app.antq_undo(cancelled(app, job))

    assert as_it_was(app.get_job(job.id)) == before


def test_jobs_keep_their_places_in_the_order_of_claims(app):
    ids = app.enqueue_many(Plain, [{"n": n} for n in range(5)])

    app.antq_undo(cancelled(app, ids[1], ids[3]))

    assert [each.id for each in app.queue("default").preview()] == ids


def test_jobs_with_limits_come_back_to_their_gates(app):
    names = ["a", "a", "b", "a", "b"]
    ids = app.enqueue_many(OneByOne, [{"name": name} for name in names])

    app.antq_undo(cancelled(app, ids[0], ids[3]))

    app.queue("default").resume()
    assert all(settled(app, app.get_job(id_)).status is Status.COMPLETED for id_ in ids)


@pytest.mark.parametrize("seed", range(25))
def test_the_order_of_claims_is_what_it_was_whatever_was_cancelled(seed):
    chance = Chance(seed)  # noqa: S311 - no secret
    with AntQ(queues={"default": 4}) as app:
        queue = app.queue("default")
        queue.pause()
        ids = []
        for _ in range(14):
            worker = chance.choice([OneByOne, Strict, Rated, Plain])
            args = {} if worker in (Rated, Plain) else {"name": chance.choice("ab")}
            due, priority = chance.choice([0, 0, 3_600]), chance.choice([-1, 0, 0, 1])
            ids.append(app.enqueue(worker, args, schedule_in=due, priority=priority).id)
        before = queue.preview(20)

        app.antq_undo(cancelled(app, *chance.sample(ids, chance.choice([1, 2, 4, 8]))))

        assert queue.preview(20) == before
        assert app.verify() == []


def test_a_job_that_a_step_let_through_is_let_through_still(app, controlled):
    app.queue("default").set_concurrency(1)
    blocker, job = controlled.jobs(["a", "b"])
    app.queue("default").step(2)
    controlled.begun()

    app.antq_undo(cancelled(app, job))

    controlled.release_all()
    assert settled(app, job).status is Status.COMPLETED
    assert settled(app, blocker).status is Status.COMPLETED


def test_many_jobs_are_undone_together(app):
    ids = app.enqueue_many(Plain, [{"n": n} for n in range(1_200)], schedule_in=60)
    before = as_it_was(*app.list_jobs())

    with acting(app, "bulk cancel", "queue:default") as block:
        app.cancel_jobs(queue="default")
    entry = app.antq_undo(block.undo)

    assert (entry.count, entry.target) == (1_200, "queue:default")
    assert as_it_was(*app.list_jobs()) == before
    assert app.count_jobs(status=Status.SCHEDULED) == len(ids)


def test_if_one_job_has_changed_since_none_is_undone(app):
    jobs = [app.enqueue(Plain) for _ in range(3)]
    token = cancelled(app, *jobs)
    app.retry_job(jobs[2])
    app.cancel_job(jobs[2])

    with pytest.raises(NotUndoable, match=f"job {jobs[2].id} was changed since"):
        app.antq_undo(token)

    assert app.count_jobs(status=Status.CANCELLED) == 3
    assert [each.verb for each in app.audit()] == ["cancel"]


def test_a_job_that_is_gone_does_not_come_back(app):
    job = app.enqueue(Plain)
    token = cancelled(app, job)
    app.delete_job(job)

    with pytest.raises(NotUndoable, match="was deleted since"):
        app.antq_undo(token)


def test_a_unique_job_does_not_come_back_beside_its_like(app):
    job = app.enqueue(Unique, {"n": 1})
    token = cancelled(app, job)
    app.enqueue(Unique, {"n": 1})

    with pytest.raises(NotUndoable, match="is unique"):
        app.antq_undo(token)

    assert app.get_job(job.id).status is Status.CANCELLED


def test_a_job_does_not_come_back_to_replace_others(app, controlled):
    app.queue("default").resume()
    running = newest(app, controlled, 0)
    controlled.begun()
    waiting = newest(app, controlled, 1)
    token = cancelled(app, waiting)
    newer = newest(app, controlled, 2)

    with pytest.raises(NotUndoable, match="its limit is full"):
        app.antq_undo(token)

    controlled.release_all()
    assert settled(app, newer).status is settled(app, running).status is Status.COMPLETED


def test_a_running_job_that_is_cancelled_cannot_be_undone(app, controlled):
    app.queue("default").resume()
    running, waiting = controlled.jobs(["a", "b"])
    controlled.begun()

    assert cancelled(app, waiting, running) is None


def test_jobs_of_batches_and_those_others_wait_for_cannot_be_undone(app):
    with app.batch("import") as batch:
        member = batch.enqueue(Plain)

    assert cancelled(app, member) is None


@pytest.mark.parametrize("verb", ["delete", "retry"])
def test_other_verbs_cannot_be_undone(app, verb):
    job = app.enqueue(Plain)
    app.cancel_job(job)
    with acting(app, verb) as block:
        getattr(app, f"{verb}_job")(job)

    assert block.count == 1
    assert block.undo is None


def test_an_action_of_which_a_part_cannot_be_undone_cannot_be_undone(app):
    first, second = app.enqueue(Plain), app.enqueue(Plain)

    with acting(app) as block:
        app.cancel_job(first)
        token = block.undo
        app.delete_job(second)
        app.queue("default").resume()

    assert block.undo is None
    with pytest.raises(NotUndoable):
        app.antq_undo(token)


def test_what_is_noted_beside_the_store_cannot_be_undone(app):
    with acting(app) as block:
        app.cancel_job(app.enqueue(Plain))
        block.note()

    assert block.undo is None


# ---- queues -------------------------------------------------------------------------------------


def test_a_pause_is_undone(app):
    queue = app.queue("default")
    queue.resume()
    with acting(app, "pause", "queue default") as block:
        queue.pause("ada", "deploy")

    app.antq_undo(block.undo)

    assert not queue.status().paused
    assert settled(app, app.enqueue(Plain)).status is Status.COMPLETED


def test_a_pause_in_place_of_another_gives_way_to_that(app, clock):
    queue = app.queue("default")
    queue.pause("bob", "an incident")
    before = pause_of(app)
    clock.advance(3)
    with acting(app, "pause", "queue default") as block:
        queue.pause("ada", "deploy")

    app.antq_undo(block.undo)

    assert pause_of(app) == before


def test_a_resume_is_undone_with_who_paused_why_and_when(app, clock, controlled):
    queue = app.queue("default")
    queue.pause("bob", "an incident")
    before = pause_of(app)
    clock.advance(60)
    queue.set_concurrency(1)
    jobs = controlled.jobs(["a", "b", "c"])
    queue.step(2)
    controlled.begun()
    with acting(app, "resume", "queue default") as block:
        queue.resume()

    app.antq_undo(block.undo)

    assert pause_of(app) == before
    controlled.release_all()
    assert settled(app, jobs[1]).status is Status.COMPLETED
    assert [each.id for each in queue.preview()] == [jobs[2].id]


@pytest.mark.parametrize("does", ["pause", "resume"])
def test_a_queue_that_was_changed_since_stays_as_it_is(app, does):
    queue = app.queue("default")
    if does == "pause":
        queue.resume()
    with acting(app, does, "queue default") as block:
        getattr(queue, does)()
    queue.resume() if does == "pause" else queue.pause("bob")
    before = pause_of(app)

    with pytest.raises(NotUndoable, match="queue 'default' was changed again"):
        app.antq_undo(block.undo)

    assert pause_of(app) == before


def test_a_concurrency_is_undone_on_this_node(app):
    queue = app.queue("default")
    with acting(app, "concurrency", "queue default") as block:
        queue.set_concurrency(7)
    until(lambda: slots_of(app) == 7, "the command")

    app.antq_undo(block.undo)

    until(lambda: slots_of(app) == 2, "the command back")


def test_a_concurrency_that_was_changed_since_stays_as_it_is(app):
    queue = app.queue("default")
    with acting(app, "concurrency", "queue default") as block:
        queue.set_concurrency(7)
    until(lambda: slots_of(app) == 7, "the command")
    queue.set_concurrency(5)

    with pytest.raises(NotUndoable, match="queue 'default' was changed again"):
        app.antq_undo(block.undo)

    assert slots_of(app) == 5


def test_of_two_changes_of_a_queue_the_later_is_undone_first(app):
    queue, tokens = app.queue("default"), []
    for n in (7, 9):
        with acting(app, "concurrency", "queue default") as block:
            queue.set_concurrency(n)
        tokens.append(block.undo)
        until(lambda: slots_of(app) == n, "the command")  # noqa: B023 - it is called at once

    with pytest.raises(NotUndoable):
        app.antq_undo(tokens[0])
    app.antq_undo(tokens[1])
    until(lambda: slots_of(app) == 7, "the first number")
    app.antq_undo(tokens[0])

    until(lambda: slots_of(app) == 2, "the number that it had")


@pytest.mark.parametrize("before", [None, 4])
def test_a_concurrency_of_all_nodes_is_undone(app, before):
    queue, store = app.queue("default"), app.antq_here().store
    if before is not None:
        queue.set_global_concurrency(before)
    limits = store.read(lambda reader: reader._meta.queue_limits("default"))
    with acting(app, "concurrency", "queue default") as block:
        queue.set_global_concurrency(1)

    app.antq_undo(block.undo)

    assert store.read(lambda reader: reader._meta.queue_limits("default")) == limits


# ---- tokens -------------------------------------------------------------------------------------


def test_an_action_is_undone_once(app):
    token = cancelled(app, app.enqueue(Plain))
    app.antq_undo(token)

    with pytest.raises(NotUndoable, match="nothing to undo any more"):
        app.antq_undo(token)


def test_an_action_is_undone_within_ten_seconds(app, clock):
    job = app.enqueue(Plain)
    token = cancelled(app, job)
    clock.advance(10.001)

    with pytest.raises(NotUndoable, match="within 10 seconds"):
        app.antq_undo(token)

    assert app.get_job(job.id).status is Status.CANCELLED


@pytest.mark.parametrize("token", ["", "x", "x" * 10_000, "\udcff", "a\x00b", "é" * 90])
def test_no_other_text_undoes_anything(app, token):
    cancelled(app, app.enqueue(Plain))

    with pytest.raises(NotUndoable):
        app.antq_undo(token)


def test_a_token_is_text(app):
    with pytest.raises(TypeError):
        app.antq_undo(None)


def test_rows_of_what_is_too_old_go_with_the_next_action(app, clock):
    for _ in range(3):
        cancelled(app, *[app.enqueue(Plain) for _ in range(5)])
        clock.advance(11)
    with acting(app, "crash") as block:
        block.note()
    cancelled(app, app.enqueue(Plain))

    store = app.antq_here().store
    rows = store.read(
        lambda reader: reader._txn.stat(reader._tables.further(reader._txn, "audit"))["entries"]
    )
    assert rows == 5 + 2


def test_an_undo_is_a_record_of_logging(app, caplog):
    caplog.set_level(logging.INFO, "antq_actors.audit")
    app.antq_undo(cancelled(app, app.enqueue(Plain)), "bob")

    assert caplog.records[-1].getMessage() == (
        "undo, target 'job 1', count 1, by 'bob', reason None"
    )


def test_another_process_undoes_what_one_has_done(program, tmp_path):
    path = tmp_path / "store"
    with AntQ(path, queues={"default": 3}) as app:
        other = program("-c", DOES_AND_HANDS_OVER, path)
        tokens = other.line().split()
        until(lambda: slots_of(app) == 8, "the command")

        for token in tokens[::-1]:
            app.antq_undo(token)

        until(lambda: slots_of(app) == 3, "the command back")
        (job,) = app.list_jobs()
        assert settled(app, job).status is Status.COMPLETED
        assert other.end() == (0, "", "")
