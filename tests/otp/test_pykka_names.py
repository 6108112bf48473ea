"""Every name of pykka that is relied on, or that could meet one of ours, and why.

`test_pykka_contract.py` pins what stands behind these names does.
"""

import ast
from importlib.metadata import version
from pathlib import Path

import pykka
import pytest
from pykka import Actor, ActorRef, ActorRegistry, ThreadingActor, _envelope, messages

import antq_actors
from antq_actors.otp import DynamicSupervisor, GenServer, Supervisor
from antq_actors.otp.actors.task_actor import TaskActor
from antq_actors.otp.kernel.cell import ServerRef
from antq_actors.otp.kernel.loop import ActorLoop


class Plain(ThreadingActor):
    """An actor as pykka makes it, not started."""


PRIVATE = {
    "_envelope": (pykka, "the module of Envelope"),
    "_ActorStop": (messages, "the message that ends an actor by pykka's means"),
    "_actor_loop": (Actor, "run by the actor's thread; ours takes its place"),
    "_actor_ref": (Plain(), "the field that actor_ref answers; ours takes its place"),
    "_actor_refs": (ActorRegistry, "the refs of all that live; an ordered dict takes its place"),
    "_actor_refs_lock": (
        ActorRegistry,
        "renewed in a forked child, where a lost thread may hold it",
    ),
    "_actor_weakref": (ActorRef(Plain()), "read by tree(), and kept for refs to the dead"),
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
        (ServerRef, ActorRef, {"ask", "tell"}),
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
    assert set(vars(Plain())) == FIELDS


@pytest.mark.parametrize("of", [GenServer, TaskActor])
def test_an_actor_of_ours_has_the_fields_that_pykkas_init_makes_and_two_more(of):
    assert set(vars(of())) == FIELDS | OURS


def test_the_fields_of_a_lean_actor_are_of_the_kinds_that_pykka_makes():
    lean, plain = TaskActor(), Plain()

    assert isinstance(lean.actor_urn, type(plain.actor_urn))
    assert lean.actor_ref is lean.ref
    assert not lean.actor_stopped.is_set()
    lean.actor_stopped.set()
    assert lean.actor_stopped.is_set()


def test_the_fields_of_a_ref_are_known_so_that_one_can_be_made_for_the_dead():
    fields = set(vars(ActorRef(Plain())))
    ref = GenServer().ref

    again = ServerRef.to_ended(ref.cell)

    assert vars(again) == vars(ref)
    assert set(vars(ref)) == fields | {"cell"}
