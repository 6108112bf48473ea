"""Which ends are failures? For each child its restart type says.

A permanent child should never end, so it always comes back. A transient one may be done: it comes
back only when it crashed. A temporary one is started once, and forgotten however it ends.
"""

import logging

from antq_actors.otp import Agent, EventStream, Restart, Supervisor, chaos, stop

logging.disable()  # delete this line to see what is logged meanwhile

for ends, end in {"stops normally": stop, "crashes": chaos.crash}.items():
    for restart in Restart:
        child = Agent.child_spec(dict, name="child", restart=restart)
        with Supervisor.start([child]) as sup, EventStream(below=sup) as stream:
            end("child")
            exited = stream.take()
            if exited.outcome == "restarts":
                stream.take()  # until it has started

            kept = [info.id for info in Supervisor.which_children(sup)]
            spec = "its spec is kept" if kept else "it is forgotten"
            print(f"{restart.name:9} child {ends}: its supervisor {exited.outcome}, {spec}")

# Output:
# PERMANENT child stops normally: its supervisor restarts, its spec is kept
# TRANSIENT child stops normally: its supervisor leaves, its spec is kept
# TEMPORARY child stops normally: its supervisor leaves, it is forgotten
# PERMANENT child crashes: its supervisor restarts, its spec is kept
# TRANSIENT child crashes: its supervisor restarts, its spec is kept
# TEMPORARY child crashes: its supervisor leaves, it is forgotten
