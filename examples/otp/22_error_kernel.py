"""Keep state that must not be lost in an actor too simple to fail. Do the risky work in another.

The till keeps the money and can only add. The reader does the risky work: it reads what customers
write. It is started after the till. With rest_for_one, it depends on the till and not the other way
round. It crashes twice, and no money is lost. The part of a program that must be right is its error
kernel; keep it small.
"""

import logging

from antq_actors.otp import (
    Agent,
    CallExit,
    GenServer,
    Strategy,
    Supervisor,
    call,
    wait_until_restarted,
)

logging.disable()  # delete this line to see what the supervisor logs


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

with Supervisor.start(shop, strategy=Strategy.REST_FOR_ONE):
    for text in ["3 for bread", "two for milk", "4 for cheese", "lots for nothing", "5 for tea"]:
        try:
            print("sold", call("reader", text))
        except CallExit as error:
            print("the reader crashed:", type(error.reason.exception).__name__)
            wait_until_restarted("reader")

    print("in the till:", Agent.get("till", int))

# Output:
# sold bread
# the reader crashed: ValueError
# sold cheese
# the reader crashed: ValueError
# sold tea
# in the till: 12
