"""``antq workflows`` and ``antq workflow``."""

import json

import pytest

from antq_actors import AntQ, Fail, Status, Workflow, worker


@worker
def fetch() -> None: ...


@worker
def parse() -> Fail:
    return Fail("no")


@worker
def store() -> None: ...


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def runs(path):
    """An ended workflow, and an open one of four nodes."""
    with AntQ(path).start(queues=False) as app:
        empty = app.start_workflow(Workflow("empty"))
        flow = Workflow("pages", key="today")
        first = flow.add(fetch)
        many = flow.add_many(parse, [{}, {}], after=first)
        flow.add(store, after=many)
        return [empty, app.start_workflow(flow)]


def test_workflows_are_listed_by_id(antq, runs):
    code, shown, _ = antq("workflows")

    assert code == 0
    rows = [line.split() for line in shown.splitlines()]
    assert rows[1:] == [
        [str(runs[0].id), "empty", "0", "0", "ended"],
        [str(runs[1].id), "pages", "today", "4", "4", "open"],
    ]


def test_workflows_are_json_with_their_attributes(antq, runs):
    _, shown, _ = antq("workflows", "--open", "--json")

    [found] = json.loads(shown)
    nodes = dict.fromkeys(map(str, Status), 0) | {"enqueued": 1, "suspended": 3}
    wanted = {"id": runs[1].id, "name": "pages", "key": "today", "open": True, "nodes": nodes}
    assert found == wanted


def test_a_workflow_is_shown_with_each_node_below_what_it_waits_for(antq, runs):
    code, shown, _ = antq("workflow", runs[1].id)

    assert code == 0
    head, *rows = shown.splitlines()
    assert head == "pages"
    assert [len(row) - len(row.lstrip()) for row in rows] == [0, 2, 2, 4]
    fields = [row.split() for row in rows]
    assert [each[2] for each in fields] == ["enqueued", "suspended", "suspended", "suspended"]
    assert fields[-1][1] == store.antq_name
    _, shown, _ = antq("workflow", runs[1].id, "--json")
    found = json.loads(shown)
    assert [job["id"] for job in found["jobs"]] == [int(each[0]) for each in fields]
    assert found["name"] == "pages"


def test_a_workflow_is_cancelled_and_its_failed_jobs_are_retried(antq, runs, path):
    code, _, _ = antq("workflow", runs[1].id, "--cancel")

    assert code == 0
    with AntQ(path).start(queues=False) as app:
        assert {job.status for job in app.get_workflow(runs[1].id).jobs()} == {Status.CANCELLED}
    code, _, _ = antq("workflow", runs[1].id, "--retry-failed")
    assert code == 0
    assert antq("workflow", runs[1].id, "--retry-failed", "--cancel")[0] == 2
    code, _, refused = antq("workflow", 999)
    assert code == 1
    assert refused.startswith("antq: ")
    assert "999" in refused
