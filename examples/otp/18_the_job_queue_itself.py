"""The background jobs of this package are such a tree. Look at it, crash it, and watch it go on.

A queue is a supervisor with a queue actor and a supervisor of worker actors, one for each running
job. A worker actor that dies is one failed attempt of one job. A queue actor that dies takes its
workers along (one_for_all), and its successor gives their jobs back: nothing is lost.
"""

import logging
import threading

from antq_actors import AntQ, Worker
from antq_actors.otp import DynamicSupervisor, EventStream, chaos, events, tree

logging.disable()  # delete this line to see what is logged meanwhile

began, may_end = threading.Semaphore(0), threading.Event()


class Bake(Worker, max_attempts=3):
    def perform(self, job):
        began.release()
        while not may_end.wait(0.01):
            pass  # an exit signal reaches a thread between two looks

    def calculate_delay(self, job):
        return 0.0


with AntQ(queues={"kitchen": 2}) as app:
    job = Bake.perform_async({"what": "bread"})
    began.acquire()
    print(tree(app.root).to_text())

    print("\nthe worker actor is killed")
    (baker,) = DynamicSupervisor.which_children("antq.workers.kitchen")
    chaos.kill(baker.ref)
    began.acquire()
    job = app.get_worker(job.id)
    print(f"the job is {job.status} again, attempt {job.attempts}: {job.errors[0].error}")

    with EventStream(below=app.root) as stream:
        print("\nthe queue actor is killed")
        chaos.kill(app.queue("kitchen").ref)
        while True:
            match stream.take():
                case events.ChildExited(_, "queue", outcome=outcome, siblings=siblings):
                    print(f"its supervisor {outcome} it, with {list(siblings)}")
                case events.ChildStarted(_, "queue"):
                    break

    began.acquire()
    job = app.get_worker(job.id)
    print(f"the job is {job.status} again, attempt {job.attempts}: {job.errors[0].error}")
    may_end.set()

# Output:
# antq  [supervisor, running...]
# ├── antq.storage  [worker, running...]
# ├── queues  [supervisor, running...]
# │   └── kitchen  [supervisor, running...]
# │       ├── antq.workers.kitchen  [supervisor, running...]
# │       │   └── worker  [worker, running...]
# │       └── antq.queue.kitchen  [worker, running...]
# ├── rescuer  [worker, running...]
# └── pruner  [worker, running...]
#
# the worker actor is killed
# the job is running again, attempt 2: worker actor was killed
#
# the queue actor is killed
# its supervisor restarts it, with ['workers']
# the job is running again, attempt 2: interrupted: ...
