"""The same box office, supervised. The bug and the bad orders are the same; the records are right.

It catches no errors. An error in the middle of a sale ends the box office, and with it the list
that may now be wrong. The new box office makes a new list from what was really sold. Another actor
keeps that, and does so little that it does not crash.
"""

import logging

from antq_actors.otp import Agent, CallExit, GenServer, Supervisor, call, wait_until_restarted

logging.disable()  # delete this line to see what the supervisor logs

SEATS = ["A1", "A2", "A3", "A4"]


class BoxOffice(GenServer):
    def init(self):
        sold = Agent.get("sold", dict)
        self.free = [seat for seat in SEATS if seat not in sold]

    def handle_call(self, customer):
        seat = self.free.pop(0)
        name = customer.title()
        Agent.update("sold", lambda sold: {**sold, seat: name})
        return seat


children = [
    Agent.child_spec(dict, name="sold"),  # an Agent keeps a value for others; at first it is {}
    BoxOffice.child_spec(name="box office"),
]

with Supervisor.start(children):
    for customer in ["ann", None, "bob", None, "cleo", "dan"]:
        try:
            print(f"{customer} gets seat", call("box office", customer))
        except CallExit as error:
            print(f"{customer}: {type(error.reason.exception).__name__}, and a new box office")
            wait_until_restarted("box office")

    print("sold:", Agent.get("sold", dict))

# Output:
# ann gets seat A1
# None: AttributeError, and a new box office
# bob gets seat A2
# None: AttributeError, and a new box office
# cleo gets seat A3
# dan gets seat A4
# sold: {'A1': 'Ann', 'A2': 'Bob', 'A3': 'Cleo', 'A4': 'Dan'}
