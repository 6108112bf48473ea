"""Is a store whole? Its pages by LMDB's offline walk, its tables by ours."""

from antq_actors.storage.admin.verify import verify
from antq_actors.storage.lmdb import file_check
from antq_actors.storage.lmdb.open_stores import open_environment


def findings(path):
    """What is wrong with the store in *path*, which nobody has open."""
    found = file_check.walk(path)
    env = open_environment(path)
    try:
        return found + env.read(lambda txn: verify(txn, env.tables))
    finally:
        env.close()
