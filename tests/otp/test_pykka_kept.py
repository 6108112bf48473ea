"""A GenServer is still a pykka actor: what arrives by pykka's means behaves as pykka says.

Its futures and proxies do what pykka's documentation says of them."""

import asyncio

import pykka
import pytest
from probe import LONGEST, InThread, answering, raising
from supervised import BOOM, eventually, kill, raise_anew

from antq_actors.otp import (
    NOREPLY,
    CallExit,
    Crash,
    GenServer,
    Killed,
    Normal,
    StartError,
    call,
    cast,
    monitor,
    reply,
    stop,
)


class Counter(GenServer):
    """What pykka's quickstart has, and a handle_call."""

    total = 0

    def __init__(self, first=0):
        super().__init__()
        self.total = first
        self.told = []

    def add(self, number):
        self.total += number
        return self.total

    def fail(self):
        raise_anew(BOOM)

    def handle_call(self, request):
        if isinstance(request, Exception):
            raise_anew(request)
        return request, self.total

    def handle_info(self, message):
        self.told.append(message)


class Careful(Counter):
    crash_on_ask = True


class Receiver(pykka.ThreadingActor):
    """A plain pykka actor's on_receive."""

    use_daemon_thread = True

    def on_receive(self, message):
        if isinstance(message, Exception):
            raise_anew(message)
        return ("received", message)


class Mixed(GenServer):
    """A GenServer that overrides on_receive: it gets ask and tell, and calls go to handle_call."""

    def __init__(self):
        super().__init__()
        self.received = []

    def on_receive(self, message):
        self.received.append(message)
        if isinstance(message, Exception):
            raise_anew(message)
        return "received"

    def handle_call(self, request):
        return "called"


@pytest.fixture
def counter(start):
    return start(10, of=Counter)


# ---- ask and tell -----------------------------------------------------------------------------


def test_ask_is_answered_by_handle_call_and_tell_arrives_in_handle_info(counter):
    counter.tell("hello")

    assert counter.ask("how many") == ("how many", 10)
    assert counter.proxy().told.get() == ["hello"]


def test_ask_without_waiting_gives_a_future(counter):
    future = counter.ask("how many", block=False)

    assert future.get(timeout=LONGEST) == ("how many", 10)


def test_an_ask_that_takes_too_long_is_pykkas_timeout(start, gate):
    ref = start()

    with pytest.raises(pykka.Timeout):
        ref.ask(gate, timeout=0.001)
    gate.open()

    assert ref.ask(answering("next")) == "next"


def test_what_an_ask_raises_goes_to_the_asker_and_the_actor_lives(counter):
    with pytest.raises(ValueError, match="boom") as raised:
        counter.ask(BOOM)

    assert raised.value is BOOM
    assert counter.ask("alive") == ("alive", 10)


def test_with_crash_on_ask_the_actor_ends_as_well(start):
    ref = start(of=Careful)
    down = monitor(ref)

    with pytest.raises(ValueError, match="boom"):
        ref.ask(BOOM)
    assert down.wait(LONGEST).reason == Crash(BOOM)

    ref = start(of=Careful)
    down = monitor(ref)
    with pytest.raises(ValueError, match="boom"):
        ref.proxy().fail().get()
    assert down.wait(LONGEST).reason == Crash(BOOM)


def test_a_tell_that_raises_ends_the_actor(start):
    ref = start()
    down = monitor(ref)

    ref.tell(raising(BOOM))

    assert down.wait(LONGEST).reason == Crash(BOOM)


def test_on_receive_if_overridden_gets_ask_and_tell_and_call_does_not(start):
    ref = start(of=Mixed)

    ref.tell("told")
    assert ref.ask("asked") == "received"
    assert call(ref, "request") == "called"
    with pytest.raises(ValueError, match="boom"):
        ref.ask(BOOM)

    assert ref.proxy().received.get() == ["told", "asked", BOOM]


# ---- proxies ----------------------------------------------------------------------------------


def test_a_proxy_calls_methods_reads_and_writes_attributes(counter):
    proxy = counter.proxy()

    assert proxy.add(5).get() == 15
    assert proxy.total.get() == 15
    proxy.total = 1
    assert proxy.total.get() == 1


