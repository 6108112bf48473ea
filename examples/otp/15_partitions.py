"""One actor does one thing at a time. When its mailbox is the bottleneck, have several of it.

A PartitionSupervisor runs the same child a number of times. A key always leads to the same one, so
what belongs together stays in order and in one place, while other keys are served elsewhere.
"""

from antq_actors.otp import Agent, PartitionSupervisor, Via, tree

with PartitionSupervisor.start(Agent.child_spec(list), partitions=3, name="carts") as carts:
    for customer, what in [(1, "bread"), (2, "milk"), (4, "tea"), (1, "jam")]:
        Agent.update(Via("carts", customer), lambda cart, what=what: [*cart, what])

    print(tree(carts).to_text())
    for customer in (1, 2, 4):
        cart = Agent.get(Via("carts", customer), list)
        print(f"customer {customer} is in partition {customer % 3}, where there is {cart}")

# Output:
# carts  [supervisor, running]
# ├── 0  [worker, running]
# ├── 1  [worker, running]
# └── 2  [worker, running]
# customer 1 is in partition 1, where there is ['bread', 'tea', 'jam']
# customer 2 is in partition 2, where there is ['milk']
# customer 4 is in partition 1, where there is ['bread', 'tea', 'jam']
