"""A program copies its own data directory, with the store in it, while the application runs."""

import shutil
import sys

import pytest
from support.apps import settled

from antq_actors import AntQ, maintenance

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks of an open file")

PROGRAM = """
import sys
from antq_actors import AntQ, StorageError, maintenance
try:
    {}
    print("done")
except StorageError as error:
    print("refused:", error)
"""
START = PROGRAM.format('with AntQ(sys.argv[1], queues={"other": 1}): pass')
COMPACT = PROGRAM.format("maintenance.compact(sys.argv[1])")


@pytest.fixture
def copied(tmp_path, controlled):
    """An application with a running job, whose directory was copied by its own program."""
    with AntQ(tmp_path / "store") as app:
        controlled.app = app
        job = controlled.job("held", wait="deaf")
        controlled.begun()
        shutil.copytree(
            *(tmp_path / "store", tmp_path / "copy"), ignore=shutil.ignore_patterns("*.sock")
        )
        yield app, job
        controlled.release("held")


def test_a_node_that_copied_its_store_is_not_taken_for_dead_by_another(copied, controlled, program):
    app, job = copied

    status, said, errors = program("-c", START, app.path).end()

    assert (status, said.partition(":")[0].strip()) in {(0, "done"), (0, "refused")}, errors
    controlled.release("held")
    done = settled(app, job)
    assert (done.status, done.interruptions) == ("completed", 0)
    assert not controlled.has_begun_more(), "it was performed twice"


def test_a_store_that_was_copied_while_open_cannot_be_compacted(copied, controlled, program):
    app, _ = copied

    _, said, errors = program("-c", COMPACT, app.path).end()

    assert said.startswith("refused: another process has"), said + errors
    late = [job.id for job in controlled.jobs(range(5))]
    controlled.release("held", *range(5))
    app.stop()
    with AntQ(app.path, start_queues=False) as again:
        assert set(late) <= {job.id for job in again.list_workers()}


def test_others_may_open_a_copied_store_again_when_it_has_stored_something(
    copied, controlled, program
):
    app, job = copied
    controlled.release("held")
    settled(app, job)
    controlled.release_all()

    def start_another():
        controlled.job("another")
        return program("-c", START, app.path).end()[1].strip()

    tries = (start_another() for _ in range(10))
    assert "done" in tries
    assert maintenance.verify(app.path) == []
