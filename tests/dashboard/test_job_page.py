"""The page of one job: its head, why it does not run, its film, attempts and arguments."""

import re
import threading
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
from dashboard.sites import OWN, bearer, site
from support.apps import until

from antq_actors import AntQ, Job, Status, worker
from antq_actors.insights import Insights, Visitor
from antq_actors.insights.values import FilmStop
from antq_actors.web import Access
from antq_actors.web.job_args import Budget, escaped_bytes, tree_of
from antq_actors.web.job_film import bars_of
from antq_actors.web.job_runs import sections_of

HOSTILE = '<script>document.title="taken"</script>'
NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
released = threading.Event()


@worker(name="paged:Fail", max_attempts=2, retry_delay=0)
def fail(**given):
    raise ValueError(next(iter(given.values()), "no arguments"))


@worker(name="paged:Hold")
def hold(job: Job):
    job.progress(0.25, "a quarter")
    released.wait(60)


@pytest.fixture
def app(tmp_path):
    with AntQ(path=tmp_path / "jobs", queues={"mail": 2, "low": 1}) as app:
        released.clear()
        app.queue("low").pause(by="ada", reason="the provider is down")
        yield app
        released.set()


def failed(app, args):
    """Return the id of a job that has failed in both of its attempts."""
    job = app.enqueue(fail, args, queue="mail")
    until(lambda: app.get_job(job.id).status is Status.FAILED, "the job to fail")
    return job.id


def shown(page):
    """Return the text of a page."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


@pytest.mark.parametrize("prefix", ["", "/a/b"])
def test_a_job_has_its_name_status_and_worker_on_its_page(app, prefix):
    id_ = failed(app, {"to": "a@b.c"})

    page = site(app, prefix=prefix).get(f"{prefix}/jobs/{id_}")

    assert page.status_code == 200
    assert f"<title>Job {id_} · jobs · antq</title>" in page.text
    assert f"<h1>Job {id_}</h1>" in page.text
    assert re.search('data-testid="job-head" data-status="failed"', page.text)
    assert 'aria-current="page"' in page.text
    assert "paged: Fail in mail" in shown(page)


def test_the_page_of_a_job_that_there_is_not_is_one_of_the_shell(app):
    page = site(app).get("/jobs/4711")

    assert page.status_code == 404
    assert 'data-testid="nav-jobs"' in page.text


def test_a_job_that_waits_shows_all_conditions_and_who_paused_its_queue(app):
    job = app.enqueue(fail, {"to": "a"}, queue="low")
    client = site(app)

    page = client.get(f"/jobs/{job.id}")
    rows = re.findall(r'data-testid="why-row" data-ok="(\w+)" data-code="(\w+)"', page.text)

    assert [code for ok, code in rows if ok != "yes"] == [
        reason.code for reason in app.explain(job.id).reasons
    ]
    assert ("no", "paused") in rows
    assert sum(ok == "yes" for ok, _ in rows) > 5
    assert "Paused by ada" in shown(page)
    assert "the provider is down" in shown(page)


def test_a_job_that_has_ended_says_how_and_by_whom(app):
    job = app.enqueue(fail, {"to": "a"}, queue="low")
    verbs = Insights(app).verbs(Visitor(Access.OPERATE, "grace"))
    verbs.cancel(job.id, reason="a duplicate")

    text = shown(site(app).get(f"/jobs/{job.id}"))

    ended = app.get_job(job.id).ended_at
    assert f"Cancelled {ended:%Y-%m-%d %H:%M} UTC by grace: a duplicate." in text
    text = shown(site(app).get(f"/jobs/{failed(app, {})}"))
    assert re.search(r"Failed \d{4}-\d\d-\d\d \d\d:\d\d UTC\.", text)


def test_equal_errors_are_shown_once_with_their_number(app):
    id_ = failed(app, {"to": HOSTILE})

    page = site(app).get(f"/jobs/{id_}")

    assert page.text.count('data-testid="attempt"') == 2
    assert page.text.count('data-testid="traceback"') == 1
    assert "×2" in page.text
    assert HOSTILE not in page.text
    assert HOSTILE in unescape(page.text)


def test_the_film_has_a_stop_for_each_change_and_shows_the_one_that_is_asked_for(app):
    id_ = failed(app, {"to": "a"})
    client = site(app)

    last = client.get(f"/jobs/{id_}")
    first = client.get(f"/jobs/{id_}", params={"at": 0})
    stops = re.findall(r'data-testid="film-stop" data-status="(\w+)"', last.text)

    assert stops == ["enqueued", "running", "retrying", "running", "failed"]
    assert re.search(r'data-testid="film" data-status="failed"', last.text)
    assert re.search(r'data-testid="film" data-status="enqueued"', first.text)
    assert re.search('data-testid="job-head" data-status="failed"', first.text)
    assert first.text.count('aria-current="step"') == 1
    assert 'min="0" max="4" value="0"' in first.text
    assert f'aria-label="Life of job {id_}"' in first.text
    assert re.search(r'aria-valuetext="enqueued, [^"]+ UTC"', first.text)
    for wrong in ("5", "-1", "x", "1.5", "9" * 30):
        assert client.get(f"/jobs/{id_}", params={"at": wrong}).status_code == 400


def test_a_running_job_shows_its_progress_and_where_it_is(app):
    job = app.enqueue(hold, {}, queue="mail")
    until(lambda: app.get_job(job.id).last_progress is not None, "its progress")

    page = site(app).get(f"/jobs/{job.id}")

    assert "25 % a quarter" in shown(page)
    assert "released.wait(60)" in page.text
    assert 'data-code="running"' in page.text
    assert "a coroutine ends at its next await" in shown(page)


def test_what_is_left_of_the_film_is_its_spans():
    def stop(status, seconds, due=None):
        return FilmStop(
            at=NOON + timedelta(seconds=seconds),
            status=status,
            attempt=0,
            node=0,
            cause=None,
            due=None if due is None else NOON + timedelta(seconds=due),
            args={},
            error=None,
            changes={},
        )

    bars = bars_of(
        [stop(Status.SCHEDULED, 0, due=60), stop(Status.RUNNING, 70), stop(Status.COMPLETED, 75)],
        NOON + timedelta(days=1),
    )

    assert [(bar.kind, bar.seconds) for bar in bars] == [
        ("not-due", 60),
        ("due", 10),
        ("running", 5),
    ]
    assert bars[0].x == 0
    assert sum(bar.width for bar in bars) == pytest.approx(1_000, abs=1)


def test_a_job_is_beside_what_happened_while_it_lived(app):
    id_ = failed(app, {"to": "a"})
    app.queue("mail").pause(by="ada")
    waiting = app.enqueue(fail, {"to": "b"}, queue="mail")
    app.queue("mail").resume()
    until(lambda: app.get_job(waiting.id).status is Status.FAILED, "the second job to fail")

    page = site(app).get(f"/jobs/{waiting.id}")

    assert "A typical job of this worker has waited" in shown(page)
    assert 'data-kind="resumed"' in page.text
    assert 'data-kind="resumed"' not in site(app).get(f"/jobs/{id_}").text


TRACE = """Traceback (most recent call last):
  File "/srv/shop/mail.py", line 7, in send
    client.post(url)
  File "/usr/lib/python3.11/site-packages/httpx/_client.py", line 1, in post
    return self.request()
           ^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/site-packages/httpx/_client.py", line 2, in request
    raise Timeout
