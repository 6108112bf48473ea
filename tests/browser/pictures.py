# ruff: noqa: T201 - a program that prints what it did
"""How some pages look, to be held against what they looked like: the baselines beside this file.

    make baselines

makes them anew, after a change that is meant to be seen: look at each before it is committed. They
are of one Chromium and its fonts, which `made_with.json` names; another draws letters differently.

A shop in a store of its own is shown, by a clock that goes on. So what changes from run to run is
made the same before a picture is taken: digits are 0, times are "0 s", curves and what is measured
are hidden. What is left is what such pictures are for: places, sizes, colours, words.
"""

import io
import json
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from pixelmatch.contrib.PIL import pixelmatch
from playwright.sync_api import sync_playwright
from support.programs import Program

from antq_actors import AntQ
from antq_actors.insights import Insights
from browser.visiting import OPTIONS, PHONE, Visits, chromium

HERE = Path(__file__).parent
BASELINES = HERE / "baselines"
MADE_WITH = BASELINES / "made_with.json"
COLOURS = 128
"""Of a baseline, so that it is small."""
MOST_DIFFERENT = 60
"""Pixels that may differ: a corner that is drawn by another rounding, and no letter."""
THRESHOLD = 0.2
"""How different a pixel must be to count, of 1."""


class Picture(NamedTuple):
    """A page of the shop, and how it is looked at."""

    path: str
    how: dict = {}  # noqa: RUF012 - nobody changes it


PICTURES = {
    "overview": Picture(""),
    "overview-phone": Picture("", {"size": PHONE}),
    "jobs": Picture("jobs?limit=50&q=status:failed,cancelled"),
    "job": Picture("jobs/47"),
    "queue": Picture("queue?name=billing"),
    "tree": Picture("tree"),
    "tree-map": Picture("tree?view=map"),
    "tree-dark": Picture("tree", {"theme": "dark", "level": "CHAOS"}),
    "errors": Picture("errors"),
    "metrics": Picture("charts"),
    "workflow": Picture("workflows/73"),
    "bulk": Picture("bulk?verb=retry&q=status:failed"),
}

STILL = """
() => {
  const span = /(in )?\\b[\\d,.]+ (ms|s|min|h|d)\\b( [\\d,.]+ (s|min|h))?( ago)?/g;
  const place = /\\/(tmp|var|private)\\/[^\\s"']*/g;
  const digits = /[\\d,.]*\\d/g;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode;
    if (text.parentElement.closest("time")) text.data = "0 s ago";
    else text.data = text.data.replace(place, "/store").replace(span, "0 s").replace(digits, "0");
  }
  for (const box of document.querySelectorAll("input[type=search], input[type=number]"))
    if (/\\d/.test(box.value)) box.value = "0";
  for (const each of document.querySelectorAll("meter, progress")) each.value = each.max;
  for (const each of document.querySelectorAll(
    "svg polyline, .plot svg *, svg.heat *, svg.bars *, canvas, .u-legend"))
    each.style.visibility = "hidden";
  for (const each of document.querySelectorAll("[data-testid=live], .handling"))
    each.style.display = "none";
  window.scrollTo(0, 0);
}
"""
"""Makes the same what changes from run to run."""

FONTS = """
() => {
  const pen = document.createElement("canvas").getContext("2d");
  return ["system-ui", "monospace"].map((family) => {
    pen.font = `40px ${family}`;
    return pen.measureText("Why is this job not running? ○◷◌▶↻✓■⊘ 0123456789").width.toFixed(2);
  });
}
"""
"""How wide a line is in each font of the pages, which tells other fonts."""


@contextmanager
def shown(new_context, folder):
    """Yield a function that opens pages of a new shop in *folder*, which nothing changes."""
    with (folder / "log").open("w") as log:
        program = Program(["-m", "browser.served", folder], HERE, errors=log)
        try:
            site = program.line()
            with AntQ(folder / "shop", start_queues=False) as shop:
                fingerprint = Insights(shop).errors().items[0].fingerprint
            yield Visits(_without_news(new_context), site, fingerprint)
        finally:
            program.end(60)


def _without_news(new_context):
    """Return a function that makes contexts whose pages are not told of changes."""

    def make(**options):
        context = new_context(**options)
        for path in ("**/live", "**/region/**"):
            context.route(path, lambda route: route.fulfill(status=204))
        return context

    return make


def open_still(visits, name):
    """Return the page of a picture, with all that changes made the same."""
    path, how = PICTURES[name]
    page = visits(path, **how)
    page.wait_for_load_state("load")
    page.evaluate("document.fonts.ready.then(() => true)")
    page.evaluate(STILL)
    return page


def take(page):
    """Return the picture of a page, of few colours."""
    shot = page.screenshot(animations="disabled", caret="hide")
    return Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)


def differences(picture, baseline):
    """Return how many pixels of two pictures differ, and a picture of where.

    Of two sizes all do.
    """
    if picture.size != baseline.size:
        return max(picture.width * picture.height, baseline.width * baseline.height), picture
    where = Image.new("RGBA", baseline.size)
    found = pixelmatch(
        *(picture.convert("RGBA"), baseline.convert("RGBA"), where), threshold=THRESHOLD
    )
    return found, where


def made_with(browser):
    """Return what draws the pictures: the Chromium, and how wide its fonts are."""
    page = browser.new_page()
    try:
        return {"chromium": browser.version, "widths": page.evaluate(FONTS)}
    finally:
        page.close()


def main(names):
    """Make the baselines anew, and print their size."""
    BASELINES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=OPTIONS)
        with shown(browser.new_context, Path(folder)) as visits:
            for name in names or PICTURES:
                page = open_still(visits, name)
                take(page).save(BASELINES / f"{name}.png", optimize=True)
                page.context.close()
        MADE_WITH.write_text(json.dumps(made_with(browser), indent=2) + "\n", encoding="utf-8")
        browser.close()
    size = sum(each.stat().st_size for each in BASELINES.glob("*.png"))
    print(f"{len(names or PICTURES)} baselines are made; all have {size / 1_000:.0f} kB")
    for complaint in visits.complaints:
        print(f"- {complaint}")


if __name__ == "__main__":
    main(sys.argv[1:])
