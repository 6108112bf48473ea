"""Processes that other libraries fork: multiprocessing's, and the workers of a web server."""

import os
import textwrap

import pytest
from support.apps import until
from support.findings import findings

from antq_actors import AntQ, Status

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

PRELUDE = """
import multiprocessing, os, signal, sys, time, warnings
from antq_actors import AntQ, ForkError, Worker
warnings.simplefilter("ignore")  # of forks in programs with threads

def say(*what):
    os.write(1, (" ".join(map(str, what)) + "\\n").encode())

class Note(Worker, name="forked_workers:Note"):
    def perform(self, job):
        say("ran in", os.getpid())
"""


@pytest.fixture
def start(program, tmp_path):
    """Start a program that begins with the prelude; its argument is the path of a store."""
    return lambda text: program("-c", PRELUDE + textwrap.dedent(text), tmp_path / "store")


def test_a_pool_of_forked_processes_is_refused_its_parents_application_and_may_open_its_own(
    start, tmp_path
):
    one = start("""
        app = AntQ(sys.argv[1]).start()

        def inherited(n):
            try:
                return app.enqueue(Note, {"n": n}).id
            except ForkError as error:
                return "start an AntQ in the child" in str(error) or "make a new AntQ" in str(error)

        def own(n):
            with AntQ(sys.argv[1], start_queues=False) as mine:
                return mine.enqueue(Note, {"n": n}).id

        with multiprocessing.get_context("fork").Pool(3) as pool:
            assert pool.map(inherited, range(6)) == [True] * 6
            assert sorted(pool.map(own, range(6))) == [1, 2, 3, 4, 5, 6]
        while app.count_workers(status="completed") < 6:
            time.sleep(0.01)
        assert app.enqueue(Note).id == 7
        app.stop()
        say("me", os.getpid())
        """)

    status, out, errors = one.end(60)

    assert (status, errors) == (0, "")
    lines = out.splitlines()
    me = lines.pop().removeprefix("me ")
    assert {line.removeprefix("ran in ") for line in lines} == {me}
    assert findings(tmp_path / "store") == []


def test_an_application_that_was_described_before_the_fork_starts_in_each_child(start, tmp_path):
    one = start("""
        app = AntQ(sys.argv[1], start_queues=False)  # at import, in the master; not started there
        children = []
        for _ in range(3):
            child = os.fork()
            if child == 0:
                app.start()
                Note.perform_async()
                sys.exit(0)  # stops it
            children.append(child)
        say(*[os.waitpid(child, 0)[1] for child in children])
        with app:
            say(app.count_workers())
        """)

    assert one.end(60) == (0, "0 0 0\n3\n", "")
    assert findings(tmp_path / "store") == []


def test_a_forked_process_that_is_killed_takes_nothing_with_it(start, tmp_path):
    one = start("""
        app = AntQ(sys.argv[1]).start()

        def work():
            with AntQ(sys.argv[1], start_queues=False) as mine:
                mine.enqueue(Note)
                os.kill(os.getpid(), signal.SIGKILL)

        children = [multiprocessing.get_context("fork").Process(target=work) for _ in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
            assert child.exitcode == -signal.SIGKILL
        while app.count_workers(status="completed") < 3:
            time.sleep(0.01)
        app.stop()
        """)

    assert one.end(60)[::2] == (0, "")
    assert findings(tmp_path / "store") == []


def test_workers_of_a_server_that_preloads_enqueue_in_applications_of_their_own(start, tmp_path):
    """As gunicorn --preload: the master has imported and started it; post_fork makes a new one."""
    one = start("""
        app = AntQ(sys.argv[1], start_queues=False).start()  # at import, in the master
        jobs = []

        def post_fork():
            global app
            app = AntQ(sys.argv[1], start_queues=False).start()

        def serve():
            post_fork()
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            for n in range(20):
                Note.perform_async({"n": n})  # finds the application of its own process
            say("served")
            signal.pause()

        def fork():
            child = os.fork()
            if child == 0:
                try:
                    serve()
                finally:
                    app.stop()
                    os._exit(0)
            return child

        workers = [fork() for _ in range(3)]
        for line in sys.stdin:  # the master goes on: a worker dies and is replaced
            victim = workers.pop()
            os.kill(victim, signal.SIGKILL if "kill" in line else signal.SIGTERM)
            os.waitpid(victim, 0)
            workers.append(fork())
            say("replaced")
        for worker in workers:
            os.kill(worker, signal.SIGTERM)
            say("ended", os.waitpid(worker, 0)[1])
        say("master sees", app.count_workers())
        app.stop()
        """)
    seen = sorted(one.line() for _ in range(3))
    for order in ("kill", "terminate"):
        one.process.stdin.write(f"{order}\n")
        one.process.stdin.flush()
        seen += sorted(one.line() for _ in range(2))

    status, out, errors = one.end(60)

    assert (status, errors) == (0, "")
    assert seen == ["served"] * 3 + ["replaced", "served"] * 2
    assert out.split("\n") == ["ended 0"] * 3 + ["master sees 100", ""]
    with AntQ(tmp_path / "store") as app:
        until(lambda: app.count_workers(status=Status.FAILED) == 100, "their end")  # no such class
    assert findings(tmp_path / "store") == []
