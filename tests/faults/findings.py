"""Is a store whole? Its pages by LMDB's offline walk, its tables by ours."""

from antq_actors.storage import soundness
from antq_actors.storage.environment import Environment
from antq_actors.storage.verify import verify


def findings(path):
    """What is wrong with the store in *path*, which nobody has open."""
    found = soundness.walk(path)
    env = Environment.open(path)
    try:
        return found + env.read(lambda txn: verify(txn, env.tables))
    finally:
        env.close()
