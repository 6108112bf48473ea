"""``antq overview``, ``queues`` and ``info``: a store as text, and as the API's JSON."""

import json

import pytest
from support.apps import Plain

from antq_actors import AntQ
from antq_actors.cli import run


@pytest.fixture
def path(tmp_path):
    with AntQ(tmp_path / "jobs", queues={"mail": 1}) as app:
        app.queue("mail").pause(by="ada")
        app.enqueue(Plain, queue="mail")
    return tmp_path / "jobs"


def antq(capsys, *arguments):
    code = run([*arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_overview_names_what_needs_attention_and_what_to_do(path, capsys):
    code, out, _ = antq(capsys, "overview", "--path", str(path))

    assert code == 0
    assert "1 waiting" in out
    assert "Queue 'mail' is paused by ada, and 1 job is due." in out
    assert "antq resume mail" in out


def test_the_json_of_the_overview_has_the_keys_of_the_api(path, capsys):
    _, out, _ = antq(capsys, "overview", "--path", str(path), "--json")

    found = json.loads(out)
    assert {row["rule"] for row in found["attention"]} == {"paused", "no_node"}
    assert set(found) == {
        *("at", "store", "waiting", "oldest_due", "running", "slots", "done_per_minute"),
        *("failed_per_minute", "retries_due", "store_fill", "last_ended_at", "attention"),
    }


def test_the_queues_are_a_table_or_a_list_of_the_api(path, capsys):
    _, table, _ = antq(capsys, "queues", "--path", str(path))
    _, out, _ = antq(capsys, "queues", "--path", str(path), "--json")

    assert "paused by ada" in table
    (queue,) = json.loads(out)["items"]
    assert (queue["name"], queue["waiting"], queue["paused"]["by"]) == ("mail", 1, "ada")


def test_the_store_is_shown_with_its_upkeep(path, capsys):
    assert antq(capsys, "backup", str(path.parent / "copy"), "--path", str(path))[0] == 0
    _, text, _ = antq(capsys, "info", "--path", str(path))
    _, out, _ = antq(capsys, "info", "--path", str(path), "--json")

    assert "Verified: never, as far as is known." in text
    found = json.loads(out)
    assert found["backups"][0]["target"].endswith("copy")
    assert found["pages"]["used"]["jobs"] > 0


@pytest.mark.parametrize("command", ["overview", "queues"])
def test_a_path_without_a_store_is_refused_and_nothing_is_made(tmp_path, capsys, command):
    code, out, err = antq(capsys, command, "--path", str(tmp_path / "none"))

    assert (code, out) == (1, "")
    assert "there is no store" in err
    assert not (tmp_path / "none").exists()
