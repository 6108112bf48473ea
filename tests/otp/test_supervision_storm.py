"""Many threads crash, kill, ask and administrate one tree at once: nothing hangs, nothing leaks."""

import random
import threading

import pykka
import pytest
from supervised import BOOM, Child, eventually

from antq_actors.otp import (
    RESTARTING,
    CallExit,
    CallTimeout,
    DynamicSupervisor,
    Killed,
    OtpError,
    Strategy,
    Supervisor,
    call,
    exit,  # noqa: A004 - OTP's name
    orphans,
    stop,
    tree,
    whereis,
)

BRANCHES = [f"branch {i}" for i in range(3)]
LEAVES = [f"{branch}, leaf {i}" for branch in BRANCHES for i in range(3)]


def a_branch(name, log, strategy):
    leaves = [Child.child_spec(leaf, log, name=leaf) for leaf in LEAVES if leaf.startswith(name)]
    return Supervisor.child_spec(
        leaves, name=name, strategy=strategy, max_restarts=3, max_seconds=0.05
    )


def kill_all(pool):
    for child in DynamicSupervisor.which_children(pool):
        if child.ref is not RESTARTING:
            exit(child.ref, Killed())


def stop_and_start(leaf):
    branch = leaf.partition(",")[0]
    Supervisor.terminate_child(branch, leaf)
    Supervisor.restart_child(branch, leaf)


def one_action(chance, log):
    leaf = chance.choice(LEAVES)
    actions = {
        "crash": lambda: call(leaf, BOOM),
        "kill": lambda: exit(leaf, Killed()),
        "kill a supervisor": lambda: exit(chance.choice([*BRANCHES, "pool"]), Killed()),
        "ask": lambda: Supervisor.which_children(chance.choice(BRANCHES)),
        "administrate": lambda: stop_and_start(leaf),
        "add": lambda: DynamicSupervisor.start_child("pool", Child.child_spec("x", log)),
        "kill the pool's children": lambda: kill_all("pool"),
        "look": lambda: tree("root").to_text(),
        "call": lambda: call(leaf, "hello"),
    }
    weights = [6, 3, 1, 3, 3, 3, 1, 1, 3]
    (name,) = chance.choices(list(actions), weights)
    actions[name]()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_tree_outlives_a_storm_and_leaves_nothing_behind(log, seed):
    strategies = zip(BRANCHES, Strategy, strict=True)
    root = Supervisor.start(
        [
            *[a_branch(branch, log, strategy) for branch, strategy in strategies],
            DynamicSupervisor.child_spec(name="pool", max_restarts=10**6),
        ],
        name="root",
        max_restarts=10**6,
    )
    unexpected = []

    def rage(number):
        chance = random.Random(1000 * seed + number)  # noqa: S311 - a repeatable storm
        for _ in range(150):
            try:
                one_action(chance, log)
            except CallTimeout as error:
                unexpected.append(error)
            except OtpError:
                continue  # whom it meant was just down
            except Exception as error:  # noqa: BLE001 - looked at below
                unexpected.append(error)

    threads = [threading.Thread(target=rage, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert not any(thread.is_alive() for thread in threads)
    assert unexpected == []
    eventually(lambda: all(node.state == "running" for node in tree("root").walk()))
    stop(root, timeout=30)
    eventually(lambda: not pykka.ActorRegistry.get_all() and not orphans())
    assert [name for name in [*BRANCHES, *LEAVES, "pool"] if whereis(name)] == []
    with pytest.raises(CallExit):
        tree("root")
