"""Futures and proxies of GenServers do what pykka's documentation says of them."""

import asyncio

import pykka
import pytest
from probe import LONGEST
from supervised import BOOM, eventually, raise_anew

from antq_actors.otp import NOREPLY, GenServer, reply, stop


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
