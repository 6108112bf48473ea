"""Where Ray is not installed, its jobs wait, and others run."""

import importlib.util
import logging

import pytest
from apps import settled, until

from antq_actors import AntQ, QueueConfig, Status, Worker

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is not None, reason="Ray is installed"
)


class Afar(Worker, executor="ray"):
    def perform(self, job):
        pass


class Nearby(Worker, executor="thread"):
    def perform(self, job):
        pass


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
