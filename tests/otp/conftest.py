import threading

import pykka
import pytest
from endless import Deaf, Endless
from probe import Gate, Notes, Probe
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
def supervise():
    """Start a supervisor of the given children; afterwards it stops and leaves nothing behind."""
    started = []

    def start(*children, of=Supervisor, **options):
        sup = of.start(list(children), **options)
        started.append(sup)
        return sup

    yield start
    for sup in reversed(started):
        try:
            stop(sup, Shutdown(), timeout=30)
        except CallExit:
            eventually(lambda sup=sup: sup.cell.reason is not None)


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
