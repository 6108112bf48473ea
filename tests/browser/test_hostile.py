"""Arguments, errors and names of every kind are text on pages, and nothing else."""

import pytest

from antq_actors.web.routes import Page
from antq_actors.web.site import ALL_ROUTES
from browser.hostile import LARGE, NAME, SCRIPT, TEXTS
from browser.test_every_page import PAGES

ROUTES = [each.path for each in ALL_ROUTES if isinstance(each, Page) and each.has_page]
LISTS = [
    PAGES[route][0] for route in ROUTES if route in PAGES and not {"/", "="} & set(PAGES[route][0])
]
LONGEST_PAGE = 1_000_000
"""Bytes of the page of one job, whatever its arguments are."""


@pytest.fixture(autouse=True)
def nothing_has_run(visit):
    """Fail where a text has become more: it would say so in the title, or by a complaint."""
    yield
    for page in visit.pages:
        assert page.evaluate("document.querySelectorAll('main script, main iframe').length") == 0
        assert "taken" not in page.title()


@pytest.mark.parametrize("path", LISTS)
def test_lists_of_hostile_jobs_are_lists(visit, path):
    page = visit(path, at="/odd/")

    assert page.locator("main").inner_text()


@pytest.mark.parametrize("number", range(1, len(TEXTS) + 1), ids=list(TEXTS))
def test_a_hostile_text_is_shown_as_text(visit, number):
    what, text = list(TEXTS.items())[number - 1]

    page = visit(f"jobs/{number}", at="/odd/")

    shown = page.get_by_test_id("args").text_content()
    assert what in shown
    assert all(part in shown for part in text.split() if part.isprintable() and len(part) < 100)
    assert page.get_by_test_id("job-head").get_by_text(SCRIPT).count() > 0


@pytest.mark.parametrize("number", range(len(TEXTS) + 1, len(TEXTS) + len(LARGE) + 1))
def test_what_is_large_or_odd_is_cut_and_its_page_is_small(visit, number):
    page = visit(f"jobs/{number}", at="/odd/")

    assert len(page.content().encode("utf-8", "replace")) < LONGEST_PAGE
    assert page.get_by_test_id("args").is_visible()


def test_a_queue_with_a_hostile_name_is_a_queue(visit):
    page = visit("queues", at="/odd/")

    row = page.locator("[data-testid=queue-row]").filter(has_text="onload")
    assert row.get_attribute("data-name") == NAME
    row.get_by_role("link").first.click()
    page.wait_for_url("**/queue?*")
    assert page.locator("h1").text_content().removeprefix("Queue ") == NAME


@pytest.mark.parametrize("text", TEXTS.values(), ids=list(TEXTS))
def test_what_is_typed_as_a_filter_stays_as_it_is(visit, text):
    if "\ud800" in text or len(text) > 1000 or set("\x00\r\n") & set(text):
        pytest.skip("no address can hold it, or no box of one line")
    page = visit("about", at="/odd/")
    visit.refused.add(400)  # what is no filter is refused, and stays in its box

    page.get_by_test_id("filter").fill(text)
    page.get_by_test_id("filter").press("Enter")
    page.wait_for_url("**/jobs?*")

    assert page.get_by_test_id("filter").input_value() == text
