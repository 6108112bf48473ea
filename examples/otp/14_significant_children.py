"""A supervisor can end because its work is done: when its significant children have ended.

With ``auto_shutdown`` it then stops its other children and itself. A transient child that crashes
has not ended for good, so it is restarted as usual.
"""

import logging

from antq_actors.otp import (
    AutoShutdown,
    GenServer,
    Restart,
    Supervisor,
    chaos,
    monitor,
    stop,
    wait_until_restarted,
)

logging.disable()  # delete this line to see what the supervisor logs


class Part(GenServer):
    """Does nothing. Only how it ends matters here."""


def part_of_the_work(name):
    return Part.child_spec(name=name, restart=Restart.TRANSIENT, significant=True)


work = Supervisor.start(
    [Part.child_spec(name="helper"), part_of_the_work("upload"), part_of_the_work("mail")],
    auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
)

chaos.crash("mail")
wait_until_restarted("mail")
print("mail has crashed and was restarted")

helper, supervisor = monitor("helper"), monitor(work)
stop("upload")
print("upload is done")
stop("mail")
print("mail is done")
print("the helper has ended:", helper.wait().reason)
print("the supervisor has ended:", supervisor.wait().reason)

# Output:
# mail has crashed and was restarted
# upload is done
# mail is done
# the helper has ended: Shutdown()
# the supervisor has ended: Shutdown()
