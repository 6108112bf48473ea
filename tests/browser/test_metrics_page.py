"""The page Metrics: the window that is chosen is in the URL, and is compared with last week."""

import re

from playwright.sync_api import expect

from browser.shown_shop import SendReceipt


def columns(page):
    """The headings of the table of the chart Jobs."""
    chart = page.locator("figure.chart[data-name=Jobs]")
    return [each.strip() for each in chart.locator("thead th").all_text_contents()]


def test_a_check_box_compares_with_last_week_in_the_url_the_picture_and_the_table(visit):
    page = visit("charts?window=7d")
    assert columns(page) == ["From", "enqueued", "completed", "failures"]

    page.get_by_label("Compare with last week").check()
    page.get_by_role("button", name="Show", exact=True).click()

    page.wait_for_url("**/charts?*compare=week*")
    assert "window=7d" in page.url
    assert columns(page)[4:] == [
        "enqueued, a week before",
        "completed, a week before",
        "failures, a week before",
    ]
    expect(page.get_by_label("Compare with last week")).to_be_checked()
    chart = page.locator("figure.chart[data-name=Jobs]")
    expect(chart.locator(".u-legend .u-label").last).to_have_text("failures, a week before")
    expect(chart.locator("canvas")).to_have_count(1)
    assert "compare=week" in page.get_by_role("link", name="As CSV").get_attribute("href")


def test_what_is_compared_stays_when_the_page_is_brought_up_to_date(visit, shop):
    page = visit("charts?compare=week")
    region = page.locator("section[data-region]")

    assert "compare=week" in region.get_attribute("data-region")
    with page.expect_response(lambda answer: "/region/charts?" in answer.url) as answered:
        shop.enqueue(SendReceipt, {"order": 7}, schedule_in=7200)
    assert "compare=week" in answered.value.url
    expect(page.get_by_text("a week before").first).to_be_visible()


def test_with_scripts_off_the_server_draws_both(visit):
    page = visit("charts?window=7d&compare=week", scripts=False)

    page.get_by_label("Compare with last week").uncheck()
    page.get_by_role("button", name="Show", exact=True).click()

    expect(page).not_to_have_url(re.compile("compare"))
    assert columns(page) == ["From", "enqueued", "completed", "failures"]
    assert page.locator("figure.chart[data-name=Jobs] svg polyline").count() > 0
