"""One child of three crashes. Who is started again with it? The strategy of the supervisor says.

one_for_one: only the child. one_for_all: all of them, as none can do without the others.
rest_for_one: the child and those started after it, as they build on it. Others are stopped first,
the last started first; then all are started in their order.
"""

import logging

from antq_actors.otp import Agent, EventStream, Strategy, Supervisor, chaos
from antq_actors.otp.events import ChildStarted, ChildTerminated

logging.disable()  # delete this line to see what is logged meanwhile

for strategy in Strategy:
    children = [Agent.child_spec(dict, name=name) for name in ("cache", "index", "search")]
    with (
        Supervisor.start(children, strategy=strategy) as sup,
        EventStream(below=sup) as stream,
    ):
        chaos.crash("index")
        siblings = stream.take().siblings  # of the first event, ChildExited

        happened = [stream.take() for _ in range(2 * len(siblings) + 1)]

        stopped = [each.child_id for each in happened if isinstance(each, ChildTerminated)]
        started = [each.child_id for each in happened if isinstance(each, ChildStarted)]
        print(f"{strategy.name}: stopped {stopped}, started {started}")

# Output:
# ONE_FOR_ONE: stopped [], started ['index']
# ONE_FOR_ALL: stopped ['search', 'cache'], started ['cache', 'index', 'search']
# REST_FOR_ONE: stopped ['search'], started ['index', 'search']
