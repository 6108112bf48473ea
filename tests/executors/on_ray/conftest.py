"""A cluster of Ray on this machine: a head and, for those who ask, another node."""

import os
from pathlib import Path

import pytest
from programs import ROOT, TESTS

from antq_actors import AntQ, QueueConfig

HERE = Path(__file__).parent

NODE = {"object_store_memory": 80_000_000, "include_dashboard": False}

FAST = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 2,
}
"""It learns of a node's death within two seconds, instead of twenty."""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.filterwarnings("ignore"))  # Ray has its own


@pytest.fixture(scope="session")
def cluster():
    """A cluster of one node with four CPUs, to which this process is connected."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - only where Ray is

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Every node has the modules of the workers, as it must.
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, TESTS, HERE)))
    head = {"num_cpus": 4, "_system_config": FAST, **NODE}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def far(cluster):
    """Another node, with something that the head has not."""
    node = cluster.add_node(num_cpus=4, resources={"far": 4}, **NODE)
    yield node
    if node in cluster.list_all_nodes():
        cluster.remove_node(node)


@pytest.fixture
def notes(tmp_path):
    """Where workers leave word."""
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


@pytest.fixture
def app(cluster, tmp_path):
    with AntQ(tmp_path / "store", queues={"default": QueueConfig(4)}) as running:
        yield running

    from antq_actors.executors.ray_tasks.attempt import under_way  # noqa: PLC0415 - it needs Ray

    assert under_way == {}
