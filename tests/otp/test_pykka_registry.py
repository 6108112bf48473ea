"""pykka's ActorRegistry does with GenServers what pykka documents of it."""

import pykka
import pytest
from probe import LONGEST, Notes, Probe
from supervised import eventually, kill

from antq_actors.otp import GenServer, call, stop
from antq_actors.otp.actors.task_actor import TaskActor

registry = pykka.ActorRegistry


class Listener(GenServer):
    def __init__(self, notes, name="listener"):
        super().__init__()
        self.notes, self.title = notes, name

    def handle_call(self, request):
        return request

    def handle_info(self, message):
        self.notes.add((self.title, message))

    def on_stop(self):
        self.notes.add((self.title, "stops"))


class Reader(Listener):
    """A subclass."""


class Lean(TaskActor):
    _otp_live = GenServer._otp_live

    """Not in the registry."""


class Plain(pykka.ThreadingActor):
    use_daemon_thread = True


# ---- who is found -----------------------------------------------------------------------------


def test_actors_are_found_in_the_order_of_their_start(start, notes):
    refs = [start(notes, of=of) for of in (Listener, Reader, Listener)]

    assert registry.get_all() == refs


@pytest.mark.parametrize(
    ("found", "classes"),
    [
        (lambda: registry.get_by_class(Listener), [Listener, Reader]),
        (lambda: registry.get_by_class(Reader), [Reader]),
        (lambda: registry.get_by_class(GenServer), [Listener, Probe, Reader]),
        (lambda: registry.get_by_class(pykka.ThreadingActor), [Listener, Probe, Reader]),
        (lambda: registry.get_by_class_name("Listener"), [Listener]),
        (lambda: registry.get_by_class_name("Reader"), [Reader]),
        (lambda: registry.get_by_class_name("reader"), []),
        (lambda: registry.get_by_urn("urn:uuid:none"), None),
    ],
)
def test_actors_are_found_by_class_with_subclasses_and_by_the_name_of_the_class(
    start, notes, found, classes
):
    for of in (Listener, Probe, Reader):
        start(notes, of=of)

    refs = found()

    assert (refs if refs is None else [ref.actor_class for ref in refs]) == classes


def test_an_actor_is_found_in_its_own_init_and_not_after_a_failed_one(start):
    seen = []

    def look(me):
        seen.append(registry.get_by_urn(me.actor_urn))

    ref = start(init=look)

    assert seen == [ref]
    with pytest.raises(Exception, match="did not start"):
        start(init=lambda me: 1 / 0)
    assert registry.get_all() == [ref]


@pytest.mark.parametrize(
    "end", [stop, kill, lambda ref: ref.stop(), lambda ref: ref.proxy().stop().get()]
)
def test_an_actor_that_has_ended_is_not_found(start, end):
    ref = start()

    end(ref)

    assert ref.actor_stopped.wait(LONGEST)
    assert registry.get_by_urn(ref.actor_urn) is None
    assert registry.get_by_class(Probe) == []


def test_who_waits_for_actor_stopped_does_not_find_the_actor_any_more(start):
    ref = start()

    with registry._actor_refs_lock:
        ref.stop(block=False)
        eventually(lambda: ref.cell.reason is not None)
        set_too_early = ref.actor_stopped.wait(0.02)

    assert not set_too_early
    assert ref.actor_stopped.wait(LONGEST)
    assert registry.get_all() == []


def test_a_lean_actor_is_not_found(start):
    start(of=Lean)

    assert registry.get_all() == []


def test_an_actor_can_be_taken_out_and_put_in_by_hand(start):
    ref = start()

    registry.unregister(ref)
    registry.unregister(ref)
    assert registry.get_all() == []
    assert call(ref, lambda me: "lives") == "lives"
    registry.register(ref)

    assert registry.get_by_urn(ref.actor_urn) is ref


def test_an_actor_taken_out_by_hand_ends_as_any_other(start, notes):
    ref = start(notes, of=Listener)
    registry.unregister(ref)

    stop(ref)

    assert notes.take(1) == [("listener", "stops")]


# ---- broadcast --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "hear"),
    [
        (None, ["one", "two", "three"]),
        (Listener, ["one", "two", "three"]),
        (Reader, ["two"]),
        ("Listener", ["one", "three"]),
        ("Nobody", []),
    ],
)
def test_a_broadcast_is_told_to_the_class_or_the_name_of_it(start, target, hear):
    notes = Notes()
    kinds = {"one": Listener, "two": Reader, "three": Listener}
    refs = [start(notes, title, of=of) for title, of in kinds.items()]

    registry.broadcast("news", target)
    heard = [ref.ask("heard by then") for ref in refs]

    assert heard == ["heard by then"] * 3
    assert sorted(notes.take(len(hear))) == sorted((title, "news") for title in hear)
    assert notes.is_empty()


# ---- stop_all ---------------------------------------------------------------------------------


def test_stop_all_stops_the_last_started_first_and_waits_for_each(notes):
    for title in ("first", "second", "third"):
        Listener.start(notes, title)

    stopped = registry.stop_all()

    assert stopped == [True, True, True]
    assert notes.take(3) == [(title, "stops") for title in ("third", "second", "first")]
    assert registry.get_all() == []


def test_stop_all_without_waiting_gives_a_future_for_each(notes):
    for title in ("first", "second"):
        Listener.start(notes, title)

    futures = registry.stop_all(block=False)

    assert pykka.get_all(futures, timeout=30) == [True, True]


def test_stop_all_lets_each_actor_handle_what_waits_before(notes, gate):
    class Busy(Listener):
        def handle_info(self, message):
            gate() if message == "wait" else super().handle_info(message)

    ref = Busy.start(notes)
    ref.tell("wait")
    gate.wait_entered()
    ref.tell("before")
    futures = registry.stop_all(block=False)
    gate.open()

    assert pykka.get_all(futures, timeout=30) == [True]
    assert notes.take(2) == [("listener", "before"), ("listener", "stops")]


def test_stop_all_stops_plain_actors_and_ours_together(notes):
    plain, ours = Plain.start(), Listener.start(notes)

    assert registry.stop_all() == [True, True]

    assert not plain.is_alive()
    assert not ours.is_alive()


def test_an_actor_that_stops_what_it_depends_on_in_its_on_stop_ends_with_it(notes):
    class Dependent(Listener):
        def on_stop(self):
            super().on_stop()
            self.notes.add(("on_stop", used.stop()))

    used = Listener.start(notes, "used")
    dependent = Dependent.start(notes, "dependent")

    assert dependent.stop() is True

    assert notes.take(3) == [("dependent", "stops"), ("used", "stops"), ("on_stop", True)]
    assert registry.get_all() == []
