"""What holds for each page, as a browser sees it: at any width, in any light, below any prefix."""

import pytest

from antq_actors.web.routes import Page
from antq_actors.web.site import ALL_ROUTES
from browser.visiting import DESKTOP, LAPTOP, NARROW, PHONE, TABLET, WIDE, sticks_out, violations

PAGES = {
    "/": ("", "Overview"),
    "/jobs": ("jobs", "Jobs"),
    "/jobs/{id:int}": ("jobs/47", "Job 47"),
    "/bulk": ("bulk?verb=retry&q=status:failed", "Bulk"),
    "/bulk/{id:int}": ("bulk/1", "Bulk 1"),
    "/queues": ("queues", "Queues"),
    "/queue": ("queue?name=billing", "Queue billing"),
    "/tree": ("tree", "Tree"),
    "/tree/predict": ("tree/predict?actor=antq/queues/mail&verb=crash", "Prediction"),
    "/tree/chaos": ("tree/chaos", "Chaos run"),
    "/nodes": ("nodes", "Nodes"),
    "/errors": ("errors", "Errors"),
    "/error": ("error?fingerprint={fingerprint}", "Error"),
    "/charts": ("charts", "Metrics"),
    "/crons": ("crons", "Crons"),
    "/cron": ("cron?name=sync", "Cron sync"),
    "/limits": ("limits", "Limits"),
    "/limit": ("limit?name=shop.reports:RenderReport", "Limit shop.reports:RenderReport"),
    "/batches": ("batches", "Batches"),
    "/batches/{id:int}": ("batches/31", "Batch 31"),
    "/workflows": ("workflows", "Workflows"),
    "/workflows/{id:int}": ("workflows/73", "Workflow 73"),
    "/store": ("store", "Store"),
    "/audit": ("audit", "Audit"),
    "/about": ("about", "About"),
}
"""For each route of a page: where one is, and its heading."""
ROUTES = [each.path for each in ALL_ROUTES if isinstance(each, Page) and each.has_page]
EACH_PAGE = pytest.mark.parametrize("path", [PAGES[route][0] for route in ROUTES if route in PAGES])


def test_each_page_is_looked_at():
    assert [route for route in ROUTES if route not in PAGES] == []


@pytest.mark.parametrize("at", ["/", "/a/b/"])
@pytest.mark.parametrize("route", [route for route in ROUTES if route in PAGES])
def test_a_page_has_its_name_and_store_in_title_and_heading(visit, route, at):
    path, name = PAGES[route]

    page = visit(path, at=at)

    assert page.title() == f"{name} · shop · antq"
    assert page.locator("h1").all_inner_texts() == [name]
    assert page.get_by_test_id("store-name").inner_text() == "shop"
    assert page.locator("[data-testid^=nav-]").count() > 0


@EACH_PAGE
def test_axe_finds_nothing_on_a_page(visit, path):
    page = visit(path)

    for light in ("light", "dark"):
        page.emulate_media(color_scheme=light)
        for width, height in (DESKTOP, PHONE):
            page.set_viewport_size({"width": width, "height": height})
            assert (light, width, violations(page)) == (light, width, [])


@EACH_PAGE
def test_axe_finds_nothing_on_a_page_of_an_empty_store(visit, path):
    if "/" in path or "=" in path:
        pytest.skip("it is a page of something that is not in an empty store")

    assert violations(visit(path, at="/empty/")) == []


@EACH_PAGE
@pytest.mark.parametrize("at", ["/", "/odd/"])
def test_no_page_scrolls_sideways_at_any_width(visit, path, at):
    if at == "/odd/" and ("/" in path or "=" in path):
        pytest.skip("it is a page of something that is in the shop alone")
    page = visit(path, at=at)

    for width, height in (DESKTOP, PHONE, WIDE, NARROW, TABLET, LAPTOP):
        page.set_viewport_size({"width": width, "height": height})
        assert (width, sticks_out(page)) == (width, None)


@EACH_PAGE
def test_a_page_reads_well_at_twice_the_size(visit, path):
    page = visit(path, size=(DESKTOP[0] // 2, DESKTOP[1] // 2), device_scale_factor=2)

    assert sticks_out(page) is None


@EACH_PAGE
def test_a_page_says_the_same_without_scripts(visit, path):
    with_scripts, without = visit(path), visit(path, scripts=False)

    assert without.locator("h1").inner_text() == with_scripts.locator("h1").inner_text()
    assert without.locator("main").inner_text()


@EACH_PAGE
def test_all_of_a_page_is_reached_by_its_own_links(visit, path):
    page = visit(path, at="/a/b/")

    links = page.evaluate(
        "[...document.querySelectorAll('a[href], form[action]')]"
        ".map(each => each.href || each.action)"
    )
    below = f"{page.url.split('/a/b/')[0]}/a/b/"
    assert [link for link in links if not link.startswith(below)] == []
