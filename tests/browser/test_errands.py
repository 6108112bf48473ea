"""The errands of docs/dashboard.md, step by step as they stand there, in a real Chromium."""

import re
import time
from datetime import timedelta

from playwright.sync_api import expect
from support.apps import until

from antq_actors import Status
from antq_actors.insights import Insights
from browser.shown_shop import ChargeCard

A_MINUTE = 60.0


def failed(shop, **args):
    """Return the id of a job that has failed."""
    job = shop.enqueue(ChargeCard, args)
    until(lambda: shop.get_job(job.id).status is Status.FAILED)
    return job.id


def filter_by(page, text):
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Filter jobs")).to_be_focused()
    page.keyboard.type(text)
    page.keyboard.press("Enter")


def test_the_failed_job_of_a_customer_is_found_understood_and_retried(visit, shop):
    id_ = failed(shop, order=9001, user={"id": 4711})
    page = visit()
    begun = time.monotonic()

    filter_by(page, "status:failed arg.user.id:4711")
    page.get_by_role("link", name=f"Job {id_}").first.click()
    expect(page.locator("main")).to_contain_text("payment gateway did not answer for order 9001")
    page.get_by_role("button", name=f"Retry job {id_}", exact=True).first.click()

    expect(page.get_by_test_id("toast")).to_have_text("Enqueued again.")
    assert time.monotonic() - begun < A_MINUTE
    until(lambda: [each.status for each in shop.history(id_)].count(Status.FAILED) == 2)


def test_a_queue_is_paused_for_a_deploy_and_resumed(visit, shop):
    page = visit()
    begun = time.monotonic()

    page.keyboard.press("g")
    page.keyboard.press("q")
    expect(page.locator("h1")).to_have_text("Queues")
    page.get_by_role("button", name="Pause reports", exact=True).first.click()
    dialog = page.get_by_role("dialog", name="Pause reports")
    dialog.get_by_label("Reason").fill("deploy of 14:00")
    dialog.get_by_role("button", name="Pause reports").click()
    row = page.locator("[data-testid=queue-row][data-name=reports]")
    expect(row).to_contain_text("paused by ada")
    assert Insights(shop).queue("reports").paused.reason == "deploy of 14:00"
    page.get_by_role("button", name="Resume reports", exact=True).first.click()

    expect(page.get_by_role("button", name="Pause reports", exact=True).first).to_be_visible()
    assert time.monotonic() - begun < A_MINUTE
    assert Insights(shop).queue("reports").paused is None


def test_all_timeouts_of_an_hour_are_retried_spread_over_ten_minutes(visit, shop):
    ids = [failed(shop, order=9100 + number, region="west") for number in range(3)]
    page = visit()
    begun = time.monotonic()

    filter_by(page, 'status:failed error:"did not answer" ended:<1h arg.region:west')
    page.get_by_role("button", name="Retry all 3 matching jobs").click()
    page.get_by_label("Type 3 to confirm").fill("3")
    page.get_by_label("Spread").fill("600")
    page.get_by_role("button", name="Retry all 3 matching jobs").click()

    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"Bulk \d+"))
    expect(page.get_by_test_id("bulk-progress")).to_have_attribute("data-state", "done")
    assert time.monotonic() - begun < A_MINUTE
    jobs = [shop.get_job(id_) for id_ in ids]
    due = sorted(each.scheduled_at for each in jobs if each.scheduled_at is not None)
    assert due[-1] - due[0] > timedelta(minutes=2)
