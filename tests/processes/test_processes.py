"""``antq start --processes``: real processes, and real signals to them and to their parent."""

import os
import signal
import sys

import psutil
import pytest
from many import Wait
from support.apps import until
from support.programs import is_alive

from antq_actors import AntQ, Status
from antq_actors.app.node_socket import ask
from antq_actors.cli import REFUSED, USAGE

START = ("-m", "antq_actors", "start")
TWO = (*START, "many:app", "--processes", "2")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The folder of many.py's store, and of the files by which it is told things."""
    monkeypatch.setenv("MANY_PLACE", str(tmp_path))
    return tmp_path


@pytest.fixture
def two(program, place):
    """A parent of two processes that starts, and afterwards has left nobody behind."""
    parent = program(*TWO)
    yield parent
    (place / "go").touch()
    left = children(parent)
    parent.process.kill()
    until(lambda: not any(is_alive(pid) for pid in left), "the end of all")


def children(parent):
    try:
        return [child.pid for child in psutil.Process(parent.process.pid).children()]
    except psutil.NoSuchProcess:
        return []


def enqueue(place, count, seconds=0):
    with AntQ(place / "store", start_queues=False) as app:
        return app.enqueue_many(Wait, [{"seconds": seconds}] * count)


def jobs(place):
    with AntQ(place / "store", start_queues=False) as app:
        return app.list_workers()


def begun(parent):
    """Read the next line, of a job that begins; answer its id and its process."""
    word, job, pid = parent.line().split()
    assert word == "begun"
    return int(job), int(pid)


def both_busy(parent, place, seconds=0):
    """Have both processes perform a job; answer which process has which."""
    enqueue(place, 2, seconds)
    busy = dict(begun(parent) for _ in range(2))
    assert sorted(busy.values()) == sorted(children(parent))
    return busy


def test_two_processes_share_the_work_and_their_parent_has_no_part_in_it(two, place):
    busy = both_busy(two, place)

    assert len(set(busy.values())) == 2
    opened = [file.path for file in psutil.Process(two.process.pid).open_files()]
    assert [path for path in opened if "store" in path] == []


def test_a_killed_process_is_started_again_and_its_job_goes_on_there(two, place):
    busy = both_busy(two, place)

    os.kill(busy[1], signal.SIGKILL)
    job, successor = begun(two)

    assert job == 1
    assert successor not in busy.values()
    assert sorted(children(two)) == sorted([busy[2], successor])
    (place / "go").touch()
    until(lambda: all(job.status is Status.COMPLETED for job in jobs(place)), "the end of both")
    assert [(job.attempts, job.interruptions) for job in jobs(place)] == [(1, 1), (1, 0)]
    two.send(signal.SIGTERM)
    code, _, errors = two.end()
    assert code == 0
    assert "restarts child 'process" in errors
    assert f"{busy[1]}, was ended by SIGKILL" in errors
    assert "] antq_actors.queues: node" in errors  # with the number of the one that says so


def test_a_process_that_is_told_to_stop_by_others_is_started_again(two, place):
    busy = both_busy(two, place)

    os.kill(busy[1], signal.SIGTERM)
    (place / "go").touch()
    until(lambda: not is_alive(busy[1]), "its end")
    until(lambda: len(children(two)) == 2, "the start of another")

    assert busy[2] in children(two)


def test_when_the_parent_is_killed_the_others_end_by_themselves_and_interrupt_nothing(two, place):
    busy = both_busy(two, place)

    two.process.kill()
    (place / "go").touch()

    until(lambda: not any(is_alive(pid) for pid in busy.values()), "the end of the orphans")
    assert [(job.status, job.interruptions) for job in jobs(place)] == [(Status.COMPLETED, 0)] * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_parent_lets_what_runs_end(two, place, number):
    busy = both_busy(two, place, seconds=0.5)
    (waiting,) = enqueue(place, 1)

    (place / "go").touch()
    two.send(number)

    code, out, errors = two.end()
    assert (code, out.count("done"), "Traceback" in errors) == (0, 2, False), errors
    assert not any(is_alive(pid) for pid in busy.values())
    assert {job.id: job.status for job in jobs(place)} == {
        1: Status.COMPLETED,
        2: Status.COMPLETED,
        waiting: Status.ENQUEUED,
    }


def test_a_sigquit_to_the_parent_has_all_print_where_they_are_before_they_stop(two, place):
    both_busy(two, place, seconds=0.5)

    (place / "go").touch()
    two.send(signal.SIGQUIT)

    code, out, errors = two.end()
    assert (code, out.count("done")) == (0, 2), errors
    assert errors.count("thread MainThread, most recent call last:") == 3
    assert errors.count('many.py", line') == 2


def test_a_second_sighup_to_the_parent_does_not_stop_waiting(two, place):
    both_busy(two, place, seconds=0.5)

    two.send(signal.SIGTERM)
    until(lambda: "stopping all" in two.process.stderr.readline())
    two.send(signal.SIGHUP)
    (place / "go").touch()

    code, out, _ = two.end()
    assert (code, out.count("done")) == (0, 2)


