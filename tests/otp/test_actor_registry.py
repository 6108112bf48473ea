"""pykka's registry works as it documents, at a cost that does not grow with the living actors.

What is relied on inside pykka: that its refs and their lock are two fields of ``ActorRegistry``,
and which operations of a list it uses. A test that fails here names what a new pykka has changed.
"""

import ast
import inspect
import threading
from itertools import pairwise

import pykka
import pytest
from probe import LONGEST, InThread
from pykka import ActorDeadError, ActorRef, ActorRegistry
from test_forked import run

from antq_actors.otp import DynamicSupervisor, GenServer, stop
from antq_actors.otp.actors.pykka_registry import ActorRefs, install


class Server(GenServer):
    def init(self):
        self.told = []

    def handle_info(self, message):
        self.told.append(message)

    def handle_call(self, request):
        return self.told


class SubServer(Server):
    pass


class Plain(pykka.ThreadingActor):
    use_daemon_thread = True


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
