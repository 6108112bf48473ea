"""A node in a process of its own that does what it is told, and what its jobs do.

What is acknowledged and what jobs do is written down outside of the node's disk.
"""

import json
import logging
import os
import sys
import time
from pathlib import Path

from support.apps import until
from support.programs import Program
from support.trees import child, kill

from antq_actors import AntQ, Cancel, Worker, errors, otp
from antq_actors.app.config import QueueConfig
from antq_actors.otp import events as otp_events
from antq_actors.queues.services.periodic import RunOnce
from antq_actors.storage.lmdb.open_stores import open_environment


class Step(Worker, max_attempts=3, name="obedient:Step"):
    """Notes that it begins, waits for its seconds and for its gate to be there, notes its end.

    With last words, it cancels itself with an error of so many bytes, which has to be stored.
    """

    def perform(self, job):
        note(job, "begin")
        time.sleep(job.args.get("seconds", 0.0))
        while job.args.get("gate") and not Path(job.args["gate"]).exists():
            time.sleep(0.005)
        note(job, "end")
        if job.args.get("last_words"):
            return Cancel("x" * job.args["last_words"])
        return None


class Glutton(Worker, max_attempts=1, name="obedient:Glutton"):
    """Takes memory until there is none, but only when its process is in the named cage."""

    def perform(self, job):
        note(job, "begin")
        while job.args["cage"] not in Path("/proc/self/cgroup").read_text():
            time.sleep(0.005)
        eaten = []
        while True:
            eaten.append(b"x" * 2**22)


def note(job, what):
    """One write to a file opened for appending is whole, and outlives the process."""
    file = os.open(job.args["journal"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, f"{what} {job.id}\n".encode())
    finally:
        os.close(file)


def noted(journal, what):
    """The ids of the jobs of which *what* was noted, as often as it was."""
    if not Path(journal).exists():
        return []
    rows = [line.split() for line in Path(journal).read_text().splitlines()]
    return [int(id_) for noted, id_ in rows if noted == what]


def journal_in(place):
    """Return the argument of a job that says where it notes what it does."""
    return {"journal": str(place / "journal")}


def hold_jobs(node, place, **args):
    """Have a node perform four jobs; return their ids, and what lets them end."""
    gate = place / "gate"
    ids = node.enqueue(count=4, gate=str(gate), **journal_in(place), **args)
    until(lambda: set(ids) <= set(noted(place / "journal", "begin")), "the start of four jobs")
    return ids, gate.touch


# ---- the process ------------------------------------------------------------------------------


class Orders:
    """Each method is an order, and answers what is told back."""

    def __init__(self, app):
        self.app = app
        self._failed_restarts = []
        otp.subscribe(self._note)

    def _note(self, event):
        if isinstance(event, otp_events.RestartFailed):
            self._failed_restarts.append(event.child_id)

    def failed_restarts(self):
        """Return the ids of actors whose supervisor could not start them again, in order."""
        return self._failed_restarts

    def enqueue(self, worker="Step", count=1, noise=0, *, queue="default", **args):
        worker = {"Step": Step, "Glutton": Glutton}[worker]
        noisy = {"noise": os.urandom(noise)} if noise else {}
        return [self.app.enqueue(worker, {**args, **noisy}, queue=queue).id for _ in range(count)]

    def fill(self, noise, **args):
        """Enqueue until the store refuses; return the ids."""
        ids = []
        try:
            while True:
                ids += self.enqueue(noise=noise, **args)
        except errors.StorageFull:
            return ids

    def count(self, *statuses):
        return self.app.count_workers(status=statuses or None)

    def jobs(self):
        return [
            (job.id, job.status, job.attempts, job.interruptions) for job in self.app.list_workers()
        ]

    def map_size(self):
        return open_environment(self.app.path, owner=self.app._running.names)._env.info()[
            "map_size"
        ]

    def kill_actor(self, *path):
        """Kill an actor, by the ids on the way to it."""
        kill(child(self.app.root, *path))

    def rescue(self):
        """Look for dead nodes now; return how many jobs were given back."""
        return otp.call(child(self.app.root, "rescuer"), RunOnce(), timeout=30.0)

    def stop(self, timeout=30.0):
        began = time.monotonic()
        self.app.stop(timeout=timeout)
        return time.monotonic() - began


def main(path, log, options):
    logging.basicConfig(filename=log, format="%(levelname)s %(name)s %(message)s")
    options = json.loads(options)
    map_size = options.pop("map_size", None)
    if map_size:
        open_environment.__kwdefaults__["map_size"] = map_size
    queues = {name: QueueConfig(n) for name, n in options.pop("queues", {"default": 4}).items()}
    try:
        orders = Orders(AntQ(path, queues=queues, **options).start())
    except errors.StorageError as error:
        tell({"error": kind_of(error), "text": str(error)})
        return
    tell("ready")
    for line in sys.stdin:
        order, args, kwargs = json.loads(line)
        try:
            tell(getattr(orders, order)(*args, **kwargs))
        except errors.AntqError as error:
            tell({"error": kind_of(error), "text": str(error)})


def kind_of(error):
    return type(error).__name__


def tell(answer):
    print(json.dumps(answer), flush=True)  # noqa: T201 - the test reads it


# ---- the test ---------------------------------------------------------------------------------


class Node(Program):
    """The process, seen by the test: its methods are the orders."""

    def __init__(self, path, log, home, **options):
        self.log = log
        super().__init__([__file__, path, log, json.dumps(options)], home)

    def __getattr__(self, order):
        if order.startswith("_") or not hasattr(Orders, order):
            raise AttributeError(order)
        return lambda *args, **kwargs: self._obey(order, args, kwargs)

    def hear(self):
        """Return what it tells next; raise the error that it met."""
        answer = json.loads(self.line())
        if isinstance(answer, dict) and "error" in answer:
            raise getattr(errors, answer["error"])(answer["text"])
        return answer

    def warnings(self, text=""):
        """The lines of its log that hold *text*."""
        return [line for line in self.log.read_text().splitlines() if text in line]

    def leave(self):
        """Let it come to its end; return its exit code."""
        return self.end(60)[0]

    def _obey(self, order, args, kwargs):
        self.process.stdin.write(json.dumps([order, args, kwargs]) + "\n")
        self.process.stdin.flush()
        return self.hear()


if __name__ == "__main__":
    main(*sys.argv[1:])
