"""What is relied on inside pykka. A test that fails here names what a new pykka has changed.

`antq_actors.otp` replaces pykka's loop, its inbox and its refs, on hooks that pykka has had
since 1.0 and does not all document. These tests look at pykka alone, and at what it does; then
at every name that is relied on, or that could meet one of ours, and why."""

import ast
import inspect
import queue
import re
import threading
from importlib.metadata import version
from pathlib import Path

import pykka
import pytest
from pykka import (
    Actor,
    ActorDeadError,
    ActorProxy,
    ActorRef,
    ActorRegistry,
    ThreadingActor,
    _envelope,
    messages,
)
from pykka._envelope import Envelope

import antq_actors
from antq_actors.otp import DynamicSupervisor, GenServer, Supervisor
from antq_actors.otp.actors.task_actor import TaskActor
from antq_actors.otp.kernel.cell import ServerRef
from antq_actors.otp.kernel.loop import ActorLoop
from antq_actors.otp.kernel.reasons import Normal


class Plain(ThreadingActor):
    use_daemon_thread = True

    def on_receive(self, message):
        return message


@pytest.fixture
def plain():
    ref = Plain.start()
    yield ref
    ref.stop()


def test_init_makes_the_inbox_through_the_hook_and_then_the_ref():
    made = []

    class Actor(Plain):
        @staticmethod
        def _create_actor_inbox():
            made.append(queue.Queue())
            return made[0]

    actor = Actor()

    assert actor.actor_inbox is made[0]
    assert actor._actor_ref.actor_inbox is made[0]
    assert actor.actor_ref is actor._actor_ref
    assert isinstance(actor.actor_stopped, threading.Event)
    assert actor.actor_ref not in ActorRegistry.get_all()


def test_the_public_actor_ref_is_what_the_private_one_is_set_to():
    actor = Plain()
    other = ActorRef(actor)

    actor._actor_ref = other

    assert actor.actor_ref is other


def test_a_ref_holds_its_actor_weakly_under_a_name_we_read():
    actor = Plain()

    assert actor.actor_ref._actor_weakref() is actor


def test_an_inbox_is_put_get_and_empty_and_holds_envelopes():
    seen = []

    class Inbox(queue.Queue):
        def put(self, envelope, /):
            seen.append(envelope)

    class Actor(Plain):
        @staticmethod
        def _create_actor_inbox():
            return Inbox()

    ref = Actor().actor_ref
    ref.tell("told")
    future = ref.ask("asked", block=False)

    assert [type(envelope) for envelope in seen] == [Envelope, Envelope]
    assert [envelope.message for envelope in seen] == ["told", "asked"]
    assert seen[0].reply_to is None
    assert type(seen[1].reply_to) is type(future)


def test_an_envelope_takes_a_message_alone():
    assert Envelope("message").reply_to is None


def test_stop_is_an_ask_with_an_actor_stop():
    asked = []

    class Ref(ActorRef):
        def ask(self, message, *, block=True, timeout=None):
            asked.append((message, block))
            return super().ask("stop", block=block, timeout=timeout)

    ref = Ref(Plain())

    ref.stop(block=False)

    ((message, block),) = asked
    assert isinstance(message, messages._ActorStop)
    assert block is False


@pytest.mark.parametrize(
    ("answer", "is_stopped"),
    [
        (lambda asked: asked.set(None), True),
        (lambda asked: asked.set_exception((ActorDeadError, ActorDeadError("gone"), None)), False),
    ],
)
def test_stop_says_true_for_an_answer_and_false_for_the_dead(answer, is_stopped):
    ref = Plain().actor_ref

    stopping = ref.stop(block=False)
    answer(ref.actor_inbox.get().reply_to)

    assert stopping.get(timeout=30) is is_stopped


def test_an_ask_of_the_stopped_is_answered_without_its_inbox():
    actor = Plain()
    actor.actor_stopped.set()

    future = actor.actor_ref.ask("anyone there", block=False)

    with pytest.raises(ActorDeadError, match="not found"):
        future.get(timeout=30)
    with pytest.raises(ActorDeadError, match="not found"):
        actor.actor_ref.tell("anyone there")
    assert actor.actor_inbox.empty()


def test_the_answer_of_an_ask_is_made_by_the_hook_of_its_class():
    made = []

    class Actor(Plain):
        @staticmethod
        def _create_future():
            made.append(Plain._create_future())
            return made[-1]

    future = Actor().actor_ref.ask("asked", block=False)

    assert future is made[0]


def test_a_proxy_speaks_to_its_actor_through_the_ref_alone():
    source = inspect.getsource(pykka._proxy)

    assert {"ask", "tell"} <= set(re.findall(r"self\.actor_ref\.(\w+)\(", source))
    assert "actor_inbox" not in source


def test_the_thread_of_an_actor_runs_its_actor_loop():
    ran = threading.Event()

    class Actor(Plain):
        def _actor_loop(self):
            ran.set()

    Actor()._start_actor_loop()

    assert ran.wait(30)


