"""Many threads at once: every call ends, nothing hangs, nothing is left.

Hundreds call actors that are stopped and started all the time; they name, register, look up and
kill; they crash, kill, ask and administrate one tree."""

import random
import threading
from collections import Counter
from contextlib import suppress

import pykka
import pytest
from probe import LONGEST, InThread, Probe, answering, in_actor
from supervised import BOOM, Child, eventually, kill, raise_anew

from antq_actors.otp import (
    RESTARTING,
    CallExit,
    CallTimeout,
    DynamicSupervisor,
    Killed,
    OtpError,
    PartitionSupervisor,
    Registry,
    Restart,
    Restarting,
    Running,
    Shutdown,
    StartError,
    Strategy,
    Supervisor,
    Via,
    call,
    cast,
    exit,  # noqa: A004 - OTP's name
    monitor,
    orphans,
    stop,
    tree,
    whereis,
)

# ---- calls --------------------------------------------------------------------------------------

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


def start_again(supervisor, leaf):
    """Start a leaf that was stopped: if it is killed as it begins, it stays stopped."""
    while True:
        with suppress(StartError):
            return Supervisor.restart_child(supervisor, leaf)


def stop_and_start(branch, leaf):
    """Stop a leaf and start it again, as well as those that its stop has kept from starting.

    If a restart of a group fails at a leaf, those after it wait until that is started. They do not
    run, then, if it is stopped before (otp rules 36 and 39). Return the ids of those.
    """
    Supervisor.terminate_child(branch, leaf)
    start_again(branch, leaf)
    left = [child.id for child in Supervisor.which_children(branch) if child.ref is None]
    for other in left:
        with suppress(Running, Restarting):
            start_again(branch, other)
    return left


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
                    stop_and_start(BRANCHES[LEAVES.index(leaf) % 3], leaf)
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


# ---- names and registries -----------------------------------------------------------------------


STAFF = ["cook", "waiter"]
"""Keys of children that always come back."""
KEYS = [*STAFF, *range(5)]
TOPICS = ["news", "weather"]


def a_clerk(key):
    # One that came back would meet those who were hired for its key meanwhile, for ever.
    return Probe.child_spec(name=Via("names", key), restart=Restart.TEMPORARY)


def kill_and_look(name):
    """Kill who has *name*: at the Down no registry knows it any more."""
    ref = whereis(name)
    if ref is not None:
        watch = monitor(ref)
        kill(ref)
        watch.wait(LONGEST)
        for registry in ("names", "topics"):
            assert Registry.select(registry, lambda _key, other, _value: other is ref) == []
            assert Registry.keys(registry, ref) == []


def publish(pairs):
    for ref, _value in pairs:
        cast(ref, "news")


def actions(chance):
    """Return all that can be done, by name, each to somebody chosen now."""
    clerk, topic = Via("names", chance.choice(KEYS)), chance.choice(TOPICS)
    partition = Via("parts", chance.choice(KEYS))

    def look_up():
        found = Registry.lookup("names", clerk.key)
        assert len(found) <= 1

    return {
        "hire": lambda: DynamicSupervisor.start_child("pool", a_clerk(chance.choice(range(5)))),
        "fire": lambda: kill_and_look(clerk),
        "subscribe": lambda: in_actor(clerk, Registry.register, "topics", topic),
        "unsubscribe": lambda: in_actor(clerk, Registry.unregister, "topics", topic),
        "leave": lambda: in_actor(clerk, Registry.unregister, "names", clerk.key),
        "publish": lambda: Registry.dispatch("topics", topic, publish),
        "look up": look_up,
        "count": lambda: Registry.count("topics") + Registry.count("names"),
        "lock": lambda: Registry.lock("names", topic, look_up),
        "lock in an actor": lambda: in_actor(clerk, Registry.lock, "names", topic, look_up),
        "call a partition": lambda: call(partition, answering(None)),
        "kill a partition": lambda: kill(partition),
        "kill a registry": lambda: kill(chance.choice(["names", "topics"])),
    }


WEIGHTS = [8, 6, 6, 3, 1, 3, 4, 2, 3, 3, 4, 1, 1]


