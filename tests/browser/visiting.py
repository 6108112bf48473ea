"""How tests look at pages: what the browser complains about fails them, whatever else it was."""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urljoin

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page
from support.apps import until

BROWSERS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
"""The first of them that there is. A shell draws no window around a page: half the work."""
OPTIONS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
DESKTOP = (1280, 800)
PHONE = (390, 844)
WIDE = (1920, 1080)
NARROW = (320, 700)
TABLET = (768, 1024)
LAPTOP = (1024, 700)
ZONE = "Asia/Kolkata"
"""Half an hour off, so that what counts whole hours alone is seen."""

TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => console.error(
  `policy: ${event.violatedDirective} forbids ${event.blockedURI} in ${event.sourceFile}`
));
"""
AXE = {"resultTypes": ["violations"]}
FAILED_TO_LOAD = re.compile(r"Failed to load resource: .* status of (\d+)")


@dataclass
class Visits:
    """Opens pages of the served site, each in a context of its own."""

    new_context: Callable
    site: str
    fingerprint: str
    """Of the errors of the shop, which stands where a path has {fingerprint}."""
    complaints: list[str] = field(default_factory=list)
    is_offline: bool = False
    """Whether the test takes the network away, which a browser complains about."""
    refused: set[int] = field(default_factory=set)
    """Statuses that pages are answered with, and which are no complaint."""
    pages: list[Page] = field(default_factory=list)

    def __call__(
        self,
        path="/",
        *,
        at="/",
        level="OPERATE",
        size=DESKTOP,
        theme="light",
        scripts=True,
        status=200,
        **options,
    ):
        """Return the page of a *path* below *at*, after it has answered with *status*."""
        if status >= HTTPStatus.BAD_REQUEST:
            self.refused.add(status)
        context = self.new_context(
            base_url=urljoin(self.site, at),
            viewport={"width": size[0], "height": size[1]},
            color_scheme=theme,
            java_script_enabled=scripts,
            timezone_id=ZONE,
            locale="en-GB",
            reduced_motion="reduce",
            extra_http_headers={"X-Level": level},
            **options,
        )
        page = context.new_page()
        self.pages.append(page)
        if scripts:
            page.add_init_script(TELL_VIOLATIONS)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(f"raised: {error}"))
        page.on("dialog", self._refuse)
        answer = page.goto(path.replace("{fingerprint}", self.fingerprint).lstrip("/") or "./")
        assert answer.status == status, f"{page.url}: {answer.status}\n{page.inner_text('body')}"
        return page

    def _refuse(self, dialog):
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _note(self, message):
        if self.is_offline and "net::ERR_INTERNET_DISCONNECTED" in message.text:
            return
        failed = FAILED_TO_LOAD.search(message.text)
        if failed and int(failed[1]) in self.refused:
            return
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location})")


def tree_to_harm(visit, *, restarts=2, **options):
    """Return the page of the tree once its supervisor has at least so many *restarts* left, of 5.

    Earlier tests ended actors of the same tree, and those restarts count for five seconds.
    """
    page = visit("tree", level="CHAOS", **options)
    budget = page.locator('[data-testid=actor][data-name="tills"]').get_by_test_id("budget")

    def has_them_left():
        return page.reload() and int(budget.get_attribute("data-left")) >= restarts

    until(has_them_left, f"{restarts} restarts left")
    return page


def chromium():
    """Return the Chromium of this machine, or None: Playwright's own would be a download."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


def violations(page, within=None):
    """Return what axe has against a page, or what is *within* a selector, a line each."""
    found = Axe().run(page, within, options=AXE).response["violations"]
    return [
        f"{each['id']}: {each['help']}: {node['html'][:200]} {node['failureSummary']}"
        for each in found
        for node in each["nodes"]
    ]


def sticks_out(page):
    """Return how many pixels of a page are beyond the right of its window, and what is there."""
    return page.evaluate(
        """() => {
          const width = document.documentElement.clientWidth;
          const beyond = document.documentElement.scrollWidth - width;
          if (beyond <= 0) return null;
          const out = [...document.body.querySelectorAll("*")]
            .filter((each) => each.getBoundingClientRect().right > width + 1)
            .map((each) => each.outerHTML.slice(0, 120));
          return `${beyond} px: ${out.slice(0, 5).join("\\n")}`;
        }"""
    )