def test_what_a_proxy_call_raises_goes_to_its_future_and_the_actor_lives(counter):
    proxy = counter.proxy()

    with pytest.raises(ValueError, match="boom"):
        proxy.fail().get()

    assert proxy.total.get() == 10


def test_a_deferred_proxy_call_that_raises_ends_the_actor(counter):
    down = monitor(counter)

    counter.proxy().add.defer(1)
    counter.proxy().fail.defer()

    assert down.wait(LONGEST).reason == Crash(BOOM)


def test_a_proxy_stops_its_actor(counter):
    down = monitor(counter)

    counter.proxy().stop()

    assert down.wait(LONGEST).reason == Normal()


def test_the_dead_have_no_proxy(counter):
    proxy = counter.proxy()
    stop(counter)

    with pytest.raises(pykka.ActorDeadError):
        proxy.add(1).get(timeout=LONGEST)


# ---- stop -------------------------------------------------------------------------------------


def test_stop_handles_what_came_before_and_rejects_what_came_after(start, notes, gate):
    ref = start(notes)
    gate.hold(ref)
    ref.tell("before")
    stopping = ref.stop(block=False)
    after = ref.ask(answering("after"), block=False)
    gate.open()

    assert stopping.get(timeout=LONGEST) is True
    assert notes.take(2) == ["before", ("terminate", Normal())]
    with pytest.raises(pykka.ActorDeadError):
        after.get(timeout=LONGEST)
    assert ref.stop() is False
    assert ref.stop(block=False).get(timeout=LONGEST) is False


def test_an_actor_that_stops_says_true_to_all_who_stop_it(start, gate):
    ref = start()
    gate.hold(ref)
    stopping = [ref.stop(block=False) for _ in range(3)]
    gate.open()

    assert [each.get(timeout=LONGEST) for each in stopping] == [True] * 3


def test_stop_of_a_busy_actor_may_time_out(start, gate):
    ref = start()
    gate.hold(ref)

    with pytest.raises(pykka.Timeout):
        ref.stop(timeout=0.001)

    gate.open()
    monitor(ref).wait(LONGEST)


def test_pykkas_hooks_run_as_pykka_says(start, notes):
    class Hooked(Counter):
        def on_start(self):
            notes.add("on_start")

        def on_stop(self):
            notes.add("on_stop")

        def on_failure(self, exception_type, exception_value, traceback):
            notes.add(("on_failure", exception_type, exception_value, traceback is not None))

        def handle_info(self, message):
            raise_anew(message)

    stopped, crashed = start(of=Hooked), start(of=Hooked)
    assert notes.take(2) == ["on_start", "on_start"]

    stopped.stop()
    assert notes.take(1) == ["on_stop"]
    crashed.tell(BOOM)
    assert notes.take(1) == [("on_failure", ValueError, BOOM, True)]


def test_an_on_start_that_raises_fails_the_start():
    class Broken(GenServer):
        def on_start(self):
            raise_anew(BOOM)

    with pytest.raises(StartError) as failed:
        Broken.start()

    assert failed.value.__cause__ is BOOM


# ---- the registry -----------------------------------------------------------------------------


def test_the_registry_finds_actors_while_they_live(counter, start):
    other = start(of=Mixed)

    assert pykka.ActorRegistry.get_by_class(Counter) == [counter]
    assert pykka.ActorRegistry.get_by_class_name("Mixed") == [other]
    assert pykka.ActorRegistry.get_by_urn(counter.actor_urn) is counter

    kill(counter)

    assert pykka.ActorRegistry.get_by_urn(counter.actor_urn) is None


def test_a_broadcast_reaches_handle_info(counter):
    pykka.ActorRegistry.broadcast("to all", target_class=Counter)

    assert counter.proxy().told.get() == ["to all"]


def test_stop_all_stops_all():
    refs = [Counter.start() for _ in range(3)]

    assert pykka.ActorRegistry.stop_all() == [True] * 3

    assert not any(ref.is_alive() for ref in refs)


@pytest.fixture
def plain():
    plain = Receiver.start()
    yield plain
    plain.stop()


def test_plain_pykka_actors_live_beside_ours(counter, plain):
    assert plain.ask("hello") == ("received", "hello")
    kill(counter)
    assert plain.ask("still") == ("received", "still")


