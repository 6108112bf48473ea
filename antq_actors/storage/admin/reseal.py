"""Closing with another signer what is in a store: when signing begins, and when a key goes."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from antq_actors.errors import StorageError
from antq_actors.storage.admin.migrate import BATCH, payloads
from antq_actors.storage.format.signer import contents

if TYPE_CHECKING:
    import lmdb

    from antq_actors.storage.format.signer import Signer
    from antq_actors.storage.lmdb.environment import Environment
    from antq_actors.storage.lmdb.tables import Tables


def reseal_all(env: Environment, signer: Signer) -> int:
    """Close every spec anew, whoever closed it; return how many. Damaged ones stay as they are.

    It is done in batches. One that is interrupted can be begun again.
    """
    start: bytes | None = b""
    resealed = 0
    while start is not None:
        start, count = env.write(partial(reseal_batch, env.tables, signer, start))
        resealed += count
    return resealed


def reseal_batch(
    tables: Tables, signer: Signer, start: bytes, txn: lmdb.Transaction
) -> tuple[bytes | None, int]:
    """Do one batch from a key on; return the key to go on from, and how many there were."""
    batch, following = payloads(txn, tables, start, BATCH)
    count = 0
    for key, payload in batch:
        with suppress(StorageError):
            txn.put(key, signer.sign(contents(payload)), db=tables.payloads)
            count += 1
    return following, count
