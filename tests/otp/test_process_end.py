"""Every way an actor may end: one Down each, the right reason, and everyone answered."""

import asyncio
import gc
import itertools
import logging
import threading
import weakref
from contextlib import suppress

import pykka
import pytest
from probe import LONGEST, Gate, InThread, Probe, answering, is_interrupted, raising
from supervised import BOOM, DONE, eventually, kill, raise_anew

from antq_actors.otp import (
    IGNORE,
    NOREPLY,
    CallExit,
    Continue,
    Crash,
    GenServer,
    IdleTimeout,
    Killed,
    NoProc,
    Normal,
    StartError,
    Stop,
    call,
    cast,
    exit,  # noqa: A004 - OTP's name
    link,
    monitor,
    reply,
    send_after,
    send_request,
    stop,
    trap_exit,
    whereis,
)
from antq_actors.otp.kernel.cell import ActorCell
from antq_actors.otp.kernel.mailbox import Mailbox
from antq_actors.otp.messaging.calls import call_by_message

OUT_OF_THE_WAY = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

BASE_EXCEPTIONS = [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()]


def ask_to_fail(ref, error):
    with pytest.raises(pykka.ActorDeadError):
        ref.ask(raising(error), timeout=LONGEST)


def call_to_fail(ref, error):
    with pytest.raises(CallExit):
        call(ref, raising(error), timeout=LONGEST)


def pykka_stop(ref):
    assert ref.stop(timeout=LONGEST) is True


def linked_end(ref):
    """End a peer of *ref* with DONE."""
    peer = call(ref, lambda _me: Probe.start_link())
    stop(peer, DONE)


ENDS = {
    "call raises": (lambda ref: call_to_fail(ref, BOOM), Crash(BOOM)),
    "call stops": (lambda ref: call_to_fail(ref, Stop(DONE)), DONE),
    "ask stops": (lambda ref: ask_to_fail(ref, Stop(DONE)), DONE),
    "cast raises": (lambda ref: cast(ref, raising(BOOM)), Crash(BOOM)),
    "cast stops": (lambda ref: cast(ref, raising(Stop())), Normal()),
    "tell raises": (lambda ref: ref.tell(raising(BOOM)), Crash(BOOM)),
    "tell stops": (lambda ref: ref.tell(raising(Stop(DONE))), DONE),
    "timer raises": (lambda ref: send_after(ref, raising(BOOM), 0), Crash(BOOM)),
    "stop": (stop, Normal()),
    "stop with a reason": (lambda ref: stop(ref, DONE), DONE),
    "pykka's stop": (pykka_stop, Normal()),
    "pykka's stop without waiting": (lambda ref: ref.stop(block=False), Normal()),
    "stops itself as pykka does": (lambda ref: ref.tell(lambda me: me.stop()), Normal()),
    "exit": (lambda ref: exit(ref, DONE), DONE),
    "kill": (kill, Killed()),
    "kills itself": (lambda ref: ref.tell(lambda me: exit(me.ref, Killed())), Killed()),
    "a linked one ends": (linked_end, DONE),
}


@pytest.mark.rule(62, 67)
@pytest.mark.parametrize(("end", "reason"), ENDS.values(), ids=ENDS.keys())
def test_an_end_is_told_once_to_each_monitor_with_its_reason_and_the_name_free(
    start, notes, end, reason
):
    ref = start(name="mortal")
    watcher = start(notes)
    call(watcher, lambda _me: [monitor(ref), monitor(ref)])
    names_at_death = []
    ref.cell.watch("test", lambda ref, _reason: names_at_death.append(whereis("mortal")))
    mine = monitor(ref)

    end(ref)

    assert mine.wait(LONGEST).reason == reason
    downs = notes.take(2)
    assert [(down.ref, down.reason) for down in downs] == [(ref, reason)] * 2
    assert downs[0].monitor is not downs[1].monitor
    assert names_at_death == [None]
    assert ref not in pykka.ActorRegistry.get_all()
    assert not ref.is_alive()
    call(watcher, answering(None))
    assert notes.is_empty()


@pytest.mark.parametrize("error", BASE_EXCEPTIONS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "end",
    [
        call_to_fail,
        ask_to_fail,
        lambda ref, error: ref.tell(raising(error)),
        lambda ref, error: cast(ref, raising(error)),
        lambda ref, error: send_after(ref, raising(error), 0),
    ],
    ids=["call", "ask", "tell", "cast", "timer"],
)
def test_a_base_exception_ends_its_own_actor_and_no_other(start, error, end):
    ref, bystander = start(), start()
    down = monitor(ref)

    end(ref, error)

    assert down.wait(LONGEST).reason == Crash(error)
    assert call(bystander, answering("lives")) == "lives"


