"""Room for what is written next is reserved on the disk, as far as the disk has it."""

import errno
import os

import pytest
from support.stored_jobs import Store, a_new_job

from antq_actors.errors import StorageFull
from antq_actors.storage.lmdb import directory
from antq_actors.storage.lmdb.open_stores import open_environment

KIB = 2**10

pytestmark = pytest.mark.skipif(directory._fallocate is None, reason="there is no such call here")


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "data.mdb"
    file.write_bytes(b"x" * 300 * KIB)
    return file


def test_as_much_as_a_file_uses_is_reserved_behind_it_on_the_disk(file):
    assert directory.extend(file, 300 * KIB) == 600 * KIB

    assert file.read_bytes() == b"x" * 300 * KIB + bytes(300 * KIB)
    assert file.stat().st_blocks * 512 >= 600 * KIB


def test_a_file_that_has_room_stays_as_it_is(file):
    assert directory.extend(file, 100 * KIB) == 300 * KIB

    assert file.read_bytes() == b"x" * 300 * KIB


def test_a_file_that_may_not_be_written_is_left_alone(tmp_path):
    assert directory.extend(tmp_path / "gone", 100 * KIB) > 100 * KIB


@pytest.mark.parametrize("durable", [True, False])
def test_a_durable_store_reserves_ahead_and_a_volatile_one_does_not(tmp_path, durable):
    if directory.is_in_memory(tmp_path):
        pytest.skip("temporary files are in memory here, where all room is taken beforehand")
    env = open_environment(tmp_path / "store", durable=durable)

    for size in (10, 500_000, 3_000_000):
        Store(env).insert(a_new_job({"text": "x" * size}))
        _, end = env.sizes()
        is_ahead = (env.path / "data.mdb").stat().st_size >= end + 256 * KIB

        assert is_ahead is durable
    env.close()


def test_two_environments_of_one_store_reserve_once(tmp_path, program):
    code = """
import sys
from antq_actors.storage.lmdb.open_stores import open_environment
from support.stored_jobs import Store, a_new_job
env = open_environment(sys.argv[1])
print("open", flush=True)
for _ in sys.stdin:
    print(Store(env).insert(a_new_job({"text": "x" * 100_000})), flush=True)
"""
    env = open_environment(tmp_path / "store")
    other = program("-c", code, tmp_path / "store")
    assert other.line() == "open"

    for number in range(20):
        other.process.stdin.write("go\n")
        other.process.stdin.flush()
        assert other.line() == str(2 * number + 1)
        assert Store(env).insert(a_new_job({"text": "x" * 100_000})) == 2 * number + 2

    _, end = env.sizes()
    size = (tmp_path / "store" / "data.mdb").stat().st_size
    env.close()
    assert end < size <= 2 * end + 256 * KIB


def test_what_lmdb_writes_meanwhile_is_never_cut_off(file):
    descriptor = os.open(file, os.O_RDWR)
    os.pwrite(descriptor, b"new", 400 * KIB)

    directory.extend(file, 300 * KIB)

    assert os.pread(descriptor, 3, 400 * KIB) == b"new"
    os.close(descriptor)


@pytest.fixture
def volatile():
    home = directory.VolatileDirectory()
    if not directory.is_in_memory(home.path):
        home.remove()
        pytest.skip("there are no files in memory here")
    env = open_environment(home.path, durable=False)
    yield env
    env.close()
    home.remove()


def bytes_of_map_and_file(env):
    file = (env.path / "data.mdb").stat()
    return env._env.info()["map_size"], file.st_size, file.st_blocks * 512


def test_a_store_in_memory_has_room_for_its_map_whenever_that_grows(volatile):
    sizes = []
    for size in (10, 3_000_000, 20_000_000):
        Store(volatile).insert(a_new_job({"text": "x" * size}))
        map_bytes, file_bytes, taken_bytes = bytes_of_map_and_file(volatile)
        sizes.append(map_bytes)

        assert file_bytes == map_bytes
        assert taken_bytes >= map_bytes

    assert sizes[0] == 1024 * KIB
    assert sizes == sorted(set(sizes))


def test_a_store_in_memory_that_gets_no_more_room_is_full_and_stays_usable(volatile, monkeypatch):
    store = Store(volatile)

    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as no_memory:
        no_memory.setattr(os, "posix_fallocate", refuse)
        with pytest.raises(StorageFull, match="Make room"):
            store.insert(a_new_job({"text": "x" * 3_000_000}))

    assert bytes_of_map_and_file(volatile)[0] == 1024 * KIB
    assert store.insert(a_new_job({"text": "x" * 3_000_000})) == 1
