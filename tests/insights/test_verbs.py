"""What is done for a visitor: the verb itself, its check, its audit, and what is answered."""

import inspect
from datetime import UTC, datetime, timedelta

import pytest
from support.apps import Fails, Plain, settled, until

from antq_actors import (
    AlreadyExists,
    AntQ,
    BatchNotFound,
    Concurrency,
    Cron,
    InvalidSchedule,
    JobNotFound,
    NotCancellable,
    NotRetryable,
    NotUndoable,
    QueueNotPaused,
    Status,
    Unique,
    UnknownCron,
    UnknownLimit,
    UnknownQueue,
    Worker,
    Workflow,
    WorkflowNotFound,
)
from antq_actors.insights import Access, Forbidden, Insights, Visitor
from antq_actors.insights.doing import NotPossible
from antq_actors.insights.verbs import Verbs

ADA = Visitor(Access.OPERATE, "ada")
READER = Visitor(Access.READ, "rob")


class Once(Worker, name="verbs:Once", unique=Unique(args=["to"])):
    def perform(self, job): ...


class Tenant(Worker, name="verbs:Tenant", concurrency=Concurrency(1, key="tenant", name="tenants")):
    def perform(self, job): ...


class Steps(Worker, name="verbs:Steps", max_attempts=1):
    def perform(self, job):
        if job.step("look", lambda: True):
            raise ValueError("no")


@pytest.fixture
def still(tmp_path):
    """An application that runs no queues, so that nothing happens by itself."""
    with AntQ(tmp_path / "jobs").start(queues=False) as app:
        yield app


@pytest.fixture
def live(tmp_path):
    with AntQ(tmp_path / "jobs", queues={"default": 2, "mail": 1}) as app:
        yield app


def verbs(app, visitor=ADA):
    return Insights(app).verbs(visitor)


def audited(app):
    return [(each.name, each.verb, each.target, each.count, each.reason) for each in app.audit()]


ALL = [
    name
    for name, _ in inspect.getmembers(Verbs, inspect.isfunction)
    if not name.startswith("_") and name != "do"
]


# ---- who may, and what is noted ---------------------------------------------------------------


HARM = {"chaos", "begin_chaos_run", "stop_chaos_run"}


@pytest.mark.parametrize("verb", ALL)
@pytest.mark.parametrize("level", [Access.NONE, Access.READ, Access.OPERATE])
def test_no_verb_is_done_below_its_level(light, verb, level):
    method = getattr(verbs(light, Visitor(level)), verb)
    about = ["x"] * (verb not in {"backup", "verify", "undo", "bulk"})
    needed = Access.CHAOS if verb in HARM else Access.OPERATE
    if level >= needed:
        return

    with pytest.raises(Forbidden, match=f"takes the level {needed.name}"):
        method(*about)

    assert light.audit() == []


def test_visitor_that_is_none_is_refused(light):
    with pytest.raises(TypeError, match="visitor must be a Visitor"):
        Insights(light).verbs(Access.OPERATE)


def test_what_is_done_is_in_the_audit_with_who_why_and_how_much(still):
    job = still.enqueue(Plain)

    done = verbs(still).cancel(job.id, reason="not needed")

    assert done.changed == 1
    assert audited(still) == [("ada", "cancel", f"job {job.id}", 1, "not needed")]


def test_what_was_refused_or_changes_nothing_is_not_in_the_audit(still):
    job = still.cancel_job(still.enqueue(Plain))

    assert verbs(still).cancel(job.id).changed == 0
    with pytest.raises(NotRetryable):
        verbs(still).run_now(job.id)
    with pytest.raises(ValueError, match="reason must be a text"):
        verbs(still).retry(job.id, reason=["x"])

    assert still.audit() == []
    assert still.get_job(job.id).status is Status.CANCELLED


def test_what_is_answered_has_the_number_and_the_item(still):
    job = still.enqueue(Plain, {"password": "x"})

    answer = verbs(still).cancel(job.id).answer()

    assert answer["changed"] == 1
    assert answer["item"].status is Status.CANCELLED
    assert answer["item"].args == {"password": "<redacted>"}
    assert "ids" not in answer


def test_verb_is_done_by_its_name_with_what_a_form_sent(still):
    job = still.enqueue(Plain)

    done = verbs(still).do("reschedule", str(job.id), sent={"in": "1h", "reason": ""})

    assert done.item.status is Status.SCHEDULED