@pytest.mark.parametrize("error", BASE_EXCEPTIONS, ids=lambda error: type(error).__name__)
def test_a_base_exception_in_init_fails_that_start_alone(start, error):
    bystander = start()

    with pytest.raises(StartError) as failed:
        start(init=raising(error), name="stillborn")

    assert failed.value.reason == Crash(error)
    assert failed.value.__cause__ is error
    assert whereis("stillborn") is None
    assert call(bystander, answering("lives")) == "lives"


@pytest.mark.parametrize("error", BASE_EXCEPTIONS, ids=lambda error: type(error).__name__)
def test_a_base_exception_in_handle_continue_or_terminate_is_an_end_as_any_other(start, error):
    bystander = start()
    ref = start(init=answering(Continue(raising(error))))
    last = start(at_end=raising(error))
    down = monitor(last)

    with pytest.raises(CallExit):
        stop(last)
    ended = monitor(ref).wait(LONGEST)

    assert down.wait(LONGEST).reason == Crash(error)
    assert ended.reason in (Crash(error), NoProc())
    assert call(bystander, answering("lives")) == "lives"


@pytest.mark.rule(73)
@pytest.mark.deviation(6)
def test_terminate_runs_on_every_end_but_a_kill(start, notes):
    ends = [end for what, (end, _) in ENDS.items() if "kill" not in what]
    for end in ends:
        ref = start(notes)
        end(ref)
        kind, _reason = notes.take(1)[0]
        assert kind == "terminate"

    ref = start(notes)
    kill(ref)

    assert monitor(ref).wait(LONGEST).reason == NoProc()
    assert notes.is_empty()


def test_terminate_may_replace_the_reason(start):
    ref = start(at_end=raising(Stop(DONE)))
    down = monitor(ref)

    with pytest.raises(CallExit) as ended:
        stop(ref)

    assert ended.value.reason == DONE
    assert down.wait(LONGEST).reason == DONE


def test_an_exception_in_terminate_is_the_reason_even_of_a_normal_end(start):
    ref = start(at_end=raising(BOOM))
    down = monitor(ref)

    assert ref.stop(timeout=LONGEST) is True

    assert down.wait(LONGEST).reason == Crash(BOOM)


def test_terminate_runs_although_pykkas_hook_before_it_fails(start, notes):
    class Hooked(Probe):
        def on_stop(self):
            raise_anew(BOOM)

        def on_failure(self, *_exc_info):
            raise_anew(BOOM)

    stopped, crashed = start(notes, of=Hooked), start(notes, of=Hooked)

    with pytest.raises(CallExit):
        stop(stopped)
    with pytest.raises(CallExit):
        call(crashed, raising(KeyError("other")))

    assert notes.take(2) == [("terminate", Crash(BOOM))] * 2


def test_questions_that_are_open_or_wait_are_answered_by_the_end(start, gate):
    ref = start()
    gate.hold(ref)
    asked = ref.ask(answering(1), block=False)
    stopping = ref.stop(block=False)
    called = InThread(call, ref, answering(2), None)
    eventually(lambda: ref.cell.mailbox.messages and len(ref.cell.mailbox) == 3)

    kill(ref)

    with pytest.raises(pykka.ActorDeadError):
        asked.get(timeout=LONGEST)
    with pytest.raises(CallExit) as ended:
        called.result()
    assert ended.value.reason == Killed()
    assert stopping.get(timeout=LONGEST) is True


@pytest.mark.parametrize("end", [kill, stop, pykka_stop], ids=["kill", "stop", "pykka's stop"])
def test_questions_left_open_by_noreply_are_answered_by_the_end(start, end):
    ref = start()
    asked = ref.ask(answering(NOREPLY), block=False)
    called = InThread(call, ref, answering(NOREPLY), None)
    eventually(lambda: len(ref.cell.mailbox.calls) == 1)
    assert call(ref, answering("serves others")) == "serves others"

    end(ref)

    with pytest.raises(pykka.ActorDeadError):
        asked.get(timeout=LONGEST)
    with pytest.raises(CallExit):
        called.result()


def test_a_question_that_is_being_handled_is_answered_by_a_kill(start, gate):
    asked_of, called_of = start(), start()
    asked = asked_of.ask(gate, block=False)
    called = InThread(call, called_of, gate, None)
    gate.wait_entered()
    gate.wait_entered()

    kill(asked_of)
    kill(called_of)

    with pytest.raises(pykka.ActorDeadError):
        asked.get(timeout=LONGEST)
    with pytest.raises(CallExit) as ended:
        called.result()
    assert ended.value.reason == Killed()


