"""A task is an actor that runs one function. You get its value, or the reason why there is none.

``Task.async_`` links the task to the actor that starts it: if one crashes, so does the other. When
the work may fail, start it under a TaskSupervisor with ``async_nolink``: then only ``await_``
raises.
"""

import logging

from antq_actors.otp import Task, TaskExit, TaskSupervisor

logging.disable()  # delete this line to see what the supervisor logs

power = Task.async_(pow, 2, 10)
print("in the meantime, this thread does something else")
print("2 ** 10 =", power.await_())

with TaskSupervisor.start() as tasks:
    risky = TaskSupervisor.async_nolink(tasks, divmod, 1, 0)
    try:
        risky.await_()
    except TaskExit as error:
        print("no value:", error.reason)

# Output:
# in the meantime, this thread does something else
# 2 ** 10 = 1024
# no value: Crash(ZeroDivisionError: integer division or modulo by zero)
