"""A tree stops from the last started child to the first, and each child has time to clean up.

A child is told to end, and runs ``terminate``. A child that takes longer than its ``shutdown``
seconds is killed, so a stop always ends. A child with BRUTAL_KILL is killed without being told.
"""

import logging

from antq_actors.otp import BRUTAL_KILL, GenServer, Supervisor, chaos, stop

logging.disable()  # delete this line to see what the supervisor logs


class Part(GenServer):
    def __init__(self, name):
        super().__init__()
        self.name = name

    def terminate(self, reason):
        print(f"{self.name} cleans up")


supervisor = Supervisor.start(
    [
        Part.child_spec("database", id="database"),
        Part.child_spec("cache", id="cache", shutdown=BRUTAL_KILL),
        Part.child_spec("web", name="web", shutdown=0.05),
        Part.child_spec("log", id="log"),
    ]
)

with chaos.hang("web"):  # it hangs in a handler, so it cannot be told to end
    stop(supervisor)
print("all have ended")

# Output:
# log cleans up
# database cleans up
# all have ended
