"""``antq show`` lists a job's steps, and ``antq retry --fresh`` forgets them."""

import json
import re
from datetime import datetime

import pytest
from support.apps import until

from antq_actors import AntQ, Fail, Job, Worker
from antq_actors.cli import USAGE

ESCAPE = "esc\x1b[31m\nin two lines"


class Order(Worker):
    def perform(self, job: Job):
        if not job.args["takes"]:
            return Fail("no")
        for name in ("reserve", "pay", ESCAPE):
            job.step(name, str, name)
        return Fail("no")


@pytest.fixture
def path(tmp_path):
    """A store with two failed jobs: 1 has taken steps, 2 has not."""
    path = tmp_path / "store"
    with AntQ(path, queues={"default": 1}) as app:
        app.enqueue(Order, {"takes": True})
        app.enqueue(Order, {"takes": False})
        until(lambda: app.count_jobs(status="failed") == 2)
    return path


def shown(antq, id_):
    return json.loads(antq("show", id_, "--json")[1])["steps"]


def test_show_has_the_names_and_times_of_steps_in_their_order(antq):
    _, out, _ = antq("show", 1)
    names = re.findall(r"\n    20\d\d-\d\d-\d\d .*[+-]\d\d:\d\d: (.*)", out)

    assert names == ["reserve", "pay", r"esc\x1b[31m\nin two lines"]
    assert "steps" not in antq("show", 2)[1]


def test_show_as_json_has_them_too(antq):
    steps = shown(antq, 1)

    assert [step["name"] for step in steps] == ["reserve", "pay", ESCAPE]
    assert all(datetime.fromisoformat(step["at"]).tzinfo for step in steps)
    assert shown(antq, 2) == []


def test_retry_keeps_the_steps_and_with_fresh_forgets_them(antq, path):
    assert antq("retry", 1)[0] == 0
    assert len(shown(antq, 1)) == 3
    assert antq("cancel", 1)[0] == 0

    assert antq("retry", "--fresh", 1, 2) == (
        0,
        "Job 1 is enqueued.\nJob 2 is enqueued.\n",
        "",
    )

    assert shown(antq, 1) == []
    assert antq("verify")[0] == 0


def test_fresh_is_for_jobs_that_are_named(antq):
    code, _, err = antq("retry", "--status", "failed", "--fresh")

    assert code == USAGE
    assert "--fresh" in err
