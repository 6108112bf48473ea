"""The checks of the exercise chat_server. Without a file, they check the worked answer."""

from contextlib import suppress

from checking import run, started

from antq_actors.otp import (
    CallExit,
    EventStream,
    Registry,
    Via,
    call,
    chaos,
    wait_until_restarted,
    whereis,
)
from antq_actors.otp.events import ChildExited, Outcome


def room(name):
    return Via("rooms", name)


def say(name, text):
    call(room(name), ("say", "Ann", text))


def heard_by(guest):
    return call(guest, "what have you heard?")


def crash(name):
    """Crash a room as a user would, and wait until it is back."""
    old = whereis(room(name))
    with suppress(CallExit):
        say(name, None)
    try:
        return wait_until_restarted(room(name), old, timeout=3)
    except TimeoutError as error:
        raise AssertionError(f"the room {name!r} did not come back: {error}") from None


def exit_of(ref, stream):
    """Return the event in which the supervisor of *ref* reports its exit."""
    try:
        while not (isinstance(event := stream.take(), ChildExited) and event.ref is ref):
            pass
    except TimeoutError:
        raise AssertionError(f"{ref} has no supervisor in the tree") from None
    return event


def stopping(chat):
    """Stopping the tree stops every room and every guest."""
    with started(chat.start_chat) as tree:
        all_of_it = [tree, started(chat.open_room, "python"), started(chat.enter, "python")]
        assert all(ref.is_alive() for ref in all_of_it), (
            "the tree, a room or a guest is not running"
        )
    left = [str(ref) for ref in all_of_it if ref.is_alive()]
    assert not left, f"still running after the stop: {left}"


def hearing(chat):
    """What is said in a room is heard by its guests, and by no one else."""
    with started(chat.start_chat):
        started(chat.open_room, "python")
        started(chat.open_room, "erlang")
        ann, bob, joe = (
            started(chat.enter, "python"),
            started(chat.enter, "python"),
            started(chat.enter, "erlang"),
        )
        say("python", "hello")
        for guest, expected in [(ann, ["Ann: hello"]), (bob, ["Ann: hello"]), (joe, [])]:
            heard = heard_by(guest)
            assert heard == expected, f"a guest has heard {heard}, not {expected}"


def opening_twice(chat):
    """Opening a room that is open returns that room."""
    with started(chat.start_chat):
        first = started(chat.open_room, "python")
        assert started(chat.open_room, "python") is first, "the second room is another actor"
        assert whereis(room("python")) is first, 'it is not named Via("rooms", "python")'


def coming_back(chat):
    """A room that crashes comes back under its name."""
    with started(chat.start_chat):
        first = started(chat.open_room, "python")
        assert crash("python") is not first
        say("python", "hello again")


def keeping(chat):
    """It still has its history, and its guests are still in it."""
    with started(chat.start_chat):
        started(chat.open_room, "python")
        guest = started(chat.enter, "python")
        say("python", "before")
        crash("python")
        say("python", "after")
        expected = ["Ann: before", "Ann: after"]
        history = call(room("python"), "history")
        assert history == expected, f"its history is {history}, not {expected}"
        assert guest.is_alive(), "the guest has ended with the room"
        heard = heard_by(guest)
        assert heard == expected, f"the guest has heard {heard}, not {expected}"


def many_crashes(chat):
    """A room may crash twenty times in a row, and all others stay open."""
    with started(chat.start_chat):
        started(chat.open_room, "python")
        other = started(chat.open_room, "erlang")
        for _ in range(20):
            crash("python")
        assert whereis(room("erlang")) is other, "the other room is no longer the same actor"


def crashing_guests(chat):
    """A guest that crashes is gone, and is not restarted."""
    with started(chat.start_chat) as tree, EventStream(below=tree) as stream:
        started(chat.open_room, "python")
        guest, other = started(chat.enter, "python"), started(chat.enter, "python")
        chaos.crash(guest)
        event = exit_of(guest, stream)
        assert event.outcome is Outcome.LEAVES, f"its supervisor {event.outcome} it"
        say("python", "who is there?")
        assert heard_by(other) == ["Ann: who is there?"], "the other guest has heard something else"
        assert len(Registry.lookup("guests", "python")) == 1, "it is still registered"


CHECKS = [
    stopping,
    hearing,
    opening_twice,
    coming_back,
    keeping,
    many_crashes,
    crashing_guests,
]

if __name__ == "__main__":
    run(CHECKS, "chat_server_answer.py")

# Output:
# ok     Stopping the tree stops every room and every guest.
# ok     What is said in a room is heard by its guests, and by no one else.
# ok     Opening a room that is open returns that room.
# ok     A room that crashes comes back under its name.
# ok     It still has its history, and its guests are still in it.
# ok     A room may crash twenty times in a row, and all others stay open.
# ok     A guest that crashes is gone, and is not restarted.
# 7 of 7
