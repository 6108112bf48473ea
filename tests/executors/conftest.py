import os
from pathlib import Path

import pytest
from executor_harness import EXECUTORS, ExecutorHarness, overlook_processes, processes
from process_pool_harness import ProcessPoolHarness
from ray_nodes import FAST, NODE
from support.apps import until
from support.programs import ROOT, TESTS

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
def harness(kind, at_hand, tmp_path):
    """A harness of jobs of one executor; its application is not started yet."""
    overlook_processes()
    harness = ExecutorHarness(kind, tmp_path)
    yield harness
    if harness.app is not None:
        harness.app.stop(timeout=0)
    until(lambda: not processes(), "the end of all processes")


@pytest.fixture
def pool(tmp_path):
    """An application whose jobs act in processes; it is not started yet."""
    overlook_processes()
    pool = ProcessPoolHarness(tmp_path)
    yield pool
    if pool.app is not None:
        pool.app.stop(timeout=0)
    pool.kill_daemons()
    until(lambda: not processes(), "the end of all processes")
