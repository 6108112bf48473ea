"""``antq audit``."""

import json

import pytest

from antq_actors import AntQ
from antq_actors.cli import USAGE


@pytest.fixture
def path(tmp_path):
    with AntQ(tmp_path / "store", queues={"mail": 1}) as app:
        with app.antq_acting("ada", "pause", "queue mail", "deploy\x1b[2J"):
            app.queue("mail").pause("ada")
        with app.antq_acting(None, "resume", "queue mail"):
            app.queue("mail").resume()
    return tmp_path / "store"


def test_entries_are_shown_the_newest_first_and_control_no_terminal(antq):
    code, shown, _ = antq("audit")

    _, resumed, paused = shown.splitlines()
    assert code == 0
    assert resumed.split()[-6:] == ["-", "resume", "queue", "mail", "1", "-"]
    assert "ada" in paused
    assert "\x1b" not in shown


def test_json_is_what_the_api_answers(antq):
    _, first, _ = antq("audit", "--json", "--limit", 1)
    found = json.loads(first)
    _, second, _ = antq("audit", "--json", "--after", found["next"])

    assert [each["verb"] for each in found["items"]] == ["resume"]
    assert [each["verb"] for each in json.loads(second)["items"]] == ["pause"]
    assert json.loads(second)["next"] is None


def test_a_part_of_the_entries_says_how_to_go_on(antq):
    code, shown, hint = antq("audit", "--limit", 1)
    _, older, nothing = antq("audit", "--after", hint.split()[-1])

    assert code == 0
    assert "resume" in shown
    assert hint.startswith("There are older ones: --after ")
    assert "pause" in older
    assert nothing == ""


def test_an_empty_audit_says_so(antq, tmp_path):
    with AntQ(tmp_path / "empty", start_queues=False):
        pass

    assert antq("audit", path=tmp_path / "empty")[:2] == (0, "Nothing was done by hand.\n")


@pytest.mark.parametrize("wrong", [["--limit", "0"], ["--limit", "x"], ["--after", "-1"]])
def test_wrong_options_are_refused(antq, wrong):
    assert antq("audit", *wrong)[0] == USAGE


def test_a_path_without_a_store_gets_none(antq, tmp_path):
    code, _, error = antq("audit", path=tmp_path / "nothing")

    assert code == 1
    assert "nothing" in error
    assert not (tmp_path / "nothing").exists()
