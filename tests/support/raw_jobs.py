"""A job's bytes in the tables, read and damaged behind the store's back.

A small spec is in the job's record, behind its head; a large one is in ``payloads``.
"""

from msgspec.structs import replace

from antq_actors.storage.format import encoding
from antq_actors.storage.lmdb import keys

LARGE = "x" * encoding.MOST_INLINE_BYTES
"""An argument that makes a spec too large for the job's record."""


def record_of(txn, tables, id_):
    return txn.get(keys.job_key(id_), db=tables.jobs) or b""


def spec_of(txn, tables, id_):
    inline = encoding.spec_in(record_of(txn, tables, id_))
    return inline or txn.get(keys.job_key(id_), db=tables.payloads) or b""


def put_spec(txn, tables, id_, spec):
    """Write the bytes of a spec to where the job has its own."""
    record = record_of(txn, tables, id_)
    if encoding.spec_in(record):
        txn.put(keys.job_key(id_), encoding.head_in(record) + spec, db=tables.jobs)
    else:
        txn.put(keys.job_key(id_), spec, db=tables.payloads)


def drop_spec(txn, tables, id_):
    record = record_of(txn, tables, id_)
    if encoding.spec_in(record):
        txn.put(keys.job_key(id_), encoding.head_in(record), db=tables.jobs)
    else:
        txn.delete(keys.job_key(id_), db=tables.payloads)


def put_garbage_for_state(txn, tables, id_):
    """Damage the state; the spec behind it stays."""
    spec = encoding.spec_in(record_of(txn, tables, id_))
    txn.put(keys.job_key(id_), encoding.head_of(b"garbage", b"") + spec, db=tables.jobs)


def change_state(txn, tables, id_, **fields):
    """Write another state without a word to the indexes."""
    record = encoding.decode_job(record_of(txn, tables, id_))
    changed = record._replace(state=replace(record.state, **fields))
    txn.put(keys.job_key(id_), encoding.encode_job(*changed), db=tables.jobs)
