"""When a child fails to start at boot, the whole tree does not start.

There is no second try. The children that had started are stopped, the last one first, and ``start``
raises StartError, which names the child and has its exception as the cause. A program that cannot
work should fail when it is deployed, and not at night.
"""

import logging

from antq_actors.otp import GenServer, StartError, Supervisor

logging.disable()  # delete this line to see what the supervisors log


class Part(GenServer):
    def __init__(self, name, *, works=True):
        super().__init__()
        self.name, self.works = name, works

    def init(self):
        if not self.works:
            raise ConnectionError("no database")
        print(self.name, "is up")

    def terminate(self, reason):
        print(self.name, "goes down:", reason)


storage = Supervisor.child_spec(
    [
        Part.child_spec("files", id="files"),
        Part.child_spec("database", id="database", works=False),
        Part.child_spec("cache", id="cache"),
    ],
    id="storage",
)

try:
    Supervisor.start([Part.child_spec("log", id="log"), storage])
except StartError as error:
    print(error)

# Output:
# log is up
# files is up
# files goes down: Shutdown()
# log goes down: Shutdown()
# child 'storage' did not start: child 'database' did not start: ConnectionError: no database
