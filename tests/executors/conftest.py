import os
from pathlib import Path

import pytest
from apps import until
from crews import Crew
from plays import EXECUTORS, Play, overlook_processes, processes
from programs import ROOT, TESTS
from ray_nodes import FAST, NODE

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(HERE) and ("ray" in item.name or "on_ray" in item.path.parts):
            item.add_marker(pytest.mark.filterwarnings("ignore"))  # Ray has its own


@pytest.fixture(params=EXECUTORS)
def kind(request):
    return request.param


@pytest.fixture(scope="session")
def cluster():
    """A cluster of one node with four CPUs, to which this process is connected."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - only where Ray is

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Every node has the modules of the workers, as it must.
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, TESTS, HERE, HERE / "on_ray")))
    head = {"num_cpus": 4, "_system_config": FAST, **NODE}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def at_hand(kind, request, monkeypatch):
    """See to it that there is what the executor needs."""
    if kind == "ray":
        monkeypatch.setenv("RAY_ADDRESS", request.getfixturevalue("cluster").address)


@pytest.fixture
def play(kind, at_hand, tmp_path):
    """A play whose parts are jobs of one executor; its application is not started yet."""
    overlook_processes()
    play = Play(kind, tmp_path)
    yield play
    if play.app is not None:
        play.app.stop(timeout=0)
    until(lambda: not processes(), "the end of all processes")


@pytest.fixture
def crew(tmp_path):
    """An application whose jobs do deeds in processes; it is not started yet."""
    overlook_processes()
    crew = Crew(tmp_path)
    yield crew
    if crew.app is not None:
        crew.app.stop(timeout=0)
    crew.kill_daemons()
    until(lambda: not processes(), "the end of all processes")
