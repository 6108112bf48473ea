"""Searches: what they find is what a filter lets pass, page by page, and what they say of it."""

import json
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.apps import until

from antq_actors import AntQ, Fail, Job, NotRetryable, Workflow, worker
from antq_actors.insights import FilterError, Insights
from antq_actors.storage.jobs.reader import JobReader

HOUR = timedelta(hours=1)


@worker(name="shop.mail:SendReceipt", max_attempts=1)
def send(n, user=None, token=None):
    if n % 3 == 0:
        raise TimeoutError(f"no answer from {n}")
    return Fail("refused") if n % 7 == 0 else None


@worker(name="shop:Resize", max_attempts=5, retry_delay=7200)
def resize(n):
    if n % 2:
        raise KeyError("size")


@worker(name="plain")
def plain(n=0):
    """Do nothing."""


released = threading.Event()


@worker(name="searched:hold")
def hold(job: Job):
    job.progress(0.5)
    released.wait(60)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """An application with jobs in each status that they can have while nothing runs."""
    path = tmp_path_factory.mktemp("shop") / "jobs"
    with ExitStack() as stack:
        app = stack.enter_context(AntQ(path, queues={"default": 2, "mail": 2, "low": 1}))
        app.queue("low").pause()
        app.enqueue_many(
            send, [{"n": n, "user": {"id": n % 4, "name": f"u{n}"}} for n in range(24)]
        )
        app.enqueue_many(resize, [{"n": n} for n in range(10)], queue="mail")
        with app.batch("nightly") as batch:
            batch.enqueue_many(plain, [{"n": n} for n in range(6)])
        flow = Workflow("order")
        flow.add(plain, {"n": 2}, name="second", after=flow.add(plain, {"n": 1}, name="first"))
        app.start_workflow(flow)
        app.enqueue_many(plain, [{"n": n} for n in range(8)], queue="low", meta={"tenant": "acme"})
        app.enqueue(send, {"n": 1, "token": "s3cret", "user": None}, queue="low")
        app.enqueue(send, {"n": "1", "user": {"id": "2", "password": 7}}, queue="low", priority=3)
        for hours in (0.5, 2, 30):
            app.enqueue(plain, {"n": hours}, schedule_in=timedelta(hours=hours))
        app.cancel_job(app.enqueue(plain, queue="low"))
        until(lambda: not app.count_jobs(status=["running", "suspended"], queue="default"))
        until(lambda: not app.count_jobs(status=["enqueued", "running"], queue="mail"))
        until(lambda: not app.count_jobs(status="enqueued", queue="default"))
        yield app


def facts_of(app, job):
    """Return what a job has for each key, found otherwise than by a search."""
    batch, flow = job.batch, job.workflow
    return {
        "id": job.id,
        "status": str(job.status),
        "queue": job.queue_name,
        "worker": job.worker,
        "attempts": job.attempts,
        "error": job.errors[0].summary if job.errors else None,
        "inserted": job.inserted_at,
        "started": job.started_at,
        "ended": job.ended_at,
        "due": job.scheduled_at,
        "batch": None if batch is None else batch.id,
        "workflow": None if flow is None else flow.id,
        "arg.n": job.args.get("n"),
        "arg.user.id": (job.args.get("user") or {}).get("id"),
        "meta.tenant": job.meta.get("tenant"),
        "arg.token": None,
    }


@pytest.fixture(scope="module")
def known(shop):
    return [facts_of(shop, job) for job in shop.list_jobs()]


def equal(key, text):
    """Return a value of a filter, and what says whether a job has it."""

    def has(found):
        if key == "error":
            return text in found
        if key == "worker":
            return text in (found, found.rpartition(":")[2])
        if key in ("arg.n", "arg.user.id") and not isinstance(found, str):
            return found == json.loads(text)
        return found == text

    return f'"{text}"' if " " in text else text, has


