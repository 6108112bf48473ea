"""What one does in pages, to the end: in the store it is done, and undone."""

import pytest
from playwright.sync_api import expect
from support.apps import until

from antq_actors import JobNotFound, Status
from antq_actors.insights import Insights
from browser.shown_shop import ChargeCard, SendReceipt

SCRIPTS = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
PLACES = pytest.mark.parametrize("at", ["/", "/a/b/"])


def press(page, name):
    """Press a button by the keyboard alone, once it is reached."""
    button = page.get_by_role("button", name=name, exact=True).last
    button.focus()
    page.keyboard.press("Enter")


def failures_of(shop, job):
    return [each.status for each in shop.history(job)].count(Status.FAILED)


@SCRIPTS
@PLACES
def test_a_failed_job_is_retried_by_the_keyboard(visit, shop, at, scripts):
    job = shop.enqueue(ChargeCard, {"order": 7, "user": {"id": 1}})
    until(lambda: shop.get_job(job.id).status is Status.FAILED)
    page = visit(f"jobs/{job.id}", at=at, scripts=scripts)
    expect(page.get_by_test_id("job-head")).to_have_attribute("data-status", "failed")

    press(page, f"Retry job {job.id}")

    expect(page.get_by_test_id("toast")).to_have_text("Enqueued again.")
    until(lambda: failures_of(shop, job) == 2, "the second failure")


@SCRIPTS
@PLACES
def test_a_queue_is_paused_with_a_reason_and_that_is_undone(visit, shop, at, scripts):
    page = visit("queue?name=reports", at=at, scripts=scripts)

    press(page, "Pause reports")
    page.get_by_label("Reason").locator("visible=true").fill("a deploy")
    press(page, "Pause reports")
    expect(page.get_by_test_id("undo")).to_be_visible()
    paused = Insights(shop).queue("reports").paused
    assert (paused.by, paused.reason) == ("ada", "a deploy")

    press(page, "Undo")

    expect(page.get_by_role("button", name="Pause reports", exact=True).first).to_be_visible()
    assert not shop.queue("reports").status().paused


@SCRIPTS
def test_a_job_that_waits_is_cancelled_and_that_is_undone(visit, shop, scripts):
    job = shop.enqueue(SendReceipt, {"order": 8}, schedule_in=7200)
    page = visit(f"jobs/{job.id}", scripts=scripts)

    press(page, f"Cancel job {job.id}")
    expect(page.get_by_test_id("job-head")).to_have_attribute("data-status", "cancelled")
    press(page, "Undo")

    expect(page.get_by_test_id("job-head")).to_have_attribute("data-status", "scheduled")
    assert shop.get_job(job.id).scheduled_at == job.scheduled_at


@SCRIPTS
def test_a_delete_is_asked_about_before(visit, shop, scripts):
    job = shop.enqueue(SendReceipt, {"order": 9}, schedule_in=7200)
    page = visit(f"jobs/{job.id}", scripts=scripts)

    press(page, f"Delete job {job.id}")
    asked = page.get_by_role("dialog" if scripts else "heading", name=f"Delete job {job.id}")
    expect(asked).to_be_visible()
    assert shop.get_job(job.id).status is Status.SCHEDULED
    press(page, f"Delete job {job.id}")

    expect(page.get_by_test_id("toast")).to_be_visible()
    with pytest.raises(JobNotFound):
        shop.get_job(job.id)


def test_close_and_escape_do_nothing_and_give_the_focus_back(visit, shop):
    page = visit("queue?name=reports")
    button = page.get_by_role("button", name="Pause reports", exact=True).first

    for leave in ("Close", "Escape"):
        button.focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name="Pause reports")
        expect(dialog).to_be_visible()
        if leave == "Close":
            dialog.get_by_role("button", name="Close").click()
        else:
            page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(button).to_be_focused()

    assert not shop.queue("reports").status().paused
