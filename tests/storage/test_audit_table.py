"""Rows of the audit and of what undoes it: kept, dropped, encrypted and verified."""

from dataclasses import replace

import pytest
from support.stored_jobs import a_new_job

from antq_actors.errors import NotUndoable
from antq_actors.jobs.audit import UNREADABLE, Action
from antq_actors.jobs.instant import SECOND
from antq_actors.storage.admin.resealing import reseal_all
from antq_actors.storage.admin.verify import verify
from antq_actors.storage.format.cipher import Cipher
from antq_actors.storage.format.encoding import Signer
from antq_actors.storage.jobs import audited, job_store
from antq_actors.storage.jobs.audit_table import MOST_ENTRIES, AuditTable
from antq_actors.storage.jobs.audited import Entry, entries, note
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.undo import undo
from antq_actors.storage.jobs.undo_table import MOST_CANCELLED, UndoTable

ADA = Action("ada", "cancel", "arg.card:4711", "his own")
UNDONE_BY = "by this"


def write(env, verb):
    return job_store.write(env, verb)


def told(env, limit=10):
    return job_store.read(env, lambda reader: entries(reader, limit))


def findings(env):
    return env.read(lambda txn: verify(txn, env.tables))


def put(env, key, value):
    env.write(lambda txn: txn.put(key, value, db=env.tables.further(txn, "audit")))


def rows(env):
    def read(txn):
        with txn.cursor(env.tables.further(txn, "audit")) as cursor:
            return dict(cursor)

    return env.read(read)


def cancel(env, id_, now=1, number=None):
    entry = Entry(ADA, now, number, UNDONE_BY)
    return write(
        env, lambda store: audited.audited(store, entry, JobStore.cancel, (id_,), {"now": now})
    )


def test_the_newest_entries_are_kept(env):
    def fill(store):
        table = AuditTable(store._txn, store._tables)
        for number in range(MOST_ENTRIES + 5):
            table.add(ADA._replace(target=str(number)), 1, number)
        store.has_changed = True

    write(env, fill)

    assert len(rows(env)) == MOST_ENTRIES
    assert [each.target for each in told(env, MOST_ENTRIES)][-1] == "5"
    assert [each.target for each in told(env, 2)] == [str(MOST_ENTRIES + 4), str(MOST_ENTRIES + 3)]
    assert findings(env) == []


def test_an_entry_that_was_dropped_counts_on_without_coming_back(env):
    number = write(env, lambda store: note(store, Entry(ADA, 1), 1))
    env.write(lambda txn: txn.drop(env.tables.further(txn, "audit"), delete=False))

    write(env, lambda store: note(store, Entry(ADA, 1, number), 1))

    assert told(env) == []


def test_what_others_did_in_the_same_transaction_is_not_counted(env):
    def both(store):
        store.insert(a_new_job())
        entry = Entry(ADA, 1, None, UNDONE_BY)
        return audited.audited(store, entry, JobStore.set_paused, ("x",), {"paused": False})

    assert write(env, both).number is None
    assert told(env) == []
    assert job_store.read(env, lambda reader: reader.last_id()) == 1


def test_damaged_rows_are_found_and_not_shown(env):
    id_ = write(env, lambda store: store.insert(a_new_job()))
    cancel(env, id_)
    for key in rows(env):
        put(env, key, b"\xc1")
    put(env, b"a\0", b"")
    put(env, b"q", b"")

    assert told(env) == []
    assert [each.partition(":")[0] for each in findings(env)] == ["audit"] * len(findings(env))
    assert len(findings(env)) == 6
    with pytest.raises(NotUndoable):
        write(env, lambda store: undo(store, UNDONE_BY, None, {}, 2))


def test_a_missing_row_of_a_job_is_found_and_nothing_is_undone(env):
    ids = [write(env, lambda store: store.insert(a_new_job())) for _ in range(2)]
    number = cancel(env, ids[0]).number
    cancel(env, ids[1], number=number)
    key = next(each for each in rows(env) if each.startswith(b"v"))
    env.write(lambda txn: txn.delete(key, db=env.tables.further(txn, "audit")))

    (finding,) = findings(env)
    assert "do not agree" in finding
    with pytest.raises(NotUndoable, match="damaged"):
        write(env, lambda store: undo(store, UNDONE_BY, None, {}, 2))


def test_more_jobs_than_one_transaction_takes_cannot_be_undone(env):
    def cancel_all(store):
        ids = [store.insert(a_new_job()) for _ in range(MOST_CANCELLED + 1)]
        verb, done = JobStore.cancel, None
        for id_ in ids:
            entry = Entry(ADA, 1, done and done.number, UNDONE_BY)
            done = audited.audited(store, entry, verb, (id_,), {"now": 1})
        return done

    assert not write(env, cancel_all).is_undoable
    assert [key[:1] for key in rows(env)] == [b"a"]


def test_what_is_too_old_is_deleted_by_the_next_action(env):
    ids = [write(env, lambda store: store.insert(a_new_job())) for _ in range(2)]
    cancel(env, ids[0])

    write(env, lambda store: UndoTable(store._txn, store._tables).delete_old(11 * SECOND))

    assert [key[:1] for key in rows(env)] == [b"a"]


def test_what_an_entry_is_about_is_encrypted_where_there_is_a_key(env):
    write(env, lambda store: note(store, Entry(ADA, 1), 1))
    old, new = Cipher([b"k" * 32]), Cipher([b"n" * 32, b"k" * 32])

    def with_key(cipher):
        env.tables = replace(env.tables, cipher=cipher)

    with_key(old)
    write(env, lambda store: note(store, Entry(ADA, 2), 1))
    plain, sealed = rows(env).values()
    assert b"4711" in plain
    assert b"4711" not in sealed
    assert b"own" not in sealed
    assert [each.target for each in told(env)] == [ADA.target] * 2

    reseal_all(env, Signer(cipher=new))
    assert not any(b"4711" in row for row in rows(env).values())
    with_key(Cipher([b"n" * 32]))
    assert [(each.target, each.reason) for each in told(env)] == [(ADA.target, ADA.reason)] * 2

    with_key(None)
    assert [(each.target, each.reason) for each in told(env)] == [(UNREADABLE, None)] * 2
    assert findings(env) == []
