"""The comparison with other job queues runs, and goes on without those that cannot take part.

Nothing is installed from a network: only our own contestants run here, and Huey where it is there.
"""

import dataclasses
import json
import os
import sys
import time
from pathlib import Path

import pytest
from support.programs import run_python

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from comparison import environments, page, rounds, servers, tables  # noqa: E402 - found just now
from comparison.contestants import CONTESTANTS, HUEY, Contestant, Peer  # noqa: E402

UNREACHABLE = ("--index-url", "http://127.0.0.1:9", "--retries", "0", "--isolated")
DURABLE, PROCESSES, VOLATILE = (one for one in CONTESTANTS if one.is_ours)
HUEYS = next(one for one in CONTESTANTS if one.peer == HUEY)
OBANS = next(one for one in CONTESTANTS if one.peer.name == "oban" and one.durable)
HUEYS_PYTHON = environments.FOLDER / "huey" / "bin" / "python"


DRAIN = {"concurrency": 5, "jobs": 20, "seconds": 2.0}
# Nothing is late by this bound, however busy the machine is: the second rate is twice the first.
ONE_BY_ONE = {"concurrency": 5, "rate": 200, "seconds": 0.05, "bound": 60_000.0, "tries": 2}
TINY = dataclasses.replace(rounds.SHORT, jobs=20, stored=50, seconds=0.05)


def test_a_contestant_has_a_number_for_each_measure():
    results = rounds.measured(TINY, [PROCESSES])

    assert results.skipped == {}
    values = results.values[PROCESSES.name]
    measured = {measure for measure, found in values.items() if min(found) > 0}
    columns = {measure for plan in tables.PLANS for _, measure in plan.columns}
    assert columns - measured == {f"drain, {n}" for n in (1, 10, 50, 500)}


@pytest.mark.parametrize("one", [DURABLE, VOLATILE], ids=lambda one: one.name)
def test_one_that_performs_in_the_process_that_enqueues_is_drained_as_well(one):
    results = rounds.Results()

    entered = rounds.Entered(one, Path(sys.executable), url="")
    answer = entered.measure(TINY, results, "drain", measure="drain", **DRAIN)

    assert results.skipped == {}
    assert answer["rate"] > 0


@pytest.mark.parametrize("one", [DURABLE, VOLATILE, PROCESSES], ids=lambda one: one.name)
def test_jobs_that_arrive_one_by_one_have_a_highest_rate_and_latencies_at_half_of_it(one):
    assert_arrives_one_by_one(one, Path(sys.executable))


@pytest.mark.skipif(not HUEYS_PYTHON.exists(), reason="make bench has not installed Huey")
def test_jobs_of_a_peer_arrive_one_by_one_as_well():
    assert_arrives_one_by_one(HUEYS, HUEYS_PYTHON)


def assert_arrives_one_by_one(one, python):
    results = rounds.Results()

    entered = rounds.Entered(one, python, url="")
    answer = entered.measure(TINY, results, "sustained", measure="sustained", **ONE_BY_ONE)

    assert results.skipped == {}
    assert answer["rate"] == 2 * ONE_BY_ONE["rate"]
    assert 0 < answer["p50"] <= answer["p99"]


def test_page_and_tables_are_made_again_from_the_numbers_of_an_earlier_run(tmp_path):
    results = rounds.Results()
    results.add(DURABLE, "idle, p50", 1.5)
    results.skip("huey", "there is no network")
    numbers, site = tmp_path / "numbers.json", tmp_path / "page.md"
    content = {"machine": {"cores": "2"}, "measures": {}}
    numbers.write_text(json.dumps(content | {"comparison": dataclasses.asdict(results)}))
    site.write_text("<!-- comparison: begin -->\n<!-- comparison: end -->\n")

    done = run_python(BENCHMARKS / "run.py", "--again", numbers, "--page", site, check=True)

    assert "huey: there is no network" in done.stdout
    assert f"| {DURABLE.name} | 1.5 | – | – | – |" in site.read_text()
    assert "- huey: there is no network" in site.read_text()


def test_a_ratio_is_made_in_each_round_with_ours_of_the_same_kind():
    results = rounds.Results()
    for ours, theirs in ((100, 10), (300, 100), (800, 200)):
        results.add(DURABLE, "drain, best", ours)
        results.add(VOLATILE, "drain, best", 1)
        results.add(HUEYS, "drain, best", theirs)

    assert tables.ratio(HUEYS, "drain, best", results) == "4 ×"
    assert tables.ratio(DURABLE, "drain, best", results) == "–"


