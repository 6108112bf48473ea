"""pykka's ways to stop an actor, from within its own end and of all actors at once."""

import pykka
import pytest
from probe import LONGEST, InThread
from supervised import raise_anew

from antq_actors.otp import GenServer, call, monitor


def stop_itself(me):
    return me.actor_ref.stop()


def stop_all(me):
    return pykka.ActorRegistry.stop_all()


def ask_itself(me):
    with pytest.raises(pykka.ActorDeadError) as dead:
        me.actor_ref.ask("anyone there")
    return str(dead.value)


def ask_itself_later(me):
    with pytest.raises(pykka.ActorDeadError) as dead:
        me.actor_ref.ask("anyone there", block=False).get()
    return str(dead.value)


def use_its_proxy(me):
    with pytest.raises(pykka.ActorDeadError) as dead:
        me._in_future.twice(2).get()
    return str(dead.value)


class Careless(GenServer):
    """Does in its last callback what can only hang."""

    def __init__(self, hook, what):
        super().__init__()
        self.hook, self.what, self.outcome = hook, what, []
        self._in_future = self.actor_ref.proxy()

    def handle_call(self, request):
        return self.outcome

    def handle_info(self, message):
        raise_anew(message)

    def twice(self, number):
        return 2 * number

    def on_stop(self):
        self._do("on_stop")

    def on_failure(self, *_args):
        self._do("on_failure")

    def terminate(self, reason):
        self._do("terminate")

    def _do(self, hook):
        if hook == self.hook:
            self.outcome.append(self.what(self))


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        (stop_itself, False),
        (stop_all, [False]),
        (ask_itself, "{} not found"),
        (ask_itself_later, "{} not found"),
        (use_its_proxy, "{} not found"),
    ],
)
@pytest.mark.parametrize("hook", ["on_stop", "on_failure", "terminate"])
def test_in_its_last_callbacks_an_actor_finds_itself_gone(start, hook, what, answer):
    ref = start(hook, what, of=Careless)
    outcome = call(ref, "outcome")
    down = monitor(ref)

    if hook == "on_failure":
        ref.tell(ValueError("boom"))
    else:
        ref.stop(block=False)

    down.wait(LONGEST)
    assert outcome == [answer.format(ref) if isinstance(answer, str) else answer]


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("hook", ["on_stop", "terminate"])
def test_actors_that_all_stop_all_actors_in_their_ends_do_not_wait_for_each_other(hook, number):
    refs = [Careless.start(hook, stop_all) for _ in range(number)]

    stopping = InThread(refs[0].stop)

    assert stopping.result() is True
    assert pykka.ActorRegistry.get_all() == []


def test_an_actor_that_asks_one_that_stops_it_does_not_wait_for_it(start, gate):
    class Stopping(GenServer):
        def on_stop(self):
            gate()
            other.stop()

    def ask_the_other(me):
        with pytest.raises(pykka.ActorDeadError):
            stopping.ask("anyone there")
        return "lives"

    other, stopping = start(), start(of=Stopping)
    end = stopping.stop(block=False)
    gate.wait_entered()

    asking = InThread(call, other, ask_the_other)

    assert asking.result() == "lives"
    gate.open()
    assert end.get(timeout=LONGEST) is True
    assert not other.is_alive()


def test_others_who_stop_it_meanwhile_wait_for_its_end(start, gate):
    class Slow(GenServer):
        def on_stop(self):
            gate()

    ref = start(of=Slow)
    stopping = [ref.stop(block=False)]
    gate.wait_entered()

    late = InThread(ref.stop)
    stopping.append(ref.stop(block=False))
    assert ref.is_alive()
    gate.open()

    assert late.result() is True
    assert [each.get(timeout=LONGEST) for each in stopping] == [True, True]
    assert not ref.is_alive()
