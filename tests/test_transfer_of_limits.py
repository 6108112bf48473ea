"""What was set of limits at runtime goes out with the jobs, and comes in with them."""

import json

import pytest

from antq_actors import AntQ, BatchError, Concurrency, RateLimit, Worker


class Pay(
    Worker,
    name="transfer:Pay",
    concurrency=Concurrency(1, key="account", order="strict"),
    limits=[RateLimit(5, per=60, name="transfer:bank")],
):
    def perform(self, job): ...


@pytest.fixture
def lines(tmp_path):
    with AntQ(tmp_path / "source") as app:
        app.queue("default").pause()
        for account in ("a", "a", "b"):
            app.enqueue(Pay, {"account": account})
        app.limit("transfer:Pay").set(limit=2, key="a")
        app.limit("transfer:Pay").set(limit=3)
        app.limit("transfer:bank").pause()
        app.queue("default").set_global_concurrency(4)
        yield list(app.export_jobs())


def test_limits_come_in_as_they_were_set_and_jobs_wait_in_their_rooms(tmp_path, lines):
    with AntQ(tmp_path / "target") as app:
        assert app.import_jobs(lines).stored == 3

        infos = {info.name: info for info in app.limits()}
        assert infos["transfer:Pay"].limit == 3
        assert app.limit("transfer:Pay").keys() == ["a", "b"]
        assert app.count_jobs(status="enqueued") == 3
        assert not app.wait_idle(timeout=0)  # as one of their limits is paused
        app.limit("transfer:bank").resume()
        assert app.verify() == []

        again = [json.loads(line) for line in app.export_jobs()]
    limits = {each["antq_limit"]: each for each in again if "antq_limit" in each}
    (key,) = limits["transfer:Pay"]["keys"]
    assert (key["key"], key["numbers"][0]) == ("a", 2)
    assert {"antq_queue": "default", "global_concurrency": 4} in again


def test_a_store_keeps_what_was_set_there(tmp_path, lines):
    with AntQ(tmp_path / "target") as app:
        app.queue("default").pause()
        app.enqueue(Pay, {"account": "c"})
        app.limit("transfer:Pay").set(limit=7)
        app.queue("default").set_global_concurrency(9)

        app.import_jobs(lines)

        assert {info.name: info.limit for info in app.limits()}["transfer:Pay"] == 7
        exported = [json.loads(line) for line in app.export_jobs()]
        assert {"antq_queue": "default", "global_concurrency": 9} in exported


@pytest.mark.parametrize(
    "line",
    [
        '{"antq_limit":"x","rule":["x",false,[0],null]}',
        '{"antq_limit":"x","rule":["x",false,null,[1,0]]}',
        '{"antq_limit":"x","rule":["y",false,[1],null]}',
        '{"antq_limit":"x","rule":["x",false,[1],null],"numbers":[-1,null,null,null]}',
        '{"antq_limit":"x","rule":["x",true,[1],null],"keys":[{"gate":"AAAA"}]}',
        '{"antq_queue":"","global_concurrency":1}',
        '{"antq_queue":"mail","global_concurrency":0}',
    ],
)
def test_a_limit_that_cannot_be_is_refused_with_its_line(tmp_path, line):
    with AntQ(tmp_path / "target") as app, pytest.raises(BatchError, match="line 2"):
        app.import_jobs(['{"antq_export":1}', line])
