"""A tree stops from the top, the last started child first, and each has its time to clean up.

Each child is told to end and runs ``terminate``. One that takes longer than its ``shutdown`` is
killed, so that a stop always comes to its end. A child marked BRUTAL_KILL is not even asked.
"""

import logging

from antq_actors.otp import (
    BRUTAL_KILL,
    EventStream,
    GenServer,
    Supervisor,
    chaos,
    stop,
)

logging.disable()  # delete this line to see what is logged meanwhile


class Part(GenServer):
    def __init__(self, name):
        super().__init__()
        self.name = name

    def terminate(self, reason):
        print(f"  {self.name} cleans up")


sup = Supervisor.start(
    [
        Part.child_spec("database", id="database"),
        Part.child_spec("cache", id="cache", shutdown=BRUTAL_KILL),
        Part.child_spec("web", name="web", shutdown=0.05),
        Part.child_spec("log", id="log"),
    ]
)
hanging = chaos.hang("web")

with EventStream(below=sup) as stream:
    print("stop!")
    stop(sup)
    for event in stream.waiting():
        how = "as told" if event.is_clean else "not as told"
        print(f"{event.child_id} ended with {event.reason}, {how}")
hanging.end()

# Output:
# stop!
#   log cleans up
#   database cleans up
# log ended with Shutdown(), as told
# web ended with Killed(), not as told
# cache ended with Killed(), as told
# database ended with Shutdown(), as told
