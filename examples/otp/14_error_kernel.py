"""Keep what is precious in actors so simple that they do not fail, near the root; let others fail.

Here a till holds the money and can only add. The work that may go wrong, reading what customers
write, is done by another actor, started after it: rest_for_one says that the reader builds on the
till and not the other way round. The reader crashes again and again, and no money is lost. The part
of a system that must be right is its error kernel; make it small.
"""

import logging

from antq_actors.otp import (
    Agent,
    CallExit,
    EventStream,
    GenServer,
    Strategy,
    Supervisor,
    call,
    events,
)

logging.disable()  # delete this line to see what is logged meanwhile


class Reader(GenServer):
    def handle_call(self, text):
        number, _, what = text.partition(" for ")
        amount = int(number)  # here, and not in the till
        Agent.update("till", lambda total: total + amount)
        return what


shop = [
    Agent.child_spec(int, name="till"),
    Reader.child_spec(name="reader"),
]

with (
    Supervisor.start(shop, strategy=Strategy.REST_FOR_ONE, max_restarts=10) as sup,
    EventStream(below=sup) as stream,
):
    for text in ["3 for bread", "two for milk", "4 for cheese", "lots for nothing", "5 for tea"]:
        try:
            print("sold", call("reader", text))
        except CallExit as error:
            print("the reader crashed:", type(error.reason.exception).__name__)
            for event in iter(stream.take, None):
                if isinstance(event, events.ChildStarted) and event.child_id == "reader":
                    break
    print("in the till:", Agent.get("till", lambda total: total))

# Output:
# sold bread
# the reader crashed: ValueError
# sold cheese
# the reader crashed: ValueError
# sold tea
# in the till: 12
