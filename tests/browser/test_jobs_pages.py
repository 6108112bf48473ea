"""The list of jobs and the page of one, as they are used: by mouse, by keys, without scripts."""

import re

import pytest
from playwright.sync_api import expect

from browser.shown_shop import SyncStock
from browser.visiting import sticks_out

FAILED = "status:failed"


def open_list(visit, query=FAILED, **options):
    """Open the list of the jobs of a filter."""
    return visit(f"jobs?q={query}", **options)


def ids(page):
    return [row.get_attribute("data-id") for row in page.get_by_test_id("job-row").all()]


def test_ticked_jobs_are_named_by_their_number(visit):
    page = open_list(visit)
    expect(page.get_by_test_id("bulk-open").first).to_be_hidden()

    first, second = ids(page)[:2]
    page.get_by_role("checkbox", name=f"Select job {first}").check()
    expect(page.get_by_role("button", name="Retry 1 job", exact=True)).to_be_visible()
    page.get_by_role("checkbox", name=f"Select job {second}").check()

    expect(page.get_by_role("button", name="Retry 2 jobs")).to_be_visible()
    page.get_by_test_id("select-all").check()
    expect(page.get_by_role("button", name=f"Retry {len(ids(page))} jobs")).to_be_visible()


def test_all_that_match_are_named_by_their_number(visit):
    page = open_list(visit)
    count = page.get_by_test_id("count").get_attribute("data-value")

    expect(page.get_by_role("button", name=f"Retry all {count} matching jobs")).to_be_visible()


def test_a_condition_is_taken_away_by_its_chip(visit):
    page = open_list(visit, f"{FAILED} queue:billing")
    assert page.get_by_test_id("filter-chip").count() == 2

    page.get_by_role("link", name="Remove queue:billing").click()

    expect(page.get_by_test_id("filter")).to_have_value(FAILED)
    expect(page.get_by_test_id("filter-chip")).to_have_count(1)


def test_what_is_no_filter_stays_in_the_box(visit):
    page = visit("jobs?q=stauts:failed", status=400)

    expect(page.get_by_test_id("filter-error")).to_contain_text("did you mean 'status'")
    expect(page.get_by_test_id("filter")).to_have_value("stauts:failed")
    expect(page.get_by_test_id("job-row")).to_have_count(0)


def test_keys_move_into_rows_and_tick_them(visit):
    page = open_list(visit)
    first, second = ids(page)[:2]

    page.keyboard.press("j")
    expect(page.get_by_role("link", name=f"Job {first}", exact=True)).to_be_focused()
    page.keyboard.press("j")
    expect(page.get_by_role("link", name=f"Job {second}", exact=True)).to_be_focused()
    page.keyboard.press("x")

    expect(page.get_by_role("checkbox", name=f"Select job {second}")).to_be_checked()
    page.keyboard.press("k")
    expect(page.get_by_role("link", name=f"Job {first}", exact=True)).to_be_focused()


@pytest.mark.parametrize("scripts", [True, False])
def test_a_waiting_job_is_cancelled_and_brought_back(visit, shop, scripts):
    (job, *_) = shop.list_jobs(status="scheduled", limit=1)
    page = visit(f"jobs/{job.id}", scripts=scripts)

    page.get_by_role("button", name=f"Cancel job {job.id}").click()
    expect(page.get_by_test_id("job-head")).to_have_attribute("data-status", "cancelled")
    expect(page.get_by_test_id("toast")).to_contain_text("Cancelled")
    page.get_by_role("button", name="Undo").click()

    expect(page.get_by_test_id("job-head")).to_have_attribute("data-status", "scheduled")
    expect(page.locator("h1")).to_have_text(f"Job {job.id}")
    assert shop.get_job(job.id).scheduled_at == job.scheduled_at


