"""The audit, page by page."""

import pytest

from antq_actors import AntQ
from antq_actors.insights import Insights
from antq_actors.insights.as_json import as_json


@pytest.fixture
def app():
    with AntQ() as app:
        yield app


def act(app, *targets):
    for target in targets:
        with app.antq_acting("ada", "crash", target) as acting:
            acting.note()


def targets(page):
    return [each.target for each in page.items]


def test_pages_lead_from_the_newest_entry_to_the_oldest_and_back(app):
    act(app, *"abcde")
    insights = Insights(app)

    first = insights.audit_page(limit=2)
    second = insights.audit_page(limit=2, after=first.next)
    third = insights.audit_page(limit=2, after=second.next)
    again = insights.audit_page(limit=2, before=third.previous)

    assert [targets(each) for each in (first, second, third)] == [["e", "d"], ["c", "b"], ["a"]]
    assert (first.previous, third.next) == (None, None)
    assert again == second


def test_what_is_done_in_the_meantime_moves_no_page(app):
    act(app, *"abcd")
    insights = Insights(app)
    first = insights.audit_page(limit=2)
    act(app, *"ef")

    second = insights.audit_page(limit=2, after=first.next)

    assert targets(second) == ["b", "a"]
    assert targets(insights.audit_page(limit=2, before=second.previous)) == ["d", "c"]


def test_an_empty_audit_is_an_empty_page(app):
    assert as_json(Insights(app).audit_page()) == {"items": [], "next": None, "previous": None}


def test_an_entry_has_the_keys_of_the_api(app):
    act(app, "a")

    (entry,) = as_json(Insights(app).audit(1))
    assert list(entry) == ["at", "name", "verb", "target", "count", "reason"]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"after": 1, "before": 2}, ValueError),
        ({"after": -1}, ValueError),
        ({"after": 2**70}, ValueError),
        ({"before": "7"}, TypeError),
        ({"limit": 0}, ValueError),
        ({"limit": 1_001}, ValueError),
        ({"limit": True}, TypeError),
    ],
)
def test_odd_cursors_and_limits_are_refused(app, given, error):
    with pytest.raises(error):
        Insights(app).audit_page(**given)
