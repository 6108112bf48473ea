"""Hundreds of threads call actors that are stopped and started all the time: each call ends."""

import random
import threading
from collections import Counter
from contextlib import suppress

import pykka
from probe import InThread
from supervised import Child, eventually, raise_anew

from antq_actors.otp import (
    CallExit,
    CallTimeout,
    Killed,
    OtpError,
    Shutdown,
    Strategy,
    Supervisor,
    call,
    cast,
    exit,  # noqa: A004 - OTP's name
    monitor,
    orphans,
    stop,
    tree,
    whereis,
)

CALLERS = 300
TURNS = 25
LEAVES = [f"leaf {i}" for i in range(9)]
BRANCHES = [f"branch {i}" for i in range(3)]


class Leaf(Child):
    def handle_cast(self, request):
        raise_anew(request)


def a_tree(log):
    """Three branches of three leaves, one of each strategy; nothing is ever given up."""
    endless = {"max_restarts": 10**9, "max_seconds": 1.0}
    branches = [
        Supervisor.child_spec(
            [Leaf.child_spec(leaf, log, name=leaf) for leaf in LEAVES[i::3]],
            name=branch,
            strategy=strategy,
            **endless,
        )
        for i, (branch, strategy) in enumerate(zip(BRANCHES, Strategy, strict=True))
    ]
    return Supervisor.start(branches, **endless)


def call_by_name(leaf, request):
    return call(leaf, request, None)


def call_by_ref(leaf, request):
    """Hold on to one incarnation, which may end meanwhile."""
    ref = eventually(lambda: whereis(leaf))
    return [call(ref, request, None) for _ in range(3)][-1]


def ask(leaf, request):
    ref = eventually(lambda: whereis(leaf))
    return [ref.ask(request) for _ in range(3)][-1]


def watch(leaf, request):
    monitor(leaf).wait()
    return request


TALKS = [call_by_name, call_by_ref, ask, watch]


def talk(number):
    """Talk to the leaves without any time limit; answer how often each outcome was met."""
    outcomes = Counter()
    for turn in range(TURNS):
        request = f"{number}, {turn}"
        how = TALKS[(number + turn) % len(TALKS)]
        try:
            answer = how(LEAVES[(number * 7 + turn) % len(LEAVES)], request)
        except CallTimeout:
            outcomes["timeout"] += 1
        except (CallExit, pykka.ActorDeadError):
            outcomes["was told of the end"] += 1
        else:
            outcomes["answered" if answer == request else "got another's answer"] += 1
    return outcomes


def rage(seed, over):
    """Crash, kill, stop and start leaves and branches until it is *over*."""
    chance = random.Random(seed)  # noqa: S311 - a repeatable storm
    while not over.is_set():
        leaf, branch = chance.choice(LEAVES), chance.choice(BRANCHES)
        blow = chance.choices(["crash", "kill", "shut down", "by hand", "branch"], [4, 4, 2, 2, 1])
        with suppress(OtpError):  # whom it meant was just down
            match blow:
                case ["crash"]:
                    cast(leaf, ValueError("boom"))
                case ["kill"]:
                    exit(leaf, Killed())
                case ["shut down"]:
                    exit(leaf, Shutdown())
                case ["by hand"]:
                    of_leaf = BRANCHES[LEAVES.index(leaf) % 3]
                    Supervisor.terminate_child(of_leaf, leaf)
                    Supervisor.restart_child(of_leaf, leaf)
                case ["branch"]:
                    exit(branch, Killed())
        over.wait(0.001)


def test_hundreds_of_threads_that_call_into_a_storm_of_ends_all_get_an_answer_or_an_error(
    log, caplog
):
    caplog.set_level("CRITICAL", "antq_actors.otp")
    root = a_tree(log)
    over = threading.Event()
    storm = [InThread(rage, seed, over) for seed in range(3)]
    callers = [InThread(talk, number) for number in range(CALLERS)]
    try:
        outcomes = sum((caller.result() for caller in callers), Counter())
    finally:
        over.set()
    for each in storm:
        each.result()

    assert set(outcomes) == {"answered", "was told of the end"}
    assert outcomes.total() == CALLERS * TURNS
    eventually(lambda: [node.state for node in tree(root).walk()] == ["running"] * 13)
    stop(root, Shutdown(), 30)
    eventually(lambda: not pykka.ActorRegistry.get_all() and not orphans())
    assert [name for name in LEAVES + BRANCHES if whereis(name)] == []
