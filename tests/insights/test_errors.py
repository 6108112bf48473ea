"""Groups of failures: which jobs are in them, what they say, and what is known of them."""

from datetime import UTC, datetime, timedelta

import pytest
from support.apps import until

from antq_actors import AntQ, Cancel, Fail, current_job, worker
from antq_actors.insights import FilterError, Insights
from antq_actors.insights.errors import failed_jobs


def look_up(n):
    raise KeyError(f"user {n}")


@worker(name="shop:Send", max_attempts=1)
def send(n):
    if n % 2:
        look_up(n)
    return Fail(f"refused by host {n}") if n % 4 else None


@worker(name="shop:Read", max_attempts=2, retry_delay=0)
def read(n):
    look_up(n)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """An application of which 4 of 8 jobs failed to look up a user and 2 were refused."""
    with AntQ(tmp_path_factory.mktemp("shop") / "jobs", queues={"default": 2, "mail": 1}) as app:
        app.enqueue_many(send, [{"n": n} for n in range(8)])
        app.enqueue(read, {"n": 1}, queue="mail")
        until(lambda: app.count_jobs(status=["completed", "failed"]) == 9)
        yield app


def test_failures_are_grouped_the_last_one_first(shop):
    page = Insights(shop).errors()

    groups = {(group.error_type, *group.workers): group for group in page.items}
    lost, read = groups["KeyError", "shop:Send"], groups["KeyError", "shop:Read"]
    refused = groups[None, "shop:Send"]
    assert len(page.items) == 3
    assert lost.count == 4
    assert read.count == 2, "two attempts of one job"
    assert (refused.count, refused.workers) == (2, ("shop:Send",))
    assert [frame.rpartition(" ")[2] for frame in lost.frames][-1] == "look_up"
    assert refused.frames == ()
    assert refused.text.startswith("refused by host ")
    assert page.items[0].last >= page.items[1].last >= page.items[2].last
    assert lost.first <= lost.last <= datetime.now(UTC)
    assert lost.hours[-1] + lost.hours[-2] == 4
    assert len(lost.hours) == 24
    assert (page.next, page.previous, page.complete, page.searched) == (None, None, True, 7)


@worker(name="shop:Give up", max_attempts=2, retry_delay=0)
def give_up(first):
    return Cancel("nobody wants it") if current_job().attempts == 2 else Fail("not yet")


def test_the_reason_for_which_a_worker_cancels_its_job_is_no_failure(app):
    app.enqueue(give_up, {"first": 1})
    until(lambda: app.count_jobs(status="cancelled") == 1)

    (group,) = Insights(app).errors().items
    assert (group.text, group.count) == ("not yet", 1)


def test_a_filter_chooses_the_jobs_whose_failures_are_counted(shop):
    insights = Insights(shop)

    assert [group.count for group in insights.errors("queue:mail").items] == [2]
    assert [group.count for group in insights.errors("error:refused").items] == [2]
    assert [group.count for group in insights.errors("arg.n:3,2 queue:default").items] == [1, 1]
    assert insights.errors("status:completed").items == ()
    with pytest.raises(FilterError):
        insights.errors("refused")


def test_one_group_is_found_by_its_fingerprint(shop):
    insights = Insights(shop)
    for group in insights.errors().items:
        assert insights.error(group.fingerprint) == group

    with pytest.raises(LookupError, match="no failure with the fingerprint 'none'"):
        insights.error("none")
    with pytest.raises(TypeError, match="a fingerprint is text"):
        insights.error(7)


def test_the_failed_jobs_of_a_group_are_those_whose_newest_error_is_in_it(shop):
    insights = Insights(shop)
    found = [
        sorted(id_ for page in failed_jobs(insights._source, group.fingerprint) for id_ in page)
        for group in insights.errors().items
    ]

    assert sorted(found) == [[2, 4, 6, 8], [3, 7], [9]]


def test_what_is_known_is_kept_until_it_is_taken_back(shop):
    insights = Insights(shop)
    group = insights.errors().items[0]

    insights.mark_known(group.fingerprint, "2.1")
    assert insights.error(group.fingerprint).known == "2.1"
    assert [each.known for each in insights.errors().items] == ["2.1", None, None]
    insights.mark_known(group.fingerprint, None)
    assert insights.error(group.fingerprint).known is None
    insights.mark_known(group.fingerprint, None)

    with pytest.raises(TypeError, match="version must be text"):
        insights.mark_known(group.fingerprint, 2)


@pytest.mark.parametrize("fingerprint", ["", "none", "c9b40ced9843c617\n", "c" * 100_000])
def test_what_is_no_fingerprint_is_not_known(shop, fingerprint):
    with pytest.raises(ValueError, match="fingerprint must be one that"):
        Insights(shop).mark_known(fingerprint, "2.1")


@pytest.mark.parametrize("version", ["", "1" * 101, "\ud800"])
def test_what_is_no_version_is_refused(shop, version):
    insights = Insights(shop)
    group = insights.errors().items[0]

    with pytest.raises(ValueError, match="version must be a text of 1 to 100 characters"):
        insights.mark_known(group.fingerprint, version)
    assert insights.error(group.fingerprint).known is None


def test_redact_hides_what_a_failure_says(shop):
    def redact(path, value):
        return "hidden" if path == "error" else value

    plain, hidden = Insights(shop).errors().items, Insights(shop, redact=redact).errors().items

    assert {group.text for group in hidden} == {"hidden"}
    assert [group.fingerprint for group in hidden] == [group.fingerprint for group in plain]


def test_a_search_without_time_goes_on_with_older_jobs(tmp_path):
    with AntQ(tmp_path / "jobs", queues={"default": 4}) as app:
        app.enqueue_many(send, ({"n": 1} for _ in range(250)))
        until(lambda: app.count_jobs(status="failed") == 250)
        insights = Insights(app)
        pages = [insights.errors(budget=0)]
        while pages[-1].next is not None:
            pages.append(insights.errors(after=pages[-1].next, budget=0))

        assert [page.items[0].count for page in pages] == [100, 100, 50]
        assert [page.complete for page in pages] == [False, False, True]


def test_jobs_without_errors_are_not_looked_at(tmp_path):
    with AntQ(tmp_path / "jobs", queues={"default": 1}) as app:
        app.enqueue_many(send, [{"n": n} for n in [1, 0, 0, 2, 0, 0, 0]])
        until(lambda: app.count_jobs(status=["failed", "completed"]) == 7)

        for order in ("newest", "oldest"):
            page = Insights(app).jobs('error:""', order=order)
            assert (page.count, page.exact, page.searched) == (2, True, 2)
        assert Insights(app).errors().searched == 2
        assert Insights(app).jobs("error:refused -arg.n:1 id:>1").searched == 1
        app.delete_job(4)
        assert [item.id for item in Insights(app).jobs('error:""').items] == [1]


def test_older_failures_are_in_earlier_hours(tmp_path):
    with AntQ(tmp_path / "jobs", queues={"default": 1}) as app:
        app.enqueue(send, {"n": 1})
        until(lambda: app.count_jobs(status="failed") == 1)
        (now,) = Insights(app).errors().items

    assert now.first == now.last
    assert now.last > datetime.now(UTC) - timedelta(hours=1)
    assert now.hours == (0,) * 23 + (1,)
