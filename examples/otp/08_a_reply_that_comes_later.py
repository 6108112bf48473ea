"""A server that cannot reply yet must not wait: all other callers would wait with it.

``handle_call`` returns NOREPLY and keeps ``self.from_``, which identifies the caller. The caller
goes on waiting, the server goes on working, and when it has the reply it calls ``reply``.
"""

from antq_actors.otp import NOREPLY, GenServer, call, reply, send_request


class Bakery(GenServer):
    def handle_call(self, request):
        if request == "are you open?":
            return "yes"
        self.send_after(0.2, (self.from_, request))  # the bread is done in 0.2 seconds
        return NOREPLY

    def handle_info(self, message):
        customer, what = message
        reply(customer, f"{what}, still warm")


with Bakery.start(name="bakery"):
    order = send_request("bakery", "rolls")  # like call, but it does not wait yet
    print("are you open?", call("bakery", "are you open?"))
    print("rolls, please:", order.wait())

# Output:
# are you open? yes
# rolls, please: rolls, still warm
