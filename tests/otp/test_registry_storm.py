"""Many threads name, register, look up and kill at once: nothing hangs, nothing is left."""

import random
import threading

import pykka
import pytest
from probe import LONGEST, InThread, Probe, answering, in_actor
from supervised import eventually, kill

from antq_actors.otp import (
    CallTimeout,
    DynamicSupervisor,
    OtpError,
    PartitionSupervisor,
    Registry,
    Restart,
    Supervisor,
    Via,
    call,
    cast,
    monitor,
    orphans,
    stop,
    tree,
    whereis,
)

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
