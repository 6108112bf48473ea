"""The lessons of ``antq demo --web``, as someone learns with them."""

from pathlib import Path

import pytest
from support.programs import Program

from browser.visiting import DESKTOP, NARROW, PHONE, WIDE, Visits, sticks_out, violations

LESSONS = {
    "A child of a one_for_one supervisor crashes": ("till-2 alone", "Crash till-2"),
    "A child of a rest_for_one supervisor crashes": ("stove alone", "Crash stove"),
    "A child ends again and again": ("it starts the courier again", "Kill the courier"),
    "A job fails again and again": ("it waits as long as before", "Let it try again"),
    "A paused queue is stepped": ("the express parcel", "Step 1"),
    "The process that performs jobs is killed": ("they are lost", "Kill the process"),
}
"""What is predicted in each lesson, and its button."""
RIGHT = {"till-2 alone", "it starts the courier again", "the express parcel"}
LONGEST = 120_000
"""Milliseconds: a process starts meanwhile."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The URL of a demo, with its token."""
    home = tmp_path_factory.mktemp("demo")
    options = ["--web", "--web-address", "127.0.0.1:0"]
    with (home / "log").open("w") as log:
        program = Program(["-m", "antq_actors", "demo", *options], Path(home), errors=log)
        yield program.line().split()[-1]
        program.process.terminate()
        assert program.end(60)[0] == 0


@pytest.fixture
def learn(new_context, demo):
    """Opens the page Learn; what the browser complained about meanwhile fails the test."""
    visits = Visits(new_context, demo, "")

    def learn(**options):
        page = visits(demo.rpartition("/")[2], **options)
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Learn").click()
        page.get_by_role("heading", level=1, name="Learn").wait_for()
        return page

    yield learn
    assert visits.complaints == []


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_each_lesson_is_predicted_done_and_compared(learn, scripts):
    page = learn(scripts=scripts)
    page.set_default_timeout(LONGEST)
    assert page.title() == "Learn · shop · antq"
    assert page.get_by_test_id("lesson").count() == len(LESSONS)

    for title, (choice, button) in LESSONS.items():
        card = page.get_by_role("region", name=title)
        card.get_by_role("radio", name=choice).check()
        card.get_by_role("button", name=button).click()

        prediction, actual = card.get_by_test_id("prediction"), card.get_by_test_id("actual")
        actual.wait_for()
        assert f"You: {choice}" in prediction.inner_text()
        assert (title, actual.get_attribute("data-agrees")) == (title, "yes")
        if scripts:
            is_right = prediction.get_attribute("data-right") == "yes"
            assert (title, is_right) == (title, choice in RIGHT)
        assert page.get_by_test_id("actual").count() == 1


def test_nothing_is_done_before_one_has_predicted(learn):
    page = learn()
    card = page.get_by_role("region", name="A child ends again and again")

    card.get_by_role("button").click()

    assert page.evaluate("document.querySelector(':invalid') !== null")
    assert page.get_by_test_id("actual").count() == 0


def test_axe_finds_nothing_and_nothing_sticks_out(learn):
    page = learn()
    card = page.get_by_role("region", name="A child of a rest_for_one supervisor crashes")
    card.get_by_role("radio", name="all three").check()
    card.get_by_role("button").click()
    page.get_by_test_id("actual").wait_for()

    for light in ("light", "dark"):
        page.emulate_media(color_scheme=light)
        for width, height in (DESKTOP, PHONE):
            page.set_viewport_size({"width": width, "height": height})
            assert (light, width, violations(page)) == (light, width, [])
    for width, height in (DESKTOP, PHONE, WIDE, NARROW):
        page.set_viewport_size({"width": width, "height": height})
        assert (width, sticks_out(page)) == (width, None)
