"""``TaskSupervisor.map`` runs a function over many items, a few at a time, each in its own task.

The values come in the order of the items. An item is taken only when its task can start, so the
items can be a file of any size, or endless, as here.
"""

import itertools
import logging

from antq_actors.otp import TaskSupervisor

logging.disable()  # delete this line to see what the supervisor logs


def square(number):
    return number * number


with TaskSupervisor.start() as tasks:
    squares = TaskSupervisor.map(tasks, square, itertools.count(1), max_concurrency=4)
    print("the first squares are", list(itertools.islice(squares, 5)))

    squares.close()  # ends the tasks that were started ahead
    print("tasks left:", TaskSupervisor.count_children(tasks).active)

# Output:
# the first squares are [1, 4, 9, 16, 25]
# tasks left: 0
