"""The graph of a workflow, which dagre lays out in the browser."""

import re

import pytest
from playwright.sync_api import expect

from browser.visiting import PHONE

PATH = "workflows/73"


def test_each_job_of_a_workflow_is_in_the_graph_and_a_press_leads_to_its_row(visit):
    page = visit(PATH)

    graph = page.get_by_role("img", name="Workflow 73 as a graph")
    expect(graph).to_be_visible()
    assert sorted(graph.locator(".vertex .name").all_text_contents()) == [
        *("ledger", "report", "row 1", "row 2", "row 3"),
    ]
    assert graph.locator(".edge").count() == 6
    shown = [each.get_attribute("data-status") for each in graph.locator(".vertex").all()]
    assert sorted(shown) == ["enqueued", *["suspended"] * 4]

    graph.locator(".vertex", has_text="row 2").click()

    row = page.get_by_test_id("workflow-node").and_(page.locator("[data-name='row 2']"))
    expect(row.get_by_role("link")).to_be_focused()


def test_the_graph_of_a_workflow_is_not_wider_than_a_phone(visit):
    page = visit(PATH, size=PHONE)

    box = page.locator("[data-graph]").bounding_box()
    assert box["x"] + box["width"] <= PHONE[0]


def test_a_workflow_is_its_list_without_scripts(visit):
    page = visit(PATH, scripts=False)

    expect(page.locator("[data-graph]")).to_be_hidden()
    assert page.get_by_test_id("workflow-node").count() == 5
    expect(page.get_by_role("button", name="Copy as Mermaid")).to_be_hidden()


@pytest.mark.parametrize(
    ("verb", "path"), [("Cancel workflow 73", PATH), ("Close batch 44", "batches/44")]
)
def test_a_verb_that_cannot_be_undone_asks_in_a_dialog_that_escape_closes(visit, verb, path):
    page = visit(path)
    button = page.get_by_role("main").get_by_role("button", name=verb)

    button.click()
    dialog = page.get_by_role("dialog", name=verb)
    expect(dialog.get_by_role("button", name=verb)).to_be_visible()
    page.keyboard.press("Escape")

    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()


def test_a_limit_is_paused_at_the_key_of_its_row_and_resumed(visit):
    page = visit("limit?name=shop.reports:RenderReport")
    name = "limit shop.reports:RenderReport at us"

    page.get_by_role("button", name=f"Pause {name}").click()
    dialog = page.get_by_role("dialog", name=f"Pause {name}")
    expect(dialog.get_by_label("Key")).to_have_value("us")
    dialog.get_by_role("button", name=f"Pause {name}").click()
    expect(page.get_by_test_id("toast")).to_have_text(re.compile("Paused"))
    page.get_by_role("button", name=f"Resume {name}").click()

    expect(page.get_by_role("button", name=f"Pause {name}")).to_be_visible()
