"""Two ways to react to another actor's end: to be told about it, or to end with it.

A monitor goes one way: it brings exactly one Down message, with the reason. A link goes both ways:
when one actor crashes, the other ends too, unless it traps exits and gets an Exited message
instead. A supervisor is an actor that links to its children and traps exits.
"""

import logging
import queue

from antq_actors.otp import Down, Exited, GenServer, chaos, link, monitor, stop, trap_exit, whereis

logging.disable()  # delete this line to see what is logged

news = queue.Queue()


class Watcher(GenServer):
    def init(self):
        monitor("other")

    def handle_info(self, message):
        match message:
            case Down(_monitor, ref, reason):
                news.put(f"the watcher is told that {ref} went down: {reason}")


class Trapper(GenServer):
    def init(self):
        trap_exit(True)  # noqa: FBT003 - as in Erlang: a flag, on or off
        link(whereis("other"))

    def handle_info(self, message):
        match message:
            case Exited(ref, reason):
                news.put(f"the trapper is told that {ref} has exited: {reason}")


class Partner(GenServer):
    def init(self):
        link(whereis("other"))


for friend_class in (Watcher, Trapper):
    GenServer.start(name="other")
    friend = friend_class.start()
    chaos.crash("other", ValueError("oh no"))
    print(news.get(timeout=5))
    stop(friend)

GenServer.start(name="other")
partner = monitor(Partner.start())
chaos.crash("other", ValueError("oh no"))
print("the partner ends too:", partner.wait().reason)

# Output:
# the watcher is told that other went down: Crash(ValueError: oh no)
# the trapper is told that other has exited: Crash(ValueError: oh no)
# the partner ends too: Crash(ValueError: oh no)
