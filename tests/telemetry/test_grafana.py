"""The dashboard asks for metrics that there are, in queries that Prometheus understands."""

import json
import re
import shutil
import subprocess
from importlib.resources import files

import pytest

from antq_actors import AntQ
from antq_actors.telemetry.prometheus import Collector

DASHBOARD = json.loads(files("antq_actors.telemetry").joinpath("grafana.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
TITLES = {panel["title"] for panel in DASHBOARD["panels"]}


def test_it_shows_what_one_looks_for_first():
    assert {"Jobs by status", "Age of the oldest due job", "Ended jobs"} <= TITLES


def test_every_panel_says_what_it_shows_and_has_its_own_place():
    places = [tuple(panel["gridPos"].values()) for panel in DASHBOARD["panels"]]

    assert all(panel["description"] for panel in DASHBOARD["panels"])
    assert len(set(places)) == len(places)


def test_it_asks_for_every_metric_and_for_no_other():
    asked = {
        re.sub("_(total|bucket|sum|count)$", "", name)
        for name in re.findall(r"antq_\w+", " ".join(QUERIES))
    }

    assert asked == {each.name for each in Collector(AntQ()).describe()}


def test_prometheus_understands_its_queries(tmp_path):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool, of the Debian package prometheus, is not installed")
    rules = [
        {"record": f"antq:query_{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(QUERIES)
    ]
    file = tmp_path / "rules.json"  # which is YAML as well
    file.write_text(json.dumps({"groups": [{"name": "antq", "rules": rules}]}))

    done = subprocess.run(  # noqa: S603 - our own command
        [promtool, "check", "rules", file], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(QUERIES)} rules found" in done.stdout
