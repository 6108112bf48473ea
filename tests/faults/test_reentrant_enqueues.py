"""Whoever enqueues in the middle of another enqueue of the same thread stores a job like anyone."""

import json
import logging

import pytest

from antq_actors import AntQ, Worker


@pytest.mark.parametrize("store", ["volatile", "durable"])
def test_a_handler_of_a_signal_and_a_finalizer_enqueue_at_any_moment(program, store):
    status, out, errors = program("reentrant_enqueues.py", store).end(60)

    assert (status, errors) == (0, "")
    outcomes, stored = json.loads(out)
    assert {where: list(counts) for where, counts in outcomes.items()} == {
        "main": ["stored"],
        "handler": ["stored"],
        "finalizer": ["stored"],
    }
    assert stored == {where: counts["stored"] for where, counts in outcomes.items()}
    assert min(stored.values()) > 10


class Alert(Worker):
    def perform(self, job): ...


class Enqueuing(logging.Handler):
    """Enqueues a job for each error of the store, as an alert may be sent."""

    def emit(self, record):
        Alert.perform_async({"text": record.getMessage()})


def test_a_handler_of_log_records_enqueues_what_the_store_has_found(tmp_path, request):
    path = tmp_path / "store"
    with AntQ(path, start_queues=False) as app:
        damaged = Alert.perform_async().id
        app._runtime().environment().write(
            lambda txn: txn.put(
                damaged.to_bytes(8, "big"),
                b"no record",
                db=app._runtime().environment().tables.jobs,
            )
        )
        handler = Enqueuing()
        logger = logging.getLogger("antq_actors.storage")
        logger.addHandler(handler)
        request.addfinalizer(lambda: logger.removeHandler(handler))

        app.delete_worker(damaged)

        assert [job.args["text"].split(" is ")[0] for job in app.list_workers()] == [
            f"job {damaged}"
        ]
