"""What is around every page: who one is, where one goes, how it looks; by mouse and by keyboard."""

import re

import pytest
from playwright.sync_api import expect

from browser.visiting import PHONE, ZONE

SCRIPTS = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])


def settings_of(page):
    return page.get_by_role("combobox", name="Theme"), page.get_by_role(
        "combobox", name="Time zone"
    )


def is_settings(answer):
    return answer.url.endswith("/settings")


def choose(page, box, option, *, scripts=True, stays=False):
    """Choose an option; without scripts it has to be sent by its button.

    *stays*: the page that is shown becomes another in its place.
    """
    with page.expect_response(is_settings) if stays else page.expect_navigation():
        box.select_option(label=option)
        if not scripts:
            page.get_by_role("button", name="Set").click()


@SCRIPTS
@pytest.mark.parametrize("at", ["/", "/a/b/"])
def test_a_theme_that_is_chosen_stays_on_all_pages(visit, at, scripts):
    page = visit("about", at=at, scripts=scripts)
    assert page.locator("html").get_attribute("data-theme") == "system"

    choose(page, settings_of(page)[0], "Dark", scripts=scripts, stays=scripts)

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto("queues")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.locator("body").evaluate("each => getComputedStyle(each).colorScheme") == "dark"


def test_a_theme_of_one_dashboard_is_not_that_of_another(visit):
    page = visit("about", at="/a/b/")
    choose(page, settings_of(page)[0], "Light", stays=True)
    expect(page.locator("html")).to_have_attribute("data-theme", "light")

    page.goto("/empty/about")

    assert page.locator("html").get_attribute("data-theme") == "system"


def test_instants_are_shown_in_the_zone_of_the_browser_or_in_utc(visit):
    page = visit("nodes")
    time = page.locator("main time").first
    at = time.get_attribute("datetime")
    assert re.search(r"(\+00:00|Z)$", at)
    expect(time).to_have_attribute("title", re.compile(r"GMT\+5:30|Kolkata|IST"))

    choose(page, settings_of(page)[1], "UTC")

    page.goto("nodes")
    expect(page.locator("main time").first).to_have_attribute("title", re.compile("UTC"))
    assert page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone") in (
        ZONE,
        "Asia/Calcutta",
    )


@SCRIPTS
def test_the_first_stop_of_tab_skips_to_the_content(visit, scripts):
    page = visit("queues", scripts=scripts)

    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile("#content$"))


def test_the_rail_says_where_one_is_and_leads_everywhere(visit):
    page = visit("queues", at="/a/b/")
    rail = page.get_by_role("navigation", name="Main")
    assert rail.locator("[aria-current=page]").all_inner_texts() == ["Queues"]

    for name in page.locator("[data-testid^=nav-]").evaluate_all(
        "links => links.map(each => each.dataset.testid)"
    ):
        page.get_by_test_id(name).click()
        expect(page.get_by_test_id(name)).to_have_attribute("aria-current", "page")
        word = page.get_by_test_id(name).inner_text().split("\n")[0].rstrip("0123456789 ")
        expect(page.locator("h1")).to_have_text(word)


def test_the_rail_of_a_phone_is_at_the_bottom(visit):
    page = visit("queues", size=PHONE)

    box = page.get_by_role("navigation", name="Main").bounding_box()

    assert box["y"] + box["height"] == PHONE[1]
    assert box["width"] == PHONE[0]


@pytest.mark.parametrize(
    ("keys", "heading"), [("gq", "Queues"), ("gj", "Jobs"), ("go", "Overview")]
)
def test_two_keys_lead_to_a_place(visit, keys, heading):
    page = visit("about")

    for key in keys:
        page.keyboard.press(key)

    expect(page.locator("h1")).to_have_text(heading)


def test_a_slash_leads_to_the_filter_which_finds_from_everywhere(visit):
    page = visit("about", at="/a/b/")

    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Filter jobs")).to_be_focused()
    page.keyboard.type("status:failed queue:default")
    page.keyboard.press("Enter")

    expect(page.locator("h1")).to_have_text("Jobs")
    expect(page).to_have_url(re.compile(r"/a/b/jobs\?q=status%3Afailed\+queue%3Adefault$"))


def test_single_keys_can_be_switched_off(visit):
    page = visit("about")
    page.get_by_role("checkbox", name="Single-key shortcuts").uncheck()
    with page.expect_navigation():
        page.get_by_role("button", name="Save").click()

    page.goto("queues")
    page.keyboard.press("/")

    expect(page.get_by_test_id("filter")).not_to_be_focused()
    page.goto("about")
    expect(page.get_by_role("checkbox", name="Single-key shortcuts")).not_to_be_checked()


def test_the_palette_goes_to_a_place_by_a_few_letters(visit):
    page = visit("about")

    page.keyboard.press("Control+k")
    page.keyboard.type("que")
    page.keyboard.press("Enter")

    expect(page.locator("h1")).to_have_text("Queues")


def test_escape_closes_the_palette_and_gives_the_focus_back(visit):
    page = visit("about")
    page.get_by_test_id("filter").focus()

    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_test_id("filter")).to_be_focused()


def test_who_may_only_look_sees_no_verb(visit):
    page = visit("queue?name=billing", level="READ")

    assert page.locator("html").get_attribute("data-access") == "read"
    forms = page.locator("form[method=post]").evaluate_all("each => each.map(form => form.action)")
    assert [form for form in forms if not form.endswith("/settings")] == []
    assert page.get_by_role("button", name="Resume billing").count() == 0


def test_the_frame_is_red_where_actors_may_be_crashed(visit):
    assert visit("about", level="OPERATE").get_by_test_id("red-frame").count() == 0
    assert visit("about", level="CHAOS").get_by_test_id("red-frame").count() == 1


def test_who_has_no_access_is_refused(visit):
    page = visit("", level="NONE", status=403)

    assert page.get_by_test_id("store-name").count() == 0
    assert "billing" not in page.content()


@pytest.mark.parametrize("path", ["jobs/999999", "nothing", "queue?name=nothing"])
def test_what_is_not_there_is_a_page_of_the_shell(visit, path):
    page = visit(path, status=404)

    assert page.get_by_test_id("nav-jobs").count() == 1
    assert page.get_by_test_id("alert").inner_text()
    assert page.title().endswith(" · shop · antq")


def test_colours_that_are_forced_leave_every_word_visible(visit):
    page = visit("queues", forced_colors="active")

    current = page.get_by_test_id("nav-queues")
    colours = current.evaluate(
        "each => [getComputedStyle(each).color, getComputedStyle(each).backgroundColor]"
    )
    assert colours[0] != colours[1]
