"""send_after: in order of their time, called back in time, harmless to the dead."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from probe import LONGEST, Notes, Probe, answering
from supervised import eventually, kill

from antq_actors.otp import StartError, call, cancel_timer, send_after, stop
from antq_actors.otp.messaging import timers

LONG = 3600


def test_messages_arrive_in_the_order_of_their_times(start, notes):
    ref = start(notes)

    # When they are due is up to this thread, too: it may be held up between two of them.
    sent = {delay: send_after(ref, delay, delay).due for delay in (0.03, 0.0, 0.02, 0.01)}

    assert notes.take(4) == sorted(sent, key=sent.get)


def test_messages_of_one_time_arrive_in_the_order_in_which_they_were_sent(start, notes):
    ref = start(notes)

    for number in range(100):
        send_after(ref, number, 0)

    assert notes.take(100) == list(range(100))


def test_a_time_may_be_a_timedelta_and_the_receiver_a_name(start, notes):
    start(notes, name="timed")

    send_after("timed", "now", timedelta(milliseconds=1))

    assert notes.take(1) == ["now"]


def test_an_actor_sends_to_itself(start, notes):
    ref = start(notes)

    call(ref, lambda me: me.send_after(0, "to myself"))

    assert notes.take(1) == ["to myself"]


def test_a_timer_that_is_called_back_never_fires(start, notes):
    ref = start(notes)
    timer = send_after(ref, "never", LONG)

    left = cancel_timer(timer)

    assert LONG - LONGEST < left <= LONG
    assert cancel_timer(timer) is None


def test_a_timer_that_has_fired_cannot_be_called_back(start, notes):
    ref = start(notes)
    timer = send_after(ref, "now", 0)

    assert notes.take(1) == ["now"]

    assert cancel_timer(timer) is None


def test_a_timer_either_fires_or_is_called_back(start, notes):
    ref = start(notes)

    made = [send_after(ref, number, 0.0001 * (number % 7)) for number in range(500)]
    kept = [n for n, timer in enumerate(made) if cancel_timer(timer) is None]

    assert sorted(notes.take(len(kept))) == kept
    call(ref, answering(None))
    assert notes.is_empty()


def test_timers_to_the_dead_and_to_nobody_are_harmless(start, notes):
    dead, ref = start(), start(notes)
    stop(dead)

    send_after(dead, "lost", 0)
    send_after("nobody", "lost", 0)
    send_after(ref, "arrives", 0.001)

    assert notes.take(1) == ["arrives"]


def test_a_name_is_looked_up_when_the_time_has_come(start, notes):
    first = start(name="heir")
    send_after("heir", "legacy", 0.05)
    kill(first)

    start(notes, name="heir")

    assert notes.take(1) == ["legacy"]


@pytest.mark.parametrize(
    ("seconds", "error"),
    [
        (-1, ValueError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        (None, ValueError),
        ("1", TypeError),
    ],
)
def test_an_impossible_time_is_refused(start, seconds, error):
    with pytest.raises(error, match="seconds"):
        send_after(start(), "never", seconds)


def test_many_timers_that_are_called_back_are_dropped_before_their_time(start):
    ref = start()
    before = len(timers._timer_thread._heap)

    for _ in range(10):
        for timer in [send_after(ref, "never", LONG) for _ in range(200)]:
            cancel_timer(timer)

    assert len(timers._timer_thread._heap) - before < 500


def test_a_timer_thread_that_cannot_start_is_a_start_error_and_the_next_one_tries_again(start):
    class FewThreads(timers.TimerThread):
        threads_left = 0

        def _run(self):
            return

        def _make_thread(self):
            thread = super()._make_thread()
            if not self.threads_left:
                thread.start = no_thread_left
            return thread

    def no_thread_left():
        raise RuntimeError("can't start new thread")

    timer_thread = FewThreads()
    timer = timers.Timer(start(), "never", 0.0)

    for _ in range(2):
        with pytest.raises(StartError, match="can't start new thread"):
            timer_thread.add(timer)
    timer_thread.threads_left = 1
    timer_thread.add(timer)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=40))
def test_what_is_not_called_back_arrives_and_nothing_else_does(plan):
    notes = Notes()
    ref = Probe.start(notes)
    expected = []
    for number, (delay, is_called_back) in enumerate(plan):
        timer = send_after(ref, number, delay / 5000)
        if not (is_called_back and cancel_timer(timer) is not None):
            expected.append(number)

    assert sorted(notes.take(len(expected))) == expected
    stop(ref)
    assert notes.take(1)[0][0] == "terminate"
    assert notes.is_empty()


def test_a_lookout_sends_its_message_when_there_is_a_reason_and_only_then(start, notes):
    ref = start(notes)
    reasons = iter([False, False, True, False, True])
    timers.send_when(ref, "now", lambda: next(reasons, False), every=lambda: 0.001)

    assert notes.take(2) == ["now", "now"]
    assert next(reasons, None) is None


def test_a_lookout_ends_with_its_receiver(start, notes):
    ref = start(notes)
    looks = []
    timers.send_when(ref, "never", lambda: looks.append(1), every=lambda: 0.001)
    eventually(lambda: looks)

    kill(ref)

    eventually(lambda: not any(entry[2]._ref is ref for entry in polling_timers()))
    seen = len(looks)
    send_after(start(notes), "later", 0.02)
    notes.take(1)
    assert len(looks) == seen


def test_a_lookout_can_be_cancelled(start, notes):
    polling_timer = timers.send_when(start(notes), "never", lambda: False, every=lambda: 3600)

    assert 0 < cancel_timer(polling_timer) <= 3600


def polling_timers():
    with timers._timer_thread._lock:
        return [e for e in timers._timer_thread._heap if isinstance(e[2], timers.PollingTimer)]


def test_a_look_that_fails_ends_itself_and_no_other_timer(start, notes, caplog):
    ref = start(notes)

    def fail():
        raise OSError("no more to look at")

    timers.send_when(ref, "never", fail, every=lambda: 0.001)
    send_after(ref, "later", 0.01)

    assert notes.take(1) == ["later"]
    assert "is lost" in caplog.text
