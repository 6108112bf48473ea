"""The background jobs of this package are such a tree. Look at it, crash it, and watch it go on.

A queue is a supervisor with a queue actor and a supervisor of worker actors, one for each running
job. A worker actor that crashes is one failed attempt of one job. A queue actor that crashes takes
its workers along (one_for_all), and its successor gives their jobs back: nothing is lost.
"""

import threading

from antq_actors import AntQ, Worker
from antq_actors.otp import EventStream, chaos, events, tree

began, may_end = threading.Semaphore(0), threading.Event()


class Bake(Worker, max_attempts=2):
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

    with EventStream(below=app.root) as stream:
        print("\nthe queue actor crashes")
        chaos.crash(app.queue("kitchen").ref)
        while True:
            match stream.take():
                case events.ChildExited(_, child_id, outcome=outcome, siblings=siblings):
                    print(f"its supervisor {outcome} {child_id}, with {list(siblings)}")
                case events.ChildStarted(_, "queue"):
                    break

    began.acquire()
    job = app.get_worker(job.id)
    print(f"the job is {job.status} again, attempt {job.attempts}, after an interruption")
    assert job.interruptions == 1
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
# the queue actor crashes
# its supervisor restarts queue, with ['workers']
# the job is running again, attempt 1, after an interruption
