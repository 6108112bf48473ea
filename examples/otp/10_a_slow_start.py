"""A child that starts slowly delays all children after it. So it starts first and loads afterwards.

A supervisor starts its children one by one and waits for each ``init``. Put slow work into
``handle_continue``: ``init`` returns, the next child starts, and no message reaches the actor
before ``handle_continue`` is done.
"""

from antq_actors.otp import Continue, GenServer, Supervisor, call


class Dictionary(GenServer):
    def init(self):
        return Continue("load")

    def handle_continue(self, token):
        self.words = {"actor": "an object with a mailbox"}  # imagine a big file here

    def handle_call(self, word):
        return self.words[word]


with Supervisor.start([Dictionary.child_spec(name="dictionary")]):
    print("the tree is up")
    print("an actor is", call("dictionary", "actor"))

# Output:
# the tree is up
# an actor is an object with a mailbox
