"""Python cannot end a thread. So how can a supervisor kill an actor that hangs?

It declares the actor dead. At once the name is free, waiting callers get an error, and a new actor
starts. The old thread goes on until it returns by itself; until then it is listed as an orphan. It
is fenced: what it still tries to send raises an error in that thread and is not delivered.
"""

import logging
import threading

from antq_actors.otp import (
    CallExit,
    CallTimeout,
    GenServer,
    Supervisor,
    call,
    cast,
    chaos,
    orphans,
    wait_until_restarted,
)

logging.disable()  # delete this line to see what the supervisor logs

driver = threading.Event()


class Printer(GenServer):
    def handle_call(self, page):
        if page == "stuck":
            driver.wait()  # hangs, like a driver that does not return
            try:
                cast("printer", "a message from the orphan")
            except CallExit as error:
                print("the orphan cannot send:", error.reason)
        return f"printed {page}"


with Supervisor.start([Printer.child_spec(name="printer")]):
    try:
        call("printer", "stuck", timeout=0.05)
    except CallTimeout:
        print("the printer hangs")

    chaos.kill("printer")
    wait_until_restarted("printer")
    print("a new printer has", call("printer", "page 1"))

    (thread,) = orphans()
    print("orphan:", thread.name)
    driver.set()
    while orphans():
        thread.join(0.01)  # a short wait: after the orphan returns, its thread is kept for reuse
    print("orphans:", orphans())

# Output:
# the printer hangs
# a new printer has printed page 1
# orphan: printer
# the orphan cannot send: Killed()
# orphans: []
