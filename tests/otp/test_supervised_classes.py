"""supervised(): actors that were written for pykka, as children of a supervisor, as they are.

What goes wrong in the first hour is told with what to write instead."""

import pykka
import pytest
from probe import LONGEST
from supervised import BOOM, eventually, kill, raise_anew

from antq_actors.otp import (
    AutoShutdown,
    CallExit,
    Continue,
    Crash,
    GenServer,
    Killed,
    Normal,
    Restart,
    Shutdown,
    StartError,
    Strategy,
    Supervisor,
    call,
    cast,
    monitor,
    reply,
    stop,
    supervised,
    whereis,
)


class Clerk(pykka.ThreadingActor):
    """Written for pykka: notes what happens to it, and raises what it is sent."""

    desk = 1

    def __init__(self, notes, greeting="hello", *, fails=None):
        super().__init__()
        self.notes, self.greeting, self.fails = notes, greeting, fails

    def on_start(self):
        if self.fails:
            raise_anew(self.fails)
        self.notes.add("on_start")

    def on_stop(self):
        self.notes.add("on_stop")

    def on_failure(self, exception_type, exception, _traceback):
        self.notes.add(("on_failure", exception_type, exception))

    def on_receive(self, message):
        if isinstance(message, BaseException):
            raise_anew(message)
        self.notes.add(message)
        return f"{self.greeting}, {message}"

    def desk_and(self, number):
        return self.desk + number


@pytest.fixture
def clerk(start, notes):
    return start(notes, of=supervised(Clerk))


def test_its_arguments_reach_its_init_and_it_is_one_of_its_class(start, notes):
    ref = start(notes, "good day", of=supervised(Clerk))

    assert ref.ask("Ann") == "good day, Ann"
    assert issubclass(ref.actor_class, Clerk)
    assert issubclass(ref.actor_class, GenServer)
    assert pykka.ActorRegistry.get_by_class(Clerk) == [ref]
    assert pykka.ActorRegistry.get_by_class_name("Clerk") == [ref]


def test_ask_tell_and_proxies_are_pykkas(clerk, notes):
    assert clerk.ask("Ann") == "hello, Ann"
    assert clerk.ask("Bob", block=False).get(timeout=30) == "hello, Bob"
    clerk.tell("Cleo")
    proxy = clerk.proxy()
    proxy.desk = 2

    assert proxy.desk_and(40).get(timeout=30) == 42
    assert notes.take(4) == ["on_start", "Ann", "Bob", "Cleo"]


def test_call_and_cast_arrive_in_on_receive(clerk, notes):
    assert call(clerk, "Ann") == "hello, Ann"
    cast(clerk, "Bob")

    assert notes.take(3) == ["on_start", "Ann", "Bob"]


def test_start_returns_when_on_start_is_through(start, notes):
    start(notes, of=supervised(Clerk))

    assert not notes.is_empty()


def test_an_on_start_that_raises_is_a_failed_start(notes):
    with pytest.raises(StartError) as failed:
        supervised(Clerk).start(notes, fails=BOOM)

    assert failed.value.reason == Crash(BOOM)
    assert failed.value.__cause__ is BOOM


@pytest.mark.parametrize(
    ("end", "reason", "hooks"),
    [
        (lambda ref: ref.stop(), Normal(), ["on_stop"]),
        (lambda ref: stop(ref, Shutdown("x")), Shutdown("x"), ["on_stop"]),
        (lambda ref: ref.tell(BOOM), Crash(BOOM), [("on_failure", ValueError, BOOM)]),
        (kill, Killed(), []),
    ],
    ids=["stop", "shutdown", "crash", "kill"],
)
def test_its_own_hooks_run_at_its_end_and_everybody_hears_the_reason(
    clerk, notes, end, reason, hooks
):
    watch = monitor(clerk)

    end(clerk)

    assert watch.wait(30).reason == reason
    assert notes.take(1 + len(hooks))[1:] == hooks
    assert notes.is_empty()


def test_what_an_ask_raises_goes_to_the_asker_alone(clerk):
    with pytest.raises(ValueError, match="boom"):
        clerk.ask(BOOM)

    assert clerk.ask("Ann") == "hello, Ann"


def test_with_crash_on_ask_it_also_ends_the_actor(start, notes):
    ref = start(notes, of=supervised(Clerk, crash_on_ask=True))
    watch = monitor(ref)

    with pytest.raises(ValueError, match="boom"):
        ref.ask(BOOM)

    assert watch.wait(30).reason == Crash(BOOM)


def test_what_a_call_raises_ends_the_actor(clerk):
    with pytest.raises(CallExit) as exited:
        call(clerk, BOOM)

    assert exited.value.reason == Crash(BOOM)


def test_a_supervisor_starts_it_again_with_its_arguments(supervise, notes):
    supervise(supervised(Clerk).child_spec(notes, "again", name="clerk"))
    before = whereis("clerk")

    before.tell(BOOM)

    eventually(lambda: whereis("clerk") not in (None, before))
    assert call("clerk", "Ann") == "again, Ann"


def test_a_supervisor_stops_it_as_any_child(supervise, notes):
    sup = supervise(supervised(Clerk).child_spec(notes, id="clerk"))

    Supervisor.terminate_child(sup, "clerk")

    assert notes.take(2) == ["on_start", "on_stop"]


