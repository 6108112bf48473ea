"""An actor that was written for pykka becomes the child of a supervisor without changes.

``supervised(Calculator)`` returns a class like it. ``ask``, ``tell`` and proxies work as pykka
documents them. In addition the actor has a name and is restarted when it crashes. In pykka, an
exception during an ``ask`` does not end the actor; ``crash_on_ask=True`` changes that.
"""

import logging

import pykka

from antq_actors.otp import Supervisor, supervised, wait_until_restarted, whereis

logging.disable()  # delete this line to see what the supervisor logs


class Calculator(pykka.ThreadingActor):
    def on_start(self):
        self.done = 0

    def on_receive(self, message):
        self.done += 1
        return eval(message)  # noqa: S307 - evaluates only what this program sends


child = supervised(Calculator, crash_on_ask=True).child_spec(name="calculator")

with Supervisor.start([child]):
    old = whereis("calculator")
    print("6 * 7 =", old.ask("6 * 7"))
    print("done:", old.proxy().done.get())

    try:
        old.ask("6 / 0")
    except ZeroDivisionError as error:
        print("the caller gets", repr(error))

    new = wait_until_restarted("calculator", old)
    print("1 + 1 =", new.ask("1 + 1"))
    print("done:", new.proxy().done.get(), "by a new actor")

# Output:
# 6 * 7 = 42
# done: 1
# the caller gets ZeroDivisionError('division by zero')
# 1 + 1 = 2
# done: 1 by a new actor