def test_a_second_signal_to_the_parent_stops_waiting_and_gives_back(two, place):
    both_busy(two, place)

    two.send(signal.SIGTERM)
    until(lambda: "stopping all" in two.process.stderr.readline())
    two.send(signal.SIGINT)

    assert two.end(20)[0] == 0
    assert [(job.status, job.attempts, job.interruptions) for job in jobs(place)] == [
        (Status.ENQUEUED, 0, 0)
    ] * 2


def test_a_sigterm_for_every_process_of_the_service_is_one_signal_and_not_two(two, place):
    busy = both_busy(two, place, seconds=0.5)

    (place / "go").touch()
    for pid in (*busy.values(), two.process.pid, *busy.values()):  # as systemd does unasked
        os.kill(pid, signal.SIGTERM)

    code, out, _ = two.end()
    assert (code, out.count("done")) == (0, 2)


def test_a_ctrl_c_goes_to_the_whole_group_and_is_passed_on_once(program, place):
    grouped = f"import os; os.setsid(); os.execv({sys.executable!r}, {[sys.executable, *TWO]})"
    parent = program("-c", grouped)
    enqueue(place, 2, seconds=0.5)
    begun(parent)
    begun(parent)

    (place / "go").touch()
    os.killpg(parent.process.pid, signal.SIGINT)

    code, out, errors = parent.end()
    assert (code, out.count("done"), "Traceback" in errors) == (0, 2, False), errors


def test_a_signal_ends_a_parent_whose_first_process_does_not_come_up(program, place):
    (place / "hangs").touch()
    parent = program(*TWO)
    assert parent.line() == "hangs"  # once: the second waits for the first

    parent.send(signal.SIGTERM)

    code, out, errors = parent.end()
    assert (code, out) == (0, ""), errors
    assert "ERROR" not in errors


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("nowhere:app", "there is no module 'nowhere'"),
        ("many:volatile", "keeps its jobs in memory"),
    ],
)
def test_wrong_usage_is_said_once_and_nothing_is_started_again(program, place, target, reason):
    code, _, errors = program(*START, target, "--processes", "3").end()

    assert code == USAGE
    assert errors.count(reason) == 1
    assert "ERROR" not in errors  # the log does not say it again
    assert "[2]" not in errors
    assert "Traceback" not in errors
    assert list(place.iterdir()) == []


def test_an_application_that_cannot_be_started_is_said_once(program, place):
    (place / "store").touch()

    code, _, errors = program(*TWO).end()

    assert code == REFUSED
    assert errors.count(f"{place}/store is a file") == 1
    assert "ERROR" not in errors
    assert "[2]" not in errors


def test_a_module_that_cannot_be_imported_is_shown_once_with_its_own_frames(program, place):
    (place / "broken").touch()

    code, _, errors = program(*START, "many:app", "--processes", "3").end()

    assert code == REFUSED
    first, _, *middle, last = errors.splitlines()[1:]
    assert first == "Traceback (most recent call last):"
    middle = [line for line in middle if line.strip("~^ ")]  # Python 3.13 underlines the call
    assert middle == ['    sys.exit("it is broken")', "SystemExit: it is broken"]
    assert last == "antq: the import of 'many' failed"


def test_each_process_says_that_it_is_up_and_one_says_with_what(two, place):
    both_busy(two, place)
    (place / "go").touch()
    two.send(signal.SIGTERM)

    code, _, errors = two.end()

    assert code == 0
    assert errors.count("antq 0.1.0 starts many:app in 2 processes") == 1
    assert errors.count(f"path {place / 'store'}; queue default (1 slot)") == 1
    assert "antq: [1] up as node " in errors
    assert "antq: [2] up as node " in errors


def test_a_stop_of_several_says_what_each_waits_for(two, place):
    both_busy(two, place)

    two.send(signal.SIGTERM)
    said = [two.process.stderr.readline() for _ in range(7)]
    (place / "go").touch()

    assert two.end()[0] == 0
    assert "antq: stopping all processes; Ctrl-C again to interrupt their jobs\n" in said
    assert {f"antq: [{number}] stopping: 1 job runs\n" for number in (1, 2)} <= set(said)


def test_a_parent_whose_processes_cannot_start_any_more_gives_up(two, place):
    busy = both_busy(two, place)

    (place / "go").touch()
    (place / "broken").touch()
    os.kill(busy[1], signal.SIGKILL)

    code, _, errors = two.end(60)
    assert code == REFUSED
    assert errors.splitlines()[-1] == (
        "antq: the processes end again and again, and are not started any more"
    )
    assert errors.count("antq: the import of 'many' failed") == 10  # five restarts for each one
    assert errors.count("SystemExit: it is broken") == errors.count("Traceback") == 1
    assert jobs(place)[1].status is Status.COMPLETED


def test_drained_process_is_not_started_again_and_the_last_one_ends_all(two, place):
    busy = both_busy(two, place)
    with AntQ(place / "store", start_queues=False) as app:
        numbers = {node.pid: node.number for node in app.nodes()}

    ask(place / "store", numbers[busy[1]], "drain", {})
    (place / "go").touch()
    until(lambda: children(two) == [busy[2]], "the end of the one that was drained")
    enqueue(place, 1)
    until(lambda: all(job.status is Status.COMPLETED for job in jobs(place)), "the end of all")
    ask(place / "store", numbers[busy[2]], "drain", {})

    code, _, errors = two.end()
    assert (code, "restarts child" in errors) == (0, False), errors
