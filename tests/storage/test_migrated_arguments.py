"""Arguments that an earlier release has pickled are msgpack after a migration, in their types."""

import collections
import datetime as dt
import decimal
import fractions
import lzma
import pathlib
import pickle
import uuid
import zoneinfo
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from support.apps import settled
from support.exact import exact
from support.older_stores import write_as
from support.raw_jobs import spec_of
from support.stored_jobs import Store, a_new_job

from antq_actors import AlreadyExists, AntQ, Unique, Worker
from antq_actors.cli import run
from antq_actors.errors import StorageError
from antq_actors.storage.admin import maintenance, migrate
from antq_actors.storage.admin.migrate import FORMAT, FORMAT_KEY, Migration
from antq_actors.storage.format import display, encoding, values
from antq_actors.storage.format.encoding import Signer
from antq_actors.storage.lmdb import keys, scan
from antq_actors.storage.lmdb.open_stores import open_environment

NO_UTF8 = "report\udcff.txt"
PICKLED = {
    1: {},
    2: {
        "n": 1,
        "x": -0.0,
        "text": "ü",
        "list": [1, None, True, [2.5]],
        "map": {"a": {}},
        "bytes": b"\0",
    },
    3: {
        "tuple": (1, (2,)),
        "set": {1, 2},
        "frozen": frozenset({"a"}),
        "keys": {1: "a", (2, "b"): ()},
        "deque": collections.deque([1], 3),
    },
    4: {
        "on": dt.date(2026, 1, 2),
        "at": dt.datetime(
            2026, 10, 25, 2, 30, 0, 70_000, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"), fold=1
        ),
        "utc": dt.datetime(1, 1, 1, tzinfo=dt.UTC),
        "naive": dt.datetime.fromisoformat("9999-12-31T23:59:59.999999"),
        "time": dt.time(1, 2, 3, 4, tzinfo=dt.timezone(dt.timedelta(minutes=-90), "X")),
        "for": dt.timedelta(-1, 5, 7),
    },
    5: {
        "price": decimal.Decimal("-0E+5"),
        "third": fractions.Fraction(-1, 3),
        "z": complex(-0.0, 2.0),
        "big": 2**70,
        "low": -(2**63) - 1,
        "id": uuid.UUID(int=7),
        "infinite": decimal.Decimal("Infinity"),
        "safe": {uuid.UUID(int=8, is_safe=uuid.SafeUUID.safe)},
        "array": bytearray(b"z"),
    },
    6: {
        "path": pathlib.PurePosixPath("a/b"),
        "windows": pathlib.PureWindowsPath("c:\\x"),
        "here": pathlib.Path(),
        NO_UTF8: [NO_UTF8],
    },
    7: {"count": collections.Counter("aab"), "n": 1},
    8: {
        "email": "jane@example.com",
        "at": (dt.date(2026, 1, 2), decimal.Decimal("1.5")),
    },
}
"""The arguments in the store of format 3, by the ids of their jobs. One has what is not plain."""

OPAQUE = 7
ONLY = 8
SEEN = {}


class Take(Worker, name="old:Take"):
    def perform(self, job):
        SEEN[job.id] = exact(job.args)


class Only(Worker, name="old:Only", unique=Unique(args=["email", "at"])):
    def perform(self, job):
        SEEN[job.id] = exact(job.args)


def the_store_of_format_3(path):
    """Unpack what a release of that format has written, with a job for each of `PICKLED`."""
    path.mkdir(mode=0o700)
    packed = Path(__file__).with_name("store_of_format_3.xz").read_bytes()
    (path / "data.mdb").write_bytes(lzma.decompress(packed))
    return path


def stored_payloads(env):
    """Return the stored bytes of all specs by the ids of their jobs."""
    with env._env.begin() as txn:
        ids = [keys.id_at_end(key) for key in scan.keys_from(txn, env.tables.jobs)]
        return {id_: spec_of(txn, env.tables, id_) for id_ in ids}


def stored_args(env):
    return {
        id_: encoding.decode_spec(encoding.contents(payload)).args
        for id_, payload in stored_payloads(env).items()
    }


def test_pickled_arguments_are_msgpack_after_a_migration_in_their_types(tmp_path, caplog):
    env = open_environment(the_store_of_format_3(tmp_path / "store"))

    args = stored_args(env)
    assert env.read(lambda txn: txn.get(FORMAT_KEY, db=env.tables.meta)) == b"%d" % FORMAT
    assert "format 3 to 4: writing arguments as msgpack" in caplog.text
    assert {id_ for id_, encoded in args.items() if encoded[:1] == values.PICKLED} == {OPAQUE}
    for id_, encoded in args.items():
        assert exact(values.load_args(encoded)) == exact(PICKLED[id_])
        shown = display.display_args(encoded)
        assert (shown == PICKLED[id_]) is (id_ != OPAQUE)
    assert "pickled by an earlier release" in repr(display.display_args(args[OPAQUE]))
    assert Store(env).findings() == []
    env.close()


def test_jobs_of_an_earlier_release_run_with_the_arguments_they_were_given(tmp_path):
    SEEN.clear()

    with AntQ(the_store_of_format_3(tmp_path / "store")) as app:
        ended = [settled(app, job).status for job in app.list_jobs()]

    assert ended == ["completed"] * len(PICKLED)
    assert {id_: exact(args) for id_, args in PICKLED.items()} == SEEN


