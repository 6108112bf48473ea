"""Chaos runs and the quiz by mouse: a form, a report that goes on, Stop; an answer before all."""

import pytest
from playwright.sync_api import expect
from support.apps import until

from browser.visiting import tree_to_harm

SCRIPTS = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])


@SCRIPTS
def test_a_run_is_begun_in_a_form_reported_and_stopped(visit, scripts):
    page = visit("tree", level="CHAOS", scripts=scripts)
    page.get_by_role("button", name="Begin chaos run").click()
    form = page.get_by_role("dialog", name="Begin chaos run") if scripts else page
    form.get_by_label("Every").fill("30s")
    form.get_by_label("For").fill("20m")
    form.get_by_label("Reason").fill("a course")

    form.get_by_role("button", name="Begin chaos run").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Chaos run")
    state = page.get_by_test_id("chaos-state")
    expect(state).to_have_attribute("data-state", "running")
    expect(state).to_contain_text("by ada")
    if scripts:  # by itself
        expect(page.get_by_test_id("chaos-hit")).to_have_count(1)
    stop = page.get_by_role("button", name="Stop chaos run")
    if scripts:
        stop.click()
    else:
        with page.expect_navigation():
            stop.click()
        until(lambda: page.reload() and state.get_attribute("data-state") != "running", "its end")
    expect(state).to_have_attribute("data-state", "stopped")
    expect(page.get_by_test_id("chaos-report")).to_contain_text("no supervisor")
    page.get_by_role("link", name="Tree of node").click()
    expect(page.get_by_role("button", name="Begin chaos run")).to_be_visible()


@SCRIPTS
@pytest.mark.parametrize("at", ["/", "/a/b/"])
def test_in_quiz_mode_the_answer_comes_before_the_prediction(visit, at, scripts):
    page = tree_to_harm(visit, at=at, scripts=scripts)
    page.get_by_role("checkbox", name="Quiz: ask me first").check()
    with page.expect_event("load"):
        page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("checkbox", name="Quiz: ask me first")).to_be_checked()

    page.get_by_role("button", name="Crash till-2", exact=True).click()
    form = page.get_by_role("dialog", name="Crash till-2") if scripts else page.locator("main")
    expect(form.get_by_text("Which actors are started again?")).to_be_visible()
    expect(page.get_by_test_id("prediction")).to_have_count(0)
    form.get_by_role("checkbox", name="till-2").check()
    form.get_by_role("radio", name="No").check()
    form.get_by_role("button", name="Answer").click()

    expect(form.get_by_test_id("prediction")).to_contain_text("till-2")
    expect(form.get_by_test_id("answer")).to_contain_text("Right: till-2")
    form.get_by_role("button", name="Crash till-2").click()
    expect(page.get_by_test_id("actual")).to_have_attribute("data-agrees", "yes")
    expect(page.get_by_test_id("answer")).to_contain_text("Right: till-2")
