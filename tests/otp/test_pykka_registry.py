"""pykka's ActorRegistry does with GenServers what pykka documents. Its cost does not grow.

What is relied on inside pykka: that its refs and their lock are two fields of ``ActorRegistry``,
and which operations of a list it uses. A test that fails here names what a new pykka changed.
"""

import ast
import inspect
import threading
from itertools import pairwise

import pykka
import pytest
from probe import LONGEST, InThread, Notes, Probe
from pykka import ActorDeadError, ActorRef, ActorRegistry
from supervised import eventually, kill
from test_forked import run

from antq_actors.otp import DynamicSupervisor, GenServer, call, stop
from antq_actors.otp.actors.pykka_registry import ActorRefs, install
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


# ---- ours ---------------------------------------------------------------------------------------


class Server(GenServer):
    def init(self):
        self.told = []

    def handle_info(self, message):
        self.told.append(message)

    def handle_call(self, request):
        return self.told


class SubServer(Server):
    pass


@pytest.fixture
def actors():
    """Three actors in start order: a Server, a plain pykka actor, and a SubServer."""
    refs = [Server.start(), Plain.start(), SubServer.start()]
    yield refs
    for ref in refs:
        try:
            ref.stop()
        except ActorDeadError:
            continue


class _Compared:
    """A ref that counts how often it is compared."""

    def __init__(self):
        self.times = 0

    def __eq__(self, other):
        self.times += 1
        return self is other

    def __hash__(self):
        return id(self)


# ---- what pykka documents ---------------------------------------------------------------------


def test_get_all_has_all_actors_in_start_order_and_is_a_list_of_its_own(actors):
    found = ActorRegistry.get_all()
    found.clear()

    assert ActorRegistry.get_all() == actors


def test_an_actor_is_found_by_class_by_class_name_and_by_urn(actors):
    server, plain, sub = actors

    assert ActorRegistry.get_by_class(Server) == [server, sub]
    assert ActorRegistry.get_by_class_name("Server") == [server]
    assert ActorRegistry.get_by_urn(plain.actor_urn) is plain
    assert ActorRegistry.get_by_urn("urn:uuid:none") is None


def test_a_broadcast_reaches_all_of_a_class(actors):
    server, _, sub = actors

    ActorRegistry.broadcast("to all")
    ActorRegistry.broadcast("to some", target_class="SubServer")

    assert server.ask(None) == ["to all"]
    assert sub.ask(None) == ["to all", "to some"]


def test_an_actor_that_has_ended_is_out_and_the_others_keep_their_order(actors):
    server, plain, sub = actors

    plain.stop()
    stop(server)
    late = Server.start()

    assert ActorRegistry.get_all() == [sub, late]
    stop(late)


@pytest.mark.parametrize("block", [True, False])
def test_stop_all_stops_in_the_reverse_of_the_start_order(actors, block):
    ended = []
    for ref in (actors[0], actors[2]):
        ref.cell.watch(object(), lambda ref, _reason: ended.append(ref))

    answers = ActorRegistry.stop_all(block=block)

    assert [answer if block else answer.get(timeout=LONGEST) for answer in answers] == [True] * 3
    assert ended == [actors[2], actors[0]] if block else set(ended) == {actors[0], actors[2]}
    assert ActorRegistry.get_all() == []


# ---- what it costs ----------------------------------------------------------------------------


@pytest.mark.parametrize("position", [0, 500, 999])
def test_no_other_ref_is_looked_at_when_one_comes_or_goes(position):
    refs = [_Compared() for _ in range(1000)]
    kept = ActorRefs(refs)

    assert refs[position] in kept
    kept.remove(refs[position])
    kept.append(refs[position])

    assert sum(ref.times for ref in refs) == 0


# ---- in the place of a list -------------------------------------------------------------------


@pytest.mark.parametrize(
    "look",
    [
        list,
        len,
        bool,
        lambda refs: list(reversed(refs)),
        lambda refs: refs[:],
        lambda refs: refs[1:],
        lambda refs: refs[-1],
        lambda refs: refs.index("b"),
        lambda refs: ("b" in refs, "z" in refs, [] in list(refs)),
    ],
)
def test_it_looks_like_the_list_of_the_same_refs(look):
    assert look(ActorRefs("abc")) == look(list("abc"))


