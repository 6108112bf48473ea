"""What is done by hand, and the audit of it, as users have it."""

import asyncio
import logging

import pytest
from support.apps import Plain, settled

from antq_actors import AntQ, JobNotFound, NotCancellable, Status
from antq_actors.insights import Insights


@pytest.fixture(params=["volatile", "durable"])
def app(request, tmp_path):
    path = None if request.param == "volatile" else tmp_path / "store"
    with AntQ(path, queues={"default": 2}) as app:
        app.queue("default").pause()
        yield app


def told(app):
    return [(each.name, each.verb, each.target, each.count, each.reason) for each in app.audit()]


def test_an_action_is_one_entry_with_who_did_what_to_what_and_why(app):
    job = app.enqueue(Plain)

    with app.antq_acting("ada", "cancel", f"job {job.id}", "wrong customer") as acting:
        app.cancel_job(job)

    entry = app.audit()[0]
    assert told(app) == [("ada", "cancel", f"job {job.id}", 1, "wrong customer")]
    assert app.get_job(job.id).ended_at <= entry.at
    assert acting.count == 1
    assert asyncio.run(app.aaudit()) == app.audit()


def test_what_the_application_itself_does_is_no_entry(app):
    app.cancel_job(app.enqueue(Plain))
    app.queue("default").resume()

    assert app.audit() == []


def test_what_was_refused_or_changes_nothing_is_no_entry(app):
    job = app.enqueue(Plain)
    app.cancel_job(job)
    with app.antq_acting("ada", "cancel", f"job {job.id}"):
        app.cancel_job(job)
    with pytest.raises(JobNotFound), app.antq_acting("ada", "delete", "job 4711"):
        app.delete_job(4711)
    app.retry_job(job)
    app.queue("default").resume()
    assert settled(app, app.get_job(job.id)).status is Status.COMPLETED
    with pytest.raises(NotCancellable), app.antq_acting("ada", "cancel", f"job {job.id}"):
        app.cancel_job(job)
    with app.antq_acting("ada", "resume", "queue default"):
        app.queue("default").resume()

    assert app.audit() == []


def test_all_writes_of_a_block_are_one_entry_that_counts_them(app):
    ids = app.enqueue_many(Plain, [{}] * 7)

    with app.antq_acting("ada", "bulk cancel", "queue:default") as acting:
        app.cancel_job(ids[0])
        app.cancel_jobs(queue="default", limit=4)
        asyncio.run(app.acancel_job(ids[6]))

    assert told(app) == [("ada", "bulk cancel", "queue:default", 6, None)]
    assert acting.count == 6


def test_what_raises_in_the_middle_leaves_what_was_done(app):
    ids = app.enqueue_many(Plain, [{}] * 2)

    def cancel(*ids):
        with app.antq_acting(None, "cancel", "two jobs"):
            for id_ in ids:
                app.cancel_job(id_)

    with pytest.raises(JobNotFound):
        cancel(ids[0], 4711)

    assert told(app) == [(None, "cancel", "two jobs", 1, None)]


def test_a_queue_is_paused_resumed_and_given_slots_by_the_store(app):
    queue = app.queue("default")
    with app.antq_acting("ada", "resume", "queue default"):
        queue.resume()
    with app.antq_acting("ada", "pause", "queue default", "deploy"):
        queue.pause("ada", "deploy")
    with app.antq_acting("ada", "concurrency", "queue default"):
        queue.set_concurrency(5)

    assert [each[1] for each in told(app)] == ["concurrency", "pause", "resume"]
    assert queue.status().paused


def test_what_is_not_in_the_store_is_noted_by_itself(app):
    with app.antq_acting("ada", "crash", "actor mailer") as acting:
        acting.note()

    assert told(app) == [("ada", "crash", "actor mailer", 1, None)]


def test_the_newest_entry_is_the_first_and_a_limit_keeps_the_newest(app):
    for n in range(3):
        with app.antq_acting("ada", "crash", f"actor {n}") as acting:
            acting.note()

    assert [each.target for each in app.audit(2)] == ["actor 2", "actor 1"]
    assert len(app.audit(10**30)) == 3


@pytest.mark.parametrize(("limit", "error"), [(0, ValueError), ("9", TypeError), (True, TypeError)])
def test_a_limit_of_the_audit_is_a_whole_number_from_1(app, limit, error):
    with pytest.raises(error, match="limit"):
        app.audit(limit)


