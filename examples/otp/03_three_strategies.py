"""One child of three crashes. The supervisor's strategy decides which others restart with it.

one_for_one: none. one_for_all: all of them, because none can work without the others.
rest_for_one: those that were started after it, because they depend on it.
"""

import logging

from antq_actors.otp import GenServer, Strategy, Supervisor, chaos, wait_until_restarted

logging.disable()  # delete this line to see what the supervisor logs


class Part(GenServer):
    """Does nothing. Only which children are restarted matters here."""


children = [
    Part.child_spec(name="cache"),
    Part.child_spec(name="index"),
    Part.child_spec(name="search"),
]

for strategy in Strategy:
    with Supervisor.start(children, strategy=strategy) as supervisor:
        before = Supervisor.which_children(supervisor)

        chaos.crash("index")
        wait_until_restarted("index")

        after = Supervisor.which_children(supervisor)
        restarted = [child.id for child in after if child not in before]
        print(f"{strategy.name} restarts {restarted}")

# Output:
# ONE_FOR_ONE restarts ['index']
# ONE_FOR_ALL restarts ['cache', 'index', 'search']
# REST_FOR_ONE restarts ['index', 'search']
