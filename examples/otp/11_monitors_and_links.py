"""Two ways to care for another actor's end: to hear of it, and to share it.

A monitor is one-way: exactly one Down, with the reason. A link goes both ways: when one ends, the
other gets an exit signal, and ends too, unless it traps exits and gets them as messages. Links are
what holds a tree together; a supervisor is an actor that traps exits.
"""

import logging
import queue

from antq_actors.otp import (
    Down,
    Exited,
    GenServer,
    chaos,
    link,
    monitor,
    stop,
    trap_exit,
)

logging.disable()  # delete this line to see what is logged meanwhile

heard = queue.Queue()


class Friend(GenServer):
    def __init__(self, *, linked_to=None, watches=None, traps=False):
        super().__init__()
        self.linked_to, self.watches, self.traps = linked_to, watches, traps

    def init(self):
        trap_exit(self.traps)
        if self.linked_to:
            link(self.linked_to)
        if self.watches:
            monitor(self.watches)

    def handle_info(self, message):
        match message:
            case Down(_, ref, reason):
                heard.put(f"{self.ref} hears that {ref} went down: {reason}")
            case Exited(ref, reason):
                heard.put(f"{self.ref} traps the exit of {ref}: {reason}")


for kind, options in {
    "watcher": lambda other: {"watches": other},
    "trapper": lambda other: {"linked_to": other, "traps": True},
    "partner": lambda other: {"linked_to": other},
}.items():
    other = Friend.start(name="other")
    friend = Friend.start(name=kind, **options(other))
    end = monitor(friend)

    chaos.crash(other, ValueError("oh no"))

    if kind == "partner":
        print(f"{kind} ends with it: {end.wait().reason}")
    else:
        print(heard.get(timeout=5))
        stop(friend)

# Output:
# watcher hears that other went down: Crash(ValueError: oh no)
# trapper traps the exit of other: Crash(ValueError: oh no)
# partner ends with it: Crash(ValueError: oh no)