def test_a_dialog_asks_before_a_job_is_rescheduled(visit, shop):
    (job, *_) = shop.list_jobs(status="scheduled", limit=1)
    page = visit(f"jobs/{job.id}")
    button = page.get_by_role("button", name=f"Reschedule job {job.id}")

    button.click()
    dialog = page.get_by_role("dialog", name=f"Reschedule job {job.id}")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()
    button.press("Enter")
    dialog.get_by_label("In").fill("soon")
    dialog.get_by_role("button", name=f"Reschedule job {job.id}").click()

    expect(dialog.get_by_test_id("alert")).to_contain_text("in must be")
    assert shop.get_job(job.id).scheduled_at == job.scheduled_at
    assert [each for each in visit.complaints if "400" not in each] == []
    visit.complaints.clear()


def test_the_slider_shows_the_job_as_it_was(visit, shop):
    (job, *_) = shop.list_jobs(status="failed", limit=1)
    page = visit(f"jobs/{job.id}")
    slider = page.get_by_role("slider", name=f"Life of job {job.id}")
    expect(page.get_by_test_id("film")).to_have_attribute("data-status", "failed")

    slider.focus()
    page.keyboard.press("Home")

    expect(page.get_by_test_id("film")).to_have_attribute("data-status", "enqueued")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("^enqueued, "))
    expect(page.get_by_test_id("job-head")).to_have_attribute("data-status", "failed")
    expect(page.locator("[data-testid=film-stop][aria-current=step]")).to_have_count(1)
    expect(page).to_have_url(re.compile("at=0"))


def test_the_stops_of_the_film_are_links_without_scripts(visit, shop):
    (job, *_) = shop.list_jobs(status="failed", limit=1)
    page = visit(f"jobs/{job.id}", scripts=False)

    page.get_by_test_id("film-stop").first.get_by_role("link").click()

    expect(page).to_have_url(re.compile("at=0"))
    expect(page.get_by_test_id("film")).to_have_attribute("data-status", "enqueued")


def test_why_a_job_waits_is_told_in_the_order_of_explain(visit, shop):
    (job, *_) = shop.list_jobs(status="enqueued", queue="billing", limit=1)
    page = visit(f"jobs/{job.id}")

    panel = page.get_by_role("region", name="Why is this job not running?")
    rows = panel.get_by_test_id("why-row").all()
    told = [row.get_attribute("data-code") for row in rows if row.get_attribute("data-ok") != "yes"]

    reasons = [reason.code for reason in shop.explain(job.id).reasons]
    assert told == [code for code in reasons if code != "worker_unknown"]  # this process has none
    expect(panel.get_by_role("button", name="Resume billing")).to_be_visible()


def test_the_page_of_a_running_job_follows_it(visit, shop):
    """Its head says that it is cancelled as soon as it is, without a reload."""
    (job, *_) = shop.list_jobs(status="scheduled", limit=1)
    page = visit(f"jobs/{job.id}")
    expect(page.get_by_test_id("job-head")).to_have_attribute("data-status", "scheduled")
    copy = page.get_by_role("button", name="Copy id")
    copy.focus()

    shop.cancel_job(job.id)

    expect(page.get_by_test_id("job-head")).to_have_attribute("data-status", "cancelled")
    expect(copy).to_be_focused()


def test_new_jobs_are_offered_and_never_move_rows(visit, shop):
    page = open_list(visit, "worker:SyncStock")
    before = ids(page)

    ids_of_new = shop.enqueue_many(SyncStock, [{"warehouse": f"new {n}"} for n in range(3)])
    button = page.get_by_role("button", name="Show 3 new")
    expect(button).to_be_visible()
    assert ids(page) == before
    page.keyboard.press(".")

    for id_ in ids_of_new:
        expect(page.get_by_role("link", name=f"Job {id_}", exact=True)).to_be_visible()


def test_hostile_jobs_are_text_in_the_list_and_on_their_pages(visit):
    page = visit("jobs?limit=200", at="/odd/")
    assert page.title() == "Jobs · odd · antq"
    assert sticks_out(page) is None

    for id_ in ids(page):
        page.goto(f"jobs/{id_}")
        assert page.title() == f"Job {id_} · odd · antq"
        assert sticks_out(page) is None, id_
        assert len(page.content().encode("utf-8", "replace")) < 1_000_000, id_