def test_a_base_exception_in_a_gen_server_does_not_stop_plain_pykka_actors(start, plain):
    with pytest.raises(CallExit):
        call(start(), raising(SystemExit()))

    assert plain.ask("still") == ("received", "still")


def test_actors_ask_each_other(start):
    one, two = start(), start()

    assert one.ask(lambda _me: two.ask(answering("from two")), timeout=LONGEST) == "from two"


def test_an_asker_that_waits_without_limit_hears_of_a_kill(start, gate):
    ref = start()
    asking = InThread(ref.ask, gate)
    gate.wait_entered()
    down = monitor(ref)

    kill(ref)

    with pytest.raises(pykka.ActorDeadError):
        asking.result()
    assert down.wait(LONGEST).reason == Killed()


def test_cast_does_not_disturb_the_order_of_tells(start, notes):
    ref = start(notes)

    for number in range(50):
        ref.tell(number) if number % 2 else cast(ref, number)

    assert notes.take(50) == list(range(50))
    eventually(lambda: len(ref.cell.mailbox) == 0)


def test_the_actor_itself_knows_what_pykka_gives_it(counter):
    proxy = counter.proxy()

    assert proxy.actor_urn.get() == counter.actor_urn
    assert proxy.actor_ref is counter
    assert counter.actor_class is Counter
    assert counter.is_alive()


def test_a_ref_written_out_tells_name_class_and_urn(start):
    ref = start(of=Counter, name="visits")

    assert str(ref) == "visits"
    assert repr(ref) == f"<ServerRef visits, ActorRef for Counter ({ref.actor_urn})>"


# ---- futures and proxies ------------------------------------------------------------------------


class Track:
    """Part of an actor, whose own parts its proxy can reach."""

    def __init__(self, title):
        self.title = title
        self.artist = pykka.traversable(Artist("unknown"))

    def rename(self, title):
        self.title = title
        return title


class Artist:
    def __init__(self, name):
        self.name = name

    def fail(self):
        raise_anew(BOOM)


class Player(GenServer):
    """Replies with what it is asked for, and has parts."""

    def __init__(self):
        super().__init__()
        self.track = pykka.traversable(Track("untitled"))
        self.hidden = Track("hidden")
        self.volume = 1
        self.waiting = []

    def handle_call(self, request):
        if request == "later":
            self.waiting.append(self.from_)
            return NOREPLY
        if isinstance(request, Exception):
            raise_anew(request)
        return request

    def handle_info(self, message):
        for from_ in self.waiting:
            reply(from_, message)

    def turn(self, by):
        self.volume += by
        return self.volume

    def own_future(self):
        return self.ref.ask("from within", block=False)


@pytest.fixture
def player(start):
    return start(of=Player)


def future_of(player, value):
    return player.ask(value, block=False)


# ---- futures ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "value"),
    [
        (lambda future: future.map(len), 3),
        (lambda future: future.filter(lambda n: n > 1), [2, 3]),
        (lambda future: future.reduce(lambda a, b: a + b), 6),
        (lambda future: future.reduce(lambda a, b: a + b, 10), 16),
        (lambda future: future.filter(lambda n: n > 1).map(sum), 5),
        (lambda future: future.join(future.map(len)), [[1, 2, 3], 3]),
        (lambda future: pykka.get_all([future, future.map(max)]), [[1, 2, 3], 3]),
    ],
)
def test_a_future_of_an_actor_is_made_into_others(player, made, value):
    future = made(future_of(player, [1, 2, 3]))

    got = future if isinstance(future, list) else future.get(timeout=LONGEST)

    assert got == value


def test_futures_of_several_actors_join(start):
    one, *others = [start(of=Player).ask(number, block=False) for number in range(3)]

    assert one.join(*others).get(timeout=LONGEST) == [0, 1, 2]


def test_a_future_is_got_as_often_as_one_likes(player):
    future = future_of(player, "value")

    assert [future.get(timeout=LONGEST) for _ in range(3)] == ["value"] * 3


def test_what_is_made_of_a_failed_future_fails_alike(player):
    future = future_of(player, BOOM)

    for made in (future.map(len), future.join(future_of(player, 1)), future.filter(bool)):
        with pytest.raises(ValueError, match="boom") as raised:
            made.get(timeout=LONGEST)
        assert raised.value is BOOM