def test_it_changes_as_a_list_does():
    refs = ActorRefs("abc")

    refs.remove("a")
    refs.append("a")
    with pytest.raises(ValueError, match="z is not registered"):
        refs.remove("z")

    assert list(refs) == ["b", "c", "a"]
    refs.clear()
    assert not refs


def test_what_was_registered_before_stays_registered(actors):
    install()

    assert ActorRegistry.get_all() == actors


# ---- what is relied on inside pykka -----------------------------------------------------------


def test_pykkas_refs_are_ours_as_soon_as_our_package_is_imported():
    lines = run("print(type(pykka.ActorRegistry._actor_refs).__name__)")

    assert lines == ["ActorRefs"]


def test_pykka_does_with_its_refs_only_what_ours_can():
    """Append, remove, look with ``in``, go through them, and copy them with ``[:]``."""
    tree = ast.parse(inspect.getsource(pykka._registry))
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    uses = {_described(parents[node]) for node in _touches(tree)}

    assert uses == {".append", ".remove", "In", "comprehension", "[:]"}


def test_pykka_touches_its_refs_only_under_its_lock():
    tree = ast.parse(inspect.getsource(pykka._registry))
    locked = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.With) and _is_field(node.items[0].context_expr, "_actor_refs_lock")
    ]

    assert _touches(tree) == set().union(*map(_touches, locked))


def test_a_ref_is_equal_to_itself_alone():
    assert ActorRef.__eq__ is object.__eq__
    assert ActorRef.__hash__ is object.__hash__


def _touches(tree):
    return {node for node in ast.walk(tree) if _is_field(node, "_actor_refs")}


def _is_field(node, name):
    return isinstance(node, ast.Attribute) and node.attr == name


def _described(use):
    match use:
        case ast.Attribute(attr=name):
            return f".{name}"
        case ast.Compare(ops=[operator]):
            return type(operator).__name__
        case ast.Subscript(slice=ast.Slice(lower=None, upper=None, step=None)):
            return "[:]"
        case _:
            return type(use).__name__


# ---- many at once -----------------------------------------------------------------------------


def test_starts_ends_and_looks_in_many_threads_at_once_lose_nothing_and_keep_nothing():
    sup = DynamicSupervisor.start()
    lasting = [Server.start() for _ in range(3)]
    over = threading.Event()

    def come_and_go():
        for _ in range(60):
            child = DynamicSupervisor.start_child(sup, Server)
            assert ActorRegistry.get_by_urn(child.actor_urn) is child
            DynamicSupervisor.terminate_child(sup, child)
            assert ActorRegistry.get_by_urn(child.actor_urn) is None

    def look():
        while not over.is_set():
            found = ActorRegistry.get_all()
            assert len(set(found)) == len(found)
            places = [found.index(ref) for ref in (sup, *lasting)]
            assert all(first < second for first, second in pairwise(places))

    lookers = [InThread(look) for _ in range(2)]
    for worker in [InThread(come_and_go) for _ in range(4)]:
        worker.result()
    over.set()
    for looker in lookers:
        looker.result()

    assert ActorRegistry.get_all() == [sup, *lasting]
    for ref in (sup, *lasting):
        stop(ref)


def test_a_child_forked_while_the_registry_is_held_has_an_empty_one_that_works():
    run(
        """
        from antq_actors.otp.actors.pykka_registry import ActorRefs
        refs = [Child.start() for _ in range(3)]
        held, forked = threading.Event(), threading.Event()

        def hold():
            with pykka.ActorRegistry._actor_refs_lock:
                held.set()
                assert forked.wait(30)

        holder = threading.Thread(target=hold)
        holder.start()
        assert held.wait(30)

        def check():
            assert pykka.ActorRegistry.get_all() == []
            own = Child.start()
            assert pykka.ActorRegistry.get_all() == [own]
            assert isinstance(pykka.ActorRegistry._actor_refs, ActorRefs)
            stop(own)
            assert pykka.ActorRegistry.get_all() == []

        in_child(check)
        forked.set()
        holder.join()
        assert pykka.ActorRegistry.get_all() == refs
        """
    )
