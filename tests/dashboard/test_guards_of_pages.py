"""No text becomes markup or a script: templates mark none as safe, and scripts write text alone."""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files

import pytest
from dashboard.sites import site
from support.apps import until

from antq_actors import AntQ, worker

HERE = files("antq_actors.web")
TEMPLATES = sorted(each.name for each in (HERE / "templates").iterdir())
SCRIPTS = sorted(each.name for each in (HERE / "static").iterdir() if each.name.endswith(".js"))

UNESCAPED = re.compile(
    r"\|\s*safe\b|Markup|\bautoescape\b"  # a text that is taken for markup
    r"|<script(?![^>]*\bsrc=)|<style|\sstyle\s*="  # what the policy refuses
    r"|\s(?:on[a-z]+|hx-on[\w:-]*)\s*=|javascript:|\bjs:",  # a text that is run
    re.IGNORECASE,
)
WRITES_MARKUP = re.compile(
    r"\.(?:inner|outer)HTML\b|insertAdjacentHTML|document\.write|createContextualFragment"
    r"|\beval\s*\(|\bnew\s+Function\b|set(?:Timeout|Interval)\s*\(\s*[\"'`]"
)

HOSTILE = "<script>alert(1)</script>\" onload='x' &amp; {{ 7*7 }}"


@worker(name=f"guards:{HOSTILE}", queue="odd", max_attempts=1)
def fail(text):
    raise ValueError(text)


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_marks_no_text_as_safe_and_has_no_script_within(name):
    text = (HERE / "templates" / name).read_text(encoding="utf-8")

    assert [found[0] for found in UNESCAPED.finditer(text)] == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_writes_text_and_never_markup(name):
    text = (HERE / "static" / name).read_text(encoding="utf-8")

    assert [found[0] for found in WRITES_MARKUP.finditer(text)] == []


def test_python_marks_no_text_as_safe():
    modules = (each for each in HERE.iterdir() if each.name.endswith(".py"))

    assert [each.name for each in modules if "Markup" in each.read_text(encoding="utf-8")] == []


@pytest.fixture
def client(tmp_path):
    """A client of a dashboard whose store, queue, worker, arguments and error are hostile."""
    with AntQ(tmp_path / "<blink>store", queues={"odd": 1, "<marquee>&quot;": 1}) as app:
        app.enqueue(fail, {"text": {HOSTILE: HOSTILE}}, meta={HOSTILE: HOSTILE})
        until(lambda: app.count_jobs(status="failed") == 1)
        app.queue("odd").pause(by=HOSTILE, reason=HOSTILE)
        yield site(app)


PATHS = ("/", "/jobs", "/jobs/1", "/queues", "/queue?name=odd", "/errors", "/store", "/nodes")


@pytest.mark.parametrize("path", PATHS)
def test_no_text_of_a_job_is_markup_on_a_page(client, path):
    page = client.get(path)

    assert page.status_code == 200
    assert "<blink>" not in page.text
    assert "<marquee>" not in page.text
    assert "<script>" not in page.text
    assert escape("<blink>store") in page.text


def test_filter_and_notice_of_a_link_are_no_markup(client):
    for query in ("q", "did", "changed", "undo", "result", "after", "node"):
        for path in ("/jobs", "/", "/queue?name=odd"):
            where = f"{path}{'&' if '?' in path else '?'}{query}="
            page = client.get(where + "<script>alert(1)</script>")
            assert page.status_code in {200, 400, 404}, where
            assert "<script>" not in page.text, where


@pytest.mark.parametrize("did", ["You won", "<script>", "/jobs/{id:int}/explode"])
def test_no_link_makes_a_page_say_that_something_was_done(client, did):
    page = client.get("/", params={"did": did, "changed": "1"})

    assert page.status_code == 200
    assert 'data-testid="toast"' not in page.text
    assert 'data-testid="toast"' in client.get("/?did=/queue/pause&changed=1").text