def test_what_can_be_undone_has_a_token_that_undoes_it_once(still):
    job = still.enqueue(Plain, schedule_in=3600)
    cancelled = verbs(still).cancel(job.id)

    undone = verbs(still, Visitor(Access.OPERATE, "bob")).undo(cancelled.undo)

    assert undone.changed == 1
    assert still.get_job(job.id).scheduled_at == job.scheduled_at
    assert [(each.name, each.verb) for each in still.audit()] == [
        ("bob", "undo"),
        ("ada", "cancel"),
    ]
    assert undone.item == still.audit()[0]
    with pytest.raises(NotUndoable):
        verbs(still).undo(cancelled.undo)
    assert verbs(still).delete(job.id).undo is None


def test_pause_and_concurrency_have_tokens_as_well(live):
    paused = verbs(live).pause("default")
    assert verbs(live).undo(paused.undo).changed == 1
    assert not live.queue("default").status().paused
    changed = verbs(live).set_concurrency("default", n=9)
    until(lambda: live.queue("default").status().concurrency == 9)
    verbs(live).undo(changed.undo)
    until(lambda: live.queue("default").status().concurrency == 2)


# ---- jobs -------------------------------------------------------------------------------------


def test_retry_enqueues_again_and_fresh_forgets_the_steps(run):
    app = run()
    job = settled(app, app.enqueue(Steps), "failed")
    app.queue("default").pause()

    done = verbs(app).retry(job.id, fresh="1")

    assert (done.changed, done.item.status) == (1, Status.ENQUEUED)
    assert app.antq_here().queries.get(job.id).status is Status.ENQUEUED
    with pytest.raises(ValueError, match="fresh must be true or false"):
        verbs(app).retry(job.id, fresh="perhaps")


def test_retry_of_a_job_that_has_not_ended_is_refused(still):
    with pytest.raises(NotRetryable):
        verbs(still).retry(still.enqueue(Plain).id)


def test_completed_job_cannot_be_cancelled(run):
    app = run()
    job = settled(app, app.enqueue(Plain))

    with pytest.raises(NotCancellable):
        verbs(app).cancel(job.id)


def test_deleted_job_is_answered_as_it_was(still):
    job = still.enqueue(Plain, {"n": 1})

    done = verbs(still).delete(job.id)

    assert (done.changed, done.item.id, done.item.args) == (1, job.id, {"n": 1})
    with pytest.raises(JobNotFound):
        still.get_job(job.id)
    assert audited(still) == [("ada", "delete", f"job {job.id}", 1, None)]


def test_scheduled_job_is_made_due(still):
    job = still.enqueue(Plain, schedule_in=3600)

    done = verbs(still).run_now(job.id)

    assert done.changed == 1
    assert done.item.scheduled_at <= datetime.now(UTC)
    assert verbs(still).run_now(still.enqueue(Plain).id).changed == 0


@pytest.mark.parametrize(
    ("when", "due"),
    [
        ({"at": "2030-05-01T09:00+02:00"}, datetime(2030, 5, 1, 7, tzinfo=UTC)),
        ({"at": datetime(2030, 5, 1, 7, tzinfo=UTC)}, datetime(2030, 5, 1, 7, tzinfo=UTC)),
    ],
)
def test_job_is_rescheduled_to_an_instant(still, when, due):
    job = still.enqueue(Plain)

    done = verbs(still).reschedule(job.id, **when)

    assert (done.item.status, done.item.scheduled_at) == (Status.SCHEDULED, due)


def test_job_is_rescheduled_by_a_span_of_time(still):
    job = still.enqueue(Plain)
    before = datetime.now(UTC)

    done = verbs(still).reschedule(job.id, in_="2h")

    assert done.item.scheduled_at - before >= timedelta(hours=2)
    assert audited(still)[0][1] == "reschedule"


@pytest.mark.parametrize("when", [{}, {"at": "2030-05-01T09:00Z", "in_": "5m"}])
def test_reschedule_takes_one_of_its_two_fields(still, when):
    job = still.enqueue(Plain)

    with pytest.raises(InvalidSchedule, match="give either at, an instant"):
        verbs(still).reschedule(job.id, **when)

    assert still.get_job(job.id).status is Status.ENQUEUED


