"""What one does not do after all: dialogs and pages that ask are left, and nothing was done.

And servers that are away: every tab says so, and no verb is sent later.
"""

import re
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect
from support.apps import until
from support.programs import Program

from antq_actors import Status
from browser.conftest import HERE
from browser.shown_shop import ChargeCard
from browser.visiting import tree_to_harm

SCRIPTS = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
FAILED = "status:failed queue:default"


@pytest.fixture
def failures(shop):
    """Return the failed jobs of the shop that the filter finds, of which there are two and more."""
    made = [shop.enqueue(ChargeCard, {"order": 40 + n, "user": {"id": 4}}) for n in range(2)]
    until(lambda: all(shop.get_job(job.id).status is Status.FAILED for job in made))
    return shop.count_jobs(status="failed", queue="default")


@SCRIPTS
@pytest.mark.parametrize("at", ["/", "/a/b/"])
def test_the_dry_run_of_all_that_match_is_left_by_its_close(visit, failures, at, scripts):
    page = visit(f"jobs?q={FAILED}", at=at, scripts=scripts)
    name = f"Retry all {failures} matching jobs"
    opener = page.get_by_role("button", name=name, exact=True)
    opener.click()

    dialog = page.get_by_role("dialog", name=name)
    expect(dialog).to_have_attribute("data-testid", "bulk-dialog")
    dialog.get_by_role("button", name="Close", exact=True).click()

    expect(page.get_by_test_id("filter")).to_have_value(FAILED)
    expect(page.get_by_test_id("count")).to_have_attribute("data-value", str(failures))
    expect(opener).to_be_focused()


def test_escape_leaves_the_dry_run_of_ticked_jobs_and_they_stay_ticked(visit, failures):
    page = visit(f"jobs?q={FAILED}&order=oldest")
    for row in page.get_by_test_id("job-row").all()[:2]:
        row.get_by_role("checkbox").check()
    page.get_by_role("button", name="Delete 2 jobs", exact=True).click()
    expect(page.get_by_role("dialog", name="Delete 2 jobs")).to_be_visible()

    page.keyboard.press("Escape")

    expect(page.get_by_role("button", name="Delete 2 jobs", exact=True)).to_be_focused()
    expect(page).to_have_url(re.compile("order=oldest"))
    expect(page.get_by_test_id("count")).to_have_attribute("data-value", str(failures))


@pytest.mark.parametrize(
    ("path", "name", "left_for"),
    [
        ("queue?name=reports", "Pause reports", "Queue reports"),
        ("nodes", "Drain node 1", "Nodes"),
        ("tree", "Crash till-1", "Tree"),
    ],
)
def test_a_page_that_asks_is_left_by_its_close(visit, path, name, left_for):
    page = visit(path, level="CHAOS", scripts=False)
    page.get_by_role("button", name=name, exact=True).first.click()
    expect(page.locator("h1")).to_have_text(re.compile(f"{name}|Prediction"))

    page.get_by_role("button", name="Close", exact=True).click()

    expect(page.locator("h1")).to_have_text(left_for)
    expect(page.get_by_test_id("toast")).to_have_count(0)


def test_a_chaos_verb_is_not_sent_while_the_server_is_away(visit):
    page = visit("tree", level="CHAOS")
    visit.is_offline = True
    page.context.set_offline(True)

    page.get_by_role("button", name="Crash till-1", exact=True).click()

    expect(page.get_by_test_id("alert")).to_contain_text("does not answer")
    expect(page.locator("h1")).to_have_text("Tree")


def test_the_slider_of_events_keeps_the_focus(visit):
    page = tree_to_harm(visit)
    page.get_by_role("button", name="Crash till-3", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Crash till-3").click()
    expect(page.get_by_test_id("actual")).to_be_visible()
    slider = page.get_by_role("slider", name="Events of node")
    last = int(slider.get_attribute("max"))
    slider.focus()

    for number in (0, last):
        page.keyboard.press("Home" if number == 0 else "End")
        expect(slider).to_have_value(str(number))
        page.wait_for_url(f"**at={number}*")
        expect(slider).to_be_focused()


@contextmanager
def a_site(folder):
    """Serve the site of these tests once more, and return the program and its address."""
    with (folder / "log").open("w") as log:
        program = Program(["-m", "browser.served", folder], HERE, errors=log)
        try:
            yield program, program.line()
        finally:
            program.end(60)


def dot(page):
    return page.get_by_test_id("live")


def test_every_tab_says_that_the_server_is_away(new_context, tmp_path):
    """Also those that hold no stream of their own, of which the third is the first."""
    with a_site(tmp_path) as (program, site):
        context = new_context(base_url=site)
        pages = [context.new_page() for _ in range(4)]
        for page in pages:
            page.goto("/about")
            expect(dot(page)).to_have_attribute("data-state", "live")
        program.end(60)
        for page in pages:
            expect(dot(page)).to_have_attribute("data-state", "offline")


def test_a_third_tab_hears_of_its_own_dashboard(visit, shop):
    """The streams of two tabs of one dashboard are none of another that the site has."""
    first = visit("about")
    second, third = first.context.new_page(), first.context.new_page()
    second.goto("/about")
    third.goto("/a/b/queue?name=reports")
    for page in (first, second, third):
        expect(dot(page)).to_have_attribute("data-state", "live")

    shop.queue("reports").pause(by="ada", reason="a third tab")
    try:
        expect(third.locator("main")).to_contain_text("a third tab")
    finally:
        shop.queue("reports").resume()
