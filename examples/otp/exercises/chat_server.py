"""Exercise: a chat server. Its parts are here. You write the tree that keeps them running.

Write the three functions at the end, so that:

1. Stopping the tree stops every room and every guest.
2. What is said in a room is heard by its guests, and by no one else.
3. Opening a room that is open returns that room.
4. A room that crashes comes back under its name.
5. It still has its history, and its guests are still in it.
6. A room may crash twenty times in a row, and all others stay open.
7. A guest that crashes is gone, and is not restarted.

A room crashes when a message in it is not text.
"""

from antq_actors.otp import GenServer, Registry, call, cast


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
    """Start the tree, without rooms and guests, and return its supervisor."""
    raise NotImplementedError


def open_room(name):
    """Open a room named Via("rooms", name), and return it. If it is open, return it as it is."""
    raise NotImplementedError


def enter(room):
    """Add a new guest to the room with this name, and return the guest."""
    raise NotImplementedError


if __name__ == "__main__":
    print("Write the tree, then check it: antq course chat_server --check chat_server.py")

# Output:
# Write the tree, then check it: antq course chat_server --check chat_server.py
