"""One actor does one thing at a time. If that is too slow, run several copies and divide the work.

A PartitionSupervisor starts the same child several times. ``Via(supervisor, key)`` leads to the
same copy for the same key, so what belongs together stays in order and in one place.
"""

from antq_actors.otp import Agent, PartitionSupervisor, Via, tree

with PartitionSupervisor.start(Agent.child_spec(list), partitions=3, name="carts") as carts:
    for customer, what in [(1, "bread"), (2, "milk"), (4, "tea"), (1, "jam")]:
        Agent.update(Via("carts", customer), lambda cart, what=what: [*cart, what])

    print(tree(carts).to_text())
    for customer in (1, 2, 4):
        content = Agent.get(Via("carts", customer), list)
        print(f"customer {customer} leads to partition {customer % 3}, which has {content}")

# Output:
# carts  [supervisor, running]
# ├── 0  [worker, running]
# ├── 1  [worker, running]
# └── 2  [worker, running]
# customer 1 leads to partition 1, which has ['bread', 'tea', 'jam']
# customer 2 leads to partition 2, which has ['milk']
# customer 4 leads to partition 1, which has ['bread', 'tea', 'jam']
