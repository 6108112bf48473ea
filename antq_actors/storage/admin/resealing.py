"""All that is signed in a store is signed again, with another key or none; and encrypted anew.

The rows of each table are taken in batches, so no transaction is large.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from antq_actors.errors import DamagedRecord, StorageError
from antq_actors.storage.admin.migrate import BATCH, next_items
from antq_actors.storage.format import encoding
from antq_actors.storage.format.cipher import is_encrypted, renewed_spec
from antq_actors.storage.format.encoding import contents
from antq_actors.storage.format.job_cipher import job_cipher
from antq_actors.storage.jobs.audit_table import reseal_audit
from antq_actors.storage.jobs.breakpoint_table import reseal_breakpoints
from antq_actors.storage.jobs.bulk_table import reseal_bulks
from antq_actors.storage.jobs.cron_table import CronTable
from antq_actors.storage.jobs.groups import GroupTable
from antq_actors.storage.jobs.meta import Meta
from antq_actors.storage.jobs.progress import reseal_progress
from antq_actors.storage.jobs.results import ResultTable
from antq_actors.storage.jobs.step_table import StepTable
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import items_from, items_with, value_of

if TYPE_CHECKING:
    import lmdb

    from antq_actors.storage.format.cipher import Cipher
    from antq_actors.storage.format.encoding import Signer
    from antq_actors.storage.format.job_cipher import JobCipher
    from antq_actors.storage.lmdb.environment import Environment
    from antq_actors.storage.lmdb.tables import Tables


def reseal_all(env: Environment, signer: Signer) -> int:
    """Sign the specs of all jobs in a store again; return how many. Damaged ones stay as they are.

    With encryption keys all is also encrypted with the first of them, what was not encrypted before
    as well. It is done in batches. One that is interrupted can be begun again. Raises StorageError
    as :func:`refuse_unless_signed_by` and :func:`refuse_unless_opened_by` do.
    """
    if signer.cipher is not None:
        env.inspect(partial(refuse_unless_signed_by, signer, env.tables))
        env.inspect(partial(refuse_unless_opened_by, signer.cipher, env.tables))
        env.write(partial(note_that_all_are_encrypted, env.tables))
        env.write(partial(reseal_breakpoints, env.tables, signer.cipher))
        env.write(partial(reseal_audit, env.tables, signer.cipher))
        env.write(partial(reseal_bulks, env.tables, signer.cipher))
    env.write(partial(reseal_crons, env.tables, signer))
    env.write(partial(reseal_groups, env.tables, signer))
    start: bytes | None = b""
    resealed = 0
    while start is not None:
        start, count = env.write(partial(reseal_batch, env.tables, signer, start))
        resealed += count
    # What comes of a job is bound to its ciphertext, so that is there first.
    start = b""
    while start is not None:
        start = env.write(partial(reseal_steps, env.tables, signer, start))
    start = b""
    while start is not None:
        start = env.write(partial(reseal_results, env.tables, signer, start))
    if signer.cipher is not None:
        env.write(partial(reseal_progress, env.tables, signer.cipher))
    return resealed


def note_that_all_are_encrypted(tables: Tables, txn: lmdb.Transaction) -> None:
    """Store that all jobs are encrypted, so that nothing is enqueued without a key."""
    Meta(txn, tables.meta).set_encrypts_all(encrypts_all=True)


def reseal_crons(tables: Tables, signer: Signer, txn: lmdb.Transaction) -> None:
    """Sign the definitions of all periodic entries in a store again, as those of jobs."""
    table = CronTable(txn, tables, Meta(txn, tables.meta), signer)
    for name, row in list(table.rows()):
        with suppress(StorageError):
            definition = table.definition_for_display(row, decrypts=False)
            renewed = renewed_spec(definition.spec, signer.cipher)
            definition = replace(definition, spec=renewed)
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
                replace(each, spec=signer.sign(_renewed(contents(each.spec), signer.cipher)))
                for each in spec.callbacks
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
            if signer.cipher is not None:
                _encrypt(txn, tables, signer, key, record)
            elif spec:
                signed = encoding.head_in(record) + signer.sign(contents(spec))
                txn.put(key, signed, db=tables.jobs)
            elif (payload := value_of(txn, tables.payloads, key)) is not None:
                txn.put(key, signer.sign(contents(payload)), db=tables.payloads)
            count += 1
    return following, count


def _encrypt(
    txn: lmdb.Transaction, tables: Tables, signer: Signer, key: bytes, record: bytes
) -> None:
    """Encrypt a job and its errors with the first key, and sign it again. Raises DamagedRecord.

    One that no key fits is only signed.
    """
    job = encoding.decode_job(record)
    stored = job.spec or value_of(txn, tables.payloads, key) or b""
    spec = encoding.decode_spec(contents(stored))
    renewed = renewed_spec(spec, signer.cipher)
    signed = signer.sign(encoding.encode_spec(renewed))
    digest = renewed.unique_digest
    record, payload = encoding.split_new(job.state, digest, signed)
    txn.put(key, record, db=tables.jobs)
    if payload:
        txn.put(key, payload, db=tables.payloads)
    else:
        txn.delete(key, db=tables.payloads)
    if digest is not None and job.digest is not None and digest != job.digest:
        status = job.state.status
        txn.delete(keys.unique_prefix(job.digest, status) + key, db=tables.unique)
        txn.put(keys.unique_prefix(digest, status) + key, b"", db=tables.unique)
    if renewed is not spec:
        _encrypt_errors(txn, tables, job_cipher(renewed, signer.cipher), key)


def _encrypt_errors(txn: lmdb.Transaction, tables: Tables, cipher: JobCipher, key: bytes) -> None:
    for place, stored in list(items_with(txn, tables.errors, key)):
        with suppress(StorageError):
            entry = cipher.seal_error(cipher.open_error(encoding.decode_error(stored)))
            txn.put(place, encoding.encode_error(entry), db=tables.errors)


def _renewed(spec: bytes, cipher: Cipher | None) -> bytes:
    """Return a spec's bytes as they are encrypted with the first key. Raises DamagedRecord."""
    if cipher is None:
        return spec
    return encoding.encode_spec(renewed_spec(encoding.decode_spec(spec), cipher))


