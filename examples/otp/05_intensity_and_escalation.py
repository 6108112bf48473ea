"""Some errors do not go away by starting again. How long does a supervisor believe they will?

At most ``max_restarts`` restarts within ``max_seconds``. One more, and it gives up: it ends, and
its own supervisor starts the whole branch again, from further down. So an error climbs the tree
until a restart helps, or until the root ends and the program knows. OTP calls it escalation.
"""

import logging

from antq_actors.otp import Agent, EventStream, Supervisor, chaos, events, monitor

logging.disable()  # delete this line to see what is logged meanwhile

branch = Supervisor.child_spec([Agent.child_spec(dict, name="leaf")], name="branch", max_restarts=1)
root = Supervisor.start([branch], name="root", max_restarts=1)
end = monitor(root)

with EventStream(below=root) as stream:
    for crash in range(1, 5):
        print(f"crash {crash} of the leaf")
        chaos.crash("leaf")
        awaited = "leaf"
        while awaited:
            match stream.take():
                case events.GaveUp(supervisor):
                    print(f"  {supervisor} gives up")
                    awaited = "branch" if supervisor is not root else None
                case events.ChildStarted(supervisor, child_id, _, incarnation):
                    print(f"  {supervisor} starts {child_id}, incarnation {incarnation}")
                    awaited = None if child_id == awaited else awaited

print("the root ended with", end.wait().reason)

# Output:
# crash 1 of the leaf
#   branch starts leaf, incarnation 2
# crash 2 of the leaf
#   branch gives up
#   branch starts leaf, incarnation 1
#   root starts branch, incarnation 2
# crash 3 of the leaf
#   branch starts leaf, incarnation 2
# crash 4 of the leaf
#   branch gives up
#   root gives up
# the root ended with Shutdown()
