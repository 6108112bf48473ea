"""Some errors do not go away with a restart. How long does a supervisor keep trying?

It allows ``max_restarts`` restarts within ``max_seconds``. At one more it gives up and ends, and
its own supervisor restarts the whole branch. So an error moves up the tree until a restart helps,
or until the root ends and the program learns of it. This is called escalation.
"""

import logging

from antq_actors.otp import (
    GenServer,
    Supervisor,
    chaos,
    monitor,
    wait_until_restarted,
    whereis,
)

logging.disable()  # delete this line to see what the supervisors log


class Leaf(GenServer):
    """Does nothing. Only its crashes matter here."""


branch = Supervisor.child_spec([Leaf.child_spec(name="leaf")], name="branch", max_restarts=1)
root = Supervisor.start([branch], max_restarts=1)

for crash in (1, 2, 3):
    old_branch = whereis("branch")
    chaos.crash("leaf")
    wait_until_restarted("leaf")

    if whereis("branch") is old_branch:
        print(f"crash {crash}: branch restarts leaf")
    else:
        print(f"crash {crash}: branch gives up, root restarts branch")

end = monitor(root)
chaos.crash("leaf")
print("crash 4: branch gives up, root gives up:", end.wait().reason)

# Output:
# crash 1: branch restarts leaf
# crash 2: branch gives up, root restarts branch
# crash 3: branch restarts leaf
# crash 4: branch gives up, root gives up: Shutdown()
