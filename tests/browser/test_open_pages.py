"""Open pages keep up with what changes, and say when they cannot."""

import re
from itertools import pairwise

from playwright.sync_api import expect

from browser.shown_shop import Invoice

HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def dot(page):
    return page.get_by_test_id("live")


def enqueue(shop, count=1):
    """Enqueue jobs of a paused queue: they wait, and nothing else changes."""
    shop.enqueue_many(Invoice, ({"order": 1_000 + number} for number in range(count)))


def waiting(page):
    return page.locator("main [data-key=waiting]")


def test_a_number_changes_in_place_and_the_focus_stays(visit, shop):
    page = visit("/queue?name=billing")
    expect(dot(page)).to_have_attribute("data-state", "live")
    before = int(waiting(page).get_attribute("data-value"))
    page.get_by_role("link", name="Its jobs").focus()

    enqueue(shop)

    expect(waiting(page)).to_have_attribute("data-value", str(before + 1))
    expect(page.get_by_role("link", name="Its jobs")).to_be_focused()


def test_an_open_dialog_and_what_is_typed_in_it_stay(visit, shop):
    page = visit("/queue?name=billing")
    expect(dot(page)).to_have_attribute("data-state", "live")
    page.get_by_role("button", name="Set concurrency of billing").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("more of them")
    before = int(waiting(page).get_attribute("data-value"))

    enqueue(shop)
    expect(page.get_by_test_id("nav-jobs")).to_contain_text(re.compile(r"\d"))
    page.wait_for_timeout(3_000)  # a refresh would have come by now

    expect(page.get_by_role("dialog").get_by_label("Reason")).to_have_value("more of them")
    page.keyboard.press("Escape")
    expect(waiting(page)).to_have_attribute("data-value", str(before + 1))


def test_the_rail_counts_what_waits(visit, shop):
    page = visit("/about")
    expect(dot(page)).to_have_attribute("data-state", "live")
    badge = page.get_by_test_id("nav-jobs").locator("[data-count]")
    before = int(badge.inner_text().replace(",", ""))

    enqueue(shop, 3)

    expect(badge).to_have_text(f"{before + 3:,}")


def test_a_hundred_changes_are_fetched_at_most_every_two_seconds(visit, shop):
    page = visit("/queue?name=billing")
    expect(dot(page)).to_have_attribute("data-state", "live")
    fetched = []
    page.on("requestfinished", lambda each: "/region/" in each.url and fetched.append(each))
    before = int(waiting(page).get_attribute("data-value"))

    for _ in range(100):
        enqueue(shop)
    expect(waiting(page)).to_have_attribute("data-value", str(before + 100))

    starts = sorted(each.timing["startTime"] for each in fetched)  # the browser's, in milliseconds
    apart = [later - earlier for earlier, later in pairwise(starts)]
    assert fetched
    assert all(each > 1_900 for each in apart), apart


def test_a_hidden_tab_closes_its_stream_and_is_fresh_when_it_is_seen_again(visit, shop):
    page = visit("/queue?name=billing")
    expect(dot(page)).to_have_attribute("data-state", "live")
    before = int(waiting(page).get_attribute("data-value"))

    page.evaluate(HIDE, arg=True)
    expect(dot(page)).to_have_attribute("data-state", "paused")
    enqueue(shop)
    page.evaluate(HIDE, arg=False)

    expect(dot(page)).to_have_attribute("data-state", "live")
    expect(waiting(page)).to_have_attribute("data-value", str(before + 1))


def test_the_dot_pauses_a_page_and_lets_it_go_on(visit):
    page = visit("/queue?name=billing")
    expect(dot(page)).to_have_attribute("data-state", "live")

    dot(page).click()
    expect(dot(page)).to_have_attribute("data-state", "paused")
    dot(page).click()
    expect(dot(page)).to_have_attribute("data-state", "live")


def test_a_page_says_that_the_server_is_away_and_sends_nothing_later(visit, shop):
    page = visit("/queue?name=mail")
    expect(dot(page)).to_have_attribute("data-state", "live")
    visit.is_offline = True
    page.context.set_offline(True)
    page.get_by_role("button", name="Pause mail").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Pause mail").click()
    expect(dialog.get_by_test_id("alert")).to_contain_text("does not answer")
    dialog.get_by_role("button", name="Close").click()

    page.context.set_offline(False)
    expect(dot(page)).to_have_attribute("data-state", "live")

    assert not shop.queue("mail").status().paused


def test_many_tabs_share_two_streams(visit, new_context, served):
    first = visit("/about")
    pages = [first.context.new_page() for _ in range(3)]
    for page in pages:
        page.goto(first.url)
    for page in (first, *pages):
        expect(dot(page)).to_have_attribute("data-state", "live")
