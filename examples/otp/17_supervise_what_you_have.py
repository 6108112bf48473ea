"""An actor that was written for pykka becomes the child of a supervisor as it is.

``supervised`` answers a class like the old one. ``ask``, ``tell`` and proxies go on as pykka
documents them; new is that the actor has a name, is restarted when it crashes, and that ``call``
tells its caller so. In pykka an exception in an ``ask`` ends nobody: ``crash_on_ask`` changes that.
"""

import logging

import pykka

from antq_actors.otp import (
    EventStream,
    Supervisor,
    call,
    events,
    supervised,
    whereis,
)

logging.disable()  # delete this line to see what is logged meanwhile


class Calculator(pykka.ThreadingActor):
    def on_start(self):
        self.done = 0

    def on_receive(self, message):
        self.done += 1
        return eval(message)  # noqa: S307 - what else would crash so well


child = supervised(Calculator, crash_on_ask=True).child_spec(name="calculator")
with Supervisor.start([child]) as sup, EventStream(below=sup) as stream:
    old = whereis("calculator")
    print(old.ask("6 * 7"), call("calculator", "6 * 7"), old.proxy().done.get())

    try:
        old.ask("6 / 0")
    except ZeroDivisionError as error:
        print("the asker gets", repr(error))
    print("the supervisor", stream.take().outcome, "it")
    assert isinstance(stream.take(), events.ChildStarted)

    new = whereis("calculator")
    print(new.ask("1 + 1"), "by another, that has done", new.proxy().done.get())
    print("still a Calculator:", pykka.ActorRegistry.get_by_class(Calculator) == [new])

# Output:
# 42 42 2
# the asker gets ZeroDivisionError('division by zero')
# the supervisor restarts it
# 2 by another, that has done 1
# still a Calculator: True
