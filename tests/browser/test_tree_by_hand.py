"""The page of the tree by mouse and keyboard: rows, harm with its prediction, the replay."""

import re

import pytest
from playwright.sync_api import expect

from browser.visiting import tree_to_harm

SCRIPTS = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])


def row(page, name):
    return page.locator(f'[data-testid=actor][data-name="{name}"]')


def test_rows_are_walked_and_folded_by_the_keyboard(visit):
    page = visit("tree")
    grid = page.get_by_role("treegrid")
    expect(grid).to_have_accessible_name(f"Supervision tree of node {grid_node(page)}")
    first = grid.locator("tbody tr").first
    first.focus()

    page.keyboard.press("ArrowDown")
    expect(grid.locator("tbody tr").nth(1)).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    expect(first).to_have_attribute("aria-expanded", "false")
    expect(grid.locator("tbody tr").nth(1)).to_be_hidden()
    page.keyboard.press("ArrowRight")
    expect(first).to_have_attribute("aria-expanded", "true")
    expect(grid.locator("tbody tr").nth(1)).to_be_visible()
    page.keyboard.press("Enter")
    expect(first).to_have_attribute("aria-selected", "true")


def grid_node(page):
    return page.get_by_role("treegrid").get_attribute("aria-label").rpartition(" ")[2]


@SCRIPTS
@pytest.mark.parametrize("at", ["/", "/a/b/"])
def test_harm_is_foreseen_and_stands_beside_what_came_of_it(visit, at, scripts):
    page = tree_to_harm(visit, at=at, scripts=scripts)
    expect(page.get_by_test_id("red-frame")).to_be_visible()

    page.get_by_role("button", name="Crash till-2", exact=True).click()
    if scripts:
        dialog = page.get_by_role("dialog", name="Crash till-2")
        expect(dialog.get_by_test_id("prediction")).to_contain_text("till-2")
        dialog.get_by_role("button", name="Close").click()
        expect(page.get_by_role("button", name="Crash till-2", exact=True)).to_be_focused()
        page.get_by_role("button", name="Crash till-2", exact=True).click()
        dialog.get_by_role("button", name="Crash till-2").click()
    else:
        expect(page.get_by_test_id("prediction")).to_contain_text("till-2")
        page.get_by_role("button", name="Crash till-2").click()

    expect(page.get_by_test_id("actual")).to_have_attribute("data-agrees", "yes")
    expect(page.get_by_test_id("prediction")).to_have_attribute("data-agrees", "yes")
    events = page.get_by_test_id("event-row")
    expect(events.first).to_contain_text("till")


def test_an_event_selects_its_actor_and_the_slider_shows_the_tree_before_it(visit):
    page = tree_to_harm(visit, restarts=5)
    page.get_by_role("button", name="Crash till-3", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Crash till-3").click()
    expect(page.get_by_test_id("actual")).to_be_visible()

    page.get_by_test_id("event-row").first.get_by_role("link").click()
    expect(row(page, "till-3")).to_have_attribute("aria-selected", "true")
    slider = page.get_by_role("slider", name="Events of node")
    slider.focus()
    page.keyboard.press("ArrowLeft")

    before = row(page, "tills").get_by_test_id("budget")
    expect(before).to_have_attribute("data-left", "5")
    expect(page).to_have_url(re.compile("at="))
