"""A program that ends with running actors stops them, and ends."""

import textwrap

import pytest
from support.programs import run_python

HEAD = """
import sys, threading
from antq_actors.otp import GenServer, Supervisor, call, cast

class Child(GenServer):
    def __init__(self, name="child"):
        super().__init__()
        self.label = name

    def handle_call(self, request):
        return request(self)

    def handle_cast(self, request):
        request(self)

    def terminate(self, reason):
        print("terminate", self.label, reason, flush=True)

def spec(name):
    return Child.child_spec(name, id=name)
"""


def run(program, timeout=30):
    """Run *program* after HEAD; answer its exit code and the lines it printed."""
    source = HEAD + textwrap.dedent(program)
    done = run_python("-c", source, timeout=timeout)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


SUPERVISED = ["terminate b Shutdown()", "terminate a Shutdown()"]


def test_a_program_that_ends_with_a_running_tree_stops_it_in_order():
    code, lines = run('Supervisor.start([spec("a"), spec("b")])')

    assert code == 0
    assert lines == SUPERVISED


def test_the_last_started_is_stopped_first():
    code, lines = run('Child.start("first"); Child.start("second")')

    assert code == 0
    assert lines == [
        "terminate second Shutdown()",
        "terminate first Shutdown()",
    ]


@pytest.mark.parametrize(
    ("ending", "code"), [("sys.exit(7)", 7), ("raise SystemExit", 0)], ids=["exit 7", "exit"]
)
def test_the_exit_code_is_the_programs(ending, code):
    assert run(f'Supervisor.start([spec("a"), spec("b")]); {ending}') == (code, SUPERVISED)


def test_a_program_whose_actor_never_ends_ends_all_the_same():
    code, lines = run(
        """
        from antq_actors.otp.actors import pykka_registry
        pykka_registry.STOP_TIMEOUT_SECONDS = 0.2
        refs = [Child.start(name) for name in ("first", "second", "third")]
        entered = threading.Semaphore(0)
        for ref in refs[1:]:
            cast(ref, lambda me: (entered.release(), threading.Event().wait()))
        for _ in refs[1:]:
            entered.acquire()
        """
    )

    assert code == 0
    assert lines == ["terminate first Shutdown()"]


def test_an_orphan_does_not_keep_a_program_from_ending():
    code, lines = run(
        """
        from antq_actors.otp import Killed, exit, orphans
        ref = Child.start()
        entered = threading.Event()
        cast(ref, lambda me: (entered.set(), threading.Event().wait()))
        entered.wait()
        exit(ref, Killed())
        print(len(orphans()))
        """
    )

    assert code == 0
    assert lines == ["1"]


def test_timers_do_not_keep_a_program_from_ending():
    code, lines = run('call(Child.start(), lambda me: me.send_after(3600, "never"))')

    assert code == 0
    assert lines == ["terminate child Shutdown()"]


def test_what_was_stopped_before_is_not_stopped_again():
    code, lines = run(
        """
        from antq_actors.otp import stop
        stop(Child.start())
        """
    )

    assert code == 0
    assert lines == ["terminate child Normal()"]
