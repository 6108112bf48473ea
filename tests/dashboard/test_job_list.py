"""The list of jobs: what is typed, what is found, and how one goes on from there."""

import re
from html import unescape
from urllib.parse import unquote_plus

import pytest
from dashboard.sites import bearer, site
from support.apps import until

from antq_actors import AntQ, Status, worker
from antq_actors.insights import Filter
from antq_actors.insights.search import Search
from antq_actors.insights.values import JobPage
from antq_actors.web import Access
from antq_actors.web.job_list import count_new, newer_than, statuses_of

HOSTILE = '<script>document.title="taken"</script>'


@worker(name="listed:Send", max_attempts=1)
def send(n, to=None, password=None):
    if n % 3 == 0:
        raise ValueError(f"no answer for {n}")


@pytest.fixture
def app(tmp_path):
    with AntQ(path=tmp_path / "jobs", queues={"mail": 2, "low": 1}) as app:
        yield app


def fill(app, count=6):
    """Enqueue jobs of which every third fails, and wait for them."""
    found = app.enqueue_many(send, [{"n": n} for n in range(1, count + 1)], queue="mail")
    until(lambda: app.count_jobs(status={Status.COMPLETED, Status.FAILED}) >= count, "all of them")
    return found


def ids(page):
    return [
        int(id_) for id_ in re.findall(r'data-testid="job-row"[^>]* data-id="(\d+)"', page.text)
    ]


def links(page):
    """Return where the links of a page lead, by what they are called."""
    found = re.findall(r'<a href="([^"]*)"[^>]*>(.*?)</a>', page.text, re.DOTALL)
    return {re.sub(r"<[^>]*>", "", text).strip(): unescape(href) for href, text in found}


@pytest.mark.parametrize("prefix", ["", "/a/b"])
def test_jobs_are_listed_newest_first_with_their_status(app, prefix):
    fill(app)

    page = site(app, prefix=prefix).get(f"{prefix}/jobs")

    assert page.status_code == 200
    assert "<title>Jobs · jobs · antq</title>" in page.text
    assert ids(page) == [6, 5, 4, 3, 2, 1]
    assert page.text.count('data-status="failed"') >= 2
    assert 'aria-label="Select job 6"' in page.text
    assert "6 jobs</p>" in page.text


def test_an_empty_store_says_what_would_fill_it(app):
    page = site(app).get("/jobs")

    assert 'data-testid="empty"' in page.text
    assert "perform_async" in page.text


def test_each_condition_is_a_chip_with_a_link_that_takes_it_away(app):
    fill(app)

    page = site(app).get("/jobs", params={"q": "status:failed queue:mail"})

    assert ids(page) == [6, 3]
    assert page.text.count('data-testid="filter-chip"') == 2
    rests = re.findall(r'href="./jobs\?([^"]*)" aria-label="Remove ([^"]*)"', page.text)
    assert rests == [("q=queue%3Amail", "status:failed"), ("q=status%3Afailed", "queue:mail")]
    assert 'value="status:failed queue:mail"' in page.text


def test_what_is_no_filter_stays_in_its_box_and_lists_nothing(app):
    fill(app)

    page = site(app).get("/jobs", params={"q": f'queu:mail "{HOSTILE}'})

    assert page.status_code == 400
    assert 'data-testid="filter-error"' in page.text
    assert "the keys are status, queue" in unescape(page.text)
    assert f'queu:mail "{HOSTILE}' in unescape(page.text)
    assert HOSTILE not in page.text
    assert ids(page) == []
    assert 'data-testid="count"' not in page.text


def test_pages_lead_forth_and_back_to_the_same_jobs(app):
    fill(app, 120)
    client = site(app)

    first = client.get("/jobs", params={"q": "queue:mail"})
    second = client.get(links(first)["Next page"])
    third = client.get(links(second)["Next page"])
    back = client.get(links(third)["Previous page"])

    assert ids(first) + ids(second) + ids(third) == list(range(120, 0, -1))
    assert "Next page" not in links(third)
    assert "Previous page" not in links(first)
    assert ids(back) == ids(second)


def test_the_order_and_the_length_of_a_page_are_links(app):
    fill(app, 60)
    client = site(app)
    page = client.get("/jobs", params={"q": "queue:mail"})

    assert ids(client.get(links(page)["Oldest first"]))[:2] == [1, 2]
    assert len(ids(client.get(links(page)["100"]))) == 60
    assert client.get("/jobs", params={"limit": 70}).status_code == 400