def refuse_unless_signed_by(signer: Signer, tables: Tables, txn: lmdb.Transaction) -> None:
    """Raise StorageError for a signed store of which no job has a signature by *signer*.

    Encrypted anew without its key, its jobs would not be signed any more.
    """
    is_signed = False
    for key, record in items_from(txn, tables.jobs, b""):
        stored = encoding.spec_in(record) or value_of(txn, tables.payloads, key) or b""
        if not encoding.is_signed(stored):
            continue
        is_signed = True
        if signer.has_keys:
            with suppress(DamagedRecord):
                signer.verify(stored)
                return
    if is_signed:
        raise StorageError(
            "the jobs of this store are signed, and can be encrypted anew only with their signing"
            " key beside the encryption keys"
        )


def refuse_unless_opened_by(cipher: Cipher, tables: Tables, txn: lmdb.Transaction) -> None:
    """Raise StorageError for a store with encrypted jobs of which *cipher* can decrypt none.

    Only what is added then would be encrypted with its keys, and no job there could be performed.
    """
    has_encrypted = False
    for key, record in items_from(txn, tables.jobs, b""):
        stored = encoding.spec_in(record) or value_of(txn, tables.payloads, key) or b""
        with suppress(DamagedRecord):
            spec = encoding.decode_spec(contents(stored))
            if not is_encrypted(spec):
                continue
            has_encrypted = True
            cipher.open_spec(spec)
            return
    if has_encrypted:
        raise StorageError(
            "none of the encryption keys decrypts any of the encrypted jobs of this store: give the"
            " key with which they were encrypted behind the new one"
        )
