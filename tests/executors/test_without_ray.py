"""Where Ray is not installed, its jobs wait, and others run."""

import importlib.util
import itertools
import logging

import pytest
from support.apps import settled, until

from antq_actors import AntQ, QueueConfig, Status, Worker

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is not None, reason="Ray is installed"
)


class Afar(Worker, executor="ray"):
    def perform(self, job): ...


class Nearby(Worker, executor="thread"):
    def perform(self, job): ...


@pytest.mark.parametrize("of_queue", [None, "ray"])
def test_jobs_for_ray_wait_and_others_run_where_it_is_not_installed(caplog, of_queue):
    with (
        caplog.at_level(logging.ERROR),
        AntQ(queues={"default": QueueConfig(2, executor=of_queue)}) as app,
    ):
        waits = app.enqueue(Afar)
        until(lambda: "pip install 'antq-actors[ray]'" in caplog.text)

        settled(app, app.enqueue(Nearby), Status.COMPLETED)

        waits = settled(app, waits, Status.ENQUEUED)
        assert (waits.attempts, waits.interruptions, waits.errors) == (0, 0, ())


def test_a_client_without_ray_says_what_to_install():
    with pytest.raises(ImportError, match=r"pip install 'antq-actors\[ray\]'"):
        import antq_actors.cluster  # noqa: F401, PLC0415


def test_what_cannot_start_is_tried_again_at_intervals_that_stay_as_they_are(caplog):
    looks_often = QueueConfig(2, check_interval=0.3)
    with caplog.at_level(logging.ERROR), AntQ(queues={"default": looks_often}) as app:
        app.enqueue(Afar)

        def refusals():
            said = [each for each in caplog.records if "no worker actor could" in each.message]
            return said if len(said) >= 8 else None

        times = [record.created for record in until(refusals)][1:]  # one was due before

    assert min(later - earlier for earlier, later in itertools.pairwise(times)) > 0.2
