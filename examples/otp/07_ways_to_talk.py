"""Two ways to talk to an actor: a call waits for the reply, a cast does not wait.

Messages from one sender arrive in the order in which they were sent, and the actor handles them one
at a time. So the call below sees both casts.
"""

from antq_actors.otp import CallExit, GenServer, call, cast


class Bakery(GenServer):
    def init(self):
        self.loaves = 0

    def handle_call(self, request):
        return f"{self.loaves} loaves"

    def handle_cast(self, baked):
        self.loaves += baked


with Bakery.start(name="bakery"):
    cast("bakery", 2)
    cast("bakery", 3)
    print("how many?", call("bakery", "how many?"))

print("the bakery has closed")
cast("bakery", 1)
print("a cast to an actor that has ended: nothing happens")
try:
    call("bakery", "how many?")
except CallExit as error:
    print("a call to an actor that has ended:", error.reason)

# Output:
# how many? 5 loaves
# the bakery has closed
# a cast to an actor that has ended: nothing happens
# a call to an actor that has ended: NoProc()
