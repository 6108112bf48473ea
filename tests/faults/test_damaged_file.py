"""A damaged data.mdb is refused in words, or an error says so later; the interpreter goes on."""

import struct
from random import Random as Chance

import pytest
from support.apps import until

from antq_actors import AntQ, StorageError, Worker
from antq_actors.storage.admin.maintenance import sizes
from antq_actors.storage.lmdb import file_check

PAGE = 4096


class Letter(Worker):
    def perform(self, job): ...


OPEN = """
import sys
from antq_actors import AntQ, StorageError
try:
    with AntQ(sys.argv[1], start_queues=False) as app:
        print("opened, with", app.count_workers(), "jobs", len(app.list_workers()))
except StorageError as error:
    print(error)
"""


def filled(path, jobs=500):
    """Make a store; return the bytes of its file, without the room that is reserved behind them."""
    with AntQ(path, start_queues=False) as app:
        app.enqueue_many(Letter, [{"text": "x" * 150, "n": n} for n in range(jobs)])
    file, *_, reserved = sizes(path)
    return (path / "data.mdb").read_bytes()[: file - reserved]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("sound") / "store")


@pytest.fixture
def opened(program, tmp_path, sound):
    """Return what a process says that opens a store with other bytes."""

    def open_(content):
        store = tmp_path / "store"
        store.mkdir(0o700, exist_ok=True)
        (store / "data.mdb").write_bytes(content)
        status, out, errors = program("-c", OPEN, store).end()
        assert status == 0, errors
        assert (store / "data.mdb").read_bytes() == content
        return out

    return open_


def patched(content, offset, new):
    return content[:offset] + new + content[offset + len(new) :]


def newer_meta(content):
    """The offset of the meta page in force: the one with the larger transaction number."""
    numbers = [struct.unpack_from("=Q", content, page * PAGE + 144)[0] for page in (0, 1)]
    return PAGE * numbers.index(max(numbers))


def test_an_undamaged_file_is_opened(opened, sound):
    assert opened(sound) == "opened, with 500 jobs 500\n"


@pytest.mark.parametrize(
    "share", [0.0001, 0.005, 0.03, 0.2, 0.5, 0.9, 0.999], ids=lambda share: f"{share:.2%}"
)
def test_a_file_that_was_cut_short_is_refused(opened, sound, share):
    said = opened(sound[: int(len(sound) * share)])

    assert "is damaged" in said
    assert "it ends after" in said
    assert "Bring its data.mdb back from a backup, or move it away" in said


def newer_root(content):
    """The offset of the number of the root page, in the meta page in force."""
    return newer_meta(content) + 40 + 48 + 40


def without_its_root(content):
    (root,) = struct.unpack_from("=Q", content, newer_root(content))
    return patched(content, root * PAGE, bytes(PAGE))


DAMAGES = {
    "garbage": lambda _: Chance(1).randbytes(100 * PAGE),  # noqa: S311 - repeatable
    "text": lambda _: b"nothing of the kind" * 1000,
    "zeros": lambda content: bytes(len(content)),
    "no first meta page": lambda content: patched(content, 0, bytes(PAGE)),
    "no second meta page": lambda content: patched(content, PAGE, bytes(PAGE)),
    "wrong magic": lambda content: patched(content, newer_meta(content) + 16, b"\xde\xad"),
    "wrong page size": lambda content: patched(content, 40, struct.pack("=I", 12_345)),
    "root beyond the end": lambda content: patched(
        content, newer_root(content), struct.pack("=Q", 10**6)
    ),
    "root into the metas": lambda content: patched(
        content, newer_root(content), struct.pack("=Q", 1)
    ),
    "root of something else": without_its_root,
    "last page beyond the end": lambda content: patched(
        content, newer_meta(content) + 136, struct.pack("=Q", 10**12)
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_file_with_damaged_meta_pages_or_roots_is_refused(opened, sound, damage):
    said = opened(damage(sound))

    assert "is damaged, or no store of antq_actors" in said
    assert "move it away to begin with an empty store" in said
    assert "python -m lmdb -e" in said


def test_a_sound_file_may_lack_pages_at_its_end_that_are_free(tmp_path):
    short = 0
    for seed in range(20):
        store = tmp_path / f"store-{seed}"
        store.mkdir(0o700)
        short += is_short(store, Chance(seed))  # noqa: S311 - repeatable

        file_check.check(store)

    assert short, "LMDB writes such pages now; the walk for short files can go"


def is_short(store, chance):
    import lmdb  # noqa: PLC0415 - the file that another program would make

    with lmdb.open(str(store)) as env:
        for _ in range(30):
            with env.begin(write=True) as txn:
                keys = [str(chance.random()).encode() for _ in range(chance.choice([3, 50]))]
                for key in keys:
                    txn.put(key, b"x" * chance.choice([10, 1500, 9000]))
                for key in keys:
                    if chance.random() < 0.7:
                        txn.delete(key)
            if (store / "data.mdb").stat().st_size < PAGE * (env.info()["last_pgno"] + 1):
                return True
    return False


def test_a_file_is_examined_while_another_process_writes_to_it(program, tmp_path):
    code = """
import sys
from antq_actors import AntQ, Worker
class Letter(Worker):
    def perform(self, job): pass
with AntQ(sys.argv[1], start_queues=False) as app:
    print("ready", flush=True)
    while True:
        jobs = app.enqueue_many(Letter, [{"text": "x" * 5000}] * 3)
        for job in jobs:
            app.delete_worker(job)
"""
    writer = program("-c", code, tmp_path / "store")
    assert writer.line() == "ready"

    for _ in range(2_000):
        file_check.check(tmp_path / "store")

    assert writer.process.poll() is None


def test_the_walk_finds_damage_that_would_end_the_interpreter(tmp_path, sound):
    """A zeroed page within a table: a cursor that comes there aborts the process, in LMDB."""
    pages = [n for n in range(2, len(sound) // PAGE) if is_page(sound, n, LEAF)]
    found = []
    for page in pages:
        (tmp_path / "data.mdb").write_bytes(patched(sound, page * PAGE, bytes(PAGE)))
        if any(str(page) in finding for finding in file_check.walk(tmp_path)):
            found.append(page)
    (tmp_path / "data.mdb").write_bytes(sound)

    assert file_check.walk(tmp_path) == []
    assert len(found) > len(pages) / 2, "the others are free, and nobody reads them"


BRANCH, LEAF = 1, 2


def is_page(content, page, kind):
    number, _, flags = struct.unpack_from("=QHH", content, page * PAGE)
    return number == page and flags == kind


def test_damage_that_shows_only_later_is_an_error_then_and_ends_the_application(
    tmp_path, sound, request
):
    """The root of a table, which the meta pages do not name."""
    store = tmp_path / "store"
    store.mkdir(0o700)
    (store / "data.mdb").write_bytes(sound)
    with AntQ(store, start_queues=False) as app:
        assert len(app.list_workers()) == 500
    content = (store / "data.mdb").read_bytes()
    for page in range(2, len(content) // PAGE):
        if is_page(content, page, BRANCH):
            content = patched(content, page * PAGE + 10, b"\x00\x00")
    (store / "data.mdb").write_bytes(content)

    request.addfinalizer(app.stop)
    app.start()
    root = app.root
    with pytest.raises(StorageError):
        app.list_workers()
    until(lambda: not root.is_alive(), "the end of the root")