def test_a_search_that_ends_early_says_so_and_can_be_continued(app, monkeypatch):
    fill(app, 300)
    client = site(app)
    monkeypatch.setattr(Search, "is_over", property(lambda _: True))

    page = client.get("/jobs", params={"q": "arg.n:1"})

    assert 'data-testid="partial"' in page.text
    assert "Searched 100 of 300 jobs" in page.text
    assert 'name="after" value="201"' in page.text
    assert "at least 0 jobs" in page.text
    assert "<button>Continue</button>" in page.text


def test_texts_of_jobs_are_text_and_secrets_are_hidden(app):
    app.queue("low").pause()
    app.enqueue(send, {"n": 1, "to": HOSTILE, "password": "s3cret"}, queue="low")

    page = site(app).get("/jobs")

    assert HOSTILE not in page.text
    assert HOSTILE[:20] in unescape(page.text)
    assert "s3cret" not in page.text


def test_a_line_of_arguments_begins_with_what_differs(app):
    app.queue("low").pause()
    app.enqueue_many(send, [{"to": {"lang": "en", "id": n}, "n": 1} for n in (7, 8)], queue="low")

    page = site(app).get("/jobs")
    line = re.search(r'<td class="args-line">(.*?)</td>', page.text, re.DOTALL)[1]

    assert unescape(re.sub(r"<[^>]*>", "", line)) == 'to.id: 8, to.lang: "en", n: 1'


def test_a_worker_is_a_link_that_narrows_the_filter(app):
    fill(app)

    page = site(app).get("/jobs", params={"q": "status:failed worker:listed:*"})

    (href,) = set(re.findall(r'<a class="worker" href="\./jobs\?q=([^"]*)"', page.text))
    assert unquote_plus(href) == "status:failed worker:listed:Send"


@pytest.mark.parametrize(("level", "is_there"), [(Access.READ, False), (Access.OPERATE, True)])
def test_those_who_may_only_look_get_no_boxes(app, level, is_there):
    fill(app)

    page = site(app, level).get("/jobs", params={"q": "status:failed"})

    for mark in ("bulk-open", "select-all", "Retry all 2 matching jobs"):
        assert (mark in page.text) is is_there


def test_new_jobs_are_counted_since_the_page_was_made(app):
    fill(app)
    insights = site(app)
    page = insights.get("/jobs", params={"q": "queue:mail"})
    assert 'data-region="jobs?q=queue%3Amail&amp;since=6&amp;had=6"' in page.text
    app.queue("mail").pause()
    app.enqueue_many(send, [{"n": n} for n in range(3)], queue="mail")

    again = insights.get("/region/jobs", params={"q": "queue:mail", "since": 6, "had": 6})

    assert '<button data-testid="new-rows">Show 3 new</button>' in again.text


def test_jobs_that_come_to_pass_are_new_as_well():
    def find(asked, limit):
        count = 0 if "id:>9" in str(asked) else 5
        return JobPage(
            items=(),
            next=None,
            previous=None,
            count=count,
            exact=True,
            searched=0,
            complete=True,
        )

    assert count_new(find, Filter.parse("status:failed"), 9, had=3) == 2
    assert count_new(find, Filter.parse("status:failed"), 9, had=None) == 0
    assert str(newer_than(Filter.parse("queue:a"), 9)) == "queue:a id:>9"


def test_a_status_keeps_the_other_conditions():
    found = statuses_of(Filter.parse("queue:mail status:failed,retrying"))

    assert found[0].filter == "queue:mail"
    assert found[1].filter == "status:enqueued queue:mail"
    assert not any(each.is_current for each in found)


def test_the_api_answers_a_page_of_jobs_and_the_sentence_of_a_wrong_filter(app):
    fill(app)
    client = site(app)

    found = client.get("/api/v1/jobs?q=status:failed", headers=bearer(Access.READ)).json()
    wrong = client.get("/api/v1/jobs?q=x", headers=bearer(Access.READ))

    assert [each["id"] for each in found["items"]] == [6, 3]
    assert wrong.status_code == 400
    assert wrong.json()["error"]["code"] == "FilterError"