def test_on_receive_is_found_overridden_by_comparing_it_with_pykkas():
    class Deaf(ThreadingActor):
        pass

    assert Deaf.on_receive is ThreadingActor.on_receive
    assert Plain.on_receive is not ThreadingActor.on_receive


def test_a_future_is_set_once_and_then_full():
    future = Plain._create_future()
    future.set("value")

    with pytest.raises(queue.Full):
        future.set("again")
    with pytest.raises(queue.Full):
        future.set_exception((ValueError, ValueError(), None))
    assert future.get() == "value"


def test_a_future_takes_an_exc_info_without_a_traceback():
    future = Plain._create_future()
    error = ActorDeadError("gone")

    future.set_exception((ActorDeadError, error, None))

    with pytest.raises(ActorDeadError) as caught:
        future.get()
    assert caught.value is error


def test_the_proxy_messages_are_handled_by_handle_receive():
    class Actor(Plain):
        number = 3

        def twice(self, number):
            return 2 * number

    actor = Actor()

    call = messages.ProxyCall(attr_path=["twice"], args=[4], kwargs={})
    assert actor._handle_receive(call) == 8
    assert actor._handle_receive(messages.ProxyGetAttr(attr_path=["number"])) == 3
    actor._handle_receive(messages.ProxySetAttr(attr_path=["number"], value=5))
    assert actor.number == 5
    assert actor._handle_receive("plain") == "plain"


def test_a_proxy_is_made_from_a_ref_whose_actor_can_be_reached(plain):
    assert isinstance(plain.proxy(), ActorProxy)


def test_the_registry_keeps_refs_in_start_order_and_forgets_on_unregister():
    first, second = Plain().actor_ref, Plain().actor_ref
    ActorRegistry.register(first)
    ActorRegistry.register(second)
    ours = [ref for ref in ActorRegistry.get_all() if ref in (first, second)]
    ActorRegistry.unregister(first)
    ActorRegistry.unregister(second)
    ActorRegistry.unregister(second)  # no error

    assert ours == [first, second]
    assert first not in ActorRegistry.get_all()


@pytest.mark.parametrize("block", [True, False])
def test_stop_all_calls_stop_of_each_ref_last_started_first(block):
    stopped = []

    class Ref(ActorRef):
        def stop(self, *, block=True, timeout=None):
            stopped.append((self, block, timeout))
            return True

    refs = [Ref(Plain()), Ref(Plain())]
    for ref in refs:
        ActorRegistry.register(ref)
    returned = ActorRegistry.stop_all(block=block, timeout=7)
    for ref in refs:
        ActorRegistry.unregister(ref)

    assert returned == [True, True]
    assert stopped == [(ref, block, 7) for ref in reversed(refs)]


def test_an_envelope_is_equal_to_itself_alone_and_can_be_kept_in_a_set():
    assert len({Envelope("message"), Envelope("message")}) == 2


def test_an_inbox_is_used_in_three_ways_and_no_other():
    source = inspect.getsource(pykka._actor) + inspect.getsource(pykka._ref)

    assert set(re.findall(r"actor_inbox\.(\w+)", source)) == {"put", "get", "empty"}


def test_the_messages_that_a_loop_has_to_know_are_these():
    theirs = {
        name
        for name, value in vars(messages).items()
        if inspect.isclass(value) and value.__module__ == messages.__name__
    }

    assert theirs == {"ProxyCall", "ProxyGetAttr", "ProxySetAttr", "_ActorStop"}


def test_the_registry_has_one_lock_that_a_forked_child_can_replace(monkeypatch):
    lock = threading.RLock()
    monkeypatch.setattr(ActorRegistry, "_actor_refs_lock", lock)
    taken = []
    with lock:
        reading = threading.Thread(target=lambda: taken.append(ActorRegistry.get_all()))
        reading.start()
        reading.join(0.05)
        assert not taken
    reading.join(30)

    assert taken == [[]]


# ---- every name ---------------------------------------------------------------------------------


class Unstarted(ThreadingActor):
    """An actor as pykka makes it, not started."""


PRIVATE = {
    "_envelope": (pykka, "the module of Envelope"),
    "_ActorStop": (messages, "the message that ends an actor by pykka's means"),
    "_actor_loop": (Actor, "run by the actor's thread; ours takes its place"),
    "_actor_ref": (Unstarted(), "the field that actor_ref answers; ours takes its place"),
    "_actor_refs": (ActorRegistry, "the refs of all that live; an ordered dict takes its place"),
    "_actor_refs_lock": (
        ActorRegistry,
        "renewed in a forked child, where a lost thread may hold it",
    ),
    "_actor_weakref": (ActorRef(Unstarted()), "read by tree(), and kept for refs to the dead"),
    "_create_actor_inbox": (Actor, "called by pykka's __init__; answers our Mailbox"),
    "_create_future": (Actor, "makes the answer for an actor that asks itself in its end"),
    "_handle_receive": (Actor, "handles proxies' messages, and on_receive"),
    "_start_actor_loop": (Actor, "starts the thread; ours takes one from the run queue"),
}
"""The private names of pykka that antq_actors uses: where they are, and what for."""

