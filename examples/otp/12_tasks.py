"""A task is an actor that runs one function. Its value is awaited; its crash is told to who awaits.

``Task.async_`` links the task to the actor that starts it: they share their fate. Under a
TaskSupervisor there is ``async_nolink``, for work that may fail, and ``map``, which runs a function
over many items, a few at a time, and keeps their order. Items are taken one by one as places come
free, so they may be endless.
"""

import itertools
import logging

from antq_actors.otp import Task, TaskExit, TaskSupervisor, stop

logging.disable()  # delete this line to see what is logged meanwhile

print("2 ** 10 =", Task.async_(pow, 2, 10).await_())

tasks = TaskSupervisor.start()
risky = TaskSupervisor.async_nolink(tasks, divmod, 1, 0)
try:
    risky.await_()
except TaskExit as error:
    print("no value:", error.reason)

squares = TaskSupervisor.map(tasks, lambda n: n * n, itertools.count(1), max_concurrency=4)
print("the first squares are", list(itertools.islice(squares, 5)))
squares.close()  # what was begun ahead is not wanted any more

print("tasks left:", TaskSupervisor.count_children(tasks).active)
stop(tasks)

# Output:
# 2 ** 10 = 1024
# no value: Crash(ZeroDivisionError: integer division or modulo by zero)
# the first squares are [1, 4, 9, 16, 25]
# tasks left: 0
