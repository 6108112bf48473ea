"""A counter crashes, and its supervisor starts it again: a new actor with a fresh state.

Nothing here catches the counter's error, and nothing repairs the counter. The caller gets the
reason why there is no reply, and the next caller finds a counter that works. Erlang programmers
call this "let it crash".
"""

import logging

from antq_actors.otp import CallExit, GenServer, Supervisor, call, wait_until_restarted

logging.disable()  # delete this line to see what the supervisor logs


class Counter(GenServer):
    def __init__(self, first):
        super().__init__()
        self.number = first

    def handle_call(self, step):
        self.number += step
        return self.number


with Supervisor.start([Counter.child_spec(10, name="counter")]):
    print("one more makes", call("counter", 1))
    print("one more makes", call("counter", 1))

    try:
        call("counter", "one")
    except CallExit as error:
        print("no reply:", error.reason)

    wait_until_restarted("counter")
    print("one more makes", call("counter", 1))

# Output:
# one more makes 11
# one more makes 12
# no reply: Crash(TypeError: unsupported operand type(s) for +=: 'int' and 'str')
# one more makes 11
