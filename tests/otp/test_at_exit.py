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

PROGRAMS = {
    "a running tree is stopped in order": ('Supervisor.start([spec("a"), spec("b")])', SUPERVISED),
    "the last started is stopped first": (
        'Child.start("first"); Child.start("second")',
        ["terminate second Shutdown()", "terminate first Shutdown()"],
    ),
    "actors that never end keep it from nothing": (
        """
        from antq_actors.otp.actors import pykka_registry
        pykka_registry.STOP_TIMEOUT_SECONDS = 0.2
        refs = [Child.start(name) for name in ("first", "second", "third")]
        entered = threading.Semaphore(0)
        for ref in refs[1:]:
            cast(ref, lambda me: (entered.release(), threading.Event().wait()))
        for _ in refs[1:]:
            entered.acquire()
        """,
        ["terminate first Shutdown()"],
    ),
    "nor does an orphan": (
        """
        from antq_actors.otp import Killed, exit, orphans
        ref = Child.start()
        entered = threading.Event()
        cast(ref, lambda me: (entered.set(), threading.Event().wait()))
        entered.wait()
        exit(ref, Killed())
        print(len(orphans()))
        """,
        ["1"],
    ),
    "nor does a timer": (
        'call(Child.start(), lambda me: me.send_after(3600, "never"))',
        ["terminate child Shutdown()"],
    ),
    "what was stopped before is not stopped again": (
        "from antq_actors.otp import stop; stop(Child.start())",
        ["terminate child Normal()"],
    ),
}


@pytest.mark.parametrize(("program", "lines"), PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_that_ends_with_running_actors_stops_them_and_ends(program, lines):
    assert run(program) == (0, lines)


@pytest.mark.parametrize(
    ("ending", "code"), [("sys.exit(7)", 7), ("raise SystemExit", 0)], ids=["exit 7", "exit"]
)
def test_the_exit_code_is_the_programs(ending, code):
    assert run(f'Supervisor.start([spec("a"), spec("b")]); {ending}') == (code, SUPERVISED)
