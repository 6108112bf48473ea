# ruff: noqa: T201 - a program that prints what it did
"""Pictures of pages: for the docs, and to look at what a change has made of them.

    make screenshots
    make screenshots FOLDER=/tmp/pages

Without a folder those in docs/images are made anew. In one, each page is shown light and dark, at
the width of a desktop and of a phone, from top to bottom, and once with hostile jobs.
"""

import re
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright
from support.programs import Program

from antq_actors import AntQ
from antq_actors.insights import Insights
from browser.test_every_page import PAGES, ROUTES
from browser.visiting import DESKTOP, OPTIONS, PHONE, Visits, chromium

HERE = Path(__file__).parent
IMAGES = HERE.parent.parent / "docs" / "images"
OF_THE_DOCS = {
    "/": "dashboard-overview",
    "/jobs/{id:int}": "dashboard-job",
    "/queue": "dashboard-queue",
    "/tree": "dashboard-tree",
}


def main(arguments):
    """Make the pictures, and print how many there are."""
    folder = Path(arguments[0]) if arguments else IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as stores, sync_playwright() as playwright:
        log = (Path(stores) / "log").open("w")
        program = Program(["-m", "browser.served", stores], HERE, errors=log)
        browser = playwright.chromium.launch(executable_path=chromium(), args=OPTIONS)
        try:
            site = program.line()
            with AntQ(Path(stores) / "shop", start_queues=False) as shop:
                fingerprint = Insights(shop).errors().items[0].fingerprint
            visits = Visits(browser.new_context, site, fingerprint)
            made = list(_of_all_pages(visits) if arguments else _of_the_docs(visits))
        finally:
            browser.close()
            program.end(60)
            log.close()
        for name, picture in made:
            (folder / f"{name}.png").write_bytes(picture)
    print(f"{len(made)} pictures are in {folder}")
    for complaint in visits.complaints:
        print(f"- {complaint}")


def _of_the_docs(visits):
    for route, name in OF_THE_DOCS.items():
        if route in ROUTES:
            yield name, visits(PAGES[route][0], device_scale_factor=1).screenshot()


def _of_all_pages(visits):
    for route in ROUTES:
        if route not in PAGES:
            print(f"- {route} has no row in PAGES")
            continue
        path = PAGES[route][0]
        name = re.sub(r"\W+", "-", route).strip("-") or "overview"
        for light in ("light", "dark"):
            for kind, size in (("wide", DESKTOP), ("phone", PHONE)):
                page = visits(path, size=size, theme=light)
                yield f"{name}-{kind}-{light}", page.screenshot(full_page=True)
                page.context.close()
        if not {"/", "="} & set(path):
            for kind, size in (("wide", DESKTOP), ("phone", PHONE)):
                page = visits(path, at="/odd/", size=size)
                yield f"{name}-{kind}-hostile", page.screenshot(full_page=True)
                page.context.close()


if __name__ == "__main__":
    main(sys.argv[1:])