@pytest.mark.rule(62, 63)
@pytest.mark.parametrize("seed", [1, 2])
def test_registries_outlive_a_storm_and_keep_nothing_of_the_dead(seed):
    root = Supervisor.start(
        [
            Registry.child_spec(name="names"),
            Registry.child_spec("duplicate", name="topics"),
            PartitionSupervisor.child_spec(Probe, 2, name="parts", max_restarts=10**6),
            *[Probe.child_spec(name=Via("names", key)) for key in STAFF],
            DynamicSupervisor.child_spec(name="pool"),
        ],
        max_restarts=10**6,
    )
    unexpected, done = [], set()

    def rage(number):
        chance = random.Random(1000 * seed + number)  # noqa: S311 - a repeatable storm
        for _ in range(400):
            possible = actions(chance)
            (name,) = chance.choices(list(possible), WEIGHTS)
            try:
                possible[name]()
                done.add(name)
            except CallTimeout as error:
                unexpected.append(error)
            except OtpError:
                continue  # whom it meant was just down, or there already
            except Exception as error:  # noqa: BLE001 - looked at below
                unexpected.append(error)

    raging = [InThread(rage, number) for number in range(5)]
    for each in raging:
        each.result()

    assert unexpected == []
    assert done == set(actions(random))
    eventually(lambda: all(node.state == "running" for node in tree(root).walk()))
    registries = [whereis(name).cell for name in ("names", "topics")]
    for registry in registries:
        eventually(lambda registry=registry: _knows_only_the_living(registry))
    stop(root, timeout=30)
    for registry in registries:
        table = registry.directory
        assert (table._by_key, table._by_cell, table.locks._lines) == ({}, {}, {})
    eventually(lambda: not pykka.ActorRegistry.get_all() and not orphans())


def _knows_only_the_living(registry):
    table = registry.directory
    with table._lock:
        entries = [entry for of_key in table._by_key.values() for entry in of_key]
        processes = set(table._by_cell)
    registrants = {entry.cell for entry in entries}
    linked = set(registry._links) - {registry.parent.cell}
    return all(entry.lives for entry in entries) and registrants == processes == linked


def test_of_many_who_want_a_key_at_once_one_gets_it(start):
    start(of=Registry, name="names")
    refs = [start() for _ in range(4)]

    for key in range(50):
        together = threading.Barrier(4)

        def want(ref, key=key, together=together):
            together.wait(LONGEST)
            try:
                in_actor(ref, Registry.register, "names", key)
            except OtpError as taken:
                return taken.ref
            return ref

        wanting = [InThread(want, ref) for ref in refs]

        assert {each.result() for each in wanting} == {whereis(Via("names", key))}


# ---- one tree -----------------------------------------------------------------------------------


TREE_LEAVES = [f"{branch}, leaf {i}" for branch in BRANCHES for i in range(3)]


def a_branch(name, log, strategy):
    leaves = [
        Child.child_spec(leaf, log, name=leaf) for leaf in TREE_LEAVES if leaf.startswith(name)
    ]
    return Supervisor.child_spec(
        leaves, name=name, strategy=strategy, max_restarts=3, max_seconds=0.05
    )


def kill_all(pool):
    for child in DynamicSupervisor.which_children(pool):
        if child.ref is not RESTARTING:
            exit(child.ref, Killed())


def one_action(chance, log, administrate):
    leaf = chance.choice(TREE_LEAVES)
    actions = {
        "crash": lambda: call(leaf, BOOM),
        "kill": lambda: exit(leaf, Killed()),
        "kill a supervisor": lambda: exit(chance.choice([*BRANCHES, "pool"]), Killed()),
        "ask": lambda: Supervisor.which_children(chance.choice(BRANCHES)),
        "administrate": lambda: administrate(leaf),
        "add": lambda: DynamicSupervisor.start_child("pool", Child.child_spec("x", log)),
        "kill the pool's children": lambda: kill_all("pool"),
        "look": lambda: tree("root").to_text(),
        "call": lambda: call(leaf, "hello"),
    }
    weights = [6, 3, 1, 3, 3, 3, 1, 1, 3]
    (name,) = chance.choices(list(actions), weights)
    actions[name]()


def has_failed_to_restart(branch, caplog):
    """Return whether a leaf of the branch did not start again at first."""
    texts = [record.getMessage() for record in caplog.records]
    return any(text.startswith(branch) and "again: " in text for text in texts)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_tree_outlives_a_storm_and_leaves_nothing_behind(log, seed, caplog):
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
    administrators = {branch: threading.Lock() for branch in BRANCHES}

    def administrate(leaf):
        branch = leaf.partition(",")[0]
        # One at a time, so that no leaf is found stopped by another administrator.
        with administrators[branch]:
            left = stop_and_start(branch, leaf)
        assert not left or has_failed_to_restart(branch, caplog), left

    def rage(number):
        chance = random.Random(1000 * seed + number)  # noqa: S311 - a repeatable storm
        for _ in range(150):
            try:
                one_action(chance, log, administrate)
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
    assert [name for name in [*BRANCHES, *TREE_LEAVES, "pool"] if whereis(name)] == []
    with pytest.raises(CallExit):
        tree("root")