def begins(key, text):
    names = (lambda found: (found, found.rpartition(":")[2])) if key == "worker" else None
    return (
        f"{text}*",
        lambda found: (
            isinstance(found, str)
            and any(name.startswith(text) for name in (names(found) if names else (found,)))
        ),
    )


def number(low, high):
    return st.sampled_from(
        [
            (f"{low}", lambda found: found == low),
            (f">{low}", lambda found: found > low),
            (f"<={low}", lambda found: found <= low),
            (f"{low}..{high}", lambda found: low <= found <= high),
        ]
    )


def moment(key, hours):
    """Ages and waits are compared with the clock: none is within minutes of the edge."""
    age = timedelta(hours=hours)

    def passed(found):
        return found - datetime.now(UTC) if key == "due" else datetime.now(UTC) - found

    at = datetime.now(UTC) + (age if key == "due" else -age)
    return st.sampled_from(
        [
            (f"<{hours}h", lambda found: passed(found) < age),
            (f">={hours}h", lambda found: passed(found) >= age),
            (f">{at.isoformat()}", lambda found: found > at),
            (f"{at.isoformat()}..2100-01-01", lambda found: found >= at),
        ]
    )


def texts(key, words):
    return st.sampled_from([equal(key, word) for word in words])


VALUES = {
    "status": texts("status", ["completed", "failed", "retrying", "scheduled", "enqueued"]),
    "queue": texts("queue", ["default", "mail", "low", "none"])
    | st.sampled_from([begins("queue", "m"), begins("queue", "")]),
    "worker": texts("worker", ["plain", "SendReceipt", "shop:Resize"])
    | st.sampled_from([begins("worker", "S"), begins("worker", "shop")]),
    "error": texts("error", ["TimeoutError", "refused", "size", "no answer from 1"]),
    "id": st.integers(1, 60).flatmap(lambda low: number(low, low + 9)),
    "attempts": number(1, 2) | number(0, 1),
    "inserted": moment("inserted", 1),
    "started": moment("started", 1),
    "ended": moment("ended", 1),
    "due": st.sampled_from([1, 3, 100]).flatmap(lambda hours: moment("due", hours)),
    "batch": st.integers(1, 60).map(lambda n: (f"{n}", lambda found: found == n)),
    "workflow": st.integers(1, 60).map(lambda n: (f"{n}", lambda found: found == n)),
    "arg.n": texts("arg.n", ["1", "2", "null"]),
    "arg.user.id": texts("arg.user.id", ["2", "3"]) | st.just(begins("arg.user.id", "2")),
    "meta.tenant": texts("meta.tenant", ["acme"]) | st.just(begins("meta.tenant", "a")),
    "arg.token": texts("arg.token", ["s3cret"]) | st.just(begins("arg.token", "")),
}
terms = st.sampled_from(sorted(VALUES)).flatmap(
    lambda key: st.tuples(
        st.just(key), st.lists(VALUES[key], min_size=1, max_size=3), st.booleans()
    )
)
ORDERS = st.sampled_from(["newest", "oldest"])


def text_of(terms):
    return " ".join(
        f"{'-' if is_negated else ''}{key}:{','.join(text for text, _ in values)}"
        for key, values, is_negated in terms
    )


def found_by(terms, facts):
    def holds(key, values):
        # An argument that is None is there: null is what matches it.
        found = facts[key]
        return found is not None and any(has(found) for _, has in values)

    return all(holds(key, values) is not is_negated for key, values, is_negated in terms)


def ids(page):
    return [item.id for item in page.items]


def walk(insights, text, step, **how):
    """Return the ids of all pages one after the other, forward or back from the last."""
    pages = [insights.jobs(text, **how)]
    while getattr(pages[-1], step) is not None:
        at = getattr(pages[-1], step)
        name = "after" if step == "next" else "before"
        pages.append(insights.jobs(text, **{**how, name: at}))
        assert len(pages) < 500
    return pages


