"""Another node of the cluster, and what its jobs leave."""

import pytest
from ray_nodes import NODE

from antq_actors import AntQ, QueueConfig


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

    from antq_actors.integrations.ray.executor import under_way  # noqa: PLC0415 - it needs Ray

    assert under_way == {}
