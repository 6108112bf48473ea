"""Many jobs are changed at once: what a dry run says, and what becomes of them."""

import shlex
import threading

import pytest
from support.apps import until

from antq_actors import (
    AntQ,
    BulkEnded,
    BulkNotFound,
    Concurrency,
    Fail,
    NotUndoable,
    Unique,
    Worker,
    worker,
)
from antq_actors.insights import (
    Access,
    Filter,
    Forbidden,
    Insights,
    MatchesChanged,
    Visitor,
    change_jobs,
)
from antq_actors.insights import bulk as bulk_changes
from antq_actors.insights.as_json import as_json
from antq_actors.insights.source import Source
from antq_actors.jobs import instant
from antq_actors.storage.admin import maintenance
from antq_actors.storage.jobs.graph import GraphVerbs
from antq_actors.storage.jobs.undo import undo

released = threading.Event()
KEY = b"one key that is long enough for it"
OPERATOR = Visitor(Access.OPERATE, "ada")


@worker(name="bulk:fail", max_attempts=1)
def fail(n, token=None):
    raise TimeoutError(f"no answer from {n}")


@worker(name="bulk:plain")
def plain(n=0):
    """Do nothing."""


@worker(name="bulk:hold")
def hold():
    released.wait(60)


@pytest.fixture
def app(tmp_path):
    """An application with jobs that have failed, completed, wait for their time or run."""
    released.clear()
    with AntQ(tmp_path / "jobs", queues={"mail": 2, "slow": 1, "later": 1}) as app:
        app.enqueue_many(fail, [{"n": n} for n in range(6)], queue="mail")
        app.enqueue_many(plain, [{"n": n} for n in range(3)], queue="mail")
        app.enqueue_many(plain, [{"n": n} for n in range(4)], queue="later", schedule_in=3600)
        app.enqueue(hold, queue="slow")
        app.queue("later").pause()
        until(lambda: app.count_jobs(status="failed") == 6)
        until(lambda: app.count_jobs(status="completed") == 3)
        until(lambda: app.count_jobs(status="running") == 1)
        yield app
        released.set()


def ended(app, id_):
    """Return a bulk change once it has ended."""
    look = Insights(app)
    until(lambda: look.bulk(id_).state != "running", "the end of the bulk change")
    return look.bulk(id_)


def ids(app, **filters):
    return [job.id for job in app.list_jobs(**filters)]


# ---- the dry run ----------------------------------------------------------------------------


def test_a_dry_run_tells_what_would_change_and_changes_nothing(app):
    before = app.list_jobs()

    found = Insights(app).bulk_preview("retry", "queue:mail")

    assert (found.matches, found.exact, found.changes) == (9, True, 6)
    assert as_json(found.refused) == [
        {"reason": "completed: they run again only if the filter has status:completed", "count": 3}
    ]
    assert [item.id for item in found.sample] == ids(app, status="failed")[:5]
    assert app.list_jobs() == before


def test_a_dry_run_has_the_keys_of_the_api(app):
    answer = as_json(Insights(app).bulk_preview("cancel", "status:scheduled"))

    assert list(answer) == ["matches", "exact", "changes", "refused", "sample", "cli", "python"]
    assert answer["sample"][0]["actions"]["cancel"] is True


@pytest.mark.parametrize(
    ("verb", "changes", "reasons"),
    [
        (
            "cancel",
            5,
            {
                "failed: only jobs that have not ended can be cancelled": 6,
                "completed: only jobs that have not ended can be cancelled": 3,
            },
        ),
        (
            "run-now",
            4,
            {
                "failed: only jobs that wait for their time can be run now": 6,
                "completed: only jobs that wait for their time can be run now": 3,
                "running: only jobs that wait for their time can be run now": 1,
            },
        ),
        ("delete", 14, {}),
    ],
)
def test_each_verb_says_what_it_refuses(app, verb, changes, reasons):
    found = Insights(app).bulk_preview(verb, "")

    assert (found.matches, found.changes) == (14, changes)
    assert {each.reason: each.count for each in found.refused} == reasons


