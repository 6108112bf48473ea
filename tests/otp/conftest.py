import threading

import pykka
import pytest
from probe import Deaf, Endless, Gate, Notes, Probe, in_actor
from supervised import Child, Log, eventually, kill

from antq_actors.otp import (
    IGNORE,
    CallExit,
    PartitionSupervisor,
    Registry,
    Shutdown,
    Supervisor,
    orphans,
    stop,
)
from antq_actors.otp.messaging import names


@pytest.fixture(autouse=True)
def nothing_left():
    """Fail a test that leaves an actor, a name, an orphan or a thread of its own behind."""
    before = set(_leftovers())
    yield
    eventually(lambda: not set(_leftovers()) - before, what=lambda: set(_leftovers()) - before)


def _leftovers():
    yield from (("actor", ref.actor_urn) for ref in pykka.ActorRegistry.get_all())
    yield from (("name", name) for name in list(names._cells))
    yield from (("orphan", thread.name) for thread in orphans())
    yield from (
        ("thread", thread.name, thread.ident)
        for thread in threading.enumerate()
        if not thread.name.startswith("otp-service")
    )


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def gate():
    """A gate that opens at the latest when the test is over."""
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def endless():
    return Endless()


@pytest.fixture
def hangs(endless):
    """Make work that hangs on the given items, and answers each of the others as it is."""
    return lambda *items: lambda item: endless() if item in items else item


@pytest.fixture
def deaf():
    """Work that heeds no interruption, let go at the latest when the test is over."""
    deaf = Deaf()
    yield deaf
    deaf.let_go()


@pytest.fixture
def child(log):
    """Make specs of children that write into the log; `child.plan` is what they do at start."""

    def make(child_id, *, of=Child, **fields):
        return of.child_spec(child_id, log, make.plan, id=child_id, **fields)

    make.plan = {}
    return make


@pytest.fixture
def start():
    """Start a Probe, or an actor *of* another class; afterwards it is killed."""
    started = []

    def start(*args, of=Probe, **kwargs):
        ref = of.start(*args, **kwargs)
        if ref is not IGNORE:
            started.append(ref)
        return ref

    yield start
    for ref in reversed(started):
        kill(ref)


@pytest.fixture
def supervisors():
    """A list of supervisors, which stop when the test is over and leave nothing behind."""
    started = []
    yield started
    for sup in reversed(started):
        try:
            stop(sup, Shutdown(), timeout=30)
        except CallExit:
            eventually(lambda sup=sup: sup.cell.reason is not None)


@pytest.fixture
def supervise(supervisors):
    """Start a supervisor of the given children; afterwards it stops."""

    def start(*children, of=Supervisor, **options):
        supervisors.append(of.start(list(children), **options))
        return supervisors[-1]

    return start


@pytest.fixture
def registrant(start):
    """Start an actor that has registered itself."""

    def make(registry="shop", key="clerk", value=None):
        ref = start()
        in_actor(ref, Registry.register, registry, key, value)
        return ref

    return make


@pytest.fixture
def shop(start):
    """A registry of unique keys."""
    return start(of=Registry, name="shop")


@pytest.fixture
def topics(start):
    """A registry of duplicate keys."""
    return start("duplicate", of=Registry, name="topics")


@pytest.fixture
def partitions(start):
    """Start a PartitionSupervisor, named "parts", of Probes or another child."""

    def make(child=Probe, number=3, name="parts", **options):
        return start(child, number, of=PartitionSupervisor, name=name, **options)

    return make
