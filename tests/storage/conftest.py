import pytest
from support.stored_jobs import Store

from antq_actors.storage.lmdb.open_stores import open_environment


@pytest.fixture
def env(tmp_path):
    env = open_environment(tmp_path / "store", durable=False)
    yield env
    env.close()


@pytest.fixture
def store(env):
    return Store(env).has_nodes(1, 2, 3, 7, 8)
