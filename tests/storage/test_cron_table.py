"""Periodic entries in the store: checked by verify, signed, exported and imported as they are."""

import dataclasses
import json
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace
from support.apps import Plain
from support.stored_jobs import a_new_job

from antq_actors import AntQ, BatchError, Cron, Every, maintenance
from antq_actors.storage.jobs import cron_turns, crons, job_store
from antq_actors.storage.jobs.crons import CronDeclaration
from antq_actors.storage.jobs.reader import JobReader

KEY = b"k" * 32
HOUR = 3_600_000_000


def an_entry(name="hourly", entry=None):
    entry = entry or Every(3600)
    return CronDeclaration(name, entry, a_new_job({"n": 1}), entry.digest())


def set_entry(store, now=0, **options):
    crons.set_entry(store, an_entry(**options), now=now)


@pytest.fixture
def has(env, store):
    """Do verbs of entries in the store, each in a transaction of its own."""

    def do(verb, *args, **options):
        return job_store.write(env, lambda writer: verb(writer, *args, **options))

    do(set_entry)
    return do


def test_a_store_that_never_had_an_entry_does_not_open_their_tables(env, store, monkeypatch):
    opened = []
    further = type(env.tables).further
    monkeypatch.setattr(
        type(env.tables),
        "further",
        lambda self, txn, name: opened.append(name) or further(self, txn, name),
    )

    store.insert(a_new_job())
    assert env.read(lambda txn: cron_turns.head(JobReader(txn, env.tables))) is None

    assert not {"crons", "cron_due"} & set(opened)


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("cron_due", lambda txn, db: txn.drop(db, delete=False), "'hourly' is missing"),
        ("cron_due", lambda txn, db: txn.put(b"\x80" + bytes(7) + b"x", b"", db=db), "'x' at 0"),
        ("crons", lambda txn, db: txn.put(b"hourly", b"\xff", db=db), "'hourly': "),
        ("crons", lambda txn, db: txn.put(b"x\0" + bytes(8), b"", db=db), "no periodic entry"),
    ],
)
@pytest.mark.usefixtures("has")
def test_verify_finds_what_does_not_agree(env, store, table, change, said):
    assert store.findings() == []

    env.write(lambda txn: change(txn, env.tables.further(txn, table)))

    assert said in " ".join(store.findings())


def test_a_damaged_row_stands_in_the_way_of_no_other_and_can_be_deleted(env, store, has):
    has(set_entry, name="other")
    env.write(lambda txn: txn.put(b"hourly", b"\xff", db=env.tables.further(txn, "crons")))

    turn = has(cron_turns.fire, now=HOUR)
    has(crons.delete, "hourly")

    assert turn.fired == 1
    assert store.findings() == []


def test_code_that_declares_an_entry_mends_it(env, store, has):
    env.write(lambda txn: txn.put(b"hourly", b"\xff", db=env.tables.further(txn, "crons")))
    has(lambda writer: writer.add_node(7))

    assert env.read(lambda txn: crons.find_taken(JobReader(txn, env.tables), ["hourly"])) == []
    has(crons.declare, [an_entry()], node=7, now=0, changes=True)

    assert has(cron_turns.fire, now=HOUR).fired == 1
    assert store.findings() == []


def test_what_is_changed_on_disk_is_enqueued_by_nobody(env, store, has):
    def change(writer):
        row = writer.crons.get("hourly")
        changed = row.definition.replace(b"shop:Mail", b"shop:Evil")
        writer.crons.put("hourly", replace(row, definition=changed), row)

    def change_and_fire(writer):
        change(writer)
        return cron_turns.fire(writer, now=HOUR)

    turn = has(change_and_fire)

    assert turn.fired == 0
    assert "damaged" in turn.warnings[0]


def test_the_size_of_what_is_stored_counts_entries_as_well(env, has):
    used, _ = env.sizes()

    for number in range(100):
        has(set_entry, name=f"entry-{number}")

    assert env.sizes()[0] > used + 2 * 100 * 100


# ---- exports and keys ---------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path):
    with AntQ(tmp_path / "source", crons=[Cron("0 3 * * *", worker=Plain, name="code")]) as app:
        entry = Cron("0 3 * * mon", worker=Plain, tz="Europe/Berlin", args={"s": {1, 2}})
        app.cron("weekly").set(entry)
        app.cron("weekly").pause()
        app.cron("weekly").backfill(*two_weeks())
        yield app


def two_weeks():
    return datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 15, tzinfo=UTC)


def test_entries_are_exported_and_imported_with_their_pauses(source, tmp_path):
    lines = list(source.export_jobs())
    assert sum("antq_cron" in json.loads(line) for line in lines) == 2

    with AntQ(tmp_path / "target", start_queues=False) as target:
        target.import_jobs(lines)
        there, here = source.crons(), target.crons()
        assert [info.paused for info in here] == [False, True]
        assert [replaced(info) for info in here] == [replaced(info) for info in there]
        assert [job.cron for job in target.list_jobs()] == ["weekly", "weekly"]
        assert target.cron("weekly").run_now().args == {"s": {1, 2}}
        assert target.verify() == []
        target.import_jobs(lines)
        assert [replaced(info) for info in target.crons()] == [replaced(info) for info in there]


def replaced(info):
    """What of an entry does not depend on which nodes run."""
    return dataclasses.replace(info, declared_by=())


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("entry", "AAAA", "no periodic entry"),
        ("entry", "", "no periodic entry"),
        ("missed", -1, "missed and skipped"),
        ("skipped", 2**70, "missed and skipped"),
        ("last_job", 2**70, "last_job"),
        ("last_job", -1, "last_job"),
    ],
)
def test_a_line_that_no_entry_can_be_made_of_is_refused(source, tmp_path, key, value, said):
    lines = [json.loads(line) for line in source.export_jobs()]
    lines[-1][key] = value

    with AntQ(tmp_path / "target") as target:
        with pytest.raises(BatchError, match=said):
            target.import_jobs(map(json.dumps, lines))

        assert target.verify() == []
        assert "weekly" not in [info.name for info in target.crons()]


def test_an_export_with_a_filter_has_jobs_alone(source):
    lines = source.export_jobs(queue_name="default")

    assert not any("antq_cron" in json.loads(line) for line in lines)


def test_an_imported_entry_is_one_of_the_code_that_declares_it(source, tmp_path):
    lines = list(source.export_jobs())
    with AntQ(tmp_path / "target", start_queues=False) as target:
        target.import_jobs(lines)

    entries = [Cron("0 3 * * *", worker=Plain, name="code")]
    with AntQ(tmp_path / "target", crons=entries) as target:
        assert {info.name: info.declared_by for info in target.crons()} == {
            "code": (target.node,),
            "weekly": (),
        }


def test_entries_are_signed_and_signed_again_with_a_new_key(tmp_path, monkeypatch):
    path = tmp_path / "store"
    with AntQ(path, start_queues=False) as app:
        app.cron("unsigned").set(Cron("0 3 * * *", worker=Plain))
    assert "not signed" in maintenance.verify(path, signing_keys=[KEY])[0]

    maintenance.reseal(path, [KEY])

    assert maintenance.verify(path, signing_keys=[KEY]) == []
    assert "signature" in maintenance.verify(path, signing_keys=[b"x" * 32])[0]


def test_a_backup_has_the_entries(source, tmp_path):
    source.backup(tmp_path / "backup")

    assert maintenance.restore(tmp_path / "backup", tmp_path / "restored") == 2

    with AntQ(tmp_path / "restored", start_queues=False) as app:
        assert [info.name for info in app.crons()] == ["code", "weekly"]
