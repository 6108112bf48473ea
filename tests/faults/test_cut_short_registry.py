"""A thread that is cut short in a registry, or comes to it again, keeps no other one waiting."""

import sys
import threading

import pytest
from cut_short import Cutter, attempt, cut_one, ends_a_with_block
from support.apps import LONGEST

from antq_actors.otp import GenServer, Registry, call, stop

PARTS = ["otp/registry", "contextlib"]


class Clerk(GenServer):
    """Does what it is told with itself."""

    def handle_call(self, request):
        return request()


class OutsideOfExits(Cutter):
    """Cuts nothing short where a ``with`` block is left: nothing there can be interrupted."""

    def _count(self, frame):
        if not ends_a_with_block(frame):
            super()._count(frame)


class Again(Cutter):
    """Uses the registry at one place, as a finalizer does that the collector runs there."""

    def _count(self, frame):
        self.seen += 1
        if self.seen == self.place:
            sys.settrace(None)
            self.where = f"line {frame.f_lineno} of {frame.f_code.co_name}"
            use(self.registry, f"again {self.place}")


def use(registry, key):
    """Register, look at everything, lock and unregister, in the actor of this thread."""
    Registry.register(registry, key, None)
    Registry.lookup(registry, "clerk")
    assert Registry.count(registry) >= 1
    assert Registry.lock(registry, key, lambda: 1) == 1
    Registry.unregister(registry, key)


def in_time(function):
    """Return whether *function* ends in a thread of its own."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    thread.join(LONGEST)
    return not thread.is_alive()


@pytest.fixture
def registry():
    registry = Registry.start()
    yield registry
    stop(registry)


@pytest.fixture
def clerk(registry):
    clerk = Clerk.start()
    call(clerk, lambda: Registry.register(registry, "clerk", None))
    yield clerk
    stop(clerk)


def test_a_lock_whose_holder_is_cut_short_as_it_leaves_is_free(registry):
    cutter, is_through = OutsideOfExits("instructions", "KeyboardInterrupt", PARTS), False

    while not is_through:
        cutter.next()

        def lock():
            Registry.lock(registry, "till", lambda: None)

        # In a thread of its own: CPython 3.11 may go on "handling" what was handled at the place.
        assert in_time(lambda lock=lock: attempt(lambda: cut_one(cutter, lock))), cutter.where
        is_through = cutter.where is None

        assert in_time(lambda: Registry.lock(registry, "till", lambda: None)), cutter.where

    assert cutter.places >= 100


def test_a_finalizer_may_use_the_registry_at_any_instruction_of_it(registry, clerk):
    cutter, is_through = Again("instructions", "again", PARTS), False
    cutter.registry = registry

    while not is_through:
        cutter.next()
        errors = []

        def work():
            with cutter:
                use(registry, "till")

        done = in_time(lambda: errors.append(attempt(lambda: call(clerk, work, timeout=None))))  # noqa: B023
        is_through = cutter.where is None

        assert (done, errors) == (True, [None]), cutter.where
    assert Registry.count(registry) == 1
    assert cutter.places >= 300
