"""Whether a child comes back when it ends depends on its restart type.

A permanent child should always be running, so it always comes back. A transient child has work that
comes to an end, so it comes back only after a crash. A temporary child is started once.
"""

import logging

from antq_actors.otp import (
    GenServer,
    Restart,
    Supervisor,
    chaos,
    stop,
    wait_until_restarted,
    whereis,
)

logging.disable()  # delete this line to see what the supervisor logs


class Part(GenServer):
    """Does nothing. Only how it ends matters here."""


children = [
    Part.child_spec(name="website", restart=Restart.PERMANENT),
    Part.child_spec(name="import", restart=Restart.TRANSIENT),
    Part.child_spec(name="greeting", restart=Restart.TEMPORARY),
]


def show():
    for name in ("website", "import", "greeting"):
        print(f"  {name} is", "running" if whereis(name) else "gone")


with Supervisor.start(children):
    for name in ("website", "import", "greeting"):
        stop(name)
    wait_until_restarted("website")
    print("after each has stopped normally:")
    show()

with Supervisor.start(children):
    for name in ("website", "import", "greeting"):
        chaos.crash(name)
    wait_until_restarted("website")
    wait_until_restarted("import")
    print("after each has crashed:")
    show()

# Output:
# after each has stopped normally:
#   website is running
#   import is gone
#   greeting is gone
# after each has crashed:
#   website is running
#   import is running
#   greeting is gone