def test_what_is_made_of_a_late_future_may_time_out_and_be_got_later(player):
    future = future_of(player, "later").map(str.upper)

    with pytest.raises(pykka.Timeout):
        future.get(timeout=0.001)
    player.tell("here")

    assert future.get(timeout=LONGEST) == "HERE"


def test_what_is_made_of_the_future_of_an_actor_that_ends_is_the_news_of_that(player):
    future = future_of(player, "later").map(str.upper)

    stop(player)

    with pytest.raises(pykka.ActorDeadError):
        future.get(timeout=LONGEST)


def test_a_future_that_an_actor_answers_with_stays_a_future(player):
    inner = player.proxy().own_future().get(timeout=LONGEST)

    assert inner.get(timeout=LONGEST) == "from within"


def test_futures_are_awaited(player):
    async def main():
        proxy = player.proxy()
        await proxy.turn(2)
        return await proxy.volume, await player.ask([1, 2], block=False).map(sum)

    assert asyncio.run(main()) == (3, 3)


def test_an_awaited_future_raises_what_the_actor_raised(player):
    async def main():
        await future_of(player, BOOM)

    with pytest.raises(ValueError, match="boom") as raised:
        asyncio.run(main())

    assert raised.value is BOOM


# ---- proxies ----------------------------------------------------------------------------------


def test_parts_marked_traversable_are_reached_however_deep(player):
    proxy = player.proxy()

    assert proxy.track.title.get() == "untitled"
    assert proxy.track.artist.name.get() == "unknown"
    assert proxy.track.rename("Blue").get() == "Blue"
    proxy.track.artist.name = "Mitchell"
    assert [proxy.track.title.get(), proxy.track.artist.name.get()] == ["Blue", "Mitchell"]


def test_a_part_that_is_not_marked_is_answered_as_it_is(player):
    part = player.proxy().hidden.get()

    assert (type(part), part.title) == (Track, "hidden")


def test_a_method_of_a_part_that_raises_fails_its_future_alone(player):
    proxy = player.proxy()

    with pytest.raises(ValueError, match="boom"):
        proxy.track.artist.fail().get()

    assert proxy.volume.get() == 1


def test_a_method_taken_from_a_proxy_can_be_called_and_deferred_later(player):
    turn = player.proxy().turn

    assert turn.defer(2) is None
    assert turn(by=3).get() == 6


def test_calls_reads_and_writes_by_a_proxy_keep_their_order(player):
    proxy = player.proxy()

    proxy.turn(1)
    proxy.turn.defer(1)
    proxy.volume = 10
    first, last = proxy.turn(1), proxy.volume

    assert (first.get(), last.get()) == (11, 11)


def test_a_write_that_fails_is_raised_where_it_is_written(player):
    with pytest.raises(AttributeError):
        player.proxy().ref = "another"


def test_names_that_are_private_or_unknown_are_not_seen_through_a_proxy(player):
    proxy = player.proxy()

    for name in ("_process", "nowhere"):
        with pytest.raises(AttributeError, match=name):
            getattr(proxy, name)


def test_proxies_of_one_actor_are_equal_and_those_of_two_are_not(player, start):
    assert player.proxy() == pykka.ActorProxy(actor_ref=player)
    assert len({player.proxy(), player.proxy()}) == 1
    assert player.proxy() != start(of=Player).proxy()


class Cooperative(GenServer):
    """Counts down in steps that others may come between."""

    def __init__(self):
        super().__init__()
        self.done = []
        self._in_future = self.actor_ref.proxy()

    def handle_info(self, message):
        message()

    def note(self, what):
        self.done.append(what)

    def count(self, number):
        self.done.append(number)
        if number:
            self._in_future.count(number - 1)


def test_what_an_actor_asks_of_itself_by_a_proxy_comes_after_what_waits(start, gate):
    ref = start(of=Cooperative)
    proxy = ref.proxy()
    gate.hold(ref)

    proxy.count(1)
    proxy.note("waited")
    gate.open()

    assert eventually(lambda: len(done := proxy.done.get()) == 3 and done) == [1, "waited", 0]