@settings(max_examples=150)
@given(terms=st.lists(terms, max_size=3), order=ORDERS, limit=st.integers(1, 30))
def test_pages_have_each_job_that_passes_once_in_order(shop, known, terms, order, limit):
    text = text_of(terms)
    expected = [facts["id"] for facts in known if found_by(terms, facts)]
    if order == "newest":
        expected.reverse()

    pages = walk(Insights(shop), text, "next", order=order, limit=limit, budget=60)

    assert [id_ for page in pages for id_ in ids(page)] == expected, text
    for page in pages:
        assert (page.count, page.exact, page.complete) == (len(expected), True, True)
        assert len(page.items) <= limit
    assert pages[0].previous is None


@settings(max_examples=50)
@given(terms=st.lists(terms, max_size=2), order=ORDERS, limit=st.integers(1, 30))
def test_the_way_back_leads_by_the_same_jobs_to_the_first_page(shop, terms, order, limit):
    insights, text = Insights(shop), text_of(terms)
    there = walk(insights, text, "next", order=order, limit=limit, budget=60)
    if there[-1].previous is None:
        return

    back = walk(
        insights, text, "previous", order=order, limit=limit, budget=60, before=there[-1].previous
    )

    assert [ids(page) for page in back[::-1]] == [ids(page) for page in there[:-1]]
    assert back[-1].previous is None
    assert back[0].next == there[-2].next


@settings(max_examples=50)
@given(terms=st.lists(terms, max_size=2), order=ORDERS)
def test_a_search_without_time_goes_on_where_it_stopped(shop, known, terms, order):
    text = text_of(terms)
    expected = {facts["id"] for facts in known if found_by(terms, facts)}

    pages = walk(Insights(shop), text, "next", order=order, limit=3, budget=0)

    found = [id_ for page in pages for id_ in ids(page)]
    assert len(found) == len(set(found))
    assert set(found) == expected
    for page in pages:
        assert page.exact is page.complete
        assert page.count <= len(expected)
        assert page.searched <= len(known)


@pytest.fixture
def many(tmp_path):
    with AntQ(tmp_path / "jobs", start_queues=False) as app:
        app.enqueue_many(plain, ({"n": n} for n in range(3_000)))
        yield app


def test_a_search_whose_budget_ends_says_how_far_it_is(many):
    insights = Insights(many)

    first = insights.jobs("arg.n:5", budget=0)

    assert (first.items, first.count, first.exact, first.complete) == ((), 0, False, False)
    assert 0 < first.searched < 3_000
    assert first.next == 3_000 - first.searched + 1
    pages = walk(insights, "arg.n:5", "next", budget=0)
    assert [ids(page) for page in pages if page.items] == [[6]]
    assert sum(page.searched for page in pages) == 3_000


def test_a_full_page_of_a_search_whose_budget_ends_has_a_count_of_what_was_found(many):
    page = Insights(many).jobs("worker:plain", limit=10, budget=0)

    assert ids(page) == list(range(3_000, 2_990, -1))
    assert (page.next, page.exact, page.complete) == (2_991, False, False)
    assert 10 < page.count < 3_000
    assert Insights(many).jobs("worker:plain", limit=10, budget=60).count == 3_000


def test_statuses_and_queues_are_counted_by_the_store_and_no_more_jobs_are_read(many):
    page = Insights(many).jobs("status:enqueued,failed -queue:low", limit=10, budget=0)

    assert (page.count, page.exact, page.complete, page.next) == (3_000, True, True, 2_991)
    assert page.searched == 11


def test_a_page_backward_that_is_the_first_counts_no_job_twice(many):
    page = Insights(many).jobs("worker:plain", before=2_998, limit=10, budget=60)

    assert ids(page) == list(range(3_000, 2_990, -1))
    assert (page.previous, page.searched) == (None, 3_000)