def test_again_enqueues_a_copy_and_answers_it(still):
    job = still.cancel_job(still.enqueue(Plain, {"token": "x", "n": 1}))

    done = verbs(still).again(job.id)

    assert (done.changed, done.item.status) == (1, Status.ENQUEUED)
    assert done.item.args == {"token": "<redacted>", "n": 1}
    assert still.get_job(done.item.id).args == {"token": "x", "n": 1}
    assert audited(still) == [("ada", "again", f"job {job.id}", 1, None)]


def test_again_of_a_unique_job_in_its_own_way_is_refused(still):
    job = still.enqueue(Once, {"to": "a"})

    with pytest.raises(AlreadyExists):
        verbs(still).again(job.id)

    assert still.audit() == []


@pytest.mark.parametrize("verb", ["retry", "cancel", "delete", "run_now", "again"])
def test_job_that_is_not_there_is_refused_by_every_verb(light, verb):
    with pytest.raises(JobNotFound):
        getattr(verbs(light), verb)(7)
    with pytest.raises(ValueError, match="id must be a whole number"):
        getattr(verbs(light), verb)("seven")


def test_failures_that_are_alike_are_retried_together(run):
    app = run()
    jobs = [settled(app, app.enqueue(Fails), "failed") for _ in range(3)]
    app.queue("default").pause()
    (group,) = Insights(app).errors().items

    done = verbs(app).retry_error(group.fingerprint, reason="fixed")

    assert done.changed == 3
    assert {app.get_job(job.id).status for job in jobs} == {Status.ENQUEUED}
    assert done.item.fingerprint == group.fingerprint
    assert audited(app)[0] == ("ada", "retry", f"error {group.fingerprint}", 3, "fixed")


def test_failures_are_known_until_a_version(run):
    app = run()
    settled(app, app.enqueue(Fails), "failed")
    (group,) = Insights(app).errors().items

    assert verbs(app).mark_known(group.fingerprint, version="2.1").item.known == "2.1"
    assert verbs(app).mark_known(group.fingerprint, version="").item.known is None
    assert [each[1] for each in audited(app)] == ["known", "known"]


def test_failures_that_there_are_not_are_refused(light):
    with pytest.raises(LookupError, match="no failure with the fingerprint"):
        verbs(light).retry_error("c9b40ced9843c617")
    with pytest.raises(ValueError, match="fingerprint is missing"):
        verbs(light).retry_error("")


# ---- queues and nodes -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["still", "live"])
def test_queue_is_paused_by_a_name_for_a_reason_and_resumed(kind, request):
    app = request.getfixturevalue(kind)

    paused = verbs(app).pause("default", reason="deploy")

    assert (paused.item.paused.by, paused.item.paused.reason) == ("ada", "deploy")
    assert app.queue("default").status().paused
    resumed = verbs(app).resume("default")
    assert resumed.item.paused is None
    assert audited(app) == [
        ("ada", "resume", "queue default", 1, None),
        ("ada", "pause", "queue default", 1, "deploy"),
    ]


def test_concurrency_is_changed_on_all_nodes_or_on_one(live):
    verbs(live).set_concurrency("default", n="7")
    until(lambda: live.queue("default").status().concurrency == 7)

    done = verbs(live).set_concurrency("default", n=3, node=str(live.node))

    until(lambda: live.queue("default").status().concurrency == 3)
    assert done.item.name == "default"
    assert [each[1:3] for each in audited(live)] == [("concurrency", "queue default")] * 2


def test_concurrency_of_a_queue_that_no_node_runs_is_refused(still):
    with pytest.raises(NotPossible, match="no node runs queue 'default'"):
        verbs(still).set_concurrency("default", n=7)

    assert still.audit() == []


def test_concurrency_on_a_node_that_does_not_run_the_queue_is_refused(live):
    with pytest.raises(NotPossible, match="node 99 does not run queue 'mail'; living nodes"):
        verbs(live).set_concurrency("mail", n=7, node=99)

    assert live.audit() == []


@pytest.mark.parametrize("n", ["0", "many", "", None, 10**9])
def test_concurrency_that_makes_no_sense_is_refused(live, n):
    with pytest.raises(ValueError, match=r"^(n|concurrency) "):
        verbs(live).set_concurrency("default", n=n)


