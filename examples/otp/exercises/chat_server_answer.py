"""A worked answer to the exercise chat_server: where each part is in the tree, and why.

The registries and the archive come first, since rooms and guests need them. Rooms and guests come
and go, so each kind has a DynamicSupervisor of its own: crashes of guests do not count against
rooms.
"""

import logging

from antq_actors.otp import (
    AlreadyStarted,
    CallExit,
    DynamicSupervisor,
    GenServer,
    Registry,
    Restart,
    Strategy,
    Supervisor,
    Via,
    call,
    cast,
    wait_until_restarted,
)


class Archive(GenServer):
    """Keeps what was said, room by room. Rooms reach it by the name "archive"."""

    def init(self):
        self.lines = {}

    def handle_call(self, request):
        match request:
            case ("add", room, line):
                self.lines.setdefault(room, []).append(line)
            case ("history", room):
                return list(self.lines.get(room, []))
        return None


class Room(GenServer):
    """One room. It finds its guests in the Registry "guests", which has duplicate keys."""

    def __init__(self, name):
        super().__init__()
        self.name = name

    def handle_call(self, request):
        match request:
            case ("say", who, text):
                line = f"{who}: {text.strip()}"
                call("archive", ("add", self.name, line))
                Registry.dispatch(
                    "guests", self.name, lambda pairs: [cast(ref, line) for ref, _ in pairs]
                )
            case "history":
                return call("archive", ("history", self.name))
        return None


class Guest(GenServer):
    """A guest in a room. It remembers what was said there."""

    def __init__(self, room):
        super().__init__()
        self.room = room
        self.heard = []

    def init(self):
        Registry.register("guests", self.room)

    def handle_cast(self, line):
        self.heard.append(line)

    def handle_call(self, request):
        return list(self.heard)


def start_chat():
    return Supervisor.start(
        [
            Archive.child_spec(name="archive"),
            Registry.child_spec(keys="unique", name="rooms"),
            Registry.child_spec(keys="duplicate", name="guests"),
            DynamicSupervisor.child_spec(name="room supervisor", max_restarts=100),
            DynamicSupervisor.child_spec(name="guest supervisor"),
        ],
        strategy=Strategy.REST_FOR_ONE,
        name="chat",
    )


def open_room(name):
    try:
        return DynamicSupervisor.start_child(
            "room supervisor", Room.child_spec(name, name=Via("rooms", name))
        )
    except AlreadyStarted as error:
        return error.ref


def enter(room):
    return DynamicSupervisor.start_child(
        "guest supervisor", Guest.child_spec(room, restart=Restart.TEMPORARY)
    )


if __name__ == "__main__":
    logging.disable()  # delete this line to see the crash
    with start_chat():
        python = Via("rooms", "python")
        open_room("python")
        ann = enter("python")
        call(python, ("say", "Bob", "hello"))
        try:
            call(python, ("say", "Bob", None))
        except CallExit:
            wait_until_restarted(python)
        call(python, ("say", "Bob", "still here?"))
        print("Ann has heard", call(ann, "what?"))
        print("the room has kept", call(python, "history"))

# Output:
# Ann has heard ['Bob: hello', 'Bob: still here?']
# the room has kept ['Bob: hello', 'Bob: still here?']