def test_duplicates_of_a_unique_job_of_an_earlier_release_stay_duplicates(tmp_path):
    path = the_store_of_format_3(tmp_path / "store")

    with AntQ(path, start_queues=False) as app:
        with pytest.raises(AlreadyExists, match=f"job {ONLY} "):
            app.enqueue(Only, PICKLED[ONLY])
        app.enqueue(Only, PICKLED[ONLY] | {"email": "joe@example.com"})


def as_written_before(env, change=lambda id_, payload: payload):
    """Store arguments again as a release of the format before wrote them; close the store."""
    write_as(env, 3)

    def write(txn):
        for key, payload in list(txn.cursor(env.tables.payloads)):
            spec = encoding.decode_spec(encoding.contents(payload))
            pickled = b"\x01" + pickle.dumps(values.load_args(spec.args), 5)
            bare = encoding.encode_spec(msgspec.structs.replace(spec, args=pickled))
            changed = change(keys.id_at_end(key), bare)
            txn.put(key, changed, db=env.tables.payloads)
        return {keys.id_at_end(key): value for key, value in txn.cursor(env.tables.payloads)}

    payloads = env.write(write)
    env.close()
    return payloads


KEYS = [b"a" * 32, b"b" * 32]


def a_store_of_format_3(path):
    """Store jobs: with a checksum, with a wrong one, and signed with a key of each of `KEYS`."""
    unsigned, first, second = Signer(), Signer(KEYS[:1]), Signer(KEYS[1:])
    written = {
        1: unsigned.sign,
        2: lambda spec: unsigned.sign(spec)[:-1] + b"!",
        3: first.sign,
        4: second.sign,
        5: lambda spec: first.sign(spec)[:-1] + b"!",
    }
    env = open_environment(path, durable=False)
    Store(env).insert_many([a_new_job({"n": (n,)}) for n in written])
    return as_written_before(env, lambda id_, spec: written[id_](spec))


@pytest.mark.parametrize(
    ("signing_keys", "converted"), [([], {1}), (KEYS[:1], {1, 3}), (KEYS, {1, 3, 4})]
)
def test_what_is_damaged_or_of_a_foreign_key_is_kept(tmp_path, signing_keys, converted):
    before = a_store_of_format_3(tmp_path)

    env = open_environment(tmp_path, signer=Signer(signing_keys))

    after = stored_payloads(env)
    assert {id_ for id_, payload in after.items() if payload != before[id_]} == converted
    for id_ in converted:
        signer = Signer() if id_ == 1 else Signer(signing_keys[:1])
        args = encoding.decode_spec(signer.verify(after[id_])).args
        assert exact(values.load_args(args)) == exact({"n": (id_,)})
        assert args[:1] == values.MSGPACK
    env.close()


@pytest.mark.parametrize("by", ["option", "variable", "function", "reseal"])
def test_a_migration_beforehand_rewrites_what_is_signed_with_its_key(tmp_path, monkeypatch, by):
    path, file = tmp_path / "store", tmp_path / "keys"
    a_store_of_format_3(path)
    file.write_text("\n".join(key.decode() for key in KEYS))
    file.chmod(0o600)

    match by:
        case "option":
            assert run(["migrate", "--path", str(path), "--signing-key-file", str(file)]) == 0
        case "variable":
            monkeypatch.setenv("ANTQ_SIGNING_KEYS", file.read_text())
            assert run(["migrate", "--path", str(path)]) == 0
        case "function":
            maintenance.migrate(path, KEYS)
        case "reseal":
            assert maintenance.reseal(path, KEYS) == 4

    env = open_environment(path)
    payloads = stored_payloads(env)
    for id_ in (3, 4):
        args = encoding.decode_spec(Signer(KEYS[:1]).verify(payloads[id_])).args
        assert args[:1] == values.MSGPACK
        assert exact(values.load_args(args)) == exact({"n": (id_,)})
    env.close()


def test_a_migration_keeps_what_is_encrypted_with_a_key_and_without(tmp_path):
    path, file = tmp_path / "store", tmp_path / "keys"
    file.write_text(KEYS[0].decode())
    file.chmod(0o600)
    with AntQ(path, start_queues=False, encryption_key_file=file) as app:
        app.enqueue(Take, {"n": 1})
    env = open_environment(path)
    before = stored_payloads(env)
    env.write(lambda txn: txn.put(FORMAT_KEY, b"6", db=env.tables.meta))
    env.close()

    assert run(["migrate", "--path", str(path), "--encryption-key-file", str(file)]) == 0

    env = open_environment(path)
    assert stored_payloads(env) == before
    env.close()


def test_a_migration_signs_nothing_that_was_not_signed(tmp_path):
    a_store_of_format_3(tmp_path)

    env = open_environment(tmp_path, signer=Signer(KEYS))

    valid = set()
    for id_, payload in stored_payloads(env).items():
        with suppress(StorageError):
            Signer(KEYS).verify(payload)
            valid.add(id_)
    assert valid == {3, 4}
    env.close()


def test_a_migration_of_arguments_that_is_done_twice_changes_nothing_more(tmp_path, monkeypatch):
    monkeypatch.setattr(migrate, "BATCH", 2)
    env = open_environment(the_store_of_format_3(tmp_path / "store"))
    once = stored_payloads(env)

    write_as(env, 3)
    Migration(env._env, env.tables, env.path).run(env.write)

    assert stored_payloads(env) == once
    env.close()