def test_ids_narrow_what_is_looked_at(many):
    page = Insights(many).jobs("id:100..120,150 -id:110", budget=0, limit=5)

    assert (page.count, page.exact, page.searched) == (21, True, 51)
    assert ids(page) == [150, 120, 119, 118, 117]


@pytest.mark.parametrize(
    ("text", "searched"), [("error:refused", 20), ("ended:<1h -worker:none", 40)]
)
def test_indexes_of_errors_and_ends_name_what_is_looked_at(tmp_path, text, searched):
    with AntQ(tmp_path / "jobs", queues={"default": 1}) as app:
        app.enqueue_many(send, [{"n": n} for n in [7, 1] * 20])
        until(lambda: app.count_jobs(status=["completed", "failed"]) == 40)
        app.queue("default").pause()
        app.enqueue_many(plain, [{}] * 500)
        page = Insights(app).jobs(text, budget=60)

    assert (page.searched, page.exact) == (searched, True)
    assert page.count == searched


def test_a_batch_is_looked_at_by_its_members(shop):
    (batch,) = shop.batches()

    page = Insights(shop).jobs(f"batch:{batch.id}", budget=0)

    assert (page.count, page.exact, page.searched) == (6, True, 6)
    assert Insights(shop).jobs(f"workflow:{batch.id}").count == 0
    assert Insights(shop).jobs(f"-workflow:{batch.id}").count == shop.count_jobs()


def test_what_is_redacted_holds_for_no_value_and_is_not_shown(shop):
    insights = Insights(shop, redact=lambda path, value: "***" if path == "args.n" else value)

    assert insights.jobs("arg.n:1").count == insights.jobs('arg.n:"***"').count == 0
    assert insights.jobs("-arg.n:1").count == shop.count_jobs()
    assert Insights(shop).jobs("arg.token:s3cret").count == 0
    assert Insights(shop).jobs("arg.user.password:7,*").count == 0
    assert "s3cret" not in repr(insights.jobs("queue:low"))
    assert "'token': '<redacted>'" in repr(insights.jobs("queue:low"))


def test_redact_is_asked_for_errors_and_meta_as_well(shop):
    seen = {}

    def redact(path, value):
        seen[path] = value
        return "hidden" if path in ("error", "stack_trace", "meta.tenant") else value

    insights = Insights(shop, redact=redact)

    failed = insights.jobs("status:failed", limit=1).items[0]
    assert {error.error for error in failed.errors} == {"hidden"}
    assert insights.jobs("error:answer").count == 0
    assert insights.jobs("error:hidden").count == Insights(shop).jobs('error:""').count > 0
    assert insights.jobs("meta.tenant:acme").count == 0
    assert insights.jobs("queue:low", limit=1, order="oldest").items[0].meta == {"tenant": "hidden"}
    assert seen["meta.tenant"] == "acme"


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        ("completed", {"cancel", "run-now", "reschedule"}),
        ("failed", {"cancel", "run-now", "reschedule"}),
        ("cancelled", {"cancel", "run-now", "reschedule"}),
        ("scheduled", {"retry"}),
        ("retrying", {"retry"}),
        ("enqueued", {"retry", "run-now"}),
    ],
)
def test_actions_say_what_can_be_done_with_a_job_and_why_not(shop, status, refused):
    item = Insights(shop).jobs(f"status:{status}", limit=1).items[0]

    assert set(item.actions) == {"retry", "cancel", "delete", "run-now", "reschedule", "again"}
    assert {verb for verb, allowed in item.actions.items() if allowed is not True} == refused
    assert all(isinstance(item.actions[verb], str) for verb in refused)


