"""A supervisor can end because its work is done: when the children that matter have ended.

With ``auto_shutdown`` it stops itself and its other children when the first, or the last, of its
significant children ends for good. A crash of a transient one is no such end: it is restarted. Do
not have a child stop its own supervisor; that is what this is for.
"""

import logging

from antq_actors.otp import (
    Agent,
    AutoShutdown,
    EventStream,
    Restart,
    Supervisor,
    chaos,
    events,
    monitor,
    stop,
)

logging.disable()  # delete this line to see what is logged meanwhile


def part_of_the_job(name):
    return Agent.child_spec(dict, name=name, restart=Restart.TRANSIENT, significant=True)


job = Supervisor.start(
    [Agent.child_spec(dict, name="helper"), part_of_the_job("upload"), part_of_the_job("mail")],
    auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
)
end = monitor(job)

with EventStream(below=job) as stream:
    chaos.crash("mail")
    print("mail crashed: its supervisor", stream.take().outcome)
    assert isinstance(stream.take(), events.ChildStarted)

    stop("upload")
    print("upload is done: its supervisor", stream.take().outcome)

    stop("mail")
    print("mail is done: its supervisor", stream.take().outcome)
    print("the helper ended with", stream.take().reason)

print("the supervisor ended with", end.wait().reason)

# Output:
# mail crashed: its supervisor restarts
# upload is done: its supervisor leaves
# mail is done: its supervisor shuts down
# the helper ended with Shutdown()
# the supervisor ended with Shutdown()