@pytest.mark.rule(69, 70, 71)
def test_a_kill_that_ctrl_c_cuts_short_is_told_to_all_who_wait(start):
    functions = (ActorCell.die, ActorCell._part, ActorCell._answer, Mailbox.close)

    for number in itertools.count(1):
        ref, gate = start(), Gate()
        calls = [send_request(ref, answering(NOREPLY))]
        asks = [ref.ask(answering(NOREPLY), block=False)]
        gate.hold(ref)
        calls.append(send_request(ref, answering("too late")))
        asks.append(ref.ask(answering("too late"), block=False))
        end = monitor(ref)

        is_cut_short = is_interrupted(number, functions, kill, ref)

        gate.open()
        if ref.cell.reason is None:  # it was cut short before it began
            kill(ref)
        assert end.wait(LONGEST).reason == Killed()
        for each in calls:
            with pytest.raises(CallExit):
                each.wait(LONGEST)
        for each in asks:
            with pytest.raises(pykka.ActorDeadError):
                each.get(timeout=LONGEST)
        if not is_cut_short:
            break

    assert number > 10


def test_the_dead_take_nothing(start):
    ref = start()
    stop(ref)

    with pytest.raises(CallExit) as no_call:
        call(ref, answering(1))
    with pytest.raises(CallExit) as no_stop:
        stop(ref)
    with pytest.raises(pykka.ActorDeadError):
        ref.ask(answering(1), timeout=LONGEST)
    with pytest.raises(pykka.ActorDeadError):
        ref.tell("hello")

    assert no_call.value.reason == no_stop.value.reason == NoProc()
    assert ref.stop() is False
    cast(ref, "hello")
    exit(ref, DONE)
    kill(ref)
    assert monitor(ref).wait(0).reason == NoProc()


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def test_an_exception_without_words_ends_an_actor_as_any_other(start):
    ref = start()
    error = Unspeakable()

    with pytest.raises(CallExit) as ended:
        call(ref, raising(error), timeout=LONGEST)
    with pytest.raises(StartError):
        start(init=raising(error))

    assert ended.value.reason == Crash(error)


@OUT_OF_THE_WAY
def test_a_log_handler_that_raises_keeps_nobody_waiting(start):
    class Broken(logging.Handler):
        def emit(self, record):
            raise OSError("the disk with the logs is full")

    logger = logging.getLogger("antq_actors.otp")
    handler = Broken(logging.ERROR)
    logger.addHandler(handler)
    try:
        refs = [start() for _ in range(3)]
        downs = [monitor(ref) for ref in refs]
        for ref in refs:
            with pytest.raises(CallExit):
                call(ref, raising(BOOM), timeout=LONGEST)
        assert [down.wait(LONGEST).reason for down in downs] == [Crash(BOOM)] * 3
    finally:
        logger.removeHandler(handler)

    # The threads that were lost to it are not counted on.
    assert all(call(start(), answering("lives")) == "lives" for _ in range(4))


# ---- failed starts ----------------------------------------------------------------------------


@pytest.mark.rule(73)
def test_a_start_whose_init_raises_tells_the_exception_and_leaves_nothing(start, notes):
    with pytest.raises(StartError) as failed:
        start(notes, init=raising(BOOM), name="stillborn")

    assert failed.value.reason == Crash(BOOM)
    assert failed.value.__cause__ is BOOM
    assert whereis("stillborn") is None
    assert pykka.ActorRegistry.get_by_class(Probe) == []
    assert notes.is_empty()  # terminate is not for a failed init


@pytest.mark.rule(72)
def test_a_start_whose_init_stops_tells_the_reason(start):
    with pytest.raises(StartError) as failed:
        start(init=raising(Stop(DONE)))

    assert failed.value.reason == DONE


@pytest.mark.rule(72)
def test_the_name_is_free_when_start_answers_ignore(start, notes):
    for _ in range(200):
        assert start(notes, init=answering(IGNORE), name="lazy") is IGNORE

    assert notes.is_empty()


def test_the_name_is_free_when_start_fails(start):
    for _ in range(200):
        with pytest.raises(StartError):
            start(init=raising(BOOM), name="stillborn")


def test_a_kill_ends_a_start_that_hangs_in_init(start, gate):
    starting = InThread(start, init=gate.pass_through, name="slow")
    gate.wait_entered()

    kill(whereis("slow"))

    with pytest.raises(StartError) as failed:
        starting.result()
    assert failed.value.reason == Killed()


def test_a_linked_start_that_fails_sends_its_parent_no_exit_signal(start, notes):
    parent = start(notes)

    def start_badly(me):
        trap_exit(on=True)
        with pytest.raises(StartError):
            Probe.start_link(init=raising(BOOM))
        return Probe.start_link(init=answering(IGNORE))

    assert call(parent, start_badly) is IGNORE
    call(parent, answering(None))

    assert notes.is_empty()


