"""``antq batches``."""

import json

import pytest

from antq_actors import AntQ, Fail, Worker
from antq_actors.cli import REFUSED, USAGE


class Row(Worker, name="row"):
    def perform(self, job):
        pass


class Fails(Worker, name="fails", max_attempts=1):
    def perform(self, job):
        return Fail("no")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def batches(path):
    with AntQ(path).start(queues=False) as app:
        with app.batch("first import") as first:
            first.enqueue_many(Row, [{}] * 3)
        second = app.batch("second")
        second.close()
        return first.id, second.id


def test_batches_are_listed_by_id(antq, batches):
    code, shown, _ = antq("batches")

    assert code == 0
    rows = [line.split() for line in shown.splitlines()]
    assert rows[0] == ["id", "name", "members", "completed", "failed", "cancelled", "left", "state"]
    assert rows[1] == [str(batches[0]), "first", "import", "3", "0", "0", "0", "3", "closed"]
    assert rows[2] == [str(batches[1]), "second", "0", "0", "0", "0", "0", "ended"]


def test_batches_are_json_with_the_fields_of_their_status(antq, batches):
    code, shown, _ = antq("batches", "--open", "--json")

    assert code == 0
    assert json.loads(shown) == [
        {
            "id": batches[0],
            "name": "first import",
            "total": 3,
            "ended": 0,
            "completed": 0,
            "failed": 0,
            "cancelled": 0,
            "closed": True,
            "open": True,
        }
    ]


def test_a_batch_that_nobody_adds_to_any_more_says_so(antq, path):
    with AntQ(path).start(queues=False) as app:
        app.batch("left open")

    _, shown, _ = antq("batches")

    assert "not closed, and its node 1 is dead" in shown


def test_a_batch_is_cancelled_by_its_id(antq, batches, path):
    code, shown, _ = antq("batches", "--cancel", str(batches[0]))

    assert (code, shown) == (0, f"batch {batches[0]} is cancelled\n")
    with AntQ(path).start(queues=False) as app:
        assert app.get_batch(batches[0]).status().cancelled == 3


def test_a_batch_that_was_left_open_is_closed_by_its_id(antq, path):
    with AntQ(path).start(queues=False) as app:
        left = app.batch("left open")
        left.enqueue(Row)

    code, shown, _ = antq("batches", "--close", str(left.id))

    assert (code, shown) == (0, f"batch {left.id} is closed\n")
    with AntQ(path).start(queues=False) as app:
        assert app.get_batch(left.id).status().closed


def test_the_failed_members_of_a_batch_are_retried(antq, path):
    with AntQ(path, queues={"default": 1}).start() as app:
        with app.batch("fails") as batch:
            batch.enqueue(Fails)
            batch.enqueue(Row)
        assert batch.wait(timeout=60).failed == 1

    code, shown, _ = antq("batches", "--retry-failed", str(batch.id))

    assert (code, shown) == (0, f"the failed members of batch {batch.id} are retried\n")
    with AntQ(path).start(queues=False) as app:
        status = app.get_batch(batch.id).status()
    assert (status.failed, status.completed, status.open) == (0, 1, True)


@pytest.mark.parametrize("option", ["--close", "--cancel", "--retry-failed"])
def test_an_unknown_batch_is_refused(antq, batches, option):
    code, shown, error = antq("batches", option, "99")

    assert (code, shown) == (REFUSED, "")
    assert error == "antq: no batch has the id 99\n"


def test_one_thing_is_done_to_a_batch_at_a_time(antq, batches, path):
    code, _, error = antq("batches", "--close", str(batches[0]), "--cancel", str(batches[0]))

    assert code == USAGE
    assert "give one of --close, --cancel and --retry-failed" in error
    with AntQ(path).start(queues=False) as app:
        assert app.get_batch(batches[0]).status().cancelled == 0


def test_a_store_without_batches_says_so(antq, path):
    with AntQ(path).start(queues=False):
        pass

    assert antq("batches")[:2] == (0, "There is no batch.\n")