def test_the_class_itself_may_be_a_child(supervise):
    class Idle(pykka.ThreadingActor):
        pass

    sup = supervise(supervised(Idle))

    assert [info.id for info in Supervisor.which_children(sup)] == ["Idle"]


def test_class_attributes_and_inheritance_stay(start, notes):
    class Boss(Clerk):
        desk = 9
        use_daemon_thread = False

        def on_receive(self, message):
            return f"boss: {super().on_receive(message)}"

    ref = start(notes, of=supervised(Boss))

    assert ref.ask("Ann") == "boss: hello, Ann"
    assert ref.proxy().desk.get(timeout=30) == 9
    assert ref.actor_class.use_daemon_thread is False
    assert pykka.ActorRegistry.get_by_class(Clerk) == [ref]


def test_one_class_makes_one_class(notes):
    assert supervised(Clerk) is supervised(Clerk)
    assert supervised(Clerk) is not supervised(Clerk, crash_on_ask=True)
    assert supervised(supervised(Clerk)) is supervised(Clerk)


def test_its_name_and_words_are_those_of_the_class():
    made = supervised(Clerk)

    assert (made.__name__, made.__module__, made.__doc__) == ("Clerk", __name__, Clerk.__doc__)
    assert "supervised" in made.__qualname__


@pytest.mark.parametrize("wrong", [int, 7, None, Clerk.on_start, "Clerk"])
def test_it_takes_classes_of_pykka_actors_only(wrong):
    with pytest.raises(TypeError, match=r"supervised\(\) takes a pykka.ThreadingActor class, got"):
        supervised(wrong)


@pytest.mark.parametrize("name", ["terminate", "init", "handle_call", "child_spec", "ref"])
def test_a_class_that_uses_a_name_of_ours_is_told_which(name):
    clash = type("Clash", (pykka.ThreadingActor,), {name: lambda self: None})

    with pytest.raises(TypeError, match=f"Clash defines {name}, which a GenServer needs"):
        supervised(clash)


PRIVATE = ["_process", "_ref", "_state", "_receive", "_ask", "_tell", "_begin", "_finish", "_live"]


class Private(pykka.ThreadingActor):
    """Has private names that a GenServer might have had, too."""

    def __init__(self):
        super().__init__()
        for name in PRIVATE:
            setattr(self, name, f"its own {name}")

    def on_receive(self, name):
        return getattr(self, name)


@pytest.mark.parametrize("name", PRIVATE)
def test_private_names_are_the_actors_own(start, name):
    ref = start(of=supervised(Private))

    assert ref.ask(name) == call(ref, name) == f"its own {name}"


def test_a_supervisor_class_may_have_private_names_of_its_own(supervise, notes):
    class Branch(Supervisor):
        def __init__(self, _children):
            super().__init__()
            self._state, self._children, self._options = "its", "own", "names"

        def init_children(self):
            return [supervised(Clerk).child_spec(notes, name="clerk")], None

    sup = supervise(of=Branch)
    before = whereis("clerk")

    before.tell(BOOM)

    eventually(lambda: whereis("clerk") not in (None, before))
    assert Supervisor.count_children(sup).active == 1


# ---- what goes wrong in the first hour ----------------------------------------------------------


class Clock(GenServer):
    def handle_call(self, request):
        return request


class Plain(pykka.ThreadingActor):
    pass


class ContinueForgotten(GenServer):
    def init(self):
        return Continue


class AnsweringLate(GenServer):
    def handle_call(self, request):
        return request

    def handle_cast(self, request):
        reply(self.from_, request)


@pytest.mark.parametrize(
    ("options", "instead"),
    [
        ({"strategy": "one_for_all"}, str(Strategy.ONE_FOR_ALL)),
        ({"auto_shutdown": "any_significant"}, str(AutoShutdown.ANY_SIGNIFICANT)),
    ],
)
def test_an_option_given_by_its_elixir_name_is_told_the_value_to_write(options, instead):
    with pytest.raises(TypeError, match=rf"write .*{instead}"):
        Supervisor.start([Clock], **options)


def test_a_restart_type_given_by_its_elixir_name_is_told_the_value_to_write():
    with pytest.raises(TypeError, match=rf"write .*{Restart.TRANSIENT}"):
        Clock.child_spec(restart="transient")


def test_a_pykka_actor_class_among_the_children_is_told_of_supervised():
    with pytest.raises(TypeError, match=r"write supervised\(Plain\)"):
        Supervisor.start([Plain])


def test_an_actor_that_runs_already_is_told_that_supervisors_start_their_children(start):
    clock = start(of=Clock)

    with pytest.raises(TypeError, match="starts its children itself"):
        Supervisor.start([clock])


def test_the_class_continue_in_the_place_of_its_value_fails_the_start():
    with pytest.raises(StartError, match=r"write Continue\(\)") as caught:
        ContinueForgotten.start()

    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("answer", [None, [Clock], ([Clock],), Clock, ([Clock], {}, 3)])
def test_children_without_options_are_told_what_init_children_returns(answer):
    class Shop(Supervisor):
        def init_children(self):
            return answer

    with pytest.raises(StartError, match=r"returns \(children, options\)") as caught:
        Shop.start()

    assert isinstance(caught.value.__cause__, TypeError)


def test_a_reply_to_from_after_handle_call_is_told_to_keep_it(start):
    late = start(of=AnsweringLate)
    end = monitor(late)

    cast(late, "too late")

    assert "while handle_call runs" in str(end.wait(LONGEST).reason)
