"""All that is signed in a store is signed again, with another key or none.

The rows of each table are taken in batches, so no transaction is large.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from antq_actors.errors import StorageError
from antq_actors.storage.admin.migrate import BATCH, next_items
from antq_actors.storage.format import encoding
from antq_actors.storage.format.encoding import contents
from antq_actors.storage.jobs.cron_table import CronTable
from antq_actors.storage.jobs.groups import GroupTable
from antq_actors.storage.jobs.meta import Meta
from antq_actors.storage.jobs.results import ResultTable
from antq_actors.storage.jobs.step_table import StepTable
from antq_actors.storage.lmdb.scan import value_of

if TYPE_CHECKING:
    import lmdb

    from antq_actors.storage.format.encoding import Signer
    from antq_actors.storage.lmdb.environment import Environment
    from antq_actors.storage.lmdb.tables import Tables


def reseal_all(env: Environment, signer: Signer) -> int:
    """Sign the specs of all jobs in a store again; return how many. Damaged ones stay as they are.

    It is done in batches. One that is interrupted can be begun again.
    """
    env.write(partial(reseal_crons, env.tables, signer))
    env.write(partial(reseal_groups, env.tables, signer))
    start: bytes | None = b""
    while start is not None:
        start = env.write(partial(reseal_steps, env.tables, signer, start))
    start = b""
    while start is not None:
        start = env.write(partial(reseal_results, env.tables, signer, start))
    start = b""
    resealed = 0
    while start is not None:
        start, count = env.write(partial(reseal_batch, env.tables, signer, start))
        resealed += count
    return resealed


def reseal_crons(tables: Tables, signer: Signer, txn: lmdb.Transaction) -> None:
    """Sign the definitions of all periodic entries in a store again, as those of jobs."""
    table = CronTable(txn, tables, Meta(txn, tables.meta), signer)
    for name, row in list(table.rows()):
        with suppress(StorageError):
            definition = table.definition_for_display(row)
            table.put(name, replace(row, definition=table.sealed(definition)), row)


def reseal_groups(tables: Tables, signer: Signer, txn: lmdb.Transaction) -> None:
    """Sign the specs of all callbacks in a store again, as those of jobs."""
    table = GroupTable(txn, tables)
    for id_ in list(table.ids()):
        spec = table.spec(id_)
        if spec is None or not spec.callbacks:
            continue
        with suppress(StorageError):
            callbacks = [
                replace(each, spec=signer.sign(contents(each.spec))) for each in spec.callbacks
            ]
            table.put_spec(id_, replace(spec, callbacks=tuple(callbacks)))


def reseal_steps(
    tables: Tables, signer: Signer, start: bytes, txn: lmdb.Transaction
) -> bytes | None:
    """Sign a batch of what jobs have kept again, from a key on; return the key to go on from."""
    return StepTable(txn, tables, signer).reseal(start, BATCH)


def reseal_results(
    tables: Tables, signer: Signer, start: bytes, txn: lmdb.Transaction
) -> bytes | None:
    """Sign some results again, from a key on; return the key to go on from."""
    return ResultTable(txn, tables).reseal(signer, start)


def reseal_batch(
    tables: Tables, signer: Signer, start: bytes, txn: lmdb.Transaction
) -> tuple[bytes | None, int]:
    """Sign a batch of specs again, from a key on; return the key to go on from, and how many."""
    batch, following = next_items(txn, tables.jobs, start, BATCH)
    count = 0
    for key, record in batch:
        spec = encoding.spec_in(record)
        with suppress(StorageError):
            if spec:
                signed = encoding.head_in(record) + signer.sign(contents(spec))
                txn.put(key, signed, db=tables.jobs)
            elif (payload := value_of(txn, tables.payloads, key)) is not None:
                txn.put(key, signer.sign(contents(payload)), db=tables.payloads)
            count += 1
    return following, count
