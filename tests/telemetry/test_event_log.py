"""Events become lines of the ordinary logging."""

import json
import logging
from datetime import UTC, datetime

import pytest

import antq_actors
from antq_actors.events import EVENTS
from antq_actors.telemetry import JobEnded, Rescued, log_events

AT = datetime(2026, 11, 29, 8, 30, tzinfo=UTC)
ENDED = JobEnded(AT, 1, 7, "shop:Mail", "mail", 2, {"tenant": "a"}, "retrying", 0.5, 0.1, None, AT)


def lines(caplog, listener, event):
    with caplog.at_level(logging.INFO, "antq_actors.events"):
        listener(event)
    assert {(each.name, each.levelno) for each in caplog.records} <= {
        ("antq_actors.events", logging.INFO)
    }
    return [each.getMessage() for each in caplog.records]


def test_as_json_it_is_one_object_with_the_fields(caplog):
    (line,) = lines(caplog, log_events(), ENDED)

    assert json.loads(line) == {
        "event": "JobEnded",
        "at": "2026-11-29T08:30:00+00:00",
        "node": 1,
        "id": 7,
        "worker": "shop:Mail",
        "queue": "mail",
        "attempt": 2,
        "meta": {"tenant": "a"},
        "outcome": "retrying",
        "duration": 0.5,
        "queue_time": 0.1,
        "error_type": None,
        "next_at": "2026-11-29T08:30:00+00:00",
    }


def test_as_text_it_is_one_line_with_the_fields(caplog):
    (line,) = lines(caplog, log_events("text"), Rescued(AT, 1, 3))

    assert line == "Rescued at=2026-11-29T08:30:00+00:00 node=1 count=3"


def test_below_its_level_nothing_is_written(caplog):
    with caplog.at_level(logging.WARNING, "antq_actors"):
        log_events()(ENDED)

    assert caplog.records == []


@pytest.mark.parametrize("format_", ["xml", "JSON", ""])
def test_another_format_is_refused(format_):
    with pytest.raises(ValueError, match="format"):
        log_events(format_)


@pytest.mark.parametrize("format_", [None, 1, b"json"])
def test_a_format_of_another_type_is_refused(format_):
    with pytest.raises(TypeError, match="format"):
        log_events(format_)


def test_every_event_is_where_users_look_for_it():
    names = {each.__name__ for each in EVENTS} | {"JobFilter", "log_events"}

    assert names <= set(antq_actors.telemetry.__all__)
    assert all(hasattr(antq_actors.telemetry, name) for name in antq_actors.telemetry.__all__)