@pytest.mark.rule(72)
def test_continue_runs_before_any_message(start, notes, gate):
    def init(me):
        me.ref.tell("message")
        return Continue("continued")

    start(notes, init=init)

    assert notes.take(2) == ["continued", "message"]


@pytest.mark.rule(72)
def test_an_idle_actor_is_told_so(start, notes):
    def init(me):
        me.idle_timeout = 0.001

    ref = start(notes, init=init)
    assert notes.take(2) == [IdleTimeout(), IdleTimeout()]

    call(ref, lambda me: setattr(me, "idle_timeout", None))
    stop(ref)


def test_an_actor_with_an_impossible_idle_timeout_crashes_and_says_so(start):
    ref = start()
    down = monitor(ref)

    ref.tell(lambda me: setattr(me, "idle_timeout", "soon"))

    assert isinstance(down.wait(LONGEST).reason, Crash)


# ---- storms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [
        kill,
        lambda ref: exit(ref, DONE),
        lambda ref: ref.tell(raising(BOOM)),
        lambda ref: ref.stop(block=False),
    ],
    ids=["kill", "exit", "crash", "pykka's stop"],
)
def test_a_call_or_ask_into_a_storm_of_ends_is_always_answered(start, end, caplog):
    caplog.set_level(logging.CRITICAL)
    refs = [start() for _ in range(8)]
    over = threading.Event()

    def talk(number):
        for turn in range(200):
            at = (number + turn) % len(refs)
            try:
                if turn % 2:
                    call(refs[at], answering(turn), None)
                else:
                    refs[at].ask(answering(turn))
            except (CallExit, pykka.ActorDeadError):
                continue

    def storm():
        turn = 0
        while not over.is_set():
            at = turn = (turn + 1) % len(refs)
            with suppress(pykka.ActorDeadError):
                end(refs[at])
            refs[at] = start()

    stormy = InThread(storm)
    talkers = [InThread(talk, number) for number in range(50)]
    try:
        for talker in talkers:
            talker.result(60)
    finally:
        over.set()
    stormy.result()


def test_threads_that_kill_the_same_actor_at_once_make_one_end(start, notes):
    watcher = start(notes)
    for _ in range(50):
        ref = start()
        call(watcher, lambda _me, ref=ref: monitor(ref))
        killers = [InThread(kill, ref) for _ in range(4)]
        for killer in killers:
            killer.result()
        assert notes.take(1)[0].reason == Killed()

    call(watcher, answering(None))
    assert notes.is_empty()


def test_linked_actors_that_die_into_each_other_all_end(start):
    for _ in range(30):
        refs = [start() for _ in range(5)]
        for ref in refs:
            for other in refs:
                call(ref, lambda _me, other=other: link(other))
        downs = [monitor(ref) for ref in refs]

        killers = [InThread(exit, ref, DONE) for ref in refs[:2]]

        assert [down.wait(LONGEST).reason for down in downs] == [DONE] * 5
        for killer in killers:
            killer.result()


class Forgetful(GenServer):
    """Knows nothing."""


def test_what_an_actor_does_not_know_is_logged_and_a_call_ends_it(caplog):
    ref = Forgetful.start()

    cast(ref, "unknown cast")
    ref.tell("unknown message")
    with pytest.raises(TypeError):
        ref.ask("unknown question")
    with pytest.raises(CallExit) as ended:
        call(ref, "unknown call")

    assert isinstance(ended.value.reason.exception, TypeError)
    assert "unknown cast" in caplog.text
    assert "unknown message" in caplog.text


class Debtor(GenServer):
    """Owes the answer to its first request until it is called again."""

    def init(self):
        self.first = None

    def handle_call(self, request):
        if self.first is None:
            self.first = self.from_
            return NOREPLY
        reply(self.first, "late")
        return "paid"


class Asker(GenServer):
    def __init__(self, debtor):
        super().__init__()
        self.debtor = debtor

    def init(self):
        call_by_message(self.debtor, "first", tag=None)


def test_an_answer_to_one_who_has_ended_and_whom_nobody_holds_harms_nobody():
    debtor = Debtor.start()
    asker = Asker.start(debtor)
    exit(asker, Killed())
    process, gone = asker.cell, weakref.ref(asker)
    del asker
    gc.collect()
    eventually(lambda: gone() is None)  # its thread lets go of it

    assert call(debtor, "second") == "paid"
    assert not process.ref.is_alive()
    with pytest.raises(pykka.ActorDeadError):
        process.ref.tell("anything")
    stop(debtor)
