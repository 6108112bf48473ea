"""The keys of the terminal view that change something."""

from support.apps import settled, until
from support.terminals import Waits, gate

from antq_actors import Status


def entries(app):
    return [(each.name, each.verb, each.target, each.count) for each in app.audit()]


def test_r_retries_a_job_and_the_audit_names_who_did_it(shop, watching):
    async def use(terminal):
        await terminal.press("2")
        await terminal.shows("■ failed")
        await terminal.press("j", "r")
        await terminal.shows("Retried job 2.")

    watching(shop, use, user="ada")

    until(lambda: shop.get_job(2).error_count == 2)
    assert entries(shop) == [("ada", "retry", "job 2", 1)]


def test_c_cancels_a_waiting_job_and_u_undoes_it(shop, watching):
    async def use(terminal):
        await terminal.press("2")
        await terminal.shows("○ enqueued")
        await terminal.press("c")
        await terminal.shows("Cancelled job 3. u: undo", "⊘ cancelled")
        await terminal.press("u")
        await terminal.shows("Undone.", "○ enqueued", without=["⊘ cancelled"])

    watching(shop, use)

    assert shop.get_job(3).status is Status.ENQUEUED


def test_a_running_job_is_cancelled_only_after_a_question(shop, watching):
    async def use(terminal):
        await terminal.press("2")
        await terminal.shows("▶ running")
        await terminal.press("j", "j", "c")
        await terminal.shows("Job 1 runs.")
        await terminal.press("n")
        await terminal.shows("all jobs", without=["Job 1 runs."])
        assert shop.audit() == []
        await terminal.press("c")
        await terminal.shows("Job 1 runs.")
        await terminal.press("y")
        await terminal.shows("Cancelled job 1.")
        gate.set()

    watching(shop, use)

    assert settled(shop, shop.get_job(1)).status is Status.CANCELLED


def test_ticked_jobs_are_changed_together_and_a_refusal_is_a_sentence(shop, watching):
    waiting = [Waits.perform_async(schedule_in=3600) for _ in range(2)]

    async def use(terminal):
        await terminal.press("2")
        await terminal.shows("5 jobs")
        await terminal.press("x", "j", "x", "j", "j", "x")
        await terminal.shows("3 ticked")
        await terminal.press("c")
        await terminal.shows("Cancelled 2 jobs.", "Job 2: a job that has ended cannot be cancelled")
        await terminal.shows("5 jobs", without=["ticked"])

    watching(shop, use)

    assert {shop.get_job(job.id).status for job in waiting} == {Status.CANCELLED}
    assert shop.get_job(2).status is Status.FAILED


def test_p_resumes_a_paused_queue_pauses_it_again_and_u_undoes_that(shop, watching):
    async def use(terminal):
        await terminal.press("3")
        await terminal.shows("paused by ada")
        await terminal.press("j", "p")
        await terminal.shows("Queue mail is resumed.", without=["paused by ada"])
        await terminal.press("enter")
        await terminal.shows("Queue mail · ")
        await terminal.press("p")
        await terminal.shows("Queue mail is paused. u: undo", "paused by bob")
        await terminal.press("u")
        await terminal.shows("Undone.", without=["paused by bob"])

    watching(shop, use, user="bob")

    assert [each[1:3] for each in entries(shop)] == [
        ("undo", "queue mail"),
        ("pause", "queue mail"),
        ("resume", "queue mail"),
    ]


def test_a_job_is_retried_from_its_own_view(shop, watching):
    async def use(terminal):
        await terminal.press("2")
        await terminal.shows("■ failed")
        await terminal.press("j", "enter")
        await terminal.shows("Job 2 · ", "r: retry it")
        await terminal.press("r")
        await terminal.shows("Retried job 2.")

    watching(shop, use)

    assert entries(shop)[0][1:] == ("retry", "job 2", 1)


def test_read_only_changes_nothing_and_says_what_it_would_take(shop, watching):
    async def use(terminal):
        await terminal.press("2")
        await terminal.shows("3 jobs", "read only")
        await terminal.press("c")
        await terminal.shows("this takes the level OPERATE, and yours is READ")
        await terminal.press("3", "j", "p")
        await terminal.shows("2 queues", "this takes the level OPERATE")
        await terminal.press("question_mark")
        await terminal.shows("change the tab", without=["cancel the job"])

    watching(shop, use, is_read_only=True)

    assert shop.audit() == []
    assert shop.get_job(3).status is Status.ENQUEUED


def test_nothing_to_undo_is_said(shop, watching):
    async def use(terminal):
        await terminal.shows("live")
        await terminal.press("u")
        await terminal.shows("There is nothing to undo")

    watching(shop, use)


def test_o_opens_the_same_in_the_browser(shop, watching, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url, **_: opened.append(url))

    async def use(terminal):
        await terminal.press("2")
        await terminal.shows("3 jobs")
        await terminal.press("o")
        await terminal.shows("set ANTQ_WEB_URL")
        monkeypatch.setenv("ANTQ_WEB_URL", "http://127.0.0.1:8420/antq/?t=secret")
        await terminal.press("enter", "o")
        await terminal.shows("Opened http://127.0.0.1:8420/antq/jobs/3")

    monkeypatch.delenv("ANTQ_WEB_URL", raising=False)
    watching(shop, use)

    assert opened == ["http://127.0.0.1:8420/antq/jobs/3"]
