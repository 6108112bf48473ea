"""Pages look as their baselines do; where those are of another browser, nothing overlaps or is cut.

`make baselines` makes them anew, after a change that is meant to be seen.
"""

import json

import pytest
from PIL import Image

from browser.pictures import (
    BASELINES,
    MADE_WITH,
    MOST_DIFFERENT,
    PICTURES,
    differences,
    made_with,
    open_still,
    shown,
    take,
)
from browser.visiting import sticks_out

EACH = pytest.mark.parametrize("name", PICTURES)
MOST_BYTES = 700_000
"""Of all baselines: they are in the repository for ever."""

TOUCHING = """
() => {
  const texts = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode, parent = node.parentElement;
    const isLeftOut = parent.closest("svg, nav, header, dialog, .sr, option, [hidden]");
    if (!node.data.trim() || isLeftOut) continue;
    if (!parent.checkVisibility({visibilityProperty: true, contentVisibilityAuto: true})) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects())
      if (box.width > 1 && box.height > 1 && box.bottom > 0 && box.top < innerHeight)
        texts.push({box, parent, text: node.data.trim().slice(0, 40)});
  }
  const found = [];
  for (const [n, one] of texts.entries())
    for (const other of texts.slice(n + 1)) {
      if (one.parent === other.parent) continue;
      const [a, b] = [one.box, other.box];
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 3 && high > 5) found.push(`${one.text} | ${other.text}`);
    }
  return found;
}
"""
"""The texts that lie on each other."""

CUT = """
() => [...document.querySelectorAll("main *")].filter((each) => {
  const style = getComputedStyle(each);
  const isHidden = style.overflowX === "hidden" || style.overflowX === "clip";
  if (!isHidden || style.textOverflow === "ellipsis") return false;
  if (each.closest("svg, .sr, .plot")) return false;
  if (style.clipPath !== "none" || !each.checkVisibility()) return false;
  return each.scrollWidth > each.clientWidth + 1 || each.scrollHeight > each.clientHeight + 1;
}).map((each) => each.outerHTML.slice(0, 120))
"""
"""What is larger than the box that hides the rest of it."""


@pytest.fixture(scope="module")
def visits(browser, tmp_path_factory):
    """A function that opens pages of a shop of their own: other tests change theirs."""
    with shown(browser.new_context, tmp_path_factory.mktemp("pictures")) as visits:
        yield visits


@EACH
def test_page_looks_as_its_baseline(visits, browser, name, tmp_path):
    baseline, here = json.loads(MADE_WITH.read_text(encoding="utf-8")), made_with(browser)
    if here != baseline:
        pytest.skip(f"the baselines are of {baseline}, and this is {here}: make baselines")
    page = open_still(visits, name)
    picture = take(page)
    page.context.close()

    number, where = differences(picture, Image.open(BASELINES / f"{name}.png"))
    if number > MOST_DIFFERENT:
        picture.save(tmp_path / f"{name}.png")
        where.save(tmp_path / f"{name}-differs.png")

    assert number <= MOST_DIFFERENT, (
        f"{number} pixels of {name} differ: look at the pictures in {tmp_path}, and if the change"
        " is meant, run make baselines"
    )


@EACH
def test_no_text_of_a_page_lies_on_another_or_is_cut(visits, name):
    page = open_still(visits, name)

    assert page.evaluate(TOUCHING) == []
    assert page.evaluate(CUT) == []
    assert sticks_out(page) is None
    page.context.close()


def test_rows_of_jobs_are_dense_and_their_numbers_are_of_one_width(visits):
    page = open_still(visits, "jobs")

    rows = page.get_by_test_id("job-row")
    heights = [row.bounding_box()["height"] for row in rows.all()]
    style = rows.first.evaluate(
        "row => [getComputedStyle(row).fontSize, getComputedStyle(row).fontVariantNumeric]"
    )

    assert heights
    assert max(heights) <= 29
    assert style == ["13px", "tabular-nums"]
    page.context.close()


def test_each_picture_has_a_baseline_and_all_are_small():
    files = list(BASELINES.glob("*.png"))

    assert {each.stem for each in files} == set(PICTURES)
    assert sum(each.stat().st_size for each in files) < MOST_BYTES


def test_pictures_that_differ_are_told_apart():
    white, black = Image.new("RGB", (20, 20), "white"), Image.new("RGB", (20, 20), "white")
    black.paste((0, 0, 0), (0, 0, 10, 10))

    assert differences(white, white)[0] == 0
    assert differences(white, black)[0] == 100
    assert differences(white, Image.new("RGB", (20, 30)))[0] == 600
