"""A counter crashes, and its supervisor starts it again: a new actor, with the first state.

Nothing is caught and nothing is repaired. Who was calling learns why there is no answer; who calls
next finds a counter that works. OTP calls it "let it crash". What stays is the name: the actor
behind it is another one.
"""

import logging

from antq_actors.otp import CallExit, EventStream, GenServer, Supervisor, call, events, whereis

logging.disable()  # delete this line to see what is logged meanwhile


class Counter(GenServer):
    def __init__(self, first):
        super().__init__()
        self.number = first

    def handle_call(self, step):
        self.number += step
        return self.number


with Supervisor.start([Counter.child_spec(10, name="counter")], name="root") as root:
    print("one more makes", call("counter", 1))
    before = whereis("counter")

    with EventStream(below=root) as stream:
        try:
            call("counter", "one")
        except CallExit as error:
            print("no answer:", error.reason)
        while not isinstance(stream.take(), events.ChildStarted):
            pass

    print("another actor:", whereis("counter") is not before)
    print("one more makes", call("counter", 1))

# Output:
# one more makes 11
# no answer: Crash(TypeError: unsupported operand type(s) for +=: 'int' and 'str')
# another actor: True
# one more makes 11
