"""Python cannot end a thread. So what is it to kill an actor that hangs?

To declare it dead. Its name is free, whoever waited for it is told, its supervisor starts the next
one: all at once. The thread goes on until it comes to an end by itself, and is listed until then.
It is fenced: whatever it still sends raises in it, and reaches nobody.
"""

import logging
import threading

from antq_actors.otp import (
    CallExit,
    EventStream,
    GenServer,
    Supervisor,
    call,
    cast,
    chaos,
    events,
    orphans,
)

logging.disable()  # delete this line to see what is logged meanwhile

hole = threading.Event()
log = []


class Printer(GenServer):
    def handle_call(self, page):
        if page == "stuck":
            hole.wait()  # deep in a driver, say
            try:
                cast("printer", "a message from beyond")
            except CallExit as error:
                log.append(error.reason)
        return f"printed {page}"

    def handle_cast(self, message):
        log.append(message)


with Supervisor.start([Printer.child_spec(name="printer")]) as sup:
    try:
        call("printer", "stuck", timeout=0.05)
    except CallExit as error:
        print(type(error).__name__)

    with EventStream(below=sup) as stream:
        chaos.kill("printer")
        while not isinstance(stream.take(), events.ChildStarted):
            pass
    print(call("printer", "page 1"))
    print("orphans:", [thread.name for thread in orphans()])

    thread = orphans()[0]
    hole.set()
    while orphans():
        thread.join(0.01)
    print("orphans:", orphans(), "and what it got for its message:", log)

# Output:
# CallTimeout
# printed page 1
# orphans: ['printer']
# orphans: [] and what it got for its message: [Killed()]
