"""``antq charts``."""

import csv
import io
import json

import pytest

from antq_actors import AntQ, worker
from antq_actors.cli import USAGE


@worker(name="charts_command:fulfil")
def fulfil():
    pass


@pytest.fixture
def path(tmp_path):
    with AntQ(tmp_path / "store", queues={"mail": 1}) as app:
        app.queue("mail").pause(by="ada")
        app.queue("mail").resume()
        app.enqueue_many(fulfil, [{}] * 3)
        app.wait_idle(timeout=30)
    return tmp_path / "store"


def test_steps_in_which_something_happened_are_shown_with_what_explains_them(antq):
    code, shown, _ = antq("charts")

    assert code == 0
    heading, *lines = [line.split() for line in shown.splitlines()]
    assert heading[:4] == ["from", "enqueued", "completed", "failures"]
    rows = [line for line in lines if line[2].isdigit()]
    assert sum(int(row[2]) for row in rows) == 3
    assert any(line[-5:] == ["mail", "was", "paused", "by", "ada"] for line in lines)


def test_a_store_in_which_nothing_happened_says_so(antq, tmp_path):
    with AntQ(tmp_path / "empty", start_queues=False):
        pass

    code, shown, _ = antq("charts", "--window", "15m", path=tmp_path / "empty")

    assert (code, shown) == (0, "Nothing happened in the last 15m.\n")


def test_json_and_csv_have_every_series(antq):
    _, as_json, _ = antq("charts", "--json", "--queue", "mail")
    _, as_csv, _ = antq("charts", "--csv", "--queue", "mail")

    found = json.loads(as_json)
    heading, *rows = csv.reader(io.StringIO(as_csv))
    assert found["window"] == "1h"
    assert len(rows) == len(found["at"]) == 60
    assert len(heading) == len(found["series"]) + 1
    assert {each["queue"] for each in found["series"]} == {"mail"}


def test_json_and_csv_are_compared_with_the_week_before(antq):
    _, as_json, _ = antq("charts", "--json", "--compare", "week")
    _, as_csv, _ = antq("charts", "--csv", "--compare", "week")

    (found,) = (
        each for each in json.loads(as_json)["series"] if each["name"] == "completed_week_before"
    )
    assert found["values"] == [None] * 60
    assert "completed_week_before (jobs)" in as_csv.splitlines()[0].split(",")


@pytest.mark.parametrize(
    "wrong", [["--compare", "week"], ["--window", "2h"], ["--json", "--csv"], ["--node", "x"]]
)
def test_what_makes_no_sense_is_wrong_usage(antq, wrong):
    code, shown, _ = antq("charts", *wrong)

    assert (code, shown) == (USAGE, "")