def test_a_job_that_was_cut_off_says_which_one_is_to_be_retried_before_it(tmp_path):
    with AntQ(tmp_path / "jobs", queues={"default": 1}) as app:
        flow = Workflow("order")
        flow.add(plain, name="second", after=flow.add(send, {"n": 0}, name="first"))
        app.start_workflow(flow)
        until(lambda: app.count_jobs(status=["failed", "cancelled"]) == 2)
        second, first = Insights(app).jobs().items

        assert first.actions["retry"] is True
        assert second.actions["retry"] == (
            f"job {second.id} was cut off, as job {first.id} did not complete: retry job"
            f" {first.id}, and this one waits for it again"
        )
        with pytest.raises(NotRetryable) as refused:
            app.retry_job(second.id)
        assert str(refused.value) == second.actions["retry"]


def test_a_running_job_is_found_by_its_node_alone_and_shows_its_progress():
    with AntQ(queues={"default": 1}) as app:
        app.enqueue_many(hold, [{}, {}])
        until(lambda: Insights(app).jobs("status:running").count)
        try:
            insights = Insights(app)
            page = insights.jobs(f"node:{app.node}", budget=0)
            assert (ids(page), page.exact, page.searched) == ([1], True, 1)
            assert ids(insights.jobs("node:1*,2* -started:>1h")) == [1]
            assert ids(insights.jobs("-node:*")) == ids(insights.jobs("due:<1h")) == [2]
            until(lambda: insights.jobs("id:1").items[0].last_progress)
            app.cancel_job(1)
            (item,) = insights.jobs("status:running").items
            assert item.actions["cancel"] == (
                "it is being cancelled: it ends as soon as its attempt does"
            )
        finally:
            released.set()


def test_nothing_opaque_is_loaded(shop):
    job = shop.enqueue(plain, {"n": Fail("opaque")}, queue="low")
    try:
        page = Insights(shop).jobs(f"id:{job.id} -arg.n:*")
        assert ids(page) == [job.id]
        assert repr(page.items[0].args["n"]).startswith("<opaque ")
    finally:
        shop.delete_job(job.id)


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"filter": "colour:red"}, FilterError, "unknown key 'colour'"),
        ({"filter": None}, TypeError, "a filter is text"),
        ({"after": "7"}, TypeError, "after must be the id of a job or None, got '7'"),
        ({"before": 1.5}, TypeError, "before must be"),
        ({"after": 1, "before": 2}, ValueError, "give after or before, not both"),
        ({"limit": 0}, ValueError, "limit must be at least 1, got 0"),
        ({"limit": True}, TypeError, "limit must be a whole number"),
        ({"budget": -1}, ValueError, "budget must be 0 seconds or more"),
        ({"budget": float("nan")}, ValueError, "budget must be"),
        ({"budget": "1"}, TypeError, "budget must be a number of seconds"),
        ({"order": "up"}, ValueError, "order must be 'newest' or 'oldest'"),
    ],
)
def test_wrong_questions_are_refused(shop, how, error, message):
    with pytest.raises(error, match=message):
        Insights(shop).jobs(**how)


def test_cursors_beyond_all_ids_are_pages_without_jobs(shop):
    insights = Insights(shop)

    assert insights.jobs(after=0).items == ()
    assert insights.jobs(after=-5).items == insights.jobs(after=1).items == ()
    assert insights.jobs(before=10**30, limit=2).items == insights.jobs(limit=2).items
    assert insights.jobs(after=10**30, order="oldest").items == ()
    assert insights.jobs(limit=10**30).items == insights.jobs(limit=1_000).items
    assert insights.jobs(f"id:>{10**25}").items == ()
    assert insights.jobs("id:<1").items == insights.jobs("id:5..3").items == ()


def test_the_first_page_of_plain_filters_reads_one_page_of_jobs(many, monkeypatch):
    read = []
    real = JobReader.search_page

    def noted(self, lanes, span, *, size, errors):
        page = real(self, lanes, span, size=size, errors=errors)
        read.append(len(page.jobs))
        return page

    monkeypatch.setattr(JobReader, "search_page", noted)
    for text in ("", "status:enqueued", "queue:default", "-status:failed queue:d*"):
        Insights(many).jobs(text)

    assert read == [51] * 4