def test_step_lets_jobs_through_and_answers_their_ids(still):
    jobs = [still.enqueue(Plain) for _ in range(4)]
    still.queue("default").pause()

    first = verbs(still).step("default", n="2")
    one = verbs(still).step("default", id=str(jobs[3].id))

    assert first.answer()["ids"] == [jobs[0].id, jobs[1].id]
    assert (first.changed, one.changed) == (2, 1)
    assert one.answer()["ids"] == [jobs[3].id]
    assert [each[3] for each in audited(still)] == [1, 2]


def test_step_of_a_running_queue_and_of_another_job_is_refused(still):
    job = still.enqueue(Plain)

    with pytest.raises(QueueNotPaused):
        verbs(still).step("default")
    still.queue("default").pause()
    with pytest.raises(ValueError, match="job 99 could not start now"):
        verbs(still).step("default", id=99)
    with pytest.raises(ValueError, match="give n or id, not both"):
        verbs(still).step("default", n=2, id=job.id)


def test_breakpoint_is_added_and_removed(still):
    still.enqueue(Plain)

    added = verbs(still).add_breakpoint("default", worker="a:W", arg="user=42", on="failure")

    assert (added.item.worker, added.item.args, added.item.on) == ("a:W", {"user": 42}, "failure")
    assert added.changed == 1
    removed = verbs(still).remove_breakpoint("default", id=added.item.id)
    assert removed.item.breakpoints == ()
    assert [each[1] for each in audited(still)] == ["unbreak", "breakpoint"]
    with pytest.raises(ValueError, match="has no breakpoint"):
        verbs(still).remove_breakpoint("default", id=added.item.id)


@pytest.mark.parametrize("bad", [{"on": "start"}, {"arg": "user"}, {"worker": ["x"]}])
def test_breakpoint_that_makes_no_sense_is_refused(still, bad):
    with pytest.raises(ValueError, match="must be"):
        verbs(still).add_breakpoint("default", **bad)

    assert still.queue("default").breakpoints() == []


@pytest.mark.parametrize(
    "verb", ["pause", "resume", "set_concurrency", "step", "add_breakpoint", "remove_breakpoint"]
)
def test_queue_that_is_not_there_is_refused_by_every_verb(light, verb):
    with pytest.raises(UnknownQueue):
        getattr(verbs(light), verb)("nowhere")
    with pytest.raises(ValueError, match="name is missing"):
        getattr(verbs(light), verb)("")


def test_node_of_another_process_is_drained(still, program):
    node = program(
        "-c",
        "import sys; from antq_actors import AntQ; AntQ(sys.argv[1], queues={'default': 1}).run()",
        str(still.path),
    )
    until(lambda: [each.number for each in still.nodes() if each.alive])
    (number,) = (each.number for each in still.nodes())
    until((still.path / f"node-{number}.sock").exists)

    done = verbs(still).drain(str(number), reason="update")

    code, _, errors = node.end()
    assert code == 0, errors
    assert done.changed == 1
    assert still.nodes() == []
    assert audited(still) == [("ada", "drain", f"node {number}", 1, "update")]


def test_node_of_this_process_is_drained_and_the_application_goes_on(app):
    number = app.node

    verbs(app).drain(number)

    until(lambda: app.nodes() == [])
    assert app.enqueue(Plain).status is Status.ENQUEUED


def test_node_that_does_not_live_is_refused(light):
    with pytest.raises(LookupError, match="no living node 99"):
        verbs(light).drain(99)


# ---- the store --------------------------------------------------------------------------------


def test_backup_is_made_where_it_is_wanted_and_beside_the_store_else(still, tmp_path):
    wanted = verbs(still).backup(str(tmp_path / "copy"))
    beside = verbs(still).backup("")

    assert wanted.answer()["target"] == str(tmp_path / "copy")
    assert (tmp_path / "copy" / "data.mdb").exists()
    assert beside.answer()["target"].startswith(str(still.path) + "-")
    assert wanted.item.backups[0].target == str(tmp_path / "copy")
    assert [each[1:3] for each in audited(still)] == [("backup", "store")] * 2


def test_backup_overwrites_nothing(still, tmp_path):
    with pytest.raises(ValueError, match="target must be a new directory"):
        verbs(still).backup(str(tmp_path))

    assert still.audit() == []


def test_verify_answers_what_it_found(still):
    done = verbs(still).verify()

    assert done.answer()["findings"] == []
    assert done.item.verify.count == 0
    assert audited(still) == [("ada", "verify", "store", 1, None)]


