import pytest
from support.stored_jobs import Store

from antq_actors.storage.lmdb.environment import Environment


@pytest.fixture
def env(tmp_path):
    env = Environment.open(tmp_path / "store", durable=False)
    yield env
    env.close()


@pytest.fixture
def store(env):
    return Store(env).has_nodes(1, 2, 3, 7, 8)