@pytest.mark.parametrize(
    "given", [(1, "v", "t"), ("n", None, "t"), ("n", "v", 4), ("n", "v", "t", 5)]
)
def test_an_action_is_told_in_texts(app, given):
    with pytest.raises(TypeError, match="must be a str"):
        app.antq_acting(*given)


def test_odd_texts_are_kept_as_far_as_they_can_be(app):
    with app.antq_acting("a\udcffb", "v", "\x00<script>", "é" * 10_000) as acting:
        acting.note()

    (entry,) = app.audit()
    assert (entry.name, entry.target) == ("a\\udcffb", "\x00<script>")
    assert len(entry.reason) == 4_000
    assert entry.reason.endswith("é…")


def test_an_action_is_a_record_of_logging_too(app, caplog):
    caplog.set_level(logging.INFO, "antq_actors.audit")
    with app.antq_acting("ada", "cancel", "job 1", "old\nnews"):
        app.cancel_job(app.enqueue(Plain))
    with app.antq_acting("ada", "resume", "queue other"):
        pass

    (record,) = (each for each in caplog.records if each.name == "antq_actors.audit")
    assert record.getMessage() == ("cancel, target 'job 1', count 2, by 'ada', reason 'old\\nnews'")


def test_charts_have_a_mark_of_an_action_and_of_a_pause_one_alone(app):
    job = app.enqueue(Plain)
    with app.antq_acting("ada", "cancel", f"job {job.id}"):
        app.cancel_job(job)
    with app.antq_acting("ada", "resume", "queue default"):
        app.queue("default").resume()

    marks = [(each.kind, each.text) for each in Insights(app).charts().marks]
    assert ("audit", f"cancel of job {job.id} by ada") in marks
    assert [text for kind, text in marks if kind in ("resumed", "audit")][1:] == [
        "queue default was resumed"
    ]


def test_an_action_of_one_application_is_none_of_another(app, tmp_path):
    with AntQ(tmp_path / "other", start_queues=False) as other:
        with app.antq_acting("ada", "cancel", "job 1"):
            other.cancel_job(other.enqueue(Plain))

        assert app.audit() == other.audit() == []


def test_actions_of_two_threads_at_once_are_two_entries(app):
    ids = app.enqueue_many(Plain, [{}] * 20)

    async def cancel(number):
        with app.antq_acting(f"visitor {number}", "cancel", f"job {ids[number]}"):
            await app.acancel_job(ids[number])

    async def cancel_all():
        await asyncio.gather(*map(cancel, range(20)))

    asyncio.run(cancel_all())
    assert {(each.name, each.target, each.count) for each in app.audit()} == {
        (f"visitor {number}", f"job {id_}", 1) for number, id_ in enumerate(ids)
    }
    assert app.count_jobs(status=Status.CANCELLED) == 20


UNTIL_IT_IS_KILLED = """
import sys
from antq_actors import AntQ
from support.apps import Plain
with AntQ(sys.argv[1], start_queues=False) as app:
    ids = app.enqueue_many(Plain, [{}] * 2_000, queue="default")
    for number, id_ in enumerate(ids):
        with app.antq_acting("ada", "cancel", f"job {id_}") as acting:
            app.cancel_job(id_)
        if number % 3 == 0:
            app.antq_undo(acting.undo)
        print(number, flush=True)
"""


@pytest.mark.parametrize("after", [0, 1, 7, 40, 111])
def test_after_a_kill_entries_and_jobs_agree(program, tmp_path, after):
    path = tmp_path / "store"
    killed = program("-c", UNTIL_IT_IS_KILLED, path)
    killed.lines_until(str(after))
    killed.kill()

    with AntQ(path, start_queues=False) as app:
        entries = app.audit(10_000)
        undone = {each.target for each in entries if each.verb == "undo"}
        told = {each.target for each in entries if each.verb == "cancel"} - undone
        assert told == {f"job {job.id}" for job in app.list_jobs(status="cancelled")}
        assert len(told) + len(undone) > after
        assert app.verify() == []


def test_entries_are_kept_over_a_restart(tmp_path):
    with AntQ(tmp_path, start_queues=False) as app, app.antq_acting("ada", "v", "t") as acting:
        acting.note(3)

    with AntQ(tmp_path, start_queues=False) as app:
        assert told(app) == [("ada", "v", "t", 3, None)]
        assert app.verify() == []
