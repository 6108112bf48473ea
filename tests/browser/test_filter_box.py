"""The filter box: what it offers, by keys and by mouse; and views that are saved from it."""

import re

import pytest
from playwright.sync_api import expect

from antq_actors.web.saved_views import SavedView, cookie_of
from browser.hostile import NAME, SCRIPT, TEXTS
from browser.visiting import DESKTOP, NARROW, PHONE, sticks_out, violations

BOTH = pytest.mark.parametrize("at", ["/", "/a/b/"])
NO_SCRIPTS_EITHER = pytest.mark.parametrize("scripts", [True, False])


def box_of(page):
    return page.get_by_role("searchbox", name="Filter jobs")


def options_of(page):
    return page.get_by_role("listbox", name="Suggestions").get_by_role("option")


def type_in(page, text):
    box_of(page).click()
    page.keyboard.type(text)


@BOTH
def test_a_key_and_its_value_are_chosen_by_keys_and_found_by_enter(visit, at):
    page = visit("about", at=at)

    type_in(page, "sta")
    expect(options_of(page)).to_have_text(["status:", "started:"])
    page.keyboard.press("ArrowDown")
    expect(options_of(page).first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(box_of(page)).to_have_value("status:")
    page.keyboard.type("fail")
    expect(options_of(page)).to_have_text(["failed"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(box_of(page)).to_have_value("status:failed")
    expect(options_of(page)).to_have_count(0)
    page.keyboard.press("Enter")

    expect(page.locator("h1")).to_have_text("Jobs")
    expect(page).to_have_url(re.compile(rf"{at}jobs\?q=status%3Afailed$"))


def test_the_last_term_alone_is_completed(visit):
    page = visit("jobs?q=status:failed")

    box_of(page).fill("status:failed,retrying -queue:bill")
    expect(options_of(page)).to_have_text(["billing"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")

    expect(box_of(page)).to_have_value("status:failed,retrying -queue:billing")


def test_a_further_value_is_offered_behind_a_comma(visit):
    page = visit()

    type_in(page, 'error:"a, b" status:failed,ret')

    expect(options_of(page)).to_have_text(["retrying"])


def test_arrows_go_around_and_through_the_box(visit):
    page = visit()
    type_in(page, "status:re")
    expect(options_of(page)).to_have_text(["retrying"])
    active = re.compile("^suggestion-0$")

    page.keyboard.press("ArrowUp")
    expect(box_of(page)).to_have_attribute("aria-activedescendant", active)
    page.keyboard.press("ArrowUp")
    expect(box_of(page)).not_to_have_attribute("aria-activedescendant", active)
    page.keyboard.press("ArrowDown")
    expect(box_of(page)).to_have_attribute("aria-activedescendant", active)


def test_escape_closes_the_list_and_keeps_what_was_typed(visit):
    page = visit()
    type_in(page, "queue:")
    expect(options_of(page).first).to_be_visible()

    page.keyboard.press("Escape")

    expect(options_of(page)).to_have_count(0)
    expect(box_of(page)).to_have_value("queue:")
    expect(box_of(page)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(options_of(page).first).to_be_visible()


def test_an_option_is_chosen_by_a_click(visit):
    page = visit()
    type_in(page, "queue:bil")

    options_of(page).filter(has_text="billing").click()

    expect(box_of(page)).to_have_value("queue:billing")
    expect(box_of(page)).to_be_focused()


def test_nothing_is_offered_in_the_middle_or_when_one_leaves(visit):
    page = visit()
    type_in(page, "queue:bil")
    expect(options_of(page)).to_have_count(1)

    page.keyboard.press("ArrowLeft")
    expect(options_of(page)).to_have_count(0)
    page.keyboard.type("x")
    expect(options_of(page)).to_have_count(0)
    page.keyboard.press("End")
    page.keyboard.press("Backspace")
    page.locator("h1").click()

    expect(page.get_by_role("listbox")).to_have_count(0)


def test_a_name_with_quotes_and_marks_is_completed_in_quotes_and_finds_its_jobs(visit):
    page = visit("jobs", at="/odd/")

    type_in(page, "queue:i onload")
    expect(options_of(page)).to_have_count(0)  # a blank ends a value without quotes
    box_of(page).fill('queue:"q\\"><i')
    expect(options_of(page)).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    written = NAME.replace('"', '\\"')
    expect(box_of(page)).to_have_value(f'queue:"{written}"')
    page.keyboard.press("Enter")

    expect(page.get_by_test_id("filter-chip")).to_have_count(1)
    expect(page.get_by_test_id("job-row")).to_have_count(1)


def test_hostile_names_are_text_in_the_list(visit):
    page = visit(at="/odd/")

    type_in(page, "worker:script")

    expect(options_of(page).filter(has_text=SCRIPT)).to_have_count(1)
    assert page.locator("header script, header i").count() == 0
    assert page.title() == "Overview · odd · antq"


@pytest.mark.parametrize("size", [DESKTOP, PHONE, NARROW], ids=str)
def test_axe_finds_nothing_with_the_list_open_and_nothing_sticks_out(visit, size):
    page = visit("jobs", size=size)
    for text in ("status:", "worker:", "x ", "queue:b"):
        box_of(page).fill("")
        type_in(page, text)
        page.keyboard.press("ArrowDown")
        expect(options_of(page).first).to_be_visible()

        assert sticks_out(page) is None
        for light in ("light", "dark"):
            page.emulate_media(color_scheme=light)
            assert (text, violations(page, "form.search")) == (text, [])


def test_the_names_are_asked_when_somebody_types_and_once(visit):
    page = visit()
    asked = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))

    type_in(page, "queue:")
    expect(options_of(page).first).to_be_visible()
    type_in(page, "b")
    expect(options_of(page)).to_have_text(["billing"])

    assert asked.count("suggestions") == 1
    assert asked.count("suggestions.js") == 1


def test_the_box_works_while_the_names_cannot_be_had(visit):
    page = visit()
    visit.is_offline = True
    page.route("**/suggestions", lambda route: route.abort("internetdisconnected"))

    type_in(page, "status:failed")
    page.keyboard.press("Enter")

    expect(page.locator("h1")).to_have_text("Jobs")


# ---- saved views ---------------------------------------------------------------------------------


def save(page, name):
    page.get_by_text("Save this view").click()
    page.get_by_role("textbox", name="Name").fill(name)
    page.get_by_role("button", name="Save view").click()


def in_the_rail(page):
    return page.get_by_role("navigation", name="Main").get_by_test_id("nav-view")


@NO_SCRIPTS_EITHER
@BOTH
def test_a_view_is_saved_followed_and_removed(visit, at, scripts):
    page = visit("jobs?q=status:failed&order=oldest&limit=100", at=at, scripts=scripts)

    save(page, "Failed, oldest first")
    shown = page.get_by_test_id("saved-view").get_by_role("link")
    expect(shown).to_have_text("Failed, oldest first")
    expect(shown).to_have_attribute("aria-current", "true")
    page.goto("queues")
    in_the_rail(page).click()

    expect(page.locator("h1")).to_have_text("Jobs")
    expect(page).to_have_url(re.compile(rf"{at}jobs\?q=status%3Afailed&order=oldest&limit=100$"))
    page.get_by_role("button", name="Remove view Failed, oldest first").click()
    expect(page.get_by_test_id("saved-view")).to_have_count(0)
    expect(page.get_by_test_id("filter")).to_have_value("status:failed")


def test_a_view_that_cannot_be_kept_is_refused_in_its_place(visit):
    page = visit("jobs?q=status:failed")
    visit.refused.add(400)

    save(page, "\u200b")

    expect(page.get_by_test_id("alert")).to_contain_text("something to read in it")
    expect(page.get_by_test_id("saved-view")).to_have_count(0)


@pytest.mark.parametrize("what", ["a script", "out of an attribute", "from right to left"])
def test_hostile_names_of_views_are_text(visit, what):
    page = visit("jobs", at="/odd/")

    save(page, TEXTS[what])

    mine = page.get_by_role("button", name=f"Remove view {TEXTS[what]}", exact=True)
    expect(mine).to_be_visible()
    expect(in_the_rail(page).get_by_text(TEXTS[what], exact=True).last).to_be_visible()
    assert page.title() == "Jobs · odd · antq"
    mine.click()
    expect(mine).to_have_count(0)


def test_a_view_of_the_team_is_there_for_all_and_has_no_button(visit):
    page = visit("jobs", at="/odd/", level="READ")

    expect(page.get_by_test_id("saved-view")).to_have_text([SCRIPT])
    assert page.get_by_role("button", name="Remove view").count() == 0
    page.get_by_test_id("saved-view").get_by_role("link").click()

    expect(page.get_by_test_id("filter")).to_have_value("status:failed")


@pytest.mark.parametrize("size", [DESKTOP, PHONE, NARROW], ids=str)
def test_axe_finds_nothing_with_many_views_and_the_form_open(visit, size):
    views = tuple(SavedView(f"View {n} with {'a long name ' * 3}") for n in range(12))
    page = visit("jobs?q=status:failed", size=size)
    cookie = {"name": "antq_views", "value": cookie_of(views), "url": page.url}
    page.context.add_cookies([cookie])
    page.reload()
    expect(page.get_by_test_id("saved-view")).to_have_count(12)
    page.get_by_text("Save this view").click()

    assert sticks_out(page) is None
    for light in ("light", "dark"):
        page.emulate_media(color_scheme=light)
        assert violations(page) == []
