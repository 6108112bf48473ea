"""What is relied on inside pykka. A test that fails here names what a new pykka has changed.

`antq_actors.otp` replaces pykka's loop, its inbox and its refs, on hooks that pykka has had
since 1.0 and does not all document. These tests look at pykka alone, and at what it does; the
names that it must have are in `test_pykka_names.py`.
"""

import inspect
import queue
import re
import threading

import pykka
import pytest
from pykka import ActorDeadError, ActorProxy, ActorRef, ActorRegistry, ThreadingActor, messages
from pykka._envelope import Envelope


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