def test_jobs_are_named_by_their_ids_as_well(app):
    failed = ids(app, status="failed")

    found = Insights(app).bulk_preview("retry", ids=[failed[0], failed[2], str(failed[3]), 4711])

    assert (found.matches, found.changes) == (3, 3)
    assert [item.id for item in found.sample] == [failed[0], failed[2], failed[3]]


def test_completed_jobs_run_again_where_they_are_ticked_or_asked_for(app):
    completed = ids(app, status="completed")
    look = Insights(app)

    assert look.bulk_preview("retry", ids=completed).changes == 3
    assert look.bulk_preview("retry", "status:completed,failed").changes == 9


def test_a_dry_run_that_has_no_time_says_that_there_may_be_more(app, monkeypatch):
    monkeypatch.setattr("antq_actors.insights.search._FIRST_JOBS", 2)

    found = Insights(app).bulk_preview("retry", "worker:fail", budget=0)

    assert (found.matches, found.exact) == (2, False)


def test_by_status_and_queue_jobs_are_counted_in_no_time(app, monkeypatch):
    monkeypatch.setattr("antq_actors.insights.search._FIRST_JOBS", 2)

    found = Insights(app).bulk_preview("retry", "queue:mail,slow", budget=0)

    assert (found.matches, found.exact, found.changes) == (10, True, 6)
    assert {each.count for each in found.refused} == {3, 1}


class Once(Worker, unique=Unique(args=["n"]), max_attempts=1, queue="mail"):
    def perform(self, job):
        raise ValueError("no")


class Few(Worker, limits=[Concurrency(1, name="few", when_full="discard")], queue="mail"):
    def perform(self, job):
        released.wait(60)
        return Fail("no") if job.args["fails"] else None


def test_what_another_job_or_a_limit_keeps_from_a_retry_is_refused(tmp_path):
    released.set()
    with AntQ(tmp_path, queues={"mail": 2}) as app:
        app.enqueue(Few, {"fails": True})
        until(lambda: app.count_jobs(status="failed") == 1)
        for n in (2, 3):
            app.enqueue(Once, {"n": 1})
            until(lambda n=n: app.count_jobs(status="failed") == n)
        released.clear()
        app.enqueue(Few, {"fails": False})
        until(lambda: app.count_jobs(status="running") == 1)

        found = Insights(app).bulk_preview("retry", "status:failed")
        app.queue("mail").pause()
        done = ended(app, change_jobs(app, "retry", "status:failed", expect=3))
        released.set()

        assert (found.matches, found.changes) == (3, 1)
        assert {each.reason: each.count for each in found.refused} == {
            "a unique job with the same arguments is in the way": 1,
            "a limit is full, and refuses more jobs": 1,
        }
        assert (done.changed, done.refused) == (1, 2)


# ---- what is done ---------------------------------------------------------------------------


def test_the_jobs_that_a_filter_finds_are_changed(app):
    app.queue("mail").pause()

    done = ended(app, change_jobs(app, "retry", "queue:mail", expect=9, name="ada"))

    assert app.count_jobs(status="enqueued", queue="mail") == 6
    assert app.count_jobs(status="completed") == 3
    assert as_json(done) | {"at": ""} == {
        "id": done.id,
        "verb": "retry",
        "filter": "queue:mail",
        "state": "done",
        "total": 9,
        "changed": 6,
        "skipped": 0,
        "refused": 3,
        "by": "ada",
        "at": "",
    }


def test_each_verb_does_what_its_dry_run_said(app):
    assert (
        ended(app, change_jobs(app, "run-now", "status:scheduled id:<=10", expect=1)).changed == 1
    )
    assert ended(app, change_jobs(app, "cancel", "queue:later", expect=4)).changed == 4
    assert app.count_jobs(status="cancelled") == 4
    assert ended(app, change_jobs(app, "cancel", "queue:slow", expect=1)).changed == 1
    assert ended(app, change_jobs(app, "delete", "status:failed", expect=6)).changed == 6
    assert app.count_jobs(status="failed") == 0


