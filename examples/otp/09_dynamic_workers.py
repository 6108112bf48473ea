"""Children that come and go: a DynamicSupervisor starts empty, and has as many as it is asked for.

They are known by their references. What all have in common is given once, as ``extra_args``; how
many there may be at once is limited by ``max_children``. They stop all at the same time.
"""

from antq_actors.otp import (
    DynamicSupervisor,
    GenServer,
    MaxChildren,
    Restart,
    call,
    monitor,
    stop,
)


class Visit(GenServer):
    def __init__(self, shop, customer):
        super().__init__()
        self.shop, self.customer = shop, customer

    def handle_call(self, request):
        return f"{self.customer} buys {request} in {self.shop}"


shop = DynamicSupervisor.start(max_children=2, extra_args=("the corner shop",))

ann = DynamicSupervisor.start_child(shop, Visit.child_spec("Ann", restart=Restart.TEMPORARY))
bob = DynamicSupervisor.start_child(shop, Visit.child_spec("Bob", restart=Restart.TEMPORARY))
print(call(ann, "bread"))
try:
    DynamicSupervisor.start_child(shop, Visit.child_spec("Cleo"))
except MaxChildren:
    print("Cleo has to wait: there are", DynamicSupervisor.count_children(shop).active)

stop(ann)
cleo = DynamicSupervisor.start_child(shop, Visit.child_spec("Cleo", restart=Restart.TEMPORARY))
print(call(cleo, "milk"))

ends = [monitor(bob), monitor(cleo)]
stop(shop)
print("the others ended with", {end.wait().reason for end in ends})

# Output:
# Ann buys bread in the corner shop
# Cleo has to wait: there are 2
# Cleo buys milk in the corner shop
# the others ended with {Shutdown()}
