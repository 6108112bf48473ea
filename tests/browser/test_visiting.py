"""A visit fails for what only the browser notices."""

import pytest
from support.apps import until

from browser.visiting import sticks_out, violations

STYLE = """
document.body.append(Object.assign(document.createElement("style"), {textContent: "b {}"}))
"""
BAD_PICTURES = """
document.querySelector("main").insertAdjacentHTML(
  "beforeend", '<img src="data:,"><svg width="3000"></svg>')
"""


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("console.error('something is wrong')", "something is wrong"),
        ("setTimeout(() => { throw new Error('not caught') })", "not caught"),
        ("document.body.insertAdjacentHTML('beforeend', '<b onclick=1>')", "policy: script-src"),
        (STYLE, "policy: style-src"),
        ("setTimeout(() => alert('hello'))", "dialog: hello"),
        ("new Image().src = 'https://elsewhere.example/'", "policy: img-src"),
    ],
    ids=["console", "raised", "handler", "style", "dialog", "elsewhere"],
)
def test_a_complaint_of_the_browser_is_noted(visit, script, said):
    page = visit("about")

    page.evaluate(script)

    until(lambda: page.evaluate("true") and said in "".join(visit.complaints), said)
    visit.complaints.clear()


def test_what_is_not_accessible_or_too_wide_is_found(visit):
    page = visit("about")

    page.evaluate(BAD_PICTURES)

    assert any("image-alt" in each for each in violations(page))
    assert "<svg" in sticks_out(page)