def test_jobs_named_by_ids_are_shown_as_a_filter(app):
    app.queue("mail").pause()
    failed = ids(app, status="failed")

    done = ended(app, change_jobs(app, "retry", ids=[*failed[:3], failed[5]], expect=4))

    assert done.changed == 4
    assert done.filter == f"id:{failed[0]}..{failed[2]},{failed[5]}"
    assert Insights(app).jobs(done.filter).count == 4


def test_retried_jobs_are_spread(app):
    app.queue("mail").pause()

    ended(app, change_jobs(app, "retry", "status:failed", expect=6, spread=500))

    due = [job.scheduled_at for job in app.list_jobs(status="scheduled", queue="mail")]
    assert [round((each - due[0]).total_seconds()) for each in due] == [0, 100, 200, 300, 400, 500]


def test_nothing_is_changed_where_not_as_many_match_as_were_expected(app):
    before = app.list_jobs()

    with pytest.raises(MatchesChanged, match="6 jobs match now, and the dry run gave 5"):
        change_jobs(app, "delete", "status:failed", expect=5)

    assert app.list_jobs() == before
    with pytest.raises(BulkNotFound):
        Insights(app).bulk(1)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"verb": "retyr", "filter": "", "expect": 1}, "did you mean 'retry'"),
        ({"verb": "pause", "filter": "", "expect": 1}, "one of retry, cancel, delete, run-now"),
        ({"verb": "retry", "expect": 1}, "give a filter"),
        ({"verb": "retry", "filter": "status:failed", "ids": [1], "expect": 1}, "not both"),
        ({"verb": "retry", "filter": "status", "expect": 1}, "has no key"),
        ({"verb": "retry", "ids": ["x"], "expect": 1}, "id must be the number of a job"),
        ({"verb": "retry", "ids": [0], "expect": 1}, "id must be the number of a job"),
        ({"verb": "retry", "filter": "", "expect": None}, "expect must be how many"),
        ({"verb": "retry", "filter": "", "expect": "many"}, "expect must be how many"),
        ({"verb": "retry", "filter": "", "expect": 1001}, "reason is needed"),
        ({"verb": "retry", "filter": "", "expect": 1001, "reason": " "}, "reason is needed"),
        ({"verb": "retry", "filter": "", "expect": 1, "spread": -1}, "spread must not be negative"),
        ({"verb": "retry", "filter": "", "expect": 1, "spread": "soon"}, "write for example 600"),
        ({"verb": "delete", "filter": "", "expect": 1, "spread": 5}, "spread is for retry"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_looked_up(app, arguments, named):
    with pytest.raises(ValueError, match=named):
        change_jobs(app, **arguments)


def test_who_may_only_look_changes_nothing(app):
    reader = Visitor(Access.READ, "eve")

    with pytest.raises(Forbidden, match="OPERATE"):
        bulk_changes.begin_bulk(Source(app), reader, "retry", "status:failed", None, expect=6)
    with pytest.raises(Forbidden, match="OPERATE"):
        bulk_changes.stop_bulk(Source(app), reader, 1)


def test_what_is_hidden_is_not_found_by_a_change(app):
    app.enqueue(fail, {"n": 9, "token": "s3cret"}, queue="later")

    with pytest.raises(MatchesChanged, match="0 jobs match"):
        change_jobs(app, "cancel", "arg.token:s3cret", expect=1)


def test_a_bulk_change_is_stopped(app, monkeypatch):
    monkeypatch.setattr("antq_actors.queues.services.flow.FlowService.run_once", lambda _: False)
    begun = change_jobs(app, "retry", "status:failed", expect=6)

    stopped = bulk_changes.stop_bulk(Source(app), OPERATOR, str(begun))

    assert (stopped.state, stopped.changed) == ("stopped", 0)
    assert app.count_jobs(status="failed") == 6
    with pytest.raises(BulkEnded, match="is stopped"):
        bulk_changes.stop_bulk(Source(app), OPERATOR, begun)
    with pytest.raises(BulkNotFound, match="id 99"):
        bulk_changes.stop_bulk(Source(app), OPERATOR, 99)
    with pytest.raises(TypeError, match="has a number, such as 3"):
        Insights(app).bulk("x")


def test_a_process_without_queues_does_it_where_there_is_no_node(tmp_path):
    path = tmp_path / "jobs"
    with AntQ(path, queues={"mail": 1}, start_queues=False) as app:
        app.enqueue_many(plain, [{"n": n} for n in range(1_200)], queue="mail")

        begun = change_jobs(app, "cancel", "queue:mail", expect=1_200, reason="a wrong import")
        again = change_jobs(app, "delete", "queue:mail", expect=1_200, reason="a wrong import")

        assert ended(app, begun).changed == 1_200
        assert ended(app, again).state == "done"
        assert app.count_jobs() == 1_200 - Insights(app).bulk(again).changed


# ---- the audit, and undo --------------------------------------------------------------------


def test_the_audit_counts_what_was_changed(app):
    app.queue("mail").pause()

    ended(app, change_jobs(app, "retry", "queue:mail", expect=9, reason="is back", name="ada"))

    (entry,) = app.audit()
    assert (entry.name, entry.verb, entry.target) == ("ada", "bulk retry", "queue:mail")
    assert (entry.count, entry.reason) == (6, "is back")
    assert [mark.text for mark in Insights(app).charts().marks if mark.kind == "audit"] == [
        "bulk retry of queue:mail by ada"
    ]


def test_what_changes_nothing_is_not_in_the_audit(app):
    assert ended(app, change_jobs(app, "retry", "status:completed,running", expect=4)).changed == 3
    assert ended(app, change_jobs(app, "run-now", "status:failed", expect=6)).changed == 0

    assert [entry.verb for entry in app.audit()] == ["bulk retry"]


def test_a_cancel_is_undone_with_when_jobs_are_due(app, monkeypatch):
    monkeypatch.setattr("antq_actors.storage.jobs.bulk_table.PAGE_JOBS", 3)
    before = {job.id: (job.status, job.scheduled_at) for job in app.list_jobs(queue="later")}
    begun = begin(app, "cancel", "queue:later", expect=4)
    ended(app, begun.id)
    assert app.count_jobs(status="cancelled") == 4

    app.antq_undo(begun.undo, "ada")

    after = {job.id: (job.status, job.scheduled_at) for job in app.list_jobs(queue="later")}
    assert after == before
    assert [(entry.verb, entry.count) for entry in app.audit()] == [("undo", 4), ("bulk cancel", 4)]
    with pytest.raises(NotUndoable):
        app.antq_undo(begun.undo)


def test_an_undo_stops_what_still_goes_on(app, monkeypatch):
    monkeypatch.setattr("antq_actors.storage.jobs.bulk_table.PAGE_JOBS", 2)
    monkeypatch.setattr("antq_actors.queues.services.flow.FlowService.run_once", lambda _: False)
    begun = begin(app, "cancel", "queue:later", expect=4)
    app._runtime().store.write(GraphVerbs.do_task, now=app.antq_clock())
    assert app.count_jobs(status="cancelled") == 2

    app.antq_undo(begun.undo)

    assert app.count_jobs(status="cancelled") == 0
    assert Insights(app).bulk(begun.id).state == "stopped"


def test_whoever_looks_at_a_change_goes_on_with_it_where_no_node_lives(tmp_path, monkeypatch):
    path = tmp_path / "jobs"
    with monkeypatch.context() as patched, AntQ(path).start(queues=False) as gone:
        patched.setattr("antq_actors.queues.services.flow.FlowService.run_once", lambda _: False)
        gone.enqueue_many(plain, [{"n": n} for n in range(3)])
        begun = begin(gone, "cancel", "status:enqueued", expect=3)

    with AntQ(path).start(queues=False) as app:
        assert Insights(app).bulk(begun.id).state == "running"
        ended(app, begun.id)
        assert app.count_jobs(status="cancelled") == 3


def test_an_undo_keeps_a_change_from_beginning(app, monkeypatch):
    monkeypatch.setattr("antq_actors.queues.services.flow.FlowService.run_once", lambda _: False)
    before = app.list_jobs(queue="later")
    begun = begin(app, "cancel", "queue:later", expect=4)

    entry = app.antq_undo(begun.undo, "ada")
    app._runtime().store.write(GraphVerbs.do_task, now=app.antq_clock())

    assert (entry.name, entry.verb, entry.target, entry.count) == ("ada", "undo", "queue:later", 0)
    assert app.list_jobs(queue="later") == before
    stopped = Insights(app).bulk(begun.id)
    assert (stopped.state, stopped.changed) == ("stopped", 0)
    with pytest.raises(NotUndoable):
        app.antq_undo(begun.undo)


def test_a_change_that_was_begun_long_ago_is_not_kept_from_going_on(app, monkeypatch):
    monkeypatch.setattr("antq_actors.queues.services.flow.FlowService.run_once", lambda _: False)
    begun = begin(app, "cancel", "queue:later", expect=4)
    late = app.antq_clock() + 11 * 1_000_000

    with pytest.raises(NotUndoable):
        app._runtime().store.write(undo, begun.undo, None, {}, late)

    assert Insights(app).bulk(begun.id).state == "running"


def test_what_cannot_be_undone_gives_no_token(app):
    assert begin(app, "cancel", "queue:slow", expect=1).undo is None  # it runs
    assert begin(app, "run-now", "queue:later", expect=4).undo is None
    assert begin(app, "cancel", "status:failed", expect=6).undo is None  # none is cancelled


def test_a_change_is_undone_only_if_all_of_it_can_be(app, monkeypatch):
    monkeypatch.setattr("antq_actors.storage.jobs.bulk_table.PAGE_JOBS", 2)
    monkeypatch.setattr("antq_actors.queues.services.flow.FlowService.run_once", lambda _: False)
    begun = begin(app, "cancel", "queue:later", expect=4)
    app._runtime().store.write(GraphVerbs.do_task, now=app.antq_clock())
    later = app.antq_clock() + 60 * instant.SECOND
    app._runtime().store.write(GraphVerbs.do_task, now=later)

    with pytest.raises(NotUndoable):
        app.antq_undo(begun.undo)
    assert app.count_jobs(status="cancelled") == 4


def begin(app, verb, found, **options):
    return bulk_changes.begin_bulk(Source(app), OPERATOR, verb, found, None, **options)


@pytest.fixture
def key_file(tmp_path):
    file = tmp_path / "key"
    file.write_bytes(KEY + b"\n")
    file.chmod(0o600)
    return file


def test_an_encrypted_store_shows_no_filter_on_the_disk(tmp_path, key_file):
    path = tmp_path / "jobs"
    with AntQ(path, start_queues=False, encryption_key_file=key_file) as app:
        app.enqueue(plain, {"n": "private"})
        done = ended(app, change_jobs(app, "cancel", "arg.n:private", expect=1, reason="wrong one"))
        assert done.filter == "arg.n:private"
    with AntQ(path, start_queues=False) as app:
        assert Insights(app).bulk(done.id).filter == "<encrypted>"

    stored = (path / "data.mdb").read_bytes()
    assert b"private" not in stored
    assert b"wrong one" not in stored


def test_a_reseal_encrypts_what_a_change_is_about(tmp_path, key_file):
    path = tmp_path / "jobs"
    with AntQ(path, start_queues=False) as app:
        app.enqueue(plain, {"n": 1})
        done = ended(app, change_jobs(app, "cancel", "arg.n:1", expect=1))

    maintenance.reseal(path, [], encryption_keys=[KEY])

    with AntQ(path, start_queues=False) as app:
        assert Insights(app).bulk(done.id).filter == "<encrypted>"
    with AntQ(path, start_queues=False, encryption_key_file=key_file) as app:
        assert Insights(app).bulk(done.id).filter == "arg.n:1"


# ---- as a visitor asks for it ---------------------------------------------------------------


def test_a_form_begins_a_change_and_stops_it(app, monkeypatch):
    monkeypatch.setattr("antq_actors.queues.services.flow.FlowService.run_once", lambda _: False)
    verbs = Insights(app).verbs(OPERATOR)
    sent = {"verb": "retry", "q": "status:failed", "expect": "6", "spread": "5m", "reason": ""}

    dry = verbs.do("bulk", sent={**sent, "dry_run": "true"})
    begun = verbs.do("bulk", sent=sent)
    stopped = verbs.do("stop_bulk", str(begun.more["id"]), sent={"reason": "too many"})

    assert (dry.item.matches, dry.item.changes) == (6, 6)
    assert (begun.item.state, begun.item.total, begun.item.by) == ("running", 6, "ada")
    assert (stopped.item.state, stopped.item.id) == ("stopped", begun.more["id"])
    assert [(each.verb, each.target, each.reason) for each in app.audit()] == [
        ("stop", "bulk 1", "too many")
    ]
    with pytest.raises(BulkEnded):
        verbs.stop_bulk(begun.more["id"])


def test_ticked_jobs_come_one_by_one(app):
    app.queue("mail").pause()
    failed = ids(app, status="failed")
    verbs = Insights(app).verbs(OPERATOR)

    one = verbs.bulk(verb="retry", id=str(failed[0]), q="", expect=1)
    two = verbs.bulk(verb="delete", id=[str(failed[1]), failed[2], ""], expect=2)

    assert ended(app, one.more["id"]).changed == 1
    assert ended(app, two.more["id"]).changed == 2


def test_a_cancel_has_a_token_that_undoes_it(app):
    verbs = Insights(app).verbs(OPERATOR)
    done = verbs.bulk(verb="cancel", q="queue:later", expect=4)
    ended(app, done.more["id"])

    undone = verbs.undo(done.undo)

    assert (undone.item.verb, undone.changed) == ("undo", 4)
    assert app.count_jobs(status="scheduled") == 4


def test_a_reader_may_look_what_would_change_and_no_more(app):
    verbs = Insights(app).verbs(Visitor(Access.READ, "eve"))

    assert verbs.bulk(verb="delete", q="", dry_run=True).item.matches == 14
    with pytest.raises(Forbidden):
        verbs.bulk(verb="delete", q="", expect=14)
    with pytest.raises(Forbidden):
        verbs.stop_bulk(1)


# ---- the lines that do the same -------------------------------------------------------------


def test_the_line_of_python_does_the_same(app):
    app.queue("mail").pause()
    found = Insights(app).bulk_preview("retry", 'status:failed error:"no answer"', spread=60)

    exec(found.python, {"app": app})  # noqa: S102 - that it can be run is what it promises

    assert ended(app, 1).changed == 6
    assert app.count_jobs(status="scheduled", queue="mail") == 6


def test_the_line_for_a_shell_quotes_what_it_has_to(app):
    found = Insights(app).bulk_preview("cancel", 'arg.n:"$(rm x)" queue:later')

    words = shlex.split(found.cli)
    assert words[:3] == ["antq", "cancel", "--filter"]
    assert Filter.parse(words[3]) == Filter.parse('arg.n:"$(rm x)" queue:later')
    assert words[4:] == ["--path", str(app.path)]
    assert shlex.split(Insights(app).bulk_preview("retry", ids=[2, 1]).cli)[:4] == [
        *("antq", "retry", "1", "2")
    ]


def test_a_frozen_filter_does_not_find_what_comes_later(app):
    frozen = bulk_changes.frozen_filter(Source(app), "status:failed error:answer ended:<1h")
    look = Insights(app)
    assert look.jobs(frozen).count == 6

    app.enqueue(fail, {"n": 7}, queue="mail")
    app.retry_job(ids(app, status="failed")[0])
    until(lambda: app.count_jobs(status="failed") == 7)

    assert look.jobs(frozen).count == 5
    assert Filter.parse(str(frozen)) == frozen


def test_a_visitor_without_access_makes_no_dry_run(app):
    verbs = Insights(app).verbs(Visitor(Access.NONE))

    with pytest.raises(Forbidden, match="READ"):
        verbs.bulk(verb="delete", q="", dry_run=True)
