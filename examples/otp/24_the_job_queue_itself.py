"""The background jobs of this package run in a supervision tree. Crash parts of it, and it goes on.

Each queue is a supervisor with two children: the queue actor, and a supervisor with one worker
actor for each running job. A worker actor that is killed is one failed attempt of one job. If a
queue actor is killed, its workers end too (one_for_all), and its successor gives their jobs back:
no job is lost.
"""

import logging
import threading

from antq_actors import AntQ, Worker
from antq_actors.otp import DynamicSupervisor, chaos, tree, wait_until_restarted

logging.disable()  # delete this line to see what the supervisors log

baking, may_end = threading.Semaphore(0), threading.Event()


class Bake(Worker, max_attempts=3):
    def perform(self, job):
        baking.release()
        while not may_end.wait(0.01):  # in short steps, so that the thread of a killed actor ends
            pass

    def calculate_delay(self, job):
        return 0.0


def show(job_id):
    job = app.get_job(job_id)
    print(f"the job is {job.status} again, attempt {job.attempts}: {job.errors[0].error}")


with AntQ(queues={"kitchen": 2}) as app:
    job = Bake.perform_async({"what": "bread"})
    baking.acquire()
    print(tree(app.root).to_text())

    print("\nthe worker actor is killed")
    (worker,) = DynamicSupervisor.which_children("antq.workers.kitchen")
    chaos.kill(worker.ref)
    baking.acquire()
    show(job.id)

    print("\nthe queue actor is killed")
    chaos.kill("antq.queue.kitchen")
    wait_until_restarted("antq.queue.kitchen")
    baking.acquire()
    show(job.id)
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
# ├── pruner  [worker, running...]
# ├── antq.cron  [worker, running...]
# └── antq.flow  [worker, running...]
#
# the worker actor is killed
# the job is running again, attempt 2: worker actor was killed
#
# the queue actor is killed
# the job is running again, attempt 2: interrupted: ...
