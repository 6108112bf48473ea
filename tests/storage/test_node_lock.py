import os

import pytest
from other_process import OtherProcess
from support.programs import in_a_fork

from antq_actors.storage.locks import node_lock

HOLD = """
    from antq_actors.storage.locks import node_lock
    node_lock.hold(Path(sys.argv[1]), 7)
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path):
    node_lock.hold(tmp_path, 1)
    yield tmp_path
    node_lock.release(tmp_path, 1)


def test_a_node_is_dead_when_its_process_is(tmp_path):
    with OtherProcess(HOLD, tmp_path) as other:
        assert not node_lock.is_dead(tmp_path, 7)

        other.kill()

        assert node_lock.is_dead(tmp_path, 7)


def test_a_node_that_never_had_a_lock_is_dead(tmp_path):
    assert node_lock.is_dead(tmp_path, 3)


def test_looking_at_ones_own_node_does_not_let_it_go(held):
    assert not node_lock.is_dead(held, 1)
    assert in_a_fork(lambda: node_lock.hold(held, 1)).startswith("BlockingIOError")


def test_holding_twice_is_holding_once(held):
    node_lock.hold(held, 1)

    assert in_a_fork(lambda: node_lock.is_dead(held, 1)) == "False"


CLOCKED = """
    import time
    from antq_actors.storage.locks import node_lock
    real = time.time
    time.time = lambda: real() + float(sys.argv[2])
    node_lock.hold(Path(sys.argv[1]), 7, node_lock.with_reports(node_lock.describe({}), {}))
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("ahead", [0, 300, -4000])
def test_a_node_whose_clock_is_wrong_is_seen_by_when_its_file_was_written(tmp_path, ahead):
    with OtherProcess(CLOCKED, tmp_path, ahead) as other:
        assert node_lock.skew(tmp_path, 7) == pytest.approx(ahead, abs=1)
        other.kill()


def test_a_node_that_tells_no_time_has_no_skew(held):
    assert node_lock.skew(held, 1) is None
    assert node_lock.skew(held, 2) is None


def test_a_released_node_leaves_no_file(tmp_path):
    node_lock.hold(tmp_path, 1)

    node_lock.release(tmp_path, 1)
    node_lock.release(tmp_path, 1)

    assert list((tmp_path / "nodes").iterdir()) == []
    assert node_lock.is_dead(tmp_path, 1)


def test_a_fork_does_not_keep_its_parents_node(held):
    """What the child is, after its parent's death: alive, and without the lock."""
    reader, writer = os.pipe()
    parent = os.fork()
    if parent == 0:
        node_lock.hold(held, 2)
        child = os.fork()
        if child == 0:
            os.close(reader)
            os.read(os.open(held / "fifo", os.O_RDONLY), 1)  # until the test is over
            os._exit(0)
        os.write(writer, b"x")
        os._exit(0)
    os.mkfifo(held / "fifo")
    os.read(reader, 1)
    os.waitpid(parent, 0)

    assert node_lock.is_dead(held, 2)

    os.close(os.open(held / "fifo", os.O_WRONLY))


def test_a_sweep_deletes_files_of_nobody_but_not_those_just_made(tmp_path):
    node_lock.hold(tmp_path, 1)
    for number in (2, 3, 4):
        (tmp_path / "nodes" / f"{number}.lock").touch()
    for number in (1, 2, 3):
        os.utime(tmp_path / "nodes" / f"{number}.lock", (0, 0))
    with OtherProcess(HOLD, tmp_path) as other:
        assert other.first_line == "held"
        os.utime(tmp_path / "nodes" / "7.lock", (0, 0))

        node_lock.sweep(tmp_path, [3])

        left = {file.name for file in (tmp_path / "nodes").iterdir()}
    assert left == {"1.lock", "3.lock", "4.lock", "7.lock"}
    node_lock.release(tmp_path, 1)


LOOK = """
    from antq_actors.storage.locks import node_lock
    print("looks", flush=True)
    while True:
        node_lock.is_dead(Path(sys.argv[1]), 7)
"""


def test_a_look_at_a_dead_node_does_not_make_it_live_for_another_look(tmp_path):
    """Else one of two nodes that start together would begin without its jobs."""
    with OtherProcess(HOLD, tmp_path) as other:
        other.kill()
    with OtherProcess(LOOK, tmp_path) as other:
        assert other.first_line == "looks"

        assert all(node_lock.is_dead(tmp_path, 7) for _ in range(20_000))