# ---- periodic entries, limits, batches, workflows ---------------------------------------------


def test_periodic_entry_is_paused_resumed_and_run(still):
    still.cron("digest").set(Cron("0 9 * * *", worker=Plain))

    assert verbs(still).pause_cron("digest").item.paused
    assert not verbs(still).resume_cron("digest").item.paused
    made = verbs(still).run_cron("digest")

    assert (made.changed, made.item.cron) == (1, "digest")
    assert still.get_job(made.item.id).status is Status.ENQUEUED
    assert [each[1:4] for each in audited(still)] == [
        ("run", "cron digest", 1),
        ("resume", "cron digest", 1),
        ("pause", "cron digest", 1),
    ]


def test_limit_is_set_paused_resumed_and_reset(still):
    still.enqueue_many(Tenant, [{"tenant": "a"}] * 2)

    assert verbs(still).set_limit("tenants", limit="5").item.infos[0].limit == 5
    assert verbs(still).pause_limit("tenants", seconds="1h").item.paused
    assert not verbs(still).resume_limit("tenants").item.paused
    assert verbs(still).reset_limit("tenants").item.infos[0].limit == 1
    assert [each[1] for each in audited(still)] == ["reset", "resume", "pause", "set"]


def test_key_of_a_limit_means_the_one_in_use(still):
    still.enqueue(Tenant, {"tenant": "5"})
    still.enqueue(Tenant, {"tenant": 7})

    verbs(still).pause_limit("tenants", key="5")
    verbs(still).pause_limit("tenants", key="7")

    assert {each.key: each.paused for each in Insights(still).limit("tenants").keys} == {
        "5": True,
        "7": True,
    }
    assert not Insights(still).limit("tenants").paused


@pytest.mark.parametrize("bad", [{}, {"limit": "0"}, {"per": "soon"}, {"limit": 1, "kind": "x"}])
def test_numbers_that_a_limit_cannot_have_are_refused(still, bad):
    still.enqueue(Tenant, {"tenant": "a"})

    with pytest.raises(ValueError, match=r"."):
        verbs(still).set_limit("tenants", **bad)

    assert still.audit() == []


def test_batch_is_retried_closed_and_cancelled(run):
    app = run()
    batch = app.batch("import")
    job = settled(app, batch.enqueue(Fails), "failed")
    app.queue("default").pause()

    assert verbs(app).retry_failed_batch(batch.id).item.failed == 0
    assert app.get_job(job.id).status is Status.ENQUEUED
    assert verbs(app).close_batch(batch.id).item.closed
    assert verbs(app).cancel_batch(batch.id).item.cancelled == 1
    assert [each[1:3] for each in audited(app)] == [
        ("cancel", f"batch {batch.id}"),
        ("close", f"batch {batch.id}"),
        ("retry-failed", f"batch {batch.id}"),
    ]


def test_workflow_is_retried_and_cancelled(run):
    app = run()
    flow = Workflow("report")
    flow.add(Plain, name="b", after=flow.add(Fails, name="a"))
    started = app.start_workflow(flow)
    until(lambda: not started.status().open)
    app.queue("default").pause()

    retried = verbs(app).retry_failed_workflow(started.id)

    assert retried.item.nodes[Status.SUSPENDED] == 1
    cancelled = verbs(app).cancel_workflow(started.id)
    assert cancelled.item.nodes[Status.CANCELLED] == 2
    assert [each[1] for each in audited(app)] == ["cancel", "retry-failed"]


@pytest.mark.parametrize(
    ("verb", "error"),
    [
        ("pause_cron", UnknownCron),
        ("resume_cron", UnknownCron),
        ("run_cron", UnknownCron),
        ("set_limit", UnknownLimit),
        ("pause_limit", UnknownLimit),
        ("resume_limit", UnknownLimit),
        ("reset_limit", UnknownLimit),
        ("cancel_batch", BatchNotFound),
        ("retry_failed_batch", BatchNotFound),
        ("close_batch", BatchNotFound),
        ("cancel_workflow", WorkflowNotFound),
        ("retry_failed_workflow", WorkflowNotFound),
    ],
)
def test_what_is_not_there_is_refused_by_every_verb(light, verb, error):
    about = "none" if error in (UnknownCron, UnknownLimit) else "7"

    with pytest.raises(error):
        getattr(verbs(light), verb)(about)

    assert light.audit() == []
