"""Children that come and go: a DynamicSupervisor starts empty, and starts children on request.

Its children have no names by default; you get a reference from ``start_child``. ``extra_args`` are
passed to every child, and ``max_children`` limits how many there can be at a time.
"""

from antq_actors.otp import DynamicSupervisor, GenServer, MaxChildren, Restart, call


class Visit(GenServer):
    def __init__(self, shop, customer):
        super().__init__()
        self.shop, self.customer = shop, customer

    def handle_call(self, request):
        return f"{self.customer} buys {request} in {self.shop}"


def visit(customer):
    return Visit.child_spec(customer, restart=Restart.TEMPORARY)


with DynamicSupervisor.start(max_children=2, extra_args=("the corner shop",)) as shop:
    ann = DynamicSupervisor.start_child(shop, visit("Ann"))
    bob = DynamicSupervisor.start_child(shop, visit("Bob"))
    print(call(ann, "bread"))
    print(call(bob, "tea"))

    try:
        DynamicSupervisor.start_child(shop, visit("Cleo"))
    except MaxChildren:
        print("Cleo has to wait")

    DynamicSupervisor.terminate_child(shop, ann)
    cleo = DynamicSupervisor.start_child(shop, visit("Cleo"))
    print(call(cleo, "milk"))

# Output:
# Ann buys bread in the corner shop
# Bob buys tea in the corner shop
# Cleo has to wait
# Cleo buys milk in the corner shop