httpx.Timeout: too late
    with a second line"""


def test_frames_of_libraries_are_folded():
    found = sections_of(TRACE)

    assert [(each.kind, each.frames, each.is_open) for each in found] == [
        ("text", 0, True),
        ("own", 1, True),
        ("library", 2, False),
        ("text", 0, True),
    ]
    assert "\n".join(each.text for each in found) == TRACE


def test_the_innermost_frames_are_open_where_none_is_the_users():
    found = sections_of(TRACE.replace("/srv/shop", "/usr/lib/python3.11/site-packages"))

    assert [each.is_open for each in found] == [True, True, True]


# ---- arguments ------------------------------------------------------------------------------


def test_arguments_are_a_tree_without_secrets(app):
    id_ = failed(app, {"user": {"id": 7, "tags": ["a", HOSTILE]}, "password": "s3cret", "n": None})

    page = site(app).get(f"/jobs/{id_}")

    assert "user {2 keys} id : 7 tags [2 items] 0 : a" in shown(page)
    assert "n : null" in shown(page)
    assert "s3cret" not in page.text
    assert HOSTILE not in page.text


def test_a_long_text_is_cut_and_shown_whole_when_asked_for(app):
    text = "x" * 50_000 + "the end"
    id_ = failed(app, {"a": 1, "text": text})
    client = site(app)

    page = client.get(f"/jobs/{id_}")
    link = unescape(re.search(r'<a class="rest" href="([^"]*)">Show all</a>', page.text)[1])
    whole = client.get(f"/jobs/{link.split('/jobs/')[1]}")

    assert text not in page.text
    assert text in whole.text


LARGE = {
    "ten megabytes": "0123456789<" * 1_000_000,
    "ten thousand keys": {f"key {number}": number for number in range(10_000)},
    "lists": [[[number] * 50] * 50 for number in range(50)],
    "quotes": ['"' * 10_000] * 200,
    "a large number": 10**4_000,
}


@pytest.mark.parametrize("what", LARGE)
@pytest.mark.parametrize("show", [None, "args.0", "raw", "error.1"])
def test_the_page_of_a_job_stays_below_a_megabyte(app, what, show):
    app.queue("mail").pause()
    job = app.enqueue(fail, {what: LARGE[what]}, queue="mail")

    page = site(app).get(f"/jobs/{job.id}", params={} if show is None else {"show": show})

    assert page.status_code == 200
    assert len(page.content) < 1_000_000


def test_deep_arguments_end_somewhere():
    deep = None
    for _ in range(60):
        deep = {"down": deep}

    tree = tree_of(deep, "args", Budget())
    asked = tree_of(deep, "args", Budget(whole="args" + ".0" * 60))

    def depth(node):
        return 1 + max(map(depth, node.children), default=0)

    assert depth(tree) < 30
    assert depth(asked) == 61


@pytest.mark.parametrize("text", ["<" * 1_000, "é" * 1_000, "\ud800" * 1_000, "plain"])
def test_a_budget_is_not_exceeded(text):
    budget = Budget(left=500)

    cut = budget.cut(text, 10_000, "args")

    assert escaped_bytes(cut.text) <= 500
    assert len(cut.text) + cut.rest == len(text)


def test_texts_share_the_budget_of_a_page():
    budget = Budget(left=500)

    first, second = budget.cut("a" * 400, 10_000, "args.0"), budget.cut("b" * 400, 10_000, "args.1")

    assert (len(first.text), len(second.text)) == (400, 100)
    assert second.rest == 300


def test_all_of_a_job_can_be_saved(app):
    id_ = failed(app, {"text": "x" * 50_000, "token": "s3cret"})

    saved = site(app).get(f"/jobs/{id_}", params={"as": "json"})

    assert saved.headers["content-disposition"] == f'attachment; filename="job-{id_}.json"'
    assert saved.json()["args"] == {"text": "x" * 50_000, "token": "<redacted>"}


def test_other_jobs_with_the_same_error_are_links(app):
    first, second = (failed(app, {"to": "a"}) for _ in range(2))

    page = site(app).get(f"/jobs/{second}")
    related = page.text.split('data-testid="related"')[1]

    assert f'href="../jobs/{first}"' in related
    assert "Same error" in related


def test_the_region_of_a_job_is_its_moving_part_alone(app):
    id_ = failed(app, {"to": "a"})

    part = site(app).get("/region/job", params={"id": id_})

    assert part.status_code == 200
    assert part.text.count('data-testid="job-head"') == 1
    assert "<h1>" not in part.text
    assert f'href="../jobs/{id_}?at=0#film"' in part.text


def test_the_api_answers_a_job_with_its_runs(app):
    id_ = failed(app, {"to": "a"})

    job = site(app).get(f"/api/v1/jobs/{id_}", headers=bearer(Access.READ)).json()

    assert [run["outcome"] for run in job["runs"]] == ["failed", "failed"]


def test_the_api_explains_a_job_and_a_queue_as_the_application_does(app):
    job = app.enqueue(fail, {"to": "a"}, queue="low")
    client, read = site(app), bearer(Access.READ)

    of_job = client.get(f"/api/v1/jobs/{job.id}/why", headers=read).json()
    of_queue = client.get("/api/v1/queue/why?name=low", headers=read).json()

    assert set(of_job) == {"id", "reasons", "text"}
    assert [each["code"] for each in of_job["reasons"]] == [
        reason.code for reason in app.explain(job.id).reasons
    ]
    assert of_job["text"] == app.explain(job.id).text
    assert of_queue["reasons"][0] == {
        "code": "paused",
        "text": "Queue 'low' is paused, until it is resumed.",
        "queue": "low",
    }
    assert client.get("/api/v1/jobs/4711/why", headers=read).status_code == 404
    assert client.get(f"/jobs/{job.id}/why").status_code == 404


def test_a_copy_names_the_job_that_it_is_of(app):
    job = app.enqueue(fail, {"to": "a"}, queue="low")
    client = site(app)
    client.post(f"/jobs/{job.id}/again", data={}, headers=OWN)

    page = client.get(f"/jobs/{job.id + 1}")

    assert f"Copy of Job {job.id}" in shown(page)


# ---- what is done from it -------------------------------------------------------------------


def buttons(page):
    """Return the buttons of verbs: for each name, whether it can be pressed, and why not."""
    found = re.findall(r'<button[^>]*aria-label="([^"]*job \d+[^"]*)"([^>]*)>', page.text)
    titles = {name: re.search(r'disabled title="([^"]*)"', rest) for name, rest in found}
    return {name: None if title is None else unescape(title[1]) for name, title in titles.items()}


def test_what_cannot_be_done_is_disabled_and_says_why(app):
    id_ = failed(app, {"to": "a"})

    shown_ = buttons(site(app).get(f"/jobs/{id_}"))

    assert shown_[f"Retry job {id_}"] is None
    assert "has ended" in shown_[f"Cancel job {id_}"]
    assert shown_[f"Run job {id_} again"] is None
    assert shown_[f"Delete job {id_}"] is None
    assert {f"Run job {id_} now", f"Reschedule job {id_}"} <= set(shown_)


def test_those_who_may_only_look_get_no_buttons(app):
    id_ = failed(app, {"to": "a"})

    assert buttons(site(app, Access.READ).get(f"/jobs/{id_}")) == {}


def test_a_refused_verb_is_a_sentence_and_changes_nothing(app):
    id_ = failed(app, {"to": "a"})
    before = app.get_job(id_)

    answer = site(app).post(f"/jobs/{id_}/cancel", data={}, headers=OWN)

    assert answer.status_code == 409
    assert 'data-testid="alert"' in answer.text
    assert app.get_job(id_) == before


def test_a_copy_leads_to_its_own_page(app):
    job = app.enqueue(fail, {"to": "a"}, queue="low")
    client = site(app, prefix="/a/b")

    answer = client.post(f"/a/b/jobs/{job.id}/again", data={}, headers=OWN)
    page = client.get(urljoin(f"/a/b/jobs/{job.id}/again", answer.headers["location"]))

    assert answer.status_code == 303
    assert f"<h1>Job {job.id + 1}</h1>" in page.text
    assert "Enqueued a copy." in page.text


def test_what_is_undone_leads_back_to_the_job(app):
    job = app.enqueue(fail, {"to": "a"}, queue="low")
    client = site(app)

    answer = client.post(f"/jobs/{job.id}/cancel", data={"next": "job"}, headers=OWN)
    page = client.get(urljoin(f"/jobs/{job.id}/cancel", answer.headers["location"]))
    undo = re.search(
        r'<form method="post" action="([^"]*)" data-testid="undo">.*?name="token" value="([^"]*)"',
        page.text,
        re.DOTALL,
    )
    undone = client.post(
        urljoin(f"/jobs/{job.id}", unescape(undo[1])),
        data={"token": undo[2], "next": "job"},
        headers=OWN,
    )

    assert app.get_job(job.id).status is Status.ENQUEUED
    assert urljoin("/undo", undone.headers["location"]).startswith(f"/jobs/{job.id}?")


def test_deleting_asks_first(app):
    id_ = failed(app, {"to": "a"})
    client = site(app)

    asked = client.post(f"/jobs/{id_}/delete", data={}, headers=OWN)
    done = client.post(f"/jobs/{id_}/delete", data={"confirm": "1"}, headers=OWN)

    assert asked.status_code == 200
    assert f"<h1>Delete job {id_}</h1>" in asked.text
    assert done.status_code == 303
    assert client.get(f"/jobs/{id_}").status_code == 404


def test_a_verb_of_the_list_leads_back_to_the_same_part_of_it(app):
    job = app.enqueue(fail, {"to": "a"}, queue="low")
    client = site(app)
    query = {"q": "queue:low -status:failed", "limit": "100"}

    page = client.get("/jobs", params=query)
    action = re.search(
        rf'formaction="([^"]*/cancel[^"]*)" aria-label="Cancel job {job.id}"', page.text
    )
    done = client.post(urljoin("/jobs", unescape(action[1])), data={"next": "jobs"}, headers=OWN)
    where = urlsplit(urljoin(f"/jobs/{job.id}/cancel", done.headers["location"]))

    assert where.path == "/jobs"
    assert query.items() <= dict(parse_qsl(where.query)).items()


def test_a_paused_queue_is_resumed_from_the_job_that_waits_for_it(app):
    job = app.enqueue(hold, {}, queue="low")
    client = site(app)

    page = client.get(f"/jobs/{job.id}")
    action = re.search(r'action="([^"]*queue/resume[^"]*)"', page.text)
    done = client.post(
        urljoin(f"/jobs/{job.id}", unescape(action[1])), data={"next": "job"}, headers=OWN
    )

    queue = client.get("/api/v1/queue?name=low", headers=bearer(Access.READ)).json()
    assert queue["paused"] is None
    assert urljoin("/queue/resume", done.headers["location"]).startswith(f"/jobs/{job.id}?")
