"""``antq crons`` and ``antq cron``: what they show and change, and what they refuse."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from support.apps import Plain, until

from antq_actors import AntQ, Cron, Every, Status
from antq_actors.cli import REFUSED, USAGE


@pytest.fixture
def path(tmp_path):
    """A store with one entry."""
    with AntQ(tmp_path / "store", start_queues=False) as app:
        app.cron("nightly").set(Cron("0 3 * * *", worker=Plain, args={"n": 1}))
    return tmp_path / "store"


def test_entries_are_listed(antq):
    code, out, _ = antq("crons")

    assert code == 0
    assert out.splitlines()[0].split()[:4] == ["name", "when", "zone", "next"]
    assert out.splitlines()[1].startswith("nightly  0 3 * * *  UTC")


def test_the_last_job_is_shown_with_its_status(antq, path):
    with AntQ(path) as app:
        app.cron("often").set(Every(1, worker=Plain))
        until(lambda: app.cron("often").info().last_job is not None, "its first job")
        app.cron("often").pause()
        last = app.cron("often").info().last_job
        until(lambda: app.get_job(last).status is Status.COMPLETED, "its end")

    assert f"  {last} completed  " in antq("crons")[1]
    assert f"last_job      {last} completed\n" in antq("cron", "often")[1]
    assert json.loads(antq("cron", "often", "--json")[1])["last_job"] == last
    antq("delete", last)
    assert f"last_job      {last} deleted\n" in antq("cron", "often")[1]


def test_the_nodes_that_declare_an_entry_are_shown_by_their_numbers(path):
    with AntQ(path, crons=[Cron("0 0 29 2 *", worker=Plain, name="leap")]) as app:
        (node,) = app.cron("leap").info().declared_by

        done = subprocess.run(  # noqa: S603 - the command of this project
            [sys.executable, "-m", "antq_actors", "cron", "leap", "--path", str(path)],
            capture_output=True,
            text=True,
            check=True,
        )

    assert f"declared_by   {node}\n" in done.stdout


def test_json_has_the_names_of_the_attributes(antq):
    (info,) = json.loads(antq("crons", "--json")[1])

    assert (info["name"], info["expression"], info["declared_by"]) == ("nightly", "0 3 * * *", [])
    assert datetime.fromisoformat(info["next_at"]).hour == 3
    assert json.loads(antq("cron", "nightly", "--json")[1]) == info


def test_an_entry_is_paused_and_resumed(antq):
    assert antq("cron", "nightly", "pause") == (0, "Periodic entry 'nightly' is paused.\n", "")
    assert json.loads(antq("crons", "--json")[1])[0]["paused"] is True
    assert antq("cron", "nightly", "resume") == (0, "Periodic entry 'nightly' is resumed.\n", "")


def test_an_entry_is_run_by_hand_and_the_job_shows_that(antq):
    assert antq("cron", "nightly", "run") == (0, "Job 1 is enqueued in queue 'default'.\n", "")

    shown = json.loads(antq("show", 1, "--json")[1])
    assert (shown["cron"], shown["scheduled_for"]) == ("nightly", None)
    assert "cron          nightly" in antq("show", 1)[1]


def test_the_next_instants_are_shown(antq):
    found = json.loads(antq("cron", "nightly", "next", "-n", 3, "--json")[1])

    assert [datetime.fromisoformat(at).hour for at in found] == [3, 3, 3]
    assert len(antq("cron", "nightly", "next")[1].splitlines()) == 5
    assert len(antq("cron", "nightly", "next", 2)[1].splitlines()) == 2


def test_a_backfill_makes_the_jobs_of_a_time(antq, path):
    code, out, _ = antq("cron", "nightly", "backfill", "2026-01-01T00:00Z", "2026-01-03T00:00Z")

    assert (code, out) == (0, "2 jobs are enqueued.\n")
    with AntQ(path, start_queues=False) as app:
        assert app.get_job(1).scheduled_for == datetime(2026, 1, 1, 3, tzinfo=UTC)


def test_an_entry_is_set_and_deleted(antq):
    options = ("--worker", "support.apps:send", "--arg", "email=x", "--tz", "Europe/Berlin")
    assert antq("cron", "often", "set", "*/5 * * * *", *options)[0] == 0
    assert antq("cron", "seldom", "set", "--every", 3600, *options)[0] == 0

    found = {info["name"]: info["expression"] for info in json.loads(antq("crons", "--json")[1])}
    assert found == {"nightly": "0 3 * * *", "often": "*/5 * * * *", "seldom": "every 3600 s"}
    assert antq("cron", "often", "delete") == (0, "Periodic entry 'often' is deleted.\n", "")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nightly", "explode"), USAGE, "explode"),
        (("nightly", "backfill", "2026-01-01"), USAGE, "two times"),
        (("nightly", "backfill", "soon", "later"), USAGE, "'soon'"),
        (("nightly", "backfill", "2026-01-02", "2026-01-01"), USAGE, "before"),
        (("nightly", "next", "-n", "-1"), USAGE, "n must be at least 0"),
        (("nightly", "pause", "now"), USAGE, "nothing more"),
        (("nightly", "next", "many"), USAGE, "'many'"),
        (("x", "set"), USAGE, "expression or --every"),
        (("nothing",), REFUSED, "'nightly'"),
        (("nothing", "pause"), REFUSED, "'nothing'"),
        (("x", "set", "0 3 * * *"), REFUSED, "worker"),
        (("x", "set", "61 * * * *", "--worker", "support.apps:Plain"), REFUSED, "minute"),
        (("x", "set", "0 3 * * *", "--worker", "support.apps:send"), USAGE, "email"),
    ],
)
def test_what_is_wrong_is_said_on_one_line(antq, arguments, code, said):
    found, out, err = antq("cron", *arguments)

    assert (found, out) == (code, "")
    assert err.startswith("antq: ")
    assert said in err
    assert err.count("\n") == 1


def test_set_takes_all_that_an_entry_takes(antq, path):
    options = "overlap=cancel", "missed=all", "max_missed=7", "jitter=2.5", "priority=3"
    given = [each for option in options for each in ("--option", option)]
    worker = "--worker", "support.apps:Plain"
    anchored = "often", "set", "--every", 60, "--option", "anchor=2026-01-01T00:00:30Z"

    assert antq("cron", "nightly", "set", "0 4 * * *", *worker, *given)[0] == 0
    assert antq("cron", *anchored, *worker)[0] == 0

    with AntQ(path, start_queues=False) as app:
        entry = app.cron("nightly")._entry()
        assert (entry.overlap, entry.missed, entry.max_missed) == ("cancel", "all", 7)
        assert entry.jitter == 2.5
        assert app.cron("nightly").run_now().priority == 3
        assert app.cron("often").next(1)[0].second == 30


@pytest.mark.parametrize("option", ["overlap=maybe", "colour=red", "worker=x:y", "priority=high"])
def test_a_wrong_option_of_an_entry_sets_nothing(antq, option):
    worker = "--worker", "support.apps:Plain"

    code, _, err = antq("cron", "other", "set", "0 4 * * *", *worker, "--option", option)

    assert code in (REFUSED, USAGE)
    assert option.partition("=")[0] in err
    assert len(json.loads(antq("crons", "--json")[1])) == 1