def test_the_short_table_has_ours_beside_the_best_peer_of_each_kind():
    results = rounds.Results()
    for contestant, rate, latency in ((DURABLE, 300, 1.5), (HUEYS, 100, 6), (OBANS, 200, 3)):
        results.add(contestant, "drain, best", rate)
        results.add(contestant, "idle, p50", latency)
    results.add(VOLATILE, "drain, best", 400)  # and no peer of its kind

    assert tables.summary(results).rows == [
        ["Performed, 1,000 waiting, jobs/s, durable", "300", "200 (Oban for Python)", "1.5 ×"],
        [
            "From enqueueing to performing, idle, ms, durable",
            "1.5",
            "3 (Oban for Python)",
            "0.5 ×",
        ],
    ]


def test_the_short_table_of_the_readme_is_made_from_the_numbers_of_a_run(tmp_path):
    results = rounds.Results()
    for contestant, rate in ((DURABLE, 300), (HUEYS, 100)):
        results.add(contestant, "enqueue, one", rate)
    numbers, readme = tmp_path / "numbers.json", tmp_path / "README.md"
    content = {"machine": {"cores": "2"}, "measures": {}}
    numbers.write_text(json.dumps(content | {"comparison": dataclasses.asdict(results)}))
    readme.write_text("before\n<!-- figures: begin -->\n<!-- figures: end -->\nafter\n")

    run_python(BENCHMARKS / "run.py", "--again", numbers, "--readme", readme, check=True)

    assert readme.read_text().startswith("before\n<!-- figures: begin -->\n\n|  | antq_actors |")
    assert "| Enqueued by one thread, jobs/s, durable | 300 | 100 (Huey) | 3 × |" in (
        readme.read_text()
    )


def test_a_contestant_without_a_number_is_left_out_of_the_table():
    results = rounds.Results()
    results.add(DURABLE, "idle, p50", 1.5)

    latency = next(one for one in tables.tables(results) if "idle system, ms" in one.title)

    assert latency.rows == [[DURABLE.name, "1.5", "–", "–", "–"]]
    assert f"| {DURABLE.name} | 1.5 | – | – | – |" in latency.to_markdown()
    assert DURABLE.name in latency.to_text()


def test_a_peer_that_cannot_be_installed_is_reported_and_leaves_nothing(tmp_path):
    with pytest.raises(environments.NotInstalled, match=r"No matching distribution .*huey"):
        environments.python_of(HUEY, pip_options=UNREACHABLE, folder=tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_peer_for_which_there_is_no_python_is_reported(tmp_path):
    future = Peer(name="future", title="Future", requirements=("future==1",), python=(3, 99))

    with pytest.raises(environments.NotInstalled, match=r"needs Python >= 3\.99"):
        environments.python_of(future, folder=tmp_path)


def test_a_server_that_is_not_there_is_reported_with_how_to_get_it():
    with pytest.raises(servers.ServerMissing, match="write for example: apt-get install nothing"):
        servers.find("no-such-server", "apt-get install nothing")


def test_a_measurement_that_hangs_ends_with_all_its_processes_and_costs_only_its_number(tmp_path):
    hanging = tmp_path / "python"
    pid = tmp_path / "pid"
    hanging.write_text(f"#!/bin/sh\nsleep 60 &\necho $! > {pid}\nwait\n")
    hanging.chmod(0o755)
    results = rounds.Results()
    entered = rounds.Entered(Contestant(HUEY, durable=True, settings=""), hanging, url="")
    size = rounds.Size(limit=0.5, concurrencies=(5,))

    assert list(entered.round(size, results, first=True)) == []

    assert results.skipped["huey, durable: enqueue"] == "did not end within 0.5 s"
    deadline = time.monotonic() + 10
    while is_alive(int(pid.read_text())):
        assert time.monotonic() < deadline


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that nobody has waited for yet is dead as well.
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def test_the_marked_part_of_a_page_is_renewed_and_the_rest_kept():
    text = "before\n<!-- ours: begin -->\nold\n<!-- ours: end -->\nafter\n"

    renewed = page.renewed(text, "ours", "new")

    assert renewed == "before\n<!-- ours: begin -->\n\nnew\n\n<!-- ours: end -->\nafter\n"
    assert page.renewed(renewed, "ours", "new") == renewed
    with pytest.raises(ValueError, match="<!-- comparison: begin -->"):
        page.renewed(text, "comparison", "new")


def test_the_page_of_the_documentation_has_both_marks():
    text = (BENCHMARKS.parent / "docs" / "performance.md").read_text(encoding="utf-8")

    for part in (page.COMPARISON, page.OURS):
        assert "new" in page.renewed(text, part, "new")
