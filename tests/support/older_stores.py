"""Stores as earlier releases wrote them.

format 6    states have no history, and those of ended jobs no node
format 3    a job's state and spec are two records; ``index`` has its ended jobs, by time;
            ``listing`` and ``counts`` are tables
format 3    errors have no start and no node
format 2    states have no start, errors no type
format 1    specs have no checksum
"""

from contextlib import suppress

import lmdb
import msgspec

from antq_actors.jobs.state import ENDED
from antq_actors.storage.admin.migrate import FORMAT_KEY
from antq_actors.storage.format import encoding
from antq_actors.storage.lmdb import keys, scan
from antq_actors.storage.lmdb.tables import FURTHER_TABLES, TABLE_NAMES


def write_as(env, format_):
    """Rewrite an open store, of the present format, as one of an older."""
    older = {name: env._env.open_db(name) for name in (b"listing", b"counts")}
    further = [env._env.open_db(name.encode()) for name in FURTHER_TABLES]

    def rewrite(txn):
        _forget_history(txn, env.tables)
        _split_records(txn, env.tables)
        _index_ended(txn, env.tables, older[b"listing"])
        _count_by_themselves(txn, env.tables, older[b"counts"])
        _drop_last_fields(txn, env.tables.errors, 2, behind=0)
        if format_ <= 2:
            _drop_last_fields(txn, env.tables.jobs, 1, behind=1)
            _drop_last_fields(txn, env.tables.errors, 1, behind=0)
        if format_ <= 1:
            _unseal(txn, env.tables.payloads)
        for table in further:
            txn.drop(table)
        txn.put(FORMAT_KEY, b"%d" % format_, db=env.tables.meta)

    env.write(rewrite)


def without_history(state):
    """Return the state as earlier releases had it."""
    node = 0 if state.status in ENDED else state.node
    return msgspec.structs.replace(state, history=0, node=node)


def _forget_history(txn, tables):
    for key, record in list(txn.cursor(tables.jobs)):
        with suppress(Exception):  # a damaged job stays as it is
            state, digest, spec = encoding.decode_job(record)
            txn.put(key, encoding.encode_job(without_history(state), digest, spec), db=tables.jobs)


def _split_records(txn, tables):
    for key, record in list(txn.cursor(tables.jobs)):
        txn.put(key, encoding.head_in(record)[2:], db=tables.jobs)
        if spec := encoding.spec_in(record):
            txn.put(key, spec, db=tables.payloads)


def _index_ended(txn, tables, listing):
    for key, row in list(txn.cursor(tables.index)):
        if key.startswith(keys.ENDS):
            for id_ in keys.ids_in(row):
                with suppress(Exception):  # a damaged job is where it was found
                    _index_by_time(txn, tables, key, id_)
            txn.delete(key, db=tables.index)
        elif key[0] >= 0x80:
            txn.put(bytes((key[0] ^ 0x80,)) + key[1:], b"", db=listing)
            txn.delete(key, db=tables.index)


def _index_by_time(txn, tables, row_key, id_):
    state, _ = _decode_old(txn.get(id_, db=tables.jobs))
    lane = keys.lane(state.status, state.queue_name)
    txn.put(lane + row_key[1:9] + id_, b"", db=tables.index)


def _decode_old(record):
    state, digest, _ = encoding.decode_job(len(record).to_bytes(2) + record)
    return state, digest


def _count_by_themselves(txn, tables, counts):
    for key, count in list(scan.items_with(txn, tables.meta, keys.COUNT)):
        txn.put(key[len(keys.COUNT) :], count, db=counts)
        txn.delete(key, db=tables.meta)


def _drop_last_fields(txn, table, count, *, behind):
    """*behind*: as many bytes, and a digest of which the first of them is the length."""
    for key, value in list(txn.cursor(table)):
        size = behind + (value[0] if behind else 0)
        fields = msgspec.msgpack.decode(value[size:])[:-count]
        txn.put(key, value[:size] + msgspec.msgpack.encode(fields), db=table)


def _unseal(txn, payloads):
    for key, payload in list(txn.cursor(payloads)):
        txn.put(key, encoding.contents(payload), db=payloads)


def names_of_tables(env):
    """Return which of the tables that ever were an open store has."""
    known = (*TABLE_NAMES, *FURTHER_TABLES, "listing", "counts")

    def has(name):
        try:
            env._env.open_db(name.encode(), create=False)
        except lmdb.NotFoundError:
            return False
        return True

    return {name for name in known if has(name)}
