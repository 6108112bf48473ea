"""What we rely on inside pykka, beyond its documentation; fails when pykka changes it."""

import inspect
import re

import pykka
from pykka import messages
from pykka._envelope import Envelope

from antq_actors.otp import GenServer, stop
from antq_actors.otp.lean_server import LeanServer
from antq_actors.otp.ref import _STOP_ALL


class Bare(pykka.ThreadingActor):
    """A pykka actor, made and not started."""


def test_an_actor_is_made_with_the_fields_that_a_lean_server_makes_itself():
    lean = LeanServer()

    made_by_pykka = set(vars(Bare()))

    assert made_by_pykka == {"actor_urn", "actor_inbox", "actor_stopped", "_actor_ref"}
    assert made_by_pykka <= set(vars(lean))


def test_a_ref_has_the_fields_that_ours_has():
    made_by_pykka = set(vars(pykka.ActorRef(Bare())))

    assert made_by_pykka == {
        "_actor_weakref",
        "actor_class",
        "actor_urn",
        "actor_inbox",
        "actor_stopped",
    }


def test_the_hooks_are_there():
    for hook in ("_create_actor_inbox", "_start_actor_loop", "_actor_loop", "_handle_receive"):
        assert callable(getattr(pykka.ThreadingActor, hook))
    assert inspect.signature(pykka.Actor._handle_receive).parameters.keys() == {"self", "message"}


def test_an_envelope_carries_a_message_and_a_future_and_is_only_equal_to_itself():
    envelope = Envelope("message")

    assert (envelope.message, envelope.reply_to) == ("message", None)
    assert envelope != Envelope("message")
    assert len({envelope, Envelope("message")}) == 2


def test_an_inbox_is_only_put_into_taken_from_and_seen_empty():
    # What pykka asks of an inbox is what Mailbox has.
    used = {"put", "get", "empty"}

    source = inspect.getsource(pykka._actor) + inspect.getsource(pykka._ref)

    assert set(re.findall(r"actor_inbox\.(\w+)", source)) == used
    assert used <= set(dir(GenServer._create_actor_inbox()))


def test_the_messages_that_a_loop_has_to_know_are_these():
    known = {"ProxyCall", "ProxyGetAttr", "ProxySetAttr", "_ActorStop"}
    theirs = {
        name
        for name, value in vars(messages).items()
        if inspect.isclass(value) and value.__module__ == messages.__name__
    }

    assert theirs == known


def test_stop_all_is_recognised_by_its_code():
    ref = GenServer.start()

    pykka.ActorRegistry.stop_all()

    assert ref.process.stopped_with_all
    assert pykka.ActorRegistry.stop_all.__func__.__code__ is _STOP_ALL
    single = GenServer.start()
    single.stop()
    assert not single.process.stopped_with_all


def test_the_registry_can_be_given_a_new_lock():
    lock = pykka.ActorRegistry._actor_refs_lock

    assert lock.acquire(blocking=False)
    lock.release()
    ref = GenServer.start()
    assert ref in pykka.ActorRegistry._actor_refs
    stop(ref)
    assert ref not in pykka.ActorRegistry._actor_refs