PUBLIC = {
    "Envelope": (_envelope, "carries every message, and the future that is owed the answer"),
    "ProxyCall": (messages, "a method called through a proxy"),
    "ProxyGetAttr": (messages, "an attribute read through a proxy"),
    "ProxySetAttr": (messages, "an attribute written through a proxy"),
    "on_start": (Actor, "run before init"),
    "on_stop": (Actor, "run before terminate, at an orderly end"),
    "on_failure": (Actor, "run before terminate, after a crash"),
    "on_receive": (Actor, "gets ask and tell where a subclass overrides it"),
    "use_daemon_thread": (ThreadingActor, "False: a thread of its own"),
    "register": (ActorRegistry, "takes a ref in when its actor starts"),
    "unregister": (ActorRegistry, "forgets it at the end, before anyone hears of that"),
    "stop_all": (ActorRegistry, "replaced: no supervisor restarts a child while it stops all"),
}
"""Its public names that would be missed as much."""

OF_OURS_ALONE = {"_", "_actor", "_condition", "_current_frames", "_future", "_ref", "_stop"}
"""Private names that both have, for things that never meet."""


@pytest.mark.parametrize("name", [*PRIVATE, *PUBLIC])
def test_pykka_has_what_is_relied_on(name):
    place, use = (PRIVATE | PUBLIC)[name]

    assert hasattr(place, name), (
        f"pykka {version('pykka')} has no {name!r} in {place} any more, and antq_actors.otp relies"
        f" on it: {use}"
    )


def test_the_table_of_private_names_is_complete():
    used = set().union(*map(private_names, Path(antq_actors.__path__[0]).rglob("*.py")))
    theirs = set().union(*map(private_names, Path(pykka.__path__[0]).rglob("*.py")))

    assert used & theirs - OF_OURS_ALONE == set(PRIVATE)


def private_names(path):
    """Return the names with one underscore in a Python file, and its own if it has one."""
    names = set(path.stem.split("."))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name) | ast.FunctionDef(name=name):
                names.add(name)
            case ast.alias(name=name) | ast.ImportFrom(module=str(name)):
                names.update(name.split("."))
            case ast.ClassDef(name=name):
                names.add(name)
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


# ---- names of ours that pykka must not come to use ----------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "meant"),
    [
        (ActorLoop, ThreadingActor, {"_actor_loop", "_create_actor_inbox"}),
        (GenServer, ThreadingActor, {"_start_actor_loop", "start", "use_daemon_thread"}),
        (TaskActor, ThreadingActor, {"actor_stopped"}),
        (Supervisor, ThreadingActor, set()),
        (DynamicSupervisor, ThreadingActor, set()),
        (ServerRef, ActorRef, {"actor_stopped", "ask", "is_alive", "tell"}),
    ],
)
def test_a_class_of_ours_overrides_of_pykka_what_it_means_to_and_nothing_else(ours, theirs, meant):
    both = named_in(ours) & set().union(*map(named_in, theirs.__mro__))

    assert {name for name in both if not name.startswith(("__", "_abc"))} == meant, (
        f"pykka {version('pykka')} and {ours.__name__} use one name for two things"
    )


def named_in(cls):
    return set(vars(cls)) | set(vars(cls).get("__annotations__", {}))


# ---- fields -------------------------------------------------------------------------------------

FIELDS = {"actor_urn", "actor_inbox", "actor_stopped", "_actor_ref"}
OURS = {"_otp_cell", "_otp_ref"}


def test_pykkas_init_makes_these_fields():
    assert set(vars(Unstarted())) == FIELDS


@pytest.mark.parametrize("of", [GenServer, TaskActor])
def test_an_actor_of_ours_has_the_fields_that_pykkas_init_makes_and_two_more(of):
    actor = of()

    assert {name for name in FIELDS | OURS if hasattr(actor, name)} == FIELDS | OURS
    assert set(vars(actor)) == FIELDS | OURS


def test_the_fields_of_a_lean_actor_are_of_the_kinds_that_pykka_makes():
    lean, plain = TaskActor(), Unstarted()

    assert isinstance(lean.actor_urn, type(plain.actor_urn))
    assert lean.actor_ref is lean.ref
    assert isinstance(lean.actor_stopped, type(plain.actor_stopped))
    assert not lean.actor_stopped.is_set()
    lean.ref.cell.die(Normal())
    assert lean.actor_stopped.wait(0)
    assert lean.ref.actor_stopped is lean.actor_stopped


def test_the_fields_of_a_ref_are_known_so_that_one_can_be_made_for_the_dead():
    fields = set(vars(ActorRef(Unstarted()))) - {"actor_stopped"}  # which a property has
    ref = GenServer().ref

    again = ServerRef.to_ended(ref.cell)

    assert vars(again) == vars(ref)
    assert set(vars(ref)) == fields | {"cell"}
