"""In a forked child its parent's actors have ended; the parent's go on."""

import os
import textwrap

import pytest
from support.programs import run_python

HEAD = """
import os, threading, sys, traceback
import pykka
from antq_actors.otp import *
from antq_actors.otp import exit
from antq_actors.otp.kernel.reasons import NoProc

class Child(GenServer):
    def handle_call(self, request):
        return request(self) if callable(request) else request

    def terminate(self, reason):
        print("terminate in", "parent" if os.getpid() == parent else "child", flush=True)

parent = os.getpid()

def in_child(check):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            check()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

def raises(error, fn):
    try:
        fn()
    except error as raised:
        return raised
    raise AssertionError(f"{fn} raised nothing")
"""


def run(program, says=""):
    source = HEAD + textwrap.dedent(program)
    done = run_python("-W", "ignore::DeprecationWarning", "-c", source, timeout=30)
    assert done.returncode == 0, done.stderr
    assert says in done.stderr
    return done.stdout.splitlines()


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def test_inherited_actors_have_ended_for_every_way_to_talk():
    lines = run(
        """
        ref = Child.start(name="inherited")

        def check():
            assert raises(CallExit, lambda: call(ref, 1, None)).reason == NoProc()
            assert raises(CallExit, lambda: call("inherited", 1, None)).reason == NoProc()
            assert raises(CallExit, lambda: stop(ref)).reason == NoProc()
            raises(pykka.ActorDeadError, lambda: ref.ask(1))
            raises(pykka.ActorDeadError, lambda: ref.tell(1))
            assert monitor(ref).wait(0).reason == NoProc()
            assert ref.stop() is False
            cast(ref, 1)
            exit(ref, Killed())
            assert whereis("inherited") is None
            assert not ref.is_alive()
            assert pykka.ActorRegistry.get_all() == []
            pykka.ActorRegistry.stop_all()

        in_child(check)
        assert call("inherited", "unharmed") == "unharmed"
        """
    )

    assert lines == ["terminate in parent"]


def test_a_child_starts_actors_timers_and_supervisors_of_its_own():
    run(
        """
        outer = Supervisor.start([Child.child_spec(name="inherited")])

        def check():
            sup = Supervisor.start([Child.child_spec(name="inherited")])
            assert call("inherited", 1) == 1
            arrived = threading.Event()
            class Timed(GenServer):
                def handle_info(self, message):
                    arrived.set()
            timed = Timed.start()
            send_after(timed, "now", 0.001)
            assert arrived.wait(30)
            stop(timed)
            stop(sup)

        in_child(check)
        """
    )


def test_a_fork_within_an_actor_makes_a_plain_thread():
    run(
        """
        ref = Child.start()

        def forks(me):
            def check():
                raises(RuntimeError, lambda: trap_exit(True))
                own = Child.start()
                assert call(own, 1) == 1
                stop(own)
            in_child(check)
            return "forked"

        assert call(ref, forks, None) == "forked"
        """
    )


def test_forks_in_the_midst_of_much_talk_do_not_hang():
    run(
        """
        refs = [Child.start(name=f"n{i}") for i in range(4)]
        over = threading.Event()

        def chatter():
            while not over.is_set():
                for ref in refs:
                    call(ref, 1, None)
                    monitor(ref)
                    whereis("n1")
                    send_after(ref, 1, 3600)
                short = Child.start()
                exit(short, Killed())

        threads = [threading.Thread(target=chatter) for _ in range(3)]
        for thread in threads:
            thread.start()

        def check():
            for ref in refs:
                assert raises(CallExit, lambda: call(ref, 1, None)).reason == NoProc()
            own = Child.start(name="n1")
            assert call("n1", 2) == 2
            exit(own, Killed())

        for _ in range(15):
            in_child(check)
        over.set()
        for thread in threads:
            thread.join()
        """
    )


@pytest.mark.parametrize(
    ("leaves", "code", "said"),
    [
        ("lambda: None", 0, ""),
        ("lambda: 1 / 0", 1, "ZeroDivisionError"),
        ("lambda: sys.exit(7)", 7, ""),
        ("lambda: sys.exit('so it says')", 1, "so it says"),
        ("lambda: sys.exit()", 0, ""),
        ("stops", 0, ""),
    ],
)
def test_a_child_that_leaves_the_callback_it_was_forked_in_ends(leaves, code, said):
    done = run(
        f"""
        pids = []

        def stops():
            raise Stop

        def forks(where):
            pid = os.fork()
            if pid == 0:
                ({leaves})()
                return
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            os.write(1, f"{{where}} {{code}}\\n".encode())  # in one piece, whoever else says

        class Forking(GenServer):
            def init(self):
                forks("init")
                return Continue()

            def handle_continue(self, token):
                forks("continue")

            def handle_call(self, request):
                forks(request)

            def handle_cast(self, request):
                forks("cast")

            def handle_info(self, message):
                forks("info")

            def terminate(self, reason):
                forks("terminate")

        class Plain(pykka.ThreadingActor):
            def on_receive(self, message):
                forks("pykka")

        class NoDaemon(Forking):
            use_daemon_thread = False

        for kind in (Forking, NoDaemon):
            ref = kind.start()
            call(ref, "call", None)
            ref.ask("ask")
            cast(ref, 1)
            ref.tell(1)
            stop(ref)
        Task.async_(forks, "task").await_(None)
        agent = Agent.start(dict)
        Agent.get(agent, lambda state: forks("agent"), None)
        with TaskSupervisor.start() as sup:
            list(TaskSupervisor.map(sup, forks, ["map", "map"], timeout=None))
        supervised(Plain).start().ask(1)
        """,
        says=said,
    )

    each = ["init", "continue", "call", "ask", "cast", "info", "terminate"]
    where = [*each, *each, "task", "agent", "map", "map", "pykka"]
    assert done == [f"{name} {code}" for name in where]


@pytest.mark.parametrize(("leaves", "code"), [("IGNORE", 0), ("sys.exit(7)", 7), ("1 / 0", 1)])
def test_a_child_that_is_forked_in_the_start_of_a_child_of_a_supervisor_ends(leaves, code):
    done = run(
        f"""
        def start():
            pid = os.fork()
            if pid == 0:
                return {leaves}
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
            return IGNORE

        with Supervisor.start([]) as outer:
            Supervisor.start_child(outer, ChildSpec("it", start))
        """
    )

    assert done == [str(code)]
