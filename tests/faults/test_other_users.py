"""A directory that is not one's own, for the user who really starts: never root, who may do all."""

import json
import os
import stat
import sys
import tempfile
from pathlib import Path

import pytest

NOBODY = 65_534
START = """
import json, os, sys
from antq_actors import AntQ, StorageError
path, user = sys.argv[1], int(sys.argv[2])
if user >= 0:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
try:
    with AntQ(path) as app:
        said = f"started with {app.count_workers()} jobs"
except StorageError as error:
    said = f"StorageError: {error}"
print(json.dumps(said))
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")


@pytest.fixture
def place():
    """A directory that everyone may pass through."""
    # Not pytest's: each pytest that begins shuts the directory of all of them to others.
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o711)
        yield Path(place)


@pytest.fixture
def started(program):
    """Return what an application says that starts as one who is not root."""

    def start(path):
        user = NOBODY if os.getuid() == 0 else -1
        status, out, errors = program("-c", START, path, user).end()
        assert status == 0, errors
        return json.loads(out)

    return start


def given_away(path, mode):
    """Make a directory of the user who starts, with a mode of the test's; return it."""
    path.mkdir()
    if os.getuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    path.chmod(mode)
    return path


def seen(directory):
    """All that is in a directory, with modes and contents."""
    return {
        str(file.relative_to(directory)): (
            stat.S_IMODE(file.stat().st_mode),
            file.read_bytes() if file.is_file() else None,
        )
        for file in sorted(directory.rglob("*"))
    }


@pytest.mark.parametrize("mode", [0o500, 0o300, 0o000], ids=oct)
def test_a_directory_one_may_not_use_is_refused_and_left_as_it_is(place, started, mode):
    store = given_away(place / "store", mode)

    said = started(store)

    store.chmod(0o700)
    assert said == f"StorageError: {store} is not writable: give a path that is"
    assert seen(store) == {}


def test_a_directory_that_cannot_be_made_is_refused(place, started):
    inner = given_away(place / "inner", 0o500)

    said = started(inner / "store")

    assert said.startswith(f"StorageError: the store in {inner / 'store'} cannot be used: ")
    assert "Permission denied" in said
    assert seen(inner) == {}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize(("mode", "below"), [(0o755, "."), (0o700, "."), (0o700, "store")])
def test_a_directory_of_another_user_is_a_storage_error_that_says_why(place, started, mode, below):
    theirs = place / "theirs"
    theirs.mkdir()
    theirs.chmod(mode)

    said = started(theirs / below)

    assert said.startswith("StorageError: ")
    assert "Permission denied" in said or f"belongs to user 0, and this is user {NOBODY}" in said
    assert str(theirs) in said
    assert seen(theirs) == {}


@pytest.mark.parametrize("name", ["data.mdb", "lock.mdb"])
def test_a_file_one_may_not_write_is_refused_and_left_as_it_is(place, started, name):
    store = given_away(place / "store", 0o700)
    assert started(store) == "started with 0 jobs"
    (store / name).chmod(0o400)
    before = seen(store)

    said = started(store)

    assert said == (
        f"StorageError: {store / name} is not writable: give another path, or chmod u+rw it"
    )
    assert seen(store) == before


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777], ids=oct)
def test_a_directory_that_others_may_write_is_refused_and_left_as_it_is(place, started, mode):
    store = given_away(place / "store", mode)

    said = started(store)

    assert said.startswith(f"StorageError: others can write to {store} (mode {mode:o})")
    assert f"chmod go-w {store}" in said
    assert seen(store) == {}
