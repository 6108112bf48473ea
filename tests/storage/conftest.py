import pytest
from support.stored_jobs import Store

from antq_actors.storage.jobs import dependents
from antq_actors.storage.lmdb.open_stores import open_environment


@pytest.fixture(autouse=True)
def time_to_release(monkeypatch):
    """Have a transaction release all that waits, however slow the machine is at that moment."""
    monkeypatch.setattr(dependents, "MOST_SECONDS", 60)


@pytest.fixture
def env(tmp_path):
    env = open_environment(tmp_path / "store", durable=False)
    yield env
    env.close()


@pytest.fixture
def store(env):
    return Store(env).has_nodes(1, 2, 3, 7, 8)
