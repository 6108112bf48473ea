"""A browser, and one site for all tests of a program."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright
from support.programs import Program

from antq_actors import AntQ
from antq_actors.insights import Insights
from browser.visiting import OPTIONS, Visits, chromium

expect.set_options(timeout=30_000)  # also on a busy machine
HERE = Path(__file__).parent


@pytest.fixture(scope="package")
def playwright():
    """Playwright's loop, which runs in this thread: it ends with this folder's tests.

    Those of later folders have loops of their own, and Python runs one in a thread.
    """
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="package")
def browser(playwright):
    """The Chromium of this machine."""
    found = chromium()
    if found is None:
        no_browser = (
            "no Chromium is installed: apt install chromium-headless-shell, or chromium, or name"
            " one in $CHROMIUM"
        )
        if os.environ.get("CI"):
            pytest.fail(no_browser)
        pytest.skip(no_browser)
    browser = playwright.chromium.launch(executable_path=found, args=OPTIONS)
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def browser_context_args():
    """Nothing that holds for all contexts of `new_context`: each visit says all of it."""
    return {}


@pytest.fixture(scope="package")
def served(tmp_path_factory):
    """The address of the site, and the folder with its stores."""
    folder = tmp_path_factory.mktemp("served")
    with (folder / "log").open("w") as log:
        program = Program(["-m", "browser.served", folder], HERE, errors=log)
        yield program.line(), folder
        program.end(60)


@pytest.fixture(scope="package")
def fingerprint(shop):
    """That of the errors of the shop that came last."""
    return Insights(shop).errors().items[0].fingerprint


@pytest.fixture
def visit(new_context, served, fingerprint):
    """Open a page of the site; what the browser complained about meanwhile fails the test."""
    visits = Visits(new_context, served[0], fingerprint)
    yield visits
    assert visits.complaints == []


@pytest.fixture(scope="package")
def shop(served):
    """The application of the shop, in this process: it enqueues, looks and runs nothing."""
    with AntQ(served[1] / "shop", start_queues=False) as app:
        yield app
