from __future__ import annotations

import os
from pathlib import Path

import pytest
from other_process import OtherProcess

from antq_actors.errors import StorageError
from antq_actors.storage.lmdb.directory import VolatileDirectory

MAKE = """
    import sys
    from pathlib import Path
    from antq_actors.storage.lmdb.directory import VolatileDirectory
    print(VolatileDirectory(Path(sys.argv[1])).path, flush=True)
    sys.stdin.read()
"""


def test_a_volatile_directory_is_private_and_gone_when_removed(tmp_path):
    directory = VolatileDirectory(tmp_path)
    mode = directory.path.stat().st_mode & 0o777

    directory.remove()
    directory.remove()

    assert mode == 0o700
    assert list(tmp_path.iterdir()) == []


def test_two_of_a_process_do_not_meet(tmp_path):
    first, second = VolatileDirectory(tmp_path), VolatileDirectory(tmp_path)

    first.remove()

    assert list(tmp_path.iterdir()) == [second.path]
    second.remove()


def test_what_a_killed_process_left_is_swept_by_the_next(tmp_path):
    with OtherProcess(MAKE, tmp_path) as other:
        left = Path(other.first_line)
        while_it_lives = VolatileDirectory(tmp_path)
        assert left.is_dir()

        other.kill()
        after_its_death = VolatileDirectory(tmp_path)

    assert not left.exists()
    assert set(tmp_path.iterdir()) == {while_it_lives.path, after_its_death.path}
    while_it_lives.remove()
    after_its_death.remove()


def test_what_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "antq-1-theirs").mkdir()
    (tmp_path / "other").mkdir()

    VolatileDirectory(tmp_path).remove()

    assert {path.name for path in tmp_path.iterdir()} == {"antq-1-theirs", "other"}


def test_a_fork_leaves_the_directory_to_its_parent(tmp_path):
    directory = VolatileDirectory(tmp_path)

    child = os.fork()
    if child == 0:
        try:
            directory.remove()
            VolatileDirectory(tmp_path).remove()
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    assert directory.path.is_dir()
    directory.remove()


def test_no_room_is_said_with_a_way_out(tmp_path):
    with pytest.raises(StorageError, match="give AntQ a path on a disk instead"):
        VolatileDirectory(tmp_path / "missing")
