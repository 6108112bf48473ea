"""The ways to talk to an actor: call, cast, a plain message, and an answer that comes later.

A call waits for ``handle_call``; a cast and a plain ``tell`` wait for nothing. ``init`` may leave
the long part of its work to ``handle_continue``, which runs before any message. And a server need
not answer at once: NOREPLY keeps the caller waiting while the server goes on, until ``reply``.
"""

from antq_actors.otp import NOREPLY, Continue, GenServer, Task, call, cast, reply, stop


class Bakery(GenServer):
    def init(self):
        self.bread = 0
        self.customers = []
        return Continue("light the oven")

    def handle_continue(self, token):
        print("before any message:", token)

    def handle_call(self, request):
        if request == "who waits?":
            return [customer for customer, _ in self.customers]
        self.customers.append((request, self.from_))
        return NOREPLY

    def handle_cast(self, request):
        self.bread += request
        while self.bread and self.customers:
            customer, from_ = self.customers.pop(0)
            self.bread -= 1
            reply(from_, f"bread for {customer}")

    def handle_info(self, message):
        print("a plain message:", message)


bakery = Bakery.start()
bakery.tell("smells good")
print("who waits?", call(bakery, "who waits?"))

shopping = Task.async_(call, bakery, "Ann")
while not call(bakery, "who waits?"):
    pass
print("who waits?", call(bakery, "who waits?"))
cast(bakery, 2)
print(shopping.await_())
stop(bakery)

# Output:
# before any message: light the oven
# a plain message: smells good
# who waits? []
# who waits? ['Ann']
# bread for Ann
